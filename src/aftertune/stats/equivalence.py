"""Whether a change is small enough to be called none (pure).

That an interval holds 0 does not say that nothing changes. Two one-sided tests do (Schuirmann,
Journal of Pharmacokinetics and Biopharmaceutics 15, 1987): a change is within a margin, at an error
rate of 5%, where its whole 90% interval is. The margin says what is small, so it has to be fixed
before the judged values are known.
"""

from dataclasses import asdict, dataclass
from typing import Any

from scipy import special

from aftertune.stats.intervals import Interval

EQUIVALENCE_LEVEL = 0.90  # of the interval: both one-sided tests at 5%


@dataclass(frozen=True)
class Margin:
    """How large a change may be and still be called none.

    value: in the unit of what is judged, over 0. rule: how the value came about, in words.
    fixed_at: when it was written down (ISO 8601). source: what was looked at for it.
    Raises ValueError for a value that is no margin.
    """

    value: float
    rule: str
    fixed_at: str
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.value < float("inf"):
            raise ValueError(f"a margin is over 0 and finite, not {self.value}")

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def is_within(change: Interval, margin: Margin) -> bool:
    """Whether `change`, a 90% interval, lies within -margin and margin; absent ends never do.

    Raises ValueError for an interval of another level.
    """
    if abs(change.level - EQUIVALENCE_LEVEL) > 1e-9:
        raise ValueError(f"equivalence needs a {EQUIVALENCE_LEVEL:.0%} interval")
    if change.low is None or change.high is None:
        return False
    return -margin.value < change.low and change.high < margin.value


def smallest_provable(
    standard_error: float | None, groups: float | None, power: float = 0.80
) -> float | None:
    """The smallest margin at which a change of exactly 0 is called none with chance `power`.

    (t at 95% + t at (1 + power) / 2) x standard error, with groups - 1 degrees of freedom: both
    ends of the 90% interval have to stay inside (Chow, Shao and Wang, "Sample Size Calculations in
    Clinical Research", 2008, section 3.1). The standard error is taken as known. None without one.
    """
    if standard_error is None or groups is None or groups < 2:
        return None
    degrees = groups - 1
    t = special.stdtrit(degrees, (1 + EQUIVALENCE_LEVEL) / 2)
    return float(t + special.stdtrit(degrees, (1 + power) / 2)) * standard_error
