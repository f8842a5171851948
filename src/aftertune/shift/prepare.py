"""Before the scoring: both models loaded, the noise floor measured, and the dtype settled by it."""

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
from aftertune.models.load import load
from aftertune.models.score import Head
from aftertune.models.vocabulary import Vocabulary
from aftertune.progress import Progress
from aftertune.shift import noise
from aftertune.shift.common import CommonIds
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import Models, readable
from aftertune.shift.noise import Noise
from aftertune.shift.pair import Item, Pair, Which, score
from aftertune.shift.summary import summarise_floor

# A mean KL below so many times the noise floor of its 16-bit dtype is scored again in float32.
RESCORE_BELOW = 5.0

_MEASURED = "measured.json"


@dataclass(frozen=True)
class Ready:
    """Both models loaded and proven, and which of their ids mean the same."""

    pair: Pair
    heads: dict[Which, Head]
    vocab: Vocabulary
    common: CommonIds
    dtype: Dtype


@dataclass(frozen=True)
class Measured:
    """What the noise floor decided, kept beside the parts while a run is unfinished."""

    dtype: Dtype
    absent: dict[str, str]  # kinds of noise that could not be measured, with the reason
    rescored: dict[str, Any] | None  # the numbers that asked for float32


def prepare(
    draft: Draft, config: ShiftConfig, models: Models, responses: Artefact, progress: Progress
) -> tuple[Ready, list[Item], dict[str, int], Measured]:
    """Models in the dtype to score in, what to score, and the noise floor as part 0 of its table.

    An unfinished run goes on with what was decided when it began.
    """
    before = _read_measured(draft)
    ready = _ready(config, models, before.dtype if before else config.dtype, progress)
    items, skipped = _items(responses, ready)
    if before:
        return ready, items, skipped, before
    places = noise.sample(len(items), config.noise_responses, config.seed)
    drawn = [items[place] for place in places]
    found = _noise(config, ready, drawn, progress)
    rescored = _too_near(config, ready, drawn, found)
    if rescored:
        progress.say(
            f"{config.name}: mean KL {rescored['mean_kl_nats']:.4f} nats is not well above the "
            f"noise floor of {ready.dtype}, {rescored['floor_nats']:.4f}; scoring in float32."
        )
        del ready  # its weights have to go before others come
        gc.collect()
        ready = _ready(config, models, "float32", progress)
        found = _noise(config, ready, drawn, progress)
    measured = Measured(ready.dtype, found.absent, rescored)
    draft.write(0, {"noise_floor": found.table()})
    text = json.dumps(asdict(measured), allow_nan=False)
    write_durably(draft.scratch / _MEASURED, lambda path: path.write_text(text, encoding="utf-8"))
    return ready, items, skipped, measured


def _ready(config: ShiftConfig, models: Models, dtype: Dtype, progress: Progress) -> Ready:
    options: dict[str, Any] = {
        "dtype": dtype,
        "device": config.device,
        "trust_remote_code": config.trust_remote_code,
        "progress": progress,
    }
    base = None if models.share_weights else load(models.base, **options)
    tuned = base if models.are_the_same else None
    pair = Pair(base, tuned or load(models.tuned, **options))
    vocab = vocabulary.between(base.side() if base else pair.tuned.base_side(), pair.tuned.side())
    if warning := vocab.warning():
        progress.warn(warning)
    common = CommonIds.of(
        torch.from_numpy(vocab.common), vocab.base_size, vocab.tuned_size, pair.tuned.device
    )
    return Ready(pair, pair.heads(), vocab, common, dtype)


def _items(responses: Artefact, ready: Ready) -> tuple[list[Item], dict[str, int]]:
    """What both models can read; raises InputError when that is nothing."""
    loaded = [one for one in (ready.pair.base, ready.pair.tuned) if one]
    limits = [n for n in (one.facts["context_length"] for one in loaded) if n is not None]
    sizes = ready.vocab.base_size, ready.vocab.tuned_size
    items, skipped = readable(responses.table("responses"), sizes, min(limits, default=None))
    if not items:
        reasons = (
            ", ".join(f"{n} with {reason}" for reason, n in skipped.items()) or "there are none"
        )
        raise InputError(
            f"no response in {responses.folder} can be scored ({reasons}); give responses with "
            "their token ids."
        )
    return items, skipped


def _read_measured(draft: Draft) -> Measured | None:
    path = draft.scratch / _MEASURED
    if not path.exists() or not draft.has(0, ["noise_floor"]):
        return None
    return Measured(**json.loads(path.read_text(encoding="utf-8")))


def _noise(config: ShiftConfig, ready: Ready, drawn: Sequence[Item], progress: Progress) -> Noise:
    with progress.task(f"{config.name}: noise floor", 1) as task:
        found = noise.measure(ready.pair, drawn, config.noise_tokens, config.noise_cached_tokens)
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
    floor = summarise_floor(found.table(), ready.dtype, {})["floor_nats"]
    if ready.dtype == "float32" or not config.rescore or floor is None:
        return None
    scored = [
        score(ready.pair, ready.heads, [item], ready.common, 1)[0]["kl_tuned_base_nats"]
        for item in drawn
    ]
    mean = float(torch.cat(scored).mean())
    if not mean < RESCORE_BELOW * floor:
        return None
    return {
        "from_dtype": ready.dtype,
        "mean_kl_nats": mean,
        "floor_nats": floor,
        "rule": f"mean KL below {RESCORE_BELOW:g} times the floor",
        "n_responses": len(drawn),
    }
