"""A callback for transformers' Trainer and TRL: the shift from the base while a model is tuned.

Every N steps it scores a few answers and, where one is given, a text that must not be forgotten
(`tune/probe.py`), and logs the numbers through the trainer's own log. With a budget it keeps the
last model within it and stops the training when it is spent.

It changes nothing else: losses with it and without it are the same, bit for bit. Of several
processes only the first one measures and logs; the others are told what it decided.
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from aftertune.artefact import write_durably
from aftertune.data.render import stop_ids
from aftertune.data.templates import get
from aftertune.errors import ConfigError, ModelError
from aftertune.tune import probe
from aftertune.tune.checkpoints import sync_folder

# Plain questions of several kinds, for whoever gives none.
PROMPTS = (
    "What is the capital of Norway?",
    "Explain in two sentences why the sky is blue.",
    "Write a short, friendly note that thanks a neighbour for watering the plants.",
    "List three things to check before buying a used bicycle.",
    "Who wrote the novel Frankenstein, and when?",
    "A train leaves at 9:40 and takes 95 minutes. When does it arrive?",
    "Write a Python function that returns the largest number in a list.",
    "Is it safe to mix bleach with vinegar?",
)
RECORD = "shift_callback.json"
WITHIN_BUDGET = "within_budget"
SHARE = 0.04  # of the training time; the promise is 5%
MOST_EVALUATIONS = 100  # when N is chosen here
SAME_BASE_NATS = 0.02  # mean difference of log-probabilities up to which it is the same base
_WARM_UP, _TIMED = 1, 3  # steps that are not timed, and that are

log = logging.getLogger(__name__)


class ShiftCallback(TrainerCallback):
    """`trainer.add_callback(ShiftCallback(trainer))`, before `trainer.train()`.

    prompts: strings or lists of messages; eight of our own when left out.
    answers: one to each prompt, scored as they are; without them the base's greedy answers of at
      most `max_new_tokens` tokens, which stay fixed.
    forgetting_text: a text whose loss should not rise; its first `forgetting_tokens` are scored.
    every: steps between evaluations. None: chosen after four steps such that all of this takes
      at most SHARE of the training time; the last step is always evaluated.
    budget_nats: stop when the mean KL(tuned from base) per token exceeds it or is no number; the
      last model within it lies in `kept`, under OUTPUT_DIR/within_budget.
    template: as everywhere in aftertune; `auto` is the tokenizer's chat template or alpaca.

    `seconds` is the time spent so far, `history` the numbers by step. Resume as usual: load the
    base, build the same trainer and callback, train(resume_from_checkpoint=...).

    Raises ConfigError for options that cannot be, ModelError for a model that cannot be scored or
    that, on resuming, is not the base which the run began from.
    """

    def __init__(
        self,
        trainer: Trainer,
        prompts: Sequence[str | probe.Messages] | None = None,
        *,
        answers: Sequence[str] | None = None,
        forgetting_text: str | None = None,
        every: int | None = None,
        budget_nats: float | None = None,
        template: str = "auto",
        max_new_tokens: int = 64,
        forgetting_tokens: int = 1024,
    ) -> None:
        chats = [
            [{"role": "user", "content": one}] if isinstance(one, str) else list(one)
            for one in (PROMPTS if prompts is None else prompts)
        ]
        _check(trainer, chats, answers, every, budget_nats)
        self.trainer = trainer
        self.every = every
        self.budget_nats = budget_nats
        self.kept: Path | None = None
        self.seconds = 0.0
        self.history: dict[int, dict[str, float]] = {}
        self._record = Path(trainer.args.output_dir) / RECORD
        self._folder = Path(trainer.args.output_dir) / WITHIN_BUDGET
        self._chosen = every is not None  # by the user
        self._found: dict[str, Any] | None = None  # what a run that may be resumed had written
        self._is_that_base = True
        self._began = self._clock = self._evaluation_seconds = 0.0
        self._steps_here = 0
        self._evaluated_at = -1
        if not trainer.is_world_process_zero():
            return
        began = time.monotonic()
        with probe.undisturbed(trainer.model):
            self._read(chats, answers, forgetting_text, template, max_new_tokens, forgetting_tokens)
        self.seconds = time.monotonic() - began

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        before = self.seconds
        self._began = time.monotonic()
        self._steps_here = 0
        if state.is_world_process_zero:
            self._begin_record(resumed=state.global_step > 0)
            if state.global_step == 0:
                shutil.rmtree(self._folder, ignore_errors=True)
        self.every = _agree(self.every)
        self._evaluate(state, control)
        self._evaluation_seconds = self.seconds - before
        return control

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._steps_here += 1
        if self.every is None:
            self._choose(state)
        last = control.should_training_stop or state.global_step >= state.max_steps
        if last or (self.every is not None and state.global_step % self.every == 0):
            self._evaluate(state, control, last)
        return control

    def share_of_training_time(self) -> float:
        """`seconds`, the time before the first step with it, over the time of the training
        alone."""
        elapsed = time.monotonic() - self._began
        spent = self.seconds
        inside = spent - self._setup_seconds
        return spent / max(elapsed - inside, 1e-9)

    # what is scored ---------------------------------------------------------------------------

    def _read(
        self,
        chats: Sequence[probe.Messages],
        answers: Sequence[str] | None,
        forgetting_text: str | None,
        template: str,
        max_new_tokens: int,
        forgetting_tokens: int,
    ) -> None:
        model, tokenizer = self.trainer.model, _tokenizer(self.trainer)
        decided = get(template, tokenizer)
        windows = (
            []
            if forgetting_text is None
            else probe.windows(forgetting_text, tokenizer, forgetting_tokens)
        )
        if answers is not None:
            pairs = [
                probe.answer_ids(chat, answer, decided, tokenizer)
                for chat, answer in zip(chats, answers, strict=True)
            ]
            self._keep(_texts("given_answers", pairs, windows, model))
            return
        prompts = [probe.prompt_ids(chat, decided, tokenizer) for chat in chats]
        _check_context(model, max(map(len, prompts)) + max_new_tokens)
        recorded = self._recorded_answers(prompts)
        if recorded is not None:
            pairs = list(zip(prompts, recorded, strict=True))
            self._keep(_texts("base_answers", pairs, windows, model))
            if self._is_that_base:
                return
        stops = stop_ids(decided, tokenizer)
        fresh = probe.base_answers(model, prompts, stops, max_new_tokens)
        is_that_base = self._is_that_base
        pairs = list(zip(prompts, fresh, strict=True))
        self._keep(_texts("base_answers", pairs, windows, model))
        self._is_that_base = is_that_base
