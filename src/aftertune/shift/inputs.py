"""What goes into a shift: which two models, and which responses both of them can read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from aftertune.models import embedded
from aftertune.models.identity import Identity, identity
from aftertune.models.reference import ModelRef, find, local, resolve
from aftertune.progress import Progress
from aftertune.shift.config import ShiftConfig
from aftertune.shift.pair import SIDES, Item, Which

NO_IDS = "no token ids"
EMPTY = "no tokens in the response"
NO_PROMPT = "no tokens in the prompt"
UNREADABLE = "a token that one of the models has no embedding for"
REFUSED = "a prompt that the base's template refuses"
TOO_LONG = "longer than the context of one of the models"


@dataclass(frozen=True)
class Models:
    """Which two models were named; both are on this machine."""

    base: ModelRef
    tuned: ModelRef
    base_identity: Identity
    tuned_identity: Identity

    @property
    def share_weights(self) -> bool:
        """The tuned model is an adapter on this very base: one set of weights serves both."""
        inside = self.tuned_identity.base
        return inside is not None and inside.sha256 == self.base_identity.sha256

    @property
    def are_the_same(self) -> bool:
        """A model against itself, to see nothing."""
        return self.base_identity.sha256 == self.tuned_identity.sha256


def find_models(config: ShiftConfig, progress: Progress) -> Models:
    """Resolve both models. An adapter stands on the base that it names, or, where that cannot be
    had or is `config.base` by another name, on `config.base`. With `config.tuned_base`, both may
    be adapters, and those whose base cannot be had stand on that. Raises ModelError.
    """
    under = config.tuned_base
    base = find(config.base, under) if under else local(resolve(config.base))
    base_identity = identity(base)
    tuned = find(config.tuned, under or base)
    tuned_identity = identity(tuned)
    found = Models(base, tuned, base_identity, tuned_identity)
    if tuned.kind != "adapter" or found.share_weights or under:
        return found  # with `under`, what lies between two bases is what is asked
    if _is_copy_of(tuned.base, base):
        tuned = local(resolve(config.tuned, base))
        return Models(base, tuned, base_identity, identity(tuned))
    assert tuned.base is not None
    progress.warn(
        f"{config.tuned} is an adapter on {tuned.base.spec}, which is not {config.base}: the shift "
        "holds what lies between these two as well."
    )
    return found


def _is_copy_of(inside: ModelRef | None, base: ModelRef) -> bool:
    """Whether an adapter names the unpacked copy of the embedded model that is the base."""
    if base.kind != "embedded" or inside is None or inside.path is None:
        return False
    return inside.path.resolve() == embedded.folder(base).resolve()


@dataclass(frozen=True)
class Limits:
    """What a model can read: ids below `size`, sequences of at most `context` tokens."""

    size: int  # rows of its embedding matrix
    context: int | None


def readable(
    responses: pa.Table,
    limits: Mapping[Which, Limits],
    base_prompts: Mapping[str, list[int]] | None = None,
) -> tuple[list[Item], dict[str, int]]:
    """The responses that both models can read, in order; how many of the others, by reason.

    base_prompts: response_id -> the prompt as the base reads it, under a template of its own; a
    response that has none there was refused by it. Without it the base reads the tuned model's.
    """
    columns = ["response_id", "prompt_token_ids", "response_token_ids", "response", "finish_reason"]
    items, skipped = [], Counter[str]()
    for record in responses.select(columns).to_pylist():
        prompt, response = record["prompt_token_ids"], record["response_token_ids"]
        if prompt is None or response is None:
            skipped[NO_IDS] += 1
            continue
        name = record["response_id"]
        if base_prompts is not None and name not in base_prompts:
            skipped[REFUSED] += 1
            continue
        stopped = record["finish_reason"] == "stop"
        own = None if base_prompts is None else base_prompts[name]
        item = Item(name, prompt, response, record["response"], stopped, own)
        reasons = [_why_not(item, which, limits[which]) for which in SIDES]
        if reason := next(filter(None, reasons), None):
            skipped[reason] += 1
            continue
        items.append(item)
    return items, dict(sorted(skipped.items()))


def _why_not(item: Item, which: Which, limits: Limits) -> str | None:
    if not item.response:
        return EMPTY
    if not item.start(which):  # nothing would predict the first token
        return NO_PROMPT
    sequence = item.sequence(which)
    if max(sequence) >= limits.size:
        return UNREADABLE
    if limits.context is not None and len(sequence) > limits.context:
        return TOO_LONG
    return None
