"""Davidson's strengths: by hand, planted ones, coverage, and graphs that determine none."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import optimize

from aftertune.stats.strengths import strengths


def test_two_models_by_hand():
    # 6 won, 3 lost, 3 tied: odds of winning 2; ties: v = 3 / sqrt(6 x 3)
    scores = [1] * 6 + [0] * 3 + [0.5] * 3
    found = strengths(["b"] * 12, ["a"] * 12, scores, range(12))
    assert found.differences["a", "b"].estimate == pytest.approx(-math.log(2))
    assert found.of["b"].estimate == pytest.approx(math.log(2) / 2)
    assert found.of["a"].estimate == pytest.approx(-math.log(2) / 2)
    assert found.ties.estimate == pytest.approx(3 / math.sqrt(18))
    assert found.of["a"].n == 12


def test_without_ties_it_is_bradley_and_terry():
    # Each pair once per direction except a over b, twice: d(log L) = 0 by a generic optimiser
    results = [("a", "b"), ("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("a", "c"), ("c", "a")]

    def loss(x):
        place = dict(zip("abc", (*x, -sum(x)), strict=True))
        return sum(math.log1p(math.exp(place[b] - place[a])) for a, b in results)

    expected = optimize.minimize(loss, [0.0, 0.0], tol=1e-10).x
    winners, losers = zip(*results, strict=True)
    found = strengths(winners, losers, [1] * 7, range(7))
    assert [found.of[name].estimate for name in "ab"] == pytest.approx(expected, abs=1e-5)
    assert found.ties.estimate == 0.0


def test_who_stands_first_and_the_order_of_comparisons_do_not_matter():
    generator = np.random.default_rng(2)
    first, second, scores, prompts = study([0.5, 0.0, -0.5], 0.7, 20, generator)
    one = strengths(first, second, scores, prompts)
    turned = strengths(second, first, [1 - score for score in scores], prompts)
    assert one.of["m0"].estimate == pytest.approx(turned.of["m0"].estimate)
    assert (one.of["m0"].low, one.of["m0"].high) == pytest.approx(
        (turned.of["m0"].low, turned.of["m0"].high)
    )


def test_a_prompt_rated_by_many_weighs_no_more():
    once = strengths(["a", "a", "a"], ["b", "b", "b"], [1, 0.5, 0], ["p", "q", "r"])
    often = strengths(["a"] * 5, ["b"] * 5, [1, 1, 1, 0.5, 0], ["p", "p", "p", "q", "r"])
    assert once.differences["a", "b"].estimate == pytest.approx(0, abs=1e-9)
    assert often.differences["a", "b"].estimate == pytest.approx(0, abs=1e-9)


def study(planted, ties, prompts, generator):
    """Every two models at every prompt, drawn from Davidson's model."""
    first, second, scores, at = [], [], [], []
    for prompt in range(prompts):
        for a, b in combinations(range(len(planted)), 2):
            apart = planted[a] - planted[b]
            weight = np.array([math.exp(apart / 2), ties, math.exp(-apart / 2)])
            first.append(f"m{a}")
            second.append(f"m{b}")
            scores.append(float(generator.choice([1, 0.5, 0], p=weight / weight.sum())))
            at.append(prompt)
    return first, second, scores, at


def test_planted_strengths_are_recovered():
    planted = [1.2, 0.3, -0.4, -1.1]
    found = strengths(*study(planted, 0.6, 3000, np.random.default_rng(0)), draws=50)
    recovered = [found.of[f"m{k}"].estimate for k in range(4)]
    assert recovered == pytest.approx(planted, abs=0.06)
    assert found.ties.estimate == pytest.approx(0.6, abs=0.03)


def test_intervals_hold_planted_strengths_about_as_often_as_they_say():
    planted, generator = [0.8, 0.1, -0.9], np.random.default_rng(4)
    held = []
    for trial in range(150):
        found = strengths(*study(planted, 0.6, 40, generator), seed=trial, draws=300)
        held += [
            found.of["m0"].low <= 0.8 <= found.of["m0"].high,
            found.differences["m1", "m2"].low <= 1.0 <= found.differences["m1", "m2"].high,
            found.ties.low <= 0.6 <= found.ties.high,
        ]
    assert 0.915 <= np.mean(held) <= 0.985  # standard error 0.01 to 0.018


@pytest.mark.parametrize(
    ("first", "second", "scores", "reason"),
    [
        ([], [], [], "no comparisons"),
        ("aac", "bbd", [1, 0, 0.5], "a, b and c, d were never compared"),
        ("aab", "bcc", [1, 1, 0.5], "a never lost or tied against b, c"),
        ("aaab", "ccbc", [1, 1, 0.5, 1], "a, b never lost or tied against c"),
        ("ab", "bc", [0.5, 0.5], "every comparison is a tie"),
        ("abaa", "bccc", [0.5, 0.5, 1, 1], "ties and wins keep so strictly apart"),
    ],
)
def test_what_the_comparisons_cannot_determine_is_absent(first, second, scores, reason):
    found = strengths(list(first), list(second), scores, range(len(scores)))
    every = [*found.of.values(), *found.differences.values(), found.ties]
    assert all(one.estimate is one.low is one.high is None for one in every)
    assert reason in found.ties.reason
    assert set(found.of) == {*first, *second}


def test_a_single_lost_prompt_leaves_the_ends_open():
    found = strengths(["a"] * 12, ["b"] * 12, [1] * 11 + [0], range(12)).differences["a", "b"]
    assert found.estimate == pytest.approx(math.log(11))
    assert found.low is None
    assert "some model lost, or won, everything" in found.reason


def test_one_prompt_has_no_interval():
    found = strengths(["a", "b", "c"], ["b", "c", "a"], [1, 1, 1], ["p", "p", "p"])
    assert [one.estimate for one in found.of.values()] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.of["a"].reason == "one prompt has no interval"


def test_wrong_input():
    with pytest.raises(ValueError, match="compared with itself"):
        strengths(["a"], ["a"], [1], ["p"])
    with pytest.raises(ValueError, match="a score is"):
        strengths(["a"], ["b"], [0.7], ["p"])
    with pytest.raises(ValueError, match="argument"):
        strengths(["a"], ["b", "c"], [1], ["p"])
