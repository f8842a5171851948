"""What a made world's base recalls of its text, on the page (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report.numbers import NONE, count, percent, with_interval

_NAMES = {True: "asked for", False: "never asked for"}
_AS_TEXT = "as the text asks for them too"
_NEVER = "though the text never asks for them"


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `lab-base` measured, as a block of the page.

    about["curve"]: {exposures, asked, estimate, low, high, n} per number of statements of a fact in
    the text, and by whether the text also asks about its entity; shares answered right.
    """
    return {
        "control": "lab-base",
        "model": "",
        "question": "How much of its text does the base recall?",
        "sentences": _sentences(about),
        "picture": _picture(about["curve"]),
        "table": _table(about["curve"]),
        "cautions": _cautions(about),
    }


def _sentences(about: Mapping[str, Any]) -> list[str]:
    curve = about["curve"]
    if not curve:
        return ["Nothing was asked, so it is not known."]
    said = []
    for exposures in (max(one["exposures"] for one in curve), 0):
        stated = "never states" if exposures == 0 else f"states {exposures:,} times"
        for asked, how in ((False, _NEVER), (True, _AS_TEXT)):
            cell = _cell(curve, exposures, asked)
            if cell is not None and cell["estimate"] is not None:
                said.append(
                    f"Of facts that the text {stated}, {with_interval(cell, percent)} are "
                    f"answered right{', ' + how if exposures else ', by its rules or by chance'}."
                )
                break
    return said


def _picture(curve: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not curve:
        return None
    series = [
        {
            "name": name,
            "points": [
                {"x": one["exposures"], **{key: one[key] for key in ("estimate", "low", "high")}}
                for one in curve
                if one["asked"] == asked
            ],
        }
        for asked, name in _NAMES.items()
    ]
    return {
        "kind": "curve",
        "x_label": "times that the pre-training text states the fact",
        "y_label": "share answered right",
        "x_values": sorted({one["exposures"] for one in curve}),
        "log_x": True,
        "series": [one for one in series if one["points"]],
    }


def _table(curve: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not curve:
        return None
    rows = []
    for exposures in sorted({one["exposures"] for one in curve}):
        cells = [_cell(curve, exposures, asked) for asked in _NAMES]
        shares = [NONE if cell is None else with_interval(cell, percent) for cell in cells]
        asked = [NONE if cell is None else count(cell["n"]) for cell in cells]
        rows.append([f"{exposures:,}", *(one for pair in zip(shares, asked, strict=True)
                                         for one in pair)])  # fmt: skip
    columns = ["stated, times"]
    for name in _NAMES.values():
        columns += [f"{name}: right", "questions"]
    return {"columns": columns, "rows": rows}


def _cautions(about: Mapping[str, Any]) -> list[str]:
    if about["accepted"]:
        return []
    return [
        "This base recalls too little of what its text states often: nothing that is learnt from "
        "tuning it can be told from its own gaps."
    ]


def _cell(curve: list[Mapping[str, Any]], exposures: int, asked: bool) -> Mapping[str, Any] | None:
    found = [one for one in curve if (one["exposures"], one["asked"]) == (exposures, asked)]
    return found[0] if found else None
