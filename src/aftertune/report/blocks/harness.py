"""Benchmarks of lm-evaluation-harness on the page: what was lost and gained (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.blocks.recall import points_of, times_100

Found = Mapping[str, Any]
Block = dict[str, Any]
_ENDS = ("estimate", "low", "high")


def block(about: Found) -> Block:
    """What `control-harness` found, as a block of the page."""
    models, names = about["found"]["models"], list(about["names"])
    return {
        "control": "harness",
        "model": numbers.listed(names),
        "question": f"What did {numbers.listed(names)} lose or gain on the benchmarks?",
        "sentences": [_said(name, models[name]) for name in names],
        "picture": _picture(models, names),
        "table": _table(models, names),
        "cautions": [one for name in names for one in _cautions(name, models[name])],
    }


def _said(name: str, found: Found) -> str:
    one = found["compared"]
    n, counts = one["n"], one["counts"]
    metrics = numbers.listed([f"{task} by {metric}" for task, metric in found["metrics"].items()])
    shares = f"{name} is right on {numbers.with_interval(one['tuned'], numbers.percent)}"
    shares += f" of {numbers.plural(n, 'item')}, the base on "
    shares += f"{numbers.with_interval(one['base'], numbers.percent)}"
    change = (
        f"{counts['lost']:,} lost, {counts['gained']:,} gained, {counts['kept right']:,} right and "
        f"{counts['kept wrong']:,} wrong in both, a change of "
        f"{points_of(one['change'])}"
    )
    return f"{shares} ({metrics}): {change}; {_verdict(one)}."


def _verdict(one: Found) -> str:
    p = f"McNemar p {one['p']:.2g}"
    if one["verdict"] in ("lost", "gained"):
        return f"more was {one['verdict']} ({p})"
    margin = f"{100 * one['margin']:g} points"
    if one["verdict"] == "nothing lost":
        return f"nothing of {margin} or more was lost or gained ({p})"
    needed = ""
    if one["needed"]:
        needed = f"; about {one['needed']:,} items would decide about {margin}, 80 times in 100"
    return f"whether anything was lost is undecided ({p}){needed}"


def _picture(models: Found, names: list[str]) -> Block:
    rows = []
    for name in names:
        parts = {name: models[name]["compared"]}
        tasks = models[name]["by_tag"].get("task", {})
        parts |= {f"{name}: {task}": one for task, one in tasks.items()}
        rows += [
            {
                "label": label,
                **{key: times_100(one["change"][key]) for key in _ENDS},
                "reason": one["change"]["reason"],
            }
            for label, one in parts.items()
        ]
    return {
        "kind": "intervals",
        "x_label": "items right, tuned minus base, percentage points, 95% interval over items",
        "rows": rows,
        "line": {"at": 0.0, "label": "no change"},
    }


def _table(models: Found, names: list[str]) -> Block:
    """Numbers by task. Questions and answers stand in the table harness_items: a redacted page
    shows a block whole."""
    rows = []
    for name in names:
        tasks = models[name]["by_tag"].get("task", {})
        rows += [_row(f"{name}: {task}", one, "p_holm") for task, one in tasks.items()]
        rows.append(_row(f"{name}: all" if tasks else name, models[name]["compared"], "p"))
    columns = [
        "",
        "items",
        "base right",
        "tuned right",
        "lost",
        "gained",
        "change",
        "p (tasks: corrected)",
    ]
    return {"columns": columns, "rows": rows}


def _row(label: str, one: Found, p: str) -> list[str]:
    return [
        label,
        f"{one['n']:,}",
        *(numbers.with_interval(one[side], numbers.percent) for side in ("base", "tuned")),
        *(f"{one['counts'][outcome]:,}" for outcome in ("lost", "gained")),
        points_of(one["change"]),
        numbers.nats(one[p]),
    ]


def _cautions(name: str, found: Found) -> list[str]:
    said = [f"{name}: {n:,} items {reason}." for reason, n in found["aside"].items()]
    if not found["asked_alike"]:
        said.append(
            f"{name} and the base read different prompts for some items, which may be the whole "
            "difference."
        )
    return said
