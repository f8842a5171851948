"""Win rates and outcome shares: by hand, coverage, classes that nobody gave, what is absent."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.preference import outcome_shares, win_rate

CLASSES = ["both right", "other content", "both wrong", "invented", "wrong core"]


def test_win_rate_by_hand():
    # prompt p: rated twice, won and tied; q: lost; r: won
    found = win_rate([1, 0.5, 0, 1], ["p", "p", "q", "r"])
    assert found.score.estimate == pytest.approx((0.75 + 0 + 1) / 3)
    assert found.win.estimate == pytest.approx((0.5 + 0 + 1) / 3)
    assert found.tie.estimate == pytest.approx(0.5 / 3)
    assert found.loss.estimate == pytest.approx(1 / 3)
    assert found.score.n == 3
    assert found.score.method == "expanded percentile bootstrap over prompts"


def test_a_model_against_itself_is_all_ties_and_not_quite_certain():
    found = win_rate([0.5] * 20, range(20))
    # 1 - 0.025^(1/20) = 16.84% of prompts could still be won, or lost
    assert found.score.estimate == 0.5
    assert (found.score.low, found.score.high) == pytest.approx((0.41578, 0.58422), abs=1e-5)
    assert found.tie.low == pytest.approx(0.83157, abs=1e-5)
    assert found.win.high == pytest.approx(0.16843, abs=1e-5)


def test_ratings_of_a_prompt_hang_together():
    scores = np.repeat(np.random.default_rng(0).integers(0, 2, 30), 10)
    by_prompt = win_rate(scores, np.repeat(np.arange(30), 10).tolist()).score
    as_if_apart = win_rate(scores, range(300)).score
    assert by_prompt.high - by_prompt.low > 2.5 * (as_if_apart.high - as_if_apart.low)


def test_the_score_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    held = 0
    for trial in range(300):
        scores = generator.choice([1.0, 0.5, 0.0], 40, p=[0.5, 0.2, 0.3])
        found = win_rate(scores, range(40), seed=trial, draws=400).score
        held += found.low <= 0.6 <= found.high
    assert 0.91 <= held / 300 <= 0.985  # standard error 0.013


def test_outcome_shares_by_hand_and_a_class_that_nobody_gave():
    labels = ["both right", "both right", "invented", "both right", "invented", "both wrong"]
    items = ["a", "b", "c", "d", "d", "e"]
    found = outcome_shares(labels, items, CLASSES)
    shares = {name: interval.estimate for name, interval in found.items()}
    assert list(shares) == CLASSES
    assert shares["both right"] == pytest.approx((1 + 1 + 0.5) / 5)
    assert shares["invented"] == pytest.approx((1 + 0.5) / 5)
    assert shares["both wrong"] == pytest.approx(1 / 5)
    # 0 of 5: Clopper and Pearson's upper end is 1 - 0.025^(1/5) = 0.5218
    none = found["wrong core"]
    assert (none.estimate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.5218, abs=1e-4)
    assert none.method == "exact binomial bound over items"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, 8)), min_size=1, max_size=40),
    st.booleans(),
)
def test_shares_sum_to_one_and_lie_in_their_intervals(ratings, together):
    labels, items = zip(*ratings, strict=True)
    found = outcome_shares(labels, items, CLASSES, together, draws=100)
    assert math.fsum(one.estimate for one in found.values()) == pytest.approx(1)
    for one in found.values():
        if one.low is None:
            assert one.reason == "one item has no interval"
        else:
            assert -1e-9 <= one.low <= one.high <= 1 + 1e-9
    if all(one.low is not None for one in found.values()):
        assert sum(one.low for one in found.values()) <= 1 + 1e-9
        assert sum(one.high for one in found.values()) >= 1 - 1e-9


def test_all_shares_at_once_hold_the_papers_shares():
    # figure 6: 200 items. Each interval is at 99%, so that all five hold in 95 of 100 studies.
    truth = np.array([0.115, 0.165, 0.215, 0.325, 0.18])
    generator = np.random.default_rng(11)
    all_hold, one_holds = 0, 0
    for trial in range(150):
        labels = generator.choice(CLASSES, 200, p=truth).tolist()
        found = outcome_shares(labels, range(200), CLASSES, True, seed=trial, draws=400)
        held = [one.low <= p <= one.high for one, p in zip(found.values(), truth, strict=True)]
        all_hold += all(held)
        each = outcome_shares(labels, range(200), CLASSES, seed=trial, draws=300)["invented"]
        one_holds += each.low <= 0.325 <= each.high
    assert all_hold / 150 >= 0.90  # standard error 0.018
    assert 0.89 <= one_holds / 150 <= 0.99


def test_nothing_and_wrong_input():
    assert win_rate([], []).score.reason == "no values"
    assert outcome_shares([], [], CLASSES)["invented"].reason == "no values"
    alone = win_rate([1], ["p"]).score
    assert (alone.estimate, alone.low, alone.reason) == (1.0, None, "one prompt has no interval")
    with pytest.raises(ValueError, match="a score is"):
        win_rate([2], ["p"])
    with pytest.raises(ValueError, match="none of the classes"):
        outcome_shares(["x"], ["i"], CLASSES)
    with pytest.raises(ValueError, match="named twice"):
        outcome_shares([], [], ["a", "a"])
    with pytest.raises(ValueError, match="2 ratings for 1"):
        win_rate([1, 0], ["p"])
