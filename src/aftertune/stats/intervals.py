"""Intervals by bootstrap over groups (pure numpy).

A group is what was drawn independently: a response, never its tokens, which hang together. Two
kinds of mean are wanted: per token (sum over groups of sums / sum of counts) and per response
(mean of the groups' own means). Both are ratios of sums over groups, so one routine serves.

The intervals are expanded percentile intervals (Hesterberg, "What Teachers Should Know About the
Bootstrap", 2015): percentiles of the resampled means, at levels moved outwards so that for few
groups the width is that of a t interval with the standard error of n - 1. Of nominal 95%
intervals for the mean of 8 normal values, 94% hold it, of plain percentiles 89%.

Fewer than two groups have no interval: it is absent with its reason, and never of width 0.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95
METHOD = "expanded percentile bootstrap over prompts"
_CELLS = 2**22  # resampling weights held at once


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; what is absent is None, and `reason` says why.

    n: groups that contribute. level: nominal coverage.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    level: float = LEVEL
    method: str = METHOD
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def bootstrap_mean(
    sums: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Interval of sum(sums) / sum(counts), resampling groups.

    sums [n]: a group's sum; counts [n]: how many values it sums, groups with 0 do not contribute.
    Without counts, `sums` are one value per group and the estimate is their plain mean.
    """
    values = np.asarray(sums, np.float64)
    weights = None if counts is None else np.asarray(counts, np.float64)[:, None]
    return bootstrap_means(values[:, None], weights, seed, draws, level)[0]


def bootstrap_means(
    sums: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> list[Interval]:
    """`bootstrap_mean` of each column: sums [n, C] and counts [n, C], one set of resamples."""
    top = np.asarray(sums, np.float64)
    bottom = np.ones_like(top) if counts is None else np.asarray(counts, np.float64)
    if top.shape != bottom.shape or top.ndim != 2:
        raise ValueError(f"sums {top.shape} and counts {bottom.shape} must both be [n, C]")
    with np.errstate(invalid="ignore", divide="ignore"):
        estimates = top.sum(0) / bottom.sum(0)
        drawn = np.concatenate(
            [(w @ top) / (w @ bottom) for w in resamples(len(top), seed, draws)]
            or [np.empty((0, top.shape[1]))]
        )
    contributing = (bottom > 0).sum(0)
    return [
        interval_of(float(estimates[c]), drawn[:, c], int(contributing[c]), level)
        for c in range(top.shape[1])
    ]


def paired_difference(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    first_counts: npt.ArrayLike | None = None,
    second_counts: npt.ArrayLike | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Interval of mean(first) - mean(second) where place i of both is the same group.

    Groups are resampled together, so what they share (an easy prompt) cancels. With counts, both
    are sums and the difference is that of two ratios, as in `bootstrap_mean`. A group that lacks
    a value in either (NaN, or count 0) is left out of both.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    a_n = np.ones_like(a) if first_counts is None else np.asarray(first_counts, np.float64)
    b_n = np.ones_like(b) if second_counts is None else np.asarray(second_counts, np.float64)
    if not a.shape == b.shape == a_n.shape == b_n.shape or a.ndim != 1:
        raise ValueError("paired groups must be one-dimensional and of one length")
    both = ~np.isnan(a) & ~np.isnan(b) & (a_n > 0) & (b_n > 0)
    a, b, a_n, b_n = a[both], b[both], a_n[both], b_n[both]
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = a.sum() / a_n.sum() - b.sum() / b_n.sum()
        drawn = np.concatenate(
            [(w @ a) / (w @ a_n) - (w @ b) / (w @ b_n) for w in resamples(len(a), seed, draws)]
            or [np.empty(0)]
        )
    return interval_of(float(estimate), drawn, len(a), level)


def absent(reason: str, n: int = 0) -> Interval:
    """An interval that cannot be given at all."""
    return Interval(None, None, None, n, reason=reason)


def resamples(n: int, seed: int, draws: int) -> Iterator[Array]:
    """How often each of n groups is drawn: blocks [D, n], D summing to `draws`."""
    if n < 2:
        return
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // n)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = generator.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def interval_of(estimate: float, drawn: Array, n: int, level: float) -> Interval:
    """The interval of an estimate over n groups, from its values in the resamples `drawn` [D]."""
    if n == 0:
        return Interval(None, None, None, 0, level, reason="no values")
    if not np.isfinite(estimate):
        return Interval(None, None, None, n, level, reason="a value is not finite")
    if n == 1:
        return Interval(estimate, None, None, 1, level, reason="one prompt has no interval")
    usable = drawn[np.isfinite(drawn)]  # a resample may hold no group that contributes
    tail = _expanded_tail((1 - level) / 2, n)
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), n, level)


def _expanded_tail(tail: float, n: int) -> float:
    """The normal tail at which the percentile lies for the t tail wanted with n groups."""
    t = special.stdtrit(n - 1, tail)
    return float(special.ndtr(t * np.sqrt(n / (n - 1))))
