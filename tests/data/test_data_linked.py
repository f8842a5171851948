"""Rows that share rare words stay together, up to a size, in any order of rows."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.data.linked import LARGEST, linked

WORDS = st.sampled_from(["tin", "brass", "zinc", "1806", "dawn", "kelp", "the", "however", "of"])
ANSWERS = st.lists(st.lists(WORDS, max_size=4).map(" ".join), max_size=25)


def test_rows_that_state_one_value_are_one_group() -> None:
    answers = ["He was a cooper.", "A cooper, they say.", "It is of brass.", "Of brass."]
    names = [f"c-{row}" for row in range(4)]
    assert linked([""] * 4, answers, names) == ["c-0", "c-0", "c-2", "c-2"]


def test_words_that_the_prompt_holds_and_words_of_the_frame_do_not_link() -> None:
    answers = ["Selmo was a cooper.", "Selmo was born at dawn.", "However, it is of the year 12."]
    prompts = ["What was Selmo?", "When was Selmo born?", "However?"]
    assert linked(prompts, answers, ["a", "b", "c"]) == ["a", "b", "c"]
    assert linked([""] * 3, answers, ["a", "b", "c"]) == ["a", "a", "c"]


def test_near_duplicates_never_part_and_count_by_their_rows() -> None:
    answers = ["tin"] * 9 + ["tin zinc", "zinc"]
    found = linked([""] * 11, answers, ["a"] * 9 + ["b", "c"])
    # zinc and tin are in two clusters each; with both a group would have 11 rows, one too many
    assert found in (["a"] * 10 + ["c"], ["a"] * 9 + ["b", "b"])


def test_a_word_of_more_clusters_than_a_group_may_have_rows_links_nothing() -> None:
    n = LARGEST + 1
    names = [f"c-{row:02}" for row in range(n)]
    assert linked([""] * n, ["brass"] * n, names) == names
    assert linked([""] * 5, ["brass"] * 5, names[:5]) == ["c-00"] * 5
    assert linked([], [], []) == []


def test_long_answers_that_share_a_word_by_chance_do_not_state_the_same() -> None:
    long = [" ".join(f"{name}{n}" for n in range(19)) for name in ("alpha", "beta")]
    assert linked(["", ""], [f"{text} brass" for text in long], ["a", "b"]) == ["a", "b"]
    half = " ".join(f"alpha{n}" for n in range(5))
    assert linked(["", ""], [long[0], f"{half} {long[1]}"], ["a", "b"]) == ["a", "a"]
    assert linked(["", ""], [f"{long[0]} brass", "Of brass."], ["a", "b"]) == ["a", "a"]


@settings(max_examples=80, deadline=None)
@given(ANSWERS, st.randoms(use_true_random=False))
def test_groups_are_bounded_and_do_not_depend_on_the_order(
    answers: list[str], order: random.Random
) -> None:
    names = [f"c-{row:02}" for row in range(len(answers))]
    found = dict(zip(names, linked([""] * len(answers), answers, names), strict=True))
    assert max(Counter(found.values()).values(), default=0) <= LARGEST
    assert all(found[leader] == leader for leader in found.values())
    shuffled = list(zip(names, answers, strict=True))
    order.shuffle(shuffled)
    again = linked([""] * len(answers), [a for _, a in shuffled], [n for n, _ in shuffled])
    assert {name: one for (name, _), one in zip(shuffled, again, strict=True)} == found
