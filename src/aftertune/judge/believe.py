"""How far a judge can be believed, from its own verdicts and from people's ratings (pure numpy).

Agreement is the concordance of two ratings of the same answers (Lin, "A concordance correlation
coefficient", Biometrics 45, 1989), which is Cohen's kappa with quadratic weights: 1 where they
are equal, 0 where knowing one says nothing of the other, below 0 where they go against each other.
Intervals are bootstraps over prompts, with all that was asked about a prompt.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.stats.intervals import (
    Array,
    Interval,
    absent,
    bootstrap_mean,
    interval_of,
    resamples,
)

ALIKE = "all scores are alike"
NO_PAIRS = "no answer was judged twice"
_Statistic = Callable[[Array], Array]  # moments [..., k] -> [...]


def concordance(
    first: npt.ArrayLike, second: npt.ArrayLike, groups: npt.ArrayLike, seed: int = 0,
    exchangeable: bool = False,
) -> Interval:  # fmt: skip
    """Agreement of two ratings of the same things, with an interval over groups.

    first, second [n]: the ratings; groups [n]: the prompt of each. exchangeable: the two come from
    one rater or from raters that are not told apart, so that each pair counts in both orders
    (Fisher's intraclass correlation).
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    names = np.asarray(groups)
    if exchangeable:
        x, y, names = np.concatenate([x, y]), np.concatenate([y, x]), np.concatenate([names, names])
    moments = _by_group(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1), names)
    return _bootstrap(moments, _concordance, seed)


def repeats(
    scores: Sequence[Sequence[float]], groups: Sequence[Any], seed: int = 0
) -> dict[str, Any]:
    """Test-retest: the same question asked again.

    scores[i]: the scores of question i in its repeats; groups[i]: its prompt. Gives {n_pairs, same
    (share of pairs of repeats with one score), distance (mean absolute difference), agreement}.
    """
    pairs = [
        (one[a], one[b], group)
        for one, group in zip(scores, groups, strict=True)
        for a in range(len(one))
        for b in range(a + 1, len(one))
    ]
    if not pairs:
        gone = absent(NO_PAIRS).as_json()
        return {"n_pairs": 0, "same": gone, "distance": gone, "agreement": gone}
    first, second = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    names = np.array([p[2] for p in pairs])
    return {
        "n_pairs": len(pairs),
        "same": _mean(first == second, names, seed).as_json(),
        "distance": _mean(np.abs(first - second), names, seed).as_json(),
        "agreement": concordance(first, second, names, seed, exchangeable=True).as_json(),
    }


def order(
    first: Sequence[float], second: Sequence[float], groups: Sequence[Any], seed: int = 0
) -> dict[str, Any]:
    """Order bias of a judge of pairs: does it prefer what stands first?

    first[i], second[i]: the score of one answer of pair i (1 preferred, 0.5, 0) when it is shown
    first and second. Gives {n_pairs, first_preferred (share of verdicts for the answer shown
    first, `same` as half: 0.5 without a bias), consistent (share of pairs with one verdict in
    both orders)}.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    names = np.asarray(groups)
    return {
        "n_pairs": len(one),
        "first_preferred": _mean((one + 1 - two) / 2, names, seed).as_json(),
        "consistent": _mean(one == two, names, seed).as_json(),
    }


def length(
    scores: npt.ArrayLike, words: npt.ArrayLike, groups: npt.ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """Points of score per doubling of an answer's words: {slope, within}.

    scores, words, groups [n]: of answer i its score, its length and its prompt. Where a prompt has
    several answers, only differences within prompts count (`within`), since hard prompts get long
    answers. By itself this is no bias: the longer answer may be the better one. Scores from which
    people's ratings are subtracted leave the judge's own taste.
    """
    y = np.asarray(scores, np.float64)
    x = np.log2(1 + np.asarray(words, np.float64))
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.bincount(codes)
    within = bool(len(counts) and counts.max() > 1)
    if within:
        x = x - (np.bincount(codes, x) / counts)[codes]
        y = y - (np.bincount(codes, y) / counts)[codes]
    moments = _by_group(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1), codes)
    slope = _bootstrap(moments, _slope_through_0 if within else _slope, seed)
    return {"slope": slope.as_json(), "within": within}


def _mean(values: npt.ArrayLike, groups: npt.NDArray[Any], seed: int) -> Interval:
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.bincount(codes, np.asarray(values, np.float64))
    return bootstrap_mean(sums, np.bincount(codes), seed)


def _by_group(moments: Array, groups: npt.ArrayLike) -> Array:
    """Moments [n, k] summed by group [G, k]."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    found = np.zeros((int(codes.max(initial=-1)) + 1, moments.shape[1]))
    np.add.at(found, codes, moments)
    return found


def _bootstrap(moments: Array, statistic: _Statistic, seed: int) -> Interval:
    """Interval of a statistic of summed moments [G, k], resampling groups."""
    n = len(moments)
    if n == 0:
        return absent("no values")
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = float(statistic(moments.sum(0)))
        if not np.isfinite(estimate):
            return absent(ALIKE, n)
        drawn = [statistic(weights @ moments) for weights in resamples(n, seed, 2000)]
    return interval_of(estimate, np.concatenate(drawn or [np.empty(0)]), n, 0.95)


def _spread(moments: Array) -> tuple[Array, Array, Array, Array]:
    """mean x - mean y, variance of x and y, covariance; rounding below 1e-9 is 0."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    found = (xx / n - (x / n) ** 2, yy / n - (y / n) ** 2, xy / n - x * y / n**2)
    var_x, var_y, cov = (np.where(np.abs(one) < 1e-9, 0.0, one) for one in found)
    return (x - y) / n, var_x, var_y, cov


def _concordance(moments: Array) -> Array:
    gap, var_x, var_y, cov = _spread(moments)
    # two raters who give one and the same score to everything agree, and show nothing by it
    varied = (var_x > 0) | (var_y > 0)
    return np.where(varied, 2 * cov / (var_x + var_y + gap**2), np.nan)


def _slope(moments: Array) -> Array:
    _, var_x, _, cov = _spread(moments)
    return np.where(var_x > 0, cov / var_x, np.nan)


def _slope_through_0(moments: Array) -> Array:
    """Of values that are centred within their groups already."""
    xx, xy = moments[..., 3], moments[..., 5]
    return np.where(xx > 1e-9, xy / xx, np.nan)
