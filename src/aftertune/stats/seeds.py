"""Statements about a method, and statements about given models (pure numpy).

Two tuned models that were compared on the same prompts differ in these weights, not yet in their
method: another seed gives other weights. A statement about a method therefore takes seeds and
prompts as drawn, both, and crossed: every seed's model answers every prompt. It needs at least
SEEDS_NEEDED seeds. A statement about given models draws prompts only.

Resampling seeds and prompts together (the pigeonhole bootstrap; Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 1, 2007) counts three times what is particular to one seed at one
prompt. Its deviations are therefore split into the part of the seeds, of the prompts, and the rest,
each is freed of its bias for few groups (S / (S - 1)), and the variance is seeds + prompts - rest,
as for errors clustered in two ways (Cameron, Gelbach and Miller, Journal of Business & Economic
Statistics 29, 2011), never less than either. The interval is a t interval with Satterthwaite's
degrees of freedom, at least those of the smaller side.

How far that holds, simulated with normal parts (1,500 sets, 5 or 8 seeds, 24 prompts): nominal 95%
intervals hold the truth in 93 to 96% where seeds or prompts matter, and in 96 to 99% where most
variation is particular to one seed at one prompt; they are too wide there. Percentiles of the
crossed resamples hold it in 91% where 5 seeds matter alone, and in all of 1,500 sets, at 1.7 times
the width, where the rest does.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from aftertune.stats import intervals
from aftertune.stats.detectable import smallest_detectable
from aftertune.stats.intervals import DRAWS, LEVEL, Array, Interval

SEEDS_NEEDED = 5
OF_METHOD = "t interval, standard error from resampling seeds and prompts"
_OTHER_STREAM = 2**32  # seeds are not drawn with the same numbers as prompts

SpeaksOf = Literal["method", "models"]


@dataclass(frozen=True)
class Statement:
    """An estimate, of what it speaks, and what it could have seen.

    speaks_of: "method" (seeds and prompts were drawn again) or "models" (prompts only: true of
    these tuned models). standard_error: in the estimate's unit. groups: effective number that the
    standard error rests on. smallest_detectable: of a difference, at 5% and 80% power whatever the
    interval's level; see `stats.detectable`.
    """

    interval: Interval
    speaks_of: SpeaksOf
    n_seeds: int
    n_prompts: int
    standard_error: float | None = None
    groups: float | None = None
    smallest_detectable: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The interval's fields and the others, as JSON values."""
        rest = {name: value for name, value in vars(self).items() if name != "interval"}
        return {**self.interval.as_json(), **rest}


def statement(
    sums: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    coefficients: npt.ArrayLike = (1.0,),
    speaks_of: SpeaksOf = "method",
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Statement:
    """The sum over k of coefficients[k] x mean k, with its interval.

    sums [K, S, P]: what mean k sums for seed s at prompt p; counts [K, S, P]: over how many values
    (without: one each). Mean k is its sum of sums / its sum of counts, over seeds and prompts. One
    mean has coefficients [1], a difference [1, -1], a slope those of least squares. The same seed
    and the same prompt are drawn for all k together, so what they share cancels. A prompt that
    lacks a value anywhere (NaN, or count 0) is left out everywhere.

    "models" has the expanded percentile interval over prompts of `stats.intervals`; "method" with
    fewer than SEEDS_NEEDED seeds has none, and says so. Raises ValueError for other shapes.
    """
    top, bottom, weights = _checked(sums, counts, coefficients)
    n_seeds, n_prompts = top.shape[1:]
    estimate = float(_means(top.sum((1, 2)), bottom.sum((1, 2)), weights))
    reason = _why_none(estimate, n_seeds, n_prompts, speaks_of)
    if reason:
        known = estimate if np.isfinite(estimate) else None
        n = n_seeds if speaks_of == "method" else n_prompts
        none = Interval(known, None, None, n, level, reason=reason)
        return Statement(none, speaks_of, n_seeds, n_prompts)
    of_prompts = _weights(n_prompts, seed, draws)
    alone = np.ones((draws, n_seeds))
    prompts = _drawn(top, bottom, weights, alone, of_prompts) - estimate
    if speaks_of == "models":
        found = intervals.interval_of(estimate, prompts + estimate, n_prompts, level)
        error = float(prompts.std() * np.sqrt(n_prompts / (n_prompts - 1)))
        seen = smallest_detectable(error, n_prompts)
        return Statement(found, speaks_of, n_seeds, n_prompts, error, n_prompts, seen)
    of_seeds = _weights(n_seeds, seed + _OTHER_STREAM, draws)
    seeds = _drawn(top, bottom, weights, of_seeds, np.ones((draws, n_prompts))) - estimate
    rest = _drawn(top, bottom, weights, of_seeds, of_prompts) - estimate - seeds - prompts
    error, degrees = _two_way(seeds, prompts, rest, n_seeds, n_prompts)
    half = float(special.stdtrit(degrees, (1 + level) / 2)) * error
    found = Interval(estimate, estimate - half, estimate + half, n_seeds, level, OF_METHOD)
    seen = smallest_detectable(error, degrees + 1)
    return Statement(found, speaks_of, n_seeds, n_prompts, error, degrees + 1, seen)


def scope(n_seeds: int) -> SpeaksOf:
    """What so many seeds allow to speak of."""
    return "method" if n_seeds >= SEEDS_NEEDED else "models"


def _checked(
    sums: npt.ArrayLike, counts: npt.ArrayLike | None, coefficients: npt.ArrayLike
) -> tuple[Array, Array, Array]:
    """Sums and counts [K, S, P] of the prompts that have a value everywhere; coefficients [K]."""
    top, weights = np.asarray(sums, np.float64), np.asarray(coefficients, np.float64)
    bottom = np.ones_like(top) if counts is None else np.asarray(counts, np.float64)
    if top.ndim != 3 or bottom.shape != top.shape or weights.shape != top.shape[:1]:
        raise ValueError(
            f"sums {top.shape} and counts {bottom.shape} must both be [K, seeds, prompts], "
            f"coefficients {weights.shape} [K]"
        )
    whole = (~np.isnan(top) & (bottom > 0)).all((0, 1))
    return top[:, :, whole], bottom[:, :, whole], weights


def _why_none(estimate: float, n_seeds: int, n_prompts: int, of: SpeaksOf) -> str | None:
    if n_seeds == 0 or n_prompts == 0:
        return "no values"
    if not np.isfinite(estimate):
        return "a value is not finite"
    if n_prompts == 1:
        return "one prompt has no interval"
    if of == "method" and n_seeds < SEEDS_NEEDED:
        return (
            f"a statement about a method needs at least {SEEDS_NEEDED} seeds, and there are "
            f"{n_seeds}"
        )
    return None


def _weights(n: int, seed: int, draws: int) -> Array:
    """How often each of n groups is drawn, [draws, n]."""
    return np.concatenate(list(intervals.resamples(n, seed, draws)))


def _drawn(top: Array, bottom: Array, weights: Array, of_seeds: Array, of_prompts: Array) -> Array:
    """The estimate in every resample [D], given how often each seed and each prompt is drawn."""

    def total(values: Array) -> Array:  # [K, S, P] -> [D, K]
        per_seed = np.tensordot(of_prompts, values, (1, 2))  # [D, K, S]
        return np.asarray(np.einsum("dks,ds->dk", per_seed, of_seeds), np.float64)

    return _means(total(top), total(bottom), weights)


def _means(top: Array, bottom: Array, weights: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((top / bottom) @ weights, np.float64)


def _two_way(
    seeds: Array, prompts: Array, rest: Array, n_seeds: int, n_prompts: int
) -> tuple[float, float]:
    """Standard error and degrees of freedom from the three parts of the resamples' deviations."""
    by_seed, by_prompt = n_seeds / (n_seeds - 1), n_prompts / (n_prompts - 1)
    a, b = float(seeds.var() * by_seed), float(prompts.var() * by_prompt)
    variance = max(a + b - float(rest.var()) * by_seed * by_prompt, a, b)
    fewest = min(n_seeds, n_prompts) - 1
    spread = a**2 / (n_seeds - 1) + b**2 / (n_prompts - 1)
    degrees = max(variance**2 / spread, fewest) if spread > 0 else fewest
    return variance**0.5, degrees
