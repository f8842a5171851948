"""Longest shared pieces against a plain search."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.search.spans import BREAK, LONGEST, Suffixes, maximal

SYMBOLS = st.lists(st.integers(0, 3), max_size=30)


def numbers(values: list[int]) -> np.ndarray:
    return np.array(values, np.int32)


def joined(parts: list[list[int]]) -> np.ndarray:
    return numbers([symbol for part in parts for symbol in [*part, BREAK]])


def plain_longest(parts: list[list[int]], query: list[int]) -> list[int]:
    held = {tuple(p[a:b]) for p in parts for a in range(len(p)) for b in range(a, len(p) + 1)}
    found = []
    for at in range(len(query)):
        fits = [n for n in range(1, len(query) - at + 1) if tuple(query[at : at + n]) in held]
        found.append(min(max(fits, default=0), LONGEST))
    return found


def plain_count(parts: list[list[int]], piece: list[int]) -> int:
    n = len(piece)
    return sum(p[a : a + n] == piece for p in parts for a in range(len(p) - n + 1))


def test_a_value_by_hand() -> None:
    text = Suffixes.of(joined([[1, 2, 3], [2, 3, 4]]))
    query = numbers([1, 2, 3, 4, 9, -1, 3])
    lengths = text.longest(query)
    assert lengths.tolist() == [3, 3, 2, 1, 0, 0, 1]  # [2, 3, 4] begins within the first piece
    assert maximal(lengths).tolist() == [0, 1, 6]
    low, high = text.ranges(query, np.array([0, 1, 6]), np.array([3, 2, 1]))
    assert (high - low).tolist() == [1, 2, 2]
    assert sorted(text.order[low[1] : high[1]].tolist()) == [1, 4]


@settings(max_examples=150, deadline=None)
@given(st.lists(SYMBOLS, max_size=5), SYMBOLS)
def test_longest_and_counts_agree_with_a_plain_search(
    parts: list[list[int]], query: list[int]
) -> None:
    text = Suffixes.of(joined(parts))
    lengths = text.longest(numbers(query))
    assert lengths.tolist() == plain_longest(parts, query)
    places = np.flatnonzero(lengths)
    low, high = text.ranges(numbers(query), places, lengths[places])
    for place, count in zip(places.tolist(), (high - low).tolist(), strict=True):
        assert count == plain_count(parts, query[place : place + int(lengths[place])])


def test_nothing_in_nothing() -> None:
    empty = Suffixes.of(numbers([]))
    assert empty.longest(numbers([1, 2])).tolist() == [0, 0]
    assert Suffixes.of(joined([[1]])).longest(numbers([])).tolist() == []
    assert maximal(np.zeros(0, np.int64)).tolist() == []


def test_a_span_longer_than_the_limit_is_found_as_pieces_that_overlap() -> None:
    line = list(range(LONGEST + 10))
    lengths = Suffixes.of(joined([line])).longest(numbers(line))
    assert lengths.tolist() == [LONGEST] * 11 + list(range(LONGEST - 1, 0, -1))


def test_one_word_a_hundred_thousand_times() -> None:
    text = Suffixes.of(joined([[0]] * 100_000))
    assert text.longest(numbers([0, 0, 1])).tolist() == [1, 1, 0]
    low, high = text.ranges(numbers([0]), np.array([0]), np.array([1]))
    assert (high - low).tolist() == [100_000]
