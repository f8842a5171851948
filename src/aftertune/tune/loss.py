"""The loss of one micro-batch and its gradient, with the head on trained positions only.

The logits of a micro-batch are the largest tensors of a step (positions x vocabulary), and most
positions (prompt, padding) need none. So the body runs once, the states that predict trained
tokens are picked out, and head, cross entropy and the head's backward pass go over them chunk by
chunk; the body's backward pass follows once, from the gradient at the picked states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aftertune.models.score import Head

# Logits that are alive at once; with their gradient, in two dtypes, about 12 bytes each.
CHUNK_ELEMENTS = 2**25


@dataclass(frozen=True)
class Encoded:
    """A rendered row: `ids[T]`, `trained[T]` (whether a token is trained), and its weight."""

    ids: np.ndarray[Any, np.dtype[np.int64]]
    trained: np.ndarray[Any, np.dtype[np.bool_]]
    weight: float = 1.0

    @property
    def n_trained(self) -> int:
        """Trained tokens; the first token of a row has nothing that predicts it."""
        return int(self.trained[1:].sum())


@dataclass(frozen=True)
class MicroBatch:
    """Rows side by side, padded on the right: shapes [B, T]; N trained tokens over all of them.

    `rows` and `positions` [N] are where the states stand that predict `targets` [N]; `weights`
    [N] is each token's row weight.
    """

    input_ids: Tensor
    attention_mask: Tensor
    rows: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on `device`."""
        return MicroBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass(frozen=True)
class StepShare:
    """What one process computes of an optimiser step.

    `micro_batches` stand under their place in the step; `normaliser` counts the trained tokens
    of the whole step, so that the shares' losses and gradients sum to the step's.
    """

    step: int
    micro_batches: Mapping[int, MicroBatch]
    normaliser: int

    def to(self, device: torch.device) -> "StepShare":
        """The same on `device`."""
        moved = {place: batch.to(device) for place, batch in self.micro_batches.items()}
        return replace(self, micro_batches=moved)


def share(
    number: int,
    step: Sequence[Sequence[int]],
    rows: Mapping[int, Encoded],
    places: Sequence[int],
) -> StepShare:
    """The micro-batches at `places` of the step `number`; `step` [micro-batch][slot] names rows."""
    return StepShare(
        step=number,
        micro_batches={place: collate([rows[index] for index in step[place]]) for place in places},
        normaliser=sum(rows[index].n_trained for micro in step for index in micro),
    )


def collate(members: list[Encoded]) -> MicroBatch:
    """Rows as one padded micro-batch. What pads is never attended to and never trained."""
    width = max(len(row.ids) for row in members)
    ids = torch.zeros(len(members), width, dtype=torch.long)
    mask = torch.zeros(len(members), width, dtype=torch.long)
    places, weights = [], []
    for number, row in enumerate(members):
        ids[number, : len(row.ids)] = torch.from_numpy(row.ids)
        mask[number, : len(row.ids)] = 1
        positions = np.flatnonzero(row.trained[1:])
        places.append(np.stack([np.full(len(positions), number), positions]))
        weights.append(np.full(len(positions), row.weight, dtype=np.float32))
    rows, positions_of_all = torch.from_numpy(np.concatenate(places, axis=1))
    return MicroBatch(
        input_ids=ids,
        attention_mask=mask,
        rows=rows,
        positions=positions_of_all,
        targets=ids[rows, positions_of_all + 1],
        weights=torch.from_numpy(np.concatenate(weights)),
    )


def backward(
    model: Any, head: Head, batch: MicroBatch, normaliser: int, dtype: torch.dtype
) -> float:
    """Add one micro-batch's gradient to the parameters; its part of the step's loss, in nats.

    The loss is sum over trained tokens of weight x nll / normaliser, where `normaliser` counts
    the trained tokens of the whole step whatever their weights: so a row of weight 0 gives no
    gradient and changes nothing else. With `dtype` bfloat16 matrix products are taken in it over
    float32 weights; softmax and loss are always float32. `model` is the plain transformers model,
    adapter layers included.
    """
    low = dtype == torch.bfloat16
    if low:
        bias = None if head.bias is None else head.bias.to(dtype)
        head = replace(head, weight=head.weight.to(dtype), bias=bias, upcast=False)
    with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=low):
        output = model.get_decoder()(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        )
    states = output.last_hidden_state[batch.rows, batch.positions]
    total = 0.0
    gradients = []
    size = max(1, CHUNK_ELEMENTS // head.weight.shape[0])
    for chunk in torch.arange(len(batch.targets), device=states.device).split(size):
        leaf = states[chunk].detach().requires_grad_()
        nll = torch.nn.functional.cross_entropy(
            head.logits(leaf), batch.targets[chunk], reduction="none"
        )
        loss = (nll * batch.weights[chunk]).sum() / normaliser
        loss.backward()
        gradients.append(leaf.grad)
        total += loss.item()
    if states.requires_grad and gradients:
        states.backward(torch.cat(gradients))
    return total
