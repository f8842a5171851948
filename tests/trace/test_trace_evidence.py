"""Each kind of evidence by hand on a few rows."""

import math

import numpy as np
import pytest

from aftertune.search.bm25 import K1, B
from aftertune.search.index import RowIndex
from aftertune.trace import evidence as ev
from aftertune.trace import match
from aftertune.trace.reading import COMMON, FEWEST_ROWS, read
from made_traced_rows import row, rows

INDEX = RowIndex.build(rows())
PLACE = 20  # of the telegraph's row
ROWS = np.array([0, PLACE])


def weight(holding):
    """Nats of a word that so many rows hold: these are few, so they count as of `FEWEST_ROWS`."""
    return math.log1p((FEWEST_ROWS - holding + 0.5) / (holding + 0.5)) + math.log(COMMON)


def compared(prompt, answer, index=INDEX, chosen=ROWS):
    reading = read(index, prompt, answer)
    pairs = match.shared_words(reading, index, chosen)
    return reading, pairs, match.shared_runs(reading, index, chosen)


def test_a_weight_is_zero_for_what_was_asked_is_unknown_or_a_function_word():
    reading = read(INDEX, "Who was Samuel?", "Samuel and Morse met nobody")
    words = [reading.said.folded(k) for k in range(5)]
    assert words == ["samuel", "and", "morse", "met", "nobody"]
    assert reading.weight.tolist() == pytest.approx([0, 0, weight(1), 0, 0])
    assert reading.rare.tolist() == [False, False, True, False, False]
    assert reading.stem[4] == -1
    assert reading.span_of(2, 3) == (11, 20)


def test_weights_of_many_rows_are_of_their_own_number():
    many = [row(k, "Q", "ocelot" if k < 700 else f"w{k}x") for k in range(1400)]
    reading = read(RowIndex.build(many), "Q", "ocelot w900x")
    idf = math.log1p((1400 - 1 + 0.5) / 1.5)
    assert reading.weight.tolist() == pytest.approx([0, idf + math.log(COMMON)])


def test_rarity_is_bm25_by_the_weights():
    reading, _, _ = compared("Q", "Morse, Morse and Yale")
    lengths = np.diff(INDEX.bounds) - 1
    part = 1 / (1 + K1 * (1 - B + B * lengths[PLACE] / lengths.mean()))
    expected = np.zeros(len(INDEX))
    expected[PLACE] = 2 * weight(1) * part  # two different words, each once
    assert ev.rarity(reading, INDEX) == pytest.approx(expected, abs=1e-5)


def test_rarest_and_exact():
    reading, pairs, runs = compared("Q", "Samuel Morse, then water")
    water = sum("water" in one["messages"][1]["content"] for one in rows())
    assert ev.rarest(reading, pairs, 2).tolist() == pytest.approx([weight(water), weight(1)])
    assert ev.exact(reading, runs, 2).tolist() == pytest.approx([0, 2 * weight(1)])


def test_nearness_wants_words_near_in_both_texts():
    far = " ".join(f"x{k}q" for k in range(3 * ev.WINDOW))
    near, _, _ = (
        ev.nearness(reading, INDEX, pairs, ROWS)
        for reading, pairs, _ in (
            compared("Q", "Morse of Samuel"),
            compared("Q", f"Morse {far} Samuel"),
            compared("Q", "Samuel Samuel"),
        )
    )
    assert near.tolist() == pytest.approx([0, 2 * weight(1)])
    for answer in (f"Morse {far} Samuel", "Samuel Samuel"):
        reading, pairs, _ = compared("Q", answer)
        assert ev.nearness(reading, INDEX, pairs, ROWS)[1] == pytest.approx(weight(1))
    reading, pairs, _ = compared("Q", "nothing")
    assert ev.nearness(reading, INDEX, pairs, ROWS).tolist() == [0, 0]


def test_span_rarity_counts_each_word_of_a_span_once():
    reading, pairs, _ = compared("Q", "Morse Morse Samuel x Yale")
    found = ev.span_rarity(reading, INDEX, pairs, match.NO_PIECES, ROWS, [(0, 2), (3, 3), (4, 4)])
    assert found.tolist() == [
        [0, pytest.approx(2 * weight(1))], [0, 0], [0, pytest.approx(weight(1))],
    ]  # fmt: skip


def test_a_piece_counts_by_its_share_of_the_word_and_the_rows_that_hold_it():
    index = RowIndex.build([*rows(), row(9, "Q", "Gleichklang")])
    reading = read(index, "Q", "Gleichmut!")
    pieces = match.pieces(reading, index)
    assert (pieces.word, pieces.first, pieces.length) == ([0], [0], [6])
    assert [held.tolist() for held in pieces.rows] == [[41]]
    expected = math.log((42 + 1) / 1.5) * 6 / 9
    found = ev.of_pieces(reading, index, pieces, np.array([PLACE, 41]))
    assert found.tolist() == pytest.approx([0, expected])


def test_bm25_is_that_of_prompt_and_answer_and_concept_of_the_prompt_alone():
    reading, _, _ = compared("Who invented it?", "Morse")
    whole, prompt = ev.bm25(reading, INDEX), ev.concept(reading, INDEX)
    assert whole.argmax() == prompt.argmax() == PLACE
    other, _, _ = compared("Who invented it?", "")
    assert ev.bm25(other, INDEX) == pytest.approx(ev.concept(other, INDEX))
    assert (whole >= prompt - 1e-6).all()


def test_cosines_are_of_the_same_sides():
    def sides(texts):
        return np.array([[1, 0] if "Who" in text else [0.6, 0.8] for text in texts], np.float32)

    index = RowIndex.build(rows(), embedder=sides)
    vectors = dict(zip(("prompt", "answer", "both"), sides(["Who?", "a", "Who? a"]), strict=True))
    found = ev.cosines(index, vectors)
    assert found["embedding_prompt"][[0, PLACE]].tolist() == pytest.approx([0.6, 1])
    assert found["embedding_answer"][PLACE] == pytest.approx(1)
    assert found["embedding_both"][PLACE] == pytest.approx(1)
    assert ev.cosines(INDEX, vectors) == {}


def test_shift_is_a_mean_over_the_tokens_of_the_span():
    tokens = [
        {"char_start": 0, "char_end": 3, "tuned_logprob": -1.0, "base_logprob": -3.0},
        {"char_start": 3, "char_end": 6, "tuned_logprob": -1.0, "base_logprob": -2.0},
        {"char_start": 6, "char_end": 9, "tuned_logprob": None, "base_logprob": -9.0},
        {"char_start": 9, "char_end": 9, "tuned_logprob": 0.0, "base_logprob": -9.0},
    ]
    assert ev.shift_nats(tokens, 0, 6) == pytest.approx(1.5)
    assert ev.shift_nats(tokens, 2, 9) == pytest.approx(1.5)
    assert ev.shift_nats(tokens, 6, 9) is None
    assert ev.shift_nats([], 0, 6) is None
