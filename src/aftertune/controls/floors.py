"""A shift beside what another tuning shows, prompt by prompt (pure numpy)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from aftertune.shift.summary import per_response
from aftertune.stats.intervals import bootstrap_mean, paired_difference


def of_responses(tokens: pa.Table) -> dict[str, float]:
    """response_id -> mean KL(tuned from base) in nats of a `tokens` table."""
    found = per_response(tokens)
    return dict(
        zip(found["response_id"].tolist(), found["kl_tuned_base_nats"].tolist(), strict=True)
    )


def of_prompts(tokens: pa.Table, prompt_of: Mapping[str, str]) -> dict[str, float]:
    """prompt_id -> the mean over its responses of their mean KL, in nats."""
    held: dict[str, list[float]] = {}
    for response_id, mean in of_responses(tokens).items():
        held.setdefault(prompt_of[response_id], []).append(mean)
    return {prompt: float(np.mean(means)) for prompt, means in held.items()}


def compared(
    shift: Mapping[str, float],
    floor: Mapping[str, float],
    prompt_of: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """A shift and its floor where both were measured, paired; prompts are drawn again.

    shift, floor: mean KL in nats by response (prompt_of: response_id -> prompt_id) or, where the
    texts differ, by prompt. {n: what both have, n_prompts, share: floor / shift, difference:
    shift - floor in nats}; the last two are intervals as JSON values. A shift of 0 has no share.
    """
    both = [key for key in shift if key in floor]
    numbers: dict[str, int] = {}
    of_key = [
        numbers.setdefault(prompt_of[key] if prompt_of else key, len(numbers)) for key in both
    ]
    n = len(numbers)
    shifts, floors = (
        np.bincount(of_key, [values[key] for key in both], n) for values in (shift, floor)
    )
    counts = np.bincount(of_key, minlength=n)
    return {
        "n": len(both),
        "n_prompts": n,
        "share": bootstrap_mean(floors, shifts, seed).as_json(),
        "difference": paired_difference(shifts, floors, counts, counts, seed).as_json(),
    }
