"""Influence of a row on a span: would a small step that unlearns the row lower the span more than
the same step on matched rows?

The step goes up the gradient of the row's loss, its length fixed, so that rows which are learnt
well (and have small gradients) are stepped as far as others. To first order in the length,

    d log p(span) / d length = grad log p(span) . grad loss(row) / |grad loss(row)|, nats per unit
    influence = mean of it over matched rows - that of the row

above 0 where unlearning the row lowers the span more. It is the dot product of two gradients, as
TracIn takes it for a checkpoint (Pruthi et al., "Estimating Training Data Influence by Tracing
Gradient Descent", 2020), of normalised row gradients, as in GradCos; `stepped` takes the step
itself, and tests hold the two together. It ranks; it proves nothing: a row may have moved the model
in ways that its gradient at the end no longer shows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aftertune.errors import InternalError, ModelError
from aftertune.models.load import Loaded
from aftertune.models.score import Head

# Numbers of span gradients that are held at once.
HELD = 2**28


@dataclass(frozen=True)
class Scored:
    """A sequence of token ids, and which of them are scored: a span, or a row's answer."""

    ids: tuple[int, ...]
    scored: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.scored) or not any(self.scored[1:]):
            raise InternalError("a scored sequence needs a scored token behind its first")


@dataclass(frozen=True)
class Suspect:
    """A span with the rows to judge, and for each of these its matched rows, by row_index."""

    span: Scored
    matched: Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Influence:
    """One row's influence on a span, nats per unit of step; see above.

    own: the change of the span's log-probability by the step on the row; matched: those by the
    same step on its matched rows.
    """

    row_index: int
    own: float
    matched: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """Above 0: the row holds the span up. None without a matched row."""
        if not self.matched:
            return None
        return sum(self.matched) / len(self.matched) - self.own


def influences(
    loaded: Loaded, suspects: Sequence[Suspect], rows: Mapping[int, Scored],
    layers: int | None = None,
) -> list[list[Influence]]:  # fmt: skip
    """Per suspect the influence of each of its rows, in their order.

    rows: every row that is judged or matched. layers: only the parameters of the last `layers`
    blocks; None takes all. An adapter is merged into its base, which changes `loaded`.
    """
    model = merged(loaded)
    names = parameters(model, layers)
    size = sum(model.get_parameter(name).numel() for name in names)
    at_once = max(1, HELD // size)
    found = []
    with _learning(model, names) as chosen:
        for start in range(0, len(suspects), at_once):
            part = suspects[start : start + at_once]
            spans = [_gradient(model, one.span, chosen) for one in part]
            changes = _changes(model, part, spans, rows, chosen)
            found += [
                [
                    Influence(
                        row, changes[place, row],
                        tuple(changes[place, other] for other in others),
                    )
                    for row, others in one.matched.items()
                ]
                for place, one in enumerate(part)
            ]  # fmt: skip
    return found


def _changes(
    model: nn.Module, suspects: Sequence[Suspect], spans: Sequence[list[Tensor]],
    rows: Mapping[int, Scored], chosen: Sequence[nn.Parameter],
) -> dict[tuple[int, int], float]:  # fmt: skip
    """(suspect, row) -> nats per unit; each row's gradient is taken once."""
    asked: dict[int, list[int]] = {}
    for place, one in enumerate(suspects):
        for row in dict.fromkeys(
            [*one.matched, *(o for many in one.matched.values() for o in many)]
        ):
            asked.setdefault(row, []).append(place)
    found = {}
    for row, places in asked.items():
        down = _gradient(model, rows[row], chosen)  # of the answer's log-probability
        length = sum(float((part.double() ** 2).sum()) for part in down) ** 0.5
        for place in places:
            # up the loss is down the log-probability
            found[place, row] = -_dot(spans[place], down) / length if length else 0.0
    return found


def stepped(
    loaded: Loaded, span: Scored, row: Scored, length: float, layers: int | None = None
) -> float:
    """The change of the span's log-probability, nats, by one step of this length that unlearns the
    row; the weights are put back."""
    model = merged(loaded)
    with _learning(model, parameters(model, layers)) as chosen:
        before = _logprob(model, span).item()
        down = _gradient(model, row, chosen)
        norm = sum(float((part.double() ** 2).sum()) for part in down) ** 0.5
        kept = [parameter.detach().clone() for parameter in chosen]
        try:
            with torch.no_grad():
                for parameter, part in zip(chosen, down, strict=True):
                    parameter.sub_(part, alpha=length / norm)
            return _logprob(model, span).item() - before
        finally:
            with torch.no_grad():
                for parameter, old in zip(chosen, kept, strict=True):
                    parameter.copy_(old)


def merged(loaded: Loaded) -> nn.Module:
    """The model as one set of weights: an adapter becomes part of its base, for good."""
    if loaded.is_adapter:
        loaded.model = loaded.model.merge_and_unload()
        loaded.attached = None
    model: nn.Module = loaded.model
    return model


def parameters(model: nn.Module, layers: int | None) -> list[str]:
    """Names of all parameters, or of those in the last `layers` blocks.

    Raises ModelError where the blocks cannot be told.
    """
    names = [name for name, _ in model.named_parameters()]
    if layers is None:
        return names
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
    ]
    if not lists or layers < 1:
        raise ModelError(
            f"{type(model).__name__} keeps its blocks where they cannot be told apart; take the "
            "influence over all parameters."
        )
    name, blocks = max(lists, key=lambda one: len(one[1]))
    last = range(max(0, len(blocks) - layers), len(blocks))
    wanted = tuple(f"{name}.{number}." for number in last)
    return [one for one in names if one.startswith(wanted)]


@contextmanager
def _learning(model: nn.Module, names: Sequence[str]) -> Iterator[list[nn.Parameter]]:
    """These parameters with gradients, all others without; as it was afterwards."""
    before = {name: one.requires_grad for name, one in model.named_parameters()}
    chosen = set(names)
    try:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in chosen)
        yield [model.get_parameter(name) for name in names]
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before[name])


def _logprob(model: Any, one: Scored) -> Tensor:
    """Sum of the scored tokens' log-probabilities."""
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([one.ids], device=device)
    states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]
    at = [place for place in range(1, len(one.ids)) if one.scored[place]]
    chances = Head.of(model).logits(states[[place - 1 for place in at]]).log_softmax(-1)
    total: Tensor = chances.gather(1, ids[0, at].to(chances.device)[:, None]).sum()
    return total


def _gradient(model: Any, one: Scored, chosen: Sequence[nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(_logprob(model, one), list(chosen), allow_unused=True)
    return [
        torch.zeros_like(parameter) if part is None else part
        for parameter, part in zip(chosen, found, strict=True)
    ]


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    pairs = zip(one, other, strict=True)
    return sum(float((a.double() * b.double()).sum()) for a, b in pairs)
