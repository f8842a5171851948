"""Detectors of borrowings against a made world's labels, on the page (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report.numbers import NONE, listed, percent, plural, with_interval

FEW = 50  # caused statements below which rates say little
_CHANCE = 0.5
_COLUMNS = {
    "AUROC": "auroc",
    "average precision": "average_precision",
    "top 1": "top_1",
    "top 5": "top_5",
    "false discovery": "false_discovery",
    "power": "power",
}
_DRAWN = ("estimate", "low", "high", "reason")


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `lab-score` found, as a block of the page."""
    found = about["found"]
    return {
        "control": "lab-score",
        "model": about["name"],
        "question": "Which detector finds what the rows caused?",
        "sentences": _sentences(found) if found else [],
        "picture": _picture(found) if found else None,
        "table": _table(found) if found else None,
        "cautions": _cautions(found, about["absent"]) if found else [],
    }


def _sentences(found: Mapping[str, Any]) -> list[str]:
    caused, others, undecided = (_count(found, k) for k in ("caused", "not caused", "undecided"))
    said = [
        f"Of {plural(caused + others, 'wrong statement')} with a decided label, {caused:,} are "
        f"caused by rows; {undecided:,} more are undecided and left out."
    ]
    top = found["ceiling"]["measures"].get("auroc")
    if top is None or top["estimate"] is None:
        return [*said, f"Nothing is compared: {found['ceiling']['reason']}."]
    said.append(f"The labels' own effects on fresh seeds reach AUROC {with_interval(top, two)}.")
    better: list[str] = []
    worse: list[str] = []
    open_: list[str] = []
    for one in _best_first(found):
        name, held = one["name"], one["measures"].get("auroc")
        if held is None or held["low"] is None:
            continue
        side = better if held["low"] > _CHANCE else worse if held["high"] < _CHANCE else open_
        side.append(f"{name} {with_interval(held, two)}")
    if better:
        said.append(f"Above chance in AUROC: {listed(better)}.")
    if worse:
        said.append(f"Below chance: {listed(worse)}.")
    if open_:
        said.append(f"Undecided, the interval holds chance: {listed(open_)}.")
    return [*said, *_rows_named(found)]


def _rows_named(found: Mapping[str, Any]) -> list[str]:
    """How often the first row that is blamed is one of the label's, and blind drawing's chance."""
    tops = {one["name"]: one["measures"].get("top_1") for one in _best_first(found)}
    known = [
        f"{name} {with_interval(top, percent)}"
        for name, top in tops.items()
        if top is not None and top["estimate"] is not None
    ]
    blind = found["blind"]["top_1"]
    if not known or blind is None:
        return []
    return [
        f"The first row named is one of the cause in: {listed(known)}; a row drawn blindly is in "
        f"{percent(blind)}."
    ]


def two(value: float | None) -> str:
    """
    >>> two(0.8312), two(None)
    ('0.83', '–')
    """
    return NONE if value is None else f"{value:.2f}"


def _picture(found: Mapping[str, Any]) -> dict[str, Any]:
    rows = [{"label": _label(one, found), **_drawn(one)} for one in _all(found)]
    line = {"at": _CHANCE, "label": "chance"}
    return {"kind": "intervals", "x_label": "AUROC", "rows": rows, "line": line}


def _drawn(one: Mapping[str, Any]) -> dict[str, Any]:
    held = one["measures"].get("auroc")
    if held is None:
        return {**dict.fromkeys(_DRAWN), "reason": one["reason"]}
    return {key: held[key] for key in _DRAWN}


def _all(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*_best_first(found), found["ceiling"]]


def _best_first(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Detectors by AUROC; those without one last."""

    def place(one: Mapping[str, Any]) -> float:
        value = (one["measures"].get("auroc") or {}).get("estimate")
        return 1.0 if value is None else -float(value)

    return sorted(found["detectors"], key=place)


def _label(one: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    name = str(one["name"])
    return f"{name} (ceiling)" if one is found["ceiling"] else name


def _table(found: Mapping[str, Any]) -> dict[str, Any]:
    rows = [_row(_label(one, found), one) for one in _all(found)]
    blind = found["blind"]
    chance = {"top 1": percent(blind["top_1"]), "top 5": percent(blind["top_5"])}
    share = found["ceiling"]["measures"].get("chance_of_caused") or {}
    chance["average precision"] = two(share.get("estimate"))
    chance["AUROC"] = two(_CHANCE)
    rows.append(["blind chance", *(chance.get(name, NONE) for name in _COLUMNS), NONE])
    return {"columns": ["detector", *_COLUMNS, "statements"], "rows": rows}


def _row(name: str, one: Mapping[str, Any]) -> list[str]:
    cells = [
        with_interval(one["measures"].get(measure), two if column in ("AUROC", "average precision")
                      else percent)
        for column, measure in _COLUMNS.items()
    ]  # fmt: skip
    return [name, *cells, f"{one['n']:,}"]


def _cautions(found: Mapping[str, Any], absent: Mapping[str, str]) -> list[str]:
    said = []
    if (caused := _count(found, "caused")) < FEW:
        said.append(f"Only {caused} statements are caused by rows; fewer than {FEW} are too few.")
    if len(found["worlds"]) == 1:
        said.append("One world: intervals draw its prompts, and say nothing of other worlds.")
    for one in found["detectors"]:
        if not one["measures"]:
            said.append(f"{one['name']} is absent: {one['reason']}.")
        else:
            said += [
                f"{one['name']} leaves {plural(n, 'statement')} out: {reason}."
                for reason, n in one["unscored"].items()
            ]
    return said + [
        f"Not measured: {what}, {reason.rstrip('.')}." for what, reason in absent.items()
    ]


def _count(found: Mapping[str, Any], label: str) -> int:
    return sum(world["counts"].get(label, 0) for world in found["worlds"])
