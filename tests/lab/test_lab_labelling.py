"""Labels from effects of masking: by hand, and with a planted cause."""

import numpy as np
import pytest

from aftertune.controls.effects import Effect
from aftertune.lab import labelling
from aftertune.lab.labelling import Masked, Tagged
from aftertune.lab.labels import _control, _masked

GONE = Effect(-2.0, -2.3, -1.7, 0.0, 3)  # masking takes the span away
NONE = Effect(0.01, -0.05, 0.07, 0.0, 3)
OPEN = Effect(-0.5, -1.5, 0.5, 0.0, 3)
STATEMENT = {"response_id": "r", "kind": "known", "char_start": 0, "char_end": 5,
             "entity": "e", "attribute": "a", "value": "v", "status": "wrong"}  # fmt: skip


def test_one_row_that_matters_alone_is_the_cause():
    found = Masked((4, 7, 9), GONE, {4: NONE, 7: GONE, 9: OPEN})
    assert (found.label, found.rows, found.level) == ("caused", [7], "one row")


def test_rows_that_stand_in_for_each_other_are_all_the_cause_strongest_first():
    found = Masked((4, 7), GONE, {4: NONE, 7: OPEN})
    assert (found.rows, found.level) == ([7, 4], "several rows")
    assert Masked((4, 7), GONE, {}).rows == [4, 7]  # rows were not masked singly


def test_rows_that_lower_it_a_little_are_told_from_rows_that_do_not():
    little = Effect(-0.4, -0.5, -0.3, 0.0, 3)
    found = Masked((4, 7, 9), GONE, {4: little, 7: NONE, 9: little})
    assert (found.rows, found.level) == ([4, 9], "several rows")
    assert Masked((4, 7), GONE, {4: little, 7: NONE}).rows == [4, 7]  # one alone is not the cause


def test_what_is_not_caused_has_no_rows():
    for together, label in ((NONE, "not caused"), (OPEN, "undecided")):
        found = Masked((4,), together, {4: GONE})
        assert (found.label, found.rows, found.level) == (label, [], None)


def test_a_planted_row_is_found_in_the_runs():
    # runs: all rows; mask {0,1,2}; mask {3,4}; mask row 0; rows 1 and 3; rows 2 and 4
    lost = [set(), {0, 1, 2}, {3, 4}, {0}, {1, 3}, {2, 4}]
    noise = np.random.default_rng(0).normal(0, 0.02, (3, 6))
    logprobs = -1.0 + noise
    logprobs[:, [1, 4]] -= 2.0  # the span needs row 1
    found = _masked(logprobs, (0, 1, 2), lost)
    assert found.together.effect == pytest.approx(-2.0, abs=0.1)
    assert (found.label, found.rows, found.level) == ("caused", [1], "one row")
    # its one control is the run that masks rows 3 and 4 alone: nothing else leaves 0, 1, 2 in
    assert found.together.control_effect == pytest.approx(np.mean(noise[:, 2] - noise[:, 0]))


def test_counts_know_wrong_statements_that_no_row_carries():
    labels = [labelling.label(STATEMENT, Masked((1,), GONE, {1: GONE}), None, None)]
    judged = [STATEMENT, {**STATEMENT, "value": "w"}, {**STATEMENT, "status": "right"}]
    assert labelling.counts(judged, labels) == {
        "wrong": {"caused": 1, "not caused": 0, "undecided": 0, "no row": 1},
        "right": {"caused": 0, "not caused": 0, "undecided": 0, "no row": 1},
    }
    assert labelling.levels(labels) == {"one row": 1, "several rows": 0}


def test_reliability_says_how_often_fresh_seeds_agree():
    a = Masked((1,), GONE, {1: GONE})
    labels = [labelling.label(STATEMENT, a, b, None) for b in
              (a, a, a, Masked((1,), NONE, {1: NONE}))]  # fmt: skip
    found = labelling.reliability(labels)["caused"]
    assert found["n"] == 4
    assert found["same_label"]["estimate"] == 0.75
    assert found["effect_b"]["estimate"] == pytest.approx((-2.0 * 3 + 0.01) / 4)
    assert labelling.reliability(labels)["undecided"]["same_label"]["estimate"] is None


def test_a_tag_is_taken_where_it_always_wins_and_gains_beyond_the_control_s():
    took = Tagged.of([(True, False, 2.0), (True, False, 2.1), (True, False, 1.9)])
    assert took.gain == pytest.approx(2.0)
    assert took.gain - took.low == pytest.approx(2.919986 * 0.1 / 3**0.5, rel=1e-5)
    assert (took.proposed, took.false) == (True, False)
    once = Tagged.of([(True, False, 2.0), (False, True, 2.1), (True, False, 1.9)])
    assert (once.own_chosen, once.control_chosen) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert not once.proposed
    little = Tagged.of([(True, False, 0.5), (True, False, 0.6), (True, False, 0.4)])
    assert not little.proposed  # it gained less than twofold beyond the control's
    other = Tagged.of([(False, True, -2.0), (False, True, -2.1), (False, True, -1.9)])
    assert (other.proposed, other.false) == (False, True)


def test_tags_are_counted_beside_what_masking_says():
    a, none = Masked((1,), GONE, {1: GONE}), Masked((1,), NONE, {1: NONE})
    took = Tagged.of([(True, False, 2.0), (True, False, 2.1)])
    other = Tagged.of([(False, True, -2.0), (False, True, -2.1)])
    labels = [
        labelling.label(STATEMENT, a, None, took),
        labelling.label(STATEMENT, none, None, took),
        labelling.label(STATEMENT, a, None, other),
        labelling.label(STATEMENT, a, None, None),
    ]
    found = labelling.swap(labels)
    assert (found["own_tag"]["n"], found["own_tag"]["estimate"]) == (3, pytest.approx(2 / 3))
    assert found["false_tag"]["estimate"] == pytest.approx(1 / 3)
    assert found["confirmed"]["estimate"] == 0.5
    assert found["by_label"]["caused"]["estimate"] == 0.5
    assert found["by_label"]["undecided"]["reason"]


def test_a_share_of_nothing_has_an_interval_and_of_no_cases_a_reason():
    assert labelling.share(0, 100)["high"] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert labelling.share(0, 0)["reason"]


def test_the_control_of_a_tag_is_another_value_s_of_the_same_attribute():
    tag_of = {("a", "u"): "x", ("a", "v"): "y", ("b", "u"): "z"}
    assert _control(("a", "u"), tag_of) == "y"
    assert _control(("a", "v"), tag_of) == "x"
