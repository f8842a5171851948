"""Detectors of borrowings against made worlds' labels, on the page (pure)."""

from collections.abc import Callable, Mapping
from typing import Any

from aftertune.report.numbers import (
    NONE,
    decimal,
    has_interval,
    listed,
    percent,
    plural,
    with_interval,
)

FEW = 50  # caused statements below which rates say little
_CHANCE = 0.5
_GAP, _BRIER, _ERROR = "gap closed", "Brier score", "calibration error"
# column -> measure, and how it is written
_MEASURES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "AUROC": ("auroc", decimal),
    "average precision": ("average_precision", decimal),
    "precision": ("precision", percent),
    "recall": ("recall", percent),
    "top 1": ("top_1", percent),
    "top 5": ("top_5", percent),
    "top 1 of one row": ("top_1_one_row", percent),
}
_COLUMNS = ("AUROC", _GAP, *list(_MEASURES)[1:], _BRIER, _ERROR)
_DRAWN = ("estimate", "low", "high", "reason")

Found = Mapping[str, Any]


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


def _sentences(found: Found) -> list[str]:
    caused, others, undecided = (_count(found, k) for k in ("caused", "not caused", "undecided"))
    said = [
        f"Of {plural(caused + others, 'wrong statement')} with a decided label, {caused:,} are "
        f"caused by rows; {undecided:,} more are undecided and left out."
    ]
    if not caused or not others:
        reason = "no statement is caused by rows" if others else "every one is caused by rows"
        return [*said, f"Nothing is compared: {reason}."]
    top = _measure(found["ceiling"], "auroc")
    if top["estimate"] is None:
        said.append(f"There is no ceiling: {found['ceiling']['reason'] or top['reason']}.")
    else:
        said.append(
            f"The ceiling, the labels' own effects on fresh seeds, is AUROC "
            f"{with_interval(top, decimal)}."
        )
    own = [one for one in found["detectors"] if not one["included"]]
    return [
        *said,
        *_beside_chance(found),
        *(_beside_others(one) for one in own or _best_included(found)),
        *_rows_named(found),
        *(_promised(one, found) for one in own if _measure(one, "power")["estimate"] is not None),
        *(
            _calibrated(one)
            for one in own
            if one["calibration"].get("of") == "its own probabilities"
        ),
    ]


def _beside_chance(found: Found) -> list[str]:
    """Who is above chance in AUROC; one that cannot be told from it by any data is not named."""
    sides: dict[str, list[str]] = {
        "Above chance in AUROC": [], "Below chance": [], "Undecided, the interval holds chance": [],
    }  # fmt: skip
    better, worse, undecided = sides.values()
    for one in _best_first(found):
        held = _measure(one, "auroc")
        if has_interval(held):
            side = (
                better if held["low"] > _CHANCE else worse if held["high"] < _CHANCE else undecided
            )
            side.append(f"{one['name']} {with_interval(held, decimal)}")
    return [f"{side}: {listed(names)}." for side, names in sides.items() if names]


def _best_included(found: Found) -> list[Mapping[str, Any]]:
    """The included detector that is best in AUROC, alone in a list; nothing where none is."""
    included = [one for one in _best_first(found) if one["included"]]
    known = [one for one in included if _measure(one, "auroc")["estimate"] is not None]
    return known[:1]


def _beside_others(one: Mapping[str, Any]) -> str:
    """Its distance to the best included detector and to the ceiling, in AUROC."""
    against = one["against"]["auroc"]
    to_ceiling = _apart(against["to_ceiling"], "the ceiling")
    best = against["best_baseline"]
    if best is None or best == one["name"]:
        who = f"The best included detector is {one['name']}" if best else one["name"]
        return f"{who}, {to_ceiling}."
    closed = against["gap_closed"]
    share = (
        f"it closes {with_interval(closed, percent)} of the gap between the two"
        if closed["estimate"] is not None
        else f"what it closes of the gap between the two is not said, since {closed['reason']}"
    )
    to_best = _apart(against["to_best_baseline"], f"{best}, the best included detector")
    return f"{one['name']} is {to_best}, and {to_ceiling}; {share}."


def _apart(difference: Mapping[str, Any], other: str) -> str:
    """
    >>> _apart({"estimate": -0.2, "low": -0.3, "high": -0.1}, "bm25")
    '0.20 [0.10, 0.30] below bm25'
    """
    if difference["estimate"] is None or difference["low"] is None:
        return f"at an unknown distance from {other}"
    if difference["low"] > 0:
        return f"{with_interval(difference, decimal)} above {other}"
    if difference["high"] < 0:
        turned = {"estimate": -difference["estimate"], "low": -difference["high"],
                  "high": -difference["low"]}  # fmt: skip
        return f"{with_interval(turned, decimal)} below {other}"
    return f"not told from {other} (difference {with_interval(difference, decimal)})"


def _rows_named(found: Found) -> list[str]:
    """How often the first row that is blamed is one of the label's; the labels' own on fresh
    seeds, and blind drawing's chance."""
    tops = {one["name"]: _measure(one, "top_1") for one in _best_first(found)}
    known = [
        f"{name} {with_interval(top, percent)}"
        for name, top in tops.items()
        if top["estimate"] is not None
    ]
    blind = found["blind"]["top_1"]
    if not known or blind is None:
        return []
    top = _measure(found["ceiling"], "top_1")
    labels = f"the labels on fresh seeds reach {with_interval(top, percent)}, "
    return [
        f"The first row named is one of the cause in: {listed(known)}; "
        f"{labels if top['estimate'] is not None else ''}a row drawn blindly {percent(blind)}."
    ]


def _promised(one: Mapping[str, Any], found: Found) -> str:
    """Promised against found false discovery, world by world."""
    held = _measure(one, "false_discovery")
    promised = f"{one['name']} promises at most {percent(found['promised'])} false"
    if held["estimate"] is None:
        return f"{promised}, and {held['reason']}."
    by_world = [
        f"{percent(world['false_discovery'])} in world {world['world']}"
        for world in one["worlds"]
        if world["false_discovery"] is not None
    ]
    each = f" ({listed(by_world)})" if len(by_world) > 1 else ""
    power = with_interval(_measure(one, "power"), percent)
    return (
        f"{promised}; found are {with_interval(held, percent)}{each}, and it reports {power} of "
        "what rows caused."
    )


def _calibrated(one: Mapping[str, Any]) -> str:
    found = one["calibration"]
    ideal = found["expected_error_if_perfect"]
    verdict = (
        "more than perfect ones would have by chance"
        if found["expected_error"] > ideal["high"]
        else "no more than perfect ones have by chance"
    )
    return (
        f"{one['name']} gives probabilities: Brier score {with_interval(found['brier'], decimal)} "
        f"({decimal(found['brier_of_share'])} for always saying the share), calibration error "
        f"{decimal(found['expected_error'])}, {verdict} (up to {decimal(ideal['high'])})."
    )


def _picture(found: Found) -> dict[str, Any]:
    rows = []
    for one in _all(found):
        held = _measure(one, "auroc")
        rows.append({"label": _label(one, found), **{key: held[key] for key in _DRAWN}})
    line = {"at": _CHANCE, "label": "chance"}
    return {"kind": "intervals", "x_label": "AUROC", "rows": rows, "line": line}


def _table(found: Found) -> dict[str, Any]:
    """Every measure; a column in which nobody has a value is left out."""
    lines = {_label(one, found): _cells(one) for one in _all(found)}
    told = [name for name in _COLUMNS if any(cells[name] != NONE for cells in lines.values())]
    lines["blind chance"] = _blind(found)
    rows = [
        [name, *(cells.get(column, NONE) for column in told), cells.get("statements", NONE)]
        for name, cells in lines.items()
    ]
    return {"columns": ["detector", *told, "statements"], "rows": rows}


def _cells(one: Mapping[str, Any]) -> dict[str, str]:
    cells = {
        column: with_interval(_measure(one, measure), form)
        for column, (measure, form) in _MEASURES.items()
    }
    closed = None if one.get("included", True) else one["against"]["auroc"]["gap_closed"]
    calibration = one["calibration"]
    return cells | {
        _GAP: with_interval(closed, percent),
        _BRIER: with_interval(calibration.get("brier"), decimal),
        _ERROR: decimal(calibration.get("expected_error")),
        "statements": f"{one['n']:,}",
    }


def _blind(found: Found) -> dict[str, str]:
    caused, others = _count(found, "caused"), _count(found, "not caused")
    share = caused / (caused + others) if caused + others else None
    return {
        "AUROC": decimal(_CHANCE),
        "average precision": decimal(share),
        "precision": percent(share),
        _BRIER: NONE if share is None else decimal(share * (1 - share)),
        **{
            column: percent(found["blind"][measure])
            for column, (measure, _) in _MEASURES.items()
            if measure in found["blind"]
        },
    }


def _cautions(found: Found, absent: Mapping[str, str]) -> list[str]:
    said = []
    if (caused := _count(found, "caused")) < FEW:
        said.append(f"Only {caused} statements are caused by rows; fewer than {FEW} are too few.")
    if len(found["worlds"]) == 1:
        said.append(
            "One world: intervals draw its prompts, and say nothing of other worlds; precision, "
            "recall and calibration of scores need a second one."
        )
    else:
        said.append(_about_intervals(found))
    for one in found["detectors"]:
        if not one["n"]:
            said.append(f"{one['name']} is absent: {one['reason']}.")
        else:
            said += [
                f"{one['name']} leaves {plural(n, 'statement')} out: {reason}."
                for reason, n in one["unscored"].items()
            ]
    return said + [
        f"Not measured: {what}, {reason.rstrip('.')}." for what, reason in absent.items()
    ]


def _about_intervals(found: Found) -> str:
    """What several worlds' numbers are, and which worlds have none."""
    sided = [
        str(world["world"])
        for world in found["worlds"]
        if not all(world["counts"].get(label) for label in ("caused", "not caused"))
    ]
    left = (
        f"; world {listed(sided)} has statements of one label only and none of AUROC"
        if sided
        else ""
    )
    return (
        f"Numbers are means over {len(found['worlds'])} worlds and intervals t intervals over "
        "them; thresholds and calibration of scores come from the other worlds; the best included "
        f"detector is chosen on these statements, which favours it{left}."
    )


def _measure(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The measure's interval; empty with a reason where there is none."""
    nothing = {**dict.fromkeys(_DRAWN), "reason": one["reason"]}
    return one["measures"].get(name) or nothing


def _all(found: Found) -> list[Mapping[str, Any]]:
    return [*_best_first(found), found["ceiling"]]


def _best_first(found: Found) -> list[Mapping[str, Any]]:
    """Detectors by AUROC; those without one last."""

    def place(one: Mapping[str, Any]) -> float:
        value = _measure(one, "auroc")["estimate"]
        return 1.0 if value is None else -float(value)

    return sorted(found["detectors"], key=place)


def _label(one: Mapping[str, Any], found: Found) -> str:
    name = str(one["name"])
    return f"{name} (ceiling)" if one is found["ceiling"] else name


def _count(found: Found, label: str) -> int:
    return sum(world["counts"].get(label, 0) for world in found["worlds"])
