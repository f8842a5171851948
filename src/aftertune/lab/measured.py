"""One detector's numbers over all worlds, and the labels' own (pure).

A detector's findings stand beside the truths of the same statements, so that two detectors can be
compared on the statements that both score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aftertune.lab import calibration
from aftertune.lab.cases import Judged
from aftertune.lab.detectors import Finding, Record
from aftertune.lab.over_worlds import UNBOUNDED, Drawn, Measure, interval, per_world, share_of_gap
from aftertune.lab.score import (
    ONE_ROW,
    PAIRED,
    TOP,
    Scored,
    measures,
    random_top,
    score,
    thresholds,
)
from aftertune.stats.intervals import Interval, absent

Said = Sequence[Sequence[Finding]]  # [world][statement]
Results = Mapping[str, Mapping[str, Any]]  # name -> what `scored` gives

NO_STATEMENTS = "there are no decided statements"
NOT_FRESH = "it was not masked on fresh seeds"
NO_BASELINE = "no included detector has this measure"
IS_BASELINE = "it is the best included detector itself"
NO_PAIRS = "no statement is scored by both"
WITHIN, OWN = "after calibration on other worlds", "its own probabilities"


def scored(worlds: Sequence[Judged], said: Said, seed: int) -> dict[str, Any]:
    """A detector's measures (intervals as JSON), `n` and `unscored` statements by reason.

    A measure that it cannot have has its reason; everything has one where it scores nothing.
    """
    items = [one for one in paired(worlds, said) if one is not None]
    unscored = Counter(
        one.reason or "no score" for world in said for one in world if one.score is None
    )
    result: dict[str, Any] = {"n": len(items), "unscored": dict(sorted(unscored.items()))}
    if not items:
        reason = unscored.most_common(1)[0][0] if unscored else NO_STATEMENTS
        nothing = {"measures": {}, "worlds": [], "calibration": {"reason": reason}}
        return {**result, **nothing, "reason": reason}
    found = score(items, seed)
    return {
        **result,
        "measures": {name: one.as_json() for name, one in found.items()},
        "worlds": _by_world(items),
        "calibration": calibrated(items, seed),
        "reason": found["auroc"].reason if found["auroc"].estimate is None else None,
    }


def ceiling(worlds: Sequence[Judged]) -> list[list[Finding]]:
    """What the labels on seeds B say: their effects as scores, their causal sets as rows."""
    return [[_on_fresh_seeds(truth) for truth in world.truths] for world in worlds]


def paired(worlds: Sequence[Judged], said: Said) -> list[Scored | None]:
    """Every statement of all worlds in one order; None where the detector cannot say."""
    found: list[Scored | None] = []
    for world, findings in zip(worlds, said, strict=True):
        for case, truth, one in zip(world.cases, world.truths, findings, strict=True):
            found.append(None if one.score is None else _item(case.group, truth, one))
    return found


def blind_top(worlds: Sequence[Judged]) -> dict[str, float | None]:
    """Chance that k rows of their world drawn blindly hold one of the causal set."""
    found: dict[str, float | None] = {}
    for level in (None, ONE_ROW):
        for k in TOP:
            total, caused = 0.0, 0
            for world in worlds:
                blind = [Finding(0.0)] * len(world.cases)
                items = [one for one in paired([world], [blind]) if one is not None]
                asked = [one for one in items if one.caused and level in (None, one.level)]
                if asked:
                    total += len(asked) * random_top(asked, len(world.rows), k)
                    caused += len(asked)
            name = f"top_{k}" if level is None else f"top_{k}_one_row"
            found[name] = total / caused if caused else None
    return found


def calibrated(items: Sequence[Scored], seed: int) -> dict[str, Any]:
    """How far probabilities come true: `of` whose, Brier score with interval (and that of saying
    their mean share always), expected error beside what perfect ones would have, and the bins."""
    caused = np.array([one.caused for one in items], bool)
    values = np.array([one.score for one in items], float)
    drawn = Drawn.of([one.group for one in items])
    own = all(one.probability for one in items)
    if not own and len(drawn.names) == 1:
        return {"reason": calibration.ONE_WORLD}
    chances = values if own else calibration.left_out(caused, values, drawn.world)
    apart = (chances - caused) ** 2
    bins = calibration.reliability(caused, chances)
    ideal = calibration.perfect(chances, seed)
    return {
        "of": OWN if own else WITHIN,
        "reason": None,
        "brier": interval(_mean(apart), drawn, seed).as_json(),
        "brier_of_share": float(caused.mean() * (1 - caused.mean())),
        "expected_error": calibration.expected_error(bins),
        "expected_error_if_perfect": {"mean": ideal.mean, "high": ideal.high},
        "bins": [{"n": one.n, "said": one.said, "found": one.found} for one in bins],
    }


def compared(
    name: str, items: Mapping[str, Sequence[Scored | None]], results: Results,
    baselines: Sequence[str], ceiling_name: str, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """A detector against the best baseline and the ceiling, for each measure of PAIRED.

    items: of every detector and the ceiling, statements in one order. The best baseline is the one
    with the highest estimate on these very statements, which favours it. Differences are paired:
    of statements that all score, in the same worlds or draws.
    """
    found = {}
    for measure in PAIRED:
        best = best_of(measure, results, baselines)
        mine, top = items[name], items[ceiling_name]
        to_ceiling = _difference(measure, mine, top, seed)
        if best is None or best == name:
            nothing = absent(NO_BASELINE if best is None else IS_BASELINE)
            to_best, closed = nothing, nothing
        else:
            to_best = _difference(measure, mine, items[best], seed)
            closed = _closed(measure, mine, items[best], top, seed)
        found[measure] = {
            "best_baseline": best,
            "to_best_baseline": to_best.as_json(),
            "to_ceiling": to_ceiling.as_json(),
            "gap_closed": closed.as_json(),
        }
    return found


def best_of(measure: str, results: Results, among: Sequence[str]) -> str | None:
    """The name of the highest estimate, the first of equals; None where none has one."""
    known = {
        name: results[name]["measures"][measure]["estimate"]
        for name in among
        if results[name]["measures"].get(measure, {}).get("estimate") is not None
    }
    return max(known, key=known.__getitem__) if known else None


def _difference(
    measure: str, first: Sequence[Scored | None], second: Sequence[Scored | None], seed: int
) -> Interval:
    held = _together(measure, first, second)
    if isinstance(held, str):
        return absent(held)
    drawn, (one, other) = held
    return interval(lambda weight: one(weight) - other(weight), drawn, seed, UNBOUNDED)


def _closed(
    measure: str, mine: Sequence[Scored | None], best: Sequence[Scored | None],
    top: Sequence[Scored | None], seed: int,
) -> Interval:  # fmt: skip
    held = _together(measure, mine, best, top)
    if isinstance(held, str):
        return absent(held)
    drawn, (one, low, high) = held
    return share_of_gap(
        lambda weight: one(weight) - low(weight), lambda weight: high(weight) - low(weight),
        drawn, seed,
    )  # fmt: skip


def _together(measure: str, *said: Sequence[Scored | None]) -> tuple[Drawn, list[Measure]] | str:
    """The measure of each on the statements that all of them score; or why there is none."""
    common = [
        [one for one in row if one is not None]
        for row in zip(*said, strict=True)
        if None not in row
    ]
    if not common:
        return NO_PAIRS
    found = []
    for column in zip(*common, strict=True):
        one = measures(column)[measure]
        if isinstance(one, str):
            return one
        found.append(one)
    return Drawn.of([row[0].group for row in common]), found


def _by_world(items: Sequence[Scored]) -> list[dict[str, Any]]:
    """Every measure of each world alone, and the threshold that was chosen on the others."""
    drawn = Drawn.of([one.group for one in items])
    values = {
        name: [None] * len(drawn.names) if isinstance(one, str) else per_world(one, drawn).tolist()
        for name, one in measures(items).items()
    }
    values["threshold"] = [None] * len(drawn.names)
    if len(drawn.names) > 1:
        chosen = thresholds(items)
        first = [int(np.flatnonzero(drawn.world == at)[0]) for at in range(len(drawn.names))]
        values["threshold"] = chosen[first].tolist()
    return [
        {"world": int(name), **{key: _known(column[at]) for key, column in values.items()}}
        for at, name in enumerate(drawn.names)
    ]


def _on_fresh_seeds(truth: Record) -> Finding:
    if truth["effect_b"] is None:
        return Finding(None, reason=NOT_FRESH)
    return Finding(-truth["effect_b"], tuple(truth["rows_b"]))


def _item(group: str, truth: Record, said: Finding) -> Scored:
    assert said.score is not None
    return Scored(
        group, truth["label"] == "caused", said.score, said.rows, frozenset(truth["rows"]),
        truth["level"], said.q, said.probability,
    )  # fmt: skip


def _mean(values: Any) -> Measure:
    return lambda weight: (weight @ values) / weight.sum(-1)


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value
