"""Before the scoring: both models looked at, the noise floor measured, the dtype settled by it."""

import gc
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from aftertune.artefact import Artefact, Draft, write_durably
from aftertune.config import Dtype
from aftertune.errors import InputError
from aftertune.models import vocabulary
from aftertune.models.vocabulary import Vocabulary
from aftertune.progress import Progress
from aftertune.shift import noise
from aftertune.shift.alone import Alone
from aftertune.shift.base_prompts import BaseTemplate
from aftertune.shift.bodies import PROBE, Bodies, Together, may_rescore
from aftertune.shift.common import CommonIds
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import Limits, Models, readable
from aftertune.shift.noise import Noise
from aftertune.shift.pair import SIDES, Item, measured
from aftertune.shift.summary import summarise_floor

# A mean KL below so many times the noise floor of its 16-bit dtype is scored again in float32.
RESCORE_BELOW = 5.0

_MEASURED = "measured.json"


@dataclass(frozen=True)
class Ready:
    """Both models, and which of their ids mean the same."""

    bodies: Bodies
    vocab: Vocabulary
    common: CommonIds


@dataclass(frozen=True)
class Chosen:
    """The responses to score; how many of the others, by reason; what rendering the base's prompts
    had to say, and for how many responses."""

    items: list[Item]
    skipped: dict[str, int]
    notes: dict[str, int]


@dataclass(frozen=True)
class Measured:
    """What the noise floor decided, kept beside the parts while a run is unfinished."""

    dtype: Dtype
    absent: dict[str, str]  # kinds of noise that could not be measured, with the reason
    rescored: dict[str, Any] | None  # the numbers that asked for float32


def prepare(
    draft: Draft, config: ShiftConfig, models: Models, responses: Artefact,
    template: BaseTemplate | None, progress: Progress,
) -> tuple[Ready, Chosen, Measured]:  # fmt: skip
    """Models in the dtype to score in, what to score, and the noise floor as part 0 of its table.

    An unfinished run goes on with what was decided when it began.
    """
    before = _read_measured(draft)
    dtype = before.dtype if before else config.dtype
    ready = _ready(draft, config, models, dtype, progress)
    chosen = _choose(responses, ready, template)
    if before:
        return ready, chosen, before
    places = noise.sample(len(chosen.items), config.noise_responses, config.seed)
    drawn = [chosen.items[place] for place in places]
    found = _noise(config, ready, drawn, progress)
    rescored = _too_near(config, ready, drawn, found)
    if rescored:
        progress.say(
            f"{config.name}: mean KL {rescored['mean_kl_nats']:.4f} nats is not well above the "
            f"noise floor of {dtype}, {rescored['floor_nats']:.4f}; scoring in float32."
        )
        del ready  # its weights have to go before others come
        gc.collect()
        ready = _ready(draft, config, models, "float32", progress)
        found = _noise(config, ready, drawn, progress)
    settled = Measured(ready.bodies.dtype, found.absent, rescored)
    draft.write(0, {"noise_floor": found.table()})
    text = json.dumps(asdict(settled), allow_nan=False)
    write_durably(draft.scratch / _MEASURED, lambda path: path.write_text(text, encoding="utf-8"))
    return ready, chosen, settled


def _ready(
    draft: Draft, config: ShiftConfig, models: Models, dtype: Dtype, progress: Progress
) -> Ready:
    bodies = _bodies(draft, config, models, dtype, progress)
    vocab = vocabulary.between(bodies.side("base"), bodies.side("tuned"))
    if warning := vocab.warning():
        progress.warn(warning)
    common = CommonIds.of(
        torch.from_numpy(vocab.common), vocab.base_size, vocab.tuned_size, bodies.device
    )
    return Ready(bodies, vocab, common)


def _bodies(
    draft: Draft, config: ShiftConfig, models: Models, dtype: Dtype, progress: Progress
) -> Bodies:
    if config.one_at_a_time and not (models.share_weights or models.are_the_same):
        folder = draft.scratch / f"one-at-a-time-{dtype}"
        return Alone(config, models, dtype, folder, progress)
    if config.one_at_a_time:
        progress.say(
            f"{config.name}: one set of weights serves both models, so they are scored together."
        )
    return Together(config, models, dtype, progress)


def _choose(responses: Artefact, ready: Ready, template: BaseTemplate | None) -> Chosen:
    """What both models can read; raises InputError when that is nothing."""
    sizes = {"base": ready.vocab.base_size, "tuned": ready.vocab.tuned_size}
    limits = {
        which: Limits(sizes[which], ready.bodies.facts(which)["context_length"]) for which in SIDES
    }
    table = responses.table("responses")
    prompts = template.prompts(table) if template else None
    items, skipped = readable(table, limits, prompts.ids if prompts else None)
    if not items:
        reasons = (
            ", ".join(f"{n} with {reason}" for reason, n in skipped.items()) or "there are none"
        )
        raise InputError(
            f"no response in {responses.folder} can be scored ({reasons}); give responses with "
            "their token ids."
        )
    return Chosen(items, skipped, prompts.notes if prompts else {})


def _read_measured(draft: Draft) -> Measured | None:
    path = draft.scratch / _MEASURED
    if not path.exists() or not draft.has(0, ["noise_floor"]):
        return None
    return Measured(**json.loads(path.read_text(encoding="utf-8")))


def _noise(config: ShiftConfig, ready: Ready, drawn: Sequence[Item], progress: Progress) -> Noise:
    with progress.task(f"{config.name}: noise floor", 1) as task:
        # where there is one model in memory, it is the tuned one, which was looked at last
        tuned = ready.bodies.probe("tuned", drawn)
        found = ready.bodies.probe("base", drawn) + tuned
        task.advance()
    if any(row["kind"] == "identity" and row["kl_nats"] != 0 for row in found.rows):
        progress.warn(
            "the same pass twice gives different numbers on this machine; small shifts are noise."
        )
    return found


def _too_near(
    config: ShiftConfig, ready: Ready, drawn: Sequence[Item], found: Noise
) -> dict[str, Any] | None:
    """The numbers by which a shift in 16 bits asks for float32; None where it does not.

    The mean KL over the drawn responses is held against RESCORE_BELOW times the floor.
    """
    bodies = ready.bodies
    floor = summarise_floor(found.table(), bodies.dtype, {})["floor_nats"]
    if not may_rescore(config, bodies.dtype) or floor is None:
        return None
    heads = bodies.heads()
    scored = []
    for number, item in enumerate(drawn):
        states = bodies.states(PROBE, number, [item])
        scored.append(measured(states, heads, [item], ready.common, 1)[0]["kl_tuned_base_nats"])
    mean = float(torch.cat(scored).mean())
    if not mean < RESCORE_BELOW * floor:
        return None
    return {
        "from_dtype": bodies.dtype,
        "mean_kl_nats": mean,
        "floor_nats": floor,
        "rule": f"mean KL below {RESCORE_BELOW:g} times the floor",
        "n_responses": len(drawn),
    }
