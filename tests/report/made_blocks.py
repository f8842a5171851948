"""Made-up blocks of controls, and the artefact of a control that holds one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from made_report import write

from aftertune.artefact import Artefact, hash_json


def made_block(model: str = "full-5e-5", **values: Any) -> dict[str, Any]:
    """A block with nothing but its question, and what `values` change."""
    return {
        "control": "made", "model": model, "question": "Is it the template?", "sentences": [],
        "picture": None, "table": None, "cautions": [],
    } | values  # fmt: skip


def interval_row(label: str, *values: float | None, reason: str | None = None) -> dict[str, Any]:
    """One row of a picture of intervals: estimate, low, high."""
    estimate, low, high = (*values, None, None, None)[:3]
    return {"label": label, "estimate": estimate, "low": low, "high": high, "reason": reason}


def intervals_picture(
    rows: Sequence[dict[str, Any]], line: tuple[float, str] | None = None
) -> dict[str, Any]:
    against = {"at": line[0], "label": line[1]} if line else None
    return {
        "kind": "intervals", "x_label": "mean KL(tuned from base), nats per token",
        "rows": list(rows), "line": against,
    }  # fmt: skip


def curve_picture(
    series: dict[str, list[tuple[float, ...]]], x_values: Sequence[float], log_x: bool = False
) -> dict[str, Any]:
    """series: name -> [(x, estimate)] or [(x, estimate, low, high)]."""
    return {
        "kind": "curve", "x_label": "tokens of the tuned model's answer that the base goes on from",
        "y_label": "mean KL(tuned from base), nats per token", "x_values": list(x_values),
        "log_x": log_x,
        "series": [
            {
                "name": name,
                "points": [
                    dict(zip(("x", "estimate", "low", "high"), (*p, None, None)[:4], strict=True))
                    for p in points
                ],
            }
            for name, points in series.items()
        ],
    }  # fmt: skip


def control_artefact(out: Path, block: dict[str, Any], absent: dict[str, str] | None = None,
                     key: str = "") -> Artefact:  # fmt: skip
    """An artefact of the control `made`, whose `about` is its block; see conftest.made_control."""
    about = {"control": "made", "name": block["model"], "block": block, "absent": absent or {}}
    return write(out, "control-made", {}, about=about, key=key or hash_json(block))


def spot(name: str, x: Sequence[float | None], y: Sequence[float | None]) -> dict[str, Any]:
    """x, y: estimate, or estimate, low, high."""
    ends = ("estimate", "low", "high")
    along, up = (dict(zip(ends, (*side, None, None)[:3], strict=True)) for side in (x, y))
    return {"name": name, "x": along, "y": up}


def scatter_picture(spots: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "scatter", "x_label": "rise of the loss on given texts, nats per token",
        "y_label": "share of facts chosen right", "spots": list(spots),
    }  # fmt: skip
