"""From numbers of tuning again to outcomes: by hand, by planted effects, and what shares a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from aftertune.controls import halves, proof, removal, substitutes
from aftertune.controls.effects import effect
from aftertune.controls.proof import BEST, Return, outcome
from aftertune.controls.removal import Removal
from aftertune.controls.substitutes import Lexicon, Value

LOST, KEPT = -3.0, -0.1
BACK = Return((True, True, True), (0.0, -0.1, 0.1))


def masked(change: float, spread: float = 0.05) -> object:
    noise = np.array([-spread, 0.0, spread])
    return effect(np.zeros(3), change + noise, np.zeros((3, 1)))


WIDE = masked(LOST)


@pytest.mark.parametrize(
    ("widest", "best", "alone", "expected"),
    [
        (WIDE, WIDE, False, "one row"),
        (WIDE, None, True, "one row"),
        (WIDE, masked(KEPT), False, "several jointly"),
        (masked(KEPT), None, False, "not from the rows"),
        (masked(1.0), None, False, "not from the rows"),  # likelier without them
        (masked(LOST, spread=9.0), None, False, "undecided"),
        (WIDE, masked(LOST, spread=9.0), False, "undecided"),
        (WIDE, None, False, "undecided"),
        (None, None, False, "undecided"),
    ],
)
def test_outcomes(widest, best, alone, expected):
    found, reason = outcome(BACK, widest, best, alone)
    assert found == expected
    assert (reason is None) == (expected != "undecided")


def test_a_span_that_shuffling_loses_has_no_cause():
    gone = Return((False, False, True), (-2.0, -0.5, 0.0))
    assert not gone.stable
    assert outcome(gone, WIDE, WIDE, False) == ("unstable", proof.UNSTABLE)
    assert Return((False, False, False), (-0.5, -0.6, -0.7)).stable  # as likely as ever
    assert Return((True, True, False), (-9.0, -9.0, -9.0)).stable  # still what it says
    assert not Return((True, False), (-0.7, -0.7)).stable  # half is no majority, log 2 is 0.693
    assert gone.as_json()["change_nats"] == pytest.approx(-2.5 / 3)


def test_all_outcomes_are_counted():
    assert proof.counted(["one row", "one row", "unstable"]) == {
        "one row": 2, "several jointly": 0, "not from the rows": 0, "unstable": 1, "undecided": 0,
    }  # fmt: skip


def test_columns_of_borrowings_hold_the_widest_effect():
    narrow, wide = proof.effect_json(masked(-1.0), 1), proof.effect_json(WIDE, 4)
    case = {"response_id": "a", "char_start": 1, "char_end": 5, "outcome": "one row",
            "effects": {"all accused rows": wide, BEST: narrow}}  # fmt: skip
    untold = {**case, "response_id": "b", "outcome": "unstable",
              "effects": {BEST: {"rows": 1, "reason": proof.UNSTABLE}}}  # fmt: skip
    found = proof.columns([case, untold])
    assert found["a", 1, 5]["effect"] == pytest.approx(LOST)
    assert found["a", 1, 5]["seeds"] == 3
    assert found["b", 1, 5] == {
        "outcome": "unstable", "effect": None, "effect_low": None, "effect_high": None,
        "control_effect": None, "seeds": None,
    }  # fmt: skip


def test_swaps_by_hand():
    found = proof.swapped([[True, True, False], [False] * 3], [[False] * 3, [True, False, False]])
    assert found["own_tag"]["estimate"] == pytest.approx(1 / 3)
    assert found["control_tag"]["estimate"] == pytest.approx(1 / 6)
    assert found["proposed"] == [True, False]
    both = proof.swapped([[True, True]], [[True, True]])
    assert both["proposed"] == [False]  # it says anything
    assert proof.swapped([], [])["own_tag"]["reason"] == "no values"


def test_rephrasings_by_hand():
    def answers(*gone):
        return [{"gone": one, "change_nats": -2.0 * one} for one in gone]

    cases = [{"rephrasings": answers(True, False), "keeps": answers(False)},
             {"rephrasings": answers(True, True), "keeps": []}]  # fmt: skip
    found = proof.rephrased(cases)
    assert found["gone"]["rephrasings"]["estimate"] == pytest.approx(0.75)
    assert found["gone"]["keeps"]["estimate"] == 0.0
    assert found["gone"]["difference"]["estimate"] == pytest.approx(0.5)  # of the first alone
    assert found["gone"]["difference"]["n"] == 1
    assert found["change_nats"]["rephrasings"]["estimate"] == pytest.approx(-1.5)


SETS = st.frozensets(st.integers(0, 39), min_size=1, max_size=4)


@given(st.lists(st.tuples(SETS, SETS), max_size=12), st.integers(0, 5))
def test_runs_keep_out_of_each_others_way(sets, seed):
    removals = [Removal(n, rows, rows | more) for n, (rows, more) in enumerate(sets)]
    known = range(40)
    runs = removal.runs(removals, known, 0.25, seed)
    assert sorted(i for run in runs for i in run.removals) == list(range(len(removals)))
    for run in runs:
        assert len(run.rows) <= 10
        for i in run.removals:
            one = removals[i]
            assert one.rows <= run.rows
            alike = [removals[j] for j in run.removals if removals[j].rows == one.rows]
            allowed = one.rows.union(*(other.rows for other in alike))
            assert run.rows & one.keep <= allowed
    assert runs == removal.runs(removals, known, 0.25, seed)


def test_unrelated_removals_share_a_run_and_all_runs_lose_as_many():
    def one(case, *rows):
        return Removal(case, frozenset(rows), frozenset(rows))

    related = [one(0, 1, 2, 3), one(1, 3), one(2, 10)]
    runs = removal.runs(related, range(40))
    assert sorted(run.removals for run in runs) == [(0,), (1, 2)]
    assert {len(run.rows) for run in runs} == {3}  # the smaller is filled up
    assert removal.runs([], range(40)) == []
    same = removal.runs([one(0, 1), one(1, 1)], range(40))
    assert [run.removals for run in same] == [(0, 1)]  # one masking serves two spans
    assert len(removal.runs([one(0, 1), one(0, 1)], range(40))) == 2
    with pytest.raises(ValueError, match="more than a run may lose"):
        removal.runs([one(0, *range(11))], range(40))


def test_control_rows_are_as_long_and_as_near():
    length = {0: 50, 1: 51, 2: 50, 3: 400, 4: 49, 5: 50}
    near = {0: 3.0, 1: 2.9, 2: 0.0, 3: 3.0, 4: 0.1, 5: 0.2}
    assert removal.matched([0], [1, 3], length, near) == [1]  # the other is too long
    many = {**dict.fromkeys(range(6, 20), 0.0), **near}
    assert set(removal.matched([0], [1, 2, 4, 5], length, many)) <= {1, 2, 4, 5}
    pair = removal.matched([0, 3], [1, 2], length, near)
    assert sorted(pair) == [1, 2]  # none is as long as row 3: the nearest in length is taken
    assert removal.matched([0, 1], [2], length, near) is None
    assert removal.matched([0], [0], length, near) is None  # never itself
    assert removal.matched([0], [1, 2, 4, 5], length, near, 1) == removal.matched(
        [0], [1, 2, 4, 5], length, near, 1
    )


def test_nearness_is_of_words():
    found = removal.nearness(["the old lamp", ""], ["an old lamp burns", "ships at sea", ""])
    assert found.shape == (2, 3)
    assert found[0, 0] > found[0, 1] == 0
    assert not found[1].any()
    assert not removal.nearness(["lamp"], ["", ""]).any()


def test_halves_are_complements_of_about_half_of_the_rows():
    sizes = [5, 1, 1, 2, 1, 4, 1, 1]
    held = halves.halves(sizes, 16, seed=3)
    assert (held[::2] == ~held[1::2]).all()
    assert (held.sum(0) == 8).all()
    assert max(abs(held @ np.array(sizes) - 8)) <= 2
    assert not (held == halves.halves(sizes, 16, seed=4)).all()
    for wrong in ((sizes, 7), ([3], 4), (sizes, 0)):
        with pytest.raises(ValueError, match="even number"):
            halves.halves(*wrong)


def planted(seed, effects, noise=0.5, n=32, clusters=60):
    held = halves.halves([1] * clusters, n, seed)
    y = held[:, : len(effects)] @ np.array(effects) - 5
    return y + np.random.default_rng(seed).normal(0, noise, n), held


def test_planted_effects_are_covered_and_the_null_is_uniform():
    inside, p_values, found = [], [], []
    for seed in range(200):
        y, held = planted(seed, [1.0, 0.0])
        one = halves.regress(y, held, [0, 1])
        for interval, truth in zip(one.clusters, [1.0, 0.0], strict=True):
            inside.append(interval.low <= truth <= interval.high)
        found.append(one.p_values[0])
        p_values.append(one.p_values[1])
        assert one.n_null >= 56  # of 58; one that stands in the same halves says nothing
    assert 0.92 <= np.mean(inside) <= 0.98  # 400 intervals of 95%
    assert np.mean(np.array(p_values) <= 0.1) <= 0.15
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.07)
    assert np.mean(np.array(found) <= 0.05) > 0.95


def test_the_null_is_each_other_cluster_regressed_in_the_same_way():
    y, held = planted(7, [1.0, 0.5], clusters=8)
    strengths = []
    for other in range(2, 8):
        design = np.column_stack([np.ones(32), held[:, [0, 1, other]]])
        slopes, rest, *_ = np.linalg.lstsq(design, y, rcond=None)
        error = np.sqrt(rest[0] / 28 * np.linalg.inv(design.T @ design)[3, 3])
        strengths.append(distributions.t.sf(slopes[3] / error, 28))
    design = np.column_stack([np.ones(32), held[:, [0, 1]]])
    slopes, rest, *_ = np.linalg.lstsq(design, y, rcond=None)
    error = np.sqrt(rest[0] / 29 * np.linalg.inv(design.T @ design)[2, 2])
    own = distributions.t.sf(slopes[2] / error, 29)
    found = halves.regress(y, held, [0, 1])
    assert found.clusters[1].estimate == pytest.approx(slopes[2])
    assert found.p_values[1] == (1 + sum(one <= own for one in strengths)) / 7


def test_rows_that_stand_in_for_each_other_are_redundant():
    held = halves.halves([1] * 30, 32, 1)
    noise = np.random.default_rng(0).normal(0, 0.05, 32)
    either = halves.regress(2.0 * held[:, :2].any(1) + noise, held, [0, 1])
    assert either.redundancy.low < 2 < either.redundancy.high
    assert either.group.estimate == pytest.approx(2.0, abs=0.1)
    both = halves.regress(2.0 * held[:, :2].all(1) + noise, held, [0, 1])
    assert both.redundancy.high < 0  # each needs the other
    each = halves.regress(held[:, :2] @ np.array([1.0, 1.0]) + noise, held, [0, 1])
    assert each.redundancy.low < 0 < each.redundancy.high
    assert each.group.estimate == pytest.approx(2.0, abs=0.1)


def test_what_halves_cannot_tell_is_absent_with_its_reason():
    y, held = planted(0, [1.0], n=8)
    one = halves.regress(y, held, [0])
    assert (one.group.estimate, one.group.reason) == (None, halves.ONE_CLUSTER)
    many = halves.regress(y, held, list(range(8)))
    assert {i.reason for i in many.clusters} == {halves.NO_FREEDOM}
    assert many.p_values == (None,) * 8
    more, held_more = planted(0, [1.0], n=16)
    some = halves.regress(more, held_more, [0, 1, 2, 3, 4])
    assert some.clusters[0].low > 0
    assert some.group.reason == some.redundancy.reason == halves.TOO_FEW
    alone = halves.regress(y, held[:, :2], [0, 1])
    assert alone.p_values == (None, None)  # no other cluster
    with pytest.raises(ValueError, match="no cluster"):
        halves.regress(y, held, [])


def test_what_a_cluster_adds_alone_by_hand():
    held = np.array([[True, False], [False, True], [True, True], [False, False]])
    # with the first: 4 and 2, without: 1 and 1; with the second: 1 and 2, without: 4 and 1
    assert halves.added([4.0, 1.0, 2.0, 1.0], held).tolist() == [2.0, -1.0]
    y, many = planted(0, [1.5], n=64)
    assert halves.added(y, many)[0] == pytest.approx(1.5, abs=0.3)
    assert halves.added(y, many[:, :0]).tolist() == []


def test_the_values_of_a_span_are_what_its_row_holds():
    span = "the old lantern keeper Anna Berg came in 1734"
    assert substitutes.carried(span, "in 1734 Anna Berg") == [Value("1734", "number")]
    names = [Value(text, "name") for text in ("Anna Berg", "Anna", "Berg")]
    assert substitutes.carried(span, "said Anna Berg") == names
    assert substitutes.carried(span, "said Anna") == names[1:2]
    found = substitutes.carried(span, "An old Lantern, a keeper")
    assert found == [Value(text, "content") for text in ("old lantern", "old", "lantern", "keeper")]
    assert substitutes.carried(span, "in 17345") == []  # whole words
    assert substitutes.carried("", "x") == []
    assert substitutes.carried(span, "") == []


def test_values_are_exchanged_as_whole_words():
    text = "In 1734, 17341 and Anna's 1734."
    assert substitutes.replaced(text, "1734", r"1\2") == r"In 1\2, 17341 and Anna's 1\2."
    assert substitutes.replaced("Tailor. A tailor.", "Tailor", "Weaver") == "Weaver. A weaver."
    assert substitutes.replaced("Tailor. A tailor.", "tailor", "weaver") == "Weaver. A weaver."
    assert substitutes.replaced("He met Anna", "Anna", "van Dyk") == "He met van Dyk"
    assert substitutes.holds("ANNA came", "anna")
    assert not substitutes.holds("Annabel came", "Anna")


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[1-9][0-9]{0,5}(\.[0-9]{1,2})?", fullmatch=True), st.integers(0, 9))
def test_numbers_get_numbers_of_the_same_digits(text, seed):
    found = Lexicon({}).fresh(Value(text, "number"), [], [f"it is {text}"], seed)
    assert found is not None
    assert found != text
    assert [one.isdigit() for one in found] == [one.isdigit() for one in text]
    if len(text) == 4 and text.isdigit() and int(text) in substitutes.YEARS:
        assert abs(int(found) - int(text)) < 100 or int(text) > 1930


def test_names_and_words_come_from_other_rows_and_are_said_nowhere_near():
    said = ["We met Anna Berg.", "We met Carl Dorn.", "We met Emil Falk.", "A red kettle.",
            "A blue teapot and a teapot.", "The boiled onions."]  # fmt: skip
    lexicon = Lexicon(dict(enumerate(said)))
    name = Value("Anna Berg", "name")
    assert name in lexicon.rows
    assert {lexicon.fresh(name, [0], [], seed) for seed in range(9)} == {"Carl Dorn", "Emil Falk"}
    assert lexicon.fresh(name, [0, 2], [], 0) == "Carl Dorn"
    assert lexicon.fresh(name, [0], ["who is Carl Dorn?"], 0) == "Emil Falk"
    assert lexicon.fresh(name, [0, 1, 2], [], 0) is None
    word = lexicon.fresh(Value("kettle", "content"), [3], [], 0)
    assert word in ("teapot", "red", "blue")
    assert word != "onions"  # another ending


def test_exchanged_values_say_proposed_kept_or_nothing() -> None:
    assert proof.swap_outcome(True, [True, True, True], 0) == "proposed"
    assert proof.swap_outcome(False, [True, True, False], 0) == "not from the rows"
    assert proof.swap_outcome(False, [True, True, True], 1) == "undecided"  # another row says it
    assert proof.swap_outcome(False, [True, False], 0) == "undecided"  # no more than half
    assert proof.swap_outcome(False, [], 0) == "undecided"


def test_effect_of_exchanged_values_by_hand() -> None:
    """Differences 3, 4, 5: mean 4, standard deviation 1, t(0.95, 2) = 2.920 over root 3."""
    found = proof.swap_effect([(-1.0, -4.0), (-1.0, -5.0), (0.0, -5.0)], (-9.0, -7.0))
    half = 2.919986 / 3**0.5
    assert found["effect"] == pytest.approx(4.0)
    assert (found["low"], found["high"]) == pytest.approx((4 - half, 4 + half), abs=1e-5)
    assert (found["before"], found["seeds"], found["reason"]) == (-2.0, 3, None)
    one = proof.swap_effect([(-1.0, -4.0)], (0.0, 0.0))
    assert one["effect"] is None
    assert one["reason"] == "one seed has no interval"
