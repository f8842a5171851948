"""Calibration by hand, and what perfect probabilities look like."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.lab.calibration import (
    BINS,
    LEAST_IN_BIN,
    Bin,
    expected_error,
    isotonic,
    left_out,
    perfect,
    reliability,
)


def test_bins_and_expected_error_by_hand():
    # five of 0.2 of which two come true, five of 0.6 of which three do
    p = np.array([0.2] * 5 + [0.6] * 5)
    caused = np.array([1, 1, 0, 0, 0, 1, 1, 1, 0, 0], bool)
    bins = reliability(caused, p)
    assert [(one.n, one.found) for one in bins] == [(5, 0.4), (5, 0.6)]
    assert [one.said for one in bins] == pytest.approx([0.2, 0.6])
    assert expected_error(bins) == pytest.approx(0.5 * 0.2)


def test_a_rest_of_a_few_joins_the_bin_before_it():
    bins = reliability(np.zeros(7, bool), np.linspace(0, 1, 7))
    assert [one.n for one in bins] == [7]


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), max_size=80))
def test_equal_probabilities_share_a_bin_and_nothing_is_lost(values):
    p = np.array(values)
    bins = reliability(np.zeros(len(p), bool), p)
    assert sum(one.n for one in bins) == len(p)
    assert len(bins) <= BINS
    assert all(a.said < b.said for a, b in pairwise(bins))
    assert all(one.n >= min(LEAST_IN_BIN, len(p)) for one in bins)
    # however they are ordered
    assert reliability(np.zeros(len(p), bool), p[::-1]) == bins


def test_nothing_has_no_expected_error():
    assert reliability(np.zeros(0, bool), np.zeros(0)) == []
    assert math.isnan(expected_error([]))
    assert expected_error([Bin(3, 0.5, 0.5)]) == 0


def test_perfect_probabilities_are_rarely_above_their_own_limit_and_wrong_ones_are():
    generator = np.random.default_rng(0)
    above = wrong = 0
    for number in range(100):
        p = generator.random(200)
        true = generator.random(200) < p
        limit = perfect(p, number).high
        above += expected_error(reliability(true, p)) > limit
        wrong += expected_error(reliability(true, p**3)) > perfect(p**3, number).high
    assert above <= 12
    assert wrong >= 98


def test_certain_and_right_has_no_error_at_all():
    found = perfect(np.array([0.0] * 5 + [1.0] * 5), 0)
    assert (found.mean, found.high) == (0.0, 0.0)


def test_isotonic_by_hand():
    # 1, 2, 3 came true in 1, 0, 1 of one each: the first two are pooled to a half
    caused, score = np.array([1, 0, 1], bool), np.array([1.0, 2.0, 3.0])
    fitted = isotonic(caused, score, np.array([0, 2, 2.5, 9]))
    assert fitted == pytest.approx([0.5, 0.5, 0.75, 1.0])
    # equal scores are one knot
    same = isotonic(np.array([1, 0, 0], bool), np.array([1.0, 1.0, 1.0]), np.array([1.0]))
    assert same == pytest.approx([1 / 3])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=30))
def test_isotonic_rises_and_does_not_mind_the_scale(items):
    caused = np.array([c for c, _ in items])
    score = np.array([float(s) for _, s in items])
    fitted = isotonic(caused, score, np.sort(score))
    assert (np.diff(fitted) >= -1e-12).all()
    assert ((fitted >= 0) & (fitted <= 1)).all()
    assert isotonic(caused, np.exp(score), np.exp(np.sort(score))) == pytest.approx(fitted)
    assert fitted.mean() == pytest.approx(caused.mean())


def test_a_world_is_calibrated_on_the_others():
    caused = np.array([1, 0, 1, 1], bool)
    found = left_out(caused, np.array([2.0, 1.0, 2.0, 1.0]), np.array([0, 0, 1, 1]))
    assert found == pytest.approx([1, 1, 1, 0])
