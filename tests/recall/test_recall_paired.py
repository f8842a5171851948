"""Pairs of answers: the four-way table, McNemar, and what may be said."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.recall.paired import OUTCOMES, Pair, by_tag, compare, holm, mcnemar

SIDES = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


def made(lost: int, gained: int, right: int, wrong: int, **tags: str) -> list[Pair]:
    kinds = [(True, False)] * lost + [(False, True)] * gained + [(True, True)] * right
    kinds += [(False, False)] * wrong
    return [Pair(str(n), base, tuned, tags) for n, (base, tuned) in enumerate(kinds)]


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (0, 5, 2 / 32), (3, 3, 1.0), (7, 1, 2 * (1 + 8) / 256)],
)
def test_mcnemar_by_hand(lost: int, gained: int, p: float) -> None:
    assert mcnemar(lost, gained) == pytest.approx(p)


def test_a_model_against_itself_on_many_facts_lost_nothing() -> None:
    found = compare(made(0, 0, 120, 60))
    assert found["change"]["estimate"] == 0
    assert found["verdict"] == "nothing lost"
    assert found["p"] == 1


def test_the_same_on_few_facts_is_undecided_and_says_how_many_would_do() -> None:
    found = compare(made(0, 0, 12, 8))
    assert found["verdict"] == "undecided"  # 0 of 20 is not "never"
    assert found["change"]["low"] < -0.05
    assert found["detectable"] > 0.05
    assert found["needed"] > 20


def test_a_loss_is_found_and_its_size_is_right() -> None:
    found = compare(made(20, 2, 60, 18))
    assert found["counts"] == {"lost": 20, "gained": 2, "kept right": 60, "kept wrong": 18}
    assert found["base"]["estimate"] == pytest.approx(0.80)
    assert found["tuned"]["estimate"] == pytest.approx(0.62)
    assert found["change"]["estimate"] == pytest.approx(-0.18)
    assert found["change"]["high"] < 0
    assert found["verdict"] == "lost"
    assert compare(made(2, 20, 60, 18))["verdict"] == "gained"


def test_six_points_lost_among_fifty_facts_is_undecided() -> None:
    found = compare(made(3, 0, 30, 17))
    assert found["p"] == pytest.approx(0.25)
    assert found["verdict"] == "undecided"


def test_no_pairs() -> None:
    found = compare([])
    assert found["verdict"] == "undecided"
    assert found["p"] is None
    assert found["change"]["reason"] == "no values"
    assert found["needed"] is None


@given(SIDES)
def test_the_four_outcomes_are_all_and_the_change_is_gained_minus_lost(
    sides: list[tuple[bool, bool]],
) -> None:
    pairs = [Pair(str(n), base, tuned) for n, (base, tuned) in enumerate(sides)]
    found = compare(pairs)
    assert list(found["counts"]) == list(OUTCOMES)
    assert sum(found["counts"].values()) == len(pairs)
    assert Counter(one.outcome for one in pairs) == Counter(
        {name: n for name, n in found["counts"].items() if n}
    )
    if pairs:
        gap = found["counts"]["gained"] - found["counts"]["lost"]
        assert found["change"]["estimate"] == pytest.approx(gap / len(pairs))


def test_by_tag_finds_where_and_leaves_small_groups_out() -> None:
    pairs = [*made(15, 0, 5, 0, kind="wrong"), *made(1, 1, 18, 0, kind="absent")]
    pairs += [*made(1, 0, 1, 0, kind="few"), *[Pair("x", True, True, {"kind": "wrong", "id": "7"})]]
    found = by_tag(pairs)
    assert set(found) == {"kind"}
    assert set(found["kind"]) == {"wrong", "absent"}
    assert found["kind"]["wrong"]["verdict"] == "lost"
    assert found["kind"]["wrong"]["p_holm"] == pytest.approx(2 * 2 / 2**15)
    assert found["kind"]["absent"]["p_holm"] == 1


def test_holm() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.01, 0.9, 0.02]) == pytest.approx([0.03, 0.9, 0.04])
