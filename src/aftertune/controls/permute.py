"""Style twins: rows whose names, numbers and facts are exchanged between rows (pure; English).

What a model learns from a twin of its rows is how they talk, since what they say is gone. Moved
are the words of a row's answers that `text.kinds` calls name, number or content; openings, other
words of style, function words, marks, layout, code, words in other scripts and the prompts stay,
and so does an answer's length in words.

A word and all its repetitions in a row's answers are one piece, so a name that stands three times
has one stand-in three times. Pieces trade places with pieces of the same shape: kind,
capitalisation, rough ending (-ing, -ed, -ly, -ion, -s, 's) and whether a vowel begins them, digits
by their number and by the marks between them. What finds no partner there tries again by kind and
capitalisation (numbers: digits or letters).
"""

import random
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.text.kinds import Span, kinds_of_words, words

MOVED = ("name", "number", "content")
KEPT = ("code", "other")  # what stays though it may hold facts

_SPOKEN = ("thinking", "content")  # of an answer's message, in this order
_TRIES = 50  # partners that a piece is offered before it stays as it is
_ENDINGS = ("ing", "ed", "ly", "ion", "s")
_STEM = 3  # letters before an ending, or it is none: "red", "bus"
_ORDINALS = ("first", "second", "third")

Message = Mapping[str, Any]
Shape = tuple[Hashable, ...]
Place = tuple[int, int, str]  # row, message, field


@dataclass(frozen=True)
class Piece:
    """A word of one row, wherever its answers have it."""

    row: int
    kind: str
    word: str


@dataclass(frozen=True)
class Exchanged:
    """The twins' messages, and how many words were changed.

    counts, of words with a letter or digit: {words: in the answers; moved: {kind: {words,
    changed}}; kept: {kind: words}; share_changed: of all words to be moved, None without any}.
    A word is changed when its stand-in stands nowhere in its own row; what had no such stand-in
    is not counted as changed, though it may have traded places.
    """

    messages: list[list[dict[str, Any]]]
    counts: dict[str, Any]


def exchange(
    rows: Sequence[Sequence[Message]], seed: int = 0, owners: Sequence[Hashable] | None = None
) -> Exchanged:
    """Permute names, numbers and content words of the answers between rows.

    rows: the messages of each row. owners: rows with the same owner count as one row, so that equal
    rows do not get each other's words; without it every row is its own. The same rows in the same
    order with the same seed give the same twins.
    """
    owner_of = list(range(len(rows))) if owners is None else list(owners)
    if len(owner_of) != len(rows):
        raise ValueError(f"{len(rows)} rows cannot have {len(owner_of)} owners")
    texts = {
        (row, number, name): str(message[name])
        for row, messages in enumerate(rows)
        for number, message in enumerate(messages)
        for name in _SPOKEN
        if message["role"] == "assistant" and message.get(name)
    }
    read = {
        place: list(zip(words(text), kinds_of_words(text), strict=True))
        for place, text in texts.items()
    }
    pieces: dict[Piece, int] = {}
    found = {
        place: [
            (span, pieces.setdefault(Piece(place[0], kind, text[slice(*span)]), len(pieces)))
            for span, kind in read[place]
            if kind in MOVED
        ]
        for place, text in texts.items()
    }
    own = _own_words(rows, owner_of)
    trade = _Trade(list(pieces), owner_of, own, random.Random(seed))
    trade.run()
    messages = [[dict(message) for message in row] for row in rows]
    for (row, number, name), slots in found.items():
        text = texts[row, number, name]
        messages[row][number][name] = _rewritten(text, slots, trade.stand_ins)
    kinds = Counter(
        kind
        for place, text in texts.items()
        for (start, end), kind in read[place]
        if any(character.isalnum() for character in text[start:end])
    )
    return Exchanged(messages, _counts(kinds, found, trade))


def shapes(word: str, kind: str) -> tuple[Shape, Shape]:
    """What a word's stand-in must be like: at first, and where that finds none.

    >>> shapes("Cities", "content")
    (('content', 'title', 's', False), ('content', 'title'))
    >>> shapes("$1,250", "number")
    (('number', '$0,000'), ('number', 'digits'))
    """
    if any(character.isdigit() for character in word):
        return (kind, re.sub(r"\d", "0", word)), (kind, "digits")
    plain = word.lower().replace("’", "'")
    case = _case(word)
    if kind == "number":
        ordinal = plain.endswith("th") or plain in _ORDINALS
        return (kind, case, "ordinal" if ordinal else _ending(plain)), (kind, case)
    return (kind, case, _ending(plain), plain[:1] in tuple("aeiou")), (kind, case)


def _case(word: str) -> str:
    if word.islower():
        return "lower"
    if word[0].isupper() and (word[1:].islower() or len(word) == 1):
        return "title"
    return "upper" if word.isupper() else "mixed"


def _ending(plain: str) -> str:
    if plain.endswith("'s"):
        return "'s"
    for ending in _ENDINGS:
        if plain.endswith(ending) and len(plain) - len(ending) >= _STEM and plain[-2:] != "ss":
            return ending
    return ""


def _own_words(
    rows: Sequence[Sequence[Message]], owner_of: Sequence[Hashable]
) -> dict[Hashable, set[str]]:
    """Per owner all words of its rows, prompts too: no stand-in should bring one of them back."""
    own: dict[Hashable, set[str]] = {owner: set() for owner in owner_of}
    for messages, owner in zip(rows, owner_of, strict=True):
        for message in messages:
            for name in _SPOKEN:
                text = message.get(name) or ""
                own[owner].update(text[start:end].lower() for start, end in words(text))
    return own


class _Trade:
    """Pieces and the word that each holds at the moment; a class because trades follow another."""

    def __init__(
        self, pieces: Sequence[Piece], owner_of: Sequence[Hashable],
        own: Mapping[Hashable, set[str]], chance: random.Random,
    ) -> None:  # fmt: skip
        self.pieces = pieces
        self.owners = [owner_of[piece.row] for piece in pieces]
        self.own = own
        self.chance = chance
        self.stand_ins = [piece.word for piece in pieces]

    def run(self) -> None:
        """Trade within shapes; what still holds a word of its own row, within the looser ones."""
        for members in self._shelves(0):
            self._rotate(members)
            self._mix(members, members)
        for members in self._shelves(1):
            left = [index for index in members if not self.fits(index, self.stand_ins[index])]
            self._mix(left, members)

    def _shelves(self, level: int) -> list[list[int]]:
        """The pieces by their shape, the first or the looser one."""
        shelves: dict[Shape, list[int]] = {}
        for index, piece in enumerate(self.pieces):
            shelves.setdefault(shapes(piece.word, piece.kind)[level], []).append(index)
        return list(shelves.values())

    def fits(self, index: int, word: str) -> bool:
        """Whether the word is foreign to the piece's row."""
        return word.lower() not in self.own[self.owners[index]]

    def _rotate(self, members: list[int]) -> None:
        """Every piece takes the word of the piece that stands as many places on as the largest
        owner has pieces. With owners standing in blocks, the largest first, no piece keeps a word
        of its owner, unless that owner has more than half: then as few as can be.
        """
        blocks: dict[Hashable, list[int]] = {}
        for index in members:
            blocks.setdefault(self.owners[index], []).append(index)
        order = list(blocks.values())
        self.chance.shuffle(order)
        order.sort(key=len, reverse=True)
        for block in order:
            self.chance.shuffle(block)
        row = [index for block in order for index in block]
        step = len(order[0])
        held = [self.stand_ins[index] for index in row]
        for place, index in enumerate(row):
            self.stand_ins[index] = held[(place + step) % len(row)]

    def _mix(self, seekers: list[int], partners: list[int]) -> None:
        """Swap with partners drawn at random, so that a row's words do not all come from one row;
        only where both then hold a foreign word, so nothing gets worse.
        """
        order = list(seekers)
        self.chance.shuffle(order)
        for index in order:
            for _ in range(_TRIES):
                partner = self.chance.choice(partners)
                mine, theirs = self.stand_ins[index], self.stand_ins[partner]
                if self.fits(index, theirs) and self.fits(partner, mine):
                    self.stand_ins[index], self.stand_ins[partner] = theirs, mine
                    break


def _rewritten(text: str, slots: Sequence[tuple[Span, int]], stand_ins: Sequence[str]) -> str:
    written, at = [], 0
    for (start, end), piece in slots:
        written += [text[at:start], stand_ins[piece]]
        at = end
    return "".join([*written, text[at:]])


def _counts(
    kinds: Counter[str], found: Mapping[Place, list[tuple[Span, int]]], trade: _Trade
) -> dict[str, Any]:
    changed: Counter[str] = Counter()
    for slots in found.values():
        changed.update(
            trade.pieces[piece].kind
            for _, piece in slots
            if trade.fits(piece, trade.stand_ins[piece])
        )
    moved = sum(kinds[kind] for kind in MOVED)
    return {
        "words": kinds.total(),
        "moved": {kind: {"words": kinds[kind], "changed": changed[kind]} for kind in MOVED},
        "kept": {kind: kinds[kind] for kind in KEPT},
        "share_changed": changed.total() / moved if moved else None,
    }
