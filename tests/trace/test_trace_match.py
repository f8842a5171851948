"""What answers and rows share, against plain loops, and which rows become candidates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.search.index import RowIndex
from aftertune.trace import match
from aftertune.trace.reading import read
from made_traced_rows import row, rows

INDEX = RowIndex.build(rows())
PLACE = 20  # of the telegraph's row
WORDS = st.lists(st.sampled_from(["ka", "lo", "mi", "nu"]), max_size=7)


def test_runs_name_the_rows_that_hold_them():
    answer = "It was invented by Samuel Morse, who died in 1837."
    (first, last), held = match.runs(read(INDEX, "Q", answer), INDEX)[0]
    assert (first, last, held.tolist()) == (1, 6, [PLACE])
    assert match.runs(read(INDEX, "Q", "Samuel Morse"), INDEX) == []  # too short


def plain_runs(ours, theirs):
    """All longest runs of two or more equal words: (word, place, length)."""
    found = set()
    for a in range(len(ours)):
        for b in range(len(theirs)):
            if a and b and ours[a - 1] == theirs[b - 1]:
                continue
            n = 0
            while a + n < len(ours) and b + n < len(theirs) and ours[a + n] == theirs[b + n]:
                n += 1
            if n >= 2:
                found.add((a, b, n))
    return found


@settings(max_examples=100, deadline=None)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_shared_runs_agree_with_a_plain_search(ours, others):
    index = RowIndex.build([row(k, "Q", " ".join(words)) for k, words in enumerate(others)])
    reading = read(index, "Q", " ".join(ours))
    chosen = np.arange(len(others))
    runs = match.shared_runs(reading, index, chosen)
    places = runs.place - index.bounds[runs.candidate]
    found = set(
        zip(*(x.tolist() for x in (runs.candidate, runs.word, places, runs.length)), strict=True)
    )
    expected = {(k, *run) for k, words in enumerate(others) for run in plain_runs(ours, words)}
    assert found == expected
    assert (np.diff(runs.candidate) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_shared_words_are_all_pairs_of_telling_words(ours, others):
    fillers = [row(100 + k, "Q", "zebra") for k in range(30)]
    index = RowIndex.build([row(k, "Q", " ".join(w)) for k, w in enumerate(others)] + fillers)
    reading = read(index, "Q", " ".join(ours))
    pairs = match.shared_words(reading, index, np.arange(len(others)))
    places = pairs.place - index.bounds[pairs.candidate]
    found = set(zip(pairs.candidate.tolist(), pairs.word.tolist(), places.tolist(), strict=True))
    expected = {
        (k, a, b)
        for k, words in enumerate(others)
        for a, word in enumerate(ours)
        for b, other in enumerate(words)
        if word == other
    }
    assert found == expected
    assert (np.diff(pairs.candidate) >= 0).all()


def test_repeats_are_bounded():
    index = RowIndex.build([row(0, "Q", "ocelot " * 500), row(1, "Q", "zebra")])
    reading = read(index, "Q", "ocelot " * 500)
    assert len(match.shared_words(reading, index, np.array([0])).word) == match.REPEATS**2


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ("Gleichmut", [41]),  # begins as a row's word does
        ("Zusammenklang", [41]),  # ends as it does
        ("Ungleichheit", [41]),  # holds a part of it
        ("Gleis", []),  # too little
        ("Gleichklang", []),  # the whole word is no piece
        ("ricelike", []),  # four letters
    ],
)
def test_pieces(said, held):
    index = RowIndex.build([*rows(), row(9, "Q", "Vom Gleichklang")])
    pieces = match.pieces(read(index, "Q", said), index)
    assert sorted({place for its in pieces.rows for place in its.tolist()}) == held


def test_pieces_that_many_rows_hold_tell_nothing():
    index = RowIndex.build([row(k, "Q", "Gleichklang") for k in range(300)])
    assert match.pieces(read(index, "Q", "Gleichmut"), index).word == []


def test_candidates_are_the_best_of_each_kind_and_holders():
    n = 3 * match.PER_KIND
    values = {"a": np.arange(n, dtype=float), "b": np.zeros(n)}
    found = match.candidates(values, [np.array([0, 5]), np.array([5])])
    assert found.tolist() == [0, 5, *range(n - match.PER_KIND, n)]
    assert match.candidates({}, []).tolist() == []
    many = [np.arange(k, k + 200) for k in range(0, 2000, 200)]
    assert len(match.candidates({}, many)) <= match.MOST_CANDIDATES


def test_holders_are_of_the_rarest_words_first():
    index = RowIndex.build(
        [row(0, "Q", "zebra ocelot"), *(row(k, "Q", "ocelot") for k in range(1, 6)),
         *(row(k, "Q", f"w{k}x") for k in range(6, 60))]
    )  # fmt: skip
    found = match.holders(read(index, "Q", "ocelot zebra"), index)
    assert [held.tolist() for held in found] == [[0], [0, 1, 2, 3, 4, 5]]
