"""Differences at equal covariate: by hand, on planted truths, and where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats import strata
from aftertune.stats.strata import stratified_difference


def test_two_strata_by_hand(monkeypatch):
    monkeypatch.setattr(strata, "PER_STRATUM", 1)
    # first: (x, y) = (0, 4) (2, 6) (2, 8); rest: (0, 1) (0, 3) (2, 5) and (9, 100) beyond it.
    # Edges are the quantiles 0, 2, 2 of x = 0, 2, 2: 0 and 2, so one stratum ...
    x, first = [0, 2, 2, 0, 0, 2, 9], [1, 1, 1, 0, 0, 0, 0]
    y = [4, 6, 8, 1, 3, 5, 100]
    found = stratified_difference(y, x, first, list("abcabca"), n_strata=2)
    assert (found.n_strata, found.n_used) == (1, 1)
    assert found.first.estimate == pytest.approx(6)
    assert found.rest.estimate == pytest.approx(3)
    assert (found.n_first_used, found.n_rest, found.n_rest_used) == (3, 4, 3)
    # ... and with x = 0, 0, 2, 2 the edges are 0, 1, 2: two strata.
    # stratum 0: first 4, 2 (mean 3), rest 1, 3 (mean 2); stratum 1: first 6, 8, rest 5
    x, first, y = [0, *x], [1, *first], [2, *y]
    found = stratified_difference(y, x, first, list("aabcabca"), n_strata=2)
    assert (found.n_strata, found.n_used) == (2, 2)
    # rest reweighted: stratum 0 twice, stratum 1 twice: (2 * 2 + 2 * 5) / 4
    assert found.first.estimate == pytest.approx(5)
    assert found.rest.estimate == pytest.approx(3.5)
    assert found.difference.estimate == pytest.approx(1.5)
    assert found.covariate_difference.estimate == pytest.approx(0)
    assert found.difference.n == 3
    assert found.difference.low <= 1.5 <= found.difference.high


def test_a_stratum_without_counterpart_is_left_out(monkeypatch):
    monkeypatch.setattr(strata, "PER_STRATUM", 1)
    # first x = 0, 0, 2, 2 in two strata; the rest has only x = 0
    found = stratified_difference(
        [1, 3, 50, 70, 1, 2], [0, 0, 2, 2, 0, 0], [1, 1, 1, 1, 0, 0], list("ababab"), n_strata=2
    )
    assert (found.n_strata, found.n_used, found.n_first_used) == (2, 1, 2)
    assert found.difference.estimate == pytest.approx(2 - 1.5)


@pytest.mark.parametrize(
    ("first", "x", "reason"),
    [
        ([], [], strata.NO_VALUES),
        ([1, 1], [0, 1], strata.NO_REST),
        ([0, 0], [0, 1], strata.NO_FIRST),
        ([1, 1, 0], [0, 1, 5], strata.NO_OVERLAP),
    ],
)
def test_what_has_no_counterpart_is_absent_with_its_reason(first, x, reason):
    found = stratified_difference([1.0] * len(x), x, first, ["a"] * len(x))
    for interval in (found.first, found.rest, found.difference, found.covariate_difference):
        assert (interval.estimate, interval.low, interval.reason) == (None, None, reason)
    assert found.n_used == 0


def test_one_response_has_no_interval_and_what_is_not_finite_no_estimate():
    found = stratified_difference([1, 2, 3], [0, 0, 0], [1, 0, 0], ["a"] * 3)
    assert found.difference.estimate == pytest.approx(-1.5)
    assert (found.difference.low, found.difference.reason) == (None, "one prompt has no interval")
    found = stratified_difference([np.inf, 2, 3], [0, 0, 0], [1, 0, 1], list("abb"))
    assert (found.difference.estimate, found.difference.reason) == (None, "a value is not finite")
    # NaN leaves the value out
    assert stratified_difference([np.nan, 2], [0, 0], [1, 0], ["a", "b"]).n_first == 0
    with pytest.raises(ValueError, match="one length"):
        stratified_difference([1], [1, 2], [1], [1])


def planted(effect, seed=0, n=60, each=40):
    """Values that follow the covariate, plus `effect` on the first side; it has higher ones."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(n), each)
    first = np.tile(np.arange(each) < 4, n)
    x = generator.gamma(np.where(first, 4.0, 1.5))
    shared = generator.normal(0, 0.3, n)[group]
    return 0.5 * x + effect * first + shared + generator.normal(0, 0.3, len(x)), x, first, group


def test_a_difference_that_is_all_the_covariates_disappears():
    y, x, first, group = planted(0.0)
    assert y[first].mean() - y[~first].mean() > 1
    found = stratified_difference(y, x, first, group)
    assert found.difference.low < 0 < found.difference.high
    assert found.difference.high - found.difference.low < 0.2
    assert abs(found.covariate_difference.estimate) < 0.1
    assert found.n_strata == 20


def test_a_planted_difference_is_found_at_its_size_with_the_stated_coverage():
    hits = 0
    for seed in range(40):
        found = stratified_difference(*planted(0.4, seed, 24), n_strata=10, seed=seed, draws=400)
        # what the strata leave of the covariate is 0.5 of its own difference
        left = 0.5 * found.covariate_difference.estimate
        hits += found.difference.low <= 0.4 + left <= found.difference.high
    assert 34 <= hits <= 40


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.integers(0, 3), st.booleans(), st.sampled_from("abc")),
        max_size=60,
    )
)
def test_identical_values_differ_by_nothing_and_a_constant_shifts_nothing(rows):
    y, x, first, group = (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 4
    same = stratified_difference([2.0] * len(y), x, first, group, draws=50)
    if same.difference.estimate is not None:
        assert same.difference.estimate == pytest.approx(0)
    a = stratified_difference(y, x, first, group, draws=50)
    b = stratified_difference([value + 5 for value in y], x, first, group, draws=50)
    if a.difference.estimate is not None:
        assert b.difference.estimate == pytest.approx(a.difference.estimate, abs=1e-9)
        assert b.first.estimate == pytest.approx(a.first.estimate + 5)
    assert a.n_first_used <= a.n_first
    assert a.n_rest_used <= a.n_rest
