"""Which spans of an answer look borrowed (pure).

Without a model: words that are rare among the rows but stand in them and not in the prompt, runs
of words that few rows hold, and pieces of words. With tokens also the words that the tuned model
puts where the base would not: those with a marginal or shifted token that carry content. What
stands side by side becomes one span.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.text import kinds
from aftertune.trace.match import Held, Pieces, Span
from aftertune.trace.reading import RARE, RARE_ROWS, Reading

Tokens = Sequence[Mapping[str, Any]]  # records of the table `tokens`, in order

MOST_SPANS = 400

_ENDS = re.compile(r"[.!?…:;|]\s|\n")  # no span goes on behind these
_CARRY = ("content", "name", "number", "other")
_MOVED = ("marginal", "shifted")


def suspects(
    reading: Reading,
    response: str,
    runs: Sequence[Held],
    pieces: Pieces,
    tokens: Tokens,
    n_rows: int,
) -> list[Span]:
    """Spans in the order of the answer, at most `MOST_SPANS`, the rarest; none overlaps another."""
    marked = reading.rare.copy()
    marked[pieces.word] = True
    marked |= _moved(reading, response, tokens)
    joined = np.zeros(len(marked), bool)  # whether a word belongs to the span of the one before
    for (first, last), rows in runs:
        if len(rows) <= max(RARE_ROWS, RARE * n_rows):
            first, last = _trimmed(reading, first, last)
            marked[first : last + 1] = True
            joined[first + 1 : last + 1] = True
    found: list[Span] = []
    for word in np.flatnonzero(marked).tolist():
        if (
            found
            and found[-1][1] == word - 1
            and (joined[word] or _beside(reading, response, word))
        ):
            found[-1] = (found[-1][0], word)
        else:
            found.append((word, word))
    if len(found) > MOST_SPANS:
        rarity = [reading.weight[first : last + 1].sum() for first, last in found]
        found = [found[k] for k in sorted(np.argsort(rarity)[-MOST_SPANS:].tolist())]
    return found


def words_in(reading: Reading, start: int, end: int) -> Span | None:
    """First and last word that characters [start, end) of the answer touch; None without any."""
    touched = np.flatnonzero((reading.said.start < end) & (reading.said.end > start))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


def _trimmed(reading: Reading, first: int, last: int) -> Span:
    """Without words at the edges that tell nothing."""
    telling = np.flatnonzero(reading.weight[first : last + 1] > 0)
    return first + int(telling[0]), first + int(telling[-1])


def _beside(reading: Reading, response: str, word: int) -> bool:
    """No end of a sentence, line or cell stands between this word and the one before."""
    gap = response[int(reading.said.end[word - 1]) : int(reading.said.start[word])]
    return _ENDS.search(gap) is None


def _moved(reading: Reading, response: str, tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Content words not of the prompt of which a token moved."""
    found = np.zeros(len(reading.word), bool)
    if not tokens or not len(found):
        return found
    spans = [(token["char_start"], token["char_end"]) for token in tokens]
    for token, kind in zip(tokens, kinds.kinds_of_tokens(response, spans), strict=True):
        if token["category"] not in _MOVED or kind not in _CARRY:
            continue
        # the token's first character that is not white space decides which word it is of
        word = int(np.searchsorted(reading.said.end, token["char_start"], side="right"))
        if word < len(found) and token["char_end"] > reading.said.start[word]:
            found[word] = True
    return found & ~reading.asked & ~reading.frame
