"""Crossed halves: what each cluster of rows adds to a span, by regression over many tunings (pure).

Every tuning learns from a random half of the clusters of near-duplicate rows, the next one from the
other half; so each cluster is in half of the tunings, and clusters are all but independent of each
other. Of one span, with y the log-probability in each tuning and x_j whether cluster j was in,

    y = a + sum_j b_j x_j + e                    what a cluster adds, the others as they fall
    y = a + sum_j s_j x_j + r any(x) + e         s_j: what it adds where another one is in already
    group = sum_j s_j + r                        all in against none in
    redundancy = r = group - sum_j s_j           above 0: each can stand in for the others

by ordinary least squares with t intervals. The null is not taken on trust: each cluster that was
not retrieved is regressed in the same way, and a cluster's p-value is the share of them that look
at least as strong.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions

from aftertune.stats.intervals import Interval, absent

FEWEST = 2  # tunings with all of the clusters, and with none, for the effect of the group
DISTINCT = 1e-9  # squared length of a column, below which others explain all of it
METHOD = "t interval of ordinary least squares over tunings"
ONE_CLUSTER = "one cluster has no group"
TOO_FEW = "too few halves hold all of the clusters, or none"
NO_FREEDOM = "too few tunings for so many clusters"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """Of one span: what each cluster adds, nats; its p-values; the group and its redundancy.

    p_values: None where there is no other cluster to compare with.
    """

    clusters: tuple[Interval, ...]
    p_values: tuple[float | None, ...]
    group: Interval
    redundancy: Interval
    n_null: int


def halves(sizes: Sequence[int], n: int, seed: int = 0) -> Bools:
    """[n, clusters]: whether a tuning holds a cluster; run 2i + 1 is the complement of run 2i.

    sizes: rows of each cluster. Clusters are taken in a random order as long as they do not lead
    past half of the rows. Raises ValueError for an odd n or fewer than two clusters.
    """
    if n % 2 or n < 2 or len(sizes) < 2:
        raise ValueError("halves need an even number of tunings and two clusters or more")
    found = np.zeros((n, len(sizes)), bool)
    for pair in range(n // 2):
        order = list(range(len(sizes)))
        random.Random(f"halves {seed} {pair}").shuffle(order)
        wanted, held = sum(sizes) / 2, 0
        for place in order:
            if abs(held + sizes[place] - wanted) <= abs(held - wanted):
                found[2 * pair, place] = True
                held += sizes[place]
        found[2 * pair + 1] = ~found[2 * pair]
    return found


def regress(y: npt.ArrayLike, held: Bools, retrieved: Sequence[int], level: float = 0.95) -> Found:
    """y [n]: log-probabilities of one span; held [n, clusters]; retrieved: columns of `held`.

    Raises ValueError where nothing is retrieved.
    """
    if not retrieved:
        raise ValueError("no cluster was retrieved")
    values = np.asarray(y, np.float64)
    x = held[:, list(retrieved)].astype(np.float64)
    fit = _fit(values, x)
    if fit is None:
        none = absent(NO_FREEDOM, len(values))
        return Found((none,) * x.shape[1], (None,) * x.shape[1], none, none, 0)
    clusters = tuple(_interval(fit, row, level) for row in np.eye(x.shape[1] + 1)[1:])
    null = _null(values, held, x, set(retrieved))
    strength = [fit.tail(row) for row in np.eye(x.shape[1] + 1)[1:]]
    p_values = tuple(
        float((1 + (null <= mine).sum()) / (1 + len(null))) if len(null) else None
        for mine in strength
    )
    return Found(clusters, p_values, *_group(values, x, level), len(null))


def added(y: npt.ArrayLike, held: Bools) -> Floats:
    """[k]: what each of these clusters adds to a span alone, nats: mean of y [n] with it minus mean
    without it. held [n, k]: each in some of the tunings and not in all."""
    values, inside = np.asarray(y, np.float64)[:, None], np.asarray(held, bool)
    with_it = (values * inside).sum(0) / inside.sum(0)
    without = (values * ~inside).sum(0) / (~inside).sum(0)
    return np.asarray(with_it - without)


def _group(values: Floats, x: Floats, level: float) -> tuple[Interval, Interval]:
    """Effect of the group and its redundancy."""
    n, k = x.shape
    if k == 1:
        return (absent(ONE_CLUSTER, n),) * 2
    any_in = x.any(1).astype(np.float64)
    if min(n - any_in.sum(), x.all(1).sum()) < FEWEST:
        return (absent(TOO_FEW, n),) * 2
    fit = _fit(values, np.column_stack([x, any_in]))
    if fit is None:
        return (absent(NO_FREEDOM, n),) * 2
    group, redundancy = np.r_[0.0, np.ones(k + 1)], np.r_[np.zeros(k + 1), 1.0]
    return _interval(fit, group, level), _interval(fit, redundancy, level)


def _null(values: Floats, held: Bools, x: Floats, retrieved: set[int]) -> Floats:
    """Per cluster that was not retrieved, how strong it looks beside those that were.

    All at once, from what the retrieved ones leave unexplained (Frisch and Waugh, 1933); a cluster
    that stands in the same halves as these do says nothing and is left out.
    """
    others = [column for column in range(held.shape[1]) if column not in retrieved]
    freedom = len(values) - x.shape[1] - 2
    if not others or freedom < 1:
        return np.zeros(0)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(values)), x]))
    rest = values - basis @ (basis.T @ values)
    columns = held[:, others].astype(np.float64)
    columns -= basis @ (basis.T @ columns)
    size = (columns**2).sum(0)
    columns, size = columns[:, size > DISTINCT], size[size > DISTINCT]
    slopes = (columns.T @ rest) / size
    unexplained = np.maximum((rest**2).sum() - slopes**2 * size, 0.0)
    with np.errstate(divide="ignore"):
        t = slopes / np.sqrt(unexplained / freedom / size)
    return np.asarray(distributions.t.sf(t, freedom), np.float64)


@dataclass(frozen=True)
class _Fit:
    """Coefficients [k + 1], the intercept first, and what their errors are made of."""

    coefficients: Floats
    inverse: Floats
    variance: float
    freedom: int

    def of(self, contrast: Floats) -> tuple[float, float]:
        """Estimate and standard error of contrast . coefficients."""
        spread = float(contrast @ self.inverse @ contrast) * self.variance
        return float(contrast @ self.coefficients), float(np.sqrt(max(0.0, spread)))

    def tail(self, contrast: Floats) -> float:
        """Probability of as large a t or larger where the effect is 0."""
        estimate, error = self.of(contrast)
        if error == 0:
            return 0.0 if estimate > 0 else 1.0
        return float(distributions.t.sf(estimate / error, self.freedom))


def _fit(values: Floats, x: Floats) -> _Fit | None:
    """None where there are too few tunings, or columns that cannot be told apart."""
    design = np.column_stack([np.ones(len(values)), x])
    freedom = len(values) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ values
    residuals = values - design @ coefficients
    return _Fit(coefficients, inverse, float(residuals @ residuals) / freedom, freedom)


def _interval(fit: _Fit, contrast: Floats, level: float) -> Interval:
    estimate, error = fit.of(contrast)
    n = fit.freedom + len(fit.coefficients)
    half = float(distributions.t.ppf((1 + level) / 2, fit.freedom)) * error
    return Interval(estimate, estimate - half, estimate + half, n, level, METHOD)
