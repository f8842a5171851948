"""The control `unrounded` on the page: rounding the base against tuning it (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.seen import seen

_LABELS = {
    "rounding": "rounding: the rounded base from the unrounded one",
    "tuning": "tuning: the tuned model from the rounded base",
    "both": "both: the tuned model from the unrounded base",
}

Found = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-unrounded` found, as a block of the page."""
    model, found = about["name"], about["found"]
    shown = {
        "control": "unrounded",
        "model": model,
        "question": f"How much of the shift of {model} would rounding the base make?",
    }
    if not found:
        reason = about["absent"]["unrounded"].rstrip(".")
        sentences = [f"Not measured: {reason}."]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    return {
        **shown,
        "sentences": _sentences(model, found),
        "picture": _picture(model, found),
        "table": _table(found),
        "cautions": [
            "Divergences do not add up: rounding and tuning together may be more or less than the "
            "sum of both. Stop tokens are left out."
        ],
    }


def _sentences(model: str, found: Found) -> list[str]:
    means = {name: numbers.with_interval(one["per_token"]) for name, one in found["kl"].items()}
    said = [
        f"On {numbers.plural(found['n_responses'], 'answer')} of {model} itself, KL(rounded base "
        f"from unrounded base) is {means['rounding']} nats per token, KL(tuned from rounded base) "
        f"{means['tuning']} and KL(tuned from unrounded base) {means['both']}."
    ]
    return [*said, _compared(found["difference"])]


def _compared(difference: Mapping[str, Any]) -> str:
    start = "Whether rounding or tuning moved the model further is undecided"
    if difference["low"] is None:
        return f"{start}: {difference['reason']}."
    size = f"{numbers.with_interval(difference)} nats per token"
    if difference["low"] <= 0 <= difference["high"]:
        return f"{start}: the difference is {size}, and its interval contains 0{seen(difference)}."
    further, than = ("Rounding", "tuning") if difference["estimate"] > 0 else ("Tuning", "rounding")
    return (
        f"{further} moved the model further than {than} on these answers: rounding minus tuning is "
        f"{size}, paired over prompts{seen(difference)}."
    )


def _picture(model: str, found: Found) -> dict[str, Any]:
    return {
        "kind": "intervals",
        "x_label": f"KL, nats per token, on the answers of {model}",
        "rows": [
            {
                "label": label,
                **{
                    key: found["kl"][name]["per_token"][key]
                    for key in ("estimate", "low", "high", "reason")
                },
            }
            for name, label in _LABELS.items()
        ],
        "line": None,
    }


def _table(found: Found) -> dict[str, Any]:
    columns = ["what lies between", "nats per token", "every answer alike"]
    rows = []
    for name, label in _LABELS.items():
        means = found["kl"][name]
        cells = [numbers.with_interval(means[kind]) for kind in ("per_token", "per_response")]
        rows.append([label, *cells])
    return {"columns": columns, "rows": rows}
