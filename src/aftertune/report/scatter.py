"""Names between two axes, with an interval along each (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import lines, numbers
from aftertune.report.lettering import width_of, wrapped
from aftertune.report.lines import Line
from aftertune.report.picture import Draw
from aftertune.report.svg import (
    line,
    linear,
    mark,
    style_class,
    swatch,
    text,
    tick_label,
    x_axis,
    y_axis,
)

LABEL = 170.0  # px that the names may take
EDGE = 8.0  # px within which no mark touches the frame

Spot = Mapping[str, Any]  # as blocks/shape.py describes it


def known(spots: Sequence[Spot]) -> list[Spot]:
    """Those that have a place on both axes."""
    return [one for one in spots if None not in (one["x"]["estimate"], one["y"]["estimate"])]


def scatter(
    given: Mapping[str, Any], across: Sequence[float], down: Sequence[float]
) -> tuple[Draw, list[tuple[str, Markup]]]:
    """How the spots are drawn at any width, and the legend. across, down: marks of the two axes."""
    drawn = [
        (place, one) for place, one in enumerate(given["spots"]) if one in known(given["spots"])
    ]

    def draw(width: float) -> tuple[float, list[Markup]]:
        named = width > lines.NARROW
        titled = wrapped(given["y_label"], width, 3, 12)
        top = 10.0 + 16 * len(titled)
        bottom = top + max(lines.HEIGHT, lines.GAP * len(drawn) if named else 0.0)
        left = max(46.0, 14 + max(width_of(tick_label(value), 12) for value in down))
        label = min(LABEL, max(width_of(one["name"]) for _, one in drawn)) if named else 0.0
        right = width - 14 - (label + 26 if named else 0.0)
        x = linear(across[0], across[-1], left + EDGE, right - EDGE)
        y = linear(down[0], down[-1], bottom - EDGE, top + EDGE)
        parts, height = x_axis(x, across, (top, bottom), given["x_label"], width)
        parts = [*y_axis(y, down, left, right), *parts]
        parts += [text(0, 12 + 15 * k, words, "axis") for k, words in enumerate(titled)]
        for style, one in drawn:
            kind = f"range {style_class(style)}"
            at, high = x(one["x"]["estimate"]), y(one["y"]["estimate"])
            if numbers.has_interval(one["x"]):
                parts.append(line(x(one["x"]["low"]), high, x(one["x"]["high"]), high, kind))
            if numbers.has_interval(one["y"]):
                parts.append(line(at, y(one["y"]["low"]), at, y(one["y"]["high"]), kind))
            parts.append(mark(style, at, high, size=5.0))
        if named:
            ends = [Line(one["name"], style, [(one["x"]["estimate"], one["y"])])
                    for style, one in drawn]  # fmt: skip
            parts += lines.names(ends, x, y, right, label, (top, bottom))
        return height, parts

    return draw, [(one["name"], swatch(style, with_line=False)) for style, one in drawn]
