"""The answers with their tokens, as compact data for the page's script (pure).

Thousands of tokens with two lists of five preferred tokens each must fit into one file, so
every answer is a set of parallel columns of whole numbers, and pieces are indices into one
shared table. A unit is what the eye can point at: a run of tokens that share a character.

    probabilities  1/10,000         kl  nats x 10,000, -1 = infinite
    entropies      nats x 1,000     category  one digit per token: 0 1 2, 3 = not scored
    absent values  null             base_top, tuned_top  [piece, probability, piece, ...]
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aftertune.report import numbers
from aftertune.report.shown import visible

CATEGORIES = ("unshifted", "marginal", "shifted")
NOT_SCORED = 3

Token = Mapping[str, Any]  # one record of the tokens table
Text = Callable[[int], str]  # a token id's piece, as it is shown


class Units(NamedTuple):
    """texts[i] is what unit i shows; counts [(i, n)] where n tokens are not 1; special [i]."""

    texts: list[str]
    counts: list[tuple[int, int]]
    special: list[int]


class Pieces:
    """One table of pieces for the whole page: a string is stored once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, piece: str) -> int:
        return self._places.setdefault(piece, len(self._places))

    def strings(self) -> list[str]:
        return list(self._places)


def units(response: str, tokens: Sequence[Token], text_of: Text) -> Units:
    """The response cut into units; their texts together are the response, made visible.

    Tokens whose spans overlap (bytes of one character) are one unit; a token with an empty span
    (the stop token) is a unit of its own that shows its piece; characters that no token covers
    are units of 0 tokens.
    """
    spans: list[list[int]] = []  # start, end, number of tokens; start = end: special
    shown: dict[int, str] = {}  # what special units show
    done = 0  # characters before this are in a unit
    for token in tokens:
        start, end = max(token["char_start"], done), token["char_end"]
        if token["char_start"] >= end:
            shown[len(spans)] = text_of(token["token_id"])
            spans.append([done, done, 1])
        elif token["char_start"] < done and spans[-1][0] < spans[-1][1]:
            spans[-1][1] = done = max(done, end)
            spans[-1][2] += 1
        else:
            if start > done:
                spans.append([done, start, 0])
            spans.append([start, max(start, end), 1])
            done = max(start, end)
    if done < len(response):
        spans.append([done, len(response), 0])
    texts = [shown.get(i, visible(response[s:e])) for i, (s, e, _) in enumerate(spans)]
    return Units(texts, [(i, n) for i, (_, _, n) in enumerate(spans) if n != 1], list(shown))


def encode(
    response: Mapping[str, Any], tokens: Sequence[Token], text_of: Text, pieces: Pieces
) -> dict[str, Any]:
    """One answer: its facts in words, its units, its tokens as columns.

    response: a record of the responses table. tokens: its tokens by position.
    """
    parts = units(response["response"], tokens, text_of)

    def top(entries: Sequence[Mapping[str, Any]]) -> list[int]:
        flat: list[int] = []
        for entry in entries:
            flat += [pieces.place(text_of(entry["token_id"])), whole(entry["prob"], 1e4) or 0]
        return flat

    return {
        "facts": _facts(response["finish_reason"], tokens),
        "units": parts.texts,
        "counts": parts.counts,
        "special": parts.special,
        "category": "".join(_digit(t["category"]) for t in tokens),
        "piece": [pieces.place(text_of(t["token_id"])) for t in tokens],
        "sentence": [t["sentence"] for t in tokens],
        "kl": [whole(t["kl_tuned_base_nats"], 1e4) for t in tokens],
        "rank": [t["base_rank_of_tuned_argmax"] for t in tokens],
        "first_prob": [whole(t["base_prob_of_tuned_argmax"], 1e4) for t in tokens],
        "base_rank": [t["base_rank"] for t in tokens],
        "tuned_rank": [t["tuned_rank"] for t in tokens],
        "base_prob": [_prob(t["base_logprob"]) for t in tokens],
        "tuned_prob": [_prob(t["tuned_logprob"]) for t in tokens],
        "base_entropy": [whole(t["base_entropy_nats"], 1e3) for t in tokens],
        "tuned_entropy": [whole(t["tuned_entropy_nats"], 1e3) for t in tokens],
        "base_top": [top(t["base_top"]) for t in tokens],
        "tuned_top": [top(t["tuned_top"]) for t in tokens],
    }


def _facts(finish_reason: str, tokens: Sequence[Token]) -> str:
    """Tokens, mean KL and end of one answer, in words."""
    values = [t["kl_tuned_base_nats"] for t in tokens]
    mean = f"mean KL {numbers.nats(sum(values) / len(values))} nats" if values else "not scored"
    ends = {"stop": "stopped by itself", "length": "cut at the length limit", "given": "given"}
    end = ends.get(finish_reason, finish_reason)
    return f"{numbers.plural(len(tokens), 'token')} · {mean} · {end}"


def _digit(category: str | None) -> str:
    return str(CATEGORIES.index(category) if category in CATEGORIES else NOT_SCORED)


def _prob(logprob: float | None) -> int | None:
    return None if logprob is None else whole(math.exp(logprob), 1e4)


def whole(value: float | None, scale: float) -> int | None:
    """`value x scale` as a whole number; infinite is -1, NaN is absent."""
    if value is None or math.isnan(value):
        return None
    return -1 if math.isinf(value) else round(value * scale)


def spread(total: int, n: int) -> list[int]:
    """n of 0 .. total - 1, evenly apart and beginning with the first.

    >>> spread(10, 3), spread(3, 5), spread(4, 0)
    ([0, 3, 6], [0, 1, 2], [])
    """
    n = min(n, total)
    return [place * total // n for place in range(n)]
