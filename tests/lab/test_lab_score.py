"""Measures of a detector, with the arithmetic in the test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.lab.over_worlds import OF_WORLDS
from aftertune.lab.score import (
    NO_ONE_ROW,
    NO_PROMISE,
    NO_ROWS,
    NONE_REPORTED,
    ONE_ROW,
    Scored,
    auroc,
    average_precision,
    random_top,
    score,
    thresholds,
)
from aftertune.lab.threshold import ONE_WORLD, best_f1


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


def test_many_weights_at_once_are_each_alone():
    generator = np.random.default_rng(0)
    caused, values = generator.random(30) < 0.4, generator.integers(0, 6, 30).astype(float)
    weights = generator.integers(0, 3, (7, 30)).astype(float)
    for measure in (auroc, average_precision):
        alone = [float(measure(caused, values, row)) for row in weights]
        assert measure(caused, values, weights) == pytest.approx(alone, nan_ok=True)
        assert measure(caused[:0], values[:0], weights[:, :0]).shape == (7,)


def _item(group, caused, value, blamed=(), causal=(), q=None, level=None):
    return Scored(group, caused, value, tuple(blamed), frozenset(causal), level, q)


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
    assert found["top_1_one_row"].reason == NO_ONE_ROW
    assert found["false_discovery"].reason == NO_PROMISE


def test_top_of_causes_that_are_one_row():
    items = [
        _item("0/a", True, 2.0, [1], [1], level=ONE_ROW),
        _item("0/b", True, 2.0, [4], [3], level=ONE_ROW),
        _item("0/c", True, 1.0, [9], [3, 4], level="several rows"),
        _item("0/d", False, 0.0),
    ]
    found = score(items)
    assert found["top_1"].estimate == pytest.approx(1 / 3)
    assert found["top_1_one_row"].estimate == 0.5
    assert score([_item("0/a", True, 1.0, (), [1]), items[3]])["top_5"].reason == NO_ROWS


def test_precision_and_recall_at_the_other_worlds_threshold_by_hand():
    # world 0 alone is best cut at 3, world 1 at 8: so world 0 is cut at 8, and world 1 at 3
    items = [
        _item("0/a", True, 9.0), _item("0/b", True, 3.0), _item("0/c", False, 1.0),
        _item("1/a", True, 8.0), _item("1/b", False, 4.0), _item("1/c", False, 2.0),
    ]  # fmt: skip
    assert thresholds(items).tolist() == [8, 8, 8, 3, 3, 3]
    found = score(items)
    # world 0: 9 is taken, 1 of 1 right and 1 of 2 found; world 1: 8 and 4, 1 of 2 and 1 of 1
    assert found["precision"].estimate == 0.75
    assert found["recall"].estimate == 0.75
    assert found["precision"].method == OF_WORLDS


def test_a_threshold_of_other_worlds_flatters_nobody():
    """Of scores that know nothing, precision is the share that is caused; thresholds chosen on
    the judged world itself find more."""
    generator = np.random.default_rng(0)
    honest, flattered = [], []
    for _ in range(300):
        values = generator.random((4, 15))
        caused = np.arange(15) < 5
        items = [_item(f"{w}/{i}", i < 5, float(values[w, i])) for w in range(4) for i in range(15)]
        honest.append(score(items)["precision"].estimate)
        own = [row >= best_f1(caused, row) for row in values]
        flattered.append(np.mean([caused[taken].mean() for taken in own]))
    assert np.mean(honest) == pytest.approx(1 / 3, abs=0.02)
    assert np.mean(flattered) > 0.4


def test_one_world_has_no_threshold():
    found = score([_item("0/a", True, 2.0), _item("0/b", False, 1.0)])
    assert found["precision"].reason == found["recall"].reason == ONE_WORLD


def test_a_perfect_detector_is_perfect_at_a_threshold_of_other_worlds():
    items = [_item(f"{w}/{i}", i < 3, 1.0 - (i >= 3)) for w in range(5) for i in range(9)]
    found = score(items)
    for name in ("auroc", "average_precision", "precision", "recall"):
        assert (found[name].estimate, found[name].low, found[name].n) == (1, 1, 5)


def test_promised_against_found():
    items = [_item(f"0/{i}", i < 3, 0.0, q=0.05 if i in (0, 1, 5) else 0.5) for i in range(10)]
    found = score(items)
    assert found["false_discovery"].estimate == pytest.approx(1 / 3)
    assert found["power"].estimate == pytest.approx(2 / 3)
    none = score([_item(f"0/{i}", i < 3, 0.0, q=0.5) for i in range(10)])
    assert none["false_discovery"].reason == NONE_REPORTED
    assert none["power"].estimate == 0


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


def test_worlds_are_averaged_where_there_are_several():
    items = [_item(f"{w}/{i}", i % 2 == 0, float(i)) for w in range(3) for i in range(6)]
    found = score(items)["auroc"]
    assert (found.n, found.method) == (3, OF_WORLDS)
    one = score([one for one in items if one.group.startswith("0/")])["auroc"]
    assert one.n == 6
    assert "over prompts" in one.method


def test_scores_of_different_worlds_are_never_compared():
    # every world is ordered perfectly, on a scale of its own
    items = [_item(f"{w}/{i}", i > 2, 100.0**w * i) for w in range(4) for i in range(6)]
    assert score(items)["auroc"].estimate == 1


def test_a_world_of_one_label_has_no_auroc_and_is_left_out():
    items = [_item(f"{w}/{i}", i < 2, -float(i)) for w in range(3) for i in range(5)]
    items += [_item(f"3/{i}", False, 0.0) for i in range(5)]
    found = score(items)
    assert found["auroc"].n == 3
    assert found["chance_of_caused"].n == 4


def test_one_sided_labels_have_no_score():
    assert score([_item("0/a", True, 1.0)])["auroc"].reason == "every statement is caused by rows"
    assert score([])["auroc"].reason == "no statement is caused by rows"


def test_chance_of_a_blind_row():
    # one of ten rows is causal: a first draw hits it in a tenth, five draws in a half
    items = [_item("0/a", True, 0.0, causal=[3])]
    assert random_top(items, 10, 1) == pytest.approx(0.1)
    assert random_top(items, 10, 5) == pytest.approx(0.5)
    # of two rows five draws hit any
    assert random_top([_item("0/a", True, 0.0, causal=[1])], 2, 5) == 1
