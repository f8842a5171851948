"""The smallest difference that a comparison could have seen (pure).

An interval that holds 0 says little without it: a comparison that could only have seen 0.2 nats
has not shown that 0.05 are absent.
"""

from scipy import special

from aftertune.stats.intervals import LEVEL, Interval

POWER = 0.80


def smallest_detectable(
    standard_error: float | None, n: float, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The true difference that a two-sided t test at 1 - `level` finds with chance `power`.

    It is lambda x standard_error, lambda being the noncentrality at which t with n - 1 degrees
    exceeds its critical value with chance `power` (Cohen, "Statistical Power Analysis", 1988,
    chapter 2; Bloom, "Minimum detectable effects", Evaluation Review 19, 1995, whose sum of two
    quantiles is the same for many groups and too small for few). For 80% and 5%: 2.80 with many
    groups, 3.27 with 8, 3.76 with 5.

    standard_error: of the difference, in its unit; n: groups that it rests on. None where there is
    no standard error or are fewer than two groups.
    """
    if standard_error is None or n < 2:
        return None
    degrees = n - 1
    critical = special.stdtrit(degrees, (1 + level) / 2)
    return float(special.nctdtrinc(degrees, 1 - power, critical)) * standard_error


def detectable_of(interval: Interval, power: float = POWER) -> float | None:
    """`smallest_detectable` of an interval over groups, whose standard error is in its width.

    The intervals of `stats.intervals` are as wide as a t interval: 2 t standard errors.
    """
    if interval.low is None or interval.high is None:
        return None
    half = (interval.high - interval.low) / 2
    t = float(special.stdtrit(interval.n - 1, (1 + interval.level) / 2))
    return smallest_detectable(half / t, interval.n, interval.level, power)
