"""Small multiples: one panel per aspect, a mark with its interval per model, one axis (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import lines, plot
from aftertune.report.lettering import wrapped
from aftertune.report.picture import Draw
from aftertune.report.svg import Scale, line, linear, swatch, text, tick_label

TITLE = 24.0  # height of a panel's title
LANE = 17.0  # of one model in it
GAP = 16.0  # between panels, and between their rows
EDGE = 8.0
MARKS = 5  # labels of an axis that stand apart in the narrowest panel

Panel = Mapping[str, Any]  # as blocks/shape.py describes it


def panels(
    given: Mapping[str, Any], marks: Sequence[float]
) -> tuple[Draw, list[tuple[str, Markup]]]:
    """How the panels are drawn at any width, and the legend that names the marks."""
    drawn, names = given["panels"], given["names"]
    high = TITLE + LANE * len(names)

    def draw(width: float) -> tuple[float, list[Markup]]:
        across = min(len(drawn), 3 if width > lines.NARROW else 2)
        wide = (width - GAP * (across - 1)) / across
        parts: list[Markup] = []
        for number, panel in enumerate(drawn):
            left = (number % across) * (wide + GAP)
            top = (number // across) * (high + GAP + 18.0)
            parts += _panel(panel, left, top, wide, high, marks)
        down = -(-len(drawn) // across)
        bottom = down * (high + GAP + 18.0) - GAP
        words = wrapped(given["x_label"], width - 8, 3, 12)
        parts += [
            text(width / 2, bottom + 16 + 15 * k, said, "axis", "middle")
            for k, said in enumerate(words)
        ]
        return bottom + 12 + 15 * len(words), parts

    return draw, [(name, swatch(style, with_line=False)) for style, name in enumerate(names)]


def _panel(
    panel: Panel, left: float, top: float, wide: float, high: float, marks: Sequence[float]
) -> list[Markup]:
    scale = linear(marks[0], marks[-1], left + EDGE, left + wide - EDGE)
    title = wrapped(panel["title"], wide - 2 * EDGE, 1)[0]
    bottom = top + high
    parts = [text(left + EDGE, top + 14, title, "name")]
    parts += [line(scale(value), top + TITLE - 4, scale(value), bottom, "grid") for value in marks]
    parts += [
        text(scale(value), bottom + 14, tick_label(value), "tick", "middle")
        for value in (marks if len(marks) <= MARKS else (marks[0], marks[-1]))
    ]
    for style, row in enumerate(panel["rows"]):
        parts += _lane(row, style, scale, top + TITLE + LANE * (style + 0.4), left + wide - EDGE)
    return parts


def _lane(row: Mapping[str, Any], style: int, scale: Scale, y: float, right: float) -> list[Markup]:
    if row["estimate"] is None:
        return [text(right, y + 4, "not known", "tick reason", "end")]
    return plot.estimate(row, style, scale, y, least=None)
