"""Behaviour before and after tuning, by written rules and without a judge, on the page (pure)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from aftertune.report import numbers

ARROWS = {"more": "▲ more", "less": "▼ less", "undecided": "– undecided"}
COLUMNS = ["what", "after tuning", "before → after", "difference", "before alone", "after alone"]
RULES = {
    "refusal": "Refusals are told by English phrases at the beginning of an answer: nearly all "
    "that it finds are refusals, and refusals in other words or languages are missed.",
    "wrong_language": "The language is told only where prompt and answer are long enough and "
    "surely in one language.",
    "verbatim": "Common phrases make verbatim runs by chance; what the base's answers share with "
    "rows it never saw is that chance.",
    "hit_limit": "How often the length limit is hit depends on the limit, so both models need the "
    "same one.",
}

FEW = 3  # checks that a sentence names
MOST_DRAWN = 12  # rows of the picture, what changed most first
ENOUGH = 30  # prompts of a row of the picture: intervals of few would dwarf all others
LISTED = ("refusal_harmless", "refusal_deserved", "invalid_json")  # of few prompts by design

Found = Mapping[str, Any]
Block = dict[str, Any]
Form = Callable[[float | None], str]


def block(about: Found) -> Block:
    """What `control-behaviour` found, as a block of the page; no text of answers."""
    found = about["found"]
    tuned = [name for name in found["models"] if name != found["base"]]
    several = len(tuned) > 1
    return {
        "control": "behaviour",
        "model": numbers.listed(tuned) or found["base"],
        "question": "How do the answers behave, before and after tuning?",
        "sentences": [
            *(_compared(found, name) for name in tuned), *_only(found, tuned),
            *_in_no_answer(found), *_lengths(about),
        ],
        "picture": _picture(found, several),
        "table": _table(found, several),
        "cautions": _cautions(found),
    }  # fmt: skip


def form_of(check: Found) -> Form:
    """How a check's numbers are written."""
    return numbers.percent if check["percent"] else _length


def changed(one: Found) -> str:
    """`repetition loop (2.0% → 6.5%, +4.5% [1.0, 8.0])`."""
    form = form_of(one)
    return (
        f"{one['label']} ({form(one['base']['estimate'])} → {form(one['tuned']['estimate'])}, "
        f"{difference(one)})"
    )


def difference(one: Found) -> str:
    """The difference with its sign and interval, or why there is none."""
    gap = one["difference"]
    if gap["estimate"] is None:
        return str(gap["reason"])
    sign = "+" if gap["estimate"] > 0 else ""
    return f"{sign}{numbers.with_interval(gap, form_of(one))}"


def _length(value: float | None) -> str:
    return numbers.NONE if value is None else f"{value:,.1f}"


def _compared(found: Found, tuned: str) -> str:
    """One sentence for a tuned model: what it does more often, less often, undecided."""
    its = [one for one in shown(found) if one["model"] == tuned]
    parts = []
    for way, words in (("more", "more"), ("less", "less")):
        if said := [changed(one) for one in its if one["conclusion"] == way]:
            parts.append(f"{words}: {numbers.listed(said)}")
    if open_ := [one["label"] for one in its if one["conclusion"] == "undecided"]:
        few = numbers.listed(open_) if len(open_) <= FEW else f"the other {len(open_)} checks"
        parts.append(f"undecided: {few}")
    n = max((one["n"] for one in found["checks"] if one["model"] == tuned), default=0)
    start = f"{tuned} beside {found['base']}, paired over {numbers.plural(n, 'prompt')}"
    return f"{start}. {_capital('; '.join(parts))}." if parts else f"{start}: nothing to compare."


def shown(found: Found) -> list[Found]:
    """The comparisons but for those that no model's answer shows; `refusal` only where a list of
    prompts does not say it all.
    """
    left_out = set(_seen_in_none(found))
    listed = {one["n"] for one in found["checks"] if one["check"].startswith("refusal_")}
    left_out |= {
        one["check"] for one in found["checks"] if one["check"] == "refusal" and one["n"] in listed
    }
    return [one for one in found["checks"] if one["check"] not in left_out]


def _seen_in_none(found: Found) -> dict[str, int]:
    """Checks that were looked for in every model and flag no answer -> prompts looked at, least."""
    kinds = {one["check"]: one for one in found["checks"] if one["kind"] == "share"}
    counts = {
        name: [its[name] for its in found["alone"].values() if its[name]["estimate"] is not None]
        for name in kinds
    }
    return {
        name: min(one["n"] for one in its)
        for name, its in counts.items()
        if its and all(one["estimate"] == 0 for one in its)
    }


def _in_no_answer(found: Found) -> list[str]:
    none = _seen_in_none(found)
    if not none:
        return []
    labels = found["labels"]
    said = [f"{labels[name]} ({numbers.plural(n, 'prompt')})" for name, n in none.items()]
    return [f"In no answer of any model: {numbers.listed(said)}."]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _only(found: Found, tuned: list[str]) -> list[str]:
    if tuned:
        return []
    return [f"Only the answers of {found['base']} were given, so there is nothing to compare; "
            "--responses NAME=ANSWERS once more adds a model."]  # fmt: skip


def _lengths(about: Found) -> list[str]:
    """The paper's table 11: how long the rows' answers are, and those of each model."""
    said = []
    for unit in ("words", "tokens"):
        means = {}
        if about["rows"] and unit in about["rows"]:
            means["the rows"] = about["rows"][unit]
        alone = about["found"]["alone"]
        means |= {name: alone[name][unit] for name in about["names"] if unit in alone[name]}
        told = [f"{name} {numbers.with_interval(one, _length)}" for name, one in means.items()
                 if one["estimate"] is not None]  # fmt: skip
        if told:
            said.append(f"Mean length of an answer in {unit}: {numbers.listed(told)}.")
    return said


def _picture(found: Found, several: bool) -> Block | None:
    """Differences of shares, in percentage points; lengths are in other units, and checks of few
    prompts have wide intervals, so they stand in the table alone.
    """
    rows = [
        {
            "label": f"{one['label']}: {one['model']}" if several else one["label"],
            **{key: _points(one["difference"][key]) for key in ("estimate", "low", "high")},
            "reason": None,
        }
        for one in shown(found)
        if one["percent"] and one["n"] >= ENOUGH
    ][:MOST_DRAWN]
    if not rows:
        return None
    label = "percentage points of answers, tuned minus base, paired by prompt"
    return {"kind": "intervals", "x_label": label, "rows": rows,
            "line": {"at": 0, "label": "no change"}}  # fmt: skip


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _table(found: Found, several: bool) -> Block | None:
    if not shown(found):
        return None
    rows = []
    for one in shown(found):
        form, coin = form_of(one), one["mcnemar"]
        rows.append(
            [
                f"{one['label']}: {one['model']}" if several else one["label"],
                verdict(one),
                f"{form(one['base']['estimate'])} → {form(one['tuned']['estimate'])}",
                difference(one),
                numbers.NONE if coin is None else f"{coin['only_base']:,}",
                numbers.NONE if coin is None else f"{coin['only_tuned']:,}",
            ]
        )
    return {"columns": COLUMNS, "rows": rows}


def verdict(one: Found) -> str:
    """The arrow, whether that is good, and what an undecided comparison could have seen."""
    said = ARROWS[one["conclusion"]]
    if one["conclusion"] == "undecided":
        least = one["smallest_detectable"]
        return f"{said}; could have seen {form_of(one)(least)}" if least else said
    if one["better"]:
        said += ", better" if one["better"] == one["conclusion"] else ", worse"
    return said


def _cautions(found: Found) -> list[str]:
    said = []
    n = len(found["checks"])
    if n:
        said.append(
            f"{numbers.plural(n, 'comparison')}: at 95% up to about {math.ceil(n * 0.05)} may "
            "look changed by chance alone. Decided is what has an interval without 0 and, counted "
            "by prompt, an exact McNemar p below 0.05."
        )
    if unknown := _unknown(found):
        said.append(f"Of these prompts it cannot be said in one model: {'; '.join(unknown)}.")
    labels = found["labels"]
    if found["absent"]:
        named = [f"{labels[name]} ({why})" for name, why in found["absent"].items()]
        said.append(f"Not looked at: {'; '.join(named)}.")
    known = {one["check"] for one in found["checks"]}
    return said + [rule for name, rule in RULES.items() if name in known]


def _unknown(found: Found) -> list[str]:
    """Check by check, in how many prompts nothing can be said of a model's answers."""
    counts: dict[str, dict[str, int]] = {}
    for one in found["checks"]:
        if one["check"] not in LISTED:
            missing = {name: count for name, count in one["n_unknown"].items() if count}
            counts.setdefault(one["label"], {}).update(missing)
    return [
        f"{label} ({', '.join(f'{count:,} of {name}' for name, count in its.items())})"
        for label, its in counts.items()
        if its
    ]
