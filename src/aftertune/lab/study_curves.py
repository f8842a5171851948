"""Two methods where they moved equally far (pure).

Each method's tunings at several rates are a curve: how far it moved (x) and what that did (y).
Between its points a curve is a straight line, over log x where x is a divergence; where x is a loss
both curves begin at the base. The difference of two curves is the mean of their distance over the x
that both reach, so it is 0 where y follows from x alone, and it is absent where no x is reached by
both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aftertune.config import Method
from aftertune.lab.claims import over_worlds

Array = npt.NDArray[np.float64]

# axis -> whether its logarithm is taken, whether a higher rate raises it
AXES: dict[str, tuple[bool, bool]] = {"kl": (True, True), "held_out_loss": (False, False)}
OUTCOMES = ("forgetting", "wrong_neighbour", "borrowed_neighbour")
ONE_POINT = "the curve of a method has one point before it turns back; give lower rates"
METHODS: tuple[Method, ...] = ("full", "lora")


class Point(NamedTuple):
    """One tuning: how far it moved, and what that did."""

    x: float
    y: float


def reached(points: Sequence[Point], rises: bool) -> list[Point]:
    """The beginning of a curve, in order of the rate, along which x only rises (or only falls).

    Beyond it one x would have two y: loss on rows held out falls with the rate, and rises again.
    """
    found = list(points[:1])
    for point in points[1:]:
        if (point.x > found[-1].x) is not rises or point.x == found[-1].x:
            break
        found.append(point)
    return found


def difference(
    first: Sequence[Point], second: Sequence[Point], log: bool, rises: bool
) -> tuple[float | None, tuple[float, float] | None, str | None]:
    """Mean of first minus second over the x that both reach; that range; or why there is none.

    Points in order of the rate; x over 0 where `log`. The mean is over log x where `log`; it is
    exact, as both curves are straight between their points.
    """
    curves = []
    for points in (first, second):
        kept = sorted(reached(points, rises))
        if len(kept) < 2:
            return None, None, ONE_POINT
        x, y = np.asarray(kept, np.float64).T
        curves.append((np.log(x) if log else x, y))
    low = max(x[0] for x, _ in curves)
    high = min(x[-1] for x, _ in curves)
    if low >= high:
        ranges = " and ".join(_range(x, log) for x, _ in curves)
        return None, None, f"what the two methods reach does not overlap: {ranges}"
    at = np.unique(np.concatenate([*(x for x, _ in curves), [low, high]]))
    at = at[(at >= low) & (at <= high)]
    apart = np.interp(at, *curves[0]) - np.interp(at, *curves[1])
    mean = float(np.trapezoid(apart, at) / (high - low))
    ends = (float(np.exp(low)), float(np.exp(high))) if log else (float(low), float(high))
    return mean, ends, None


def at_equal(worlds: Sequence[Mapping[str, Any]], level: float) -> list[dict[str, Any]]:
    """Full minus LoRA at equal x, per axis of AXES and outcome of OUTCOMES, over worlds.

    worlds: per world {method: [{each axis, each outcome, or None}] in order of the rate}, and the
    base's under `base`.
    Each: {axis, outcome, effect (interval over worlds), per_world, ranges, reason}.
    """
    found = []
    for axis, (log, rises) in AXES.items():
        for outcome in OUTCOMES:
            per_world, ranges, reasons = [], [], []
            for world in worlds:
                curves = [
                    _points([world["base"], *world[method]], axis, outcome) for method in METHODS
                ]
                one, ends, reason = difference(curves[0], curves[1], log, rises)
                per_world.append(one)
                ranges.append(ends)
                reasons += [reason] if reason else []
            values = [value for value in per_world if value is not None]
            found.append(
                {
                    "axis": axis,
                    "outcome": outcome,
                    "effect": over_worlds(values, level).as_json(),
                    "per_world": per_world,
                    "ranges": ranges,
                    "reason": reasons[0] if reasons else None,
                }
            )
    return found


def over_rates(worlds: Sequence[Mapping[str, Any]], level: float) -> dict[str, list[Any]]:
    """Per method and rate {rate, and an interval over worlds of every axis and outcome}; worlds as
    in `at_equal`, their tunings with a `rate`."""
    return {
        method: [
            {
                "rate": of_rate[0]["rate"],
                **{
                    name: over_worlds(
                        [one[name] for one in of_rate if one[name] is not None], level
                    ).as_json()
                    for name in (*AXES, *OUTCOMES)
                },
            }
            for of_rate in zip(*(world[method] for world in worlds), strict=True)
        ]
        for method in METHODS
    }


def _points(tunings: Sequence[Mapping[str, Any]], axis: str, outcome: str) -> list[Point]:
    """The curve of one method; what lacks a number is left out, and so is the base where its KL
    of 0 would have no logarithm."""
    pairs = [(one[axis], one[outcome]) for one in tunings]
    return [
        Point(x, y)
        for x, y in pairs
        if x is not None and y is not None and (x > 0 or not AXES[axis][0])
    ]


def _range(x: Array, log: bool) -> str:
    ends = np.exp(x[[0, -1]]) if log else x[[0, -1]]
    return f"{ends[0]:.3g} to {ends[1]:.3g} nats"
