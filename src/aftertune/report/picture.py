"""One picture: its question, how it is drawn at any width, and its numbers as a table (pure)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from aftertune.report.svg import drawing, join

WIDE, NARROW = 560.0, 330.0

Draw = Callable[[float], tuple[float, list[Markup]]]  # width -> height and parts


@dataclass(frozen=True)
class Picture:
    """`legend`: names with their swatches. `named`: the wide drawing has these names itself."""

    key: str
    question: str
    caption: str
    draw: Draw
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: Sequence[tuple[str, Markup]] = field(default=())
    named: bool = False

    @property
    def drawing(self) -> Markup:
        """For a wide and for a narrow screen, so that letters stay readable on a phone."""
        return join([self.drawn(WIDE, "wide"), self.drawn(NARROW, "narrow")])

    def drawn(self, width: float, kind: str) -> Markup:
        """The drawing at one width in px, as an SVG element of class `kind`."""
        height, parts = self.draw(width)
        label = f"{self.question} {self.caption}".strip()
        return drawing(width, height, label, parts, kind)
