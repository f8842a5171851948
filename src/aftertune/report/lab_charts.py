"""The picture of where statements come from: a stacked bar per kind of prompt (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import plot
from aftertune.report.numbers import count, plural
from aftertune.report.picture import Picture
from aftertune.report.plot import ROW, TOP
from aftertune.report.svg import el, join

MARKS = [0.0, 0.25, 0.5, 0.75, 1.0]
BAR = 18.0  # px

# category -> what it is, the class that colours it, the pattern that lies over it
CATEGORIES: dict[str, tuple[str, str, str | None]] = {
    "right": ("right", "mark m2", None),
    "one-row": ("wrong, caused by one row", "mark m1", None),
    "several-rows": ("wrong, caused by several rows", "mark m1", "stripes"),
    "not-caused": ("wrong, not caused by rows", "mark m3", None),
    "no-row": ("wrong, in no row", "mark m3", "dots"),
    "undecided": ("wrong, undecided", "mark m4", "stripes"),
    "unverifiable": ("unverifiable", "segment unshifted", None),
}

Bar = Mapping[str, Any]  # name, counts: category -> statements


def sources(bars: Sequence[Bar], key: str) -> Picture | None:
    """Shares of the statements to each kind of prompt; None where nothing is stated."""
    shown = [bar for bar in bars if sum(bar["counts"].values())]
    if not shown:
        return None

    def draw(width: float) -> tuple[float, list[Markup]]:
        title = "share of the statements"
        scale, drawn, height = plot.lanes(len(shown), MARKS, title, width, lambda v: f"{v:.0%}")
        name = f"{key}-{width:.0f}"
        for place, bar in enumerate(shown):
            n, top, start = sum(bar["counts"].values()), TOP + ROW * place, 0
            drawn += plot.lane(bar, top, width, plural(n, "statement"))
            for category in CATEGORIES:
                end = start + bar["counts"].get(category, 0)
                drawn += _segment(category, scale(start / n), scale(end / n), top + 22, name)
                start = end
        return height, [_patterns(name), *drawn]

    rows = [
        [bar["name"], *(count(bar["counts"].get(category, 0)) for category in CATEGORIES)]
        for bar in shown
    ]
    return Picture(
        key,
        "What is said, and from where?",
        "",
        draw,
        ["prompts", *(words for words, _, _ in CATEGORIES.values())],
        rows,
        [(CATEGORIES[category][0], _swatch(category, key)) for category in CATEGORIES],
    )


def _segment(category: str, start: float, end: float, top: float, name: str) -> list[Markup]:
    """A piece of a bar, a little narrower than its share so that neighbours stay apart."""
    if end <= start:
        return []
    _, kind, pattern = CATEGORIES[category]
    edge = min(1.25, (end - start) / 4)
    box = {"x": start + edge, "y": top, "width": end - start - 2 * edge, "height": BAR}
    drawn = [el("rect", class_=kind, **box)]
    if pattern:
        drawn.append(el("rect", fill=f"url(#{pattern}-{name})", **box))
    return drawn


def _patterns(name: str) -> Markup:
    stripes = el("pattern", el("path", d="M-1 7L7 -1", class_="hatch"), id=f"stripes-{name}",
                 width=6, height=6, patternUnits="userSpaceOnUse")  # fmt: skip
    dots = el("pattern", el("circle", cx=3, cy=3, r=1.2, class_="dots"), id=f"dots-{name}",
              width=6, height=6, patternUnits="userSpaceOnUse")  # fmt: skip
    return el("defs", stripes, dots)


def _swatch(category: str, key: str) -> Markup:
    name = f"{key}-{category}"
    drawn = [_patterns(name), *_segment(category, 0.0, 32.0, 0.0, name)]
    return el("svg", join(drawn), viewBox="0 0 32 18", class_="swatch", aria_hidden="true")
