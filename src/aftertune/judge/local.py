"""A local model as a judge: greedy, or sampled with a stream of noise for every call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from aftertune.artefact import Input, hash_json
from aftertune.data.render import render_prompt, stop_ids
from aftertune.data.templates import Template, get
from aftertune.errors import InputError, ModelError, TemplateError
from aftertune.judge.calls import Call
from aftertune.judge.config import JudgeConfig
from aftertune.judge.journal import Answer, Heard, NoAnswer
from aftertune.judge.prompt import beginning
from aftertune.models.generate import Settings, decode, generate
from aftertune.models.identity import identity
from aftertune.models.load import Loaded, load, load_tokenizer
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import ModelRef, find
from aftertune.progress import Progress

TOO_LONG = "question and verdict do not fit into the judge's context"


@dataclass
class LocalJudge:
    """A model that was found and is loaded when it is asked, and what names it."""

    ref: ModelRef
    template: Template
    resolved: JudgeConfig
    inputs: tuple[Input, ...]
    environment: dict[str, Any]
    loaded: Loaded | None = None

    def describe(self) -> dict[str, Any]:
        """JSON values for a manifest."""
        return {"model": identity(self.ref).describe(), "template": self.template.name}

    def ask(
        self, calls: Sequence[Call], answered: set[str], heard: Callable[[Call, Heard], None],
        progress: Progress,
    ) -> None:  # fmt: skip
        """Ask the calls that are not `answered`.

        Batches are planned over all calls, since in 16 bits an answer depends on its neighbours:
        one that was interrupted is done again.
        """
        if answered.issuperset(call.key for call in calls):
            return
        config = self.resolved
        if self.loaded is None:
            self.loaded = load(
                self.ref, dtype=config.dtype, device=config.device, purpose="generate",
                progress=progress, trust_remote_code=config.trust_remote_code,
            )  # fmt: skip
        loaded = self.loaded
        stops = stop_ids(self.template, loaded.tokenizer)
        fitting = []
        for call in calls:
            ids = _ids(call, self.template, loaded, config)
            if isinstance(ids, NoAnswer):
                heard(call, ids)
            else:
                fitting.append((ids, call))
        fitting.sort(key=lambda one: len(one[0]))  # stable: the same batches in every run
        for start in range(0, len(fitting), config.batch_size):
            batch = fitting[start : start + config.batch_size]
            if not answered.issuperset(call.key for _, call in batch):
                _ask_batch(batch, loaded, stops, config, answered, heard)


def prepare(config: JudgeConfig) -> LocalJudge:
    """Find the model and decide template, device and dtype; raises ModelError, TemplateError."""
    assert config.local is not None
    ref = find(config.local, None)
    tokenizer = load_tokenizer(ref, trust_remote_code=config.trust_remote_code)
    template = get(config.template, tokenizer)
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device, parameter_count(ref), "generate", stored_dtype(ref))
    resolved = config.resolve(dtype=dtype, device=str(device), template=template.name)
    template_input = Input("template", template.sha256, template.sha256, template.name)
    inputs = (identity(ref).as_input("judge"), template_input)
    return LocalJudge(ref, template, resolved, inputs, environment(device))


def _ids(
    call: Call, template: Template, loaded: Loaded, config: JudgeConfig
) -> list[int] | NoAnswer:
    try:
        ids = list(render_prompt(call.messages, None, template, loaded.tokenizer).ids)
        begun = beginning(config.aspects)
        ids += loaded.tokenizer(begun, add_special_tokens=False).input_ids
    except (TemplateError, InputError) as error:
        return NoAnswer(str(error).rstrip("."), 0)
    room = loaded.facts["context_length"]
    if room is not None and len(ids) + config.max_tokens > room:
        return NoAnswer(TOO_LONG, 0)
    return ids


def _ask_batch(
    batch: Sequence[tuple[list[int], Call]], loaded: Loaded, stops: list[int],
    config: JudgeConfig, answered: set[str], heard: Callable[[Call, Heard], None],
) -> None:  # fmt: skip
    settings = Settings(config.max_tokens, config.temperature or None)
    seeds = None
    if settings.temperature is not None:
        named = [[config.seed, call.key, len(call.messages)] for _, call in batch]
        seeds = [int(hash_json(name)[:15], 16) for name in named]
    try:
        found = generate(
            loaded.plain, [ids for ids, _ in batch], stops, settings, sample_seeds=seeds
        )
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{config.local} has no memory to judge {len(batch)} answers at once on "
            f"{loaded.device}; lower --batch-size."
        ) from error
    for (ids, call), one in zip(batch, found, strict=True):
        if call.key not in answered:
            shown = one.ids[:-1] if one.finish_reason == "stop" else one.ids
            text = beginning(config.aspects) + decode(loaded.tokenizer, shown)
            heard(call, Answer(text, one.finish_reason, len(ids), len(one.ids)))
