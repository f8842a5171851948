"""Which piece of a span is its value, and what stands in for it: what other rows put in its slot.

A model says of what a clock is made of that it is a metal; rows that state "dawn" there teach it
that of their own clock, and nothing that another answer could borrow. So a tag is, before all, a
value that stands behind the same two words in other rows ("consists of", "worked as a"), or at the
same place of answers to prompts that ask the same of something else. It may stand in more rows than
the accused ones: how often an answer says such a value anyway is what the tag of matched rows,
drawn alike, is for. For the same reason the value of a span is the piece of it that other rows
state otherwise: of "famous for glass" not "famous", which is how all of them put it.
"""

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from aftertune.controls.substitutes import Lexicon, Value, holds, whole

BEHIND = 2  # words before a value that make its slot
ASKING = 5  # prompts at least that hold a word which tells what is asked, and not of what

Slot = tuple[tuple[str, ...] | None, tuple[str, ...]]  # what is asked, words before the value
_REACH = 200  # characters in which these words are looked for
_WORD, _GAP = r"\w+(?:['’-]\w+)*", r"\W+"


class Slots:
    """Which values stand in which slots of the rows. texts, prompts: answer and prompt by row."""

    def __init__(
        self, lexicon: Lexicon, texts: Mapping[int, str], prompts: Mapping[int, str]
    ) -> None:
        self.lexicon, self.texts = lexicon, texts
        said = {row: _words(text) for row, text in prompts.items()}
        holding = Counter(word for of_row in said.values() for word in set(of_row))
        self._asked = {
            row: tuple(word for word in said.get(row, ()) if holding[word] >= ASKING)
            for row in texts
        }
        self._holding: defaultdict[str, set[int]] = defaultdict(set)
        for row, text in texts.items():
            for word in set(_words(text)):
                self._holding[word].add(row)
        self._asking: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for row, asked in self._asked.items():
            self._asking[asked].append(row)

    def values(self, among: Sequence[Value], rows: Collection[int]) -> list[Value]:
        """These values, all of one kind, the likeliest to be what is stated first: those in whose
        slots most different things stand (perplexity), then the longest, then the rarest."""
        held_by = self.lexicon.held_by
        return sorted(
            among,
            key=lambda one: (
                -self._perplexity(one, rows), -len(one.text.split(" ")),
                held_by.get(one.text.lower(), 0),
            ),
        )  # fmt: skip

    def _perplexity(self, value: Value, rows: Collection[int]) -> float:
        size = len(value.text.split(" "))
        counts = Counter[str]()
        for slot in self._of(value, rows):
            counts.update(text.lower() for text in self._fillers(slot, size))
        n = counts.total()
        return math.exp(-sum(k / n * math.log(k / n) for k in counts.values())) if n else 1.0

    def tag(
        self, value: Value, rows: Collection[int], near: Collection[int], said: Sequence[str],
        seed: int,
    ) -> str | None:  # fmt: skip
        """A value of the same kind and length that other rows have where these have theirs, and
        that stands in none of these and of the texts `said`; None where there is none.

        near: rows on the same topic. Those in none of them go first, then those in fewest rows.
        """
        close = set(near)
        order = sorted(self._alike(value, rows), key=lambda one: one.text)
        random.Random(f"slot {seed} {value.kind} {value.text}").shuffle(order)
        order.sort(
            key=lambda one: (bool(self.lexicon.rows[one] & close), len(self.lexicon.rows[one]))
        )
        return next(
            (one.text for one in order if not any(holds(text, one.text) for text in said)), None
        )

    def _alike(self, value: Value, rows: Collection[int]) -> set[Value]:
        """Values of the same kind and length in the slots of the value in these rows, which state
        none of them."""
        here, size, own = set(rows), len(value.text.split(" ")), value.text.lower()
        named = {
            Value(text, value.kind)
            for slot in self._of(value, rows)
            for text in self._fillers(slot, size)
            if text.lower() != own
        }
        known = self.lexicon.rows
        return {one for one in named if one in known and not known[one] & here}

    def _of(self, value: Value, rows: Collection[int]) -> set[Slot]:
        """The words before a value in these rows, in small letters; where the answer has fewer,
        all of them and what the prompt asks."""
        found = set()
        for row in rows:
            text = self.texts.get(row, "")
            for place in whole(value.text).finditer(text):
                before = _words(text[max(0, place.start() - _REACH) : place.start()])[-BEHIND:]
                asked = None if len(before) == BEHIND else self._asked[row]
                found.add((asked, tuple(before)))
        return found

    @cache  # noqa: B019 - as long as the rows that it is of
    def _fillers(self, slot: Slot, size: int) -> tuple[str, ...]:
        """The next words, so many, wherever rows have the words of the slot."""
        asked, before = slot
        between = r"\W+".join(map(re.escape, before))
        begin = r"\A\W*" if asked is not None else r"(?<!\w)"
        pattern = re.compile(
            rf"{begin}{between}{_GAP if before else ''}({_WORD}(?: {_WORD}){{{size - 1}}})(?!\w)",
            re.IGNORECASE,
        )
        rows = set(self.texts if asked is None else self._asking[asked])
        for word in before:
            rows &= self._holding[word]
        return tuple(one for row in rows for one in pattern.findall(self.texts[row]))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
