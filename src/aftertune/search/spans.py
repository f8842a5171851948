"""Exact shared spans: what a sequence shares with a text, by a suffix array of the text.

Text and query are numbers (of words, or characters). For every place of the query the longest
piece that begins there and stands in the text is found by binary search, all places at once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydivsufsort import divsufsort

Ints = npt.NDArray[np.int64]
Symbols = npt.NDArray[np.int32]
Places = npt.NDArray[np.int32]

BREAK = -1  # between texts; no query holds it, so no span crosses it
LONGEST = 32  # a longer shared piece is found as pieces that overlap
_AT_ONCE = 8192  # places of a query searched together: bounds memory


@dataclass(frozen=True)
class Suffixes:
    """text [T] with BREAK between its parts; order [T]: where its suffixes begin, sorted."""

    text: Symbols
    order: Places

    @classmethod
    def of(cls, text: Symbols) -> "Suffixes":
        """The suffix array of the text (divsufsort), O(T log T); 5 to 12 bytes per byte."""
        text = np.ascontiguousarray(text, np.int32)
        order = divsufsort(text + np.int32(1)) if len(text) else np.zeros(0)
        return cls(text, np.asarray(order, np.int32))

    def longest(self, query: Symbols) -> Ints:
        """[Q]: symbols of the longest piece from each place that stands in the text (<= LONGEST).

        A symbol below 0 stands nowhere.
        """
        found = np.zeros(len(query), np.int64)
        if len(self.order):
            padded = _padded(query)
            for at in range(0, len(query), _AT_ONCE):
                pieces = padded[at : at + _AT_ONCE]
                found[at : at + len(pieces)] = self._longest(pieces)
        return found

    def ranges(self, query: Symbols, places: Ints, lengths: Ints) -> tuple[Ints, Ints]:
        """For pieces of the query (place, length): first and end of their suffixes in `order`."""
        pieces = _padded(query)[places]
        return self._search(pieces, lengths, after=False), self._search(pieces, lengths, after=True)

    def _longest(self, pieces: Symbols) -> Ints:
        at = self._search(pieces, np.full(len(pieces), LONGEST), after=False)
        best = np.zeros(len(pieces), np.int64)
        for beside in (at - 1, at):
            inside = (beside >= 0) & (beside < len(self.order))
            differs = self._windows(np.clip(beside, 0, len(self.order) - 1)) != pieces
            shared = np.where(differs.any(1), differs.argmax(1), LONGEST)
            best = np.maximum(best, np.where(inside, shared, 0))
        return best

    def _search(self, pieces: Symbols, lengths: Ints, after: bool) -> Ints:
        """Where each piece, cut to its length, would stand in `order`: before or behind equals."""
        low = np.zeros(len(pieces), np.int64)
        high = np.full(len(pieces), len(self.order), np.int64)
        columns = np.arange(LONGEST)
        inside = columns < lengths[:, None]
        rows = np.arange(len(pieces))
        while True:
            open_ = low < high
            if not open_.any():
                return low
            middle = (low + high) // 2
            windows = self._windows(np.minimum(middle, len(self.order) - 1))
            differs = (windows != pieces) & inside
            where = differs.argmax(1)
            equal = ~differs[rows, where]
            less = np.where(equal, after, windows[rows, where] < pieces[rows, where])
            low = np.where(open_ & less, middle + 1, low)
            high = np.where(open_ & ~less, middle, high)

    def _windows(self, ranks: Ints) -> Symbols:
        """[n, LONGEST]: how the suffixes of these ranks begin; BREAK - 1 behind the text's end."""
        places = self.order[ranks].astype(np.int64)[:, None] + np.arange(LONGEST)
        windows: Symbols = self.text[np.minimum(places, len(self.text) - 1)]
        windows[places >= len(self.text)] = BREAK - 1
        return windows


def _padded(query: Symbols) -> Symbols:
    """[Q, LONGEST]: what begins at each place; what stands nowhere is larger than everything."""
    nowhere = np.iinfo(np.int32).max
    known = np.where(query < 0, nowhere, query).astype(np.int32)
    line = np.concatenate([known, np.full(LONGEST, nowhere, np.int32)])
    return np.lib.stride_tricks.sliding_window_view(line, LONGEST)[: len(query)]


def maximal(lengths: Ints) -> Ints:
    """Places whose longest piece is not the rest of the piece before: none lies within another."""
    if not len(lengths):
        return np.zeros(0, np.int64)
    before = np.concatenate([[0], lengths[:-1]])
    return np.flatnonzero((lengths > 0) & (lengths >= before))
