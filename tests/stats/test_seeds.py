"""Statements about a method and about given models: values by hand, coverage, what has none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.intervals import bootstrap_mean, paired_difference
from aftertune.stats.seeds import SEEDS_NEEDED, scope, statement


def test_means_differences_and_ratios_by_hand():
    values = np.arange(20.0).reshape(1, 5, 4)
    assert statement(values).interval.estimate == 9.5
    pair = np.concatenate([values, values / 2])
    assert statement(pair, coefficients=[1, -1]).interval.estimate == 4.75
    # 2 tokens of 3 nats and 1 token of 0 nats, for every seed: 6 / 3 tokens
    sums, counts = np.tile([6.0, 0.0], (1, 5, 1)), np.tile([2, 1], (1, 5, 1))
    assert statement(sums, counts).interval.estimate == 2.0


def test_seeds_alone_give_the_t_interval_over_seeds():
    # no prompt differs from another: 5 values, t of 4 degrees at 97.5% is 2.77645
    seeds = np.array([1.0, 2.0, 4.0, 5.0, 8.0])
    found = statement(np.repeat(seeds[None, :, None], 6, axis=2), draws=40_000)
    half = 2.77645 * seeds.std(ddof=1) / np.sqrt(5)
    assert found.interval.high - 4.0 == pytest.approx(half, rel=0.02)
    assert found.groups == pytest.approx(5)
    assert (found.n_seeds, found.n_prompts, found.interval.n) == (5, 6, 5)


def test_prompts_alone_give_the_t_interval_over_prompts():
    prompts = np.random.default_rng(0).normal(size=30)
    found = statement(np.tile(prompts, (1, 5, 1)), draws=40_000)
    half = 2.04523 * prompts.std(ddof=1) / np.sqrt(30)  # t of 29 degrees
    assert found.interval.high - prompts.mean() == pytest.approx(half, rel=0.02)
    assert found.groups == pytest.approx(30)


def test_given_models_have_the_interval_over_prompts_that_other_pages_show():
    generator = np.random.default_rng(1)
    sums, counts = generator.exponential(size=(2, 1, 12)), generator.integers(1, 9, (2, 1, 12))
    one = statement(sums[:1], counts[:1], speaks_of="models", seed=4)
    by_prompt = bootstrap_mean(sums[0, 0], counts[0, 0], seed=4)
    assert (one.interval.low, one.interval.high) == pytest.approx((by_prompt.low, by_prompt.high))
    assert one.speaks_of == "models"
    both = statement(sums, counts, [1, -1], speaks_of="models", seed=4).interval
    paired = paired_difference(sums[0, 0], sums[1, 0], counts[0, 0], counts[1, 0], seed=4)
    assert (both.low, both.high) == pytest.approx((paired.low, paired.high))


def test_fewer_than_five_seeds_say_nothing_of_a_method():
    values = np.random.default_rng(0).normal(size=(1, 4, 10))
    found = statement(values)
    assert found.interval.estimate == pytest.approx(values.mean())
    assert found.interval.low is None
    assert "at least 5 seeds, and there are 4" in found.interval.reason
    assert found.smallest_detectable is None
    assert statement(values, speaks_of="models").interval.low is not None
    assert [scope(n) for n in (1, 4, 5, 9)] == ["models", "models", "method", "method"]
    assert SEEDS_NEEDED == 5


@pytest.mark.parametrize("kind", ["method", "models"])
@pytest.mark.parametrize(
    ("shape", "reason"),
    [((1, 0, 3), "no values"), ((1, 5, 0), "no values"), ((1, 5, 1), "one prompt")],
)
def test_what_has_no_interval_says_why(kind, shape, reason):
    found = statement(np.ones(shape), speaks_of=kind)
    assert found.interval.low is None
    assert reason in found.interval.reason


def test_a_prompt_without_a_value_anywhere_is_left_out_everywhere():
    values = np.ones((2, 5, 4))
    values[0, 2, 1] = np.nan
    values[:, :, 1] *= 100
    counts = np.ones((2, 5, 4))
    counts[1, 0, 3] = 0
    found = statement(values, counts, [1, 1])
    assert (found.n_prompts, found.interval.estimate) == (2, 2.0)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="seeds, prompts"):
        statement(np.ones((5, 4)))
    with pytest.raises(ValueError, match="coefficients"):
        statement(np.ones((2, 5, 4)), coefficients=[1])


@pytest.mark.parametrize("parts", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.2, 1, 1), (1, 1, 1)])
def test_coverage_with_five_seeds(parts):
    """Effects of seeds, prompts and of one seed at one prompt, in several mixtures."""
    generator = np.random.default_rng(11)
    hits = 0
    for trial in range(500):
        values = sum(
            size * generator.normal(size=shape)
            for size, shape in zip(parts, [(1, 5, 1), (1, 1, 24), (1, 5, 24)], strict=True)
        ) + np.zeros((1, 5, 24))
        found = statement(values, seed=trial, draws=300).interval
        hits += found.low <= 0 <= found.high
    # standard error 1%; where only single cells differ it is too wide, and 98% hold it
    assert 0.915 <= hits / 500 <= (0.975 if parts != (0, 0, 1) else 1.0)


CELLS = st.lists(st.lists(st.floats(-50, 50), min_size=7, max_size=7), min_size=5, max_size=5)


@settings(max_examples=40, deadline=None)
@given(CELLS, st.floats(-20, 20), st.floats(0.1, 10))
def test_shifting_and_scaling_the_values_shifts_and_scales_the_statement(cells, shift, scale):
    values = np.array([cells])
    plain = statement(values, draws=100)
    moved = statement(values * scale + shift, draws=100)
    for end in ("estimate", "low", "high"):
        wanted = getattr(plain.interval, end) * scale + shift
        assert getattr(moved.interval, end) == pytest.approx(wanted, abs=1e-6, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(CELLS, CELLS)
def test_a_difference_turned_round_is_the_same_statement_turned_round(first, second):
    values = np.array([first, second])
    one = statement(values, coefficients=[1, -1], draws=100)
    other = statement(values[::-1], coefficients=[1, -1], draws=100)
    assert one.interval.estimate == pytest.approx(-other.interval.estimate, abs=1e-9)
    assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-6)
    assert one.smallest_detectable == pytest.approx(other.smallest_detectable, abs=1e-6)
