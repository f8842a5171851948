"""Trends over sizes: slopes by hand, planted trends and planted flat lines at stated rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.equivalence import Margin
from aftertune.stats.trend import trend

SIZES = (100, 400, 1600)
TRIALS = 400
SLACK = 0.022  # two standard errors of 5% over 400 sets


def margin(value):
    return Margin(value, "planted", "before", "none")


def planted(generator, change, n_seeds=5, n_prompts=24, sizes=SIZES):
    """values [K, S, P] whose mean changes by `change` from the first size to the last.

    Prompts differ most, as they do; a tuned model has its own level, and every answer its own.
    """
    k = len(sizes)
    return (
        1.0
        + np.linspace(0.0, change, k)[:, None, None]
        + generator.normal(size=(1, 1, n_prompts))
        + 0.05 * generator.normal(size=(1, n_seeds, 1))
        + 0.10 * generator.normal(size=(k, n_seeds, 1))
        + 0.10 * generator.normal(size=(k, 1, n_prompts))
        + 0.30 * generator.normal(size=(k, n_seeds, n_prompts))
    )


def rates(change, value, sizes=SIZES, speaks_of="method"):
    """How often each verdict falls over TRIALS sets, and the mean smallest provable margin."""
    generator = np.random.default_rng(5)
    verdicts, provable = [], []
    for trial in range(TRIALS):
        values = planted(generator, change, sizes=sizes)
        found = trend(sizes, values, None, margin(value), speaks_of, seed=trial, draws=300)
        verdicts.append(found.verdict)
        provable.append(found.provable_margin)
    shares = {v: verdicts.count(v) / TRIALS for v in ("flat", "rises", "falls", "undecided")}
    return shares, float(np.mean(provable))


def test_slope_is_the_change_per_doubling():
    # 1, 2, 3 at 100, 200, 400: one per doubling; twice as many doublings, half the slope
    values = np.array([1.0, 2.0, 3.0])[:, None, None] * np.ones((3, 5, 4))
    assert trend((100, 200, 400), values, None, None).slope.interval.estimate == pytest.approx(1)
    assert trend(SIZES, values, None, None).slope.interval.estimate == pytest.approx(0.5)


def test_changes_are_taken_between_every_two_sizes():
    values = np.array([1.0, 5.0, 2.0])[:, None, None] * np.ones((3, 5, 4))
    found = trend(SIZES, values, None, margin(2.0))
    assert [(c.smaller, c.larger) for c in found.changes] == [(100, 400), (100, 1600), (400, 1600)]
    assert [c.found.interval.estimate for c in found.changes] == pytest.approx([4, 1, -3])
    assert found.verdict != "flat"  # the ends are within the margin, the middle is not


def test_a_planted_trend_as_large_as_the_margin_is_called_flat_in_at_most_5_percent():
    shares, _ = rates(change=0.35, value=0.35)
    assert shares["flat"] <= 0.05 + SLACK
    assert shares["falls"] == 0


def test_the_same_with_two_sizes_and_with_a_falling_trend():
    shares, _ = rates(change=-0.35, value=0.35, sizes=(100, 1600))
    assert shares["flat"] <= 0.05 + SLACK
    assert shares["rises"] == 0


def test_a_planted_trend_of_twice_the_margin_is_found():
    shares, _ = rates(change=0.70, value=0.35)
    assert shares["rises"] >= 0.95
    assert shares["flat"] == 0


def test_a_planted_flat_line_is_called_flat_at_the_stated_power():
    _, provable = rates(change=0.0, value=1.0, sizes=(100, 1600))
    shares, _ = rates(change=0.0, value=provable, sizes=(100, 1600))
    assert shares["flat"] >= 0.80
    assert shares["rises"] + shares["falls"] <= 0.05 + SLACK


def test_with_a_margin_too_small_to_show_a_flat_line_is_undecided():
    shares, _ = rates(change=0.0, value=0.02)
    assert shares["flat"] <= 0.01
    assert shares["undecided"] >= 0.90


def test_without_a_margin_nothing_is_flat():
    values = np.ones((2, 5, 6))
    found = trend((1, 2), values, None, None)
    assert found.verdict == "undecided"
    assert "no margin was fixed" in found.reason
    assert trend((1, 2), values, None, margin(0.1)).verdict == "flat"


def test_too_few_seeds_leave_a_method_undecided_and_say_why():
    values = planted(np.random.default_rng(0), 5.0, n_seeds=2)
    found = trend(SIZES, values, None, margin(0.1))
    assert found.verdict == "undecided"
    assert "at least 5 seeds" in found.reason
    of_models = trend(SIZES, values, None, margin(0.1), "models")
    assert of_models.verdict == "rises"
    assert of_models.slope.speaks_of == "models"


def test_no_prompt_left_is_undecided():
    found = trend((1, 2), np.full((2, 5, 3), np.nan), None, margin(0.1))
    assert (found.verdict, found.reason, found.provable_margin) == ("undecided", "no values", None)


@pytest.mark.parametrize("sizes", [(100,), (100, 100), (200, 100), (0, 100)])
def test_sizes_have_to_grow(sizes):
    with pytest.raises(ValueError, match="growing sizes"):
        trend(sizes, np.ones((len(sizes), 5, 3)), None, None)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5), st.integers(2, 50))
def test_units_of_values_and_of_sizes_do_not_matter(seed, scale, factor):
    values = planted(np.random.default_rng(seed), 0.3)
    plain = trend(SIZES, values, None, margin(0.35), draws=100)
    scaled = trend([factor * size for size in SIZES], values * scale, None, margin(0.35 * scale),
                   draws=100)  # fmt: skip
    assert scaled.verdict == plain.verdict
    assert scaled.slope.interval.estimate == pytest.approx(plain.slope.interval.estimate * scale)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_falling_is_rising_turned_round(seed):
    values = planted(np.random.default_rng(seed), 0.3)
    turned = {"rises": "falls", "falls": "rises", "flat": "flat", "undecided": "undecided"}
    up = trend(SIZES, values, None, margin(0.35), draws=100)
    down = trend(SIZES, -values, None, margin(0.35), draws=100)
    assert down.verdict == turned[up.verdict]
