"""The judge on the page: how far it can be believed (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

POOR = 0.4  # agreement below which a rating says little of a single answer
_DRAWN = ("estimate", "low", "high", "reason")

Found = Mapping[str, Any]
Block = dict[str, Any]


def block(about: Found) -> Block:
    """What `control-judge` found of the judge itself, as a second block."""
    found, name = about["found"], about["judge"]["name"]
    return {
        "control": "judge",
        "model": numbers.listed(list(about["names"])),
        "question": f"How far can the judge {name} be believed?",
        "sentences": [
            *_repeated(about), *_ordered(found), *_long(found), *_with_people(found),
            *_corrections(found),
        ],
        "picture": _corrected_picture(found),
        "table": _belief_table(found),
        "cautions": _belief_cautions(found),
    }  # fmt: skip


def _repeated(about: Found) -> list[str]:
    found = about["found"]
    if not found["repeats"]:
        return [
            "Whether it would say the same again is not known: every question was asked once, or "
            "has one score; --repeats 2 tells."
        ]
    said = []
    for aspect, one in found["repeats"].items():
        same = numbers.with_interval(one["same"], numbers.percent)
        agreement = one["agreement"]
        said.append(
            f"Asked again on {aspect}, it gave the same score in {same} of "
            f"{numbers.plural(one['n_pairs'], 'pair')} of repeats; agreement with itself is "
            f"{_agreement(agreement)}."
        )
    if about["judge"]["kind"] != "recorded" and about["settings"]["temperature"] == 0:
        said.append("It was asked without sampling, where the same score again proves little.")
    return said


def _agreement(one: Found) -> str:
    """An agreement with its word: 1 is perfect, 0 is chance."""
    if one["estimate"] is None:
        return f"not known, {one['reason']}"
    size = numbers.with_interval(one, numbers.decimal)
    if one["low"] is None:
        return size
    if one["low"] <= 0 <= one["high"]:
        return f"{size}, no better than chance as far as can be seen"
    return f"{size}, poor" if one["high"] < POOR else size


def _ordered(found: Found) -> list[str]:
    said = []
    for aspect, one in found["order"].items():
        first = one["first_preferred"]
        size = numbers.with_interval(first, numbers.percent)
        consistent = numbers.with_interval(one["consistent"], numbers.percent)
        if first["low"] is None or first["low"] <= 0.5 <= first["high"]:
            verdict = "a taste for what stands first is undecided"
        else:
            where = "first" if first["estimate"] > 0.5 else "second"
            verdict = f"it prefers what stands {where}"
        said.append(
            f"Of pairs in both orders, on {aspect}, {verdict}: {size} of verdicts for the first "
            f"(50% without a bias), and the same verdict in both orders for {consistent}."
        )
    return said


def _long(found: Found) -> list[str]:
    said = []
    for aspect, one in found["length"].items():
        slope, beyond = one["judge"]["slope"], one["beyond_people"]
        if slope["estimate"] is None:
            continue
        where = "within prompts" if one["judge"]["within"] else "over prompts"
        text = (
            f"On {aspect} a doubling of an answer's words goes with "
            f"{numbers.with_interval(slope, numbers.decimal)} points ({where})"
        )
        if beyond is None or beyond["slope"]["estimate"] is None:
            said.append(f"{text}; whether longer answers deserve it only people's ratings tell.")
            continue
        more = beyond["slope"]
        caught = more["low"] is not None and not more["low"] <= 0 <= more["high"]
        verdict = (
            "the judge rewards length itself"
            if caught and more["estimate"] > 0
            else (
                "the judge punishes length itself" if caught else "a bias for length is undecided"
            )
        )
        size = numbers.with_interval(more, numbers.decimal)
        said.append(f"{text}, {size} more than people give for it: {verdict}.")
    return said


def _with_people(found: Found) -> list[str]:
    if not found["people"]:
        return [
            "How people would score these answers is not known; --for-people 100 draws answers "
            "for them, --people FILE takes their ratings."
        ]
    return [
        f"On {aspect} its agreement with a person is {_agreement(one['judge'])} over "
        f"{numbers.plural(one['n_ratings'], 'rating')}; of two people with each other it is "
        f"{_agreement(one['between_people'])}."
        for aspect, one in found["people"].items()
    ]


def _corrections(found: Found) -> list[str]:
    said = []
    for aspect, models in found["corrected"].items():
        for model, one in models.items():
            start = f"On {aspect} of {model}"
            if one["corrected"]["estimate"] is None:
                said.append(f"{start}: not corrected, {one['corrected']['reason']}.")
                continue
            bias = one["bias"]
            size = numbers.with_interval(bias, numbers.decimal)
            if bias["low"] is None or bias["low"] <= 0 <= bias["high"]:
                verdict = f"whether the judge is biased is undecided ({size} points)"
            else:
                way = "generous" if bias["estimate"] > 0 else "strict"
                verdict = f"the judge is too {way} by {size} points"
            said.append(
                f"{start} {verdict}; corrected by {numbers.plural(one['n_rated'], 'rated answer')} "
                f"the mean is {numbers.with_interval(one['corrected'], numbers.decimal)}, to the "
                f"judge {numbers.with_interval(found['means'][aspect][model], numbers.decimal)}."
            )
    return said


def _corrected_picture(found: Found) -> Block | None:
    rows = []
    for aspect, models in found["corrected"].items():
        for model, one in models.items():
            mean = found["means"][aspect][model]
            for label, values in (("judge", mean), ("corrected", one["corrected"])):
                shown = {key: values[key] for key in _DRAWN}
                rows.append({"label": f"{aspect}: {model}, {label}", **shown})
    if not rows:
        return None
    x_label = "mean score, 1 to 5, by the judge and corrected by people's ratings"
    return {"kind": "intervals", "x_label": x_label, "rows": rows, "line": None}


def _belief_table(found: Found) -> Block:
    columns = [
        "aspect", "agreement with itself", "same score again", "for the first of a pair",
        "points per doubling of words", "agreement with people", "between people",
    ]  # fmt: skip
    rows = []
    for aspect in found["aspects"]:
        repeats, order = found["repeats"].get(aspect), found["order"].get(aspect)
        length, people = found["length"].get(aspect), found["people"].get(aspect)
        cells = [
            (repeats["agreement"], numbers.decimal) if repeats else None,
            (repeats["same"], numbers.percent) if repeats else None,
            (order["first_preferred"], numbers.percent) if order else None,
            (length["judge"]["slope"], numbers.decimal) if length else None,
            (people["judge"], numbers.decimal) if people else None,
            (people["between_people"], numbers.decimal) if people else None,
        ]
        rows.append([aspect, *(numbers.with_interval(*c) if c else numbers.NONE for c in cells)])
    return {"columns": columns, "rows": rows}


def _belief_cautions(found: Found) -> list[str]:
    said = [
        "Agreement is 1 where two ratings are equal and 0 where one says nothing of the other "
        "(concordance, which is kappa with quadratic weights)."
    ]
    if found["corrected"]:
        said.append(
            "Corrected means hold where the rated answers were drawn at random, as --for-people "
            "draws them."
        )
    if not found["order"]:
        said.append("Order bias is not known: no pair was judged in both orders.")
    return said
