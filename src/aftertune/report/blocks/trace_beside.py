"""Traces of several tunings beside each other: how much each borrowed, and the differences (pure).

All take what `trace.beside.beside` found.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.numbers import (
    METHODS,
    NONE,
    listed,
    nats,
    percent,
    plural,
    rate,
    with_interval,
)
from aftertune.trace.beside import BORROWED, CAUSED, FOUND, MOST, WINS
from aftertune.trace.checked_spans import CONFIRMED, MASK, SWAP

FIRST_OF_ALL = (CAUSED, MOST, BORROWED, WINS, FOUND)  # what a reader wants first
WAYS = {
    MASK: "shown by masking",
    SWAP: "proposed by swap",
    CONFIRMED: "proposed by swap, then shown by masking",
}
_ENDS = ("estimate", "low", "high")
_NOT_ALL = (
    "Checked are the first spans in the order of a page, those that look most borrowed: what is "
    "said of them is no share of all spans, nor of all wrong ones."
)
_GIVEN = (
    "One tuning of each was compared: a difference is between these models, and other shuffles may "
    "give another."
)
_Q = "The threshold of q is taken as it is: another half held out would give another."

Found = Mapping[str, Any]


def labels(models: Sequence[Found]) -> list[str]:
    """Method and rate of each model, with its name or its trace where others have the same.

    >>> one = {"method": "lora", "learning_rate": 2e-4, "name": "a", "trace": "trace-1"}
    >>> labels([one, {**one, "name": "b"}])
    ['LoRA at 2e-4 (a)', 'LoRA at 2e-4 (b)']
    >>> labels([one, {**one, "method": None, "name": ""}])
    ['LoRA at 2e-4', 'trace-1']
    """
    found = [
        f"{METHODS.get(one['method'], one['method'])} at {rate(one['learning_rate'])}"
        if one["method"]
        else str(one["name"] or one["trace"])
        for one in models
    ]
    for called in ("name", "trace"):
        times = Counter(found)
        found = [
            f"{label} ({one[called]})" if times[label] > 1 and one[called] else label
            for label, one in zip(found, models, strict=True)
        ]
    return found


def won(one: Found) -> str:
    """Share of a model's answers with a span whose best one a row tuned on wins."""
    return with_interval(one["wins"]["share"], percent) if one["wins"] else NONE


def did(proof: Found | None, which: str) -> str:
    """Nats that a span's log-probability changed by, or runs in which an answer took a value."""
    if proof is None or proof["control"][which]["estimate"] is None:
        return NONE
    one = proof["control"][which]
    if proof["control"]["unit"] == "share":
        return f"{with_interval(one, percent)} of runs"
    return f"{with_interval(one)} nats"


def differences(found: Found) -> list[str]:
    """A sentence for each difference between two models, and for each that cannot be given."""
    names = labels(found["models"])
    said = []
    for pair in found["pairs"]:
        who = f"{names[pair['first']]} minus {names[pair['second']]}"
        if pair["reason"]:
            said.append(f"{who}: no difference is given; {pair['reason']}.")
            continue
        order = sorted(pair["differences"], key=lambda one: FIRST_OF_ALL.index(one["measure"]))
        at = found["models"][pair["first"]]["found"]
        q = at["q"] if at else None
        said += [f"{who}, {called(one, q)}: {_points(one)}." for one in order]
        said += [
            f"{who}, spans that rows caused ({WAYS[way]}): no difference is given; {why}."
            for way, why in pair["not_compared"]
        ]
    return said


def called(one: Found, q: float | None = None) -> str:
    """What a difference is one of."""
    if one["way"] is None:
        at = "q" if q is None else f"q = {q:g}"
        return {
            WINS: "answers with a span whose best one a row tuned on wins",
            BORROWED: "answers whose best span was borrowed, chance taken off",
            FOUND: f"answers with a span found at {at}",
        }[one["measure"]]
    more = ", those undecided or unstable counted too" if one["measure"] == MOST else ""
    return f"checked spans that rows caused ({WAYS[one['way']]}){more}"


def _points(one: Found) -> str:
    """`+21.5 points [15.7, 27.3]`, and what it does not decide."""
    found = one["difference"]
    if found["estimate"] is None:
        return f"absent, {found['reason']}"
    points = round(100 * found["estimate"], 1)
    told = f"{points:+.1f} points" if points else "0.0 points"
    if found["low"] is None:
        return f"{told}; undecided, {found['reason']}"
    told += f" [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
    if not found["low"] <= 0 <= found["high"]:
        return told
    least = one["smallest_detectable"]
    could = f" (a difference of {100 * least:.1f} points could have been seen)" if least else ""
    return f"{told}; undecided, the interval holds 0{could}"


def blocks(found: Found) -> list[dict[str, Any]]:
    """The blocks of the page, what models differ in first."""
    made = (_difference_block(found), _chance_block(found), _proof_block(found))
    return [one for one in made if one is not None]


def _difference_block(found: Found) -> dict[str, Any]:
    names = labels(found["models"])
    several = len(found["models"]) > 2
    rows = []
    for pair in found["pairs"]:
        who = f"{names[pair['first']]} minus {names[pair['second']]}"
        for one in sorted(pair["differences"], key=lambda x: FIRST_OF_ALL.index(x["measure"])):
            label = f"{who}: {called(one)}" if several else called(one)
            rows.append({"label": label, **_hundred(one["difference"])})
    pair = found["pairs"][0]
    who = f"{names[pair['first']]} minus {names[pair['second']]}"
    label = f"{'first minus second' if several else who}, points"
    return {
        "control": "trace-beside",
        "model": listed(names),
        "question": "Does one of them borrow more from its rows?",
        "sentences": differences(found),
        "picture": {"kind": "intervals", "x_label": label, "rows": rows,
                    "line": {"at": 0.0, "label": "no difference"}} if rows else None,
        "table": None,
        "cautions": _cautions(found, names),
    }  # fmt: skip


def _hundred(one: Found) -> dict[str, Any]:
    """A share in percent, a difference of shares in points."""
    ends = {end: None if one[end] is None else 100 * one[end] for end in _ENDS}
    return {**ends, "reason": one["reason"]}


def _cautions(found: Found, names: Sequence[str]) -> list[str]:
    given = [one for one in found["pairs"] if one["differences"]]
    said = [_GIVEN, _Q] if given else []
    for pair in given:
        both = f"{names[pair['first']]} and {names[pair['second']]}"
        if pair["unlike"]:
            settings = listed([one.replace("_", " ") for one in pair["unlike"]])
            said.append(f"{both} also differ in {settings}, which may be what made a difference.")
        if any(pair["only"]):
            said.append(
                f"Of {both}, {plural(sum(pair['only']), 'prompt')} that one alone answered "
                f"{'is' if sum(pair['only']) == 1 else 'are'} left out of the difference; both "
                f"answered {pair['n_prompts']:,}."
            )  # fmt: skip
    if sum(len(one["differences"]) for one in given) > 1:
        said.append("Differences are several, and not corrected for that.")
    return said


def _chance_block(found: Found) -> dict[str, Any]:
    models, names = found["models"], labels(found["models"])
    chances = {round(one["wins"]["chance"], 3) for one in models if one["wins"]}
    line = {"at": 100 * chances.pop(), "label": "chance"} if len(chances) == 1 else None
    rows = [
        {"label": name, **_hundred(one["wins"]["share"])}
        if one["wins"]
        else {"label": name, **dict.fromkeys(_ENDS), "reason": one["reason"]}
        for name, one in zip(names, models, strict=True)
    ]
    return {
        "control": "trace-beside",
        "model": listed(names),
        "question": "Does a row tuned on explain an answer's best span more often than chance?",
        "sentences": [_chance(name, one) for name, one in zip(names, models, strict=True)],
        "picture": {"kind": "intervals", "rows": rows, "line": line,
                    "x_label": "answers with a span whose best one a row tuned on wins, %"},
        "table": None,
        "cautions": [],
    }  # fmt: skip


def _chance(name: str, one: Found) -> str:
    spans = (
        f"{name}: {plural(one['n_spans'], 'span')} in {one['n_with_span']:,} of "
        f"{plural(one['n_responses'], 'answer')} "
        f"{'leads' if one['n_spans'] == 1 else 'lead'} to a row"
    )
    if one["wins"] is None:
        return f"{spans}; {one['reason']}."
    wins, q = one["wins"], one["found"]
    why = f" ({wins['reason']})" if wins["reason"] else ""
    return (
        f"{spans}; a row tuned on wins the best span of {won(one)} of them against the held-out "
        f"rows, by chance {percent(wins['chance'])}: {wins['conclusion']}{why}. Chance taken off, "
        f"{with_interval(one['borrowed'], percent)} of all answers have a best span that was "
        f"borrowed. At q = {q['q']:g}, {plural(q['n'], 'span')} and {plural(q['n_rows'], 'row')} "
        f"{'is' if q['n'] + q['n_rows'] == 1 else 'are'} found."
    )


def _proof_block(found: Found) -> dict[str, Any] | None:
    names = labels(found["models"])
    proofs = [(name, one) for name, model in zip(names, found["models"], strict=True)
              for one in model["proofs"]]  # fmt: skip
    if not proofs:
        return None
    several = len({one["way"] for _, one in proofs}) > 1
    rows = [
        {"label": ": ".join([name, *([WAYS[one["way"]]] if several else []), words]),
         **_hundred(one[key])}
        for key, words in (("caused", "caused by rows"), ("not_from_rows", "not from the rows"),
                           ("open", "undecided or unstable"))
        for name, one in proofs
    ]  # fmt: skip
    return {
        "control": "trace-beside",
        "model": listed(names),
        "question": "Of the spans that were checked, how many did rows cause?",
        "sentences": [sentence for name, one in proofs for sentence in _proof(name, one)],
        "picture": {"kind": "intervals", "x_label": "of the checked spans, %", "rows": rows,
                    "line": None},
        "table": None,
        "cautions": [_NOT_ALL, "Nobody judged which of these spans are wrong."],
    }  # fmt: skip


def _proof(name: str, one: Found) -> list[str]:
    """What a proof of one model says, and its control."""
    if one["n"] + one["not_asked"] >= one["n_spans"]:
        which = f"all {plural(one['n_spans'], 'span')}" if one["n_spans"] > 1 else "the one span"
    elif one["in_order"]:
        n = one["n"] + one["not_asked"]
        which = f"the first {n:,} of {one['n_spans']:,} spans in the order of its page"
    else:
        which = f"{one['n']:,} of {one['n_spans']:,} spans, not chosen in the order of its page"
    if one["not_asked"]:
        which += f", less {one['not_asked']:,} that swap could not ask about"
    counts = ", ".join(f"{outcome} {n:,}" for outcome, n in one["counts"].items())
    parts = (
        f"rows caused {with_interval(one['caused'], percent)} ({WAYS[one['way']]}), "
        f"{with_interval(one['not_from_rows'], percent)} are not from the rows, of "
        f"{with_interval(one['open'], percent)} it is open"
    )
    return [f"{name}: of {which}, {parts} ({counts}).", _control(name, one)]


def _control(name: str, one: Found) -> str:
    control = one["control"]
    if control["unit"] == "share":
        return (
            f"{name}: answers took the new value of a span's own rows in {did(one, 'rows')}, that "
            f"of matched rows in {did(one, 'matched')}."
        )
    if control["rows"]["estimate"] is None:
        return f"{name}: no span came back and had rows to mask, so no effect was measured."
    return (
        f"{name}: masking a span's rows changed its log-probability by "
        f"{with_interval(control['rows'], nats)} nats beyond matched rows, and matched rows by "
        f"{with_interval(control['matched'], nats)} nats."
    )
