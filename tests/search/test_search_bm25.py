"""BM25 against its formula and against bm25s."""

import math

import bm25s
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.search.bm25 import K1, B, Postings

TEXTS = st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=6)


def postings(texts: list[list[int]], terms: int = 6) -> Postings:
    text = np.array([number for number, words in enumerate(texts) for _ in words], np.int64)
    term = np.array([word for words in texts for word in words], np.int64)
    return Postings.of(text, term, len(texts), terms)


def scores(index: Postings, query: list[int]) -> np.ndarray:
    terms, counts = np.unique(np.array(query, np.int64), return_counts=True)
    return index.scores(terms, (counts * index.idf(terms)).astype(np.float32))


def test_a_value_by_hand() -> None:
    index = postings([[0, 0, 1], [1]])
    # term 0: in one of two texts; twice in a text of 3 words, where 2 are the mean
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    part = 2 / (2 + K1 * (1 - B + B * 3 / 2))
    assert np.allclose(scores(index, [0]), [idf * part, 0], atol=1e-6)
    assert index.frequency(np.array([0, 1, 5])).tolist() == [1, 2, 0]
    assert index.texts_of(1).tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_agrees_with_bm25s(texts: list[list[int]], query: list[int]) -> None:
    texts = [*texts, [0, 1, 2, 3, 4, 5]]  # bm25s wants every term to stand somewhere
    other = bm25s.BM25(k1=K1, b=B, method="lucene")
    other.index([[f"t{word}" for word in words] for words in texts], show_progress=False)
    expected = other.get_scores([f"t{word}" for word in query])
    assert np.allclose(scores(postings(texts), query), expected, atol=1e-4)


def test_nothing() -> None:
    assert scores(postings([[], []]), []).tolist() == [0, 0]
    assert postings([], 0).n_texts == 0
    assert postings([[], []]).texts_of(3).tolist() == []
