"""What the training callback measures: a model in training against the base it began as.

The base is read once, before the first step: its final hidden states at the answers' positions
(N x H numbers) and its output matrix, of which a copy is held only where training changes it.
Later only the tuned model passes, and both heads are applied to a few positions at a time. No
second model is held. Every pass is outside autocast, in the dtype that the weights have, so the
numbers are those of the shift stage on the same text in that dtype, and the base against itself
is exactly 0.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn

from aftertune.data.encode import encode
from aftertune.data.render import render_prompt, render_row
from aftertune.data.templates import Template
from aftertune.errors import ConfigError, ModelError
from aftertune.models.generate import Settings, generate
from aftertune.models.quiet import quiet
from aftertune.models.score import Head, hidden_states
from aftertune.shift.categories import CATEGORIES
from aftertune.shift.common import CommonIds
from aftertune.shift.metrics import position_metrics

On = Literal["base_answers", "given_answers"]
Messages = Sequence[Mapping[str, str | None]]

WINDOW = 256  # tokens of the forgetting text that are read at once
_BATCH = 4  # sequences in one pass
_LOGITS = 2**24  # numbers of logits held at once, of each model
# With these the base is the adapter's first state, and what lies under it is a remainder.
_TAKES_FROM_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class Texts:
    """What is scored, in token ids: prompt and answer as one sequence, and where answers begin;
    and the windows of the forgetting text (none where there is no such text)."""

    on: On
    sequences: list[list[int]]
    starts: list[int]
    windows: list[list[int]]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each answer."""
        return [len(ids) - at for ids, at in zip(self.sequences, self.starts, strict=True)]

    @property
    def prompts(self) -> list[list[int]]:
        return [ids[:at] for ids, at in zip(self.sequences, self.starts, strict=True)]

    @property
    def answers(self) -> list[list[int]]:
        return [ids[at:] for ids, at in zip(self.sequences, self.starts, strict=True)]


@dataclass(frozen=True, eq=False)
class Base:
    """What is kept of the base. states [N, H] predict the N answer tokens; `logprobs` [N] are
    theirs, by which the same base is known again; `text_nats` is the mean over the forgetting
    text, None without one."""

    states: Tensor
    head: Head
    logprobs: Tensor
    text_nats: float | None


def prompt_ids(messages: Messages, template: Template, tokenizer: Any) -> list[int]:
    return list(render_prompt(messages, None, template, tokenizer).ids)


def answer_ids(
    messages: Messages, answer: str, template: Template, tokenizer: Any
) -> tuple[list[int], list[int]]:
    """Ids of a prompt and of a given answer to it, with the stop token as the template has it."""
    asked = prompt_ids(messages, template, tokenizer)
    row: list[Mapping[str, str | None]] = [*messages, {"role": "assistant", "content": answer}]
    rendered = render_row(row, None, template, tokenizer, train_on="last")
    end = max(place for place, trained in enumerate(rendered.loss_mask) if trained) + 1
    return asked, list(rendered.ids[len(asked) : end])


def windows(text: str, model: Any, tokenizer: Any, at_most: int) -> list[list[int]]:
    """The first `at_most` ids of a text in windows of WINDOW; raises ConfigError without a pair."""
    ids = encode(text, tokenizer, first=True)[0][:at_most]
    context = getattr(plain(model).config.get_text_config(), "max_position_embeddings", None)
    size = min(WINDOW, context or WINDOW)
    found = [ids[at : at + size] for at in range(0, len(ids), size)]
    found = [window for window in found if len(window) > 1]  # nothing predicts a first token
    if not found:
        raise ConfigError(
            "the forgetting text has fewer than two tokens; give a longer one, or none."
        )
    return found


def texts(
    model: Any,
    on: On,
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    windows: list[list[int]],
) -> Texts:
    """What is scored; raises ConfigError where `model` cannot read it."""
    pairs = list(zip(prompts, answers, strict=True))
    check_context(model, max(len(prompt) + len(answer) for prompt, answer in pairs))
    sequences = [[*prompt, *answer] for prompt, answer in pairs]
    return Texts(on, sequences, [len(prompt) for prompt in prompts], windows)


def check_context(model: Any, longest: int) -> None:
    """Raises ConfigError when a sequence of `longest` tokens is more than the model reads."""
    config = plain(model).config.get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    if context is not None and longest > context:
        raise ConfigError(
            f"a prompt with its answer has {longest} tokens and the model reads {context}; give "
            "shorter prompts or answers, or a smaller max_new_tokens."
        )


def base_answers(
    model: Any, prompts: Sequence[list[int]], stops: Sequence[int], max_new_tokens: int
) -> list[list[int]]:
    """The base's greedy answers, the stop token with them."""
    with as_base(model):
        settings = Settings(max_new_tokens=max_new_tokens)
        return [one.ids for one in generate(plain(model), prompts, stops, settings)]


def read_base(model: Any, texts: Texts) -> Base:
    """Read the base off a model that has not been trained yet. Call it within `undisturbed`.

    Raises ModelError for an architecture whose head is not known.
    """
    with as_base(model):
        head = _kept_head(model)
        head.verify(model)
        states = _states(model, texts.sequences, texts.starts)
        targets = _flat(texts.answers)
        return Base(states, head, _logprobs(head, states, targets), _nats(model, head, texts))


def measure(model: Any, base: Base, texts: Texts) -> dict[str, float]:
    """The numbers to log: `shift_on_{texts.on}/...` and `forgetting/nats_per_token`.

    KL is in nats, categories are shares of the tokens. Forgetting is the rise of the mean
    negative log-probability of the text: positive where the base knew it better. What is not a
    number stays NaN. Call it within `undisturbed`.
    """
    head = _head(model)[0]
    states = _states(model, texts.sequences, texts.starts)
    ids = _flat(texts.answers).to(base.head.weight.device)
    common = CommonIds.of(None, len(base.head.weight), len(head.weight), ids.device)
    chunk = _chunk(head)
    parts = [
        position_metrics(
            base.head.logits(base.states[at : at + chunk]),
            head.logits(states[at : at + chunk]).to(ids.device),
            ids[at : at + chunk],
            common,
            top_k=1,
        )
        for at in range(0, len(ids), chunk)
    ]
    columns = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    kl = columns["kl_tuned_base_nats"].double()
    category = columns["category"]
    numbers = {
        "kl_tuned_base_nats": kl.mean(),
        "kl_tuned_base_nats_per_response": _mean_of_means(kl, texts.lengths),
        "kl_base_tuned_nats": columns["kl_base_tuned_nats"].double().mean(),
    }
    for code, name in enumerate(CATEGORIES, start=1):
        # a rank is still a rank where the logits are NaN, and would mislead
        numbers[name] = (category == code).double().masked_fill(kl.isnan(), torch.nan).mean()
    found = {f"shift_on_{texts.on}/{name}": float(value) for name, value in numbers.items()}
    text_nats = _nats(model, head, texts)
    if base.text_nats is not None and text_nats is not None:
        found["forgetting/nats_per_token"] = text_nats - base.text_nats
    return found


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Within it the model is in eval mode, without gradients and autocast; afterwards every
    module has its own mode again, and all random streams stand where they stood."""
    modes = [(module, module.training) for module in model.modules()]
    streams = random.getstate(), np.random.get_state()
    places = {parameter.device for parameter in model.parameters()}
    cuda = sorted({place.index or 0 for place in places if place.type == "cuda"})
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(cuda))
            stack.enter_context(torch.no_grad())
            for kind in {place.type for place in places}:
                stack.enter_context(torch.autocast(kind, enabled=False))
            model.eval()
            yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(streams[0])
        np.random.set_state(streams[1])


@contextmanager
def as_base(model: Any) -> Iterator[None]:
    """The base of a model that has not been trained yet: its adapter off, or the model itself.

    Raises ModelError for adapters that are no part of the layers (prompt tuning).
    """
    if not isinstance(model, PeftModel):
        yield
        return
    config = model.active_peft_config
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise ModelError(
            f"a {config.peft_type} adapter has no weights beside the base's; the callback "
            "measures only adapters on the base's layers, like LoRA and DoRA."
        )
    if str(getattr(config, "init_lora_weights", "")).lower().startswith(_TAKES_FROM_BASE):
        yield
        return
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with ExitStack() as stack:
            with quiet():  # PEFT warns of biases, which nothing has trained yet
                stack.enter_context(model.disable_adapter())
            yield
    finally:
        for parameter, was in trainable:  # PEFT makes its weights trainable on the way out
            parameter.requires_grad_(was)


def plain(model: Any) -> Any:
    """The transformers model without PEFT's wrapper."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _head(model: Any) -> tuple[Head, set[int]]:
    """The head as it acts now, without gradients; and where the parameters in it that learn lie."""
    module = plain(model).get_output_embeddings()
    learning = [] if module is None else [p for p in module.parameters() if p.requires_grad]
    try:
        for parameter in learning:  # or an adapter on the head would be refused
            parameter.requires_grad_(False)
        return Head.of(model), {parameter.data_ptr() for parameter in learning}
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _kept_head(model: Any) -> Head:
    """The head that stays the base's: what training will change is copied."""
    head, learning = _head(model)
    if head.weight.data_ptr() in learning:
        head = replace(head, weight=head.weight.clone())
    if head.bias is not None and head.bias.data_ptr() in learning:
        head = replace(head, bias=head.bias.clone())
    return head


def _states(model: Any, sequences: list[list[int]], starts: list[int]) -> Tensor:
    found: list[Tensor] = []
    for at in range(0, len(sequences), _BATCH):
        part = slice(at, at + _BATCH)
        batch = hidden_states(model, sequences[part], starts[part])
        found.append(torch.cat(batch))
    return torch.cat(found)


def _nats(model: Any, head: Head, texts: Texts) -> float | None:
    """Mean negative log-probability of the forgetting text's tokens, first ones left out."""
    if not texts.windows:
        return None
    states = _states(model, texts.windows, [1] * len(texts.windows))
    targets = _flat([window[1:] for window in texts.windows])
    return -float(_logprobs(head, states, targets).double().mean())


def _logprobs(head: Head, states: Tensor, targets: Tensor) -> Tensor:
    """[N]: log-probability of every target, on the CPU."""
    chunk = _chunk(head)
    found = []
    for at in range(0, len(targets), chunk):
        logits = head.logits(states[at : at + chunk])
        losses = nn.functional.cross_entropy(
            logits, targets[at : at + chunk].to(logits.device), reduction="none"
        )
        found.append(-losses.cpu())
    return torch.cat(found)


def _chunk(head: Head) -> int:
    return max(1, min(256, _LOGITS // head.weight.shape[0]))


def _flat(sequences: list[list[int]]) -> Tensor:
    return torch.tensor([token for sequence in sequences for token in sequence])


def _mean_of_means(values: Tensor, lengths: list[int]) -> Tensor:
    return torch.stack([part.mean() for part in values.split(lengths)]).mean()
