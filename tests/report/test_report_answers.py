"""Answers as data for the page: units, compact columns, limits."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_report import random_answer, response_record, token_record

from aftertune.report.answers import Pieces, encode, spread, units, whole
from aftertune.report.shown import visible


def text_of(token_id: int) -> str:
    return f"piece{token_id}"


def placed(*spans: tuple[int, int]) -> list[dict[str, object]]:
    return [
        token_record("r", k, token_id=k, char_start=a, char_end=b) for k, (a, b) in enumerate(spans)
    ]


def test_one_token_one_unit() -> None:
    found = units("The end", placed((0, 3), (3, 7)), text_of)
    assert found == (["The", " end"], [], [])


def test_bytes_of_one_character_are_one_unit() -> None:
    # "a🙂b": the emoji is one code point and here three tokens
    found = units("a🙂b", placed((0, 1), (1, 2), (1, 2), (1, 2), (2, 3)), text_of)
    assert found.texts == ["a", "🙂", "b"]
    assert found.counts == [(1, 3)]


def test_a_token_that_ends_inside_a_character_joins_it() -> None:
    found = units("aé🙂", placed((0, 2), (1, 3), (2, 3)), text_of)
    assert found.texts == ["aé🙂"]
    assert found.counts == [(0, 3)]


def test_the_stop_token_shows_its_piece() -> None:
    found = units("Yes", placed((0, 3), (3, 3)), text_of)
    assert found == (["Yes", "piece1"], [], [1])
    assert units("", placed((0, 0)), text_of) == (["piece0"], [], [0])


def test_text_that_no_token_covers_is_kept() -> None:
    found = units("ab cd", placed((1, 2), (3, 4)), text_of)
    assert found.texts == ["a", "b", " ", "c", "d"]
    assert found.counts == [(0, 0), (2, 0), (4, 0)]
    assert units("unscored", [], text_of) == (["unscored"], [(0, 0)], [])
    assert units("", [], text_of) == ([], [], [])


@given(st.text(max_size=30), st.lists(st.integers(0, 4), max_size=30), st.integers(0, 2))
def test_units_hold_the_whole_text_and_every_token(
    response: str, lengths: list[int], back: int
) -> None:
    """Tokens of any lengths, some of which begin inside the token before."""
    spans, at = [], 0
    for length in lengths:
        start = max(0, at - back) if length % 2 else at
        at = min(len(response), at + length)
        spans.append((min(start, at), at))
    found = units(response, placed(*spans), text_of)
    texts = [t for i, t in enumerate(found.texts) if i not in found.special]
    assert "".join(texts) == visible(response)
    counts = dict(found.counts)
    assert sum(counts.get(i, 1) for i in range(len(found.texts))) == len(spans)


def test_columns_by_hand() -> None:
    pieces = Pieces()
    token = token_record(
        "r", 0, token_id=7, char_end=3, category="shifted", kl_tuned_base_nats=1.23456,
        base_logprob=math.log(0.25), tuned_logprob=None, base_rank=12, tuned_rank=None,
        base_rank_of_tuned_argmax=None, base_prob_of_tuned_argmax=None, base_entropy_nats=2.0004,
        base_top=[{"token_id": 9, "prob": 0.5}, {"token_id": 7, "prob": 0.25}],
        tuned_top=[{"token_id": 7, "prob": 0.99996}],
    )  # fmt: skip
    infinite = token_record("r", 1, category=None, kl_tuned_base_nats=math.inf, char_start=3,
                            char_end=3, sentence=1)  # fmt: skip
    found = encode(response_record(0, "m", "Yes"), [token, infinite], text_of, pieces)
    assert found["category"] == "23"
    assert found["kl"] == [12346, -1]
    assert found["base_prob"][0] == 2500
    assert found["tuned_prob"][0] is None
    assert (found["base_rank"][0], found["tuned_rank"][0], found["rank"][0]) == (12, None, None)
    assert found["base_entropy"][0] == 2000
    assert found["base_top"][0] == [2, 5000, 0, 2500]
    assert found["tuned_top"][0] == [0, 10000]
    assert found["sentence"] == [0, 1]
    assert pieces.strings() == ["piece7", "piece3", "piece9", "piece4"]


def test_facts_of_an_answer() -> None:
    tokens = [token_record("r", k, kl_tuned_base_nats=v) for k, v in enumerate((0.1, 0.3))]
    long = encode(response_record(0, "m", "x", finish="length"), tokens, text_of, Pieces())
    assert long["facts"] == "2 tokens · mean KL 0.200 nats · cut at the length limit"
    empty = encode(response_record(0, "m", ""), [], text_of, Pieces())
    assert empty["facts"] == "0 tokens · not scored · stopped by itself"
    assert empty["units"] == []


def test_whole_numbers() -> None:
    assert whole(None, 10) is None
    assert whole(math.nan, 10) is None
    assert whole(math.inf, 10) == -1
    assert whole(0.0, 1e4) == 0


@given(st.integers(0, 200), st.integers(0, 200))
def test_spread_is_even(total: int, n: int) -> None:
    found = spread(total, n)
    assert len(found) == min(n, total)
    assert found == sorted(set(found))
    assert all(0 <= place < total for place in found)
    gaps = np.diff(found)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("n", [5000])
def test_a_huge_answer_stays_small(n: int) -> None:
    text, ids, tokens = random_answer(np.random.default_rng(0), "r", n, 0.1)
    pieces = Pieces()
    data = encode(response_record(0, "m", text, ids), tokens, text_of, pieces)
    assert len(data["piece"]) == n
    assert len(json.dumps(data)) < 200 * n  # bytes a token
