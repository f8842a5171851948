"""Which characters of a response each of its tokens wrote.

Characters are code points. A token that carries only some bytes of a character has the whole
character's span, so the pieces of one emoji share one span. A token that the decoding leaves out
(the stop token, other special tokens, ids without a piece) has an empty span at its place.
Bytes that are no valid UTF-8 decode to U+FFFD and have that character's span.

Fast tokenizers are taken apart into the bytes of every token, which is exact and linear in the
number of tokens; other tokenizers are decoded in a moving window. Nothing is tokenised again.
"""

import json
from collections.abc import Sequence
from typing import Any

from aftertune.errors import InputError, InternalError

Span = tuple[int, int]

_REPLACEMENT = "\ufffd"
_WINDOW = 32  # tokens; the longest character is four byte pieces


def spans(tokenizer: Any, ids: Sequence[int], text: str) -> list[Span]:
    """The span [start, end) in `text` of each of the `ids`.

    `text` is what the ids decode to, special tokens skipped and spaces left alone. Starts never
    go back; together the spans cover the text.

    Raises InputError when the ids do not decode to `text` (answers that were given with both,
    from elsewhere), InternalError when a tokenizer of an unknown kind cannot be followed.
    """
    ids = [int(token_id) for token_id in ids]
    decoded = _decode(tokenizer, ids)
    if decoded != text:
        raise InputError(
            f"the response {text[:40]!r} is not what its token ids decode to ({decoded[:40]!r}); "
            "give the ids that belong to the text, or the text alone."
        )
    found = _by_bytes(tokenizer, ids, text)
    return _by_window(tokenizer, ids, text) if found is None else found


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The vocabulary's own piece of each id; `<id 123>` where the vocabulary has none."""
    found = tokenizer.convert_ids_to_tokens([int(token_id) for token_id in ids])
    return [
        f"<id {token_id}>" if piece is None else str(piece)
        for token_id, piece in zip(ids, found, strict=True)
    ]


def _decode(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _by_bytes(tokenizer: Any, ids: list[int], text: str) -> list[Span] | None:
    """Spans from every token's bytes; None where they do not add up to `text`."""
    if not getattr(tokenizer, "is_fast", False):
        return None
    parts = _bytes_of_tokens(tokenizer, ids)
    if parts is None:
        return None
    places, whole = _characters_of_bytes(b"".join(parts))
    dropped = len(whole) - len(text)  # decoders drop the space that encoding put in front
    if dropped < 0 or whole[dropped:] != text or whole[:dropped].strip():
        return None
    places.append(len(whole))  # the place behind the last byte
    result, at = [], 0
    for part in parts:
        start = places[at]
        end = places[at + len(part) - 1] + 1 if part else start
        at += len(part)
        result.append((max(0, start - dropped), max(0, end - dropped)))
    return result


def _bytes_of_tokens(tokenizer: Any, ids: list[int]) -> list[bytes] | None:
    """Bytes that each id adds to the middle of a text; empty for ids that decoding skips."""
    backend = tokenizer.backend_tokenizer
    kinds = _decoder_kinds(backend.decoder)
    skipped = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    names = [
        None if token_id in skipped else name
        for token_id, name in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True)
    ]
    if "ByteLevel" in kinds:
        return [b"" if name is None else _byte_level(name) for name in names]
    anchor = [i for i in tokenizer("a", add_special_tokens=False).input_ids if i not in skipped]
    if not anchor:
        return None
    # What a token writes in the middle of a text is what it adds behind an ordinary token.
    before = len(_decode(tokenizer, anchor))
    written = {
        token_id: _decode(tokenizer, [*anchor, token_id])[before:].encode("utf-8", "replace")
        for token_id, name in zip(ids, names, strict=True)
        if name is not None
    }
    parts = [
        b"" if name is None else written[token_id]
        for token_id, name in zip(ids, names, strict=True)
    ]
    return _with_byte_pieces(parts, names) if "ByteFallback" in kinds else parts


def _decoder_kinds(decoder: Any) -> set[str]:
    if decoder is None:
        return set()
    state = json.loads(decoder.__getstate__())
    return {step["type"] for step in state.get("decoders", [state])}


def _with_byte_pieces(parts: list[bytes], names: list[str | None]) -> list[bytes]:
    """`parts` in which `<0x..>` pieces stand for their byte.

    A run of byte pieces that is not valid UTF-8 as a whole becomes one U+FFFD per piece: that is
    how the decoder of the tokenizers library has it.
    """
    parts = list(parts)
    run: list[int] = []
    values = bytearray()
    for index, name in [*enumerate(names), (len(names), "")]:
        if name is None:
            continue  # decoding skips it before it looks for runs
        value = _byte_piece(name)
        if value is not None:
            run.append(index)
            values.append(value)
            continue
        valid = _is_utf8(bytes(values))
        for place, byte in zip(run, values, strict=True):
            parts[place] = bytes([byte]) if valid else _REPLACEMENT.encode()
        run, values = [], bytearray()
    return parts


def _byte_piece(name: str) -> int | None:
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        try:
            return int(name[3:5], 16)
        except ValueError:
            return None
    return None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _byte_level_alphabet() -> dict[str, int]:
    """The printable characters that stand for bytes in byte-level vocabularies (from GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in set(printable)]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(0x100 + place): byte for place, byte in enumerate(rest)}


_ALPHABET = _byte_level_alphabet()


def _byte_level(name: str) -> bytes:
    try:
        return bytes([_ALPHABET[character] for character in name])
    except KeyError:  # an added token, which stands in the vocabulary as it is
        return name.encode("utf-8", "replace")


def _characters_of_bytes(data: bytes) -> tuple[list[int], str]:
    """For each byte the index of the character that it is part of, and the decoded text.

    Bytes that are broken are cut as Unicode advises and every decoder has it: the longest beginning
    of a character becomes one U+FFFD, and a byte that begins none another.
    """
    places: list[int] = []
    written: list[str] = []
    n_characters = at = 0
    while at < len(data):
        try:
            good, broken = data[at:].decode("utf-8"), 0
        except UnicodeDecodeError as error:
            good, broken = data[at : at + error.start].decode("utf-8"), error.end - error.start
        for character in good:
            width = len(character.encode("utf-8"))
            places += [n_characters] * width
            n_characters += 1
            at += width
        written.append(good)
        if broken:
            places += [n_characters] * broken
            n_characters += 1
            at += broken
            written.append(_REPLACEMENT)
    return places, "".join(written)


def _by_window(tokenizer: Any, ids: list[int], text: str) -> list[Span]:
    """Spans from decoding a few tokens at a time, for tokenizers that hide their bytes."""
    skipped = set(tokenizer.all_special_ids)
    result: list[Span] = []
    start = read = 0  # the window's first token; the first token that is not settled
    settled = complete = 0  # characters before `read`; characters completed so far
    before = ""
    for index, token_id in enumerate(ids):
        fresh = _decode(tokenizer, ids[start : index + 1])[len(before) :]
        now = max(complete, settled + _shared(fresh, text[settled : settled + len(fresh)]))
        unfinished = now < min(settled + len(fresh), len(text))
        if token_id in skipped:
            result.append((complete, complete))
        elif unfinished:
            result.append((complete, now + 1))
        elif now == complete and index > read and text[complete - 1 : complete] == _REPLACEMENT:
            result.append((complete - 1, complete))  # a further byte of a broken character
        else:
            result.append((complete, now))
        complete = now
        whole = not unfinished and not fresh.endswith(_REPLACEMENT)
        if whole or index + 1 - read >= _WINDOW:
            start, read, settled = read, index + 1, complete
            before = _decode(tokenizer, ids[start:read])
    if complete != len(text):
        raise InternalError(
            f"cannot find the characters of the tokens of {type(tokenizer).__name__}: "
            f"{complete} of {len(text)} characters followed"
        )
    return result


def _shared(one: str, other: str) -> int:
    """Length of the common beginning."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
