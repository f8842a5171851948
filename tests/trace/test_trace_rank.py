"""Scores from ranks, and which pairs of span and row are shown."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aftertune.trace.evidence import KINDS
from aftertune.trace.rank import (
    SHORT_ROW,
    WITH_EMBEDDINGS,
    WITHOUT_EMBEDDINGS,
    best_of_spans,
    by_length,
    by_ranks,
    minus_log_ranks,
    weighted,
    within_spans,
)

WEIGHTS = {"rarity": 0.5, "exact": 0.25, "nearness": 0.125}


def test_a_value_by_hand():
    evidence = {"rarity": np.array([5.0, 9.0, 5.0]), "exact": np.array([1.0, 3.0, 2.0])}
    shared = math.log(2.5)  # of ranks 2 and 3
    expected = [
        -WEIGHTS["rarity"] * shared - WEIGHTS["exact"] * math.log(3),
        0.0,
        -WEIGHTS["rarity"] * shared - WEIGHTS["exact"] * math.log(2),
    ]
    assert by_ranks(evidence, WEIGHTS).tolist() == pytest.approx(expected)
    left = by_ranks(evidence, WEIGHTS, without=("exact",))
    assert left.tolist() == pytest.approx([-WEIGHTS["rarity"] * shared, 0, left[0]])


def test_what_counts_nothing_or_is_not_there():
    assert by_ranks({"bm25": np.array([1.0, 2.0])}, WEIGHTS).tolist() == [0, 0]
    assert by_ranks({}, WEIGHTS).tolist() == []
    assert by_ranks({"rarity": np.zeros(0)}, WEIGHTS).tolist() == []


def test_features_are_weighed_and_added():
    made = minus_log_ranks({"rarity": np.array([3.0, 1.0]), "odd": np.array([0.0, 9.0])})
    assert made["odd"].tolist() == pytest.approx([-math.log(2), 0])
    made["length"] = np.array([-4.0, -1.0])
    weights = {"rarity": 2.0, "length": 0.5, "exact": 1.0}
    assert weighted(made, weights).tolist() == pytest.approx([-2, -2 * math.log(2) - 0.5])
    assert weighted(made, weights, without=("length", "odd")).tolist() == pytest.approx(
        [0, -2 * math.log(2)]
    )


def test_what_is_not_known_moves_nobody():
    made = minus_log_ranks({"a": np.array([np.nan, 4.0, 9.0]), "b": np.full(2, np.nan)})
    assert made["a"].tolist() == pytest.approx([-math.log(2) / 2, -math.log(2), 0])
    assert made["b"].tolist() == [0, 0]


@pytest.mark.parametrize("weights", [WITH_EMBEDDINGS, WITHOUT_EMBEDDINGS])
def test_every_weight_is_of_something_and_none_is_negative(weights):
    assert set(weights) <= {*KINDS, "within_span", "length"}
    assert min(weights.values()) > 0
    assert any(name.startswith("embedding") for name in weights) == (weights is WITH_EMBEDDINGS)


@given(arrays(float, (2, 7), elements=st.integers(-5, 5)))
def test_only_the_order_of_values_counts(values):
    evidence = {"rarity": values[0], "nearness": values[1]}
    other = {"rarity": values[0] ** 3 + 2, "nearness": np.exp(values[1])}
    assert by_ranks(evidence, WEIGHTS).tolist() == pytest.approx(by_ranks(other, WEIGHTS).tolist())
    assert (by_ranks(evidence, WEIGHTS) <= 1e-12).all()


@given(arrays(float, (2, 6), elements=st.integers(0, 5)), st.integers(0, 5))
def test_more_evidence_never_lowers_a_score(values, place):
    before = by_ranks({"rarity": values[0], "exact": values[1]}, WEIGHTS)
    values = values.copy()
    values[0, place] += 1
    assert (
        by_ranks({"rarity": values[0], "exact": values[1]}, WEIGHTS)[place] >= before[place] - 1e-12
    )


def test_within_a_span_the_larger_share_counts():
    rarity = np.array([[4.0, 0.0, 4.0, 1.0], [1.0, 9.0, 0.0, 0.0]])
    found = -within_spans(rarity)
    logs = [[1.5, 4, 1.5, 3], [2, 1, 3.5, 3.5]]
    assert found.tolist() == [pytest.approx([math.log(rank) for rank in one]) for one in logs]


def test_a_row_of_twice_the_words_stands_lower_by_the_logarithm_of_two():
    words = np.array([0, 1, SHORT_ROW, 2 * SHORT_ROW, 4 * SHORT_ROW])
    expected = [0, 0, 0, -math.log(2), -2 * math.log(2)]
    assert by_length(words).tolist() == pytest.approx(expected)
    assert by_length(np.zeros(0, np.int64)).tolist() == []


@given(st.lists(st.integers(0, 10**6), max_size=9), st.integers(0, 10**6))
def test_a_length_counts_the_same_whatever_the_other_rows_are(words, more):
    alone = by_length(np.array([more]))[0]
    beside = by_length(np.array([*words, more]))
    assert beside[-1] == alone <= 0
    longer = np.array(words, np.int64) >= more
    assert (beside[:-1][longer] <= alone).all()


def test_shown_are_the_best_rows_of_the_best_spans():
    span = np.array([0, 0, 0, 1, 1, 2])
    scores = np.array([-1.0, -3.0, -1.0, -0.5, -4.0, -2.0])
    names = np.array([8, 5, 7, 5, 6, 5])
    kept, ranks = best_of_spans(span, scores, names, top_k=2, max_spans=2)
    assert kept.tolist() == [3, 2, 0, 4]  # of equal scores the lower name first
    assert ranks.tolist() == [1, 1, 2, 2]
    kept, ranks = best_of_spans(span[:0], scores[:0], names[:0], 2, 2)
    assert (kept.tolist(), ranks.tolist()) == ([], [])
