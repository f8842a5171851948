"""How far a judge can be believed: by hand, on made judges with a known fault, on real ratings."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.judge.believe import concordance, length, order, repeats
from aftertune.judge.corrected import FEWEST, correct

LIKERT = st.integers(1, 5).map(float)


def test_concordance_by_hand() -> None:
    # x = 1, 3; y = 2, 4: means 2 and 3, variances 1 and 1, covariance 1; 2 / (1 + 1 + 1)
    found = concordance([1, 3], [2, 4], ["a", "b"])
    assert found.estimate == pytest.approx(2 / 3)
    assert concordance([1, 3], [3, 1], ["a", "b"]).estimate == pytest.approx(-1.0)
    # in both orders: x = 1, 3, 2, 4; y = 2, 4, 1, 3: mean 2.5, variance 1.25, covariance .25 + .5
    both = concordance([1, 3], [2, 4], ["a", "b"], exchangeable=True)
    assert both.estimate == pytest.approx(((2 + 12) * 2 / 4 - 6.25) / 1.25)


@given(st.lists(LIKERT, min_size=2, max_size=12))
def test_equal_ratings_agree_wholly_or_say_nothing(values: list[float]) -> None:
    found = concordance(values, values, range(len(values)))
    if len(set(values)) > 1:
        assert found.estimate == pytest.approx(1.0)
    else:
        assert found.estimate is None
        assert found.reason == "all scores are alike"


def test_concordance_of_strangers_is_about_0() -> None:
    chance = np.random.default_rng(0)
    x, y = chance.integers(1, 6, 400), chance.integers(1, 6, 400)
    found = concordance(x, y, np.arange(400))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert found.high < 0.2


def test_nothing_to_compare_has_a_reason() -> None:
    assert concordance([], [], []).reason == "no values"
    found = repeats([[3.0], [4.0]], ["a", "b"])
    assert found["n_pairs"] == 0
    assert found["same"]["estimate"] is None
    assert found["agreement"]["reason"] == "no answer was judged twice"


def test_repeats_by_hand() -> None:
    found = repeats([[3, 3], [5, 4], [1, 2, 2]], ["a", "b", "c"])
    assert found["n_pairs"] == 5  # 1 + 1 + 3
    assert found["same"]["estimate"] == pytest.approx(2 / 5)
    assert found["distance"]["estimate"] == pytest.approx(3 / 5)
    same = repeats([[3, 3], [5, 5]], ["a", "b"])
    assert same["agreement"]["estimate"] == pytest.approx(1.0)


def test_a_judge_that_prefers_what_stands_first_is_caught() -> None:
    chance = np.random.default_rng(1)
    better = chance.random(200) < 0.5
    taken_in = chance.random(200) < 0.4  # says "first" whatever the answers are
    first = np.where(taken_in, 1.0, better)
    second = np.where(taken_in, 0.0, better)
    found = order(first, second, range(200))
    assert found["first_preferred"]["low"] > 0.5
    # the expected share: 0.5 + 0.4 / 2
    assert found["first_preferred"]["low"] < 0.7 < found["first_preferred"]["high"]
    assert found["consistent"]["estimate"] == pytest.approx(1 - taken_in.mean())
    fair = order(better.astype(float), better.astype(float), range(200))
    assert fair["first_preferred"]["estimate"] == 0.5
    assert fair["consistent"]["estimate"] == 1.0


def test_length_by_hand_and_within_prompts() -> None:
    # words 1, 3, 7, 15 are 1, 2, 3, 4 doublings; half a point each
    found = length([1, 1.5, 2, 2.5], [1, 3, 7, 15], ["a", "b", "c", "d"])
    assert found["slope"]["estimate"] == pytest.approx(0.5)
    assert not found["within"]
    # hard prompts get long answers and low scores; within a prompt the longer scores higher
    found = length([4, 5, 1, 2], [1, 3, 63, 127], ["easy", "easy", "hard", "hard"])
    assert found["slope"]["estimate"] == pytest.approx(1.0)
    assert found["within"]
    alike = length([4, 5], [9, 9], ["a", "b"])
    assert alike["slope"]["estimate"] is None
    assert length([], [], [])["slope"]["reason"] == "no values"


def test_correction_by_hand() -> None:
    # the judge is a point too high; twelve of 24 answers are rated
    judged = np.tile([2.0, 3.0, 4.0, 5.0], 6)
    rated = np.arange(12)
    found = correct(judged, rated, judged[rated] - 1)
    assert found.corrected.estimate == pytest.approx(2.5)
    assert found.people.estimate == pytest.approx(2.5)
    assert found.bias.estimate == pytest.approx(1.0)
    assert found.weight == pytest.approx(1.0)
    # only high answers were rated: people's own mean is off, the corrected one is not
    high = np.flatnonzero(judged > 3)
    found = correct(judged, high, judged[high] - 1)
    assert found.people.estimate == pytest.approx(3.5)
    assert found.corrected.estimate == pytest.approx(2.5)


def test_a_judge_that_knows_nothing_leaves_peoples_own_mean() -> None:
    ratings = [1.0, 2.0, 4.0, 5.0] * 5
    found = correct(np.full(60, 4.0), range(20), ratings)
    assert found.corrected == found.people
    assert found.weight == 0


@given(st.lists(LIKERT, min_size=FEWEST, max_size=30), st.integers(-2, 2))
def test_a_shift_of_the_judge_changes_nothing(ratings: list[float], shift: int) -> None:
    judged = np.tile(np.arange(1.0, 6.0), 12)
    rated = range(len(ratings))
    plain, shifted = correct(judged, rated, ratings), correct(judged + shift, rated, ratings)
    assert plain.corrected.estimate == pytest.approx(shifted.corrected.estimate)
    assert plain.bias.estimate == pytest.approx((shifted.bias.estimate or 0) - shift)


def test_what_cannot_be_corrected_has_a_reason() -> None:
    few = correct([1.0, 2.0, 3.0], [0], [2.0])
    assert few.corrected.estimate is None
    assert few.corrected.reason == "fewer than 10 rated answers"
    assert few.people.reason == "one rated answer has no interval"
    assert correct([1.0], [], []).people.estimate is None
    alike = correct(np.tile([1.0, 2.0], 20), range(10), np.full(10, 5.0))
    assert alike.corrected.estimate == pytest.approx(5.0)
    assert alike.corrected.low is None
    with pytest.raises(ValueError, match="one rating"):
        correct([1.0, 2.0], [0, 0], [1.0, 2.0])


# A judge that is generous, likes long answers, and is noisy; most answers are good. On the scale
# from 1 to 5, so that it is more generous to bad answers than to good ones.
N_JUDGED = 800


def world(chance: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(what people would say, what the judge says) of n answers."""
    quality, long = chance.normal(3.6, 1.0, n), chance.exponential(1.0, n)
    people = np.clip(np.round(quality - 0.2 * long), 1, 5)
    judge = np.clip(np.round(quality + 0.5 + 0.4 * long + chance.normal(0, 0.7, n)), 1, 5)
    return people, judge


def coverage(draws: int, n_rated: int) -> tuple[float, float, float]:
    """Shares of draws in which the corrected interval holds the truth, the judge's own mean is
    outside of it, and the bias is seen."""
    chance = np.random.default_rng(n_rated)
    truth = world(chance, 2_000_000)[0].mean()
    held = outside = caught = 0
    for _ in range(draws):
        people, judge = world(chance, N_JUDGED)
        rated = chance.permutation(N_JUDGED)[:n_rated]
        found = correct(judge, rated, people[rated])
        low, high = found.corrected.low, found.corrected.high
        assert low is not None
        assert high is not None
        held += low <= truth <= high
        outside += not low <= judge.mean() <= high
        caught += (found.bias.low or 0) > 0
    return held / draws, outside / draws, caught / draws


@pytest.mark.parametrize("n_rated", [30, 100, 300])
def test_the_corrected_mean_holds_the_truth(n_rated: int) -> None:
    """91.5% lies three standard errors of 400 draws below 95%; intervals a fifth narrower would
    hold it in 88%."""
    held, outside, caught = coverage(400, n_rated)
    assert held >= 0.915
    assert outside > 0.95
    assert caught > 0.95


def test_thirty_ratings_of_mostly_perfect_answers() -> None:
    """The hard case: few answers are bad, and one of them more or less changes the line. With
    plain residuals 86% of these intervals hold the truth."""
    chance = np.random.default_rng(0)

    def perfect(n: int) -> tuple[np.ndarray, np.ndarray]:
        people = np.where(chance.random(n) < 0.1, chance.integers(1, 4, n), 5).astype(float)
        near = np.clip(people + chance.integers(-1, 2, n), 1, 5)
        return people, np.where(chance.random(n) < 0.5, people, near)

    truth = 0.9 * 5 + 0.1 * 2
    held = drawn = 0
    while drawn < 400:
        people, judge = perfect(N_JUDGED)
        found = correct(judge, range(30), people[:30]).corrected
        if found.low is None or found.high is None:  # all thirty were perfect
            continue
        drawn += 1
        held += found.low <= truth <= found.high
    assert held / drawn >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("n_rated", [30, 100, 300])
def test_the_corrected_mean_holds_the_truth_in_1000_draws(n_rated: int) -> None:
    held, outside, caught = coverage(1000, n_rated)
    assert held >= 0.93
    assert outside > 0.95
    assert caught > 0.95


def test_a_fair_judge_is_seldom_called_biased() -> None:
    chance = np.random.default_rng(5)
    called = 0
    for _ in range(300):
        people = chance.integers(1, 6, 200).astype(float)
        judge = people + chance.choice([-1.0, 0.0, 1.0], 200)
        rated = chance.permutation(200)[:50]
        bias = correct(judge, rated, people[rated]).bias
        assert bias.low is not None
        assert bias.high is not None
        called += not bias.low <= 0 <= bias.high
    assert called / 300 < 0.09


def test_real_ratings_of_prompts(shared_data: Path) -> None:
    """A public set with many people and several model judges: the correction moves every judge
    towards the people, whose mean over everything is known here."""
    folder = shared_data / "human" / "alttest"
    people = json.loads((folder / "10k_prompts.human_annotations.json").read_text())
    judges = json.loads((folder / "10k_prompts.llm_annotations.json").read_text())
    by_item: dict[str, list[float]] = {}
    for ratings in people.values():
        for item, value in ratings.items():
            by_item.setdefault(item, []).append(value)
    chance = np.random.default_rng(0)
    for judge in judges.values():
        items = sorted(by_item.keys() & judge.keys())
        scores = np.array([judge[item] for item in items], float)
        truth = np.array([np.mean(by_item[item]) for item in items])
        held = np.mean([
            (f := correct(scores, rated, truth[rated])).corrected.low <= truth.mean()
            <= f.corrected.high
            for rated in (chance.permutation(len(items))[:100] for _ in range(100))
        ])  # fmt: skip
        assert held >= 0.87
