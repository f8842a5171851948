"""Differences between two matched sets of rows, over words that prompts share (pure).

Two things could have been otherwise: which prompts were asked, and which row of each pair the model
saw. A word's luck (it stands in the rows seen and not in the control rows) is shared by all answers
that use it, so prompts alone would call the luck of the draw an effect. With random swaps of the
rows within their pairs, under which every difference is 0 on average,

    variance = V(swaps) + V(prompts) - mean of V(prompts) over the swaps

where V(prompts) is the linearised variance of the estimate over prompts, and V(swaps) alone is
taken where the rest is negative: the variance of two crossed factors (Cameron, Gelbach and Miller,
"Robust Inference With Multiway Clustering", 2011). The interval is a t interval with one degree of
freedom less than there are prompts, or pairs if these are fewer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from aftertune.stats.intervals import LEVEL, Interval, absent

SWAPS = 400
METHOD = "t interval; prompts and the rows of each pair are both drawn (two-way variance)"

NO_PAIRS = "fewer than two pairs of rows"
NO_PROMPTS = "fewer than two prompts"
NO_WORDS = "no such words"
NO_OVERLAP = "no frequency at which there are words of both"
ALL_ALIKE = "every one of these words stands in both sides' rows or in neither's"

_SWAPS_AT_ONCE = 50

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Contrast:
    """A mean of y over words, minus another one at equal strata, as linear in y [W].

    estimate = weights.sum(0) @ y. Over prompts it varies as the residuals r [P] do:
    r = weights @ y - first * estimate - offsets @ (means @ y), whose sum is 0.
    weights [P, W]; first [P]: the prompt's share of the first side's words; means [K, W]: the mean
    of the rest in each stratum; offsets [P, K].
    """

    weights: sparse.csr_array
    first: Floats
    offsets: Floats
    means: sparse.csr_array
    n_first: int
    n_rest: int
    reason: str | None

    def residuals(self, y: Floats) -> Floats:
        """[P, S] of y [W, S]."""
        estimate = self.estimate(y)
        rest = self.offsets @ (self.means @ y)
        found: Floats = self.weights @ y - np.outer(self.first, estimate) - rest
        return found

    def estimate(self, y: Floats) -> Floats:
        """[S] of y [W, S]."""
        found: Floats = np.asarray(self.weights.sum(axis=0)).ravel() @ y
        return found


def contrast_of(
    word: Ints, prompt: Ints, shape: tuple[int, int], first: Bools, rest: Bools | None = None,
    stratum: Ints | None = None,
) -> Contrast:  # fmt: skip
    """Occurrences that `first` marks, against those that `rest` marks if it is given.

    word, prompt, first, rest, stratum [n]: one entry per occurrence; shape: (prompts, words). The
    rest is reweighted to the strata of the first; strata without words of both are left out.
    """
    stratum = np.zeros_like(word) if stratum is None else stratum
    alone, rest = rest is None, np.zeros_like(first) if rest is None else rest
    n_strata = int(stratum.max(initial=0)) + 1
    reason = None if first.any() else NO_WORDS
    n_first = np.bincount(stratum[first], minlength=n_strata)
    n_rest = np.bincount(stratum[rest], minlength=n_strata)
    if not alone:
        both = (n_first > 0) & (n_rest > 0)
        reason = reason or (None if both.any() else NO_OVERLAP)
        first, rest = first & both[stratum], rest & both[stratum]
    total = max(1, int(first.sum()))
    factor = n_first / np.maximum(1, n_rest) / total  # of a word of the rest, per stratum

    def placed(values: Floats, where: Bools, rows: Ints, n: int) -> sparse.csr_array:
        places = (rows[where], word[where])
        return sparse.csr_array((values[where], places), (n, shape[1]))

    ones, of_rest = np.full(len(first), 1 / total), factor[stratum]
    weights = placed(ones, first, prompt, shape[0])
    weights = (weights - placed(of_rest, rest, prompt, shape[0])).tocsr()
    means = placed((1 / np.maximum(1, n_rest))[stratum], rest, stratum, n_strata)
    cells = prompt * n_strata + stratum
    size = shape[0] * n_strata
    offsets = np.zeros(size)
    if not alone:
        offsets += np.bincount(cells[first], ones[first], size)
    offsets -= np.bincount(cells[rest], of_rest[rest], size)
    share = np.zeros(shape[0]) + np.bincount(prompt[first], ones[first], shape[0])
    return Contrast(
        weights, share, offsets.reshape(shape[0], n_strata), means,
        int(first.sum()), int(rest.sum()), reason,
    )  # fmt: skip


def intervals(
    contrasts: Sequence[Contrast], seen: sparse.csr_array, control: sparse.csr_array,
    seed: int = 0, swaps: int = SWAPS,
) -> list[Interval]:  # fmt: skip
    """The interval of each contrast, where y is 1 for words of the rows seen alone, -1 for words
    of the control rows alone, 0 for all others; seen, control [W, pairs]: 1 where the row of the
    pair holds the word. `n` is the smaller of the numbers of prompts and of pairs.
    """
    y = _y(seen, control)
    n_pairs = seen.shape[1]
    of_swaps: Floats = np.zeros(len(contrasts))
    crossed: Floats = np.zeros(len(contrasts))
    for swapped in _swapped(seen, control, seed, swaps) if n_pairs > 1 else ():
        for place, contrast in enumerate(contrasts):
            of_swaps[place] += float((contrast.estimate(swapped) ** 2).sum()) / swaps
            crossed[place] += float(_over_prompts(contrast, swapped).sum()) / swaps
    found = []
    for contrast, swap, cross in zip(contrasts, of_swaps, crossed, strict=True):
        n_prompts = int((contrast.first > 0).sum())
        reason = contrast.reason or (NO_PAIRS if n_pairs < 2 else None)
        if reason:
            found.append(absent(reason, min(n_prompts, n_pairs)))
            continue
        prompts = float(_over_prompts(contrast, y[:, None])[0])
        variance = swap + max(0.0, prompts - cross)
        estimate = float(contrast.estimate(y[:, None])[0])
        found.append(_interval(estimate, variance, n_prompts, n_pairs))
    return found


def _interval(estimate: float, variance: float, n_prompts: int, n_pairs: int) -> Interval:
    n = min(n_prompts, n_pairs)
    if n_prompts < 2 or variance == 0:
        reason = NO_PROMPTS if n_prompts < 2 else ALL_ALIKE
        return Interval(estimate, None, None, n, method=METHOD, reason=reason)
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    return Interval(estimate, estimate - half, estimate + half, n, method=METHOD)


def _over_prompts(contrast: Contrast, y: Floats) -> Floats:
    """[S]: the linearised variance over prompts of the estimate from y [W, S]."""
    n = int((contrast.first > 0).sum())
    if n < 2:
        return np.zeros(y.shape[1])
    found: Floats = (contrast.residuals(y) ** 2).sum(axis=0) * n / (n - 1)
    return found


def _swapped(
    seen: sparse.csr_array, control: sparse.csr_array, seed: int, swaps: int
) -> Iterator[Floats]:
    """Blocks [W, S] of y where the rows of each pair change sides at random."""
    generator = np.random.default_rng(seed)
    for start in range(0, swaps, _SWAPS_AT_ONCE):
        size = min(_SWAPS_AT_ONCE, swaps - start)
        stay = generator.integers(0, 2, (seen.shape[1], size), dtype=np.int32)
        first = seen @ stay + control @ (1 - stay) > 0
        second = control @ stay + seen @ (1 - stay) > 0
        yield first.astype(np.float64) - second


def _y(seen: sparse.csr_array, control: sparse.csr_array) -> Floats:
    first, second = (np.asarray(side.sum(axis=1)).ravel() > 0 for side in (seen, control))
    return first.astype(np.float64) - second
