"""Logs of lm-evaluation-harness to items, and items of two models to pairs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.errors import InputError
from aftertune.recall.harness import Item, asked_alike, items, pairs, task_of


def logged(number: int, acc: float = 1.0, **more: Any) -> dict[str, Any]:
    """One item of a multiple-choice task, as `simple_evaluate` gives it."""
    return {
        "doc_id": number,
        "doc": {"question": f"Question {number}?", "choices": ["red", "blue"], "answer": 1},
        "target": 1,
        "arguments": [("Question?\nAnswer:", " red"), ("Question?\nAnswer:", " blue")],
        "resps": [[(-3.0, False)], [(-1.5, True)]],
        "filtered_resps": [(-3.0, False), (-1.5, True)],
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": f"doc {number}",
        "acc": acc,
        "acc_norm": 1.0 - acc,
        **more,
    }


def in_a_file(sample: dict[str, Any]) -> dict[str, Any]:
    """The same, as `--log_samples` writes it: numbers as text, arguments by name, no tuples."""
    arguments = {
        f"gen_args_{i}": {f"arg_{j}": text for j, text in enumerate(one)}
        for i, one in enumerate(sample["arguments"])
    }
    responses = [[str(value) for value in one] for one in sample["filtered_resps"]]
    written = {**sample, "arguments": arguments, "filtered_resps": responses}
    return json.loads(json.dumps({**written, "target": str(sample["target"])}))


def item(number: int, right: bool | None, **more: Any) -> Item:
    fields = {
        "task": "colours", "item": str(number), "metric": "acc", "right": right, "logprobs": None,
        "question": "?", "expected": "blue", "said": "red", "content": str(number), "prompt": "p",
    }  # fmt: skip
    return Item(**{**fields, **more})


@pytest.mark.parametrize("form", [dict, in_a_file])
def test_an_item_is_the_same_from_python_and_from_a_file(form: Any) -> None:
    (one,) = items([form(logged(7))], "colours")
    assert (one.task, one.item, one.metric, one.right) == ("colours", "7", "acc", True)
    assert one.logprobs == (-3.0, -1.5)
    assert (one.expected, one.said) == ("blue", "blue")
    assert one.question == "Question 7?"
    assert one.content == "doc 7"
    (again,) = items([form(logged(7))], "colours", metric="acc_norm")
    assert again.right is False


def test_a_generated_answer_has_no_logprobs() -> None:
    said = logged(
        1, arguments=[("How many?", {"until": ["\n"]})], filtered_resps=[" 42 "], target="42",
        metrics=["exact_match"], exact_match=1.0,
    )  # fmt: skip
    (one,) = items([said], "sums")
    assert (one.metric, one.right, one.logprobs) == ("exact_match", True, None)
    assert (one.expected, one.said) == ("42", "42")


def test_older_logs_without_a_list_of_metrics_and_without_hashes() -> None:
    old = logged(1)
    del old["metrics"], old["doc_hash"]
    other = {**old, "doc": {**old["doc"], "question": "Another?"}}
    assert items([old], "colours")[0].metric == "acc"
    assert items([old], "colours")[0].content != items([other], "colours")[0].content


def test_one_filter_is_read_and_the_first_where_none_is_named() -> None:
    both = [logged(1, 1.0, filter="strict"), logged(1, 0.0, filter="flexible")]
    assert [one.right for one in items(both, "t")] == [True]
    assert [one.right for one in items(both, "t", filter_name="flexible")] == [False]
    with pytest.raises(InputError, match="no filter loose; it has: strict, flexible"):
        items(both, "t", filter_name="loose")


def test_a_metric_that_is_no_verdict_is_neither_right_nor_wrong() -> None:
    graded = logged(1, metrics=["f1", "bleu"], f1=[0, 1], bleu=0.4)
    with pytest.raises(InputError, match=r"no metric that is right or wrong per item .*f1, bleu"):
        items([graded], "t")
    assert items([graded], "t", metric="bleu")[0].right is None
    with pytest.raises(InputError, match="no metric accuracy; it has: acc, acc_norm"):
        items([logged(1)], "t", metric="accuracy")


@pytest.mark.parametrize("wrong", [[], "text", {"doc_id": 1}, {"prompt": "a", "response": "b"}])
def test_what_is_no_log_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"item 2 of the task t .*--log_samples"):
        items([logged(1), wrong], "t")


def test_nothing_logged_and_an_item_twice() -> None:
    assert items([], "t") == []
    with pytest.raises(InputError, match="has the item 1 twice"):
        items([logged(1), logged(1)], "t")


def test_a_model_paired_with_itself_changes_nothing() -> None:
    same = items([logged(n, float(n % 2)) for n in range(6)], "colours")
    found, aside = pairs(same, same)
    assert [one.outcome for one in found] == ["kept wrong", "kept right"] * 3
    assert aside == {}
    assert asked_alike(same, same)


def test_pairs_by_hand() -> None:
    base = [item(0, True), item(1, True), item(2, False), item(3, False), item(4, True)]
    tuned = [item(2, True), item(1, False), item(0, True), item(4, None), item(9, True)]
    found, aside = pairs(base, tuned)
    outcomes = [(one.item, one.outcome) for one in found]
    assert outcomes == [("colours/0", "kept right"), ("colours/1", "lost"), ("colours/2", "gained")]
    assert found[0].tags == {"task": "colours"}
    assert aside == {
        "answered by the base only": 1,
        "answered by the tuned model only": 1,
        "neither right nor wrong by its metric": 1,
    }


def test_items_that_are_not_alike_are_refused() -> None:
    with pytest.raises(InputError, match="another question for the base"):
        pairs([item(1, True)], [item(1, True, content="other")])
    with pytest.raises(InputError, match="acc for the base and exact_match"):
        pairs([item(1, True)], [item(1, True, metric="exact_match")])
    assert pairs([], []) == ([], {})


def test_other_prompts_for_the_same_items_are_noticed() -> None:
    assert not asked_alike([item(1, True)], [item(1, True, prompt="<|im_start|>p")])
    assert asked_alike([item(1, True)], [item(2, True, prompt="other")])


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_every_item_is_counted_once(answers: list[tuple[bool, bool]]) -> None:
    base = [item(n, one) for n, (one, _) in enumerate(answers)]
    tuned = [item(n, one) for n, (_, one) in enumerate(answers)]
    found, aside = pairs(base, list(reversed(tuned)))
    assert [(one.base, one.tuned) for one in found] == answers
    assert aside == {}


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("samples_arc_easy_2025-01-31T10-20-30.123456.jsonl", "arc_easy"),
        ("samples_mmlu_anatomy_2025-01-31T10-20-30.123456.jsonl", "mmlu_anatomy"),
        ("base.jsonl", "unnamed"),
    ],
)
def test_the_task_in_a_files_name(name: str, task: str) -> None:
    assert task_of(name) == task
