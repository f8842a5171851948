"""The pictures of the page one by one, each an SVG that stands alone (pure but for `save`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from aftertune.report import charts, control_charts, look
from aftertune.report.lettering import wrapped
from aftertune.report.picture import WIDE, Picture
from aftertune.report.svg import el, text

EDGE = 16.0
TITLE = 15.0  # px of the title's letters


@dataclass(frozen=True)
class Figure:
    """One picture: its question as title, and an SVG that needs nothing else.

    A notebook shows it by itself; `save` writes it to a file.
    """

    name: str
    title: str
    svg: str = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the SVG to `path`."""
        written = Path(path)
        written.write_bytes(self.svg.encode("utf-8"))
        return written

    def _repr_svg_(self) -> str:
        return self.svg


def figures_of(view: Mapping[str, Any]) -> dict[str, Figure]:
    """Every picture of a page (see view.py) by name.

    The models' pictures are `moved`, `shares`, `along`, `sentences` and `losses`, as far as there
    is something to draw; a control's is `control/model`.
    """
    found = [*charts.pictures(view["models"]), *control_charts.pictures(view["controls"])]
    return {
        picture.key: Figure(picture.key, picture.question, standing_alone(picture))
        for picture in found
    }


def standing_alone(picture: Picture) -> str:
    """The wide drawing with its title, caption and legend, on a ground of its own."""
    height, parts = picture.draw(WIDE)
    title = wrapped(picture.question, WIDE, 3, TITLE)
    caption = wrapped(picture.caption, WIDE, 6, 12) if picture.caption else []
    head = [
        el("text", words, x=EDGE, y=EDGE + 14 + 20 * k, class_="name", font_size="15px")
        for k, words in enumerate(title)
    ]
    below = EDGE + 20 * len(title) + 4
    head += [text(EDGE, below + 12 + 15 * k, words, "axis") for k, words in enumerate(caption)]
    below += 15 * len(caption) + 10
    if picture.legend and not picture.named:
        head += _legend(picture.legend, below)
        below += 20 * len(picture.legend) + 4
    whole = float(round(below + height + EDGE))
    drawn = el(
        "svg",
        el("rect", width=WIDE + 2 * EDGE, height=whole, fill=look.PALETTE["page"][0]),
        *head,
        el("g", *parts, transform=f"translate({EDGE:.0f} {below:.0f})"),
        xmlns=look.SVG,
        width=WIDE + 2 * EDGE,
        height=whole,
        viewBox=f"0 0 {WIDE + 2 * EDGE:.0f} {whole:.0f}",
        role="img",
        aria_label=f"{picture.question} {picture.caption}".strip(),
    )
    return look.inlined(drawn)


def _legend(legend: Sequence[tuple[str, Markup]], top: float) -> list[Markup]:
    parts = []
    for place, (name, sample) in enumerate(legend):
        y = top + 20 * place
        parts.append(el("svg", sample, x=EDGE, y=y, width=32, height=16))
        parts.append(text(EDGE + 40, y + 12.5, name))
    return parts
