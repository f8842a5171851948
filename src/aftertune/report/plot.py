"""What our pictures are put together from: lanes, lines with bands, stacked bars (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import numbers
from aftertune.report.svg import (
    N_STYLES,
    Scale,
    el,
    line,
    linear,
    mark,
    path,
    text,
    tick_label,
    x_axis,
    y_axis,
)

ROW = 52.0  # height of one model's lane

Model = Mapping[str, Any]  # as in view.py


def fewer(marks: list[float], width: float) -> list[float]:
    """Every second tick where all would touch each other."""
    return marks[::2] if width < 400 and len(marks) > 5 else marks


def short(name: str, width: float) -> str:
    limit = 40 if width > 400 else 18
    return name if len(name) <= limit else name[: limit - 1] + "…"


def lane(model: Model, top: float, width: float, words: str) -> list[Markup]:
    return [
        text(10, top + 14, short(model["name"], width), "name"),
        text(width - 10, top + 14, words, "value", "end"),
    ]


def estimate(
    estimate: Mapping[str, Any], style: int, scale: Scale, y: float, hollow: bool = False
) -> list[Markup]:
    """An interval with short ends, and the mark of the model at its mean."""
    parts = []
    if numbers.has_interval(estimate):
        low, high = scale(max(0.0, estimate["low"])), scale(estimate["high"])
        kind = f"range m{style % N_STYLES}"
        parts = [
            line(low, y, high, y, kind),
            line(low, y - 4, low, y + 4, kind),
            line(high, y - 4, high, y + 4, kind),
        ]
    return [*parts, mark(style, scale(estimate["estimate"]), y, hollow, size=5.0)]


def frame(
    width: float,
    extent: tuple[float, float],
    across: Sequence[float],
    down: list[float],
    title: str,
    labels: Sequence[str] | None = None,
) -> tuple[Scale, Scale, list[Markup]]:
    """Scales and axes of a picture with lines; labels stand for the values `across`."""
    left, right, top, bottom = 46.0, width - 14.0, 10.0, 216.0
    x, y = linear(*extent, left, right), linear(down[0], down[-1], bottom, top)
    words = dict(zip(across, labels, strict=True)) if labels else None
    form = tick_label if words is None else words.__getitem__
    parts = y_axis(y, down, left, right)
    shown = across if words else fewer(list(across), width)
    return x, y, parts + x_axis(x, shown, bottom, bottom, title, (left + right) / 2, form)


def series(style: int, points: list[tuple[float, float]], n_marks: int = 12) -> list[Markup]:
    every = max(1, len(points) // n_marks)
    marks = [mark(style, x, y, size=3.6) for x, y in points[::every]]
    return [el("path", class_=f"series m{style % N_STYLES}", d=path(points)), *marks]


def band(style: int, points: list[tuple[float, Mapping[str, Any]]], y: Scale) -> list[Markup]:
    known = [(at, b) for at, b in points if numbers.has_interval(b)]
    if not known:
        return []
    outline = [(at, y(b["high"])) for at, b in known]
    outline += [(at, y(b["low"])) for at, b in reversed(known)]
    return [el("path", class_=f"band m{style % N_STYLES}", d=path(outline) + "Z")]


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
