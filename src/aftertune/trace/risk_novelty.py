"""How new rows are to a base: its loss, token by token, of the words that say something."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from aftertune.data.render import Rendered, render_row
from aftertune.data.templates import Template
from aftertune.errors import InputError
from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states
from aftertune.trace.risk import telling_tokens

BATCH = 32


def losses(
    loaded: Loaded, template: Template, rows: Sequence[Mapping[str, Any]],
    tells: Sequence[frozenset[str]], max_length: int, train_on: Literal["all", "last"] = "all",
) -> list[list[float]]:  # fmt: skip
    """Per row the base's loss of each trained token of its telling words, nats, in the rows' order.

    rows: records of the table `rows`. tells: as `risk.telling` gives them. A row has none where it
    cannot be rendered, or where no such token stands within `max_length`.
    """
    found: list[list[float]] = [[] for _ in rows]
    kept: dict[int, tuple[Rendered, list[bool]]] = {}
    for place, row in enumerate(rows):
        try:
            one = render_row(
                row["messages"], row["tools"], template, loaded.tokenizer, max_length,
                train_on, json.loads(row["tags"]),
            )  # fmt: skip
        except InputError:
            continue
        scored = telling_tokens(one.text, one.offsets, one.loss_mask, tells[place])
        if any(scored[1:]):
            kept[place] = one, scored
    head = Head.of(loaded.model)
    order = sorted(kept, key=lambda place: len(kept[place][0].ids))
    for at in range(0, len(order), BATCH):
        places = order[at : at + BATCH]
        sequences = [list(kept[place][0].ids) for place in places]
        starts = [kept[place][1].index(True, 1) for place in places]
        states = hidden_states(loaded.model, sequences, starts)
        for place, start, state in zip(places, starts, states, strict=True):
            one, scored = kept[place]
            found[place] = _of(head, state, one.ids[start:], scored[start:])
    return found


def _of(head: Head, state: torch.Tensor, ids: Sequence[int], scored: Sequence[bool]) -> list[float]:
    """states [R, H] predict ids [R]; of those that are scored the loss, nats."""
    places = [place for place, kept in enumerate(scored) if kept]
    logits = head.logits(state[places])
    targets = torch.tensor([ids[place] for place in places], device=logits.device)
    values: list[float] = (-logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]).tolist()
    return values
