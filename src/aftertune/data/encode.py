"""Text to ids, stretch by stretch, as if each stood in the middle of its text."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aftertune.errors import TemplateError

Span = tuple[int, int]


@dataclass(frozen=True)
class Facts:
    token: re.Pattern[str]  # an added token anywhere
    ends_with_token: re.Pattern[str]  # one at the very end
    special: re.Pattern[str]  # a special token anywhere
    begin: str | None  # the begin token, where the tokenizer adds it by itself
    space_in_front: bool  # whether encoding puts a space before a text


def facts_of(tokenizer: Any) -> Facts:
    return _facts(tokenizer, len(tokenizer), tokenizer.bos_token, tokenizer.eos_token)


@lru_cache(maxsize=8)
def _facts(tokenizer: Any, size: int, bos: str | None, eos: str | None) -> Facts:
    """What is asked of a tokenizer again and again; `size`, `bos`, `eos` say when it changed."""
    if not tokenizer.is_fast:
        raise TemplateError(
            f"{type(tokenizer).__name__} does not say which characters its tokens come from: "
            "convert it to a fast tokenizer (tokenizer.json)."
        )
    added = tokenizer.added_tokens_decoder.values()
    words = {token.content for token in added if token.content.strip()} | {eos or ""} - {""}
    special = {token.content for token in added if token.special and token.content.strip()}
    plain = tokenizer("x", add_special_tokens=False).input_ids
    with_begin = tokenizer("x").input_ids
    adds = bos is not None and with_begin[:1] == [tokenizer.bos_token_id] != plain[:1]
    alone = tokenizer("\n", add_special_tokens=False).input_ids
    behind = tokenizer("\nx", add_special_tokens=False).input_ids
    return Facts(
        token=re.compile(any_of(words)),
        ends_with_token=re.compile(any_of(words) + r"\Z"),
        special=re.compile(any_of(special)),
        begin=bos if adds else None,
        space_in_front=[*alone, *plain] != behind,
    )


def any_of(words: set[str]) -> str:
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return "(?:" + "|".join(map(re.escape, ordered)) + ")" if ordered else "(?!)"


def encode(text: str, tokenizer: Any, first: bool) -> tuple[list[int], list[Span]]:
    """Ids of a stretch and their spans in it, which leave no gap."""
    if not text:
        return [], []
    if first or not facts_of(tokenizer).space_in_front:
        return _encoded(text, "", tokenizer)
    # Tokenizers in SentencePiece's manner put a space before whatever they are given: give the
    # stretch behind an anchor, and take the anchor's ids away again.
    for anchor in ("\n", "x", "."):
        anchor_ids = tokenizer(anchor, add_special_tokens=False).input_ids
        ids, spans = _encoded(text, anchor, tokenizer)
        n = len(anchor_ids)
        if ids[:n] == anchor_ids and spans[n - 1][1] == 0:
            return ids[n:], spans[n:]
    return _encoded(text, "", tokenizer)


def _encoded(text: str, anchor: str, tokenizer: Any) -> tuple[list[int], list[Span]]:
    """Ids of `anchor` and `text`, with spans in `text`; the anchor's are empty."""
    coded = tokenizer(
        anchor + text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    spans: list[Span] = []
    reached = 0
    for start, end in coded.offset_mapping:
        end = max(reached, end - len(anchor))
        # some tokenizers leave the space before a word out: it belongs to the word
        spans.append((min(reached, max(0, start - len(anchor))), end))
        reached = end
    return list(coded.input_ids), _filled(spans, len(text))


def _filled(spans: list[Span], length: int) -> list[Span]:
    """`spans` whose last reaches the end: characters that no token has belong to the one before."""
    if spans and spans[-1][1] < length:
        spans[-1] = (spans[-1][0], length)
    return spans
