"""How text that anybody may have written is shown (pure).

Models' answers are hostile text. HTML is the page's business (everything goes through
textContent or an escaping template); here characters that deceive the eye become visible:
controls, bidirectional overrides and marks, invisible format characters. A vocabulary's piece is
shown with its spaces as ␣ and its newlines as ↵.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

SPACE, NEWLINE, TAB = "␣", "↵", "⇥"

# Joiners stay: emoji sequences, Persian and the Indic scripts need them. Variation selectors
# are marks (Mn) and not format characters, so they stay as well.
_KEPT = frozenset("\u200c\u200d")
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def visible(text: str) -> str:
    """`text` with deceptive and invisible characters written as ⟨U+202E⟩; \\n and \\t stay.

    >>> visible("a\\u202eb\\x07")
    'a⟨U+202E⟩b␇'
    """
    return "".join(map(_visible_character, text))


def all_visible(value: Any) -> Any:
    """`visible` of every text in JSON values, also of names: what models, users and files gave."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(name)): all_visible(inner) for name, inner in value.items()}
    return [all_visible(inner) for inner in value] if isinstance(value, list | tuple) else value


def _visible_character(character: str) -> str:
    if character in "\n\t" or character in _KEPT:
        return character
    if character < " ":
        return chr(0x2400 + ord(character))  # Unicode's pictures of control characters
    # XML has no place for U+FFFE and U+FFFF, and pictures are XML
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or character in "\ufffe\uffff":
        return f"⟨U+{ord(character):04X}⟩"
    return character


def marked(text: str) -> str:
    """`visible(text)` on one line, its white space as marks: for lists of tokens."""
    shown = visible(text).replace(" ", SPACE).replace("\n", NEWLINE).replace("\t", TAB)
    return "".join(SPACE if c.isspace() else c for c in shown)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 for itself, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_alphabet()


def is_byte_level(pieces: Iterable[str]) -> bool:
    """Whether these pieces of one vocabulary spell bytes with GPT-2's characters.

    Its mark is Ġ (a space) before words, where SentencePiece has ▁.
    """
    spaces = underscores = 0
    for piece in pieces:
        spaces += "Ġ" in piece or "Ċ" in piece
        underscores += "▁" in piece
    return spaces > underscores


def piece_text(piece: str, byte_level: bool) -> str:
    """A vocabulary's piece as one visible line: "Ġthe" and "▁the" are "␣the".

    Bytes that are no whole character are written as hex: "\\xe2\\x80".
    """
    if match := _BYTE_PIECE.fullmatch(piece):
        return _bytes_text(bytes([int(match[1], 16)]))
    if byte_level and all(character in _BYTES for character in piece):
        return _bytes_text(bytes(_BYTES[character] for character in piece))
    return marked(piece.replace("▁", " "))


def _bytes_text(raw: bytes) -> str:
    return marked(raw.decode("utf-8", errors="backslashreplace"))
