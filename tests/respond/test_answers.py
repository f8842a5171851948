"""Records of answers in their many spellings."""

from typing import Any

import pytest

from aftertune.data.conversations import BadRow
from aftertune.respond.answers import GivenAnswer, read


@pytest.mark.parametrize("field", ["response", "output", "completion", "generation", "text"])
def test_one_answer_under_each_name(field: str) -> None:
    record = read({"instruction": "Add.", "input": "1 and 2", field: "3", "topic": "sums"})
    assert [m["content"] for m in record.item.messages] == ["Add.\n\n1 and 2"]
    assert record.item.tags == {"topic": "sums", "alpaca_input": "1 and 2"}
    assert record.answers == [GivenAnswer("3", None, "given")]
    assert record.prompt_token_ids is None


@pytest.mark.parametrize("field", ["prompt", "question", "query"])
def test_a_prompt_under_each_name(field: str) -> None:
    record = read({field: "Why?", "output": ""})
    assert record.item.messages[0]["content"] == "Why?"
    assert record.answers == [GivenAnswer("")]  # an empty answer is an answer


def test_several_answers_are_samples() -> None:
    texts = read({"prompt": "p", "outputs": ["a", "b"]})
    objects = read({"prompt": "p", "outputs": [{"generated_text": "a"}, {"text": "b"}]})
    assert [a.text for a in texts.answers] == [a.text for a in objects.answers] == ["a", "b"]


def test_messages_with_and_without_an_answer_of_their_own() -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    apart = read({"messages": asked, "response": "Hello."})
    inside = read({"messages": [*asked, {"role": "assistant", "content": "Hello."}]})
    assert apart.item.messages == inside.item.messages
    assert [m["role"] for m in apart.item.messages] == ["system", "user"]
    assert apart.answers == inside.answers == [GivenAnswer("Hello.")]


def test_the_turns_before_the_last_question_are_context() -> None:
    turns = [("user", "1?"), ("assistant", "one"), ("user", "2?"), ("assistant", "two")]
    record = read({"messages": [{"role": r, "content": c} for r, c in turns]})
    assert [m["content"] for m in record.item.messages] == ["1?", "one", "2?"]
    assert record.answers == [GivenAnswer("two")]


def test_an_instruction_wins_over_the_rendered_prompt() -> None:
    record = read({"prompt": "### Add\n", "instruction": "Add", "response": "3", "target": "3!"})
    assert record.item.messages[0]["content"] == "Add"
    assert record.item.tags == {"prompt": "### Add\n", "reference": "3!"}


def test_token_ids_and_ends() -> None:
    ids = {"prompt_token_ids": [1, 5], "response_token_ids": [7, 2]}
    record = read({"prompt": "p", "text": "x", **ids, "finish_reason": "eos_token"})
    assert record.prompt_token_ids == [1, 5]
    assert record.answers == [GivenAnswer("x", [7, 2], "stop")]
    assert read({"prompt": "p", **ids}).answers == [GivenAnswer(None, [7, 2], "given")]
    vllm = [{"text": "x", "token_ids": [7], "finish_reason": "length"}, {"text": "y"}]
    assert read({"prompt": "p", "outputs": vllm}).answers == [
        GivenAnswer("x", [7], "length"),
        GivenAnswer("y", None, "given"),
    ]
    each = read({"prompt": "p", "outputs": ["x", "y"], "response_token_ids": [[7], [8]]})
    assert [a.token_ids for a in each.answers] == [[7], [8]]


BAD: list[tuple[Any, str]] = [
    (["a"], "not an object"),
    ({"instruction": "Add."}, "no answer"),
    ({"prompt": "p", "outputs": []}, "no answer"),
    ({"prompt": "p", "outputs": [{"score": 1}]}, "no answer"),
    ({"prompt": "p", "output": 3}, "an answer is not text"),
    ({"prompt": "p", "outputs": [{"text": 3}]}, "`an answer` is not text"),
    ({"output": "3"}, "no instruction, prompt or messages"),
    ({"instruction": " ", "output": "3"}, "empty instruction"),
    ({"prompt": 5, "output": "3"}, "`prompt` is not a list"),
    ({"messages": [{"role": "wizard", "content": "x"}], "output": "3"}, "unknown role"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "`messages` is empty"),
    ({"prompt": "p", "output": "3", "image": "cat.png"}, "unsupported content: image"),
    ({"prompt": "p", "output": "3", "response_token_ids": [1.5]}, "not a list of token ids"),
    ({"prompt": "p", "output": "3", "response_token_ids": [True]}, "not a list of token ids"),
    ({"prompt": "p", "output": "3", "prompt_token_ids": [-1]}, "not a list of token ids"),
    ({"prompt": "p", "outputs": ["a", "b"], "response_token_ids": [[1]]}, "does not match"),
]


@pytest.mark.parametrize(("value", "reason"), BAD)
def test_bad_records_say_why(value: Any, reason: str) -> None:
    with pytest.raises(BadRow) as caught:
        read(value)
    assert reason in caught.value.reason


def test_reading_changes_nothing_that_was_given() -> None:
    value = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    before = repr(value)
    read(value)
    assert repr(value) == before
