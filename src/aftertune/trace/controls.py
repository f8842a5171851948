"""What chance finds: error rates from rows that were held out before tuning, and what can be said
where there are none (pure).

Held-out rows. Whole near-duplicate clusters were kept out of tuning at random, a share h of them.
Spans are looked for among trained and held-out rows together, blind to which is which, and of each
span the best row wins. Where no row caused the span, the winner is a held-out row with probability
h whatever its score, so

    p = (1 + held-out clusters that win a span with at least this score) / (1 + those that win any)

is super-uniform for the best span of each cluster whatever h is: the best scores of clusters of
both kinds have one distribution. For spans it need not be: a few clusters that win many spans, all
with high scores, would give most spans a small p. A cluster with k spans that nothing was borrowed
from could as well be any of those held out, with all of them, so at most a share a of such spans
have p <= a, in expectation, by

    p = (k + held-out winners that score at least as high) / (k + held-out winners)

The larger of the two is right for both. Among winners that score at least t, each held-out one
stands for (1 - h) / h trained ones that chance let win:

    q(s) = min over t <= s of (1 - h) / h * (m + held-out winners >= t) / (trained winners >= t)

With m = 1 it is knockoff+ at h = 1/2 (Barber and Candès, "Controlling the false discovery rate via
knockoffs", 2015) and its form for one-bit p-values at any h (Lei and Fithian, "Power of ordered
hypothesis testing", 2016), which hold the false discovery rate where winners are independent. Spans
that one cluster wins share their fate: with m = 1 and 20 to a cluster, q = 0.10 let in up to 0.27.
So m is how many spans a held-out cluster wins, as a span sees it (`crowd`); tests hold the rate by
simulation for 1, 5 and 20 spans of a cluster. Where few clusters win many spans nothing is found.

Who asks which rows are borrowed from, and not where, asks less: one discovery is a cluster then,
its score that of its best spans (`q_of_clusters`). A cluster that no span was borrowed from is held
out with probability h whatever its spans score, independently of the others, so m = 1 again.

Other control rows are no random part of the rows, so nothing there has a p-value: `excess` is the
share of answers whose best span has a row that beats the best control row, beside the share that
chance would give.
It is called beyond chance only where a classifier does not tell the two sets of rows apart
(`two_samples.py`), and its interval draws answers and rows again: which rows of a topic stand on
which side is luck that all answers on that topic share.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from aftertune.stats.intervals import LEVEL, Interval, absent, bootstrap_mean
from aftertune.trace.two_samples import FAR

BEYOND, BELOW, UNDECIDED = "beyond chance", "below chance", "undecided"
TWO_WAY = "t interval; answers and rows are both drawn (two-way variance)"
NO_SPANS, ONE = "no span", "fewer than two answers, or two clusters of rows"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def p_values(
    scores: npt.ArrayLike, held_out: npt.ArrayLike, clusters: Sequence[Hashable] | None = None
) -> Floats:
    """p of each span that a trained row won; NaN where a held-out row did.

    scores [n]: of each span's best row, higher is more; held_out [n]: whether that row was;
    clusters [n]: its cluster of near duplicates, None where no two spans share one.
    """
    s, held = _winners(scores, held_out)
    of = _numbered(clusters, len(s))
    best = np.full(of.max(initial=-1) + 1, -np.inf)
    np.maximum.at(best, of[held], s[held])
    by_cluster = _at_least(np.sort(best[np.isfinite(best)]), s, np.ones(len(s)))
    by_span = _at_least(np.sort(s[held]), s, np.bincount(of)[of].astype(np.float64))
    found: Floats = np.where(held, np.nan, np.maximum(by_cluster, by_span))
    return found


def _at_least(decoys: Floats, scores: Floats, own: Floats) -> Floats:
    """[n]: the share of decoys, sorted, at or above each score; `own` more on either side."""
    n = len(decoys)
    found: Floats = (own + n - np.searchsorted(decoys, scores, side="left")) / (own + n)
    return found


def q_values(
    scores: npt.ArrayLike, held_out: npt.ArrayLike, share: float,
    clusters: Sequence[Hashable] | None = None,
) -> Floats:  # fmt: skip
    """q of each span that a trained row won, at most 1; NaN where a held-out row did.

    share: h, of the clusters of near duplicates that were held out, between 0 and 1. clusters: as
    in `p_values`.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} was held out; it must lie between 0 and 1")
    s, held = _winners(scores, held_out)
    if not len(s):
        return np.zeros(0)
    order = np.argsort(-s, kind="stable")
    decoys, targets = np.cumsum(held[order]), np.cumsum(~held[order])
    more = crowd(held, _numbered(clusters, len(s)))
    estimate = (1 - share) / share * (more + decoys) / np.maximum(targets, 1)
    # equal scores enter together, so only the last of them is a threshold
    estimate[:-1][s[order][1:] == s[order][:-1]] = np.inf
    lowest = np.minimum.accumulate(estimate[::-1])[::-1]
    found = np.empty(len(s))
    found[order] = np.minimum(lowest, 1.0)
    found[held] = np.nan
    return found


def q_of_clusters(
    scores: npt.ArrayLike, held_out: npt.ArrayLike, share: float, clusters: Sequence[Hashable],
    best: int = 1,
) -> Floats:  # fmt: skip
    """q of the cluster that won each span, one discovery a cluster; NaN where it was held out.

    As `q_values`, of the best span of each cluster; with best > 1, of how far its so many best
    spans lie above the median of all spans, together. The rate is one of clusters: of those that
    are found, the share from which no span was borrowed.
    """
    s, held = _winners(scores, held_out)
    of = _numbered(clusters, len(s))
    n = of.max(initial=-1) + 1
    total, side = np.full(n, -np.inf), np.zeros(n, bool)
    if best == 1:
        np.maximum.at(total, of, s)
    else:
        order = np.lexsort((-s, of))
        among = np.arange(len(s)) - np.searchsorted(of[order], of[order])  # 0 for the best
        taken = order[among < best]
        above = np.maximum(s[taken] - np.median(s), 0.0) if len(s) else s
        total = np.bincount(of[taken], above, n)
    side[of] = held
    if (side[of] != held).any():
        raise ValueError("a cluster is both held out and not")
    return q_values(total, side, share)[of]


def crowd(held_out: npt.ArrayLike, clusters: npt.ArrayLike) -> float:
    """How many spans the cluster of a span wins that a held-out row won, on average over spans.

    held_out [n], clusters [n]: numbers from 0. One cluster more is counted among the held-out ones,
    as large as the largest of all: it may have been trained on by luck. 1 where none wins two.
    """
    held, of = np.asarray(held_out, bool), np.asarray(clusters, np.int64)
    if not len(of):
        return 1.0
    sizes = np.append(np.bincount(of[held]), np.bincount(of).max()).astype(np.float64)
    return float((sizes**2).sum() / sizes.sum())


def _numbered(names: Sequence[Hashable] | None, n: int) -> npt.NDArray[np.int64]:
    """A number from 0 for each different name; all different without names."""
    if names is None:
        return np.arange(n)
    if len(names) != n:
        raise ValueError(f"{len(names)} names for {n} spans")
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.asarray([number[name] for name in names], np.int64)


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
    won: npt.ArrayLike, response: Sequence[Hashable], cluster: Sequence[Hashable], chance: float,
    auroc: Interval | None = None,
) -> dict[str, Any]:  # fmt: skip
    """How often the best row beats the best control row, beside chance.

    won [n]: whether it does; of equal scores the one that was found first is the better, which is
    fair where the order of rows is blind to their side. response [n]: that the span is of; cluster
    [n]: of the row that won it. chance: the share of all rows' clusters that are no control. auroc:
    of a classifier between the two sets of rows, None where they are random parts of one set.
    Returns {share (an interval over responses and clusters), chance, n_won, n, conclusion, reason
    (why it is undecided, or None)}.
    """
    values = np.asarray(won, bool)
    share = over_both(values, response, cluster)
    unlike = None if auroc is None else _unlike(auroc)
    said = UNDECIDED if unlike else conclusion(share, chance)
    open_still = share.reason or "the interval holds chance"
    return {
        "share": share.as_json(),
        "chance": chance,
        "n_won": int(values.sum()),
        "n": len(values),
        "conclusion": said,
        "reason": (unlike or open_still) if said == UNDECIDED else None,
    }


def _unlike(auroc: Interval) -> str | None:
    """Why an excess over these control rows may be one of topic; None where they are alike."""
    if auroc.estimate is None or auroc.high is None:
        return f"whether the control's rows are like the rows is unknown: {auroc.reason}"
    if auroc.high > FAR:
        return f"the control's rows may be unlike the rows (AUROC up to {auroc.high:.2f})"
    return None


def over_both(
    values: npt.ArrayLike, response: Sequence[Hashable], cluster: Sequence[Hashable]
) -> Interval:
    """Mean of values [n] between 0 and 1, with an interval over responses and clusters of rows.

    variance = V(responses) + V(clusters) - V(pairs of both), the linearised variance of a mean
    under two crossed factors, and at least the larger of the first two (Cameron, Gelbach and
    Miller, "Robust Inference With Multiway Clustering", 2011); t with one degree of freedom less
    than there are responses, or clusters if these are fewer. Where all values are 1, or all 0, the
    interval is exact for so many independent values (Clopper and Pearson, 1934).
    """
    found = np.asarray(values, np.float64)
    if not len(found):
        return absent(NO_SPANS)
    one, other = _numbered(response, len(found)), _numbered(cluster, len(found))
    n, mean = int(min(one.max(), other.max())) + 1, float(found.mean())
    if n < 2:
        return Interval(mean, None, None, n, method=TWO_WAY, reason=ONE)
    if mean in (0.0, 1.0):
        inside = ((1 - LEVEL) / 2) ** (1 / n)
        low, high = (inside, 1.0) if mean else (0.0, 1 - inside)
        return Interval(mean, low, high, n, method="Clopper-Pearson over responses or clusters")
    first, second, both = (
        _variance(found - mean, of) for of in (one, other, one * (int(other.max()) + 1) + other)
    )
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * np.sqrt(
        max(first, second, first + second - both)
    )
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half), n, method=TWO_WAY)


def _variance(residual: Floats, of: npt.NDArray[np.int64]) -> float:
    """Of their mean, where those of one group hang together."""
    _, group = np.unique(of, return_inverse=True)
    sums = np.bincount(group, residual)
    k = len(sums)
    return float((sums**2).sum()) / len(residual) ** 2 * (k / (k - 1) if k > 1 else 1.0)


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
