"""Both models as the scoring sees them: what was found while loading, hidden states, heads.

`Together` holds both in memory; `alone.Alone` only ever one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from aftertune.config import Dtype
from aftertune.errors import ModelError
from aftertune.models.load import load
from aftertune.models.score import Head
from aftertune.models.vocabulary import Side
from aftertune.progress import Progress
from aftertune.shift import noise
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import Models
from aftertune.shift.noise import Noise
from aftertune.shift.pair import SIDES, Item, Pair, Which, read

PROBE = "probe"  # the responses of the noise floor, each in a batch of its own

Batches = Sequence[Sequence[Item]]


class Bodies(Protocol):
    """Two models in one dtype, in memory or on disk."""

    dtype: Dtype
    device: torch.device
    tokenizer: Any  # the tuned model's

    def facts(self, which: Which) -> dict[str, Any]:
        """What was found while loading: JSON values, as in `Loaded.facts`."""

    def side(self, which: Which) -> Side:
        """A model's tokens."""

    def probe(self, which: Which, drawn: Sequence[Item]) -> Noise:
        """A model's noise floor on the responses drawn for it."""

    def fill(self, parts: Mapping[str, Batches]) -> None:
        """Announce all that `states` will be asked for, by the names of parts."""

    def states(self, part: str, number: int, items: Sequence[Item]) -> dict[Which, Tensor]:
        """Of both models [tokens, H] of `items`, which are batch `number` of a part that `fill`
        was given, or of PROBE: one of the responses that `probe` was given."""

    def heads(self) -> dict[Which, Head]:
        """Both heads, proven against the models' own logits."""


class Together:
    """Both models in memory at once; an adapter and its base share one set of weights."""

    def __init__(
        self, config: ShiftConfig, models: Models, dtype: Dtype, progress: Progress
    ) -> None:
        options = loading(config, dtype, progress)
        base = None if models.share_weights else load(models.base, **options)
        tuned = base if models.are_the_same else None
        self.pair = Pair(base, tuned or load(models.tuned, **options))
        self.dtype = dtype
        self.device = self.pair.tuned.device
        self.tokenizer = self.pair.tuned.tokenizer
        self._config = config
        self._heads = self.pair.heads()

    def facts(self, which: Which) -> dict[str, Any]:
        base = self.pair.base if which == "base" else None
        return (base or self.pair.tuned).facts

    def side(self, which: Which) -> Side:
        if which == "tuned":
            return self.pair.tuned.side()
        return self.pair.base.side() if self.pair.base else self.pair.tuned.base_side()

    def probe(self, which: Which, drawn: Sequence[Item]) -> Noise:
        with self.pair.using(which) as model:
            return noise.measure(
                which, model, drawn, self._config.noise_tokens, self._config.noise_cached_tokens
            )

    def fill(self, parts: Mapping[str, Batches]) -> None:
        """Nothing: the states are made when they are asked for."""

    def states(self, part: str, number: int, items: Sequence[Item]) -> dict[Which, Tensor]:
        found = {}
        for which in SIDES:
            with self.pair.using(which) as model, room_for(len(items), self.device):
                found[which] = torch.cat(read(model, items, which))
        return found

    def heads(self) -> dict[Which, Head]:
        return self._heads


def loading(config: ShiftConfig, dtype: Dtype, progress: Progress) -> dict[str, Any]:
    """Options of `load` for both models."""
    return {
        "dtype": dtype,
        "device": config.device,
        "device_map": config.device_map,
        "trust_remote_code": config.trust_remote_code,
        "progress": progress,
    }


def may_rescore(config: ShiftConfig, dtype: Dtype) -> bool:
    """Whether the noise floor can still ask for float32."""
    return config.rescore and dtype != "float32"


@contextmanager
def room_for(n_items: int, device: torch.device) -> Iterator[None]:
    """Raises ModelError where a device has no memory for a batch of so many responses."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"there is no memory on {device} to score {n_items} responses at once; lower "
            "--batch-tokens."
        ) from error
