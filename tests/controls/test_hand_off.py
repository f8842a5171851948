"""The hand-off's numbers: by hand, planted, and what may be said."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.controls.answers import Answer
from aftertune.controls.handoff import (
    FROM,
    GIVEN,
    NO_DIFFERENCE,
    NOTHING_TO_GO,
    WINDOW,
    Pair,
    common_length,
    compare,
    conclusion,
    likelihood,
    long_enough,
    similarity,
)
from aftertune.report.blocks.handoff import block
from aftertune.report.blocks.shape import checked
from aftertune.stats.intervals import Interval, bootstrap_mean

TOKENS = st.lists(st.integers(0, 4), max_size=12)
START = list(range(900, 900 + FROM))


def pair(prompt, tuned, base, cut=False):
    """A tuned answer that goes on with `tuned` behind FROM; base: k -> the same of the base."""
    return Pair(prompt, START + tuned, {k: START + base[k] for k in GIVEN}, cut)


def said(found, method="lora", likelihood=()):
    about = {"name": "it", "absent": {}, "found": json.loads(json.dumps({
        **found, "likelihood": list(likelihood), "from": FROM, "window": WINDOW,
        "left_out": {"short": 2}, "sampled": False,
        "method": method, "dtype": "float32"}))}  # fmt: skip
    return checked(block(about))


def planted(left, n=12):
    """Answers of ten tokens, of which the base's text has other ones at `left[k]` places."""
    pairs = []
    for i in range(n):
        tuned = [100 * i + j for j in range(10)]
        base = {k: [-1] * left[k] + tuned[left[k] :] for k in GIVEN}
        pairs.append(pair(f"p{i}", tuned, base))
    return pairs


def test_similarity_by_hand():
    assert common_length([1, 2, 3, 4], [2, 4, 5]) == 2
    assert similarity([1, 2, 3, 4], [2, 4, 5]) == pytest.approx(4 / 7)
    assert similarity([1, 2], [1, 2]) == 1
    assert similarity([1, 2], []) == 0
    assert similarity([], []) == 1


@settings(max_examples=80, deadline=None)
@given(TOKENS, TOKENS)
def test_the_longest_common_subsequence_is_found(one, other):
    """Against the recursion that defines it."""

    def plain(i, j):
        if not i or not j:
            return 0
        if one[i - 1] == other[j - 1]:
            return known(i - 1, j - 1) + 1
        return max(known(i - 1, j), known(i, j - 1))

    table = {}

    def known(i, j):
        if (i, j) not in table:
            table[i, j] = plain(i, j)
        return table[i, j]

    assert common_length(one, other) == known(len(one), len(other))
    assert similarity(one, other) == similarity(other, one)


def test_only_what_stands_behind_the_given_tokens_counts():
    base = {k: [5, 6, 7] for k in GIVEN}
    one = Pair("p", [1] * FROM + [5, 6, 7], {k: [2] * FROM + base[k] for k in GIVEN})
    assert one.compared(0) == ([5, 6, 7], [5, 6, 7])


def test_of_an_answer_that_was_cut_nothing_further_is_asked():
    base = {k: [5, 6, 7, 8, 9] for k in GIVEN}
    assert pair("p", [5, 6], base, cut=True).compared(0) == ([5, 6], [5, 6])
    assert pair("p", [5, 6], base).compared(0) == ([5, 6], [5, 6, 7, 8, 9])
    long = pair("p", list(range(80)), {k: list(range(90)) for k in GIVEN})
    assert [len(text) for text in long.compared(0)] == [WINDOW, WINDOW]


def test_shares_by_hand():
    left = {0: 8, 1: 8, 3: 6, 5: 4, 10: 2, 20: 0}
    found = compare(planted(left))
    assert [step["difference"]["estimate"] for step in found["steps"]] == pytest.approx(
        [0.8, 0.8, 0.6, 0.4, 0.2, 0.0]
    )
    assert found["steps"][0]["gone"] is None
    gone = [step["gone"]["estimate"] for step in found["steps"][1:]]
    assert gone == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert found["chance"]["estimate"] == 1.0
    assert found["steps"][0]["longer"]["estimate"] == 0
    assert (found["conclusion"], found["after"]) == ("gone", 10)
    shown = said(found)
    assert "gone after 20 given tokens: 100%" in shown["sentences"][1]
    assert "from 10 given tokens on the interval stays above one half" in shown["sentences"][1]
    assert "holds for this model by this measure" in shown["sentences"][2]


def test_most_still_there_and_undecided():
    found = compare(planted(dict.fromkeys(GIVEN, 8)))
    assert found["conclusion"] == "still there"
    assert "still there after 20 given tokens" in said(found)["sentences"][1]
    assert "is not borne out" in said(found)["sentences"][2]
    one = compare(planted({**dict.fromkeys(GIVEN, 8), 20: 0}, n=1))
    assert one["conclusion"] == "undecided"
    assert "undecided" in said(one, "full")["sentences"][1]
    assert "C1" not in " ".join(said(one, "full")["sentences"])


def test_a_base_that_says_the_same_by_itself_has_no_share():
    found = compare(planted(dict.fromkeys(GIVEN, 0)))
    assert found["steps"][0]["difference"]["high"] == 0
    assert {step["gone"]["reason"] for step in found["steps"][1:]} == {NO_DIFFERENCE}
    assert found["conclusion"] == "undecided"
    assert "by itself" in said(found)["sentences"][1]


def test_no_answers_are_absent_with_a_reason():
    found = compare([])
    assert found["steps"][0]["difference"]["reason"] == "no values"
    assert "no values" in said(found)["sentences"][0]
    json.dumps(found, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 0.5)), min_size=5, max_size=5))
def test_what_is_said_follows_the_intervals(shares):
    gone = {
        k: Interval(middle, middle - half, middle + half, 9)
        for k, (middle, half) in zip(GIVEN[1:], shares, strict=True)
    }
    found, after = conclusion(gone)
    if found == "gone":
        assert all(gone[k].low > 0.5 for k in gone if k >= after)
        before = [k for k in gone if k < after]
        assert not before or gone[before[-1]].low <= 0.5
    elif found == "still there":
        assert gone[20].high < 0.5
    else:
        assert gone[20].low <= 0.5 <= gone[20].high


def test_likelihood_by_hand():
    own = {"p": np.array([-1.0, -1.0]), "q": np.array([-2.0]), "z": np.array([-9.0])}
    continued = {
        0: {"p": np.array([-3.0]), "q": np.array([-3.0, -4.0]), "y": np.array([-9.0])},
        3: {"p": np.array([-2.0]), "q": np.array([-3.0]), "z": np.array([-9.0] * 4)},
    }
    first, later = likelihood(own, continued)
    assert first["own"]["estimate"] == -1.5
    assert later["own"]["estimate"] == -4.0
    assert first["continuation"]["estimate"] == -3.25
    assert first["less"]["estimate"] == 1.75
    assert first["less"]["n"] == 2
    assert later["less"]["estimate"] == pytest.approx((1 + 1 + 0) / 3)
    assert first["gone"] is None
    assert later["gone"]["estimate"] == pytest.approx(1 - 1 / 1.75)


def test_a_share_of_one_half_is_seldom_called_gone():
    """Simulated: one half is gone at every k, so "gone" is an error, of at most 5% and chance."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(200):
        left = {k: np.clip(rng.normal(0.4, 0.2, 30), 0, 1) for k in GIVEN[1:]}
        gone = {k: bootstrap_mean(0.8 - left[k], np.full(30, 0.8), draws=500) for k in left}
        called += conclusion(gone)[0] == "gone"
    assert called <= 16  # P(more | 5%) is 2%


def test_without_a_difference_to_begin_with_no_share_of_the_likelihood_is_given():
    own = {f"p{i}": np.array([-1.0]) for i in range(12)}
    sign = {name: (-1) ** i for i, name in enumerate(own)}
    at_first = {name: np.array([-1.01 + sign[name]]) for name in own}
    steps = likelihood(own, {0: at_first, 20: own})
    assert steps[0]["less"]["low"] < 0 < steps[0]["less"]["high"]
    assert (steps[1]["gone"]["estimate"], steps[1]["gone"]["reason"]) == (None, NOTHING_TO_GO)
    shown = said(compare(planted(dict.fromkeys(GIVEN, 8))), likelihood=steps)
    assert "is undecided" in shown["sentences"][-1]
    assert "of that is gone" not in shown["sentences"][-1]
    clear = {name: np.array([-3.0 + 0.1 * sign[name]]) for name in own}
    steps = likelihood(own, {0: clear, 20: own})
    assert steps[1]["gone"]["estimate"] == 1
    shown = said(compare(planted(dict.fromkeys(GIVEN, 8))), likelihood=steps)
    assert "every answer weighing alike): 100%" in shown["sentences"][-1]


def test_likelihood_of_nothing_is_absent():
    (found,) = likelihood({}, {0: {}})
    assert found["less"]["reason"] == "no values"
    assert likelihood({"p": np.array([-1.0])}, {}) == []


def test_how_long_an_answer_must_be():
    assert long_enough(Answer("r", "p", [1] * 28, "stop"))
    assert not long_enough(Answer("r", "p", [1] * 27, "stop"))
