"""Measures of a detector, with the arithmetic in the test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.lab.score import Scored, auroc, average_precision, random_top, ranks, score


def test_auroc_by_hand():
    # caused 3, 1; others 2, 0: of four pairs 3>2, 3>0, 1>0 are right, 1<2 is not
    found = auroc(np.array([True, False, True, False]), np.array([3.0, 2.0, 1.0, 0.0]))
    assert found == pytest.approx(3 / 4)
    assert auroc(np.array([True, False]), np.array([1.0, 1.0])) == 0.5
    assert math.isnan(auroc(np.array([True]), np.array([1.0])))
    assert math.isnan(auroc(np.zeros(0, bool), np.zeros(0)))


def test_average_precision_by_hand():
    # order 3 (caused), 2, 1 (caused), 0: precision 1 at the first, 2/3 at the second
    found = average_precision(np.array([True, False, True, False]), np.array([3.0, 2.0, 1.0, 0.0]))
    assert found == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([True, False]), np.array([1.0, 1.0])) == 0.5
    assert math.isnan(average_precision(np.array([False]), np.array([1.0])))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40),
    st.integers(1, 3),
)
def test_weights_count_like_copies_and_any_rising_scale_gives_the_same(items, times):
    caused = np.array([c for c, _ in items])
    values = np.array([float(v) for _, v in items])
    copied = np.repeat(caused, times), np.repeat(values, times)
    for measure in (auroc, average_precision):
        once = measure(caused, values)
        assert measure(caused, values, np.full(len(items), float(times))) == pytest.approx(
            once, nan_ok=True
        )
        assert measure(*copied) == pytest.approx(once, nan_ok=True)
        assert measure(caused, np.exp(values)) == pytest.approx(once, nan_ok=True)


def _item(group, caused, value, blamed=(), causal=(), q=None):
    return Scored(group, caused, value, tuple(blamed), frozenset(causal), q)


def test_top_counts_any_row_of_the_causal_set():
    items = [
        _item("0/a", True, 2.0, [5, 1], [1, 2]),
        _item("0/b", True, 1.0, [9], [3]),
        _item("0/c", False, 0.0),
    ]
    found = score(items)
    assert found["top_1"].estimate == 0
    assert found["top_5"].estimate == 0.5
    assert found["auroc"].estimate == 1
    assert found["false_discovery"].reason == "the detector promises no error rate"


def test_promised_against_found():
    items = [_item(f"0/{i}", i < 3, 0.0, q=0.05 if i in (0, 1, 5) else 0.5) for i in range(10)]
    found = score(items)
    assert found["false_discovery"].estimate == pytest.approx(1 / 3)
    assert found["power"].estimate == pytest.approx(2 / 3)


def test_a_random_detector_is_at_chance_within_its_interval():
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        items = [
            _item(f"0/{i}", bool(generator.random() < 0.3), float(generator.random()))
            for i in range(80)
        ]
        found = score(items)["auroc"]
        held += found.low <= 0.5 <= found.high
    assert held >= 34


def test_worlds_are_drawn_where_there_are_several():
    items = [_item(f"{w}/{i}", i % 2 == 0, float(i)) for w in range(3) for i in range(6)]
    assert score(items)["auroc"].n == 3
    assert score([one for one in items if one.group.startswith("0/")])["auroc"].n == 6


def test_one_sided_labels_have_no_score():
    assert score([_item("0/a", True, 1.0)])["auroc"].reason == "every statement is caused by rows"
    assert score([])["auroc"].reason == "no statement is caused by rows"


def test_chance_of_a_blind_row():
    # one of ten rows is causal: a first draw hits it in a tenth, five draws in a half
    items = [_item("0/a", True, 0.0, causal=[3])]
    assert random_top(items, 10, 1) == pytest.approx(0.1)
    assert random_top(items, 10, 5) == pytest.approx(0.5)


def test_ranks_share_ties():
    assert ranks([3.0, 1.0, 1.0, 2.0]) == pytest.approx([0.875, 0.25, 0.25, 0.625])
    assert ranks([]) == []
