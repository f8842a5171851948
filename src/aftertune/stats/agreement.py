"""How far raters agree, with intervals over items (pure numpy).

Ratings are tables [items, raters] with None where a rater did not see the item. Every coefficient
here is

    1 - observed disagreement / disagreement expected by chance

and they differ only in what "by chance" means. All read alike: 1, every pair of ratings agrees;
0, they agree as often as chance would have it; negative, less often than that. Both parts are
functions of sums over items, so the bootstrap draws items and needs only their sums. The interval
speaks of these raters on other items, not of other raters.

Where no two ratings of any item differ, all resamples are 1; the low end then comes from the exact
bound on the share of items that could differ, chance taken as known. One category used throughout
leaves nothing to expect by chance: the coefficient is absent, not 1.

How far that holds, simulated (300 studies each, 2 or 3 raters who turn 10% or 30% of yes and no
round): with 50 or 200 items nominal 95% intervals hold the coefficient in 92 to 97%, in one case of
50 items with a rare category in 89%; with 20 items in 90 to 97%, with a rare category in 87 to 95%.
"""

from collections.abc import Callable, Hashable, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np

from aftertune.stats.bounds import EXACT, bounded_mean, resampled, unseen
from aftertune.stats.intervals import DRAWS, LEVEL, Array, Interval, absent, resamples
from aftertune.stats.ratings import Codes, Ratings, are_numbers, category_counts, coded

Scale = Literal["nominal", "ordinal", "interval"]
Parts = tuple[Array, Array]  # observed and expected disagreement, [D] each

NO_PAIR = "no item has two ratings"
ONE_CATEGORY = "all ratings are of one category, so chance alone would agree as well"


def percent_agreement(
    ratings: Ratings, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """The mean over items of the share of pairs of raters that agree, from 0 to 1.

    Item i with n_ik ratings of category k, m_i in all: sum_k n_ik (n_ik - 1) / (m_i (m_i - 1)).
    1: every pair agrees; 0: none does. Chance is not taken out. Items with fewer than two ratings
    have no part in it.
    """
    counts = category_counts(*coded(ratings))
    share = agreeing_pairs(counts[counts.sum(1) >= 2])
    if len(share) == 0:
        return absent(NO_PAIR)
    return bounded_mean(share, seed, draws, level)


def cohen_kappa(
    ratings: Ratings, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """Cohen's kappa of two raters (Educational and Psychological Measurement 20, 1960).

    (p_o - p_e) / (1 - p_e), p_o the share of items rated alike, p_e = sum_k a_k b_k with a_k and
    b_k the raters' own shares of category k: chance keeps to each rater's habits. 1: always alike;
    0: as often as those habits would by chance; negative: less often. Items that one of them did
    not rate are left out. Raises ValueError for other than two raters.
    """
    codes, values = coded(ratings)
    if len(codes) == 0:
        return absent(NO_PAIR)
    if codes.shape[1] != 2:
        raise ValueError(f"Cohen's kappa is of two raters, not {codes.shape[1]}")
    codes = codes[(codes >= 0).all(1)]
    first, second = np.eye(len(values))[codes[:, 0]], np.eye(len(values))[codes[:, 1]]
    differ = (codes[:, 0] != codes[:, 1]).astype(np.float64)

    def parts(sums: Array) -> Parts:
        n = sums[:, 0]
        a, b = np.split(sums[:, 2:], 2, axis=1)
        return sums[:, 1] / n, 1 - (a * b).sum(1) / n**2

    features = np.column_stack([np.ones(len(codes)), differ, first, second])
    return _over_items(features, parts, len(codes), seed, draws, level)


def fleiss_kappa(
    ratings: Ratings, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """Fleiss' kappa of any number of raters (Psychological Bulletin 76, 1971).

    (p_o - p_e) / (1 - p_e), p_o as in `percent_agreement`, p_e = sum_k q_k^2 with q_k the mean over
    items of n_ik / m_i: chance draws from what all raters together used. 1, 0 and negative as for
    Cohen's. Items may differ in how many rated them (Gwet, "Handbook of Inter-Rater Reliability",
    2014): one with a single rating counts in q_k only.
    """

    def expected(shares: Array) -> Array:
        return 1 - np.asarray((shares**2).sum(1), np.float64)

    return _chance_from_shares(*coded(ratings), expected, seed, draws, level)


def gwet_ac1(
    ratings: Ratings,
    scale: Sequence[Hashable] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Gwet's AC1 (British Journal of Mathematical and Statistical Psychology 61, 2008).

    (p_o - p_e) / (1 - p_e), p_o and q_k as in `fleiss_kappa`, p_e = sum_k q_k (1 - q_k) / (K - 1):
    chance agrees only where raters guess, and evenly. So it stays near p_o where nearly all items
    are of one category, where kappas fall to 0. 1: always alike; 0: as chance; negative: less.

    scale: the K categories that could be chosen; without, those that were. Raises ValueError for a
    rating outside of it.
    """
    codes, values = coded(ratings, scale)
    if len(values) < 2:
        counts = category_counts(codes, values)
        n = int((counts.sum(1) >= 2).sum())
        return absent(f"{ONE_CATEGORY}; name the scale", n) if n else absent(NO_PAIR)

    def expected(shares: Array) -> Array:
        return 1 - np.asarray((shares * (1 - shares)).sum(1) / (len(values) - 1), np.float64)

    return _chance_from_shares(codes, values, expected, seed, draws, level)


def krippendorff_alpha(
    ratings: Ratings,
    scale: Scale = "nominal",
    order: Sequence[Hashable] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Krippendorff's alpha ("Content Analysis", 2004, chapter 11), any raters, ratings may lack.

    1 - D_o / D_e over n ratings of items with at least two, n_c of value c:
    D_o = sum_i sum_{c, k} n_ic n_ik d(c, k) / (m_i - 1) / n,
    D_e = sum_{c, k} n_c n_k d(c, k) / (n (n - 1)).
    nominal: d = 1 for unlike values. interval: d = (c - k)^2. ordinal: d = (r_c - r_k)^2, r_c being
    the mid-rank of value c among all n ratings. 1: always alike; 0: as if ratings were dealt out
    over items; negative: less alike than that.

    order: the values from lowest to highest, where they are not numbers (ordinal). Raises
    ValueError for values that have no order, or are no numbers, on a scale that needs it.
    """
    codes, values = coded(ratings, order)
    numbers = _places(values, scale, order)
    counts = category_counts(codes, values)
    counts = counts[counts.sum(1) >= 2]
    rated = counts.sum(1)
    pairs = [  # of values that meet in an item; other pairs of values cost nothing
        (c, k)
        for c, k in combinations(range(counts.shape[1]), 2)
        if bool((counts[:, c] * counts[:, k]).any())
    ]
    c, k = np.asarray(pairs, np.intp).reshape(-1, 2).T
    met = 2 * counts[:, c] * counts[:, k] / (rated[:, None] - 1)

    def parts(sums: Array) -> Parts:
        of, meetings = sums[:, : len(values)], sums[:, len(values) :]
        n = of.sum(1)
        if scale == "nominal":
            apart, expected = np.ones((1, len(c))), n**2 - (of**2).sum(1)
        else:
            place = numbers[None, :] if scale == "interval" else _mid_ranks(of)
            apart = (place[:, c] - place[:, k]) ** 2
            expected = 2 * (n * (of * place**2).sum(1) - (of * place).sum(1) ** 2)
        return (meetings * apart).sum(1) / n, expected / (n * (n - 1))

    features = np.column_stack([counts, met])
    worst = _widest(counts.sum(0), numbers, scale)
    return _over_items(features, parts, len(counts), seed, draws, level, worst)


def _places(values: list[Any], scale: Scale, order: Sequence[Hashable] | None) -> Array:
    """Values [K] as numbers, centred and of range 1, which no alpha sees; zeros where unused."""
    if scale == "ordinal" and order is None and not are_numbers(values):
        raise ValueError("the ordinal scale needs numbers, or `order` from lowest to highest")
    if scale != "interval":
        return np.zeros(len(values))
    if not are_numbers(values):
        raise ValueError("the interval scale needs numbers")
    numbers = np.asarray(values, np.float64)
    width = np.ptp(numbers) if len(numbers) else 0.0
    return (numbers - numbers.mean()) / width if width > 0 else np.zeros(len(numbers))


def _mid_ranks(of: Array) -> Array:
    """Mid-ranks of values that occur `of` [D, K] times, as shares of all ratings."""
    n = of.sum(1, keepdims=True)
    return np.asarray((np.cumsum(of, 1) - of / 2) / n, np.float64)


def _widest(of: Array, numbers: Array, scale: Scale) -> float:
    """The largest disagreement that a pair of the values in use can have."""
    if scale == "nominal" or not of.any():
        return 1.0
    place = numbers if scale == "interval" else _mid_ranks(of[None])[0]
    return float(np.ptp(place[of > 0]) ** 2)


def agreeing_pairs(counts: Array) -> Array:
    """The share of an item's pairs of ratings that agree, [items]; each item has at least two."""
    rated = counts.sum(1)
    return np.asarray((counts * (counts - 1)).sum(1) / (rated * (rated - 1)), np.float64)


def _chance_from_shares(
    codes: Codes,
    values: Sequence[Any],
    expected: Callable[[Array], Array],
    seed: int,
    draws: int,
    level: float,
) -> Interval:
    """A kappa whose chance is `expected` of the categories' shares [D, K], over items rated once
    or more; agreement is over those rated twice or more."""
    counts = category_counts(codes, values)
    counts = counts[counts.sum(1) >= 1]
    rated = counts.sum(1)
    two = rated >= 2
    differ = np.zeros(len(counts))
    differ[two] = 1 - agreeing_pairs(counts[two])

    def parts(sums: Array) -> Parts:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[:, 0] / sums[:, 1], expected(sums[:, 3:] / sums[:, 2:3])

    features = np.column_stack([differ, two, np.ones(len(counts)), counts / rated[:, None]])
    return _over_items(features, parts, int(two.sum()), seed, draws, level)


def _over_items(
    features: Array,
    parts: Callable[[Array], Parts],
    n: int,
    seed: int,
    draws: int,
    level: float,
    worst: float = 1.0,
) -> Interval:
    """1 - observed / expected of summed `features` [items, F]; n items have two ratings.

    worst: the most that one item can add to the observed disagreement.
    """
    if n == 0:
        return absent(NO_PAIR)

    def coefficient(sums: Array) -> Array:
        observed, expected = parts(sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            whole = expected > 1e-12  # what is left of 1 - 1 after rounding is 0
            return np.where(whole, 1 - observed / np.where(whole, expected, 1.0), np.nan)

    total = features.sum(0)[None]
    observed, expected = (float(part[0]) for part in parts(total))
    estimate = float(coefficient(total)[0])
    if not np.isfinite(estimate):
        return absent(ONE_CATEGORY, n)
    if observed == 0 and n >= 2:
        low = 1 - unseen(n, level) * worst / expected
        return Interval(estimate, low, 1.0, n, level, EXACT.format(of="item"))
    drawn = [coefficient(w @ features) for w in resamples(len(features), seed, draws)]
    together = np.concatenate(drawn or [np.empty(0)])
    return resampled(
        estimate, together, n, level, undefined="too few categories or pairs are left in them"
    )
