"""Sentences cover the text whatever it holds, and tokens find theirs."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.text import sentences as module
from aftertune.text.sentences import sentence_bounds, sentence_of_tokens
from aftertune.text.spans import spans
from made_tokenizers import byte_level


def cut(text):
    return [text[start:end] for start, end in sentence_bounds(text)]


def assert_cover(text):
    bounds = sentence_bounds(text)
    assert "".join(text[start:end] for start, end in bounds) == text
    assert all(start < end for start, end in bounds)
    return bounds


def test_sentences_by_hand():
    text = 'Dr. Smith went to the U.S. in 1999. He was happy! "Was he?" she asked.'
    assert cut(text) == [
        "Dr. Smith went to the U.S. in 1999. ",
        "He was happy! ",
        '"Was he?" she asked.',
    ]


def test_a_line_break_ends_a_sentence_and_white_space_goes_with_it():
    assert cut("  A list:\n\n1. Eggs\n2. Milk, e.g. fresh\n") == [
        "  A list:\n\n",
        "1. Eggs\n",
        "2. Milk, e.g. fresh\n",
    ]


def test_empty_and_white_space_texts():
    assert sentence_bounds("") == []
    assert sentence_bounds(" \n ") == [(0, 3)]


@pytest.mark.parametrize(
    "text",
    [
        "()(((",
        "*" * 50,
        "[.*+?",
        "a.b.c.d",
        "\\",
        "?!?!",
        "...",
        "\u2028x\u2028",
        "( e.g. [",
        '""."',
    ],
)
def test_odd_texts_are_covered(text):
    assert_cover(text)


@settings(max_examples=150, deadline=None)
@given(
    st.text(
        st.one_of(
            st.sampled_from(". !?\"()[]\n\r1a)A–…。？'“”*+&ᓴ∯"),
            st.characters(exclude_categories=["Cs"]),
        ),
        max_size=120,
    )
)
def test_any_text_is_covered(text):
    assert_cover(text)


def test_a_failing_segmenter_leaves_one_sentence_per_line(monkeypatch):
    def fails(piece):
        raise IndexError("string index out of range")

    monkeypatch.setattr(module, "_sentences", fails)
    assert cut("One. Two.\nThree.") == ["One. Two.\n", "Three."]


def test_a_segmenter_that_loses_sentences_leaves_no_gap(monkeypatch):
    monkeypatch.setattr(module, "_sentences", lambda piece: ["One.", "CHANGED.", "Three."])
    assert cut("One. Two. Three.") == ["One. Two. ", "Three."]


def test_long_lines_are_cut_like_short_ones():
    sentence = "The river runs, as Dr. Hill says, to the sea of the north. "
    text = sentence * 60  # beyond several pieces
    assert cut(text) == [sentence] * 60


def test_one_endless_sentence_stays_one():
    text = "word " * 2000 + "end. Next."
    assert [len(piece) for piece in cut(text)] == [10_005, 5]


@pytest.mark.parametrize(
    "text",
    ["The sea is deep. It is cold, e.g. in winter! " * 4500, "a" * 200_000, '"He said (' * 20_000],
    ids=["prose", "one word", "open quotes"],
)
def test_fifty_thousand_tokens_take_seconds(text):
    before = time.process_time()
    assert_cover(text)
    assert time.process_time() - before < 5


def test_tokens_by_hand():
    text = "It is.\n So it"
    bounds = sentence_bounds(text)
    assert bounds == [(0, 8), (8, 13)]
    #        It      is      .       \n      So       it        stop
    spans = [(0, 2), (2, 5), (5, 6), (6, 7), (7, 10), (10, 13), (13, 13)]
    sentence, position = sentence_of_tokens(spans, bounds, text)
    assert sentence == [0, 0, 0, 0, 1, 1, 1]  # " So" begins in the white space before "So"
    assert position == [0, 1, 2, 3, 0, 1, 2]


def test_a_token_across_the_bound_belongs_where_its_first_word_begins():
    text = "Go.Stop. Now."
    assert sentence_of_tokens([(0, 9), (9, 13)], [(0, 9), (9, 13)], text) == ([0, 1], [0, 0])
    # ". N" begins with the full stop of the first sentence
    assert sentence_of_tokens([(0, 7), (7, 10), (10, 13)], [(0, 9), (9, 13)], text)[0] == [0, 0, 1]


def test_tokens_before_any_text_and_of_an_empty_text():
    assert sentence_of_tokens([], [], "") == ([], [])
    assert sentence_of_tokens([(0, 0), (0, 0)], [], "") == ([0, 0], [0, 1])
    assert sentence_of_tokens([(0, 0), (0, 2)], [(0, 2)], "Hi") == ([0, 0], [0, 1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["It is. ", "\n", "🙂 ok! ", "Dr. X ", "no end", " "]), max_size=12)
)
def test_positions_count_up_within_each_sentence(parts):
    text = "".join(parts)
    tokenizer = byte_level()
    ids = tokenizer(text, add_special_tokens=False).input_ids
    found = spans(tokenizer, ids, text)
    bounds = assert_cover(text)
    sentence, position = sentence_of_tokens(found, bounds, text)
    assert sentence == sorted(sentence)
    for number in set(sentence):
        here = [p for s, p in zip(sentence, position, strict=True) if s == number]
        assert here == list(range(len(here)))
    for (start, end), number in zip(found, sentence, strict=True):
        first = end - len(text[start:end].lstrip())
        if first < end:
            assert bounds[number][0] <= first < bounds[number][1]
