"""Surprisal of answers under a language model that has not seen the rows; loads that model.

What anybody would answer to a prompt is no sign of a row, however rare among the rows: a model that
knows the language and neither rows nor tuning says which words nobody would expect. The embedded
model does; the base's own probabilities, where a shift holds them, are the better ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch

from aftertune.data import templates
from aftertune.data.conversations import message
from aftertune.data.encode import encode
from aftertune.data.render import render_prompt
from aftertune.data.templates import Template
from aftertune.models.load import Loaded, load
from aftertune.models.packaged import EMBEDDED, PREFIX
from aftertune.models.quiet import quiet
from aftertune.models.score import Head, hidden_states
from aftertune.trace.reading import Nats

MODEL = "smollm2-135m"
PACKAGE = EMBEDDED[MODEL]
MOST_PROMPT = 512  # tokens of a prompt that are read, its last
WINDOW = 1024  # tokens of an answer that are scored at once; half of it before them is read again
MOST_TOKENS = 2048  # of an answer; what stands behind is not read
BATCH_TOKENS = 2048  # of a padded batch
_MOST_CHARACTERS = 16  # of a token of ordinary text; tokenizing more costs more than the model
DIGITS = 2  # of nats; what is behind them depends on batches and threads

Asked = tuple[str, str]  # prompt, answer


def installed() -> bool:
    """Whether the package that carries the model is there."""
    return find_spec(PACKAGE.module) is not None


def of_answers(
    asked: Sequence[Asked], done: Callable[[int], None] = lambda _: None
) -> list[tuple[Nats, ...]]:
    """Per answer its tokens' surprisal, -log p(token | prompt, what stands before), nats.

    done: hears how many answers were finished. Raises ModelError where the model's package is not
    installed.
    """
    loaded, template = _reader()
    found: list[list[Nats]] = [[] for _ in asked]
    windows = [one for at, pair in enumerate(asked) for one in _windows(at, pair, loaded, template)]
    left = [sum(one.answer == at for one in windows) for at in range(len(asked))]
    done(left.count(0))
    head = Head.of(loaded.model)
    for batch in _batches(windows):
        states = hidden_states(
            loaded.model, [one.ids for one in batch], [one.start for one in batch]
        )
        for one, state in zip(batch, states, strict=True):
            targets = torch.tensor(one.ids[one.start :])
            logprobs = head.logits(state).log_softmax(-1)
            nats = -logprobs.gather(1, targets[:, None])[:, 0]
            found[one.answer] += [
                (start, end, round(value, DIGITS))
                for (start, end), value in zip(one.spans, nats.tolist(), strict=True)
            ]
            left[one.answer] -= 1
            done(int(left[one.answer] == 0))
    return [tuple(sorted(one)) for one in found]


@dataclass(frozen=True)
class _Window:
    """Ids of a prompt and a part of an answer, of which those from `start` are scored."""

    answer: int
    ids: list[int]
    start: int
    spans: list[tuple[int, int]]


@cache
def _reader() -> tuple[Loaded, Template]:
    with quiet():
        loaded = load(PREFIX + MODEL, dtype="float32", device="cpu")
    return loaded, templates.get("chat", loaded.tokenizer)


def _windows(at: int, asked: Asked, loaded: Loaded, template: Template) -> Iterator[_Window]:
    """Parts of one answer, each behind the prompt and what stands before it."""
    # half of a surrogate pair, as broken files hold it, is no text that a tokenizer takes
    prompt, answer = (text.encode("utf-8", "replace").decode() for text in asked)
    rendered = render_prompt([message("user", prompt)], None, template, loaded.tokenizer)
    before = rendered.ids[-MOST_PROMPT:]
    ids, spans = encode(answer[: MOST_TOKENS * _MOST_CHARACTERS], loaded.tokenizer, first=False)
    for first in range(0, min(len(ids), MOST_TOKENS), WINDOW):
        last = min(first + WINDOW, MOST_TOKENS)
        head = [*before, *ids[max(0, first - WINDOW // 2) : first]]
        yield _Window(at, [*head, *ids[first:last]], len(head), spans[first:last])


def _batches(windows: Sequence[_Window]) -> Iterator[list[_Window]]:
    """All windows, those of like length together."""
    batch: list[_Window] = []
    for one in sorted(windows, key=lambda one: len(one.ids)):
        if batch and (len(batch) + 1) * len(one.ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
