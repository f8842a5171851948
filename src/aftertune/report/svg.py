"""The few shapes that our pictures are made of: axes, marks, intervals, lines (pure).

Colours, fonts and dashes are classes (`.m0` .. `.m5` for models), which look.py explains. A model
is told apart by colour, by the shape of its mark and by the dash of its line.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from aftertune.report.lettering import width_of, wrapped

N_STYLES = 6  # the seventh model looks like the first; its name stands beside it

Scale = Callable[[float], float]


def el(tag: str, *children: object, **attributes: object) -> Markup:
    """An element; text children and attribute values are escaped, `class_` is `class`.

    Floats are written with one decimal: a tenth of a pixel is enough.
    """
    pairs = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{tag}{pairs}>{inner}</{tag}>")


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def join(parts: Sequence[Markup]) -> Markup:
    return Markup("").join(parts)


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """[low, high] of values onto [start, end] of pixels; one value alone lies at the start."""
    width = (high - low) or 1.0
    return lambda value: start + (value - low) / width * (end - start)


_TINIEST = 1e-290  # a fifth of less has no logarithm


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from at or below `low` to at or above `high`; steps of 1, 2 or 5 x 10^k.

    >>> ticks(0, 0.17)
    [0.0, 0.05, 0.1, 0.15, 0.2]
    """
    if not high - low > _TINIEST:
        high = low + 1.0
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1.0, 2.0, 5.0, 10.0) if s * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def tick_label(value: float) -> str:
    """A tick without needless zeros, in few letters.

    >>> tick_label(0.05), tick_label(20000.0), tick_label(0.0), tick_label(5e-5), tick_label(2e9)
    ('0.05', '20,000', '0', '5e-5', '2e9')
    """
    size = abs(value)
    if value and (size < 1e-3 or size >= 1e6):
        digits, power = f"{value:.3e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.6g}"


def style_class(style: int | None) -> str:
    """The class that gives a model its colour; None is no model's."""
    return "neutral" if style is None else f"m{style % N_STYLES}"


def mark(style: int | None, x: float, y: float, hollow: bool = False, size: float = 6.0) -> Markup:
    """The mark of a model at (x, y): circle, square, triangle, diamond, cross, plus."""
    s = size
    shapes = (
        f"M{x - s:.1f} {y:.1f}a{s} {s} 0 1 0 {2 * s} 0a{s} {s} 0 1 0 {-2 * s} 0Z",
        f"M{x - s:.1f} {y - s:.1f}h{2 * s}v{2 * s}h{-2 * s}Z",
        f"M{x:.1f} {y - s * 1.2:.1f}l{s * 1.2:.1f} {s * 2.1:.1f}h{-s * 2.4:.1f}Z",
        f"M{x:.1f} {y - s * 1.4:.1f}l{s * 1.4:.1f} {s * 1.4:.1f}l{-s * 1.4:.1f} {s * 1.4:.1f}"
        f"l{-s * 1.4:.1f} {-s * 1.4:.1f}Z",
        f"M{x - s:.1f} {y - s:.1f}l{2 * s} {2 * s}M{x + s:.1f} {y - s:.1f}l{-2 * s} {2 * s}",
        f"M{x - s * 1.3:.1f} {y:.1f}h{s * 2.6:.1f}M{x:.1f} {y - s * 1.3:.1f}v{s * 2.6:.1f}",
    )
    kind = "mark hollow" if hollow else "mark"
    shape = (style or 0) % N_STYLES
    if shape >= 4:  # crosses have no inside: a hollow one is drawn thinner
        kind = "mark stroked hollow" if hollow else "mark stroked"
    return el("path", class_=f"{kind} {style_class(style)}", d=shapes[shape])


def path(points: Sequence[tuple[float, float]]) -> str:
    """An open path through pixel points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def text(x: float, y: float, words: object, kind: str = "", anchor: str = "start") -> Markup:
    return el(
        "text",
        words,
        x=x,
        y=y,
        class_=kind or None,
        text_anchor=None if anchor == "start" else anchor,
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def drawing(width: float, height: float, label: str, parts: Sequence[Markup], kind: str) -> Markup:
    """An SVG whose `label` says to those who do not see it what it shows."""
    return el(
        "svg",
        *parts,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        aria_label=label,
        class_=kind,
        preserveAspectRatio="xMinYMin meet",
    )


def swatch(style: int, with_line: bool = True) -> Markup:
    """The sample of a model in a legend; decoration beside its name."""
    if not with_line:
        return el(
            "svg",
            mark(style, 8, 8, size=4.5),
            viewBox="0 0 16 16",
            class_="swatch small",
            aria_hidden="true",
        )
    return el(
        "svg",
        line(1, 8, 31, 8, f"series {style_class(style)}"),
        mark(style, 16, 8, size=4.5),
        viewBox="0 0 32 16",
        class_="swatch",
        aria_hidden="true",
    )


def x_axis(
    scale: Scale,
    marks: Sequence[float],
    span: tuple[float, float],
    title: str,
    width: float,
    form: Callable[[float], str] = tick_label,
) -> tuple[list[Markup], float]:
    """Faint verticals at `marks` over span (top, bottom), labels below, and what they measure.

    Only every second, third, ... mark has a label where all would touch each other. Returns the
    parts and the drawing's height.
    """
    top, bottom = span
    parts = [line(scale(v), top, scale(v), bottom, "grid") for v in marks]
    halves = [width_of(form(v), 12) / 2 for v in marks]
    middles = [
        min(max(scale(v), half), width - half) for v, half in zip(marks, halves, strict=True)
    ]
    every = next(k for k in range(1, len(marks) + 2) if _clear(middles[::k], halves[::k]))
    parts += [
        text(middle, bottom + 16, form(value), "tick", "middle")
        for value, middle in zip(marks[::every], middles[::every], strict=True)
    ]
    lines = wrapped(title, width - 8, 3, 12)
    parts += [
        text(width / 2, bottom + 36 + 15 * k, words, "axis", "middle")
        for k, words in enumerate(lines)
    ]
    return parts, bottom + 29 + 15 * len(lines)


def _clear(middles: Sequence[float], halves: Sequence[float]) -> bool:
    """Whether labels around `middles`, so wide to either side, leave 5 px between neighbours."""
    ends = [(m - half, m + half) for m, half in zip(middles, halves, strict=True)]
    return all(before[1] + 5 <= after[0] for before, after in pairwise(ends))


def y_axis(scale: Scale, marks: Sequence[float], left: float, right: float) -> list[Markup]:
    """Faint horizontals at `marks`, labelled on the left; what they measure stands above."""
    parts = [line(left, scale(v), right, scale(v), "grid") for v in marks]
    return parts + [text(left - 6, scale(v) + 4, tick_label(v), "tick", "end") for v in marks]
