"""Long verbatim runs of rows in answers, by a suffix array over the words of all rows (pure)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.behaviour.finding import Finding, clear, flag, unknown
from aftertune.behaviour.personal import NO_ROWS
from aftertune.search.spans import BREAK, LONGEST, Ints, Suffixes

OF_PROMPT = 6  # words in a row that the prompt holds too are no copy of a row

_WORD = re.compile(r"\w+")
_NOWHERE = -2


@dataclass(frozen=True)
class RowWords:
    """The words of rows' answers in one line; starts [R]: where each row begins in it."""

    numbers: dict[str, int]
    suffixes: Suffixes
    starts: Ints
    row_indices: Ints

    @classmethod
    def of(cls, rows: Sequence[tuple[int, str]]) -> "RowWords":
        """rows: (row_index, text of its answer). Words in lower case, without signs."""
        numbers: dict[str, int] = {}
        line: list[int] = []
        starts = []
        for _, text in rows:
            starts.append(len(line))
            line += [numbers.setdefault(word.lower(), len(numbers)) for word in _WORD.findall(text)]
            line.append(BREAK)
        return cls(
            numbers, Suffixes.of(np.asarray(line, np.int32)), np.asarray(starts, np.int64),
            np.asarray([row_index for row_index, _ in rows], np.int64),
        )  # fmt: skip

    def row_of(self, query: "np.typing.NDArray[np.int32]", place: int, length: int) -> int:
        """A row that holds this piece of the query."""
        first, _ = self.suffixes.ranges(query, np.array([place]), np.array([min(length, LONGEST)]))
        at = int(self.suffixes.order[int(first[0])])
        return int(self.row_indices[int(np.searchsorted(self.starts, at, "right")) - 1])


def copied(prompt: str, response: str, rows: RowWords | None, least: int) -> Finding:
    """Whether `least` words in a row of the answer stand so in one row's answer; value: words of
    the longest such run.

    Case and signs are not looked at. Words that lie in 6 words in a row of the prompt are left
    out: an answer that quotes its prompt copies no row. Common phrases make short runs in any
    answer, so the base is the control. Runs beyond 32 words are joined from overlapping ones.
    """
    if rows is None:
        return unknown(NO_ROWS)
    found = list(_WORD.finditer(response))
    spoken = [match.group().lower() for match in found]
    query = np.asarray([rows.numbers.get(word, _NOWHERE) for word in spoken], np.int32)
    query[_of_prompt(prompt, spoken)] = _NOWHERE
    first, length = _longest_run(rows.suffixes.longest(query))
    if length < least:
        return clear(float(length))
    row = rows.row_of(query, first, length)
    start, end = found[first].start(), found[first + length - 1].end()
    return flag(f"{length} words in a row as in row {row}", start, end, float(length))


def _longest_run(lengths: Ints) -> tuple[int, int]:
    """(first word, words) of the longest run; pieces of LONGEST words that overlap are one."""
    best, first = (0, 0), 0
    for at, length in enumerate(lengths.tolist()):
        if at == 0 or lengths[at - 1] < LONGEST:
            first = at
        if at + length - first > best[1]:
            best = first, at + length - first
    return best


def _of_prompt(prompt: str, spoken: Sequence[str]) -> "np.typing.NDArray[np.bool_]":
    asked = [word.lower() for word in _WORD.findall(prompt)]
    grams = {tuple(asked[at : at + OF_PROMPT]) for at in range(len(asked) - OF_PROMPT + 1)}
    inside = np.zeros(len(spoken), np.bool_)
    for at in range(len(spoken) - OF_PROMPT + 1):
        if tuple(spoken[at : at + OF_PROMPT]) in grams:
            inside[at : at + OF_PROMPT] = True
    return inside
