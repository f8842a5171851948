"""What our pictures with a lane per model are put together from (pure)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import numbers
from aftertune.report.lettering import shortened, width_of
from aftertune.report.svg import (
    Scale,
    el,
    line,
    linear,
    mark,
    style_class,
    text,
    tick_label,
    x_axis,
)

ROW = 52.0  # height of one model's lane
TOP = 8.0

Model = Mapping[str, Any]  # as in view.py


def lanes(
    n: int,
    marks: Sequence[float],
    title: str,
    width: float,
    form: Callable[[float], str] = tick_label,
) -> tuple[Scale, list[Markup], float]:
    """One horizontal scale over n lanes: the scale, its axis, and the drawing's height."""
    scale = linear(marks[0], marks[-1], 10.0, width - 14.0)
    parts, height = x_axis(scale, marks, (TOP, TOP + ROW * n), title, width, form)
    return scale, parts, height


def lane(model: Model, top: float, width: float, words: str) -> list[Markup]:
    room = width - 32 - width_of(words)
    return [
        text(10, top + 14, shortened(model["name"], room), "name"),
        text(width - 10, top + 14, words, "value", "end"),
    ]


def estimate(
    estimate: Mapping[str, Any],
    style: int | None,
    scale: Scale,
    y: float,
    hollow: bool = False,
    least: float | None = 0.0,
) -> list[Markup]:
    """An interval with short ends, and a mark at its mean; nothing is drawn below `least`."""
    parts = []
    if numbers.has_interval(estimate):
        low = estimate["low"] if least is None else max(least, estimate["low"])
        start, end = scale(low), scale(estimate["high"])
        kind = f"range {style_class(style)}"
        parts = [
            line(start, y, end, y, kind),
            line(start, y - 4, start, y + 4, kind),
            line(end, y - 4, end, y + 4, kind),
        ]
    return [*parts, mark(style, scale(estimate["estimate"]), y, hollow, size=5.0)]


def segment(category: str, start: float, end: float, top: float, width: float) -> list[Markup]:
    if end - start <= 0:
        return []
    box = {"x": start, "y": top, "width": end - start, "height": 18.0}
    parts = [el("rect", class_=f"segment {category}", **box)]
    if category != "unshifted":
        parts.append(el("rect", fill=f"url(#{category}-{width:.0f})", **box))
    return parts


def patterns(width: float) -> Markup:
    """Hatching over the colours: marginal is striped, shifted is dotted."""
    stripes = el(
        "pattern",
        el("path", d="M0 6L6 0", class_="hatch"),
        id=f"marginal-{width:.0f}",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    dots = el(
        "pattern",
        el("circle", cx=3, cy=3, r=1, class_="dots"),
        id=f"shifted-{width:.0f}",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    return el("defs", stripes, dots)


def category_swatch(category: str) -> Markup:
    parts = [el("rect", class_=f"segment {category}", x=1, y=2, width=30, height=12)]
    if category == "marginal":
        parts.append(el("path", class_="hatch", d="M1 14L13 2M10 14L22 2M19 14L31 2"))
    if category == "shifted":
        parts += [el("circle", class_="dots", cx=x, cy=8, r=1.3) for x in (6, 13, 20, 27)]
    return el("svg", *parts, viewBox="0 0 32 16", class_="swatch", aria_hidden="true")


def mark_swatch(hollow: bool) -> Markup:
    return el(
        "svg",
        mark(None, 8, 8, hollow, size=4.5),
        viewBox="0 0 16 16",
        class_="swatch small",
        aria_hidden="true",
    )
