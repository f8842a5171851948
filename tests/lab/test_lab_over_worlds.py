"""Intervals over worlds and prompts, by hand and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.lab.over_worlds import (
    NEGATIVE_GAP,
    NO_GAP,
    NO_VALUE,
    OF_RATIO,
    OF_WORLDS,
    ONE_VALUE,
    UNBOUNDED,
    Drawn,
    fieller,
    interval,
    per_world,
    share_of_gap,
    t_interval,
)

T4 = 2.7764451051977987  # t quantile of 97.5% at 4 degrees of freedom


def mean_of(values):
    values = np.asarray(values, float)
    return lambda weight: weight @ values / weight.sum(-1)


def test_groups_are_numbered_in_order():
    drawn = Drawn.of(["3/a", "3/b", "1/a", "3/a"])
    assert drawn.names == ("3", "1")
    assert drawn.world.tolist() == [0, 0, 1, 0]
    assert drawn.prompt.tolist() == [0, 1, 2, 0]


def test_a_t_interval_by_hand():
    # mean 3, deviations -2 -1 0 1 2: s = sqrt(10 / 4), half = t s / sqrt(5)
    found = t_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    half = T4 * math.sqrt(2.5) / math.sqrt(5)
    assert (found.estimate, found.n, found.method) == (3.0, 5, OF_WORLDS)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))


def test_rates_stay_between_0_and_1():
    found = t_interval(np.array([0.8, 1.0]), (0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)


def test_worlds_without_a_value_count_for_nothing():
    assert t_interval(np.array([0.5, np.nan])).reason == ONE_VALUE
    assert t_interval(np.array([0.5, np.nan])).estimate == 0.5
    assert t_interval(np.full(3, np.nan)).reason == NO_VALUE
    assert t_interval(np.array([0.5, 0.7, np.nan])).n == 2


def test_several_worlds_are_averaged_and_one_draws_its_prompts():
    # world 0 has three statements of 1, world 1 one of 0: the mean of worlds is a half
    two = Drawn.of(["0/a", "0/b", "0/c", "1/a"])
    measure = mean_of([1, 1, 1, 0])
    assert per_world(measure, two).tolist() == [1, 0]
    found = interval(measure, two, 0)
    assert (found.estimate, found.n, found.method) == (0.5, 2, OF_WORLDS)
    one = interval(measure, Drawn.of(["0/a", "0/a", "0/b", "0/c"]), 0)
    assert (one.estimate, one.n) == (0.75, 3)
    assert "bootstrap over prompts" in one.method
    assert 0 <= one.low < 0.75 < one.high <= 1


def test_one_prompt_and_no_value_have_no_interval():
    assert interval(mean_of([1, 0]), Drawn.of(["0/a", "0/a"]), 0).low is None
    nothing = interval(lambda weight: np.full(len(weight), np.nan), Drawn.of(["0/a", "0/b"]), 0)
    assert (nothing.estimate, nothing.reason) == (None, NO_VALUE)


def test_an_interval_over_five_worlds_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    held = 0
    for values in generator.normal(0.3, 1.0, (2000, 5)):
        found = t_interval(values, UNBOUNDED)
        held += found.low <= 0.3 <= found.high
    assert 0.935 <= held / 2000 <= 0.965


def test_a_ratio_by_hand():
    # bottom is 2 everywhere, so the ratio is the t interval of top, halved
    top = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found, plain = fieller(top, np.full(5, 2.0)), t_interval(top)
    assert (found.estimate, found.method) == (1.5, OF_RATIO)
    assert (found.low, found.high) == pytest.approx((plain.low / 2, plain.high / 2))
    assert fieller(np.array([1.0, np.nan]), np.array([1.0, 1.0])).reason == ONE_VALUE


@given(st.floats(-3, 3), st.lists(st.floats(1.0, 1.2), min_size=3, max_size=6))
def test_a_part_that_is_the_same_share_everywhere_has_a_ratio_of_no_width(share, gaps):
    found = fieller(share * np.array(gaps), np.array(gaps))
    assert (found.low, found.high) == pytest.approx((share, share), abs=1e-6)


def test_fiellers_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        gap = generator.normal(0.3, 0.06, 5)
        part = 0.4 * gap + generator.normal(0, 0.05, 5)
        found = fieller(part, gap)
        held += found.low is not None and found.low <= 0.4 <= found.high
    assert 0.93 <= held / 2000 <= 0.97


def test_no_share_of_a_gap_that_may_be_none():
    drawn = Drawn.of([f"{world}/a" for world in range(4)])
    part = mean_of([0.1] * 4)
    assert share_of_gap(part, mean_of([0.5, -0.5, 0.5, -0.5]), drawn, 0).reason == NO_GAP
    assert share_of_gap(part, mean_of([-0.5, -0.6, -0.5, -0.6]), drawn, 0).reason == NEGATIVE_GAP
    found = share_of_gap(part, mean_of([0.5, 0.6, 0.5, 0.6]), drawn, 0)
    assert found.estimate == pytest.approx(0.1 / 0.55)
    assert found.low < found.estimate < found.high


def test_the_share_of_a_gap_in_one_world_draws_prompts():
    drawn = Drawn.of([f"0/{n}" for n in range(20)])
    gap = np.linspace(0.4, 0.6, 20)
    found = share_of_gap(mean_of(gap / 2), mean_of(gap), drawn, 0)
    assert found.estimate == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))
    assert "over prompts" in found.method
