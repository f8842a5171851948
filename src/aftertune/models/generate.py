"""Answers from a model: greedy, or sampled so that a draw does not depend on its neighbours.

transformers' own `generate` does the decoding. Two things are taken out of its hands: the
checkpoint's generation_config (a repetition penalty or sampling in it would change what "greedy"
means from model to model), and random numbers (its one global stream would make every draw depend
on who else is in the batch). A draw is the argmax of log-probability plus Gumbel noise, which is
a draw from the softmax (Gumbel 1954; Maddison et al. 2014), with one stream of noise per sequence.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from aftertune.errors import InternalError

# Padding is masked out and answers are cut by position, so its id means nothing; 0 always exists.
_PAD = 0


@dataclass(frozen=True)
class Settings:
    """How to decode. Without a temperature it is greedy; `top_p` and `top_k` need one."""

    max_new_tokens: int = 256
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


@dataclass(frozen=True)
class Generated:
    """One answer: its new token ids, the stop token among them when it stopped by itself."""

    ids: list[int]
    finish_reason: Literal["stop", "length"]


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stop_ids: Sequence[int],
    settings: Settings,
    prefixes: Sequence[Sequence[int]] | None = None,
    sample_seeds: Sequence[int] | None = None,
) -> list[Generated]:
    """Answer `prompts` (token ids) in one batch, in their order.

    `prefixes[i]` is a beginning of answer i that the model goes on from; only the ids after it
    are returned, and `max_new_tokens` counts only these. `sample_seeds[i]` names the stream of
    noise of sequence i and is needed when `settings.temperature` is given. In float32 an answer
    does not depend on the batch; in bfloat16 its logits, and so its tokens, may.
    """
    if not prompts:
        return []
    if settings.temperature is not None and (not sample_seeds or len(sample_seeds) != len(prompts)):
        raise InternalError("sampling needs one seed per sequence")
    begun = [[*p, *q] for p, q in zip(prompts, prefixes or [[]] * len(prompts), strict=True)]
    ids, mask = _left_padded(begun, model.device)
    with torch.inference_mode(), _neutral_generation_config(model):
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=GenerationConfig(
                max_new_tokens=settings.max_new_tokens,
                do_sample=False,  # draws are made by _GumbelNoise
                num_beams=1,
                use_cache=True,
                pad_token_id=_PAD,
                eos_token_id=list(stop_ids) or None,
            ),
            logits_processor=_warpers(settings, sample_seeds),
        )
    return [_cut(row, set(stop_ids)) for row in output[:, ids.shape[1] :].tolist()]


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of token ids; special tokens have none, and no space is tidied away."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)


class _GumbelNoise:
    """A logits processor: adds one Gumbel draw per token, from each sequence's own generator.

    Noise is drawn on the CPU in float64, in the order of steps, so that it is the same on every
    device and for every batch.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=g, dtype=torch.float64) for g in self.generators]
        )
        return scores - torch.log(-torch.log(uniform)).to(scores)  # rand() is never 1; 0 gives -inf


def _warpers(settings: Settings, seeds: Sequence[int] | None) -> LogitsProcessorList:
    # in transformers' own order: temperature, then top-k, then top-p
    processors = LogitsProcessorList()
    if settings.temperature is None:
        return processors
    processors.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k is not None:
        processors.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p is not None:
        processors.append(TopPLogitsWarper(settings.top_p))
    processors.append(_GumbelNoise(seeds or []))
    return processors


@contextmanager
def _neutral_generation_config(model: PreTrainedModel) -> Iterator[None]:
    # generate() fills every option that the caller leaves open from the model's own
    # generation_config, whose repetition_penalty or suppress_tokens cannot be unset from outside
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _left_padded(
    sequences: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(s) for s in sequences)
    ids = torch.full((len(sequences), width), _PAD)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        if not sequence:
            raise InternalError("a prompt without tokens cannot be answered")
        ids[row, width - len(sequence) :] = torch.tensor(sequence)
        mask[row, width - len(sequence) :] = 1
    return ids.to(device), mask.to(device)


def _cut(row: list[int], stop_ids: set[int]) -> Generated:
    # by position, never by pad id: padding may be the same id as a stop token
    for position, token in enumerate(row):
        if token in stop_ids:
            return Generated(row[: position + 1], "stop")
    return Generated(row, "length")
