"""Fresh values to put into rows: of the type of what stands there, and said nowhere near (pure).

A value is a piece of a span that its best row holds too: a number, else the longest name, else
content words (kinds by the rules of `text/kinds.py`). What stands in for it is of its type: a
number with as many digits (a year for a year), a name with as many words from rows of another
topic, words of the same shape and of about the same frequency in the rows.
"""

import random
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aftertune.controls.permute import shapes
from aftertune.text.kinds import kinds_of_words, words

Kind = Literal["number", "name", "content"]
KINDS: tuple[Kind, ...] = ("number", "name", "content")
LONGEST = {"number": 1, "name": 4, "content": 2}  # words of a value
NEAREST = 10  # words of about the same frequency, of which one is drawn
YEARS = range(1000, 2100)
TRIES = 1000


@dataclass(frozen=True)
class Value:
    """A piece of text that can be exchanged."""

    text: str
    kind: Kind


def values(text: str) -> list[Value]:
    """All pieces of a text that can be exchanged: numbers with digits, and runs of names or of
    content words, longest first; each once, in the order of KINDS."""
    bounds, kinds = words(text), kinds_of_words(text)
    found: dict[Value, None] = {}
    for kind in KINDS:
        for size in range(LONGEST[kind], 0, -1):
            for at in range(len(bounds) - size + 1):
                part = slice(at, at + size)
                piece = text[bounds[at][0] : bounds[at + size - 1][1]]
                alike = set(kinds[part]) == {kind} and len(piece.split(" ")) == size
                if alike and (kind != "number" or any(mark.isdigit() for mark in piece)):
                    found[Value(piece, kind)] = None
    return list(found)


def holds(text: str, value: str) -> bool:
    """Whether the value stands in the text as whole words, upper and lower case alike."""
    return whole(value).search(text) is not None


def replaced(text: str, value: str, other: str) -> str:
    """The text with every place of the value, as whole words in any case, exchanged. Where one of
    them begins with a small letter and the other does not, the place keeps its case."""

    def said(found: re.Match[str]) -> str:
        first = found[0][:1]
        if first == value[:1]:
            return other
        return (other[:1].upper() if first.isupper() else other[:1].lower()) + other[1:]

    return whole(value).sub(said, text)


def whole(value: str) -> re.Pattern[str]:
    """Finds the value as whole words, upper and lower case alike."""
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)


def carried(span: str, row: str) -> list[Value]:
    """The values of a span that a row holds too, all of one kind: the first of KINDS that there is;
    longest first."""
    held = [one for one in values(span) if holds(row, one.text)]
    return [one for one in held if one.kind == held[0].kind]


class Lexicon:
    """Which values stand in which rows."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        rows: defaultdict[Value, set[int]] = defaultdict(set)
        for row, text in texts.items():
            for value in values(text):
                rows[value].add(row)
        self.rows: Mapping[Value, set[int]] = dict(rows)
        self.held_by: dict[str, int] = {}
        for value, places in rows.items():
            key = value.text.lower()
            self.held_by[key] = max(self.held_by.get(key, 0), len(places))

    def fresh(
        self, value: Value, near: Collection[int], said: Sequence[str], seed: int
    ) -> str | None:
        """A value of the same type that stands in none of the rows `near` and of the texts `said`;
        None where there is none. Numbers stand in no row at all, as long as there are such."""
        order = random.Random(f"fresh {seed} {value.kind} {value.text}")
        candidates: Iterable[str]
        if value.kind == "number":
            drawn = list(_numbers(value.text, order))
            candidates = sorted(drawn, key=lambda one: self.held_by.get(one.lower(), 0))
        else:
            candidates = self._words(value, set(near), order)
        return next(
            (
                one
                for one in candidates
                if one.lower() != value.text.lower() and not any(holds(text, one) for text in said)
            ),
            None,
        )

    def _words(self, value: Value, near: set[int], order: random.Random) -> list[str]:
        """Other names of as many words, or other words of the same shape and like frequency."""
        others = [
            one
            for one, rows in self.rows.items()
            if one.kind == value.kind and one != value and not rows & near
        ]
        size = len(value.text.split(" "))
        if value.kind == "name":
            alike = sorted(one.text for one in others if len(one.text.split(" ")) == size)
            order.shuffle(alike)
            return alike
        others = [one for one in others if len(one.text.split(" ")) == size]
        strict, loose = shapes(value.text, "content")
        alike = [one.text for one in others if shapes(one.text, "content")[0] == strict]
        alike = alike or [one.text for one in others if shapes(one.text, "content")[1] == loose]
        own = self.held_by.get(value.text.lower(), 0)
        alike.sort(key=lambda one: (abs(self.held_by[one.lower()] - own), one))
        nearest = alike[:NEAREST]
        order.shuffle(nearest)
        return [*nearest, *alike[NEAREST:]]


def _numbers(text: str, order: random.Random) -> Iterator[str]:
    """Numbers with digits at the same places; years for a year, none with a zero put in front."""
    year = re.fullmatch(r"\d{4}", text) is not None and int(text) in YEARS
    seen = {text}
    for _ in range(TRIES):
        if year:
            drawn = str(order.randrange(max(YEARS[0], int(text) - 99), min(2030, int(text) + 100)))
        else:
            drawn = re.sub(r"\d", lambda _: str(order.randrange(10)), text)
            if re.search(r"\d", text) and _leads_with_zero(drawn) and not _leads_with_zero(text):
                continue
        if drawn not in seen:
            seen.add(drawn)
            yield drawn


def _leads_with_zero(text: str) -> bool:
    return re.match(r"\D*0\d", text) is not None or re.fullmatch(r"\D*0\D*", text) is not None
