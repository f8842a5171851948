"""How many items are still needed before a comparison is decided (pure).

Decided means: the interval leaves out a fixed value (0.5 for a win rate, 0 for a difference). A
standard error falls as 1 / sqrt(items), so the number follows from the interval in hand and from
how far the truth lies from that value, which is not known. Two answers are therefore given: for a
truth at the estimate, and for the most favourable truth that the interval still holds. Nothing
bounds the number from above while the interval holds the value itself.

The number is for planning one further batch. Adding items one by one until the interval leaves the
value out finds a difference too often where there is none.
"""

from dataclasses import asdict, dataclass
from typing import Any

from scipy import special

from aftertune.stats.detectable import POWER, smallest_detectable
from aftertune.stats.intervals import Interval

MOST = 1_000_000


@dataclass(frozen=True)
class ItemsNeeded:
    """Items (the interval's groups) in all, for a decision with chance `power`.

    decided: whether the interval in hand leaves `against` out already; then nothing more is needed.
    more: beyond those in hand, for a truth at the estimate, or at the given difference; total: with
    them. 0 more though undecided: the items in hand would have shown so large a difference.
    fewest: `total` for the most favourable truth that the interval holds; absent where a difference
    was given. None with a reason where there is no such number, or it is over 1,000,000.
    """

    against: float
    decided: bool
    more: int | None
    total: int | None
    fewest: int | None
    power: float
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def items_needed(
    interval: Interval, against: float, difference: float | None = None, power: float = POWER
) -> ItemsNeeded:
    """The smallest number of items with which the interval leaves `against` out, 80 times in 100.

    It is the smallest n with smallest_detectable(s sqrt(n_now / n), n) <= distance, s the standard
    error in the interval's width (`stats.detectable`). distance: `difference`, the smallest that
    would matter, over 0; without it, that of the estimate from `against`. Raises ValueError for a
    difference that is none.
    """
    if difference is not None and not 0 < difference < float("inf"):
        raise ValueError(f"a difference that matters is over 0 and finite, not {difference}")
    estimate, low, high = interval.estimate, interval.low, interval.high
    if estimate is None or low is None or high is None:
        reason = interval.reason or "there is no interval"
        return ItemsNeeded(against, False, None, None, None, power, reason)
    if low > against or high < against:
        return ItemsNeeded(against, True, 0, interval.n, None, power)
    t = float(special.stdtrit(interval.n - 1, (1 + interval.level) / 2))
    spread = (high - low) / 2 / t * interval.n**0.5  # the standard error of a single item
    distance = abs(estimate - against) if difference is None else difference
    farthest = max(against - low, high - against)
    fewest = _smallest(spread, farthest, interval.level, power) if difference is None else None
    fewest = fewest and max(fewest, interval.n)
    total = _smallest(spread, distance, interval.level, power)
    if total is None:
        reason = (
            f"the estimate is {against:g}" if distance == 0 else f"more than {MOST:,} are needed"
        )
        return ItemsNeeded(against, False, None, None, fewest, power, reason)
    more = max(0, total - interval.n)
    return ItemsNeeded(against, False, more, interval.n + more, fewest, power)


def _smallest(spread: float, distance: float, level: float, power: float) -> int | None:
    """The smallest n from 2 to MOST at which `distance` is detectable; detectable falls with n."""

    def enough(n: int) -> bool:
        found = smallest_detectable(spread / n**0.5, n, level, power)
        return found is not None and found <= distance

    if not enough(MOST):
        return None
    low, high = 1, MOST  # not enough, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
