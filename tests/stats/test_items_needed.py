"""How many items are still needed: by hand, simulated power, what has no such number."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.intervals import Interval, absent, bootstrap_mean
from aftertune.stats.items_needed import items_needed


def around(estimate, half, n):
    return Interval(estimate, estimate - half, estimate + half, n)


def test_by_hand():
    # 101 items, half width 0.1: standard error 0.1 / 1.98397 = 0.0504, 0.5066 for a single item.
    # 0.05 away: (2.8016 x 0.5066 / 0.05)^2 = 805.6, and a few for t instead of normal quantiles
    found = items_needed(around(0.55, 0.1, 101), 0.5)
    assert found.total == pytest.approx(807, abs=2)
    assert found.more == found.total - 101
    # the truth may be 0.65: (2.8016 x 0.5066 / 0.15)^2 = 89.5, which are in hand
    assert found.fewest == 101
    assert not found.decided


def test_a_decided_comparison_needs_none():
    found = items_needed(around(0.7, 0.1, 40), 0.5)
    assert (found.decided, found.more, found.total) == (True, 0, 40)
    assert items_needed(around(0.3, 0.1, 40), 0.5).decided
    assert not items_needed(around(0.6, 0.1, 40), 0.5).decided  # it only touches


def test_a_difference_that_matters():
    undecided = around(0.5, 0.1, 101)
    assert "the estimate is 0.5" in items_needed(undecided, 0.5).reason
    found = items_needed(undecided, 0.5, difference=0.05)
    assert found.total == pytest.approx(807, abs=2)
    assert found.fewest is None
    large = items_needed(undecided, 0.5, difference=0.4)
    assert (large.more, large.total, large.decided) == (0, 101, False)


def test_the_planned_number_decides_80_of_100():
    pilot = np.random.default_rng(0).choice([1.0, 0.5, 0.0], 60, p=[0.45, 0.2, 0.35])
    interval = bootstrap_mean(pilot)
    # planned for a truth 0.12 away; a score's deviation is near the pilot's
    total = items_needed(interval, 0.5, difference=0.12).total
    generator = np.random.default_rng(1)
    scores = generator.choice([1.0, 0.5, 0.0], (2000, total), p=[0.52, 0.2, 0.28])
    error = scores.std(1, ddof=1) / math.sqrt(total)
    decided = np.abs(scores.mean(1) - 0.5) > 1.96 * error
    assert decided.mean() == pytest.approx(0.80, abs=0.06)  # the pilot's deviation errs by 9%


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 0.3), st.floats(0.01, 0.4), st.integers(3, 400))
def test_smaller_differences_need_more(distance, half, n):
    interval = around(0.5, half, n)
    near = items_needed(interval, 0.5, difference=distance)
    far = items_needed(interval, 0.5, difference=2 * distance)
    sure = items_needed(interval, 0.5, difference=distance, power=0.95)
    if near.total is not None:
        assert far.total <= near.total
        assert near.total == near.more + n
        assert sure.total is None or sure.total >= near.total


def test_what_has_no_number():
    assert items_needed(absent("no values"), 0.5).reason == "no values"
    alone = items_needed(bootstrap_mean([1.0]), 0.5)
    assert (alone.more, alone.reason) == (None, "one prompt has no interval")
    tiny = items_needed(around(0.5001, 0.2, 50), 0.5)
    assert tiny.reason == "more than 1,000,000 are needed"
    assert tiny.fewest is not None
    for bad in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="over 0 and finite"):
            items_needed(around(0.5, 0.1, 50), 0.5, difference=bad)
