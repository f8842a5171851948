"""Pairs of rows: alike in topic and length, none used twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.controls.match import Texts, balance, match, near_in_length, tfidf


def texts(prompts, lengths=None, topics=None):
    lengths = lengths or [3] * len(prompts)
    return Texts([p.split() for p in prompts], [["w"] * n for n in lengths], topics)


def pairs(seen, control, seed=0):
    found = match(seen, control, seed)
    return list(zip(found.seen.tolist(), found.control.tolist(), strict=True))


def test_identical_sides_are_paired_with_themselves():
    prompts = ["boil an egg", "name a planet", "write a poem about rain", "sum two numbers"]
    assert pairs(texts(prompts), texts(prompts)) == [(i, i) for i in range(4)]
    assert match(texts(prompts), texts(prompts)).cosine == pytest.approx(np.ones(4))


def test_tfidf_by_hand():
    # "a" stands in both texts: idf ln(3/3) + 1 = 1; "b", "c" in one: ln(3/2) + 1
    found = tfidf([["a", "b", "b"], ["a", "c"]]).toarray()
    rare = np.log(1.5) + 1
    first = np.array([1, 2 * rare, 0]) / np.hypot(1, 2 * rare)
    second = np.array([1, 0, rare]) / np.hypot(1, rare)
    assert found == pytest.approx(np.array([first, second]), abs=1e-6)


def test_length_outranks_topic_and_decides_what_is_possible():
    control = texts(["boil an egg", "name a planet"], [30, 10])
    assert pairs(texts(["boil an egg"], [10]), control) == [(0, 1)]
    assert pairs(texts(["boil an egg"], [20]), control) == []


def test_a_fifth_of_the_longer_or_two_words():
    near = near_in_length(np.array([100, 1]), np.array([125, 126, 80, 79, 3, 4]))
    assert near.tolist() == [
        [True, False, True, False, False, False],
        [False, False, False, False, True, False],
    ]


def test_rows_of_another_topic_are_no_counterpart():
    seen = texts(["boil an egg", "boil water"], topics=["food", "physics"])
    control = texts(["boil an egg now", "fry rice"], topics=["physics", "food"])
    assert pairs(seen, control) == [(0, 1), (1, 0)]
    # where one side has none, topics do not count
    assert (0, 0) in pairs(seen, texts(["boil an egg now", "fry rice"]))


def test_the_nearest_goes_first_and_the_other_takes_what_is_left():
    seen = texts(["red cat sits", "red cat"])
    control = texts(["red cat", "green dog"])
    assert pairs(seen, control) == [(0, 1), (1, 0)]


def test_more_rows_than_candidates_are_all_paired(monkeypatch):
    monkeypatch.setattr("aftertune.controls.match.CANDIDATES", 3)
    prompts = ["the same words"] * 40
    found = match(texts(prompts), texts(prompts), seed=1)
    assert sorted(found.control.tolist()) == list(range(40))


def test_small_pieces_give_the_same_pairs(monkeypatch):
    rng = np.random.default_rng(0)
    prompts = [" ".join(rng.choice(list("abcdefghij"), 5)) for _ in range(60)]
    seen, control = texts(prompts[:30]), texts(prompts[30:])
    whole = pairs(seen, control)
    monkeypatch.setattr("aftertune.controls.match._CELLS", 70)
    assert pairs(seen, control) == whole


def test_balance_by_hand():
    seen, control = texts(["a b", "c d"], [4, 9]), texts(["a b", "x y", "z"], [4, 3, 50])
    found = balance(seen, control, match(seen, control))
    assert found["before"]["control"] == {"rows": 3, "words": 57, "distinct_words": 1}
    assert found["after"]["seen"] == {"rows": 1, "words": 4, "distinct_words": 1}
    assert found["after"]["control"]["words"] == 4
    assert found["after"]["mean_cosine"] == pytest.approx(1)
    assert found["unmatched"] == {"seen": 1, "control": 2}
    assert found["by_topic"] is False


@pytest.mark.parametrize("empty", ["seen", "control", "both"])
def test_a_side_without_rows_has_no_pairs_and_no_mean(empty):
    some, none = texts(["a b"]), texts([])
    seen, control = (
        (none if empty in ("seen", "both") else some),
        (none if empty in ("control", "both") else some),
    )
    found = balance(seen, control, match(seen, control))
    assert found["after"]["seen"]["rows"] == 0
    assert found["after"]["mean_cosine"] is None
    assert found["before"]["mean_cosine"] is None


def test_rows_without_words_are_paired_too():
    assert pairs(texts(["", "a"], [0, 1]), texts(["a", ""], [1, 0])) == [(0, 1), (1, 0)]


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="same rows"):
        Texts([["a"]], [])
    with pytest.raises(ValueError, match="one topic per row"):
        Texts([["a"]], [["b"]], [])


rows = st.lists(st.tuples(st.text("abc ", max_size=8), st.integers(0, 12)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(rows, rows, st.integers(0, 3))
def test_pairs_hold_the_caliper_and_use_no_row_twice(left, right, seed):
    seen = texts([p for p, _ in left], [n for _, n in left])
    control = texts([p for p, _ in right], [n for _, n in right])
    found = match(seen, control, seed)
    a, b = found.seen, found.control
    assert len(set(a.tolist())) == len(a)
    assert len(set(b.tolist())) == len(b)
    near = near_in_length(seen.lengths, control.lengths)
    assert near[a, b].all()
    # and no pair that is possible is left over
    free = np.ones_like(near)
    free[a, :] = free[:, b] = False
    assert not (near & free).any()
