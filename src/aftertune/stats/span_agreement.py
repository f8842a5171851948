"""How far people's marked spans agree: F1 over tokens (pure numpy).

F1 = 2 |A and B| / (|A| + |B|) over the tokens that two raters marked. 1: the same tokens; 0: none
in common. It needs no count of tokens that nobody marked, and is what kappa becomes where those are
many (Hripcsak and Rothschild, Journal of the American Medical Informatics Association 12, 2005).
Long marks meet by chance, so beside it stands the F1 of as many tokens placed at random in the same
responses; negative differences mean that people marked what the others left out.

A response in which neither marked anything has no tokens to agree on: it adds nothing to F1, which
is taken over all responses together. How often people agree that there is anything to mark is
`percent_agreement` of "marked something".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from aftertune.stats.bounds import EXACT, resampled, unseen
from aftertune.stats.intervals import DRAWS, LEVEL, Array, Interval, absent, resamples

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SpanAgreement:
    """F1 of pairs of raters, from 0 to 1, over responses.

    f1: as marked. chance: the same numbers of tokens placed at random. difference: f1 - chance.
    n_unmarked: pairs of raters of a response of which neither marked anything.
    """

    f1: Interval
    chance: Interval
    difference: Interval
    n_unmarked: int


def marked(
    tokens: Sequence[tuple[int, int]] | npt.NDArray[np.int64], spans: Sequence[tuple[int, int]]
) -> Marks:
    """Which tokens [T] a rater's spans touch, by at least one character.

    tokens [T, 2] and spans: characters [start, end) of the response. An empty token (the stop
    token) is never marked. Raises ValueError for a span that is empty or ends before it starts.
    """
    bounds = np.asarray(tokens, np.int64).reshape(-1, 2)
    found = np.zeros(len(bounds), bool)
    for start, end in spans:
        if not 0 <= start < end:
            raise ValueError(f"a marked span holds at least one character, unlike {start} to {end}")
        found |= (np.maximum(bounds[:, 0], start) < np.minimum(bounds[:, 1], end)).astype(bool)
    return found


def span_agreement(
    marks: Sequence[Sequence[Marks | None]],
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> SpanAgreement:
    """F1 of marked tokens over all pairs of raters of each response; intervals draw responses.

    marks: per response one entry per rater, the marks [T] of its tokens, or None where the rater
    did not read it. A rater may as well be a tracer or a detector. The pairs of a response share a
    weight of 1, so responses that more people read weigh no more. Raises ValueError where two
    raters' marks of a response are not of one length.
    """
    found = [_of_response(response) for response in marks]
    rows = [sums for sums, _ in found if sums is not None]
    n_unmarked = sum(unmarked for _, unmarked in found)
    if not rows:
        none = absent("no response has two raters")
        return SpanAgreement(none, none, none, n_unmarked)
    features = np.asarray(rows)
    n = int((features[:, 2] > 0).sum())
    if n == 0:
        none = absent("nobody marked anything")
        return SpanAgreement(none, none, none, n_unmarked)
    blocks = [_ratios(w @ features) for w in resamples(len(features), seed, draws)]
    drawn = np.concatenate(blocks or [np.empty((0, 3))])
    f1, chance, apart = _ratios(features.sum(0)[None])[0]
    without = "nobody marked anything in them"

    def interval(estimate: float, values: Array) -> Interval:
        return resampled(float(estimate), values, n, level, "response", without)

    of_marks, of_chance = interval(f1, drawn[:, 0]), interval(chance, drawn[:, 1])
    difference = interval(apart, drawn[:, 2])
    if n >= 2 and f1 in (0.0, 1.0):
        of_marks = _alike(float(f1), n, level)
        difference = _minus(of_marks, of_chance, float(apart))
    return SpanAgreement(of_marks, of_chance, difference, n_unmarked)


def _alike(f1: float, n: int, level: float) -> Interval:
    """The interval of an F1 that is 0 or 1 in all n responses, responses weighing alike."""
    low, high = (0.0, unseen(n, level)) if f1 == 0 else (1 - unseen(n, level), 1.0)
    return Interval(f1, low, high, n, level, EXACT.format(of="response"))


def _minus(f1: Interval, chance: Interval, estimate: float) -> Interval:
    """F1 less chance at the ends that are farthest apart."""
    if f1.low is None or f1.high is None or chance.low is None or chance.high is None:
        return replace(chance, estimate=estimate)
    return replace(f1, estimate=estimate, low=f1.low - chance.high, high=f1.high - chance.low)


def _of_response(raters: Sequence[Marks | None]) -> tuple[list[float] | None, int]:
    """2 |A and B|, the same by chance, |A| + |B|, as means over pairs; and the unmarked pairs."""
    read = [np.asarray(one, bool) for one in raters if one is not None]
    if len({one.shape for one in read}) > 1:
        raise ValueError("the raters' marks of a response are of different lengths")
    pairs = list(combinations(read, 2))
    if not pairs:
        return None, 0
    both, chance, size = 0.0, 0.0, 0.0
    unmarked = 0
    for first, second in pairs:
        a, b = int(first.sum()), int(second.sum())
        unmarked += a + b == 0
        both += 2 * int((first & second).sum())
        chance += 2 * a * b / max(1, len(first))
        size += a + b
    return [both / len(pairs), chance / len(pairs), size / len(pairs)], unmarked


def _ratios(sums: Array) -> Array:
    """[D, 3] -> [D, 3]: F1, F1 by chance, and the difference; NaN where nothing was marked."""
    with np.errstate(invalid="ignore", divide="ignore"):
        f1, chance = sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]
    return np.stack([f1, chance, f1 - chance], axis=1)
