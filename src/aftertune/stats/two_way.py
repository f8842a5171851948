"""The difference of two means whose values hang together in two ways (pure numpy).

A value belongs to a prompt and to a row (a cluster of near duplicates). Values of one prompt hang
together, in both models; so do those of one row, wherever it was borrowed from. Each value of
either mean is written as its part of the error of the difference,

    u = (x - mean of its model) / (values of its model), with the sign of its model

and variance = V(prompts) + V(rows) - V(pairs of both), V being the sum over groups of squared sums
of u, times k / (k - 1) for k groups; at least the larger of the first two (Cameron, Gelbach and
Miller, "Robust Inference With Multiway Clustering", 2011). The interval is a t interval with one
degree of freedom less than there are prompts, or rows, in the model that has fewer.

Where nothing varies, or both models alike, that has no width. At most `bounds.unseen` of the
prompts, or rows, are then otherwise, by at most the way to the largest difference there can be.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from aftertune.stats.bounds import unseen
from aftertune.stats.intervals import LEVEL, Interval, absent

METHOD = "t interval; prompts and rows are both drawn (two-way variance)"
EXACT = "exact binomial bound over prompts or rows"
NONE = "one of them has none of it on the prompts of both"
ONE = "fewer than two prompts, or two rows"
_NOTHING = 1e-12  # what is left by rounding

Value = tuple[Hashable, Hashable, float]  # prompt, row, x


def difference(first: Sequence[Value], second: Sequence[Value], end: float = 1.0) -> Interval:
    """Mean of `first` minus that of `second`, with its interval; n: as of the degrees of freedom.

    end: the largest difference that there can be, 1 for shares. Prompts and rows are the same
    where they are equal, in both. Absent where either has no value.
    """
    if not first or not second:
        return absent(NONE)
    sides = [np.array([x for *_, x in one], np.float64) for one in (first, second)]
    estimate = float(sides[0].mean() - sides[1].mean())
    n = min(len({one[place] for one in side}) for side in (first, second) for place in (0, 1))
    if n < 2:
        return Interval(estimate, None, None, n, method=METHOD, reason=ONE)
    parts = [(x - x.mean()) / len(x) for x in sides]
    u = np.concatenate([parts[0], -parts[1]])
    both = [*first, *second]
    prompts, rows = (_variance(u, [one[place] for one in both]) for place in (0, 1))
    pairs = _variance(u, [one[:2] for one in both])
    spread = np.sqrt(max(prompts, rows, prompts + rows - pairs))
    if spread < _NOTHING:
        most = unseen(n, LEVEL)
        low, high = (estimate + most * (one - estimate) for one in (-end, end))
        return Interval(estimate, low, high, n, method=EXACT)
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2) * spread)
    return Interval(
        estimate, max(-end, estimate - half), min(end, estimate + half), n, method=METHOD
    )


def _variance(u: npt.NDArray[np.float64], groups: Sequence[Hashable]) -> float:
    numbers = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    sums = np.bincount([numbers[name] for name in groups], u)
    k = len(sums)
    return float((sums**2).sum() * (k / (k - 1) if k > 1 else 1.0))
