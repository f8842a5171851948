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
import os
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
from aftertune.models.quiet import quiet
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
        chats: list[probe.Messages] = [
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
        self._recorded: dict[str, Any] | None = None  # what a run that may be resumed began with
        self._continues = False  # whether this base and these prompts are those
        self._began = self._clock = self._evaluation_seconds = self._before_training = 0.0
        self._steps = 0
        if trainer.is_world_process_zero():
            began = time.monotonic()
            windows: list[list[int]] = []
            if forgetting_text is not None:
                windows = probe.windows(
                    forgetting_text, trainer.model, _tokenizer(trainer), forgetting_tokens
                )
            with probe.undisturbed(trainer.model):
                self._read(chats, answers, windows, template, max_new_tokens)
            self.seconds = time.monotonic() - began

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._began, self._before_training = time.monotonic(), self.seconds
        self._steps = 0
        if state.is_world_process_zero:
            self._begin(resumed=state.global_step > 0)
        self.every = _agree(self.every)
        self._evaluate(state, control)
        self._evaluation_seconds = self.seconds - self._before_training
        return control

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._steps += 1
        if self.every is None:
            self._choose(state)
        last = control.should_training_stop or state.global_step >= state.max_steps
        if last or (self.every is not None and state.global_step % self.every == 0):
            self._evaluate(state, control, last)
        return control

    def share_of_training_time(self) -> float:
        """All time of this callback, its construction with it, over that of the training alone."""
        here = self.seconds - self._before_training
        return self.seconds / max(time.monotonic() - self._began - here, 1e-9)

    def _read(
        self,
        chats: Sequence[probe.Messages],
        answers: Sequence[str] | None,
        windows: list[list[int]],
        template: str,
        max_new_tokens: int,
    ) -> None:
        """Fix what is scored, and read the base: on the recorded answers where they are its own."""
        model, tokenizer = self.trainer.model, _tokenizer(self.trainer)
        chosen = get(template, tokenizer)
        self._recorded = _read_record(self._record)
        prompts = [probe.prompt_ids(chat, chosen, tokenizer) for chat in chats]
        on: probe.On = "base_answers" if answers is None else "given_answers"
        if answers is not None:
            pairs = zip(chats, answers, strict=True)
            given = [probe.answer_ids(*pair, chosen, tokenizer)[1] for pair in pairs]
        known = self._recorded
        if (
            known
            and (known["on"], known["prompts"]) == (on, prompts)
            and (answers is None or known["answers"] == given)
        ):
            self.texts = probe.texts(model, on, prompts, known["answers"], windows)
            self.base = probe.read_base(model, self.texts)
            self._continues = _same(self.base.logprobs, known["logprobs"])
        if self._continues:
            return
        if answers is None:
            probe.check_context(model, max(map(len, prompts)) + max_new_tokens)
            stops = stop_ids(chosen, tokenizer)
            given = probe.base_answers(model, prompts, stops, max_new_tokens)
        self.texts = probe.texts(model, on, prompts, given, windows)
        self.base = probe.read_base(model, self.texts)

    def _begin(self, resumed: bool) -> None:
        """Write down what this run began with, or go on with what it had."""
        if not resumed:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.kept = None
            self._write_record()
            return
        if self._recorded is None:
            log.warning(
                "the run that is resumed had no ShiftCallback: the model that the trainer was "
                "built with is taken as its base."
            )
            self._write_record()
            return
        if not self._continues:
            raise ModelError(
                "the run that is resumed began from another base or with other prompts: load the "
                f"base again and give the same prompts, or remove {self._record}."
            )
        self.every = self.every or self._recorded["every"]
        self.kept = max(self._folder.glob("step-*"), key=_step, default=None)

    def _choose(self, state: Any) -> None:
        """Choose N from the time that a step and an evaluation take here."""
        if self._steps == _WARM_UP:
            self._clock = _now()
        elif self._steps == _WARM_UP + _TIMED:
            step = (_now() - self._clock) / _TIMED
            chosen = spacing(self.seconds, self._evaluation_seconds, step, state.max_steps)
            self.every = _agree(chosen)
            if state.is_world_process_zero:
                self._write_record()

    def _evaluate(self, state: Any, control: Any, last: bool = False) -> None:
        over = False
        if state.is_world_process_zero:
            began = _now()
            with probe.undisturbed(self.trainer.model):
                numbers = probe.measure(self.trainer.model, self.base, self.texts)
            kl = numbers[f"shift_on_{self.texts.on}/kl_tuned_base_nats"]
            # written so that NaN is over the budget too
            over = self.budget_nats is not None and not kl <= self.budget_nats
            if self.budget_nats is not None and not over:
                self._keep(state.global_step)
            self.seconds += _now() - began
            if last or over:
                numbers["shift_callback/share_of_training_time"] = self.share_of_training_time()
            self.history[state.global_step] = numbers
            # SFTTrainer.log would close the averages that it keeps for its own next line; and
            # whoever logs takes the wish to log away
            wanted = control.should_log
            Trainer.log(self.trainer, dict(numbers))
            control.should_log = wanted
            if over:
                self._tell(kl, state.global_step)
        if self.budget_nats is not None and _agree(over):
            control.should_training_stop = True

    def _keep(self, step: int) -> None:
        """Save the model as `step-N`; only when it is whole does the one before it go."""
        target = self._folder / f"step-{step}"
        if not target.exists():  # a resumed run may begin with the very model that it had kept
            writing = self._folder / "writing"
            shutil.rmtree(writing, ignore_errors=True)
            with quiet():
                self.trainer.save_model(str(writing), _internal_call=True)
            (writing / "training_args.bin").unlink(missing_ok=True)  # a pickle
            sync_folder(writing)
            os.replace(writing, target)
        for other in self._folder.iterdir():
            if other != target:
                shutil.rmtree(other)
        self.kept = target

    def _tell(self, kl: float, step: int) -> None:
        kept = f"the last model within it is {self.kept}" if self.kept else "no model was within it"
        log.warning(
            f"stopped at step {step}: KL(tuned from base) is {kl:.4g} nats per token on "
            f"{self.texts.on.replace('_', ' ')}, and the budget is {self.budget_nats:g}; {kept}."
        )

    def _write_record(self) -> None:
        record = {
            "on": self.texts.on,
            "prompts": self.texts.prompts,
            "answers": self.texts.answers,
            "logprobs": self.base.logprobs.tolist(),
            "every": self.every,
        }
        self._record.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record)
        write_durably(self._record, lambda path: path.write_text(text, encoding="utf-8"))


def spacing(
    setup_seconds: float, evaluation_seconds: float, step_seconds: float, steps: int
) -> int:
    """Steps between evaluations such that these and the setup take at most SHARE of the time of
    `steps` steps; `steps`, which leaves the last one, where even that is too much.

    The last step is always evaluated, so a spacing of N makes ceil(steps / N) evaluations.
    """
    allowed = SHARE * step_seconds * steps - setup_seconds
    most = min(MOST_EVALUATIONS, int(allowed / max(evaluation_seconds, 1e-9)))
    return max(1, math.ceil(steps / max(1, most)))


def _check(
    trainer: Trainer,
    chats: Sequence[probe.Messages],
    answers: Sequence[str] | None,
    every: int | None,
    budget_nats: float | None,
) -> None:
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ConfigError(
            "the callback needs the whole model in one process; use it without FSDP and DeepSpeed."
        )
    if trainer.state.global_step > 0:
        raise ConfigError("this model was already trained; make the callback before train().")
    if not chats:
        raise ConfigError("there are no prompts to score; give some, or leave prompts out.")
    if answers is not None and len(answers) != len(chats):
        raise ConfigError(
            f"there are {len(answers)} answers to {len(chats)} prompts; give one to each."
        )
    if every is not None and every < 1:
        raise ConfigError(f"every is {every}; give a number of steps from 1 on, or none.")
    if budget_nats is not None and not budget_nats >= 0:
        raise ConfigError(f"budget_nats is {budget_nats}; give a number from 0 on, or none.")


def _tokenizer(trainer: Trainer) -> Any:
    found = trainer.processing_class
    if found is None:
        raise ConfigError("the trainer has no tokenizer; give it one as processing_class.")
    return getattr(found, "tokenizer", found)


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read; remove it.") from error


def _same(logprobs: torch.Tensor, recorded: list[float]) -> bool:
    difference = (logprobs - torch.tensor(recorded)).abs().mean()
    return bool(difference <= SAME_BASE_NATS)


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _now() -> float:
    """Seconds, once the device has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()


def _agree(value: Any) -> Any:
    """The first process's value, in all of them."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return value
    told = [value]
    torch.distributed.broadcast_object_list(told, src=0)
    return told[0]
