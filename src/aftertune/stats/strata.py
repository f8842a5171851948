"""Two groups of values compared where a third quantity is alike (pure numpy).

The first tokens of a sentence are uncertain for any model, so that they shift more says little by
itself. Compared are therefore values of both sides whose covariate lies in the same stratum. The
strata are quantile bins of the covariate among the *first* side; values of the rest beyond its
range have no counterpart and are left out. Each stratum counts as often as it holds values of the
first side: the rest is reweighted to look like the first, never the other way round.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.stats.intervals import (
    DRAWS,
    LEVEL,
    Interval,
    absent,
    interval_of,
    resamples,
)

Array = npt.NDArray[np.float64]

STRATA = 20
PER_STRATUM = 5  # values of the first side that a stratum should hold

NO_VALUES = "no values"
NO_FIRST, NO_REST = "no values of the first side", "no values of the rest"
NO_OVERLAP = "no stratum holds values of both sides"


@dataclass(frozen=True)
class Stratified:
    """Means over the strata that hold both sides, weighted by the first side.

    covariate_difference: what is left of the covariate's difference; near 0 if the strata are
    fine enough. n_strata, n_used: strata, and those that hold both sides. n_first, n_rest: values
    given; n_first_used, n_rest_used: those in the used strata.
    """

    first: Interval
    rest: Interval
    difference: Interval
    covariate_difference: Interval
    n_strata: int
    n_used: int
    n_first: int
    n_first_used: int
    n_rest: int
    n_rest_used: int


def stratified_difference(
    values: npt.ArrayLike,
    covariate: npt.ArrayLike,
    is_first: npt.ArrayLike,
    groups: npt.ArrayLike,
    n_strata: int = STRATA,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Stratified:
    """mean(first) - mean(rest) at equal covariate, with its interval over groups.

    values, covariate [n] floats, is_first [n] bool, groups [n] what was drawn together (a
    response). NaN in either leaves the value out. At most n_strata strata, fewer where that would
    leave under `PER_STRATUM` first values in each. In every resample the weights are taken anew;
    the strata stay. What cannot be given is absent with its reason.
    """
    y, x = np.asarray(values, np.float64), np.asarray(covariate, np.float64)
    first, group = np.asarray(is_first, bool), np.asarray(groups)
    if not y.shape == x.shape == first.shape == group.shape or y.ndim != 1:
        raise ValueError("values, covariate, is_first and groups must be of one length")
    known = ~np.isnan(y) & ~np.isnan(x)
    y, x, first, group = y[known], x[known], first[known], group[known]
    n_first, n_rest = int(first.sum()), int((~first).sum())
    if not n_first or not n_rest:
        side = NO_FIRST if n_rest else NO_REST if n_first else NO_VALUES
        return _absent(side, 0, n_first, n_rest)
    stratum, n = _strata(x, first, n_strata)
    per_side = [np.bincount(stratum[m & (stratum >= 0)], minlength=n) for m in (first, ~first)]
    both = (per_side[0] > 0) & (per_side[1] > 0)
    if not both.any():
        return _absent(NO_OVERLAP, n, n_first, n_rest)
    used = (stratum >= 0) & both[stratum]
    parts, n_groups = _parts(y[used], x[used], first[used], group[used], stratum[used], n)
    flat = parts.reshape(len(parts), -1)
    shape = (-1, *parts.shape[1:])
    estimate = _means(flat.sum(0).reshape(shape))[0]
    with np.errstate(invalid="ignore"):  # an infinite value that is not drawn
        drawn = np.concatenate(
            [_means((w @ flat).reshape(shape)) for w in resamples(len(parts), seed, draws)]
            or [np.empty((0, 4))]
        )
    first_mean, rest_mean, difference, left = (
        interval_of(float(estimate[i]), drawn[:, i], n_groups, level) for i in range(4)
    )
    n_used = [int(side[both].sum()) for side in per_side]
    return Stratified(
        first_mean, rest_mean, difference, left, n, int(both.sum()), n_first, n_used[0], n_rest,
        n_used[1],
    )  # fmt: skip


def _absent(reason: str, n_strata: int, n_first: int, n_rest: int) -> Stratified:
    nothing = absent(reason)
    return Stratified(nothing, nothing, nothing, nothing, n_strata, 0, n_first, 0, n_rest, 0)


def _strata(x: Array, first: npt.NDArray[np.bool_], most: int) -> tuple[npt.NDArray[np.intp], int]:
    """For each value its stratum, -1 beyond the range of the first side; how many there are."""
    wanted = max(1, min(most, int(first.sum()) // PER_STRATUM))
    edges = np.unique(np.quantile(x[first], np.linspace(0, 1, wanted + 1)))
    stratum = np.searchsorted(edges[1:-1], x, side="right")
    stratum[(x < edges[0]) | (x > edges[-1])] = -1
    return stratum, max(1, len(edges) - 1)


def _parts(
    y: Array,
    x: Array,
    first: npt.NDArray[np.bool_],
    group: npt.NDArray[np.generic],
    stratum: npt.NDArray[np.intp],
    n: int,
) -> tuple[Array, int]:
    """Sums [groups, 6, strata]: count, values, covariate of the first side, then of the rest.

    Also how many groups hold a first value: these are what limits the interval.
    """
    names, code = np.unique(group, return_inverse=True)
    place = code.ravel() * n + stratum
    size = len(names) * n
    sums = [
        np.bincount(place[side], weights=None if v is None else v[side], minlength=size)
        for side in (first, ~first)
        for v in (None, y, x)
    ]
    parts = np.stack([one.reshape(len(names), n).astype(np.float64) for one in sums], axis=1)
    return parts, int((parts[:, 0].sum(1) > 0).sum())


def _means(sums: Array) -> Array:
    """[D, 6, strata] -> [D, 4]: mean of first, of rest, their difference, the covariate's.

    Strata that lack a side in a resample have no part in it.
    """
    n_first, first, first_x, n_rest, rest, rest_x = np.moveaxis(sums, 1, 0)
    both = (n_first > 0) & (n_rest > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.where(both, n_first / n_rest, 0.0)
        weight = np.where(both, n_first, 0.0).sum(1)

        def mean(of_first: Array, of_rest: Array) -> tuple[Array, Array]:
            kept = np.where(both, of_first, 0.0).sum(1) / weight
            return kept, np.where(both, factor * of_rest, 0.0).sum(1) / weight

        (a, b), (a_x, b_x) = mean(first, rest), mean(first_x, rest_x)
    return np.stack([a, b, a - b, a_x - b_x], axis=1)
