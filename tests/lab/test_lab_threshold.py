"""Thresholds by hand, and that they never see the world that they judge."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aftertune.lab.threshold import best_f1, left_out


def flags(*values):
    return np.array(values, bool)


def test_the_threshold_of_highest_f1_by_hand():
    # at 4: F1 = 2/(1+2); at 3: 2/(2+2); at 2: 4/(3+2) = 0.8; at 1: 4/(4+2)
    found = best_f1(flags(1, 0, 1, 0), np.array([4.0, 3.0, 2.0, 1.0]))
    assert found == 2.0


def test_the_highest_of_equal_thresholds_is_taken():
    # at 3: 2/(1+2) = 2/3; at 1: 4/(4+2) = 2/3
    assert best_f1(flags(1, 0, 0, 1), np.array([3.0, 2.0, 2.0, 1.0])) == 3.0
    assert best_f1(flags(1, 0), np.array([5.0, 5.0])) == 5.0


def test_without_a_caused_statement_there_is_no_threshold():
    assert math.isnan(best_f1(flags(0, 0), np.array([1.0, 2.0])))
    assert math.isnan(best_f1(flags(), np.zeros(0)))


def test_each_world_is_judged_by_the_others():
    caused = flags(1, 0, 1, 0)
    score = np.array([10.0, 1.0, 3.0, 2.0])
    assert left_out(caused, score, np.array([0, 0, 1, 1])).tolist() == [3, 3, 10, 10]
    none = left_out(flags(1, 0, 0, 0), score, np.array([0, 0, 1, 1]))
    assert np.isnan(none[:2]).all()
    assert none[2:].tolist() == [10, 10]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=30), st.data())
def test_what_a_world_holds_does_not_move_its_own_threshold(items, data):
    caused = np.array([c for c, _ in items])
    score = np.array([float(s) for _, s in items])
    world = np.arange(len(items)) % 2
    before = left_out(caused, score, world)[world == 0]
    changed = np.where(world == 0, data.draw(st.integers(-9, 99)), score)
    after = left_out(caused ^ (world == 0), changed, world)[world == 0]
    assert np.array_equal(before, after, equal_nan=True)
