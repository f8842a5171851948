"""A judge beside people: by hand, judges of known error, what is absent."""

import numpy as np
import pytest

from aftertune.stats.with_people import agreement_with_people


def test_by_hand():
    people = [["a", "a"], ["a", "b"], ["b", None], ["b", "b"]]
    found = agreement_with_people(["a", "a", "b", None], people)
    # judge: 1, 1/2, 1 on the three items it labelled; people: 1, 0 on the two that two rated
    assert found.judge.estimate == pytest.approx(2.5 / 3)
    assert found.people.estimate == pytest.approx(0.5)
    assert found.difference.estimate == pytest.approx((1.5 - 1) / 2)
    assert (found.judge.n, found.people.n, found.difference.n) == (3, 2, 2)


def raters(n, error, generator):
    """A judge who errs with chance `error`, and three people who err in one of five."""
    truth = generator.random(n) < 0.5
    people = truth[:, None] ^ (generator.random((n, 3)) < 0.2)
    return (truth ^ (generator.random(n) < error)).tolist(), people.tolist()


@pytest.mark.parametrize(("error", "sign"), [(0.02, 1), (0.45, -1)])
def test_a_judge_of_known_error(error, sign):
    found = agreement_with_people(*raters(3000, error, np.random.default_rng(1)))
    # agreement with a person: (1 - e) 0.8 + 0.2 e; of two people 0.68
    assert found.judge.estimate == pytest.approx(0.8 - 0.6 * error, abs=0.02)
    assert found.people.estimate == pytest.approx(0.68, abs=0.02)
    low, high = found.difference.low, found.difference.high
    assert (low > 0) - (high < 0) == sign


def test_a_judge_who_errs_as_people_do_is_seldom_told_from_them():
    generator = np.random.default_rng(1)
    every = [
        agreement_with_people(*raters(80, 0.2, generator), seed=trial, draws=300).difference
        for trial in range(200)
    ]
    # standard error 0.016; over 400 trials 93.5%
    assert np.mean([one.low <= 0 <= one.high for one in every]) >= 0.89
    assert np.mean([one.estimate for one in every]) == pytest.approx(0, abs=0.012)


def test_no_difference_is_not_certain():
    found = agreement_with_people(["a"] * 10, [["a", "a"]] * 10)
    # 1 - 0.025^(1/10) = 0.308 of the items could still differ either way
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (-0.3085, 0.3085), abs=1e-4
    )
    assert found.judge.low == pytest.approx(1 - 0.3085, abs=1e-4)


def test_what_is_absent():
    nothing = agreement_with_people([], [])
    assert nothing.judge.estimate is nothing.difference.estimate is None
    apart = agreement_with_people(["a", None], [[None], ["a"]])
    assert "label of the judge and a rating" in apart.judge.reason
    alone = agreement_with_people(["a", "b"], [["a"], ["a"]])
    assert alone.judge.estimate == 0.5
    assert alone.people.reason == alone.difference.reason == "no item has two ratings"
    with pytest.raises(ValueError, match="1 labels for 2 items"):
        agreement_with_people(["a"], [["a"], ["b"]])
