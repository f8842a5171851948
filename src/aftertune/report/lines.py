"""Pictures with lines: named series over one axis, with bands, and their names at their ends."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from aftertune.report import numbers
from aftertune.report.lettering import apart, shortened, width_of, wrapped
from aftertune.report.svg import (
    Scale,
    el,
    line,
    linear,
    mark,
    path,
    style_class,
    text,
    tick_label,
    x_axis,
    y_axis,
)

HEIGHT = 206.0  # px of the plot itself
LABEL = 170.0  # px that the names at the ends may take
GAP = 17.0  # px from one of these names to the next
NARROW = 400.0  # below this width the names stand in a legend, not at the ends

Points = Sequence[tuple[float, Mapping[str, Any]]]  # value on the axis, estimate with interval


@dataclass(frozen=True)
class Line:
    """One named series."""

    name: str
    style: int
    points: Points


@dataclass(frozen=True)
class Across:
    """The horizontal axis: where a value lies between 0 and 1, and which values are labelled."""

    title: str
    place: Callable[[float], float]
    marks: Sequence[float]
    form: Callable[[float], str] = tick_label


def steps(values: Sequence[float], title: str, form: Callable[[float], str]) -> Across:
    """An axis on which neighbours of `values`, from low to high, lie equally far apart."""
    return Across(title, _by_step(values), values, form)


def axis(values: Sequence[float], title: str, log: bool) -> Across:
    """An axis for a few values that are all labelled: linear or logarithmic.

    A logarithm has no place for 0 or less: then the values lie equally far apart, and the title
    says so.
    """
    known = sorted(set(values))
    form = numbers.rate if 0 < known[0] < 1e-3 and known[-1] < 1 else tick_label
    if len(known) == 1:
        return Across(title, lambda _: 0.5, known, form)
    if log and known[0] <= 0:
        return Across(f"{title} (in equal steps)", _by_step(known), known, form)
    bend = math.log if log else float
    low, high = bend(known[0]), bend(known[-1])
    return Across(title, lambda v: 0.04 + 0.92 * (bend(v) - low) / (high - low), known, form)


def _by_step(values: Sequence[float]) -> Callable[[float], float]:
    """Where a value lies when every one of `values` has a cell of the same width."""
    return lambda v: (float(np.interp(v, values, range(len(values)))) + 0.5) / len(values)


def draw(
    width: float,
    lines: Sequence[Line],
    across: Across,
    down: Sequence[float],
    y_title: str = "",
    n_marks: int = 12,
) -> tuple[float, list[Markup]]:
    """Height and parts; `down` are the labelled values of the vertical axis, from low to high."""
    named = width > NARROW
    measured = wrapped(y_title, width, 3, 12) if y_title else []
    top = 10.0 + 16 * len(measured)
    bottom = top + max(HEIGHT, GAP * len(lines) if named else 0.0)
    left = max(46.0, 14 + max(width_of(tick_label(v), 12) for v in down))
    label = min(LABEL, max(width_of(one.name) for one in lines)) if named else 0.0
    right = width - 14 - (label + 26 if named else 0.0)
    y = linear(down[0], down[-1], bottom, top)
    unit = linear(0.0, 1.0, left, right)

    def x(value: float) -> float:
        return unit(across.place(value))

    parts, height = x_axis(x, across.marks, (bottom, bottom), across.title, width, across.form)
    parts = [*y_axis(y, down, left, right), *parts]
    parts += [text(0, 12 + 15 * k, words, "axis") for k, words in enumerate(measured)]
    for one in lines:
        parts += _intervals(one, x, y)
    for one in lines:
        parts += _series(one, x, y, n_marks)
    return height, parts + (names(lines, x, y, right, label, (top, bottom)) if named else [])


def _series(one: Line, x: Scale, y: Scale, n_marks: int) -> list[Markup]:
    points = [(x(at), y(value["estimate"])) for at, value in one.points]
    every = max(1, len(points) // n_marks)
    marks = [mark(one.style, *point, size=3.6) for point in points[::every]]
    return [el("path", class_=f"series {style_class(one.style)}", d=path(points)), *marks]


def _intervals(one: Line, x: Scale, y: Scale) -> list[Markup]:
    """A band over neighbours that have intervals; alone, a point has a line."""
    known = [(x(at), value) for at, value in one.points if numbers.has_interval(value)]
    if len(known) == 1:
        ((at, value),) = known
        kind = f"range {style_class(one.style)}"
        return [line(at, y(value["low"]), at, y(value["high"]), kind)]
    outline = [(at, y(value["high"])) for at, value in known]
    outline += [(at, y(value["low"])) for at, value in reversed(known)]
    if not outline:
        return []
    return [el("path", class_=f"band {style_class(one.style)}", d=path(outline) + "Z")]


def names(
    lines: Sequence[Line],
    x: Scale,
    y: Scale,
    right: float,
    label: float,
    span: tuple[float, float],
) -> list[Markup]:
    """Each line's name where it ends, moved only as far as the names need room."""
    ends = [(x(at), y(value["estimate"])) for at, value in (one.points[-1] for one in lines)]
    places = apart([height for _, height in ends], GAP, span[0] + 4, span[1] - 4)
    parts = []
    for one, (at, height), place in zip(lines, ends, places, strict=True):
        parts += [
            line(at + 5, height, right + 6, place, "leader"),
            mark(one.style, right + 13, place, size=3.6),
            text(right + 22, place + 4.5, shortened(one.name, label), "name"),
        ]
    return parts
