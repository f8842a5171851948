"""Folding and words: what is compared, and where it stands in the text as it was given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.search.words import hashes_of, stem, words


def folded(text: str) -> list[str]:
    said = words([text])
    return [said.folded(place) for place in range(len(said.hashes))]


def pieces(text: str) -> list[str]:
    said = words([text])
    return [text[a:b] for a, b in zip(said.start.tolist(), said.end.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" .,!\n", []),
        ("Émile ÉMILE e\u0301mile ｅｍｉｌｅ", ["emile"] * 4),
        ("zero\u200bwidth soft\u00adhyphen", ["zerowidth", "softhyphen"]),
        ("1,200.50 and 3.5%. End.", ["1200.50", "and", "3.5", "end"]),
        ("Ben's, Ben’s 'quoted'", ["bens", "bens", "quoted"]),
        ("X-ray 10km", ["x", "ray", "10km"]),
        ("東京 is 大", ["東", "京", "is", "大"]),
        ("<b>bold</b><br/>caf&eacute; &amp; R&#38;D a<b", ["bold", "cafe", "r", "d", "a", "b"]),
        ("List<String> x", ["list", "string", "x"]),
        ("lone \ud800 surrogate", ["lone", "surrogate"]),
    ],
)
def test_folding(text: str, expected: list[str]) -> None:
    assert folded(text) == expected


def test_places_are_those_of_the_given_text() -> None:
    text = "A <i>caf&eacute;</i>\u200b, na\u0308ive\u200b 1,200 東京"
    assert pieces(text) == ["A", "caf&eacute;", "na\u0308ive\u200b", "1,200", "東", "京"]


def test_texts_are_kept_apart() -> None:
    said = words(["one two", "", "two\u200b", "one"])
    assert said.text.tolist() == [0, 0, 2, 3]
    assert said.start.tolist() == [0, 4, 0, 0]
    assert said.end.tolist() == [3, 7, 4, 3]
    assert said.hashes[0] == said.hashes[3]
    assert said.hashes[1] == said.hashes[2] != said.hashes[0]


def test_hashes_of_folded_words_are_those_of_texts() -> None:
    said = words(["Ada wrote 1,200 notes, 東"])
    names = [said.folded(place) for place in range(len(said.hashes))]
    assert np.array_equal(hashes_of(names), said.hashes)
    assert len(hashes_of([])) == 0


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_a_text_alone_reads_as_among_others(texts: list[str]) -> None:
    together = words(texts)
    for number, text in enumerate(texts):
        alone, mine = words([text]), together.text == number
        assert np.array_equal(together.hashes[mine], alone.hashes)
        assert np.array_equal(together.start[mine], alone.start)
        assert np.array_equal(together.end[mine], alone.end)
        assert (alone.start < alone.end).all()
        assert (alone.end <= len(text)).all()
        assert (alone.start[1:] >= alone.end[:-1]).all()


@pytest.mark.parametrize(
    "family",
    [
        ["inventor", "inventors", "invented", "inventing", "invention", "invents"],
        ["story", "stories"],
        ["box", "boxes"],
        ["run", "runs", "running", "runner"],
        ["celebrate", "celebrated", "celebration"],
        ["composer", "composed"],
    ],
)
def test_inflections_share_a_stem(family: list[str]) -> None:
    assert len({stem(word) for word in family}) == 1


@pytest.mark.parametrize("word", ["bus", "glass", "1990s", "ss", "is", "tennis", ""])
def test_what_is_no_inflection_stays(word: str) -> None:
    assert stem(word) == word
