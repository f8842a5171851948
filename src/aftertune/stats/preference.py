"""Which of two answers people prefer, and what became of answers: shares and strengths (pure).

Ties are results, not missing values. What is drawn anew for the intervals is the prompt (or item):
ratings of one prompt hang together. Several ratings of the same thing are averaged first, so that
prompts which more people rated weigh no more.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import DRAWS, LEVEL, Array, Interval


@dataclass(frozen=True)
class WinRate:
    """One model against another: shares from 0 to 1, over prompts.

    score: win + tie / 2; 0.5 is no preference. win, tie, loss: of the first model; they sum to 1.
    """

    score: Interval
    win: Interval
    tie: Interval
    loss: Interval


def win_rate(
    scores: npt.ArrayLike,
    prompts: Sequence[Hashable],
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> WinRate:
    """How often the first of two models wins, with ties.

    scores [n]: of the first model in each rating: 1 won, 0.5 tie, 0 lost. prompts [n]: the prompt
    of each. A prompt counts once. Raises ValueError for other scores.
    """
    found = checked_scores(scores)

    def mean(values: Array) -> Interval:
        return bounded_mean(_per_group(values, prompts), seed, draws, level, "prompt")

    won, tied, lost = (mean((found == score).astype(np.float64)) for score in (1.0, 0.5, 0.0))
    return WinRate(mean(found), won, tied, lost)


def outcome_shares(
    labels: Sequence[Hashable],
    items: Sequence[Hashable],
    classes: Sequence[Hashable],
    together: bool = False,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> dict[Hashable, Interval]:
    """The share of items of each class (the five outcomes of the paper's figure 6, say).

    labels [n]: a rating's class; items [n]: the item it is of. An item that several people rated
    counts once, split among the classes they gave. The estimates sum to 1, over all `classes`; a
    class that nobody gave has the exact bound on what so many items can miss.

    Each interval holds its own class at `level`. together: all of them hold at once at `level`,
    each being at 1 - (1 - level) / len(classes) (Bonferroni). Raises ValueError for a label outside
    of `classes`, or classes named twice.
    """
    if len(set(classes)) != len(classes):
        raise ValueError("a class is named twice")
    if outside := set(labels) - set(classes):
        raise ValueError(f"{outside.pop()!r} is none of the classes {list(classes)}")
    each = 1 - (1 - level) / max(1, len(classes)) if together else level
    found = {}
    for one in classes:
        given = np.asarray([label == one for label in labels], np.float64)
        found[one] = bounded_mean(_per_group(given, items), seed, draws, each)
    return found


def checked_scores(scores: npt.ArrayLike) -> Array:
    """Scores [n] of a comparison's first side. Raises ValueError for others than 1, 0.5 and 0."""
    found = np.asarray(scores, np.float64)
    if found.ndim != 1 or not np.isin(found, (0.0, 0.5, 1.0)).all():
        raise ValueError("a score is 1 (won), 0.5 (tie) or 0 (lost)")
    return found


def _per_group(values: Array, groups: Sequence[Hashable]) -> Array:
    """The mean of `values` [n] in each group, groups as they first appear."""
    if len(values) != len(groups):
        raise ValueError(f"{len(values)} ratings for {len(groups)} places")
    number = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    code = np.asarray([number[name] for name in groups], np.intp)
    of = np.bincount(code, minlength=len(number))
    return np.asarray(np.bincount(code, values, len(number)) / of, np.float64)
