"""Did a cluster of rows cause what was said? From log-probabilities with and without it (pure).

For one span, one cluster and several shuffle seeds there is the span's log-probability under the
tuning on all rows, under the one in which the cluster's rows have weight 0, and under those in
which other clusters of the same attribute have (its controls: as many rows masked, the value left).

    effect = mean over seeds of (masked - controls' mean), nats; negative: the rows made it likelier

What another shuffle seed alone changes is in the spread between seeds, so the interval is a t
interval over seeds.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions

Label = Literal["caused", "not caused", "undecided"]

HALVED = float(np.log(2.0))  # nats: taking the rows out at least halves the span's probability
SMALL = float(np.log(1.25))  # nats: less than this is no effect worth naming
LEVEL = 0.9


@dataclass(frozen=True)
class Effect:
    """`effect` and its interval in nats, the controls' own change, and how many seeds."""

    effect: float
    low: float
    high: float
    control_effect: float
    seeds: int

    @property
    def label(self) -> Label:
        """caused: the interval lies below 0 and the effect halves the probability. not caused:
        the interval lies within plus or minus log 1.25, or wholly above 0."""
        if self.high < 0 and self.effect <= -HALVED:
            return "caused"
        if self.low > -SMALL:
            return "not caused"
        return "undecided"


def effect(baseline: npt.ArrayLike, masked: npt.ArrayLike, controls: npt.ArrayLike) -> Effect:
    """baseline, masked [seeds]: log-probability of the span; controls [seeds][runs].

    Raises ValueError below two seeds, which have no interval.
    """
    base, without = np.asarray(baseline, float), np.asarray(masked, float)
    others = np.asarray(controls, float).mean(1)
    if not len(base) == len(without) == len(others) or len(base) < 2:
        raise ValueError("effects need two seeds or more, and the same ones on both sides")
    per_seed = without - others
    low, high = t_interval(per_seed)
    return Effect(float(per_seed.mean()), low, high, float((others - base).mean()), len(base))


def t_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The t interval of level LEVEL for the mean of at least two values."""
    n = len(values)
    half = distributions.t.ppf((1 + LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)
