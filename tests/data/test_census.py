"""The census: every count derived by hand, and overlap of rows with prompts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune import schema
from aftertune.data.census import SetAside, census, overlap, quantiles
from aftertune.data.conversations import Message, message

CALLS = '[{"type": "function", "function": {"name": "f", "arguments": "{}"}}]'


def record(index: int, item_id: str, messages: list[Message], cluster: str = "") -> dict[str, Any]:
    return {
        "row_id": item_id,
        "row_index": index,
        "line": None,
        "messages": messages,
        "tools": None,
        "cluster_id": cluster or item_id.replace("r-", "c-"),
        "duplicate_of": None,
        "tags": "{}",
    }


def pair(question: str, answer: str, **more: str) -> list[Message]:
    return [message("user", question), message("assistant", answer, **more)]


def test_rows_by_hand() -> None:
    system = [message("system", "s"), *pair("a b", "c")]
    records = [
        record(0, "r-a", pair("one two", "x")),
        record(1, "r-a", pair("one two", "x")),  # the same again
        record(2, "r-b", pair("one two", "y")),  # the same question, another answer
        record(4, "r-c", system, cluster="c-c"),
        record(5, "r-d", [*system, *pair("d", "e")], cluster="c-c"),  # near r-c
        record(6, "r-e", pair("f", "<think>g</think>h", tool_calls=CALLS)),
    ]
    aside = [
        SetAside("empty response", "message 2", 3, 4, "f.json", "{}"),
        SetAside("unsupported content: image_url", "", 7, 8, "f.json", "{}"),
    ]
    found = census(records, [{}] * 6, aside, "rows")
    assert found["items"] == 6
    assert found["exact_duplicates"] == {
        "count": 1, "items": 2, "examples": [{"row_indices": [0, 1]}]
    }  # fmt: skip
    assert found["conflicting_duplicates"]["examples"] == [{"row_indices": [0, 1, 2]}]
    assert found["near_duplicates"] == {
        "count": 1, "items": 2, "examples": [{"row_indices": [4, 5]}]
    }  # fmt: skip
    assert found["system_prompts"] == {"count": 2, "examples": [4, 5]}
    assert found["several_turns"] == {"count": 1, "examples": [5]}
    assert found["tool_calls"] == {"count": 1, "examples": [6]}
    assert found["thinking"] == {"count": 1, "examples": [6]}
    assert (found["empty_responses"], found["unsupported"]) == (1, 1)
    assert found["set_aside"]["empty response"]["examples"] == [
        {"file": "f.json", "line": 4, "row_index": 3, "detail": "message 2"}
    ]
    # words asked: 2, 2, 2, 1+2, 1+2+1, 1
    assert found["prompt_words"]["median"] == 2
    assert (found["prompt_words"]["min"], found["prompt_words"]["max"]) == (1, 4)


def test_prompts_count_later_turns_and_references() -> None:
    records = [
        {**record(i, "", [message("user", str(i))]), "prompt_id": f"p-{i}"} for i in range(3)
    ]
    tags: list[dict[str, Any]] = [{"turns": ["b", "c"]}, {"reference": "r"}, {}]
    found = census(records, tags, [], "prompts")
    assert found["later_turns_not_asked"] == {"prompts": 1, "turns": 2}
    assert found["with_reference"] == 1
    assert "conflicting_duplicates" not in found


def test_the_empty_case() -> None:
    found = census([], [], [], "rows")
    assert (found["items"], found["exact_duplicates"]["count"]) == (0, 0)
    assert found["prompt_words"]["median"] is None


def test_no_more_than_five_examples_but_every_count() -> None:
    records = [record(i, f"r-{i // 2}", pair(str(i // 2), "x")) for i in range(20)]
    found = census(records, [{}] * 20, [], "rows")["exact_duplicates"]
    assert (found["count"], found["items"], len(found["examples"])) == (10, 20, 5)


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_quantiles_are_values_in_order(values: list[int]) -> None:
    found = list(quantiles(values).values())
    assert set(found) <= set(values)
    assert found == sorted(found, key=lambda value: value or 0)
    assert (found[0], found[-1]) == (min(values), max(values))


def prompts_of(*texts: str) -> Any:
    records = [
        {**record(i, "", [message("user", text)]), "prompt_id": f"p-{i}"}
        for i, text in enumerate(texts)
    ]
    return schema.from_rows(
        "prompts", [{k: v for k, v in r.items() if k != "row_id"} for r in records]
    )


def test_overlap_by_hand() -> None:
    long = " ".join(f"w{i}" for i in range(12))
    rows = schema.from_rows(
        "rows",
        [
            record(0, "r-0", pair("Name a  planet.", "Mars")),
            record(1, "r-1", [*pair("hello", "hi"), *pair(long, "x")]),  # asked in a later turn
            record(2, "r-2", pair("Name a planet.", "Venus")),
        ],
    )
    prompts = prompts_of("name a planet.", " ".join(f"w{i}" for i in range(10)), "Something else?")
    found = overlap(rows, prompts)
    assert (found["prompts"], found["exact"], found["near"]) == (3, 1, 1)
    exact, near = found["matches"]
    assert (exact["prompt_id"], exact["row_id"], exact["kind"]) == ("p-0", "r-0", "exact")
    assert exact["rows"] == 2
    # 10 words have 8 shingles, 12 have 10: 8/10
    assert (near["row_id"], near["kind"], near["jaccard"]) == ("r-1", "near", pytest.approx(0.8))


def test_a_set_overlaps_with_itself_entirely_and_with_nothing_not_at_all() -> None:
    texts = ["one", "two words", "What is it?"]
    rows = schema.from_rows(
        "rows", [record(i, f"r-{i}", pair(t, "x")) for i, t in enumerate(texts)]
    )
    found = overlap(rows, prompts_of(*texts))
    assert (found["exact"], found["near"]) == (3, 0)
    empty = overlap(rows, prompts_of())
    assert (empty["prompts"], empty["matches"]) == (0, [])
