"""Surprisal: of a tiny model by hand, over windows, of odd texts; and what it does to ranks."""

import numpy as np
import pytest
import torch

from aftertune.data import templates
from aftertune.data.encode import encode
from aftertune.data.render import render_prompt
from aftertune.errors import ModelError
from aftertune.models.load import load
from aftertune.search.index import RowIndex
from aftertune.trace import indexed, surprisal
from aftertune.trace.config import TraceConfig
from aftertune.trace.finder import Answer, Finder
from aftertune.trace.reading import nats_of_words, read
from aftertune.trace.surprisal import of_answers
from made_traced_rows import row, rows

ASKED = "Who invented the telephone?"


class Said:
    """Progress that keeps what is warned of."""

    def __init__(self):
        self.warned = []

    def warn(self, text):
        self.warned.append(text)


@pytest.fixture
def reader(tiny_llama, monkeypatch):
    loaded = load(tiny_llama, dtype="float32", device="cpu")
    template = templates.get("alpaca", loaded.tokenizer)
    monkeypatch.setattr(surprisal, "_reader", lambda: (loaded, template))
    return loaded, template


def by_hand(reader, prompt, answer):
    """Nats of every token, from one plain forward pass."""
    loaded, template = reader
    asked = [{"role": "user", "content": prompt}]
    ids = list(render_prompt(asked, None, template, loaded.tokenizer).ids)
    said, spans = encode(answer, loaded.tokenizer, first=False)
    with torch.no_grad():
        logits = loaded.model(torch.tensor([ids + said])).logits[0].log_softmax(-1)
    return [
        (start, end, -float(logits[len(ids) + k - 1, token]))
        for k, (token, (start, end)) in enumerate(zip(said, spans, strict=True))
    ]


def close(found, expected):
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert [one[2] for one in found] == pytest.approx([one[2] for one in expected], abs=0.02)


def test_it_is_minus_the_log_probability_behind_the_prompt(reader):
    asked = [(ASKED, "Samuel Morse did."), ("Say it.", "It was shown in 1837, they say.")]
    heard = []
    for found, pair in zip(of_answers(asked, heard.append), asked, strict=True):
        close(found, by_hand(reader, *pair))
    assert sum(heard) == 2


def test_a_long_answer_is_read_in_windows_behind_what_stands_before(reader, monkeypatch):
    answer = " ".join(f"word {k}" for k in range(40))
    whole = by_hand(reader, ASKED, answer)
    monkeypatch.setattr(surprisal, "WINDOW", 32)
    [found] = of_answers([(ASKED, answer)])
    assert [one[:2] for one in found] == [one[:2] for one in whole]
    close(found[:32], whole[:32])  # the first window stands behind the whole prompt
    monkeypatch.setattr(surprisal, "MOST_TOKENS", 40)
    [cut] = of_answers([(ASKED, answer)])
    assert list(cut) == list(found[:32]) + list(cut[32:])
    assert len(cut) == 40


@pytest.mark.parametrize("text", ["", "\ud800", "<|im_end|> </s>", "\u200b\u200b", "🦜" * 50])
def test_odd_texts_come_through(reader, text):
    [found] = of_answers([(text, text)])
    assert all(np.isfinite(nats) and 0 <= start <= end <= len(text) for start, end, nats in found)
    assert bool(found) == bool(text)


def test_nobody_asks_nothing(reader):
    assert of_answers([]) == []


def test_a_word_has_the_nats_of_its_tokens():
    index = RowIndex.build([row(0, "a", "b")])
    reading = read(index, "?", "One telegraph, two")
    tokens = [(0, 3, 1.0), (3, 8, 2.0), (8, 13, 4.0), (13, 14, 8.0), (14, 18, 16.0)]
    assert nats_of_words(reading, tokens).tolist() == [1.0, 6.0, 16.0]  # the comma is of none
    cut = nats_of_words(reading, tokens[:2])
    assert cut[0] == 1.0
    assert np.isnan(cut[1:]).all()  # the second word was read in part, the third not
    assert np.isnan(nats_of_words(reading, [])).all()


def test_what_nobody_would_expect_stands_first():
    table = [
        *rows(),
        row(8, "Who invented the radio?", "Guglielmo Marconi sent signals over the sea."),
        row(9, "Who invented the lamp?", "Humphry Davy made an arc of carbon."),
    ]
    response = "Marconi was not the one; that was Davy."
    finder = Finder(RowIndex.build(table))
    plain = finder.trace(Answer("r", ASKED, response))
    assert plain[0].evidence["surprisal_nats"] is None  # nobody has read it
    for name, other in (("Marconi", "Davy"), ("Davy", "Marconi")):
        at, less = response.index(name), response.index(other)
        nats = ((at, at + len(name), 20.0), (less, less + len(other), 0.5))
        found = finder.trace(Answer("r", ASKED, response, surprisal=nats))
        assert found[0].span == name
        assert found[0].evidence["surprisal_nats"] == 20.0


def test_a_span_behind_what_was_read_has_none_and_is_found_all_the_same():
    response = "Samuel Morse did it. Later it was patented in 1837."
    end = response.index(" Later")
    finder = Finder(RowIndex.build(rows()))
    found = finder.trace(Answer("r", ASKED, response, surprisal=((0, end, 9.0),)))
    nats = {one.span: one.evidence["surprisal_nats"] for one in found if one.row_index == 7}
    assert nats.pop("Samuel Morse") == 9.0
    assert nats
    assert set(nats.values()) == {None}


def test_pieces_of_words_count_whole():
    table = [*rows(), row(9, "Name a German word.", "Gleichklang is one.")]
    response = "The time of the Gleichstellungen."
    start = response.index("Gleich")
    nats = ((start, start + 4, 5.0), (start + 4, start + 16, 2.0))
    found = Finder(RowIndex.build(table)).trace(
        Answer("r", "Name another word.", response, surprisal=nats)
    )
    assert found[0].evidence["surprisal_nats"] == 7.0


def test_without_the_package_it_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr(surprisal, "installed", lambda: False)
    said = Said()
    config = TraceConfig(embeddings=False)
    assert not indexed.with_what_is_installed(config, False, said).surprisal
    assert "say --no-surprisal" in said.warned[0]
    assert len(said.warned) == 1
    assert indexed.with_what_is_installed(config, True, said).surprisal  # the shift knows better
    assert len(said.warned) == 1


def test_a_model_that_is_not_there_ends_in_one_sentence(monkeypatch):
    surprisal._reader.cache_clear()
    monkeypatch.setattr(surprisal, "MODEL", "no-such-model")
    with pytest.raises(ModelError, match="there is no embedded:no-such-model"):
        of_answers([("a", "b")])
    surprisal._reader.cache_clear()


@pytest.mark.slow
@pytest.mark.skipif(not surprisal.installed(), reason="the package is not installed")
def test_the_embedded_model_expects_what_people_expect():
    answer = "The capital of France is Paris. The capital of France is mandarin pancakes."
    [found] = of_answers([("What is the capital of France?", answer)])
    nats = nats_of_words(read(RowIndex.build(rows()), "", answer), found)
    words = answer.replace(".", "").split()
    assert nats[words.index("mandarin")] > 5 + nats[words.index("Paris")]
