"""The two models of a shift: two sets of weights, or one with an adapter turned on and off."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states
from aftertune.shift.common import CommonIds
from aftertune.shift.metrics import position_metrics

Which = Literal["base", "tuned"]
SIDES: tuple[Which, Which] = ("base", "tuned")

_HEAD_POSITIONS = 256  # logits of so many positions at once, of each model ...
_HEAD_LOGITS = 2**24  # ... and at most so many numbers: 64 MB in float32


@dataclass(frozen=True)
class Pair:
    """`base` None: the base is `tuned` with its adapter off, and no weights are held twice."""

    base: Loaded | None
    tuned: Loaded

    @contextmanager
    def using(self, which: Which) -> Iterator[Any]:
        """The model that is `which` for as long as the context lasts."""
        if which == "tuned":
            yield self.tuned.model
        elif self.base is not None:
            yield self.base.model
        else:
            with self.tuned.adapter_off():
                yield self.tuned.model

    def heads(self) -> dict[Which, Head]:
        """Both heads, proven against the models' own logits; raises ModelError."""
        found = {}
        for which in SIDES:
            with self.using(which) as model:
                found[which] = Head.of(model)
                found[which].verify(model)
        return found


@dataclass(frozen=True)
class Item:
    """One response to score: token ids of its prompt and its own."""

    response_id: str
    prompt: list[int]
    response: list[int]
    text: str = ""
    stopped: bool = False  # the last token is the stop token

    @property
    def start(self) -> int:
        return len(self.prompt)

    @property
    def sequence(self) -> list[int]:
        """What the models read. The last token is predicted and never read, so another id stands
        in its place: it may be one that the base has no embedding for."""
        return [*self.prompt, *self.response[:-1], 0]

    def cut(self, n_tokens: int) -> "Item":
        """The same response ending after its first `n_tokens`."""
        return Item(self.response_id, self.prompt, self.response[:n_tokens])


def score(
    pair: Pair,
    heads: dict[Which, Head],
    items: Sequence[Item],
    common: CommonIds,
    top_k: int,
) -> list[dict[str, Tensor]]:
    """`position_metrics` of every response in one padded batch of both models, on the CPU.

    The heads run over a few positions at a time, so memory does not grow with response length
    times vocabulary.
    """
    states = {}
    for which in SIDES:
        with pair.using(which) as model:
            batch = hidden_states(
                model, [item.sequence for item in items], [i.start for i in items]
            )
            states[which] = torch.cat(batch)
    ids = torch.tensor([token for item in items for token in item.response])
    chunk = head_chunk(heads["tuned"])
    pieces = [
        position_metrics(
            heads["base"].logits(states["base"][at : at + chunk]),
            heads["tuned"].logits(states["tuned"][at : at + chunk]),
            ids[at : at + chunk],
            common,
            top_k,
        )
        for at in range(0, len(ids), chunk)
    ]
    joined = {name: torch.cat([piece[name].cpu() for piece in pieces]) for name in pieces[0]}
    lengths = [len(item.response) for item in items]
    parts = {name: torch.split(values, lengths) for name, values in joined.items()}
    return [{name: values[i] for name, values in parts.items()} for i in range(len(items))]


def head_chunk(head: Head) -> int:
    """Positions whose logits are held at once."""
    return max(1, min(_HEAD_POSITIONS, _HEAD_LOGITS // head.weight.shape[0]))
