"""How new each row was to the base: its loss there, before any tuning."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from aftertune.data.render import Rendered, render_row
from aftertune.data.templates import Template
from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states

BATCH = 64


def losses(
    loaded: Loaded, template: Template, rows: Sequence[Mapping[str, Any]], max_length: int
) -> list[float | None]:
    """Per row the mean negative log-likelihood of its trained tokens, nats, in the rows' order.

    rows: records of the table `rows`. None where nothing of a row is trained within `max_length`.
    Raises InputError or TemplateError where a row cannot be rendered.
    """
    rendered = [
        render_row(
            row["messages"], row["tools"], template, loaded.tokenizer, max_length,
            tags=json.loads(row["tags"]),
        )
        for row in rows
    ]  # fmt: skip
    head = Head.of(loaded.model)
    trained = [place for place, row in enumerate(rendered) if any(row.loss_mask)]
    order = sorted(trained, key=lambda place: len(rendered[place].ids))
    found: list[float | None] = [None] * len(rows)
    for at in range(0, len(order), BATCH):
        places = order[at : at + BATCH]
        batch = [rendered[place] for place in places]
        starts = [row.loss_mask.index(True) for row in batch]
        states = hidden_states(loaded.model, [row.ids for row in batch], starts)
        for place, row, start, state in zip(places, batch, starts, states, strict=True):
            found[place] = _mean(row, start, head.logits(state))
    return found


def _mean(row: Rendered, start: int, logits: torch.Tensor) -> float:
    """Over the trained ones of the tokens from `start` on; logits [R, V] predict them."""
    targets = torch.tensor(row.ids[start:], device=logits.device)
    kept = torch.tensor(row.loss_mask[start:], device=logits.device)
    chances = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    return float(-chances[kept].mean())
