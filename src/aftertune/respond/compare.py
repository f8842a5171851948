"""Would other batches have given other answers? In float32 no; in bfloat16 often, and harmlessly.

In bfloat16 a logit is rounded to about 1 part in 256, and how depends on the shapes of the
matrices, so on the batch. Where two tokens are nearly equal the rounding decides, and from there
on the two answers are different texts. Here a few prompts are answered again in other batches;
at the first token that differs the same weights are asked once more in float32. A difference
whose float32 margin (logit of the one token minus logit of the other, absolute) is no larger than
what rounding was measured to do to margins is noise; a larger one would be a mistake of ours.
"""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from aftertune.models.generate import Settings, generate
from aftertune.progress import Progress

N_CHECKED = 8


@dataclass(frozen=True)
class Answer:
    """A greedy answer as it stands in the table: token ids of prompt, given prefix, new part."""

    response_id: str
    prompt: list[int]
    prefix: list[int]
    new: list[int]


@dataclass(frozen=True)
class Difference:
    """Where two answers part: `position` within the response, its two tokens there."""

    answer: int
    position: int
    token_id: int
    other_token_id: int


def choose(n: int, seed: int, wanted: int = N_CHECKED) -> list[int]:
    """Up to `wanted` places of `n`, drawn with `seed`, in ascending order."""
    return sorted(random.Random(seed).sample(range(n), min(wanted, n)))


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """The first position with unlike tokens; None when one is the other or its beginning."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), None)


def unchecked(dtype: str, reason: str) -> dict[str, Any]:
    """What stands in the manifest where nothing was compared."""
    return {"dtype": dtype, "checked": False, "reason": reason}


def stability(
    model: PreTrainedModel,
    answers: Sequence[Answer],
    stop_ids: Sequence[int],
    settings: Settings,
    batch_size: int,
    progress: Progress,
) -> dict[str, Any]:
    """Answer again one by one (all together where `batch_size` was 1) and weigh what differs.

    Leaves `model` in float32: call it when the model is not needed any more. Margins are in
    logits; `noise_*` is |margin in the model's dtype - margin in float32| of the two likeliest
    tokens, over all positions of the answers.
    """
    dtype = str(model.dtype).removeprefix("torch.")
    size = len(answers) if batch_size == 1 else 1
    again = _again(model, answers, stop_ids, settings, size, progress)
    differences = [
        Difference(i, len(answer.prefix) + place, answer.new[place], other[place])
        for i, (answer, other) in enumerate(zip(answers, again, strict=True))
        if (place := first_difference(answer.new, other)) is not None
    ]
    rounded = [_top_two(_forced_logits(model, answer)) for answer in answers]
    result: dict[str, Any] = {
        "dtype": dtype,
        "checked": True,
        "reason": None,
        "n_answers": len(answers),
        "batch_size": batch_size,
        "other_batch_size": size,
        "n_differ": len(differences),
        "n_positions": sum(len(answer.prefix) + len(answer.new) for answer in answers),
    }
    try:
        noise, margins = _in_float32(model.to(torch.float32), answers, rounded, differences)
    except torch.OutOfMemoryError:
        reason = "no memory for the model in float32"
        return result | _weighed(answers, differences, None, None) | {"reason": reason}
    return result | _weighed(answers, differences, noise, margins)


def _again(
    model: PreTrainedModel, answers: Sequence[Answer], stop_ids: Sequence[int],
    settings: Settings, batch_size: int, progress: Progress,
) -> list[list[int]]:  # fmt: skip
    found: list[list[int]] = []
    with progress.task("answering again in other batches", len(answers)) as task:
        for start in range(0, len(answers), batch_size):
            batch = answers[start : start + batch_size]
            prompts, prefixes = [a.prompt for a in batch], [a.prefix for a in batch]
            generated = generate(model, prompts, stop_ids, settings, prefixes)
            found += [one.ids for one in generated]
            task.advance(len(batch))
    return found


def _forced_logits(model: PreTrainedModel, answer: Answer) -> torch.Tensor:
    """[R, V] float32: the logits that predict each token of the answer, in one pass over it."""
    response = [*answer.prefix, *answer.new]
    ids = torch.tensor([[*answer.prompt, *response]], device=model.device)
    with torch.inference_mode():
        output = model(input_ids=ids, logits_to_keep=len(response) + 1, use_cache=False)
    logits: torch.Tensor = output.logits[0, -len(response) - 1 : -1]
    return logits.float()


def _top_two(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[R, 2] ids of the two likeliest tokens and [R] the margin between them."""
    values, ids = logits.topk(2, dim=-1)
    return ids, values[:, 0] - values[:, 1]


def _in_float32(
    model: PreTrainedModel,
    answers: Sequence[Answer],
    rounded: Sequence[tuple[torch.Tensor, torch.Tensor]],
    differences: Sequence[Difference],
) -> tuple[list[float], list[float]]:
    noise: list[float] = []
    margins: list[float] = []
    for i, (answer, (ids, margin)) in enumerate(zip(answers, rounded, strict=True)):
        logits = _forced_logits(model, answer)
        pair = logits.gather(1, ids)
        noise += (pair[:, 0] - pair[:, 1] - margin).abs().tolist()
        margins += [
            abs(float(logits[d.position, d.token_id] - logits[d.position, d.other_token_id]))
            for d in differences
            if d.answer == i
        ]
    return noise, margins


def _weighed(
    answers: Sequence[Answer],
    differences: Sequence[Difference],
    noise: list[float] | None,
    margins: list[float] | None,
) -> dict[str, Any]:
    """The differences with their margins, and the noise they are held against; null if unknown."""
    largest = max(noise) if noise else None
    below = None
    if margins is not None and largest is not None:
        below = sum(margin <= largest for margin in margins)
    return {
        "differences": [
            {
                "response_id": answers[d.answer].response_id,
                "position": d.position,
                "token_id": d.token_id,
                "other_token_id": d.other_token_id,
                "margin_float32": margins[k] if margins else None,
            }
            for k, d in enumerate(differences)
        ],
        "n_below_noise": below,
        "margin_median": statistics.median(margins) if margins else None,
        "margin_max": max(margins) if margins else None,
        "noise_median": statistics.median(noise) if noise else None,
        "noise_max": largest,
    }
