"""Pairs of answers: the four-way table, McNemar, and what may be said."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.recall.paired import (
    FEWEST,
    OUTCOMES,
    Pair,
    by_tag,
    compare,
    detectable,
    holm,
    items_for,
    mcnemar,
)

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


def test_a_test_that_cannot_detect_the_margin_never_says_nothing_lost() -> None:
    # of 60 facts none differs: the 90% interval lies within 5 points, but McNemar finds nothing
    # before six differ, which are 10 points
    found = compare(made(0, 0, 40, 20))
    assert found["detectable"] >= FEWEST / 60
    assert (found["verdict"], found["needed"]) == ("undecided", items_for(0.05, 0.0))
    for n in range(1, 400, 7):
        judged = compare(made(0, 0, n, 0))
        assert (judged["verdict"] == "nothing lost") == (n >= items_for(0.05, 0.0))
        assert judged["verdict"] == "undecided" or judged["detectable"] <= 0.05


def test_items_for_a_change_by_hand() -> None:
    # (1.960 sqrt(.05) + 0.8416 sqrt(.0475))^2 / .0025 = (0.4383 + 0.1834)^2 / .0025 = 154.6
    assert items_for(0.05, 0.0) == 155
    assert items_for(1.0, 0.0) == FEWEST
    assert detectable(FEWEST - 1, 0) is None
    assert detectable(FEWEST, 0) == 1.0


@given(st.floats(0.001, 1.0), st.floats(0.0, 1.0))
def test_what_is_detectable_with_the_items_for_it_is_that_change(
    change: float, differ: float
) -> None:
    n = items_for(change, differ)
    found = detectable(n, round(differ * n))
    assert n * change >= FEWEST * 0.999
    if n < 10_000:
        assert found is not None
        assert found <= change * 1.2 + 1e-3


def test_more_facts_are_asked_for_than_there_are_while_it_is_undecided() -> None:
    found = compare(made(2, 7, 150, 41))  # 2.5 points gained of 200, p = 0.18
    assert found["verdict"] == "undecided"
    assert found["needed"] is None or found["needed"] > 200
