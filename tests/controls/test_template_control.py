"""The template control's numbers: by hand, planted, empty, and what may be said."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.controls.answers import Answer, answers_of, per_prompt, values_of
from aftertune.controls.template import NO_SHIFT, SAME, compare, conclusion
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.template import block
from aftertune.stats.intervals import Interval

PROMPTS = {f"r{i}": f"p{i}" for i in range(12)}


def planted(level, seed):
    """KL of 12 answers of 6 tokens each around a level."""
    rng = np.random.default_rng(seed)
    return {one: level * (1 + 0.1 * rng.standard_normal(6)) for one in PROMPTS}


def said(kl, floor=0.01):
    found = compare(kl, PROMPTS, floor)
    names = {name: name for name in kl}
    found |= {"n_stops": 3, "templates": names}
    about = {"name": "it", "found": json.loads(json.dumps(found)), "absent": {"own": "it has none"}}
    return found, checked(block(about))


def test_means_difference_and_share_by_hand():
    kl = {SAME: {"a": np.array([1.0, 3.0]), "b": np.array([2.0])},
          "raw": {"a": np.array([1.0, 1.0]), "b": np.array([1.0])}}  # fmt: skip
    found = compare(kl, {"a": "p", "b": "q"}, None)
    assert found["kl"][SAME]["per_token"]["estimate"] == 2.0
    assert found["kl"][SAME]["per_response"]["estimate"] == (2 + 2) / 2
    assert found["kl"]["raw"]["per_token"]["estimate"] == 1.0
    assert found["difference"]["raw"]["estimate"] == 1.0
    assert found["gone"]["raw"]["estimate"] == 0.5
    assert (found["n_responses"], found["n_tokens"], found["n_left_out"]) == (2, 3, 0)


def test_answers_that_lack_a_template_are_left_out_of_all():
    kl = {SAME: {"a": np.array([1.0]), "b": np.array([9.0])}, "raw": {"a": np.array([0.5])}}
    found = compare(kl, {"a": "p", "b": "q"}, None)
    assert found["kl"][SAME]["per_token"]["estimate"] == 1.0
    assert found["n_left_out"] == 1


def test_the_same_values_under_another_template_take_nothing_away():
    found, _ = said({SAME: planted(1.0, 0), "raw": planted(1.0, 0)})
    assert found["gone"]["raw"]["low"] == found["gone"]["raw"]["high"] == 0
    assert found["conclusion"] == "undecided"


@pytest.mark.parametrize(
    ("level", "wanted", "words"),
    [
        (0.02, "nearly all", "Nearly all of it is the template's"),
        (0.3, "most", "Most of it is the template's"),
        (0.8, "part", "A part of it"),
        (1.5, "none", "does not make this shift"),
    ],
)
def test_a_planted_part_of_the_template_is_recognised(level, wanted, words):
    kl = {SAME: planted(1.0, 0), "raw": planted(3.0, 1), "few-shot": planted(level, 2)}
    found, shown = said(kl)
    assert (found["conclusion"], found["nearest"]) == (wanted, "few-shot")
    assert any(words in sentence for sentence in shown["sentences"])
    assert shown["picture"]["rows"][1]["reason"] == "it has none"


def test_no_shift_under_one_template_and_much_under_another_is_the_template_alone():
    nothing = {one: np.zeros(6) for one in PROMPTS}
    found, shown = said({SAME: nothing, "raw": planted(2.0, 1)})
    assert found["conclusion"] == "template alone"
    assert found["gone"]["raw"]["reason"] == NO_SHIFT
    assert "the template alone makes this shift" in shown["sentences"][-1]
    found, shown = said({SAME: nothing, "raw": planted(0.001, 1)})
    assert found["conclusion"] == "no shift"
    assert "makes this shift" not in shown["sentences"][-1]


def of(low, middle, high):
    return Interval(middle, low, high, 10)


@pytest.mark.parametrize(
    ("same", "others", "wanted"),
    [
        (of(0, 0, 0), [of(0, 0.01, 0.02)], "no shift"),
        (of(0, 0, 0), [of(0, 0.01, 0.09)], "undecided"),  # too wide to say that there is none
        (of(0, 0, 0), [of(0, 0.01, 0.02), of(None, 0.01, None)], "undecided"),
        (of(0, 0, 0), [], "undecided"),
        (of(0, 0.01, 0.05), [of(0.5, 0.6, 0.7)], "undecided"),  # there may be a shift to begin with
        (of(None, 0, None), [of(0.5, 0.6, 0.7)], "undecided"),
        (of(0, 0, 0), [of(0, 0.01, 0.09), of(0.5, 0.6, 0.7)], "template alone"),
    ],
)
def test_below_the_noise_missing_and_wide_intervals_are_undecided(same, others, wanted):
    means = {SAME: same} | {str(i): one for i, one in enumerate(others)}
    assert conclusion(means, {}, None, 0.01) == wanted


def test_an_undecided_shift_below_the_noise_is_said_to_be_undecided():
    nothing = {"r0": np.zeros(6)}
    found, shown = said({SAME: nothing, "raw": {"r0": np.ones(6)}})
    assert found["conclusion"] == "undecided"
    assert "undecided" in shown["sentences"][-1]
    assert "alone" not in shown["sentences"][-1]
    assert "An interval over 1 prompt is rough." in shown["cautions"]
    assert found["kl"]["raw"]["per_token"]["reason"] == "one prompt has no interval"


def test_every_other_template_has_to_take_the_base_further():
    wide = {one: np.full(6, 0.2 if i < 6 else 2.4) for i, one in enumerate(PROMPTS)}
    found, shown = said({SAME: planted(1.0, 0), "raw": planted(1.2, 1), "few-shot": wide})
    assert found["nearest"] == "raw"
    assert found["gone"]["raw"]["high"] < 0
    assert found["gone"]["few-shot"]["low"] < 0 < found["gone"]["few-shot"]["high"]
    assert found["conclusion"] == "undecided"
    assert "under a few-shot prompt" in shown["sentences"][-1]


def test_one_prompt_and_no_other_template_are_undecided():
    found, shown = said({SAME: {"r0": np.ones(3)}, "raw": {"r0": np.ones(3) / 2}})
    assert found["conclusion"] == "undecided"
    assert "undecided" in shown["sentences"][-1]
    found, shown = said({SAME: planted(1.0, 0)})
    assert found["nearest"] is None
    assert "undecided" in shown["sentences"][-1]


def test_nothing_in_common_is_absent_with_its_reason():
    found, shown = said({SAME: {"r0": np.ones(2)}, "raw": {"r1": np.ones(2)}})
    assert found["kl"][SAME]["per_token"]["reason"] == "no values"
    assert found["conclusion"] == "undecided"
    assert "no values" in shown["sentences"][0]


@settings(max_examples=40, deadline=None)
@given(st.floats(-2, 2), st.floats(0, 1), st.floats(0.011, 5))
def test_what_is_said_follows_the_interval(middle, half, same):
    gone = Interval(middle, middle - half, middle + half, 10)
    means = {SAME: Interval(same, same, same, 10), "raw": Interval(same, same, same, 10)}
    found = conclusion(means, {"raw": gone}, "raw", 0.0)
    if found in ("nearly all", "most", "part"):
        assert gone.low > {"nearly all": 0.9, "most": 0.5, "part": 0}[found]
    if found == "none":
        assert gone.high < 0
    if gone.low <= 0 <= gone.high:
        assert found == "undecided"


def test_the_stop_token_is_no_part_of_an_answer():
    responses = pa.table(
        {
            "response_id": ["a", "b", "c", "d"],
            "prompt_id": ["p", "q", "q", "q"],
            "response_token_ids": [[5, 6, 2], [5, 2], None, [2]],
            "finish_reason": ["stop", "length", "stop", "stop"],
        }
    )
    answers = answers_of(responses, [2])
    assert answers == [
        Answer("a", "p", [5, 6], "stop", True),
        Answer("b", "q", [5, 2], "length"),
        Answer("d", "q", [], "stop", True),
    ]
    tokens = pa.table(
        {
            "response_id": ["b", "a", "a", "a", "b", "d"],
            "position": pa.array([1, 0, 2, 1, 0, 0], pa.int32()),
            "kl_tuned_base_nats": pa.array([4.0, 1.0, 99.0, 2.0, 3.0, 99.0], pa.float32()),
        }
    )
    values = values_of(tokens, answers)
    assert {one: v.tolist() for one, v in values.items()} == {"a": [1, 2], "b": [3, 4]}
    gathered = per_prompt(values, {"a": "p", "b": "q"}, ["q", "p", "z"])
    assert gathered.sums.tolist() == [7, 3, 0]
    assert gathered.counts.tolist() == [2, 2, 0]
    assert gathered.means.tolist() == [3.5, 1.5, 0]
    assert gathered.answers.tolist() == [1, 1, 0]
