"""Deceptive characters become visible; pieces of vocabularies become readable."""

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.report import numbers, shown, svg
from aftertune.report.shown import is_byte_level, marked, piece_text, visible


@pytest.mark.parametrize("module", [numbers, shown, svg], ids=lambda m: m.__name__)
def test_examples_in_docstrings(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


def test_plain_text_stays() -> None:
    text = "Tab\t, line\nbreak, é, 日本語, שלום, مرحبا, 👩‍🚀 and 🏳️‍🌈."
    assert visible(text) == text
    assert visible("") == ""


def test_bidirectional_overrides_and_controls_are_written_out() -> None:
    assert visible("a\u202eb\u2066c\u200f") == "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200F⟩"
    assert visible("\x00\r\x1b\x7f\x85\u2028\ufeff") == "␀␍␛⟨U+007F⟩⟨U+0085⟩⟨U+2028⟩⟨U+FEFF⟩"


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    left = {unicodedata.category(c) for c in visible(text) if c not in "\n\t\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert visible(visible(text)) == visible(text)


def test_white_space_of_a_token_is_marked() -> None:
    assert marked(" the\n\tend\u00a0") == "␣the↵⇥end␣"


def test_pieces_of_a_byte_level_vocabulary() -> None:
    assert is_byte_level(["Ġthe", "Ċ", "a"])
    assert piece_text("Ġthe", True) == "␣the"
    assert piece_text("ĊĊ", True) == "↵↵"
    assert piece_text("âĢĻ", True) == "’"  # e2 80 99
    assert piece_text("âĢ", True) == "\\xe2\\x80"  # the first two bytes of it
    assert piece_text("<|im_end|>", True) == "<|im_end|>"
    assert piece_text("日", True) == "日"  # an added token is no spelling of bytes


def test_pieces_of_a_sentencepiece_vocabulary() -> None:
    assert not is_byte_level(["▁the", "▁Ġ", "a"])
    assert not is_byte_level([])
    assert piece_text("▁the", False) == "␣the"
    assert piece_text("<0x0A>", False) == "↵"
    assert piece_text("<0xE2>", False) == "\\xe2"
