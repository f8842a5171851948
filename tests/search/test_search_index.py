"""An index of rows: what it holds, that it survives a file, and odd sets of rows."""

from pathlib import Path

import numpy as np
import pytest

from aftertune.errors import InputError
from aftertune.search.index import RowIndex, content_id, row_answer, row_prompt
from aftertune.search.spans import BREAK
from aftertune.search.words import words


def row(index, asked, said):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"row_index": index, "messages": messages}


ROWS = [
    row(7, "Who made the clock?", "The clock was made by <b>Ada</b> Brinn."),
    row(3, "Nothing?", ""),
    {
        "row_index": 5,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Where is it?"},
            {"role": "assistant", "content": "In Corvane."},
            {"role": "user", "content": "And now?"},
            {"role": "assistant", "content": None},
            {"role": "assistant", "content": "With Ada."},
        ],
    },
]


def lengths(texts):
    """A stand-in for embeddings: 2 numbers of length 1, from the number of characters."""
    angle = np.array([len(text) for text in texts], np.float32)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def said(index, place):
    """The words of one row's answer, as characters of it."""
    low, high = index.bounds[place], index.bounds[place + 1] - 1
    assert index.answers.text[high] == BREAK
    text = row_answer(ROWS[place]["messages"])
    return [
        text[a:b]
        for a, b in zip(index.start[low:high].tolist(), index.end[low:high].tolist(), strict=True)
    ]


def test_the_two_texts_of_a_row():
    assert row_answer(ROWS[2]["messages"]) == "In Corvane.\n\nWith Ada."
    assert row_prompt(ROWS[2]["messages"]) == "Be brief.\nWhere is it?\nAnd now?"


def test_answers_keep_their_words_and_places():
    index = RowIndex.build(ROWS)
    assert len(index) == 3
    assert index.row_index.tolist() == [7, 3, 5]
    assert said(index, 0) == ["The", "clock", "was", "made", "by", "Ada", "Brinn"]
    assert said(index, 1) == []
    assert said(index, 2) == ["In", "Corvane", "With", "Ada"]
    assert index.rows_at(np.arange(len(index.answers.text))).tolist() == [0] * 8 + [1] + [2] * 5


def test_terms_are_stems_of_answers_and_of_whole_rows():
    index = RowIndex.build(ROWS)
    clocks = index.vocabulary.stem[index.vocabulary.find(words(["clock nowhere ada"]).hashes)]
    assert index.in_answers.texts_of(int(clocks[0])).tolist() == [0]
    assert index.in_answers.texts_of(int(clocks[2])).tolist() == [0, 2]
    asked = index.vocabulary.stem[index.vocabulary.find(words(["brief"]).hashes)]
    assert index.in_answers.texts_of(int(asked[0])).tolist() == []
    assert index.in_rows.texts_of(int(asked[0])).tolist() == [2]
    assert index.vocabulary.find(words(["nowhere"]).hashes).tolist() == [-1]


@pytest.mark.parametrize("embedder", [None, lengths])
def test_a_file_gives_the_same_index(tmp_path: Path, embedder):
    index = RowIndex.build(ROWS, embedder=embedder)
    index.save(tmp_path / "a.npz")
    again = RowIndex.load(tmp_path / "a.npz", embedder=embedder)
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert again.content == index.content == content_id(ROWS)
    assert said(again, 2) == said(index, 2)
    assert (again.row_vectors is None) == (embedder is None)
    if embedder:
        whole = f"{row_prompt(ROWS[0]['messages'])} {row_answer(ROWS[0]['messages'])}"
        assert np.array_equal(again.row_vectors[0], lengths([whole])[0])


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 half"])
def test_a_damaged_file_is_named(tmp_path: Path, content):
    path = tmp_path / "index.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="delete it"):
        RowIndex.load(path)


def test_a_file_of_something_else_is_named(tmp_path: Path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"other\.npz"):
        RowIndex.load(tmp_path / "other.npz")


def test_the_name_changes_with_content_speaker_order_and_number():
    names = {
        content_id(rows)
        for rows in (
            [], ROWS, ROWS[:2], ROWS[::-1], [row(7, "a", "bc")], [row(7, "ab", "c")],
            [row(8, "a", "bc")],
        )
    }  # fmt: skip
    assert len(names) == 7
    assert content_id(ROWS) == content_id([dict(one) for one in ROWS])


@pytest.mark.parametrize("rows", [[], [row(0, "", "")], [row(0, "?", "One.")]])
def test_few_rows(rows, tmp_path: Path):
    index = RowIndex.build(rows)
    assert len(index) == len(rows)
    index.save(tmp_path / "few.npz")
    assert len(RowIndex.load(tmp_path / "few.npz")) == len(rows)


def test_portions_do_not_change_the_index(monkeypatch):
    whole = RowIndex.build(ROWS)
    monkeypatch.setattr("aftertune.search.index._CHARACTERS", 10)
    parts = RowIndex.build(ROWS)
    assert np.array_equal(whole.answers.text, parts.answers.text)
    assert np.array_equal(whole.start, parts.start)
    assert np.array_equal(whole.in_rows.rows, parts.in_rows.rows)
    assert np.array_equal(whole.in_rows.weights, parts.in_rows.weights)
