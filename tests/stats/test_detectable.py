"""The smallest difference a comparison could have seen: tables, simulation, what has none."""

import numpy as np
import pytest
from scipy import special

from aftertune.stats.detectable import detectable_of, smallest_detectable
from aftertune.stats.intervals import absent, bootstrap_mean


def test_many_groups_by_hand():
    # 1.95996 + 0.84162 = 2.80159 standard errors (Bloom 1995: 2.8)
    assert smallest_detectable(1.0, 100_000) == pytest.approx(2.8016, abs=1e-3)
    assert smallest_detectable(0.5, 100_000) == pytest.approx(1.4008, abs=1e-3)


def test_few_groups_need_more():
    found = [smallest_detectable(1.0, n) for n in (2, 5, 8, 32, 1000)]
    assert found == sorted(found, reverse=True)
    # t of 4 degrees at 97.5% is 2.776; the sum of quantiles 2.776 + 0.941 = 3.717 is too small
    assert found[1] == pytest.approx(3.761, abs=1e-3)


def test_a_difference_of_that_size_is_found_in_80_of_100():
    generator = np.random.default_rng(0)
    n, trials = 5, 4000
    true = smallest_detectable(1 / np.sqrt(n), n)
    values = generator.normal(true, 1.0, (trials, n))
    t = values.mean(1) / (values.std(1, ddof=1) / np.sqrt(n))
    found = (np.abs(t) > special.stdtrit(n - 1, 0.975)).mean()
    assert found == pytest.approx(0.80, abs=0.02)  # standard error 0.006


def test_from_an_interval_by_hand():
    values = np.random.default_rng(3).normal(size=40)
    interval = bootstrap_mean(values, draws=20_000)
    by_hand = smallest_detectable(values.std(ddof=1) / np.sqrt(40), 40)
    assert detectable_of(interval) == pytest.approx(by_hand, rel=0.05)


def test_nothing_without_a_standard_error_or_two_groups():
    assert smallest_detectable(None, 10) is None
    assert smallest_detectable(1.0, 1) is None
    assert detectable_of(absent("no values")) is None
    assert detectable_of(bootstrap_mean([1.0])) is None


def test_nothing_varies_so_anything_would_have_been_seen():
    assert smallest_detectable(0.0, 6) == 0.0
