"""Benchmarks of lm-evaluation-harness on the page: what was lost and gained (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

Found = Mapping[str, Any]
Block = dict[str, Any]
_SHOWN = 10  # items of a model in the table
_DRAWN = ("estimate", "low", "high", "reason")


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
        f"{numbers.with_interval(one['change'], numbers.percent)}"
    )
    return f"{shares} ({metrics}): {change}; {_verdict(one)}."


def _verdict(one: Found) -> str:
    p = f"McNemar p {one['p']:.2g}"
    if one["verdict"] in ("lost", "gained"):
        return f"more was {one['verdict']} ({p})"
    margin = numbers.percent(one["margin"])
    if one["verdict"] == "nothing lost":
        return f"nothing was lost beyond {margin} ({p})"
    needed = f"; {one['needed']:,} items would decide about {margin}" if one["needed"] else ""
    return f"whether anything was lost is undecided ({p}){needed}"


def _picture(models: Found, names: list[str]) -> Block:
    rows = []
    for name in names:
        parts = {name: models[name]["compared"]}
        tasks = models[name]["by_tag"].get("task", {})
        parts |= {f"{name}: {task}": one for task, one in tasks.items()}
        rows += [
            {"label": label, **{key: one["change"][key] for key in _DRAWN}}
            for label, one in parts.items()
        ]
    return {
        "kind": "intervals",
        "x_label": "share of items right, tuned minus base",
        "rows": rows,
        "line": {"at": 0.0, "label": "no change"},
    }


def _table(models: Found, names: list[str]) -> Block | None:
    rows = [
        [name, outcome, one["question"], one["expected"], one["base"], one["tuned"]]
        for name in names
        for outcome in ("lost", "gained")
        for one in models[name]["examples"][outcome][:_SHOWN]
    ]
    columns = ["model", "outcome", "question", "right", "the base said", "the tuned model said"]
    return {"columns": columns, "rows": rows} if rows else None


def _cautions(name: str, found: Found) -> list[str]:
    said = [f"{name}: {n:,} items {reason}." for reason, n in found["aside"].items()]
    if not found["asked_alike"]:
        said.append(
            f"{name} and the base read different prompts for some items, which may be the whole "
            "difference."
        )
    return said
