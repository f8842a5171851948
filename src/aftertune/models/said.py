"""Log-probabilities of spans that were said, under any model: after their original prefix.

Nothing is tokenised again: a span is the tokens of the response that its characters touch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states
from aftertune.text.spans import spans

BATCH = 64


@dataclass(frozen=True)
class Said:
    """A span of a response: ids of prompt and response, and which tokens of the response it is."""

    prompt: list[int]
    response: list[int]
    first: int
    end: int


def said(
    tokenizer: Any, prompt: list[int], response: list[int], text: str, span: tuple[int, int]
) -> Said | None:
    """The tokens that characters [start, end) of the response's text touch; None where none do.

    response: without the stop token.
    """
    at = spans(tokenizer, response, text)
    touched = [i for i, (a, b) in enumerate(at) if a < span[1] and b > span[0]]
    return Said(prompt, response, touched[0], touched[-1] + 1) if touched else None


def alternatives(
    tokenizer: Any, prompt: list[int], response: list[int], text: str, span: tuple[int, int],
    values: Sequence[str],
) -> list[Said]:  # fmt: skip
    """The response up to a span, and each of these values in the span's place.

    They begin as the span's first token did: with its space, and with a capital if it had one.
    """
    at = spans(tokenizer, response, text)
    first = next(i for i, (a, b) in enumerate(at) if a < span[1] and b > span[0])
    lead = text[at[first][0] : span[0]]
    large = text[span[0]].isupper()
    found = []
    for value in values:
        cased = value[:1].upper() + value[1:] if large else value
        ids = tokenizer(lead + cased, add_special_tokens=False).input_ids
        found.append(Said(prompt, [*response[:first], *ids], first, first + len(ids)))
    return found


def logprobs(loaded: Loaded, items: Sequence[Said]) -> list[float]:
    """Per span the sum of its tokens' log-probabilities, nats, in the order of the items."""
    model = loaded.model
    head = Head.of(model)
    order = sorted(range(len(items)), key=lambda i: len(items[i].prompt) + items[i].end)
    found = [0.0] * len(items)
    for at in range(0, len(order), BATCH):
        places = order[at : at + BATCH]
        sequences = [[*items[i].prompt, *items[i].response[: items[i].end]] for i in places]
        starts = [len(items[i].prompt) + items[i].first for i in places]
        states = hidden_states(model, sequences, starts)
        for place, state, sequence, start in zip(places, states, sequences, starts, strict=True):
            chances = head.logits(state).log_softmax(-1)
            target = torch.tensor(sequence[start:], device=chances.device)
            found[place] = float(chances.gather(1, target[:, None]).sum())
    return found
