"""How good is a detector, measured against labels and against their own ceiling (pure numpy).

A detector gives every labelled statement a score (higher: more likely to be caused by rows), the
rows that it blames, best first, and, if it promises error rates, a q-value. Statements whose label
is undecided are left out and counted. Intervals draw worlds where there are several, else prompts.

    auroc               chance that a caused statement scores above one that is not; ties a half
    average_precision   mean over the caused statements of the precision at their score
    top_k               share of caused statements with a row of the causal set among the first k
    false_discovery     share of not caused statements among those with q <= promised

The ceiling is the labels' own: their effects on fresh seeds, scored like a detector.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from aftertune.stats.intervals import (
    DRAWS,
    LEVEL,
    Interval,
    absent,
    interval_of,
    resamples,
)

Array = npt.NDArray[np.float64]

TOP = (1, 5)
PROMISED = 0.1
NO_CAUSED, NO_OTHERS = "no statement is caused by rows", "every statement is caused by rows"


@dataclass(frozen=True)
class Scored:
    """One labelled statement and what a detector says of it.

    group: world and prompt, what is drawn again. blamed: rows, best first. causal: rows of the
    label. q: promised error rate at which it would be reported; None where nothing is promised.
    """

    group: str
    caused: bool
    score: float
    blamed: tuple[int, ...] = ()
    causal: frozenset[int] = field(default_factory=frozenset)
    q: float | None = None


def auroc(caused: npt.NDArray[np.bool_], score: Array, weight: Array | None = None) -> float:
    """Area under the ROC curve; NaN where one side is empty. weight: how often each counts."""
    w = np.ones(len(score)) if weight is None else weight
    order = np.argsort(score, kind="stable")
    s, c, w = score[order], caused[order], w[order]
    _, start = np.unique(s, return_index=True)
    positive = np.add.reduceat(w * c, start) if len(s) else np.zeros(0)
    negative = np.add.reduceat(w * ~c, start) if len(s) else np.zeros(0)
    below = np.concatenate([[0.0], np.cumsum(negative)[:-1]]) if len(s) else np.zeros(0)
    pairs = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs else float("nan")


def average_precision(
    caused: npt.NDArray[np.bool_], score: Array, weight: Array | None = None
) -> float:
    """Area under precision against recall in steps; equal scores enter together. NaN: no caused."""
    w = np.ones(len(score)) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    s, c, w = score[order], caused[order], w[order]
    if not (w * c).sum():
        return float("nan")
    last = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)
    hits, taken = np.cumsum(w * c)[last], np.cumsum(w)[last]
    gained = np.diff(hits, prepend=0.0)
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    return float((gained * precision).sum() / hits[-1])


def score(items: Sequence[Scored], seed: int = 0) -> dict[str, Interval]:
    """Every measure with its interval."""
    caused = np.array([one.caused for one in items], bool)
    values = np.array([one.score for one in items], float)
    codes = _codes([one.group for one in items])
    reason = NO_CAUSED if not caused.any() else NO_OTHERS if caused.all() else None
    if reason:
        return {name: absent(reason, len(items)) for name in ("auroc", "average_precision")}
    found = {
        "auroc": _interval(lambda w: auroc(caused, values, w), codes, seed),
        "average_precision": _interval(lambda w: average_precision(caused, values, w), codes, seed),
        "chance_of_caused": _interval(lambda w: _ratio(w * caused, w), codes, seed),
    }
    for k in TOP:
        found[f"top_{k}"] = _interval(_hits(items, caused, k), codes, seed)
    found |= _promised(items, caused, codes, seed)
    return found


def random_top(items: Sequence[Scored], n_rows: int, k: int) -> float:
    """Chance that k rows drawn blindly hold one of the causal set, mean over caused statements."""
    chances = []
    for one in items:
        if one.caused:
            misses = 1.0
            for drawn in range(k):
                misses *= max(0.0, (n_rows - drawn - len(one.causal)) / (n_rows - drawn))
            chances.append(1 - misses)
    return float(np.mean(chances)) if chances else float("nan")


def ranks(values: Sequence[float]) -> list[float]:
    """Places from 0 to 1 of values of any scale, ties at their mean: scores that can be pooled."""
    return [] if not len(values) else list((rankdata(values) - 0.5) / len(values))


def _promised(
    items: Sequence[Scored], caused: npt.NDArray[np.bool_], codes: npt.NDArray[np.int64], seed: int
) -> dict[str, Interval]:
    """What a detector that gives q-values promises at PROMISED, and what is found."""
    if any(one.q is None for one in items):
        reason = "the detector promises no error rate"
        return dict.fromkeys(("false_discovery", "power"), absent(reason))
    taken = np.array([one.q is not None and one.q <= PROMISED for one in items], bool)
    return {
        "false_discovery": _interval(lambda w: _ratio(w * taken * ~caused, w * taken), codes, seed),
        "power": _interval(lambda w: _ratio(w * taken * caused, w * caused), codes, seed),
    }


def _hits(
    items: Sequence[Scored], caused: npt.NDArray[np.bool_], k: int
) -> Callable[[Array], float]:
    """Share of caused statements with a row of their causal set among the first k blamed."""
    hit = np.array([bool(set(one.blamed[:k]) & one.causal) for one in items], bool)
    return lambda weight: _ratio(weight * caused * hit, weight * caused)


def _interval(
    measure: Callable[[Array], float], codes: npt.NDArray[np.int64], seed: int
) -> Interval:
    n = int(codes.max()) + 1
    estimate = measure(np.ones(len(codes)))
    drawn = [measure(row[codes]) for block in resamples(n, seed, DRAWS) for row in block]
    return interval_of(estimate, np.array(drawn), n, LEVEL)


def _codes(groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """Numbers of the worlds where there are several, else of the whole groups."""
    worlds = [group.split("/")[0] for group in groups]
    names = worlds if len(set(worlds)) > 1 else list(groups)
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], np.int64)


def _ratio(top: Array, bottom: Array) -> float:
    return float(top.sum() / bottom.sum()) if bottom.sum() else float("nan")
