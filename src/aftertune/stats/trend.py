"""Does a mean rise or fall with the number of rows, or is it flat? (pure numpy)

The trend is the slope of the mean against log2 of the size: the change per doubling. It serves
values at a fixed number of epochs and at a fixed number of steps alike; which of them they are
is the caller's to say.

"flat" is said only by an equivalence test with a margin that was fixed before: the 90% interval of
the change between every two sizes lies within it, the smallest and the largest among them. All of
them, because a curve that rises and falls again ends where it began; that several tests must all
pass keeps the error rate of one (Berger, Technometrics 24, 1982).

Simulated error rates with 5 seeds, 24 prompts and 3 sizes stand in `tests/stats/test_trend.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aftertune.stats.equivalence import (
    EQUIVALENCE_LEVEL,
    Margin,
    is_within,
    smallest_provable,
)
from aftertune.stats.intervals import DRAWS, Array
from aftertune.stats.seeds import SpeaksOf, Statement, statement

Verdict = Literal["flat", "rises", "falls", "undecided"]


@dataclass(frozen=True)
class Change:
    """The mean at the larger size minus that at the smaller, with a 90% interval."""

    smaller: int
    larger: int
    found: Statement

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"smaller": self.smaller, "larger": self.larger, **self.found.as_json()}


@dataclass(frozen=True)
class Trend:
    """A verdict on a curve over sizes, and what it rests on.

    slope: change per doubling, with a 95% interval. changes: between every two sizes.
    provable_margin: the smallest margin at which a flat curve's ends would be called flat with 80%
    power. reason: why the verdict is not another.
    """

    sizes: tuple[int, ...]
    verdict: Verdict
    reason: str
    slope: Statement
    changes: tuple[Change, ...]
    margin: Margin | None
    provable_margin: float | None

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "sizes": list(self.sizes),
            "verdict": self.verdict,
            "reason": self.reason,
            "slope": self.slope.as_json(),
            "changes": [change.as_json() for change in self.changes],
            "margin": self.margin.as_json() if self.margin else None,
            "provable_margin": self.provable_margin,
        }


def trend(
    sizes: Sequence[int],
    sums: npt.ArrayLike,
    counts: npt.ArrayLike | None,
    margin: Margin | None,
    speaks_of: SpeaksOf = "method",
    seed: int = 0,
    draws: int = DRAWS,
) -> Trend:
    """The trend of the mean over `sizes`, each over 0 and larger than the one before.

    sums, counts [K, S, P]: as in `stats.seeds.statement`, one k per size. Without a margin the
    verdict is never "flat". Raises ValueError for fewer than two sizes or another order.
    """
    if len(sizes) < 2 or sizes[0] <= 0 or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"a trend needs two or more growing sizes, not {list(sizes)}")
    top = np.asarray(sums, np.float64)
    bottom = np.ones_like(top) if counts is None else np.asarray(counts, np.float64)
    # one set of prompts for slope and changes: those with a value at every size
    whole = (~np.isnan(top) & (bottom > 0)).all((0, 1))
    top, bottom = top[:, :, whole], bottom[:, :, whole]
    slope = statement(top, bottom, _slope(sizes), speaks_of, seed, draws)
    changes = tuple(
        Change(
            sizes[i], sizes[j],
            statement(top[[i, j]], bottom[[i, j]], (-1.0, 1.0), speaks_of, seed, draws,
                      EQUIVALENCE_LEVEL),
        )
        for i, j in combinations(range(len(sizes)), 2)
    )  # fmt: skip
    verdict, reason = _verdict(slope, changes, margin)
    ends = next(c.found for c in changes if (c.smaller, c.larger) == (sizes[0], sizes[-1]))
    provable = smallest_provable(ends.standard_error, ends.groups)
    return Trend(tuple(sizes), verdict, reason, slope, changes, margin, provable)


def _slope(sizes: Sequence[int]) -> Array:
    """What each size's mean is multiplied with to give the least-squares slope over log2(size)."""
    doublings = np.log2(np.asarray(sizes, np.float64))
    centred = doublings - doublings.mean()
    return np.asarray(centred / (centred @ centred), np.float64)


def _verdict(
    slope: Statement, changes: Sequence[Change], margin: Margin | None
) -> tuple[Verdict, str]:
    low, high = slope.interval.low, slope.interval.high
    if low is None or high is None:
        return "undecided", slope.interval.reason or "there is no interval"
    if margin and all(is_within(change.found.interval, margin) for change in changes):
        return "flat", "the 90% interval of every change between two sizes is within the margin"
    if low > 0 or high < 0:
        return ("rises" if low > 0 else "falls"), "the slope's 95% interval leaves 0 out"
    if margin is None:
        return "undecided", "the slope's 95% interval holds 0, and no margin was fixed beforehand"
    return "undecided", (
        "the slope's 95% interval holds 0, and the 90% interval of a change between two sizes "
        "leaves the margin"
    )
