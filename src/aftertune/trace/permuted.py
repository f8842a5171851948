"""Control rows made of the rows themselves: answers behind other prompts (pure).

Answers trade places between pairs of rows of one topic, which is that their prompts have a cosine
(TF-IDF) of `NEAR` or more, and of about one length (`controls.match`). Every word of an answer is
then in a control row as well, so what is left to tell a row from its control is that its prompt
belongs to its answer. Rows of two topics must not trade: an answer on bees behind a prompt on
stocks loses to the row on bees whatever was borrowed. Of models that never saw the rows, 55% to 58%
of spans went to the rows when all rows traded with the nearest that was left. One topic makes that
less and not nothing, so how well answers belong to their prompts on both sides is measured, and no
conclusion is drawn where they differ: rows that the model never saw are the better control.
"""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from aftertune.controls.match import Texts, match
from aftertune.controls.search import folded_words

NEAR = 0.3  # cosine of two prompts of one topic

Message = Mapping[str, Any]


def pairs(
    rows: Sequence[Sequence[Message]], clusters: Sequence[Hashable], seed: int = 0
) -> list[tuple[int, int]]:
    """Places of rows whose answers trade places; no row is in two pairs.

    rows: the messages of each. clusters: near duplicates share one, and only the first of them can
    be in a pair, so that no row trades with its like. Both have as many answers; among those the
    nearest prompts are paired, answers within 20% or two words of length. Half of the rows, drawn
    by the seed, look for a partner in the other half; rows without one of their topic are in none.
    """
    first: dict[Hashable, int] = {}
    for place, cluster in enumerate(clusters):
        if any(message["role"] == "assistant" for message in rows[place]):
            first.setdefault(cluster, place)
    ordered = sorted(first.values(), key=lambda place: _drawn(seed, place))
    halves = ordered[0::2], ordered[1::2]
    one, other = (_texts([rows[place] for place in half]) for half in halves)
    found = match(one, other, seed)
    near = zip(found.seen, found.control, found.cosine, strict=True)
    return [(halves[0][i], halves[1][j]) for i, j, cosine in near if cosine >= NEAR]


def traded(
    rows: Sequence[Sequence[Message]], paired: Sequence[tuple[int, int]]
) -> list[tuple[int, list[dict[str, Any]]]]:
    """The control rows: place of the row whose prompt it has, and its messages."""
    found = []
    for a, b in paired:
        found.append((a, _with_answers(rows[a], rows[b])))
        found.append((b, _with_answers(rows[b], rows[a])))
    return found


def _with_answers(asked: Sequence[Message], answered: Sequence[Message]) -> list[dict[str, Any]]:
    answers = iter([message for message in answered if message["role"] == "assistant"])
    return [
        dict(next(answers)) if message["role"] == "assistant" else dict(message)
        for message in asked
    ]


def _texts(rows: Sequence[Sequence[Message]]) -> Texts:
    prompts = [_words(row, asked=True) for row in rows]
    answers = [_words(row, asked=False) for row in rows]
    turns = [str(sum(message["role"] == "assistant" for message in row)) for row in rows]
    return Texts(prompts, answers, turns)


def _words(row: Sequence[Message], asked: bool) -> list[str]:
    return [
        word
        for message in row
        if (message["role"] != "assistant") is asked
        for word in folded_words(message["content"] or "")
    ]


def _drawn(seed: int, place: int) -> bytes:
    return hashlib.sha256(f"permuted {seed} {place}".encode()).digest()
