"""A judge's text: a score is read or it is absent with a reason, and never guessed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.judge.aspects import ASPECTS, DEFAULT
from aftertune.judge.parse import (
    BROKEN,
    EMPTY,
    IN_WORDS,
    NO_ASPECT,
    NO_CHOICE,
    NO_JSON,
    NO_SCORE,
    NOT_WHOLE,
    OUT_OF_RANGE,
    SEVERAL,
    parse,
    score_of,
    why_not,
)

TWO = ("clarity", "depth")


def verdict(clarity: Any = 4, depth: Any = 2) -> str:
    return json.dumps({
        "clarity": {"reason": "Plain.", "score": clarity},
        "depth": {"reason": "Shallow.", "score": depth},
    })  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        verdict(),
        f"```json\n{verdict()}\n```",
        f"Let me look at {{this}} {{ answer }} first.\n\n{verdict()}\n\nI hope this helps.",
        f"{verdict()}\n{verdict()}",  # twice the same
        verdict("4", 2.0),
        verdict().replace("clarity", "Clarity").replace("score", "Score"),
        verdict().replace("}}", '}, "overall": "good"}'),
    ],
)
def test_what_can_be_read(text: str) -> None:
    found = parse(text, TWO)
    assert {name: one.score for name, one in found.items()} == {"clarity": 4.0, "depth": 2.0}
    assert found["clarity"].reason == "Plain."
    assert why_not(found) is None


def test_a_bare_score_is_a_score_without_a_reason() -> None:
    found = parse('{"clarity": 5, "depth": {"score": 1, "reason": " "}}', TWO)
    assert (found["clarity"].score, found["clarity"].reason) == (5.0, None)
    assert (found["depth"].score, found["depth"].reason) == (1.0, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", EMPTY),
        (" \n", EMPTY),
        ("The answer is clear and I give it 4 of 5.", NO_JSON),
        ("clarity: 4\ndepth: 2", NO_JSON),
        (verdict()[:40], BROKEN),
        (verdict()[:-1], BROKEN),
        ("{", BROKEN),
        (verdict() + verdict()[:50], BROKEN),  # it began to say it again
        (f"{verdict(4)}\nOn reflection:\n{verdict(5)}", SEVERAL),
        ('{"answer": {"score": 4}}', NO_ASPECT),
        ('[{"score": 4}]', NO_ASPECT),
        ('{"clarity": 4, "clarity": 5, "depth": 1}', BROKEN),
        ('{"clarity": NaN, "depth": 1}', BROKEN),
        ("[" * 100_000 + '{"clarity":' * 100_000, BROKEN),
    ],
)
def test_a_whole_text_that_cannot_be_read(text: str, why: str) -> None:
    found = parse(text, TWO)
    assert {one.score for one in found.values()} == {None}
    assert {one.why for one in found.values()} == {why}
    assert why_not(found) == why


@pytest.mark.parametrize(
    ("score", "why"),
    [
        ("four", IN_WORDS), ("4/5", IN_WORDS), ("4 out of 5", IN_WORDS), ("", IN_WORDS),
        (True, IN_WORDS), ([4], IN_WORDS), ("null", NO_SCORE), (None, NO_SCORE),
        (0, OUT_OF_RANGE), (6, OUT_OF_RANGE), (-1, OUT_OF_RANGE), ("80", OUT_OF_RANGE),
        (1e400, OUT_OF_RANGE), (3.5, NOT_WHOLE), ("9" * 5000, IN_WORDS),
    ],
)  # fmt: skip
def test_a_score_that_is_none(score: Any, why: str) -> None:
    assert score_of(score) == why
    if score != 1e400:  # no JSON
        found = parse(verdict(clarity=score), TWO)
        assert (found["clarity"].score, found["clarity"].why) == (None, why)
        assert found["depth"].score == 2.0  # the other aspect was read all the same
        assert why_not(found) == f"clarity: {why}"


def test_an_aspect_that_is_missing() -> None:
    found = parse('{"clarity": {"reason": "Plain.", "score": 4}}', TWO)
    assert found["depth"].why == NO_ASPECT
    assert parse('{"clarity": {"reason": "Plain."}, "depth": 1}', TWO)["clarity"].why == NO_SCORE
    assert parse("{}", TWO)["depth"].why == NO_ASPECT


def test_pairs() -> None:
    text = json.dumps({"clarity": {"reason": "A.", "better": "A"}, "depth": {"better": " same"}})
    found = parse(text, TWO, pair=True)
    assert [found[name].score for name in TWO] == [1.0, 0.5]
    for said in ("both", 1, "A or B", ["A"]):
        text = json.dumps({"clarity": {"better": said}, "depth": {"better": "b"}})
        found = parse(text, TWO, pair=True)
        assert found["clarity"].why == NO_CHOICE
        assert found["depth"].score == 0.0
    assert parse(verdict(), TWO, pair=True)["clarity"].why == NO_SCORE


@given(st.text(max_size=300))
def test_no_text_makes_it_fail_or_invent(text: str) -> None:
    for pair in (False, True):
        for one in parse(text, DEFAULT, pair).values():
            assert (one.score is None) == (one.why is not None)


@given(
    st.dictionaries(
        st.sampled_from([*ASPECTS, "other"]),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["score", "x"]), inner),
            max_leaves=4,
        ),
    ),
    st.integers(0, 300),
)
def test_a_score_is_always_one_that_was_written(value: dict[str, Any], cut: int) -> None:
    text = json.dumps(value)
    for name, one in parse(text, list(ASPECTS)).items():
        if one.score is None:
            continue
        said = value[name]["score"] if isinstance(value[name], dict) else value[name]
        assert float(said) == one.score
        assert one.score in (1, 2, 3, 4, 5)
    if cut < len(text):  # a beginning of a verdict is no verdict
        assert all(one.score is None for one in parse(text[:cut], list(ASPECTS)).values())
