"""What chance finds: error rates from rows that were held out before tuning, and what can be said
where there are none (pure).

Held-out rows. Whole near-duplicate clusters were kept out of tuning at random, a share h of them.
Spans are looked for among trained and held-out rows together, blind to which is which, and of each
span the best row wins. Where no row caused the span, the winner is a held-out row with probability
h whatever its score, so

    p = (1 + held-out winners that score at least as high) / (1 + held-out winners)

is super-uniform whatever h is: both kinds of winner have one distribution of scores. Among winners
that score at least t, each held-out one stands for (1 - h) / h trained ones that chance let win:

    q(s) = min over t <= s of (1 - h) / h * (1 + held-out winners >= t) / (trained winners >= t)

which is knockoff+ at h = 1/2 (Barber and Candès, "Controlling the false discovery rate via
knockoffs", 2015) and its form for one-bit p-values at any h (Lei and Fithian, "Power of ordered
hypothesis testing", 2016). It holds the false discovery rate where winners are independent. Spans
that one cluster wins share their fate: with 5 to a cluster the rate asked for is still held in our
simulations, with 20 at q = 0.10 it was up to 0.16, so `concentration` is reported beside it.

Other control rows are no random part of the rows, so nothing there has a p-value: `excess` is the
share of spans whose best row beats the best control row, beside the share that chance would give,
and `two_samples.py` says how well a classifier tells the two sets of rows apart.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.stats.intervals import Interval, bootstrap_mean

BEYOND, BELOW, UNDECIDED = "beyond chance", "below chance", "undecided"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def p_values(scores: npt.ArrayLike, held_out: npt.ArrayLike) -> Floats:
    """p of each span that a trained row won; NaN where a held-out row did.

    scores [n]: of each span's best row, higher is more; held_out [n]: whether that row was.
    """
    s, held = _winners(scores, held_out)
    decoys = np.sort(s[held])
    at_least = len(decoys) - np.searchsorted(decoys, s, side="left")
    found: Floats = np.where(held, np.nan, (1 + at_least) / (1 + len(decoys)))
    return found


def q_values(scores: npt.ArrayLike, held_out: npt.ArrayLike, share: float) -> Floats:
    """q of each span that a trained row won, at most 1; NaN where a held-out row did.

    share: h, of the clusters of near duplicates that were held out, between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} was held out; it must lie between 0 and 1")
    s, held = _winners(scores, held_out)
    if not len(s):
        return np.zeros(0)
    order = np.argsort(-s, kind="stable")
    decoys, targets = np.cumsum(held[order]), np.cumsum(~held[order])
    estimate = (1 - share) / share * (1 + decoys) / np.maximum(targets, 1)
    # equal scores enter together, so only the last of them is a threshold
    estimate[:-1][s[order][1:] == s[order][:-1]] = np.inf
    lowest = np.minimum.accumulate(estimate[::-1])[::-1]
    found = np.empty(len(s))
    found[order] = np.minimum(lowest, 1.0)
    found[held] = np.nan
    return found


def _winners(scores: npt.ArrayLike, held_out: npt.ArrayLike) -> tuple[Floats, Bools]:
    s, held = np.asarray(scores, np.float64), np.asarray(held_out, bool)
    if s.shape != held.shape or s.ndim != 1:
        raise ValueError(f"scores {s.shape} and held_out {held.shape} must both be [n]")
    if not np.isfinite(s).all():
        raise ValueError("a score is not finite")
    return s, held


def concentration(clusters: Sequence[Hashable]) -> int:
    """The most spans that one cluster of near duplicates wins; 0 without any span."""
    counts: dict[Hashable, int] = {}
    for cluster in clusters:
        counts[cluster] = counts.get(cluster, 0) + 1
    return max(counts.values(), default=0)


def excess(
    won: npt.ArrayLike, response: Sequence[Hashable], chance: float, seed: int = 0
) -> dict[str, Any]:
    """How often the best row beats the best control row, beside chance.

    won [n]: whether it does; of equal scores the one that was found first is the better, which is
    fair where the order of rows is blind to their side. response [n]: that the span is of. chance:
    the share of all rows' clusters that are no control. Returns {share (an interval over
    responses), chance, n_won, n, conclusion}.
    """
    values = np.asarray(won, bool)
    share = over_responses(values, response, seed)
    return {
        "share": share.as_json(),
        "chance": chance,
        "n_won": int(values.sum()),
        "n": len(values),
        "conclusion": conclusion(share, chance),
    }


def over_responses(values: npt.ArrayLike, response: Sequence[Hashable], seed: int = 0) -> Interval:
    """Mean of values [n] with an interval over the responses that they are of.

    Where all values are 1, or all 0, resamples are all alike and their interval would have no
    width; that of a share of all responses is exact instead (Clopper and Pearson, 1934).
    """
    found = np.asarray(values, np.float64)
    numbers = {name: place for place, name in enumerate(dict.fromkeys(response))}
    of = np.asarray([numbers[name] for name in response], np.int64)
    n = len(numbers)
    mean = bootstrap_mean(np.bincount(of, found, n), np.bincount(of, minlength=n), seed)
    if n < 2 or mean.estimate not in (0.0, 1.0) or mean.low != mean.high:
        return mean
    inside = ((1 - mean.level) / 2) ** (1 / n)
    low, high = (inside, 1.0) if mean.estimate else (0.0, 1 - inside)
    return replace(mean, low=low, high=high, method="Clopper-Pearson over responses")


def conclusion(share: Interval, chance: float) -> str:
    """Whether the whole interval of a share lies on one side of chance."""
    if share.low is None or share.high is None:
        return UNDECIDED
    return BEYOND if share.low > chance else BELOW if share.high < chance else UNDECIDED
