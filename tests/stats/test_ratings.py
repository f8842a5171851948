"""Tables of ratings: from one entry per rating, missing values, majorities."""

import math

import numpy as np
import pytest

from aftertune.stats.ratings import by_rater, coded, majority


def test_entries_become_a_table():
    found = by_rater(["i", "j", "i"], ["ann", "ben", "ben"], [1, 2, 3])
    assert found == [[1, 3], [None, 2]]
    assert by_rater([], [], []) == []


def test_an_item_is_not_rated_twice_by_one():
    with pytest.raises(ValueError, match="ann rated item i twice"):
        by_rater(["i", "i"], ["ann", "ann"], [1, 1])
    with pytest.raises(ValueError, match="argument"):
        by_rater(["i"], ["ann"], [])


def test_values_of_any_kind_and_what_lacks():
    codes, values = coded([[("row", 3), None], [math.nan, "none"]])
    assert codes.tolist() == [[1, -1], [-1, 0]]
    assert values == ["none", ("row", 3)]
    codes, values = coded(np.array([[10.0, np.nan], [9.0, 10.0]]))
    assert (codes.tolist(), values) == ([[1, -1], [0, 1]], [9.0, 10.0])


def test_majorities():
    table = [["a", "a", "b"], ["a", "b", None], [None, None, None], [None, "c", None]]
    assert majority(table) == ["a", None, None, "c"]
    assert majority([]) == []
    assert majority([[None, None]]) == [None]
