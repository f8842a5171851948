"""How good is a detector, measured against labels and against their own ceiling (pure numpy).

A detector gives every labelled statement a score (higher: more likely to be caused by rows), the
rows that it blames, best first, and, if it promises error rates, a q-value. Statements whose label
is undecided are left out and counted.

    auroc               chance that a caused statement scores above one that is not; ties a half
    average_precision   mean over the caused statements of the precision at their score
    precision, recall   of "score >= threshold", the threshold having been chosen on other worlds
    top_k               share of caused statements with a row of the causal set among the first k
    top_k_one_row       the same where one row alone is the causal set
    false_discovery     share of not caused statements among those with q <= promised
    power               share of the caused statements among them

What their intervals are over stands in `lab.over_worlds`. The ceiling is the labels' own: their
effects and rows on fresh seeds, scored like a detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aftertune.lab.over_worlds import Array, Drawn, Flags, Measure, interval
from aftertune.lab.threshold import ONE_WORLD, left_out
from aftertune.stats.intervals import Interval, absent

TOP = (1, 5)
ONE_ROW = "one row"  # the level of labels whose causal set is a single row
PROMISED = 0.1
PAIRED = ("auroc", "average_precision", *(f"top_{k}" for k in TOP))  # compared between detectors
TOPS = tuple(f"top_{k}{of}" for of in ("", "_one_row") for k in TOP)
NO_CAUSED, NO_OTHERS = "no statement is caused by rows", "every statement is caused by rows"
NO_ROWS = "it names no rows"
NO_ONE_ROW = "no statement is caused by one row alone"
NO_PROMISE = "the detector promises no error rate"
NONE_REPORTED = "it reports no statement at the rate that it promises"
NONE_TAKEN = "no score reaches a threshold that was chosen on other worlds"


@dataclass(frozen=True)
class Scored:
    """One labelled statement and what a detector says of it.

    group: "world/prompt". blamed: rows, best first. causal: rows of the label. level: of the label,
    "one row" or "several rows". q: promised error rate at which it would be reported; None where
    nothing is promised. probability: the score is the chance that rows caused the statement.
    """

    group: str
    caused: bool
    score: float
    blamed: tuple[int, ...] = ()
    causal: frozenset[int] = field(default_factory=frozenset)
    level: str | None = None
    q: float | None = None
    probability: bool = False


def auroc(caused: Flags, score: Array, weight: Array | None = None) -> Array:
    """Area under the ROC curve; NaN where one side is empty.

    caused, score [N]; weight [..., N]: how often each counts, one value for each row of it.
    """
    w = np.ones(len(score)) if weight is None else weight
    if not len(score):
        return np.full(w.shape[:-1], np.nan)
    order = np.argsort(score, kind="stable")
    w, c = w[..., order], caused[order]
    start = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positive = np.add.reduceat(w * c, start, axis=-1)
    negative = np.add.reduceat(w * ~c, start, axis=-1)
    below = np.cumsum(negative, axis=-1) - negative
    pairs = positive.sum(-1) * negative.sum(-1)
    return ratio((positive * (below + negative / 2)).sum(-1), pairs)


def average_precision(caused: Flags, score: Array, weight: Array | None = None) -> Array:
    """Area under precision against recall in steps; equal scores enter together. NaN: no caused.

    Shapes as in `auroc`.
    """
    w = np.ones(len(score)) if weight is None else weight
    if not len(score):
        return np.full(w.shape[:-1], np.nan)
    order = np.argsort(-score, kind="stable")
    w, c, s = w[..., order], caused[order], score[order]
    last = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)
    hits = np.cumsum(w * c, axis=-1)[..., last]
    taken = np.cumsum(w, axis=-1)[..., last]
    gained = np.diff(hits, axis=-1, prepend=0.0)
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    return ratio((gained * precision).sum(-1), hits[..., -1])


def ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, NaN where nothing is divided by."""
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    found: Array = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
    return found


def share(of: Flags, among: Flags) -> Measure:
    """The share of statements `among` that are also `of`."""
    return lambda weight: ratio(weight @ (of & among), weight @ among)


def measures(items: Sequence[Scored]) -> dict[str, Measure | str]:
    """Every measure of these statements by name; where it cannot be had at all, the reason."""
    caused = np.array([one.caused for one in items], bool)
    values = np.array([one.score for one in items], float)
    everything = np.ones(len(items), bool)
    found: dict[str, Measure | str] = {
        "auroc": lambda weight: auroc(caused, values, weight),
        "average_precision": lambda weight: average_precision(caused, values, weight),
        "chance_of_caused": share(caused, everything),
    }
    return found | _at_threshold(items, caused, values) | _tops(items, caused) | _promised(items)


def score(items: Sequence[Scored], seed: int = 0) -> dict[str, Interval]:
    """Every measure with its interval; an absent one has its reason."""
    caused = {one.caused for one in items}
    reason = NO_CAUSED if True not in caused else NO_OTHERS if False not in caused else None
    if reason:
        return {name: absent(reason, len(items)) for name in ("auroc", "average_precision")}
    drawn = Drawn.of([one.group for one in items])
    return {
        name: absent(found) if isinstance(found, str) else interval(found, drawn, seed)
        for name, found in measures(items).items()
    }


def thresholds(items: Sequence[Scored]) -> Array:
    """Per statement the threshold that was chosen on the other worlds; NaN where there is none."""
    caused = np.array([one.caused for one in items], bool)
    values = np.array([one.score for one in items], float)
    return left_out(caused, values, Drawn.of([one.group for one in items]).world)


def random_top(items: Sequence[Scored], n_rows: int, k: int) -> float:
    """Chance that k rows drawn blindly hold one of the causal set, mean over caused statements."""
    chances = []
    for one in items:
        if one.caused:
            misses = 1.0
            for drawn in range(min(k, n_rows)):
                misses *= max(0.0, (n_rows - drawn - len(one.causal)) / (n_rows - drawn))
            chances.append(1 - misses)
    return float(np.mean(chances)) if chances else float("nan")


def _at_threshold(
    items: Sequence[Scored], caused: Flags, values: Array
) -> dict[str, Measure | str]:
    if len({one.group.split("/")[0] for one in items}) < 2:
        return dict.fromkeys(("precision", "recall"), ONE_WORLD)
    chosen = thresholds(items)
    taken, judged = values >= chosen, np.isfinite(chosen)
    precision = share(caused, taken) if taken.any() else NONE_TAKEN
    return {"precision": precision, "recall": share(taken, caused & judged)}


def _tops(items: Sequence[Scored], caused: Flags) -> dict[str, Measure | str]:
    """Share of caused statements with a row of their causal set among the first k blamed."""
    if not any(one.blamed for one in items):
        return dict.fromkeys(TOPS, NO_ROWS)
    alone = caused & np.array([one.level == ONE_ROW for one in items], bool)
    found: dict[str, Measure | str] = {}
    for k in TOP:
        hit = np.array([bool(set(one.blamed[:k]) & one.causal) for one in items], bool)
        found[f"top_{k}"] = share(hit, caused)
        found[f"top_{k}_one_row"] = share(hit, alone) if alone.any() else NO_ONE_ROW
    return found


def _promised(items: Sequence[Scored]) -> dict[str, Measure | str]:
    """What a detector that gives q-values promises at PROMISED, and what is found."""
    if any(one.q is None for one in items):
        return dict.fromkeys(("false_discovery", "power"), NO_PROMISE)
    caused = np.array([one.caused for one in items], bool)
    taken = np.array([one.q is not None and one.q <= PROMISED for one in items], bool)
    false = share(~caused, taken) if taken.any() else NONE_REPORTED
    return {"false_discovery": false, "power": share(taken, caused)}
