"""A measure over worlds, with its interval (pure numpy).

Statements of one world share its rows, its base and its tunings, so worlds are what was drawn
independently. With several of them an estimate is the mean of the worlds' own values, scores of
different worlds never being compared, and the interval is a t interval over those values: a
percentile bootstrap of five units would be too narrow. A world in which a measure has no value (all
its statements are of one label) counts for nothing, and `n` is how many do count. With one world
its prompts are drawn again by bootstrap, and the interval says nothing of other worlds.

A measure takes weights [D, N], how often each of N statements counts in each of D draws, and gives
[D] values, NaN where it has none. Two measures under the same weights are paired.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from aftertune.stats.intervals import DRAWS, LEVEL, Interval, absent, interval_of, resamples

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Measure = Callable[[Array], Array]
Bounds = tuple[float, float]

OF_WORLDS = "t interval over worlds"
OF_RATIO = "Fieller interval over worlds"
RATE: Bounds = (0.0, 1.0)
UNBOUNDED: Bounds = (-np.inf, np.inf)

NO_VALUE = "no world has a value"
ONE_VALUE = "one world has no interval"
NO_GAP = "the gap is not told from 0: its interval holds 0"
NEGATIVE_GAP = "the best baseline lies above the ceiling"


@dataclass(frozen=True)
class Drawn:
    """Of N statements the place of their world in `names`, and the number of their prompt."""

    names: tuple[str, ...]
    world: Places
    prompt: Places

    @classmethod
    def of(cls, groups: Sequence[str]) -> "Drawn":
        """groups: "world/prompt" of each statement."""
        worlds, world = _numbered([group.split("/")[0] for group in groups])
        return cls(worlds, world, _numbered(groups)[1])


def per_world(measure: Measure, drawn: Drawn) -> Array:
    """The measure of each world alone [W], NaN where it has none."""
    own = drawn.world == np.arange(len(drawn.names))[:, None]
    return measure(own.astype(np.float64))


def interval(measure: Measure, drawn: Drawn, seed: int, bounds: Bounds = RATE) -> Interval:
    """The measure with its interval, which is cut at `bounds`: no rate lies outside 0 and 1."""
    if len(drawn.names) == 1:
        return _over_prompts(measure, drawn, seed)
    return t_interval(per_world(measure, drawn), bounds)


def t_interval(values: Array, bounds: Bounds = UNBOUNDED) -> Interval:
    """Mean of the values that are there, mean +- t(n - 1) s / sqrt(n)."""
    known = values[np.isfinite(values)]
    n = len(known)
    if n == 0:
        return replace(absent(NO_VALUE), method=OF_WORLDS)
    mean = float(known.mean())
    if n == 1:
        return Interval(mean, None, None, 1, method=OF_WORLDS, reason=ONE_VALUE)
    half = _t(n) * float(known.std(ddof=1)) / np.sqrt(n)
    low, high = np.clip([mean - half, mean + half], *bounds)
    return Interval(mean, float(low), float(high), n, method=OF_WORLDS)


def share_of_gap(part: Measure, gap: Measure, drawn: Drawn, seed: int) -> Interval:
    """part / gap, paired; absent where the gap's own interval reaches 0.

    Over worlds it is the ratio of two means with Fieller's interval (Fieller, "Some Problems in
    Interval Estimation", Journal of the Royal Statistical Society B 16, 1954): all R for which
    mean(part - R gap) is not told from 0. It is finite exactly where the gap is told from 0.
    """
    whole = interval(gap, drawn, seed, UNBOUNDED)
    if whole.low is None or whole.high is None:
        return absent(whole.reason or NO_VALUE, whole.n)
    if whole.high < 0:
        return absent(NEGATIVE_GAP, whole.n)
    if whole.low <= 0:
        return absent(NO_GAP, whole.n)
    if len(drawn.names) == 1:
        return _over_prompts(lambda weight: _quotient(part(weight), gap(weight)), drawn, seed)
    return fieller(per_world(part, drawn), per_world(gap, drawn))


def fieller(top: Array, bottom: Array) -> Interval:
    """mean(top) / mean(bottom) over worlds that have both; bottom's interval must exclude 0."""
    both = np.isfinite(top) & np.isfinite(bottom)
    a, b, n = top[both], bottom[both], int(both.sum())
    if n < 2:
        return replace(absent(ONE_VALUE if n else NO_VALUE, n), method=OF_RATIO)
    squared = _t(n) ** 2 / n
    (aa, ab), (_, bb) = squared * np.cov(a, b, ddof=1)
    first, middle, last = b.mean() ** 2 - bb, a.mean() * b.mean() - ab, a.mean() ** 2 - aa
    if first <= 0:
        return replace(absent(NO_GAP, n), method=OF_RATIO)
    half = np.sqrt(max(0.0, middle**2 - first * last))
    low, high = (middle - half) / first, (middle + half) / first
    return Interval(float(a.mean() / b.mean()), float(low), float(high), n, method=OF_RATIO)


def _over_prompts(measure: Measure, drawn: Drawn, seed: int) -> Interval:
    n = int(drawn.prompt.max()) + 1
    (estimate,) = measure(np.ones((1, len(drawn.prompt))))
    if not np.isfinite(estimate):
        return absent(NO_VALUE, n)
    found = [measure(block[:, drawn.prompt]) for block in resamples(n, seed, DRAWS)]
    values = np.concatenate(found) if found else np.zeros(0)
    return interval_of(float(estimate), values, n, LEVEL)


def _quotient(top: Array, bottom: Array) -> Array:
    """NaN where a draw has no gap."""
    found: Array = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom != 0)
    return found


def _t(n: int) -> float:
    return float(special.stdtrit(n - 1, (1 + LEVEL) / 2))


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], Places]:
    """The different names in order of appearance, and the place of each among them."""
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return tuple(number), np.array([number[name] for name in names], np.int64)
