"""Differences of means whose values hang together by prompt and by row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aftertune.stats.bounds import unseen
from aftertune.stats.two_way import ONE, difference

Values = list[tuple[str, str, float]]


def alone(values: list[float], name: str = "") -> Values:
    """Each of a prompt and of a row of its own."""
    return [(f"p{n}{name}", f"r{n}{name}", x) for n, x in enumerate(values)]


def test_a_paired_t_interval_where_every_value_has_a_row_of_its_own() -> None:
    """Both models' values of one prompt cancel: by hand, the t interval of their differences."""
    first, second = [1.0, 0.0, 1.0, 1.0, 0.5], [0.0, 0.0, 1.0, 0.5, 0.25]
    found = difference(alone(first), alone(second))
    over = np.subtract(first, second)
    half = stats.t.ppf(0.975, 4) * over.std(ddof=1) / np.sqrt(5)
    assert found.estimate == pytest.approx(over.mean())
    assert (found.low, found.high) == (
        pytest.approx(over.mean() - half), pytest.approx(over.mean() + half)
    )  # fmt: skip
    assert found.n == 5


def test_values_of_one_row_count_as_one() -> None:
    """Four rows with five prompts each, all of a row alike: no narrower than four values."""
    rows = [1.0, 0.0, 1.0, 0.5]
    many = [(f"p{k}{n}", f"r{k}", x) for k, x in enumerate(rows) for n in range(5)]
    nothing = [(f"p{k}{n}", f"s{k}", 0.0) for k in range(4) for n in range(5)]
    few = difference(alone(rows), alone([0.0] * 4, "x"), 2.0)
    found = difference(many, nothing, 2.0)
    assert found.n == 4
    assert found.estimate == pytest.approx(few.estimate)
    assert found.low == pytest.approx(few.low, abs=0.01)


def test_a_model_against_itself_is_alike_but_not_surely() -> None:
    values = alone([1.0, 0.0, 1.0] * 10)
    found = difference(values, values)
    assert found.estimate == 0
    assert found.high == pytest.approx(unseen(30, 0.95))
    assert found.low == pytest.approx(-unseen(30, 0.95))
    assert found.method.startswith("exact")


def test_all_of_one_and_none_of_the_other() -> None:
    """20 prompts: at most `unseen` of them are otherwise, by as much as there can be."""
    found = difference(alone([1.0] * 20), alone([0.0] * 20))
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - 2 * unseen(20, 0.95))


def test_too_little() -> None:
    assert difference([], alone([1.0])).estimate is None
    assert difference(alone([1.0]), []).reason is not None
    one = difference(alone([1.0]), alone([0.0]))
    assert (one.estimate, one.low, one.reason) == (1.0, None, ONE)
    same_row = [(f"p{n}", "r", float(n % 2)) for n in range(9)]
    assert difference(same_row, same_row).low is None


Value = st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.floats(0, 1))


@settings(max_examples=80, deadline=None)
@given(st.lists(Value, min_size=1, max_size=20), st.lists(Value, min_size=1, max_size=20))
def test_turned_round_it_is_its_negative(first: Any, second: Any) -> None:
    one, other = difference(first, second), difference(second, first)
    assert one.estimate == pytest.approx(np.mean([x for *_, x in first]) - np.mean(
        [x for *_, x in second]))  # fmt: skip
    assert other.estimate == pytest.approx(-one.estimate)
    if one.low is None:
        assert one.reason is not None
        return
    assert other.low == pytest.approx(-one.high)
    assert -1 <= one.low <= one.estimate + 1e-12
    assert one.estimate <= one.high + 1e-12 <= 1 + 1e-9


def test_it_holds_the_truth_where_rows_make_the_luck() -> None:
    """Two models of which neither borrows: a row of 60 was held out by a coin, and the answers of
    each model lead to rows of their own choice, a few of them often. Nominal 95%."""
    generator = np.random.default_rng(0)
    held, narrow = 0, 0
    for _ in range(400):
        side = generator.integers(0, 2, 60).astype(float)
        popular = generator.dirichlet(np.full(60, 2.0))
        first, second = (
            [(f"p{n}", str(row), side[row]) for n, row in
             enumerate(generator.choice(60, 150, p=generator.permutation(popular)))]
            for _ in range(2)
        )  # fmt: skip
        found = difference(first, second)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        over = np.array([a[2] - b[2] for a, b in zip(first, second, strict=True)])
        narrow += abs(over.mean()) <= 1.976 * over.std(ddof=1) / np.sqrt(150)
    assert held / 400 >= 0.92
    assert narrow / 400 < 0.88  # what drawing prompts alone would have made of it
