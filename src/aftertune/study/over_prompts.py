"""Means and differences of what people said, with intervals that draw prompts (pure).

Ratings of one prompt hang together, and a prompt counts once however many people rated it. Where
all prompts are alike, drawing them again would give a width of 0: an exact bound stands there, or
no interval.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import Interval, absent, paired_difference
from aftertune.study.agreement import Drawing
from aftertune.study.rated import Rated

Groups = Mapping[Hashable, Sequence[float]]  # prompt -> a value of each of its ratings


def groups(some: Sequence[Rated], value: Callable[[Rated], float]) -> dict[Hashable, list[float]]:
    """prompt -> `value` of each of its ratings."""
    found: dict[Hashable, list[float]] = defaultdict(list)
    for one in some:
        found[one.prompt_id].append(value(one))
    return found


def per_prompt(values: Groups) -> list[float]:
    """The mean over each prompt's ratings, in the order of the prompts."""
    return [float(np.mean(some)) for some in values.values()]


def mean(values: Groups, drawing: Drawing, ends: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """The mean over prompts of values that lie between `ends`."""
    return bounded_mean(
        per_prompt(values), drawing.seed, drawing.draws, drawing.level, "prompt", ends
    )


def paired(
    first: Sequence[float], second: Sequence[float], of_first: Sequence[float] | None,
    of_second: Sequence[float] | None, drawing: Drawing,
) -> Interval:  # fmt: skip
    """first less second, prompt by prompt; of_first, of_second: what they are shares of."""
    if not first:
        return absent("no prompt was rated for both models")
    found = paired_difference(
        first, second, of_first, of_second, drawing.seed, drawing.draws, drawing.level
    )
    return unless_alike(found)


def unless_alike(found: Interval) -> Interval:
    """Without an interval where no prompt differs from another: a width of 0 would be a claim."""
    if found.low is None or found.low != found.high:
        return found
    return replace(found, low=None, high=None, reason="all prompts are alike")
