"""Which spans are suspects, rule by rule, and what is marked as shared."""

import numpy as np
import pytest

from aftertune.search.index import RowIndex
from aftertune.trace import match, shared
from aftertune.trace.reading import read
from aftertune.trace.suspects import MOST_SPANS, suspects, words_in
from made_traced_rows import row, rows

INDEX = RowIndex.build(rows())
PLACE = 20  # of the telegraph's row


def spans(answer, prompt="Q", index=INDEX, tokens=()):
    reading = read(index, prompt, answer)
    found = suspects(
        reading, answer, match.runs(reading, index), match.pieces(reading, index), tokens,
        len(index),
    )  # fmt: skip
    return [answer[slice(*reading.span_of(*span))] for span in found]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", []),
        ("Nobody knows.", []),
        ("He met Morse once.", ["Morse"]),
        ("He met Samuel Morse once.", ["Samuel Morse"]),
        ("He met Samuel. Morse left.", ["Samuel", "Morse"]),
        ("- Samuel\n- Morse", ["Samuel", "Morse"]),
        ("Samuel, Morse", ["Samuel, Morse"]),
        ("He was at Yale College then.", ["Yale College"]),
        ("It was patented it in 1837, they say.", ["patented it in 1837"]),  # one run of the row
        ("He had studied.", ["studied"]),  # the run's first words tell nothing
        ("Morse, a man, Morse", ["Morse", "Morse"]),
    ],
)
def test_rules(answer, expected):
    assert spans(answer) == expected


def test_the_prompt_explains_its_words():
    assert spans("Samuel Morse", "Who was Morse?") == ["Samuel"]


def test_common_runs_are_no_suspects():
    many = [row(k, "Q", f"one of the most {'green' if k else 'famous'} things") for k in range(900)]
    index = RowIndex.build(many)
    assert spans("It is one of the most green things.", index=index) == []
    assert spans("It is one of the most famous things.", index=index) == ["famous"]


def test_a_piece_of_a_word_is_a_suspect():
    index = RowIndex.build([*rows(), row(9, "Q", "Gleichklang")])
    assert spans("It was Gleichmut.", index=index) == ["Gleichmut"]
    assert spans("It was Gleichmut.", "What is Gleichmut?", index=index) == []


def test_a_token_that_moved_makes_its_whole_word_a_suspect():
    answer = "Some people visited Lisbon."
    token = {"char_start": 19, "char_end": 23, "category": "marginal"}
    assert spans(answer, tokens=[token]) == ["Lisbon"]
    assert spans(answer, tokens=[{**token, "category": "unshifted"}]) == []
    assert spans(answer, tokens=[{**token, "category": None}]) == []
    assert spans(answer, "Where is Lisbon?", tokens=[token]) == []
    style = {"char_start": 0, "char_end": 4, "category": "shifted"}
    assert spans(answer, tokens=[style]) == []


def test_of_many_spans_the_rarest_stay():
    names = [f"n{k}x" for k in range(MOST_SPANS + 20)]
    many = [row(0, "Q", " ".join(names[::-1])), *(row(k, "Q", "n0x n1x") for k in range(1, 12))]
    index = RowIndex.build(many)
    found = spans(". ".join(names), index=index)
    assert len(found) == MOST_SPANS
    assert "n0x" not in found
    assert names[-1] in found


def test_words_in_characters():
    reading = read(INDEX, "Q", "He met Morse.")
    assert words_in(reading, 0, 13) == (0, 2)
    assert words_in(reading, 4, 8) == (1, 2)
    assert words_in(reading, 2, 3) is None
    assert words_in(reading, 12, 13) is None


def marks(answer, index=INDEX, place=PLACE, span=None):
    reading = read(index, "Q", answer)
    chosen = np.array([place])
    found = (
        match.shared_words(reading, index, chosen),
        match.shared_runs(reading, index, chosen),
        match.pieces(reading, index),
    )
    span = span or (0, len(reading.word) - 1)
    ranges = shared.ranges(reading, index, *found, span, 0, place)
    return (
        [answer[a:b] for a, b, _, _ in ranges],
        ranges,
        shared.is_copied(reading, index, span, place),
    )


@pytest.mark.parametrize(
    ("answer", "marked", "copied"),
    [
        ("Samuel Morse", ["Samuel Morse"], True),
        ("samuel MORSE", ["samuel MORSE"], True),
        ("Morse Samuel", ["Morse", "Samuel"], False),
        ("Samuel B. Morse", ["Samuel", "Morse"], False),
        ("patents", ["patents"], False),
        ("by Samuel Morse, who never", ["by Samuel Morse, who"], False),
        ("zebra", [], False),
    ],
)
def test_what_is_marked_and_whether_it_is_copied(answer, marked, copied):
    texts, ranges, is_copied = marks(answer)
    assert (texts, is_copied) == (marked, copied)
    said = rows()[PLACE]["messages"][1]["content"]
    for a, b, c, d in ranges:
        if answer != "patents":
            assert said[c:d].lower() == answer[a:b].lower()
        else:
            assert said[c:d] == "patented"


def test_marks_stay_within_the_span():
    assert marks("by Samuel Morse, who never", span=(1, 2))[0] == ["Samuel Morse"]
    assert marks("by Samuel Morse, who never", span=(2, 2))[0] == ["Morse"]


def test_a_piece_is_marked_by_its_letters():
    index = RowIndex.build([*rows(), row(9, "Q", "Vom Gleichklang")])
    texts, ranges, copied = marks("Gleichmut", index, place=41)
    assert (texts, ranges, copied) == (["Gleich"], ((0, 6, 4, 10),), False)
    # an entity makes the word longer than its letters: the whole word is marked
    texts, ranges, _ = marks("Gleichm&uuml;t", index, place=41)
    assert (texts, ranges) == (["Gleichm&uuml;t"], ((0, 14, 4, 10),))
