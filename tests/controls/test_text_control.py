"""Loops, runaways, and the table model x text: by hand, planted, empty."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.controls.answers import Answer
from aftertune.controls.texts import Cell, compare, enough, loops, repeated, runs_away
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.texts import block

WORDS = list(range(1000))


def cell(kl, prompts=None, ended="stop", ids=None):
    """One answer per prompt; `kl` is a list of values by position for each."""
    prompts = prompts or [f"p{i}" for i in range(len(kl))]
    answers = [
        Answer(f"r{i}", prompt, ids or WORDS[: len(values)], ended)
        for i, (prompt, values) in enumerate(zip(prompts, kl, strict=True))
    ]
    return Cell({f"r{i}": np.asarray(v, float) for i, v in enumerate(kl)}, answers)


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([], False),
        (WORDS[:200], False),
        (WORDS[:40] + [7] * 30, True),  # one token, 30 times
        (WORDS[:40] + [7] * 28, False),  # 28 tokens are no loop yet
        (WORDS[:10] + [1, 2, 3, 4, 5] * 6, True),  # 6 rounds of 5 cover 30
        ([*WORDS[:10], *[1, 2, 3, 4, 5] * 6, 1, 2], True),  # cut within a round
        (WORDS[100:130] + [1, 2, 3, 4, 5] * 5, False),  # 25 tokens
        (WORDS[:50] * 3, True),  # the longest cycle, three times
        (WORDS[:50] * 2, False),  # twice is no loop, and 47 of 97 4-grams are no half
        (WORDS[:51] * 3, True),  # too long a cycle, but 99 of 150 4-grams stood before
        ([*[1, 2, 3, 4, 5] * 40, *WORDS[100:110]], True),  # it got out of it, but too late
        ([*[1, 2, 3, 4, 5] * 6, *WORDS[100:140]], False),  # 22 of 67 4-grams
    ],
)
def test_loops(ids, found):
    assert loops(ids) is found


def test_repeated_four_grams_by_hand():
    # abcdabcd: abcd, bcda, cdab, dabc, abcd
    assert repeated([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repeated([1, 2, 3]) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=50),
    st.integers(3, 6),
    st.lists(st.integers(100, 999), max_size=60),
)
def test_every_cycle_that_goes_round_long_enough_is_a_loop(cycle, rounds, before):
    ids = before + cycle * rounds
    if len(cycle) * rounds >= 30:
        assert loops(ids)


def test_a_runaway_is_an_answer_that_did_not_stop():
    ends = {"length": True, "stop": False, "given": False}
    assert {end: runs_away(Answer("r", "p", [1], end)) for end in ends} == ends


def test_texts_are_cut_to_the_shortest_answer_of_each_prompt_by_hand():
    cells = {
        ("m", "m"): cell([[1, 2, 3], [4]]),
        ("m", "base"): cell([[6, 9], [2, 2, 2]]),
    }
    found = compare(cells, {"m": "base"})
    own, base = found["cells"]["m"]["m"], found["cells"]["m"]["base"]
    assert own["whole"]["per_token"]["estimate"] == 10 / 4
    assert own["cut"]["per_token"]["estimate"] == (1 + 2 + 4) / 3
    assert own["cut"]["per_response"]["estimate"] == (1.5 + 4) / 2
    assert base["cut"]["per_token"]["estimate"] == (6 + 9 + 2) / 3
    assert found["own_minus_base"]["m"]["estimate"] == pytest.approx((7 - 17) / 3)
    assert found["mean_cut_tokens"] == 1.5
    assert found["texts"]["base"]["mean_tokens"] == 2.5


def test_prompts_that_one_text_lacks_are_left_out_of_all_and_counted():
    cells = {
        ("m", "m"): cell([[1], [2], [9]], ["p", "q", "z"]),
        ("m", "base"): cell([[5], [6]], ["q", "p"]),
    }
    found = compare(cells, {"m": "base"})
    assert found["n_prompts"] == 2
    assert found["left_out"] == {"m": 0, "base": 1}
    assert found["cells"]["m"]["m"]["whole"]["per_token"]["estimate"] == 1.5


def test_a_text_beside_itself_differs_by_nothing():
    same = cell([[1, 2], [3, 4], [5, 6]])
    found = compare({("m", "m"): same, ("m", "base"): same}, {"m": "base"})
    assert found["own_minus_base"]["m"]["low"] == found["own_minus_base"]["m"]["high"] == 0


def test_flagged_answers_are_counted_and_left_out_of_the_third_mean():
    kl = [[1.0] * 40, [3.0] * 40]
    cells = {("m", "m"): cell(kl)}
    cells["m", "base"] = Cell(
        cells["m", "m"].kl,
        [Answer("r0", "p0", [7] * 40, "length"), Answer("r1", "p1", WORDS[:40], "stop")],
    )
    found = compare(cells, {"m": "base"})
    about, base = found["texts"]["base"], found["cells"]["m"]["base"]
    assert (about["runaway"], about["loop"], about["flagged"]) == (1, 1, 1)
    assert about["share_flagged"]["estimate"] == 0.5
    assert base["whole"]["per_token"]["estimate"] == 2.0
    assert base["without_flagged"]["per_token"]["estimate"] == 3.0
    assert found["cells"]["m"]["m"]["n_flagged"] == 0


def test_long_repetitive_text_dilutes_the_whole_mean_but_not_the_cut_one():
    """Planted: the shift sits in the first tokens of both texts, one goes on in a loop."""
    short = cell([[1.0] * 10] * 12)
    long = cell([[1.0] * 10 + [0.0] * 90] * 12, ended="length", ids=WORDS[:10] + [7] * 90)
    found = compare({("m", "m"): short, ("m", "base"): long}, {"m": "base"})
    base = found["cells"]["m"]["base"]
    assert base["whole"]["per_token"]["estimate"] == pytest.approx(0.1)
    assert base["cut"]["per_token"]["estimate"] == 1.0
    assert base["without_flagged"]["per_token"]["reason"] == "no values"
    about = {"names": ["m"], "found": json.loads(json.dumps(found | {"dtypes": ["float32"]})),
             "absent": {}}  # fmt: skip
    shown = checked(block(about))
    assert any("100% of the answers of base are flagged" in s for s in shown["sentences"])
    assert "undecided" in shown["sentences"][1]


def test_nothing_in_common_is_said():
    found = compare({("m", "m"): cell([[1]], ["p"]), ("m", "b"): cell([[1]], ["q"])}, {"m": "b"})
    about = {"names": ["m"], "found": found | {"dtypes": []}, "absent": {}}
    assert checked(block(about))["sentences"] == [
        "Not compared: no prompt is answered in every text."
    ]
    json.dumps(found, allow_nan=False)


def test_a_text_must_answer_half_of_the_prompts():
    assert enough({"a"}, {"a", "b"})
    assert not enough({"a"}, {"a", "b", "c"})
    assert not enough(set(), set())
