"""Equivalence: what is within a margin, what a margin must be, and the power that is stated."""

import numpy as np
import pytest
from scipy import special

from aftertune.stats.equivalence import Margin, is_within, smallest_provable
from aftertune.stats.intervals import Interval, absent

MARGIN = Margin(0.1, "a tenth of the gap", "2026-01-01T00:00:00+00:00", "seeds 5 and 6")


def change(low, high, level=0.90):
    return Interval((low + high) / 2, low, high, 5, level)


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [(-0.05, 0.05, True), (0.02, 0.09, True), (-0.05, 0.11, False), (-0.11, 0.0, False),
     (0.2, 0.3, False), (-0.1, 0.05, False)],
)  # fmt: skip
def test_the_whole_interval_has_to_be_inside(low, high, within):
    assert is_within(change(low, high), MARGIN) is within


def test_what_has_no_interval_is_never_within():
    assert not is_within(Interval(0.0, None, None, 1, 0.90), MARGIN)


def test_another_level_is_no_test_at_5_percent():
    with pytest.raises(ValueError, match="90%"):
        is_within(change(0, 0.01, level=0.95), MARGIN)
    with pytest.raises(ValueError, match="90%"):
        is_within(absent("none"), MARGIN)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_margin_is_over_nought_and_finite(value):
    with pytest.raises(ValueError, match="over 0"):
        Margin(value, "", "", "")


def test_a_margin_keeps_where_it_came_from():
    assert MARGIN.as_json() == {
        "value": 0.1, "rule": "a tenth of the gap", "fixed_at": "2026-01-01T00:00:00+00:00",
        "source": "seeds 5 and 6",
    }  # fmt: skip


def test_the_smallest_margin_by_hand_and_its_power():
    # many groups: 1.6449 + 1.2816 = 2.9264 standard errors
    assert smallest_provable(2.0, 10**6) == pytest.approx(2 * 2.9264, abs=1e-3)
    n = 5
    margin = smallest_provable(1 / np.sqrt(n), n)
    values = np.random.default_rng(2).normal(size=(4000, n))
    half = special.stdtrit(n - 1, 0.95) * values.std(1, ddof=1) / np.sqrt(n)
    flat = (np.abs(values.mean(1)) + half < margin).mean()
    # the standard error is taken as known; where it is estimated from 5 seeds, 84% are found
    assert 0.80 <= flat <= 0.88


def test_no_margin_without_a_standard_error():
    assert smallest_provable(None, 5) is None
    assert smallest_provable(1.0, None) is None
    assert smallest_provable(1.0, 1) is None
