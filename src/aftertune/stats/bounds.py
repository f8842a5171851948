"""What a bootstrap cannot say by itself (pure).

Where nothing varies, every resample is the same and a percentile interval has width 0: 0 of 20 is
not "never". The exact bound of a binomial share stands there instead. And a statistic that many
resamples leave undefined has no ends that could be read off the rest.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from aftertune.stats import intervals
from aftertune.stats.intervals import Array, Interval

EXACT = "exact binomial bound over {of}s"


def unseen(n: int, level: float) -> float:
    """The largest share at which n draws, with chance (1 - level) / 2, still hold none of it.

    u with (1 - u)^n = (1 - level) / 2: the upper end of Clopper and Pearson's interval for 0 of n
    (Biometrika 26, 1934). n at least 1.
    """
    return float(1 - ((1 - level) / 2) ** (1 / n))


def bounded_mean(
    values: npt.ArrayLike,
    seed: int,
    draws: int,
    level: float,
    of: str = "item",
    ends: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Interval of the mean of `values` [n] that lie within `ends`: bootstrap, where they vary.

    Where all are v, at most `unseen` of what is drawn differs from v, by at most the way to either
    end.
    """
    found = np.asarray(values, np.float64)
    n = len(found)
    if n == 0:
        return Interval(None, None, None, 0, level, reason="no values")
    estimate = float(found.mean())
    if n >= 2 and (found == found[0]).all():
        alike, most = float(found[0]), unseen(n, level)
        low, high = (alike + most * (end - alike) for end in ends)
        return Interval(alike, low, high, n, level, EXACT.format(of=of))
    drawn = [w @ found / n for w in intervals.resamples(n, seed, draws)]
    return resampled(estimate, np.concatenate(drawn or [np.empty(0)]), n, level, of)


def resampled(
    estimate: float, drawn: Array, n: int, level: float, of: str = "item", undefined: str = ""
) -> Interval:
    """`intervals.interval_of` for groups called `of`; NaN in `drawn` [D]: no value in a resample.

    The ends are absent where more resamples are undefined than lie outside of one end; `undefined`
    says of such a resample what it lacks.
    """
    missing = 1 - np.isfinite(drawn).mean() if len(drawn) else 0.0
    method = f"expanded percentile bootstrap over {of}s"
    if n >= 2 and missing > (1 - level) / 2:
        reason = f"{missing:.0%} of the resamples have no value: {undefined}"
        return Interval(estimate, None, None, n, level, method, reason)
    found = replace(intervals.interval_of(estimate, drawn, n, level), method=method)
    return replace(found, reason=f"one {of} has no interval") if n == 1 else found


def share(hits: int, n: int) -> dict[str, float | int | str | None]:
    """A share with its exact (Clopper-Pearson) 95% interval, which a share of 0 has too."""
    if not n:
        return {"estimate": None, "low": None, "high": None, "n": 0, "reason": "there are none"}
    low, high = binomtest(hits, n).proportion_ci(0.95, method="exact")
    return {"estimate": hits / n, "low": float(low), "high": float(high), "n": n, "reason": None}
