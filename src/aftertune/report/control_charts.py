"""The pictures of the controls: rows of intervals, curves, small multiples, scatters (pure)."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from aftertune.report import lines, numbers, plot
from aftertune.report.lettering import shortened, width_of, wrapped
from aftertune.report.lines import Line
from aftertune.report.panels import panels
from aftertune.report.picture import Draw, Picture
from aftertune.report.scatter import known as with_place
from aftertune.report.scatter import scatter
from aftertune.report.svg import Scale, line, linear, swatch, text, tick_label, ticks, x_axis

LETTERS = 17.0  # px from one line of letters to the next
EDGE = 10.0
LABEL_LINES = 4
_TOLD_APART = 1e-4  # of the values: a narrower range has no labels of its own
LABELS = 0.34  # of the width, at most, for the labels of rows

Drawing = Mapping[str, Any]  # a block's picture, as blocks/shape.py describes it


def pictures(groups: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Every picture of the controls (as in controls.py), in the order of the page."""
    drawn = [picture(block) for group in groups for block in group["blocks"]]
    return [found for found in drawn if found]


def picture(block: Mapping[str, Any]) -> Picture | None:
    """A block's picture, or None where it has none or nothing to draw in it."""
    given = block["picture"]
    if given is None:
        return None
    found = _drawn(given, block["style"])
    if found is None:
        return None
    draw, legend = found
    columns, rows = numbers_of(given)
    return Picture(
        block["key"], block["question"], "", draw, columns, rows, legend, named=bool(legend)
    )


def _drawn(given: Drawing, style: int | None) -> tuple[Draw, list[tuple[str, Markup]]] | None:
    if given["kind"] == "intervals":
        return _intervals(given, style)
    if given["kind"] == "panels":
        known = [end for panel in given["panels"] for row in panel["rows"] for end in _ends(row)]
        return panels(given, given["x_values"] or reach(known, 4)) if known else None
    if given["kind"] == "scatter":
        spots = with_place(given["spots"])
        ends = [[end for one in spots for end in _ends(one[side])] for side in ("x", "y")]
        return scatter(given, reach(ends[0], 4), reach(ends[1], 4)) if spots else None
    return _curve(given)


def numbers_of(given: Drawing) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the picture's numbers."""
    if given["kind"] == "intervals":
        rows = [[row["label"], _value(row)] for row in given["rows"]]
        return ["", given["x_label"]], rows
    if given["kind"] == "panels":
        rows = [
            [panel["title"], name, _value(row)]
            for panel in given["panels"]
            for name, row in zip(given["names"], panel["rows"], strict=True)
        ]
        return ["", "", given["x_label"]], rows
    if given["kind"] == "scatter":
        rows = [
            [one["name"], *(numbers.with_interval(one[side]) for side in ("x", "y"))]
            for one in given["spots"]
        ]
        return ["", given["x_label"], given["y_label"]], rows
    rows = [
        [series["name"], tick_label(point["x"]), numbers.with_interval(point)]
        for series in given["series"]
        for point in series["points"]
    ]
    return ["", given["x_label"], given["y_label"]], rows


def _value(row: Mapping[str, Any]) -> str:
    if row["estimate"] is None:
        return row["reason"] or numbers.NONE
    return numbers.with_interval(row)


def reach(values: Sequence[float], about: int = 5) -> list[float]:
    """Round values that enclose `values`, and 0 with them unless it lies far away.

    >>> reach([0.1, 0.3])[0], reach([-0.2, -0.1])[-1], reach([0.95, 0.99])[0]
    (0.0, 0.0, 0.95)
    """
    low, high = min(values), max(values)
    if high - low < _TOLD_APART * max(abs(low), abs(high)):
        low, high = min(low, 0.0), max(high, 0.0)  # labels of marks between them would be alike
    if high - low >= 0.25 * max(abs(low), abs(high)):
        low, high = min(low, 0.0), max(high, 0.0)
    return ticks(low, high, about) if high > low else ticks(min(low, 0.0), max(high, 0.0), about)


def _ends(estimate: Mapping[str, Any]) -> list[float]:
    found = [estimate[end] for end in ("estimate", "low", "high")]
    return [value for value in found if value is not None]


def _intervals(given: Drawing, style: int | None) -> tuple[Draw, list[tuple[str, Markup]]] | None:
    rows, against = given["rows"], given["line"]
    if not rows:
        return None
    values = [value for row in rows if row["estimate"] is not None for value in _ends(row)]
    if not values:
        against = None
    marks = reach([*values, against["at"]] if against else values) if values else []

    def draw(width: float) -> tuple[float, list[Markup]]:
        table = _Rows(rows, width, EDGE + (18.0 if against else 0.0))
        low, high = (marks[0], marks[-1]) if marks else (0.0, 1.0)
        scale = linear(low, high, table.left, table.right)
        title = given["x_label"] if marks else ""
        span = (table.tops[0], table.bottom)
        parts, height = x_axis(scale, marks, span, title, width)
        if against:
            parts.append(_above(against["label"], scale(against["at"]), table.tops[0], width))
        at = scale(against["at"]) if against else None
        for row, top, end in zip(rows, table.tops, table.ends, strict=True):
            parts += table.row(row, top, end, scale, style, at)
        return height, parts

    return draw, []


def _above(words: str, x: float, top: float, width: float) -> Markup:
    """The label of a reference line, over its upper end."""
    shown = shortened(words, width - 2 * EDGE, 12)
    half = width_of(shown, 12) / 2
    return text(min(max(x, half), width - half), top - 6, shown, "axis", "middle")


class _Rows:
    """Where labels, intervals and values of all rows of one picture stand.

    On a wide drawing the label stands beside its interval, on a narrow one above it.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], width: float, top: float) -> None:
        self.width, self.side = width, width > lines.NARROW
        known = [_value(row) for row in rows if row["estimate"] is not None]
        value = max(map(width_of, known), default=0.0)
        if self.side:
            self.label = min(max(width_of(row["label"]) for row in rows), LABELS * width)
            self.left, self.right = EDGE + self.label + 18, width - EDGE - value - 18
        else:
            self.label = width - 2 * EDGE - value - 14
            self.left, self.right = 22.0, width - 22.0
        self.ends = list(accumulate((self._height(row) for row in rows), initial=top))[1:]
        self.tops = [top, *self.ends[:-1]]
        self.bottom = self.ends[-1]

    def _height(self, row: Mapping[str, Any]) -> float:
        label, why = len(self._label(row)), len(self._reason(row))
        return LETTERS * (max(label, why) if self.side else label + max(why, 1)) + 11.0

    def _label(self, row: Mapping[str, Any]) -> list[str]:
        return wrapped(row["label"], self.label, LABEL_LINES)

    def _reason(self, row: Mapping[str, Any]) -> list[str]:
        left = self.left + 6 if self.side else EDGE
        return [] if row["estimate"] is not None else wrapped(_value(row), self.width - left, 3, 12)

    def row(
        self,
        row: Mapping[str, Any],
        top: float,
        end: float,
        scale: Scale,
        style: int | None,
        against: float | None,
    ) -> list[Markup]:
        """Label, interval, reference line and value of one row, or why it has none."""
        label, why = self._label(row), self._reason(row)
        middle = (top + end) / 2
        first = middle + 4.5 - LETTERS / 2 * (len(label) - 1) if self.side else top + 17
        parts = [text(EDGE, first + LETTERS * k, words) for k, words in enumerate(label)]
        if why:
            left = self.left + 6 if self.side else EDGE
            start = middle + 4.5 - LETTERS / 2 * (len(why) - 1) if self.side else 0.0
            start = start or first + LETTERS * len(label)
            return parts + [
                text(left, start + LETTERS * k, words, "tick reason") for k, words in enumerate(why)
            ]
        track = middle if self.side else end - 13
        if against is not None:
            parts.append(line(against, top if self.side else track - 9, against, end - 4, "floor"))
        return [
            line(self.left, track, self.right, track, "grid"),
            *parts,
            text(
                self.width - EDGE, middle + 4.5 if self.side else first, _value(row), "value", "end"
            ),
            *plot.estimate(row, style, scale, track, least=None),
        ]


def _curve(given: Drawing) -> tuple[Draw, list[tuple[str, Markup]]] | None:
    drawn = []
    for style, series in enumerate(given["series"]):
        known = [(p["x"], p) for p in series["points"] if p["estimate"] is not None]
        if known:
            drawn.append(Line(series["name"], style, sorted(known, key=lambda point: point[0])))
    if not drawn:
        return None
    values = [x for one in drawn for x, _ in one.points]
    across = lines.axis([*given["x_values"], *values], given["x_label"], given["log_x"])
    down = reach([end for one in drawn for _, point in one.points for end in _ends(point)], 4)

    def draw(width: float) -> tuple[float, list[Markup]]:
        return lines.draw(width, drawn, across, down, given["y_label"])

    return draw, [(one.name, swatch(one.style)) for one in drawn]
