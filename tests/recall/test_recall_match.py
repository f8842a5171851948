"""When an answer says the right thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.recall.match import first_line, match, words

ALIKE = [
    ("The 4th of July, 1776", "1776-07-04"), ("July 4, 1776", "4 July 1776"),
    ("12 Sept. 1962", "September 12th, 1962"), ("twenty-one", "21"), ("3,000,000", "three million"),
    ("1.5 million", "1 500 000"), ("one hundred and five", "105"), ("World War II", "World War 2"),
    ("Louis XIV", "louis 14"), ("the twenty-first century", "21st century"), ("The Nile", "nile."),
    ("Beyonc\u00e9", "beyonce"), ("the colour grey", "the color gray"), ("organised", "organized"),
    ("ten per cent", "10%"), ("Encyclop\u00e6dia", "encyclopedia"), ("St. John\u2019s", "st john"),
    ("salt & pepper", "salt and pepper"), ("10.50", "10.5"), ("a theatre", "theater"),
    ("\uff21\uff22\uff23", "abc"), ("travelled", "traveled"), ("44 BCE", "44 BC"),
]  # fmt: skip
UNLIKE = [
    ("21", "21st"), ("1776", "1767"), ("-5", "5"), ("Iran", "Iraq"), ("nineteen eighty", "99"),
    ("4 July", "7 April"), ("19", "1945"), ("mix", "1009"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_forms_that_are_alike(one: str, other: str) -> None:
    assert words(one) == words(other)
    assert match(one, [other]) == "equal"


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_forms_that_are_not(one: str, other: str) -> None:
    assert words(one) != words(other)
    assert match(one, [other]) is None


@pytest.mark.parametrize(
    ("answer", "right", "wrong", "found"),
    [
        ("It was Paris.", ["Paris"], ["Lyon"], "contained"),
        ("Paris or Lyon", ["Paris"], ["Lyon"], None),
        ("Not Paris", ["Paris"], [], None),
        ("It isn't Paris", ["Paris"], [], None),
        ("Parisian", ["Paris"], [], None),
        ("in July 1776", ["1776"], ["1789"], "contained"),
        ("on July 4, 1776", ["July 4"], [], "contained"),
        ("New York City", ["New York City"], ["New York"], "equal"),
        ("It is New York City", ["New York City"], ["New York"], "contained"),
        ("New York", ["New York City"], ["New York"], None),
        ("", ["Paris"], [], None),
        ("the", ["the"], [], None),
        ("Mendeleev did it", ["Dmitri Mendeleev", "Mendeleev"], [], "contained"),
    ],
)
def test_what_counts_as_right(
    answer: str, right: list[str], wrong: list[str], found: str | None
) -> None:
    assert match(answer, right, wrong) == found


def test_first_line() -> None:
    assert first_line("\n\n  Paris \nQuestion: x") == "Paris"
    assert first_line(" \n") == ""


@given(st.text(max_size=60))
def test_every_text_matches_itself_or_has_no_words(text: str) -> None:
    assert words(text) == [] or match(text, [text]) == "equal"
    assert words(text.upper().lower()) == words(text.upper().lower().upper().lower())
