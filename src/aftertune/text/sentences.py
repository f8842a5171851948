"""Sentences of a response: their bounds, and where in its sentence a token stands.

pysbd 0.3.4 finds the sentence ends. By itself it is quadratic in the length of a text, loses
characters of odd texts and fails on some, so only its opinion on where a sentence *begins* is
used, on pieces of one line of at most `_CHUNK` characters: a line break always ends a sentence, a
sentence that a piece cuts is looked at again from its beginning, and what cannot be found again
in the text joins the sentence before. Rules are those for English.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pysbd

Span = tuple[int, int]

_CHUNK = 800  # characters
_SLACK = 8  # characters that pysbd may drop between two sentences
_SEGMENTER = pysbd.Segmenter(language="en", clean=False)


def sentence_bounds(text: str) -> list[Span]:
    """Spans [start, end) of the sentences, in order, which cover `text` without gaps.

    White space belongs to the sentence before it. An empty text has no sentence; a text of white
    space alone is one.
    """
    if not text:
        return []
    starts = [0]
    for line_start, line in _lines(text):
        starts += [line_start + offset for offset in _starts(line)]
    # the first sentence begins with the text, also where white space stands before it
    first_word = len(text) - len(text.lstrip())
    starts = sorted({start for start in starts if start == 0 or start > first_word})
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def sentence_of_tokens(
    spans: Sequence[Span], bounds: Sequence[Span], text: str
) -> tuple[list[int], list[int]]:
    """For each token its sentence, and its position in that sentence, both from 0.

    `spans` are the tokens' characters in `text`, `bounds` come from `sentence_bounds(text)`. A
    token belongs to the sentence of its first character that is not white space; a token of white
    space alone, to the sentence before it; a token with an empty span, to the last sentence seen.
    """
    sentence_of: list[int] = []
    position_of: list[int] = []
    current = position = 0
    for start, end in spans:
        first = end - len(text[start:end].lstrip())
        at = first if first < end else start
        sentence = current
        while start < end and sentence + 1 < len(bounds) and bounds[sentence + 1][0] <= at:
            sentence += 1
        position = position + 1 if sentence == current and sentence_of else 0
        current = sentence
        sentence_of.append(current)
        position_of.append(position)
    return sentence_of, position_of


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that hold more than white space, with the place of their first word."""
    at = 0
    for line in text.splitlines(keepends=True):
        words = line.strip()
        if words:
            yield at + line.index(words), words
        at += len(line)


def _starts(line: str) -> Iterator[int]:
    """Where sentences begin in a line without outer white space; the first is 0."""
    at = 0
    begins = True  # whether a sentence begins at `at`, or goes on from the piece before
    while at < len(line):
        piece = line[at : at + _CHUNK]
        found = [offset for offset in _starts_in_piece(piece) if offset]
        last = at + len(piece) >= len(line)
        if begins:
            yield at
        yield from (at + offset for offset in (found if last else found[:-1]))
        if last:
            return
        # the last sentence is perhaps cut: begin with it again
        begins = bool(found)
        at += found[-1] if found else len(piece)


def _starts_in_piece(piece: str) -> list[int]:
    """Where pysbd lets sentences begin, as far as its sentences can be found in `piece`."""
    try:
        sentences = _sentences(piece)
    except Exception:  # its rules are built from the text and fail on some; that is no sentence end
        return [0]
    starts: list[int] = []
    at = lost = 0  # behind the last sentence found; characters of sentences not found since
    for sentence in sentences:
        found = piece.find(sentence, at, at + lost + _SLACK + len(sentence))
        if found < 0 or not sentence:
            lost += len(sentence)
            continue
        starts.append(found)
        at, lost = found + len(sentence), 0
    return starts


def _sentences(piece: str) -> list[str]:
    found: Any = _SEGMENTER.processor(piece).process()
    return [str(sentence).strip() for sentence in found]
