"""The two models of a shift: two sets of weights, or one with an adapter turned on and off."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states
from aftertune.shift.common import CommonIds
from aftertune.shift.compat import compat_metrics
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
    """One response to score: token ids of its prompt and its own.

    base_prompt: the prompt as the base reads it, where that is under another template.
    """

    response_id: str
    prompt: list[int]
    response: list[int]
    text: str = ""
    stopped: bool = False  # the last token is the stop token
    base_prompt: list[int] | None = None

    def prompt_of(self, which: Which) -> list[int]:
        """What a model reads before the response."""
        return self.prompt if which == "tuned" or self.base_prompt is None else self.base_prompt

    def start(self, which: Which) -> int:
        """Where the response begins in `sequence(which)`."""
        return len(self.prompt_of(which))

    def sequence(self, which: Which) -> list[int]:
        """What a model reads. The last token is predicted and never read, so another id stands
        in its place: it may be one that the base has no embedding for."""
        return [*self.prompt_of(which), *self.response[:-1], 0]

    @property
    def length(self) -> int:
        """Tokens of the longer of both sequences."""
        return max(len(self.prompt_of(which)) for which in SIDES) + len(self.response)

    def cut(self, n_tokens: int) -> "Item":
        """The same response ending after its first `n_tokens`."""
        short = self.response[:n_tokens]
        return Item(self.response_id, self.prompt, short, base_prompt=self.base_prompt)


def read(model: Any, items: Sequence[Item], which: Which) -> list[Tensor]:
    """Per response the states [tokens, H] that predict its tokens, from one padded batch."""
    starts = [item.start(which) for item in items]
    return hidden_states(model, [item.sequence(which) for item in items], starts)


def score(
    pair: Pair,
    heads: Mapping[Which, Head],
    items: Sequence[Item],
    common: CommonIds,
    top_k: int,
) -> list[dict[str, Tensor]]:
    """`measured` of every response in one padded batch of both models."""
    states = {}
    for which in SIDES:
        with pair.using(which) as model:
            states[which] = torch.cat(read(model, items, which))
    return measured(states, heads, items, common, top_k)


def measured(
    states: Mapping[Which, Tensor],
    heads: Mapping[Which, Head],
    items: Sequence[Item],
    common: CommonIds,
    top_k: int,
    lin2024: bool = False,
) -> list[dict[str, Tensor]]:
    """`position_metrics` of every response, on the CPU; with `lin2024`, `compat_metrics` too.

    states: of each model [N, H], the N tokens of all responses one behind the other. The heads
    run over a few positions at a time, so memory does not grow with response length times
    vocabulary.
    """
    ids = torch.tensor([token for item in items for token in item.response])
    chunk = head_chunk(heads["tuned"])
    pieces = []
    for at in range(0, len(ids), chunk):
        base, tuned = (heads[which].logits(states[which][at : at + chunk]) for which in SIDES)
        base = base.to(tuned.device)  # a device map may have put the heads on two devices
        found = position_metrics(base, tuned, ids[at : at + chunk], common, top_k)
        if lin2024:
            found |= compat_metrics(base, tuned, common=common)
        pieces.append(found)
    joined = {name: torch.cat([piece[name].cpu() for piece in pieces]) for name in pieces[0]}
    lengths = [len(item.response) for item in items]
    parts = {name: torch.split(values, lengths) for name, values in joined.items()}
    return [{name: values[i] for name, values in parts.items()} for i in range(len(items))]


def head_chunk(head: Head) -> int:
    """Positions whose logits are held at once."""
    return max(1, min(_HEAD_POSITIONS, _HEAD_LOGITS // head.weight.shape[0]))
