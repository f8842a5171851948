"""What a span and a row share, as characters of both texts: what a page marks (pure)."""

import numpy as np

from aftertune.search.index import RowIndex
from aftertune.trace.match import Pairs, Pieces, Runs, Span
from aftertune.trace.reading import Reading

Range = tuple[int, int, int, int]  # start, end in the response; start, end in the row's answer


def is_copied(reading: Reading, index: RowIndex, span: Span, row: int) -> bool:
    """Whether all words of the span stand in the row's answer, in their order, side by side."""
    wanted = reading.word[span[0] : span[1] + 1]
    text = index.answers.text[index.bounds[row] : index.bounds[row + 1]]
    if len(wanted) > len(text) or (wanted < 0).any():
        return False
    starts = np.flatnonzero(text[: len(text) - len(wanted) + 1] == wanted[0])
    return any(np.array_equal(text[at : at + len(wanted)], wanted) for at in starts.tolist())


def ranges(
    reading: Reading,
    index: RowIndex,
    pairs: Pairs,
    runs: Runs,
    pieces: Pieces,
    span: Span,
    candidate: int,
    row: int,
) -> tuple[Range, ...]:
    """Shared runs, then single words, then pieces of words; no word of the span twice."""
    first, last = span
    free = set(range(first, last + 1))
    found: list[Range] = []
    for at, length, place in _runs_of(runs, candidate, span):
        begin, end = max(at, first), min(at + length - 1, last)
        if begin <= end and free.issuperset(range(begin, end + 1)):
            free.difference_update(range(begin, end + 1))
            found.append(_range(reading, index, begin, end, place + begin - at))
    low, high = np.searchsorted(pairs.candidate, [candidate, candidate + 1])
    words, places = pairs.word[low:high], pairs.place[low:high]
    for number in np.flatnonzero((words >= first) & (words <= last)).tolist():
        word = int(words[number])
        if word in free:
            free.discard(word)
            found.append(_range(reading, index, word, word, int(places[number])))
    for number, word in enumerate(pieces.word):
        if word in free and row in pieces.rows[number]:
            found += _piece(reading, index, pieces, number, row)
    return tuple(sorted(found))


def _runs_of(runs: Runs, candidate: int, span: Span) -> list[tuple[int, int, int]]:
    """(word, length, place) of the candidate's runs that hold two words of the span, or its only
    one, the longest first."""
    low, high = np.searchsorted(runs.candidate, [candidate, candidate + 1])
    word, length = runs.word[low:high], runs.length[low:high]
    inside = np.minimum(word + length - 1, span[1]) - np.maximum(word, span[0]) + 1
    chosen = np.flatnonzero(inside >= min(2, span[1] - span[0] + 1))
    chosen = chosen[np.argsort(-inside[chosen], kind="stable")]
    parts = (word[chosen], length[chosen], runs.place[low:high][chosen])
    return list(zip(*(part.tolist() for part in parts), strict=True))


def _range(reading: Reading, index: RowIndex, first: int, last: int, place: int) -> Range:
    start, end = reading.span_of(first, last)
    return start, end, int(index.start[place]), int(index.end[place + last - first])


def _piece(reading: Reading, index: RowIndex, pieces: Pieces, number: int, row: int) -> list[Range]:
    """Where the piece stands in both; whole words where folding changed a word's length."""
    low, high = int(index.bounds[row]), int(index.bounds[row + 1])
    text = index.answers.text[low:high]
    places = np.flatnonzero(np.isin(text, pieces.within[number]))
    if not len(places):  # the row holds another form of that word
        return []
    word, place = pieces.word[number], low + int(places[0])
    start, end = reading.span_of(word, word)
    first, length = pieces.first[number], pieces.length[number]
    if end - start == int(reading.said.length[word]):
        start, end = start + first, start + first + length
    theirs = int(index.start[place]), int(index.end[place])
    letters, begins = index.vocabulary.letters.text, index.vocabulary.starts
    of = int(text[places[0]])
    whole = letters[int(begins[of]) : int(begins[of + 1]) - 1]
    piece = reading.said.codes[int(reading.said.first[word]) + first :][:length]
    if theirs[1] - theirs[0] == len(whole):
        at = next(k for k in range(len(whole)) if np.array_equal(whole[k : k + length], piece))
        theirs = theirs[0] + at, theirs[0] + at + length
    return [(start, end, *theirs)]
