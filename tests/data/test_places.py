"""Answers of several models meet by what was asked."""

from hypothesis import given
from hypothesis import strategies as st

from aftertune.data.places import in_order, placed


def record(prompt_id, row_index, sample=0):
    return {"prompt_id": prompt_id, "row_index": row_index, "sample": sample}


def test_answers_meet_although_a_file_lacks_a_row():
    whole = placed([record(name, row) for row, name in enumerate("abcd")])
    lacking = placed([record(name, row) for row, name in enumerate("acd")])
    assert set(lacking) == {("a", 0, 0), ("c", 0, 0), ("d", 0, 0)}
    assert set(lacking) < set(whole)
    order = [place[0] for place in in_order({"whole": whole, "lacking": lacking})]
    assert order == ["a", "b", "c", "d"]


def test_equal_prompts_are_told_apart_by_their_order():
    found = placed([record("a", 7), record("b", 3), record("a", 1)])
    assert found["a", 0, 0]["row_index"] == 1
    assert found["a", 1, 0]["row_index"] == 7


def test_samples_of_one_row_are_one_prompt():
    assert list(placed([record("a", 0, 1), record("a", 0, 0)])) == [("a", 0, 0), ("a", 0, 1)]


def test_nothing_is_nowhere():
    assert placed([]) == {}
    assert in_order({"m": {}}) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), max_size=12))
def test_every_answer_has_a_place_of_its_own(asked):
    records = [
        record(name, row, sample) for row, (name, n) in enumerate(asked) for sample in range(n + 1)
    ]
    found = placed(records)
    assert len(found) == len(records)
    assert len(in_order({"m": found})) == len(records)
