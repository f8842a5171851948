"""Ratings as tables: a row per item, a column per rater (pure numpy).

None (or NaN) stands where a rater did not see the item. A rating may be any value that can be
compared for equality: a number, a word, a tuple.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.stats.intervals import Array

Ratings = Sequence[Sequence[Hashable | None]] | npt.NDArray[Any]
Codes = npt.NDArray[np.intp]


def by_rater(
    items: Sequence[Hashable], raters: Sequence[Hashable], values: Sequence[Hashable | None]
) -> list[list[Hashable | None]]:
    """Ratings [items, raters] from one entry per rating; items and raters as they first appear.

    Raises ValueError where a rater rated an item twice: which rating counts is the caller's to say.
    """
    rows = {item: place for place, item in enumerate(dict.fromkeys(items))}
    columns = {rater: place for place, rater in enumerate(dict.fromkeys(raters))}
    table: list[list[Hashable | None]] = [[None] * len(columns) for _ in rows]
    taken: set[tuple[Hashable, Hashable]] = set()
    for item, rater, value in zip(items, raters, values, strict=True):
        if (item, rater) in taken:
            raise ValueError(f"rater {rater} rated item {item} twice")
        taken.add((item, rater))
        table[rows[item]][columns[rater]] = value
    return table


def majority(ratings: Ratings) -> list[Hashable | None]:
    """The value that most raters gave each item; None for a draw, or without a rating."""
    codes, values = coded(ratings)
    counts = category_counts(codes, values)
    if counts.shape[1] == 0:
        return [None] * len(counts)
    most = counts.max(1, keepdims=True)
    single = (most[:, 0] > 0) & ((counts == most).sum(1) == 1)
    return [values[k] if alone else None for k, alone in zip(counts.argmax(1), single, strict=True)]


def as_table(ratings: Ratings) -> npt.NDArray[Any]:
    """Ratings as objects [items, raters]; a value may itself be a tuple."""
    rows = [list(row) for row in ratings]
    width = len(rows[0]) if rows else 0
    if any(len(row) != width for row in rows):
        raise ValueError("every item needs a place for every rater; None where one did not rate")
    table = np.empty((len(rows), width), object)
    for place, row in enumerate(rows):
        for rater, value in enumerate(row):
            table[place, rater] = value
    return table


def coded(ratings: Ratings, scale: Sequence[Hashable] | None = None) -> tuple[Codes, list[Any]]:
    """Codes [items, raters], -1 where there is no rating, and the values that they stand for."""
    table = as_table(ratings)
    there = np.asarray([[not _lacks(value) for value in row] for row in table], bool)
    there = there.reshape(table.shape)
    used = dict.fromkeys(table[there].tolist())
    if scale is None:
        values = _sorted(list(used))
    else:
        values = list(dict.fromkeys(scale))
        if outside := [value for value in used if value not in set(values)]:
            raise ValueError(f"{outside[0]!r} is not on the scale {values}")
    place = {value: code for code, value in enumerate(values)}
    codes = np.full(table.shape, -1, np.intp)
    codes[there] = [place[value] for value in table[there].tolist()]
    return codes, values


def category_counts(codes: Codes, values: Sequence[Any]) -> Array:
    """How many raters gave each item each value, [items, K]."""
    counts = np.zeros((len(codes), len(values)))
    item, rater = np.nonzero(codes >= 0)
    np.add.at(counts, (item, codes[item, rater]), 1.0)
    return counts


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether every value can be measured, not only told apart."""
    return all(isinstance(value, (int, float, np.integer, np.floating)) for value in values)


def _lacks(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _sorted(values: list[Any]) -> list[Any]:
    """Numbers by size; anything else by its text, which gives a fixed order and no meaning."""
    return sorted(values) if are_numbers(values) else sorted(values, key=repr)
