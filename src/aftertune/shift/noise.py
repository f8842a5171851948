"""The noise floor: the same weights against themselves under another computation.

A divergence between two models means something only above what the same model shows when just
the computation differs. Measured on a few responses, for the base's and the tuned weights:

    other_batching   each response alone, against all of them in one padded batch
    cached           token by token with a key-value cache, as generation does, against that batch
    precision        bfloat16 (float32 where the shift is scored in 16 bits) against that batch;
                     the float32 pass is the reference
    identity         the same pass twice, through the same code: exactly 0, or the machine does
                     not repeat itself

KL is KL(reference from other); the reference is the padded batch unless said otherwise.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from aftertune import schema
from aftertune.errors import ModelError
from aftertune.models.score import Head, hidden_states_cached
from aftertune.shift.metrics import position_metrics
from aftertune.shift.pair import Item, Which, read

PRECISION_BELOW = 1_000_000_000  # parameters; a second copy of larger weights may not fit
_IDENTITY_RESPONSES = 1  # enough to see whether a pass repeats itself


@dataclass
class Noise:
    """Rows of the `noise_floor` table, and why a kind is missing."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: "Noise") -> "Noise":
        return Noise([*self.rows, *other.rows], {**self.absent, **other.absent})

    def table(self) -> pa.Table:
        return schema.from_rows("noise_floor", self.rows)


def sample(n_items: int, wanted: int, seed: int) -> list[int]:
    """Places of the responses to measure on: up to `wanted`, one in ten, but two where there are
    two. With the default lengths the floor then costs about a fifth of the scoring, or less."""
    n = min(wanted, n_items, max(2, n_items // 10))
    return sorted(random.Random(seed).sample(range(n_items), n))


def measure(
    which: Which, model: Any, drawn: Sequence[Item], n_tokens: int, n_cached_tokens: int
) -> Noise:
    """All kinds for one model on the first `n_tokens` of each response (`n_cached_tokens` for
    `cached`)."""
    noise = Noise()
    if not drawn:
        noise.absent = dict.fromkeys(
            ("other_batching", "cached", "precision", "identity"), "no responses were drawn for it"
        )
        return noise
    items = [item.cut(n_tokens) for item in drawn]
    head = Head.of(model)
    together = read(model, items, which)
    alone = [read(model, [item], which)[0] for item in items]
    again = [read(model, [item], which)[0] for item in items[:_IDENTITY_RESPONSES]]

    def compare(
        kind: str, reference: tuple[Head, list[Tensor]], other: tuple[Head, list[Tensor]]
    ) -> None:
        for item, one, two in zip(items, reference[1], other[1], strict=False):
            n = min(len(one), len(two))
            logits = reference[0].logits(one[:n]), other[0].logits(two[:n])
            noise.rows.extend(_rows(kind, which, item.response_id, *logits))

    compare("other_batching", (head, together), (head, alone))
    compare("identity", (head, alone), (head, again))
    try:
        short = [item.cut(n_cached_tokens) for item in items]
        starts = [item.start(which) for item in short]
        cached = hidden_states_cached(model, [item.sequence(which) for item in short], starts)
        compare("cached", (head, together), (head, cached))
    except ModelError as error:
        noise.absent["cached"] = str(error)
    if sum(parameter.numel() for parameter in model.parameters()) >= PRECISION_BELOW:
        noise.absent["precision"] = "a second copy of a model this large may not fit into memory"
        return noise
    in_float32 = next(model.parameters()).dtype == torch.float32
    with in_dtype(model, torch.bfloat16 if in_float32 else torch.float32):
        ours, other = (head, together), (Head.of(model), read(model, items, which))
        compare("precision", *((ours, other) if in_float32 else (other, ours)))
    return noise


def _rows(
    kind: str, which: Which, response_id: str, reference: Tensor, other: Tensor
) -> Iterator[dict[str, Any]]:
    found = position_metrics(
        other, reference, torch.zeros(len(reference), dtype=torch.long), top_k=1
    )
    differs = found["base_top_ids"][:, 0] != found["tuned_top_ids"][:, 0]
    pairs = zip(found["kl_tuned_base_nats"].tolist(), differs.tolist(), strict=True)
    for position, (kl, argmax_differs) in enumerate(pairs):
        yield {
            "kind": kind,
            "model": which,
            "response_id": response_id,
            "position": position,
            "kl_nats": kl,
            "argmax_differs": argmax_differs,
        }


@contextmanager
def in_dtype(model: Any, dtype: torch.dtype) -> Iterator[None]:
    """Within it the model's parameters are rounded to `dtype`; afterwards they are what they were.

    Buffers (rotary frequencies and the like) stay as they are, as when loading in a dtype.
    """
    kept = [(parameter, parameter.data) for parameter in model.parameters()]
    try:
        for parameter, data in kept:
            if data.is_floating_point():
                parameter.data = data.to(dtype)
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data
