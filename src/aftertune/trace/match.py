"""What an answer and rows have in common: words, exact runs, pieces of words; and so which rows
are worth a look (pure).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.search.index import RowIndex
from aftertune.search.spans import BREAK, maximal
from aftertune.trace.reading import RARE, RARE_ROWS, Floats, Ints, Reading

Rows = npt.NDArray[np.int64]  # places of rows in the index
Span = tuple[int, int]  # first and last word of an answer
Held = tuple[Span, Rows]  # a run of words, and the rows that hold it

SHORTEST_RUN = 3  # words of an exact run that is looked up for itself
SHORTEST_PIECE = 5  # characters of a piece of a word
PER_KIND = 40  # rows of each kind of evidence that are looked at
MOST_CANDIDATES = 800
MOST_ROWS = 200  # that hold a run or a piece; one that more hold tells nothing
REPEATS = 8  # of a word in a text that are looked at: bounds the pairs of a text of one word


@dataclass(frozen=True)
class Pairs:
    """Rare words that an answer and candidate rows share, one entry per pair of places.

    candidate [P]: number among the candidates, ascending. word [P]: of the answer. place [P]: in
    `index.answers`.
    """

    candidate: Ints
    word: Ints
    place: Ints


@dataclass(frozen=True)
class Runs:
    """Longest runs of two or more equal words: as Pairs of their first words, with length [R]."""

    candidate: Ints
    word: Ints
    place: Ints
    length: Ints


@dataclass(frozen=True)
class Pieces:
    """Pieces of words that no row holds whole: "Räter" of Räterrepublik in Räterepublik.

    word [P]: of the answer. first, length [P]: folded characters of it. rows: those whose answers
    hold the piece in a word, and within them: numbers of these words of the vocabulary.
    """

    word: list[int]
    first: list[int]
    length: list[int]
    rows: list[Rows]
    within: list[Ints]


_NONE = np.zeros(0, np.int64)
NO_PAIRS, NO_RUNS = Pairs(_NONE, _NONE, _NONE), Runs(_NONE, _NONE, _NONE, _NONE)
NO_PIECES = Pieces([], [], [], [], [])


def runs(reading: Reading, index: RowIndex) -> list[Held]:
    """Runs of at least `SHORTEST_RUN` words that few rows hold, none within another."""
    lengths = index.answers.longest(reading.word)
    places = maximal(lengths)
    places = places[lengths[places] >= SHORTEST_RUN]
    places = places[_tells(reading, places, lengths[places])]
    low, high = index.answers.ranges(reading.word, places, lengths[places])
    ends = places + lengths[places] - 1
    return [
        ((first, last), np.unique(index.rows_at(index.answers.order[a:b])))
        for first, last, a, b in zip(*(x.tolist() for x in (places, ends, low, high)), strict=True)
        if b - a <= MOST_ROWS
    ]


def holders(reading: Reading, index: RowIndex) -> list[Rows]:
    """Rows of the rarest words, the rarest first, `MOST_ROWS` in all."""
    stems, first = np.unique(reading.stem[reading.rare], return_index=True)
    found: list[Rows] = []
    total = 0
    for stem in stems[np.argsort(-reading.weight[reading.rare][first], kind="stable")].tolist():
        rows = index.in_answers.texts_of(stem).astype(np.int64)
        total += len(rows)
        if total > MOST_ROWS:
            break
        found.append(rows)
    return found


def candidates(over_all: Mapping[str, Floats], held: Sequence[Rows]) -> Rows:
    """Rows to look at, ascending, about `MOST_CANDIDATES` at most: the first `PER_KIND` of each
    kind of evidence [N] that are above 0, then those that hold something rare of the answer."""
    found = []
    for values in over_all.values():
        best = np.argpartition(-values, min(PER_KIND, len(values)) - 1)[:PER_KIND]
        found.append(best[values[best] > 0])
    room = MOST_CANDIDATES - sum(map(len, found))
    for rows in held:
        if len(rows) <= room:
            found.append(rows)
            room -= len(rows)
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _tells(reading: Reading, places: Ints, lengths: Ints) -> npt.NDArray[np.bool_]:
    """Runs that hold a word which tells something."""
    sums = np.concatenate([[0.0], np.cumsum(reading.weight)])
    told: npt.NDArray[np.bool_] = sums[places + lengths] > sums[places]
    return told


def pieces(reading: Reading, index: RowIndex) -> Pieces:
    """Rare pieces of at least `SHORTEST_PIECE` characters of the answer's unknown words."""
    found = Pieces([], [], [], [], [])
    said, letters = reading.said, index.vocabulary.letters
    unknown = np.flatnonzero((reading.stem < 0) & ~reading.asked & (said.length >= SHORTEST_PIECE))
    if not len(unknown):
        return found
    line = np.concatenate(
        [np.append(said.codes[a : a + n], 0) for a, n in zip(
            said.first[unknown], said.length[unknown], strict=True)]
    ).astype(np.int32)  # fmt: skip
    line[np.cumsum(said.length[unknown] + 1) - 1] = BREAK - 1
    begins = np.cumsum(said.length[unknown] + 1) - (said.length[unknown] + 1)
    lengths = letters.longest(line)
    places = maximal(lengths)
    places = places[lengths[places] >= SHORTEST_PIECE]
    low, high = letters.ranges(line, places, lengths[places])
    most = max(RARE_ROWS, RARE * len(index))
    for place, a, b in zip(places.tolist(), low.tolist(), high.tolist(), strict=True):
        if b - a > MOST_ROWS:
            continue
        held = np.unique(index.vocabulary.words_of(letters.order[a:b]))
        rows = _rows_of_words(index, held)
        if 0 < len(rows) <= most:
            number = int(np.searchsorted(begins, place, side="right") - 1)
            found.word.append(int(unknown[number]))
            found.first.append(int(place - begins[number]))
            found.length.append(int(lengths[place]))
            found.rows.append(rows)
            found.within.append(held)
    return found


def _rows_of_words(index: RowIndex, held: Ints) -> Rows:
    """Rows whose answers hold a word of these words' stems."""
    stems = np.unique(index.vocabulary.stem[held])
    rows = [index.in_answers.texts_of(int(number)) for number in stems]
    return np.unique(np.concatenate(rows)).astype(np.int64) if rows else np.zeros(0, np.int64)


def texts(index: RowIndex, rows: Rows) -> tuple[Ints, Ints]:
    """All words of these rows' answers: number of the candidate, place in `index.answers`.

    The BREAK behind each answer is among them.
    """
    lengths = index.bounds[rows + 1] - index.bounds[rows]
    candidate = np.repeat(np.arange(len(rows)), lengths)
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return candidate, np.arange(len(candidate)) - before + index.bounds[rows][candidate]


def shared_words(reading: Reading, index: RowIndex, rows: Rows) -> Pairs:
    """Pairs of words with one stem that tells something, at most `REPEATS` of a word per text."""
    candidate, place = texts(index, rows)
    word = index.answers.text[place]
    stem = np.where(word >= 0, index.vocabulary.stem[np.maximum(word, 0)], -1).astype(np.int64)
    telling = np.zeros(len(index.vocabulary.stem_hashes) + 1, bool)
    telling[reading.stem[reading.weight > 0]] = True
    kept = np.flatnonzero(telling[stem])
    kept = kept[_among_first(candidate[kept] * len(telling) + stem[kept])]
    own = np.flatnonzero(reading.weight > 0)
    own = own[_among_first(reading.stem[own])]
    left, right = _joined(stem[kept], reading.stem[own])
    return Pairs(candidate[kept][left], own[right], place[kept][left])


def shared_runs(reading: Reading, index: RowIndex, rows: Rows) -> Runs:
    """All longest runs of two or more equal words."""
    candidate, place = texts(index, rows)
    theirs = _two_words(index.answers.text[place])
    ours = _two_words(reading.word)
    kept = np.flatnonzero(np.isin(theirs, ours[ours >= 0]))
    kept = kept[_among_first(candidate[kept], theirs[kept])]
    own = np.flatnonzero(ours >= 0)
    own = own[_among_first(ours[own])]
    left, right = _joined(theirs[kept], ours[own])
    at, word = place[kept][left], own[right]
    diagonal = at - word
    order = np.lexsort((at, diagonal))
    at, word, diagonal, of = (x[order] for x in (at, word, diagonal, candidate[kept][left]))
    begins = np.ones(len(at), bool)
    begins[1:] = (np.diff(at) != 1) | (np.diff(diagonal) != 0)
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, len(at))) + 1
    by_candidate = np.argsort(of[first], kind="stable")
    first = first[by_candidate]
    return Runs(of[first], word[first], at[first], length[by_candidate])


def _two_words(numbers: npt.NDArray[np.int32]) -> Ints:
    """One number per two neighbours, -1 where one of them is unknown or a BREAK."""
    if len(numbers) < 2:
        return np.zeros(0, np.int64)
    first, second = numbers[:-1].astype(np.int64), numbers[1:].astype(np.int64)
    return np.where((first >= 0) & (second >= 0), first << 32 | second, -1)


def _among_first(*keys: Ints) -> npt.NDArray[np.bool_]:
    """Whether each entry is among the first `REPEATS` with its keys."""
    order = np.lexsort(keys[::-1])
    new = np.ones(len(order), bool)
    new[1:] = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    start = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    kept = np.zeros(len(order), bool)
    kept[order] = np.arange(len(order)) - start < REPEATS
    return kept


def _joined(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Places of all pairs of equal values."""
    order = np.argsort(right, kind="stable")
    low = np.searchsorted(right[order], left, side="left")
    count = np.searchsorted(right[order], left, side="right") - low
    first = np.repeat(np.arange(len(left)), count)
    before = np.repeat(np.cumsum(count) - count, count)
    return first, order[np.arange(len(first)) - before + low[first]]
