"""Tunings beside each other: how much the answers of each borrow from its rows, and by how much
they differ (pure).

Two traces can be subtracted where the models were tuned from one base on the same rows, with the
same ones held out, were traced alike, and answered the same prompts (`comparable.py`). A difference
is one of two means over the prompts that both answered; what they share (an easy prompt, a row that
lies near many) cancels, and what they do not is in the interval (`stats/two_way.py`): which rows of
a topic were held out is luck that all answers on that topic share.

Of answers whose best span was not borrowed, held-out rows win a share h, that of their clusters; of
those whose best span was borrowed they win none. So with

    x = 1 where a row tuned on wins an answer's best span, -(1 - h) / h where a held-out row does,
        0 where no span leads to a row

the mean of x over all answers is the share whose best span was borrowed, chance taken off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from aftertune.errors import InputError
from aftertune.stats import two_way
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import Interval, absent
from aftertune.trace import checked_spans, controls
from aftertune.trace.checked_spans import Checked
from aftertune.trace.comparable import Side, unlike, why_not
from aftertune.trace.pool import HELD_OUT
from aftertune.trace.winners import best_of_answers, contest, spans_of

WINS, BORROWED, FOUND = "best span won", "best span borrowed", "answers with a span found"
CAUSED, MOST = "caused by rows", "caused by rows at most"
NO_HELD_OUT = "no row was held out before tuning, so nothing says what chance would give"

Record = Mapping[str, Any]
Values = list[tuple[str, str, float]]  # prompt_id, cluster of the row, x


@dataclass(frozen=True)
class _Measured:
    """A trace with its proofs by way, and the values of every measure."""

    side: Side
    proved: Mapping[str, Checked]
    values: Mapping[str, Values]

    @property
    def method(self) -> str | None:
        return (self.side.tuning or {}).get("method")


def beside(sides: Sequence[Side], seed: int = 0) -> dict[str, Any]:
    """{models, pairs} as JSON values: what was found of each model, and each two models' difference
    or the reason why there is none.

    Of two models of which one was tuned with all parameters and the other was not, full is `first`.
    Raises InputError for fewer than two traces, or one that is given twice.
    """
    if len(sides) < 2:
        raise InputError("one trace has nothing beside it; give two or more trace-… artefacts.")
    ids = [one.trace_id for one in sides]
    if twice := [one for one in ids if ids.count(one) > 1]:
        raise InputError(f"{twice[0]} is given twice; give each trace once.")
    measured = [_measured(side) for side in sides]
    pairs = []
    for a, b in combinations(range(len(sides)), 2):
        turned = measured[b].method == "full" and measured[a].method != "full"
        first, second = (b, a) if turned else (a, b)
        found = _pair(measured[first], measured[second])
        pairs.append({"first": first, "second": second, **found})
    return {"models": [_model(one, seed) for one in measured], "pairs": pairs}


def _measured(side: Side) -> _Measured:
    proved = checked_spans.of_way(side.proofs, side.borrowings)
    return _Measured(side, proved, _of_answers(side) | _of_checked(side, proved))


def _model(one: _Measured, seed: int) -> dict[str, Any]:
    """What is shown of one model, without any other."""
    side = one.side
    found = side.about["found"]
    held = found["held_out"]
    tuning = side.tuning or {}
    return {
        "name": side.about["name"],
        "trace": side.trace_id,
        "method": tuning.get("method"),
        "learning_rate": tuning.get("learning_rate"),
        "n_responses": found["n_responses"],
        "n_with_span": found["n_with_span"],
        "n_spans": found["n_spans"],
        "wins": held and held["wins"],
        "borrowed": held and _borrowed(held["wins"], found["n_responses"]).as_json(),
        "found": held and {
            "q": held["q"], "n": held["n_found"], "share": held["found"],
            "n_rows": held["n_rows_found"], "lowest_q": held["lowest_q"],
            "answers": _answers_found(side, seed).as_json(),
        },
        "reason": None if held else NO_HELD_OUT,
        "proofs": [checked.as_json(seed) for checked in one.proved.values()],
    }  # fmt: skip


def _borrowed(wins: Record, n_responses: int) -> Interval:
    """Share of all answers whose best span was borrowed, chance taken off, from the share that rows
    tuned on win of those that have a span; how many have one is taken as given."""
    share, chance = wins["share"], wins["chance"]
    if share["estimate"] is None or not n_responses:
        return absent(share["reason"] or "there are no answers")

    def put(value: float | None) -> float | None:
        scale = wins["n"] / n_responses / (1 - chance)
        return None if value is None else (value - chance) * scale

    low, high = put(share["low"]), put(share["high"])
    known = {name: share[name] for name in ("n", "level", "method", "reason")}
    return Interval(put(share["estimate"]), low, high, **known)


def _answers_found(side: Side, seed: int) -> Interval:
    """Share of all answers that hold a span found at q."""
    found = _found(side)
    ids = [one["response_id"] for one in side.responses]
    return controls.over_responses([one in found for one in ids], ids, seed)


def _found(side: Side) -> set[str]:
    """Responses with a span at or below q; spans that a held-out row won have no q."""
    return {
        one["response_id"] for one in side.borrowings
        if one["q_value"] is not None and one["q_value"] <= side.config["q"]
    }  # fmt: skip


def _of_answers(side: Side) -> dict[str, Values]:
    """measure -> its values, of all answers; nothing without held-out rows."""
    held = side.about["found"]["held_out"]
    if held is None:
        return {}
    best = best_of_answers(contest(spans_of(side.borrowings), HELD_OUT))
    found = _found(side)
    share = held["share_held_out"]
    made: dict[str, Values] = {name: [] for name in (WINS, BORROWED, FOUND)}
    for one in side.responses:
        name, prompt = one["response_id"], one["prompt_id"]
        won = best.get(name)
        cluster = won["cluster_id"] if won else f"no span: {prompt}"
        taken = won is not None and won["control"] is None
        if won:
            made[WINS].append((prompt, cluster, float(taken)))
        x = 0.0 if won is None else 1.0 if taken else -(1 - share) / share
        made[BORROWED].append((prompt, cluster, x))
        made[FOUND].append((prompt, cluster, float(name in found)))
    return made


def _of_checked(side: Side, proved: Mapping[str, Checked]) -> dict[str, Values]:
    """`measure, way of proof` -> its values, of the spans that were checked."""
    prompt = {one["response_id"]: one["prompt_id"] for one in side.responses}
    return {
        f"{name}, {way}": [
            (prompt[response_id], cluster, float(value))
            for response_id, cluster, value in zip(
                checked.responses, checked.clusters, values, strict=True
            )
        ]
        for way, checked in proved.items()
        for name, values in ((CAUSED, checked.caused), (MOST, checked.most))
    }


def _pair(first: _Measured, second: _Measured) -> dict[str, Any]:
    """{reason, n_prompts, only (prompts of one alone), unlike (settings), differences,
    not_compared (proof, why)}."""
    asked = [{one["prompt_id"] for one in of.side.responses} for of in (first, second)]
    common = asked[0] & asked[1]
    found: dict[str, Any] = {
        "reason": why_not(first.side, second.side, len(common)),
        "n_prompts": len(common),
        "only": [len(one) - len(common) for one in asked],
        "unlike": unlike(first.side, second.side),
        "differences": [],
        "not_compared": [],
    }
    if found["reason"]:
        return found
    apart = {
        way: why
        for way in (*first.proved, *second.proved)
        if (why := checked_spans.why_not(first.proved, second.proved, way))
    }
    for name in (one for one in first.values if one in second.values):
        measure, _, way = name.partition(", ")
        if way in apart:
            continue
        end = _end(first.side, second.side) if measure == BORROWED else 1.0
        a, b = ([x for x in of.values[name] if x[0] in common] for of in (first, second))
        one = two_way.difference(a, b, end)
        known = one.method == two_way.METHOD
        found["differences"].append({
            "measure": measure, "way": way or None, "difference": one.as_json(),
            "smallest_detectable": detectable_of(one) if known else None,
        })  # fmt: skip
    return {**found, "not_compared": [list(one) for one in apart.items()]}


def _end(*sides: Side) -> float:
    """The largest difference that there can be between x of one answer and another."""
    return max(1.0 / float(one.about["found"]["held_out"]["share_held_out"]) for one in sides)
