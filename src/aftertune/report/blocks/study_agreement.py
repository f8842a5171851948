"""A study on the page: how far its ratings can be believed (pure)."""

import math
from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

RELIABLE, TENTATIVE = 0.8, 0.667  # Krippendorff's rule ("Content Analysis", 2004, chapter 11)
_DRAWN = ("estimate", "low", "high", "reason")
_COEFFICIENTS = {
    "percent": "agreeing pairs",
    "fleiss": "Fleiss' kappa",
    "nominal": "alpha, nominal",
    "ordinal": "alpha, ordinal",
    "interval": "alpha, interval",
    "ac1": "Gwet's AC1",
}

Found = Mapping[str, Any]
Block = dict[str, Any]


def block(about: Found) -> Block | None:
    """What `control-study` found of the people, as a second block; None for ratings in a file."""
    found = about["found"]
    if found["kind"] == "file":
        return None
    sentences = [
        *_between(_ordered(about)), *_spans(found), *_itself(found),
        *_order(found), *_time(found), *_judge(about), *_tracer(about),
    ]  # fmt: skip
    return _block(about, "How far can these ratings be believed?", sentences)


def of_file(about: Found) -> Block:
    """The only block of ratings that came from a file."""
    counts = about["found"]["counts"]
    start = (
        f"{numbers.plural(counts['ratings'], 'rating')} of "
        f"{numbers.plural(counts['items'], 'item')} by {numbers.plural(counts['people'], 'rater')}."
    )
    sentences = [start, *_between(_ordered(about))]
    return _block(about, "How far do the raters agree?", sentences)


def _block(about: Found, question: str, sentences: list[str]) -> Block:
    agreement = _ordered(about)
    return {
        "control": "study",
        "model": numbers.listed(list(about["names"])),
        "question": question,
        "sentences": sentences,
        "picture": _picture(agreement),
        "table": _table(agreement),
        "cautions": [
            "Every coefficient is 1 where raters always agree and 0 where they agree as chance "
            "would; they differ in what chance is. Intervals are over items, for these raters."
        ],
    }


def best_scale(one: Found) -> str:
    """The alpha that a rating's values allow: ordinal where they have an order worth the name."""
    ordinal, nominal = one["ordinal"]["estimate"], one["nominal"]["estimate"]
    if ordinal is None or nominal is None or abs(ordinal - nominal) < 1e-9:  # two values have none
        return "nominal"
    return "ordinal"


def _ordered(about: Found) -> dict[str, Any]:
    """Agreement by aspect, in the order in which people were asked."""
    return dict(_by_aspect(about["found"], about["found"]["agreement"]))


def _by_aspect(found: Found, values: Found) -> list[tuple[str, Found]]:
    return [(name, values[name]) for name in found["aspects"] if name in values]


def _between(agreement: Found) -> list[str]:
    if not any(one["n_rated_twice"] for one in agreement.values()):
        return ["How far people agree is not known: no item has two ratings yet."]
    return [_agree(aspect, one) for aspect, one in agreement.items()]


def _agree(aspect: str, one: Found) -> str:
    scale = best_scale(one)
    alpha = one[scale]
    start = (
        f"On {aspect}, {numbers.with_interval(one['percent'], numbers.percent)} of pairs of raters "
        f"agree over {numbers.plural(one['n_rated_twice'], 'item')}"
    )
    if alpha["estimate"] is None:
        return f"{start}; beyond chance is not known, {alpha['reason']}."
    size = f"Krippendorff's alpha ({scale}) is {numbers.with_interval(alpha, numbers.decimal)}"
    return f"{start}; {size}: {_worth(alpha)}."


def _worth(alpha: Found) -> str:
    low, high = alpha["low"], alpha["high"]
    if low is None:
        return "undecided"
    if high < 0:
        return "less than chance would have it"
    if low <= 0:
        return "no better than chance as far as can be seen"
    if low >= RELIABLE:
        return f"reliable (at least {RELIABLE})"
    if high < TENTATIVE:
        return f"below {TENTATIVE}, where conclusions begin to hold"
    if low >= TENTATIVE:
        return f"at least {TENTATIVE}, enough for tentative conclusions"
    return f"whether it reaches {TENTATIVE} is undecided"


def _spans(found: Found) -> list[str]:
    said = []
    if one := found["spans"]:
        f1, apart = one["f1"], one["difference"]
        if f1["estimate"] is None:
            said.append(f"How far marks agree is not known: {f1['reason']}.")
        else:
            chance = numbers.with_interval(one["chance"], numbers.decimal)
            beyond = (
                "beyond chance"
                if apart["low"] is not None and apart["low"] > 0
                else "whether beyond chance is undecided"
            )
            said.append(
                "Two people's marks share a token F1 of "
                f"{numbers.with_interval(f1, numbers.decimal)}; as many tokens placed at random "
                f"{chance}: {beyond}."
            )
    if one := found["same_cause"]:
        kind = one["kind"]["percent"]
        if kind["estimate"] is not None:
            said.append(
                "Where two people marked one place, "
                f"{numbers.with_interval(kind, numbers.percent)} of pairs say alike whether a row "
                f"is the cause ({numbers.plural(one['kind']['n_rated_twice'], 'place')})."
            )
        row = one["row"]["percent"]
        if row["estimate"] is not None:
            said.append(
                f"Where both name a row, it is the same one in "
                f"{numbers.with_interval(row, numbers.percent)} of pairs."
            )
    return said


def _itself(found: Found) -> list[str]:
    itself = found["itself"]
    if not itself:
        return ["Whether people would say the same again is not known: no repeat is rated yet."]
    said = [
        f"Asked again on {aspect}, people said the same in "
        f"{numbers.with_interval(one['percent'], numbers.percent)} of "
        f"{numbers.plural(one['n_rated_twice'], 'repeat')}."
        for aspect, one in _by_aspect(found, itself)
    ]
    f1 = itself.get("spans", {}).get("f1")
    if f1 and f1["estimate"] is not None:
        size = numbers.with_interval(f1, numbers.decimal)
        said.append(f"Marks of one person, first and again, share a token F1 of {size}.")
    return said


def _order(found: Found) -> list[str]:
    said = []
    for aspect, one in _by_aspect(found, found["order"] or {}):
        size = numbers.with_interval(one, numbers.percent)
        if one["low"] is None or one["low"] <= 0.5 <= one["high"]:
            verdict = "a taste for what stands first is undecided"
        else:
            verdict = f"people prefer what stands {'first' if one['estimate'] > 0.5 else 'second'}"
        said.append(f"On {aspect}, {verdict}: {size} for the first (50% without an effect).")
    return said


def _time(found: Found) -> list[str]:
    one = found["seconds"]["item"]
    if one["estimate"] is None:
        return []
    size = numbers.with_interval(one, lambda value: f"{value:.0f}")
    hours = found["seconds"]["total_hours"]
    total = f"{hours:.1f} hours" if hours >= 1 else numbers.plural(math.ceil(60 * hours), "minute")
    return [f"An item took a median of {size} seconds, all ratings {total}."]


def _judge(about: Found) -> list[str]:
    found = about["found"]["judge"]
    if found is None:
        return []
    if not found:
        return ["The judge scored none of these items on an aspect that people rated."]
    return [_beside(f"The judge {about['judge']} on {a}", one) for a, one in found.items()]


def _tracer(about: Found) -> list[str]:
    found = about["found"]["tracer"]
    if found is None:
        return []
    said = [_beside("Tracing on the row that is the cause", found["rows"])]
    f1 = found["spans"]["f1"]
    if f1["estimate"] is not None:
        chance = numbers.with_interval(found["spans"]["chance"], numbers.decimal)
        said.append(
            f"What tracing marks and what at least half of the people mark share a token F1 of "
            f"{numbers.with_interval(f1, numbers.decimal)}, at random {chance}."
        )
    said.append("People who saw what tracing proposed agree with it more than others would.")
    return said


def _beside(what: str, one: Found) -> str:
    judge, apart = one["judge"], one["difference"]
    if judge["estimate"] is None:
        return f"{what}: not known, {judge['reason']}."
    size = numbers.with_interval(judge, numbers.percent)
    people = numbers.with_interval(one["people"], numbers.percent)
    start = f"{what} says what a person says in {size} of cases"
    if apart["estimate"] is None:
        return f"{start}; how often another person would is not known, {apart['reason']}."
    if apart["low"] is None or apart["low"] <= 0 <= apart["high"]:
        verdict = "which of them agrees better is undecided"
    else:
        verdict = f"{'more' if apart['estimate'] > 0 else 'less'} often than another person"
    return f"{start}, another person in {people}: {verdict}."


def _picture(agreement: Found) -> Block | None:
    rows = [
        {"label": f"{aspect}: {label}", **{key: one[name][key] for key in _DRAWN}}
        for aspect, one in agreement.items()
        for name, label in _COEFFICIENTS.items()
        if one[name]["estimate"] is not None
    ]
    if not rows:
        return None
    line = {"at": 0.0, "label": "chance"}
    return {"kind": "intervals", "x_label": "agreement", "rows": rows, "line": line}


def _table(agreement: Found) -> Block:
    columns = ["aspect", "items rated twice", *_COEFFICIENTS.values(),
               "Cohen's kappa of every two"]  # fmt: skip
    rows = []
    for aspect, one in agreement.items():
        cells = [
            numbers.with_interval(one[name], numbers.percent if name == "percent" else _three)
            for name in _COEFFICIENTS
        ]
        cohen = "; ".join(numbers.with_interval(pair, _three) for pair in one["cohen"])
        rows.append([aspect, f"{one['n_rated_twice']:,}", *cells, cohen or numbers.NONE])
    return {"columns": columns, "rows": rows}


def _three(value: float | None) -> str:
    return numbers.NONE if value is None else f"{value:.3f}"
