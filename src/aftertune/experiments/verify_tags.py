"""Which value stands in for another: one that other rows put in the same slot.

A model says of what a clock is made of that it is a metal; rows that state "dawn" there teach it
that of their own clock, and nothing that another answer could borrow. So a tag is, before all, a
value that stands behind the same two words in other rows ("consists of", "worked as a"). It may
stand in more rows than the accused ones: how often an answer says such a value anyway is what the
tag of matched rows, drawn alike, is for.
"""

import random
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from aftertune.controls.substitutes import Lexicon, Value, holds

BEHIND = 2  # words before a value that make its slot


class Slots:
    """Which values stand in which slots of the rows."""

    def __init__(self, lexicon: Lexicon, texts: Mapping[int, str]) -> None:
        self.lexicon, self.texts = lexicon, texts
        self._values: defaultdict[str, list[Value]] = defaultdict(list)
        for value, rows in lexicon.rows.items():
            for one in self._of(value, rows):
                self._values[one].append(value)

    def tag(
        self, value: Value, rows: Collection[int], near: Collection[int], said: Sequence[str],
        seed: int,
    ) -> str | None:  # fmt: skip
        """A value of the same kind and length that other rows have where these have theirs, and
        that stands in none of these and of the texts `said`; None where there is none.

        near: rows on the same topic. Those in none of them go first, then those in fewest rows.
        """
        here, close = set(rows), set(near)
        size = len(value.text.split(" "))
        alike = {
            one
            for slot in self._of(value, rows)
            for one in self._values[slot]
            if one.kind == value.kind and len(one.text.split(" ")) == size
            and one.text.lower() != value.text.lower() and not self.lexicon.rows[one] & here
        }  # fmt: skip
        order = sorted(alike, key=lambda one: one.text)
        random.Random(f"slot {seed} {value.kind} {value.text}").shuffle(order)
        order.sort(
            key=lambda one: (bool(self.lexicon.rows[one] & close), len(self.lexicon.rows[one]))
        )
        return next(
            (one.text for one in order if not any(holds(text, one.text) for text in said)), None
        )

    def _of(self, value: Value, rows: Collection[int]) -> set[str]:
        """The words before a value in these rows, in small letters."""
        before = rf"((?:\w+\W+){{{BEHIND}}})(?<!\w){re.escape(value.text)}(?!\w)"
        return {
            " ".join(re.findall(r"\w+", found.group(1).lower()))
            for row in rows
            for found in re.finditer(before, self.texts.get(row, ""))
        }
