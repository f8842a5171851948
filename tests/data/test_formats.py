"""Formats: what is recognised, what a row becomes, and what is set aside."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune import schema
from aftertune.data import formats
from aftertune.data.config import Format
from aftertune.data.conversations import BadRow, message
from aftertune.data.formats import parse_prompt, parse_row, recognise
from aftertune.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: bool(text.strip())
)


def said(item: formats.Item) -> list[tuple[str | None, str | None]]:
    return [(one["role"], one["content"]) for one in item.messages]


def row(value: Any, format: Format) -> formats.Item:
    (item,) = parse_row(value, format)
    return item


def prompt(value: Any, format: Format) -> formats.Item:
    (item,) = parse_prompt(value, format)
    return item


def test_a_message_has_exactly_the_keys_of_the_schema() -> None:
    assert set(message("user", "x")) == {field.name for field in schema.MESSAGE}


EXAMPLES: list[tuple[Format, dict[str, Any]]] = [
    ("alpaca", {"instruction": "a", "input": "", "output": "b"}),
    ("dolly", {"instruction": "a", "context": "", "response": "b", "category": "c"}),
    ("dolly", {"instruction": "a", "category": "c", "input": "", "output": "b"}),
    ("lima", {"conversations": ["a", "b"], "source": "s"}),
    ("lima", {"instruction": "a", "input": "", "output": "b", "history": []}),
    ("prompt-completion", {"prompt": "a", "completion": "b"}),
    ("prompt-completion", {"Question": "a", "Answer": "b"}),
    ("prompt-completion", {"query": "a", "response": "b"}),
    ("prompt-completion", {"input": "a", "output": "b"}),
    ("messages", {"messages": [{"role": "user", "content": "a"}], "prompt": "a"}),
    ("sharegpt", {"conversations": [{"from": "human", "value": "a"}]}),
    ("preference", {"prompt": "a", "chosen": "b", "rejected": "c"}),
    ("self-instruct", {"instruction": "a", "instances": [{"input": "", "output": "b"}]}),
]


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_recognises_rows(name: Format, value: dict[str, Any]) -> None:
    assert recognise([value], "rows") == name
    # bad rows among the first do not hide the format
    assert recognise([value, "no object", {"stray": 1}, value], "rows") == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", {"instruction": "a", "source": "s"}),
        ("prompt", {"idx": 1, "Skill": "Math", "Instruction": "a"}),
        ("prompt", {"text": "a"}),
        ("turns", {"question_id": 1, "turns": ["a", "b"]}),
        ("alpaca", {"instruction": "a", "output": "b"}),
    ],
)
def test_recognises_prompts(name: Format, value: dict[str, Any]) -> None:
    assert recognise([value], "prompts") == name


def test_an_unknown_format_names_the_fields_and_the_formats() -> None:
    with pytest.raises(InputError, match=r"\(foo, bar\).*alpaca, dolly, lima") as error:
        recognise([{"foo": 1, "bar": 2}], "rows")
    assert "turns" not in str(error.value)  # prompts only
    with pytest.raises(InputError, match="turns"):
        recognise([{"foo": 1}], "prompts")


def test_an_ambiguous_format_names_both() -> None:
    value = {"messages": [], "chosen": "a", "rejected": "b"}
    with pytest.raises(InputError, match=r"preference or messages.*--format"):
        recognise([value], "rows")


@pytest.mark.parametrize(("values", "what"), [([], "none"), (["a"], "text"), ([3], "a number")])
def test_no_objects_at_all(values: list[Any], what: str) -> None:
    with pytest.raises(InputError, match=f"but .*{what}"):
        recognise(values, "rows")


def test_instruction_and_input_are_joined_and_the_input_is_kept() -> None:
    item = row({"instruction": "Sum.", "input": "1 2", "output": "3", "subsets": ["x"]}, "alpaca")
    assert said(item) == [("user", "Sum.\n\n1 2"), ("assistant", "3")]
    assert item.tags == {"alpaca_input": "1 2", "subsets": ["x"]}


@pytest.mark.parametrize("given_input", ["", " \n", None])
def test_an_empty_input_joins_nothing(given_input: str | None) -> None:
    item = row({"instruction": "a", "input": given_input, "output": "b"}, "alpaca")
    assert said(item) == [("user", "a"), ("assistant", "b")]
    assert "alpaca_input" not in item.tags


def test_dolly_context_is_the_input() -> None:
    value = {"instruction": "a", "context": "c", "response": "b", "category": "qa"}
    assert said(row(value, "dolly")) == [("user", "a\n\nc"), ("assistant", "b")]
    assert row(value, "dolly").tags == {"alpaca_input": "c", "category": "qa"}


def test_lima_history_comes_first() -> None:
    value = {"instruction": "q2", "input": "", "output": "a2", "history": [["q1", "a1"]]}
    assert [content for _, content in said(row(value, "lima"))] == ["q1", "a1", "q2", "a2"]
    with pytest.raises(BadRow, match="pairs"):
        row({**value, "history": [["q1"]]}, "lima")


def test_a_system_field_becomes_the_first_message() -> None:
    value = {"system_prompt": "Be brief.", "question": "a", "response": "b"}
    assert said(row(value, "prompt-completion"))[0] == ("system", "Be brief.")
    assert said(row({**value, "system_prompt": ""}, "prompt-completion"))[0] == ("user", "a")


def test_tool_calls_tools_and_thinking_survive() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    tools = [{"type": "function", "function": {"name": "f"}}]
    more = {"reasoning_content": "z", "weight": 0}
    value = {
        "messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": part} for part in "ab"]},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "", "tool_call_id": "1", "name": "f"},
            {"role": "assistant", "content": "<think>x</think>y", **more},
        ],
        "tools": tools,
    }  # fmt: skip
    item = row(value, "messages")
    assert said(item)[:2] == [("system", "s"), ("user", "ab")]
    assert json.loads(item.messages[2]["tool_calls"] or "") == calls
    assert (item.messages[3]["tool_call_id"], item.messages[3]["name"]) == ("1", "f")
    assert item.messages[4]["content"] == "<think>x</think>y"
    assert item.messages[4]["thinking"] == "z"
    assert json.loads(item.tools or "") == tools
    assert item.tags == {"message_fields": {"4": {"weight": 0}}}


def test_sharegpt_function_calls_become_tool_calls() -> None:
    value = {
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "b"},
        ],
        "tools": '[{"name": "f"}]',
    }
    item = row(value, "sharegpt")
    assert [role for role, _ in said(item)] == ["user", "assistant", "tool", "assistant"]
    call = json.loads(item.messages[1]["tool_calls"] or "")[0]["function"]
    assert call == {"name": "f", "arguments": '{"x": 1}'}
    assert item.messages[1]["content"] is None
    assert item.tools == '[{"name": "f"}]'


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "tool_use"])
def test_parts_that_are_not_text_are_named(kind: str) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": kind, kind: {}}]
    value = {"messages": [{"role": "user", "content": parts}]}
    with pytest.raises(BadRow, match=f"unsupported content: {kind}"):
        row(value, "messages")
    with pytest.raises(BadRow, match="unsupported content: images"):
        row({"instruction": "a", "output": "b", "images": ["x.png"]}, "alpaca")


def test_preference_takes_the_chosen_and_keeps_the_rejected() -> None:
    item = row({"prompt": "a", "chosen": "b", "rejected": "c", "score": 1}, "preference")
    assert said(item) == [("user", "a"), ("assistant", "b")]
    assert item.tags == {"score": 1, "rejected": "c"}
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for value in (
        {"chosen": turns, "rejected": turns},
        {"prompt": "a", "chosen": turns, "rejected": turns},
        {"prompt": turns[:1], "chosen": turns[1:], "rejected": turns[1:]},
        {"conversations": turns[:1], "chosen": turns[1], "rejected": turns[1]},
    ):
        assert said(row(value, "preference")) == [("user", "a"), ("assistant", "b")]


def test_self_instruct_gives_one_item_per_instance() -> None:
    instances = [{"input": "1", "output": "x"}, {"input": "", "output": "y"}]
    value = {"id": "s", "instruction": "do", "instances": instances}
    items = parse_row(value, "self-instruct")
    assert [said(item) for item in items] == [
        [("user", "do\n\n1"), ("assistant", "x")],
        [("user", "do"), ("assistant", "y")],
    ]
    assert [item.tags["instance"] for item in items] == [0, 1]
    assert [item.tags["id"] for item in items] == ["s", "s"]
    prompts = parse_prompt(value, "self-instruct")
    assert [said(item) for item in prompts] == [[("user", "do\n\n1")], [("user", "do")]]
    assert [item.tags["reference"] for item in prompts] == ["x", "y"]


def test_prompts_end_with_the_user_and_keep_the_answer_as_reference() -> None:
    turns = [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]
    item = prompt({"messages": turns}, "messages")
    assert [role for role, _ in said(item)] == ["user", "assistant", "user"]
    assert item.tags == {"reference": "assistant"}
    item = prompt({"instruction": "a", "input": "i", "output": "b"}, "alpaca")
    assert (said(item), item.tags["reference"]) == ([("user", "a\n\ni")], "b")
    assert prompt({"Instruction": "a", "Skill": "m"}, "prompt").tags == {"Skill": "m"}


def test_only_the_first_of_several_turns_is_asked() -> None:
    item = prompt({"turns": ["a", "b", "c"], "reference": ["r"]}, "turns")
    assert said(item) == [("user", "a")]
    assert item.tags == {"turns": ["b", "c"], "reference": ["r"]}
    assert prompt({"turns": ["a"]}, "turns").tags == {}


def test_a_field_of_the_source_under_our_own_name_is_kept() -> None:
    value = {"instruction": "a", "input": "i", "output": "b", "alpaca_input": "theirs"}
    tags = row(value, "alpaca").tags
    assert tags == {"alpaca_input": "i", "alpaca_input_of_source": "theirs"}


U, A, S = ({"role": role, "content": "x"} for role in ("user", "assistant", "system"))
BAD: list[tuple[Any, Format, str]] = [
    ("text", "alpaca", "not an object"),
    ({"output": "b"}, "alpaca", "missing field: instruction"),
    ({"instruction": "a"}, "alpaca", "missing field: output or response"),
    ({"instruction": ["a"], "output": "b"}, "alpaca", "`instruction` is not text .it is a list"),
    ({"instruction": "a", "output": 3}, "alpaca", "`output` is not text .it is a number"),
    ({"instruction": " ", "output": "b"}, "alpaca", "empty instruction"),
    ({"instruction": "a", "output": "\n"}, "alpaca", "empty response"),
    ({"messages": "x"}, "messages", "`messages` is not a list"),
    ({"messages": []}, "messages", "`messages` is empty"),
    ({"messages": ["x"]}, "messages", "a message is not an object"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages", "unknown role .*'wizard'"),
    ({"messages": [A, U, A]}, "messages", "roles out of order .message 1 .assistant. comes first"),
    ({"messages": [U, U, A]}, "messages", "roles out of order .message 2 .user. comes after user"),
    ({"messages": [U, A, A]}, "messages", "roles out of order"),
    ({"messages": [U, A, S]}, "messages", "roles out of order"),
    ({"messages": [U, A, U]}, "messages", "no response"),
    ({"messages": [U, {"role": "assistant", "content": 3}]}, "messages", "`content` is not text"),
    ({"conversations": []}, "lima", "`conversations` is empty"),
    ({"instruction": "a", "instances": []}, "self-instruct", "`instances` is empty"),
    ({"chosen": "b", "rejected": "c"}, "preference", "missing field: prompt"),
]


@pytest.mark.parametrize(("value", "format", "reason"), BAD)
def test_bad_rows_say_why(value: Any, format: Format, reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        parse_row(value, format)


def test_a_conversation_without_a_user_is_no_prompt() -> None:
    for messages in ([S], [A], [S, A]):
        with pytest.raises(BadRow, match="no user message"):
            parse_prompt({"messages": messages}, "messages")


def test_json_within_a_text_may_not_smuggle_in_what_cannot_be_stored() -> None:
    for text in (r'[{"role": "user", "content": "\ud800"}]', '[{"role": "user", "x": NaN}]'):
        with pytest.raises(BadRow, match="not a list"):
            parse_row({"messages": text}, "messages")


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str, str]]:
    texts = draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))
    system = [("system", draw(TEXT))] if draw(st.booleans()) else []
    return system + [pair for u, a in texts for pair in (("user", u), ("assistant", a))]


SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


@settings(max_examples=60, deadline=None)
@given(conversations(), st.dictionaries(st.text("abc", min_size=4, max_size=4), TEXT, max_size=2))
def test_a_conversation_comes_back_from_every_spelling(
    turns: list[tuple[str, str]], extra: dict[str, str]
) -> None:
    openai = [{"role": role, "content": text} for role, text in turns]
    parts = [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in turns]
    sharegpt = [{"from": SHAREGPT[role], "value": text} for role, text in turns]
    spellings: list[tuple[Format, dict[str, Any]]] = [
        ("messages", {"messages": openai}),
        ("messages", {"messages": parts}),
        ("messages", {"messages": json.dumps(openai)}),
        ("sharegpt", {"conversations": sharegpt}),
        ("preference", {"chosen": openai, "rejected": "r"}),
        ("prompt-completion", {"prompt": openai[:-1], "completion": openai[-1:]}),
    ]
    system = turns[0][1] if turns[0][0] == "system" else None
    spoken = [text for role, text in turns if role != "system"]
    pairs = [list(pair) for pair in zip(spoken[:-2:2], spoken[1:-2:2], strict=True)]
    lima = {"instruction": spoken[-2], "output": spoken[-1], "history": pairs, "system": system}
    spellings.append(("lima", lima))
    spellings.append(("lima", {"conversations": spoken, "system": system}))
    for format, value in spellings:
        item = row({**value, **extra}, format)
        assert said(item) == turns
        assert {name: item.tags[name] for name in extra} == extra
        asked = prompt({**value, **extra}, format)
        assert said(asked) == turns[:-1]


@settings(max_examples=100, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "from", "value", "messages", "instruction", "output",
                         "instances", "chosen", "rejected", "turns", "history", "tools", "x"]),
        inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_no_value_breaks_a_reader(value: Any) -> None:
    """Whatever comes is an item or a BadRow, never another exception."""
    for format in formats.formats_of("prompts"):
        if format == "auto":
            continue
        for parse in (parse_row, parse_prompt):
            try:
                items = parse(value, format)
            except BadRow:
                continue
            assert all(set(m) == set(message("", "")) for i in items for m in i.messages)
