"""TRL's trainer, made to follow a batch plan and to compute the head on trained positions only.

Optimiser, schedule, clipping, NEFTune, gradient checkpointing and resuming are TRL's and
transformers'. Ours are: which rows make a step (the plan; one item of the training set is one
step), the loss of a step (`tune/loss.py`), when a checkpoint is written and what counts as one
(`tune/checkpoints.py`), what is said meanwhile (nothing but progress), and how several processes
share a step: each computes some of its micro-batches, then gradients are summed, and all make the
same update. The trainer knows nothing of it: by itself it would deal out the items of the training
set and average gradients.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PrinterCallback, Trainer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from aftertune import parallel
from aftertune.errors import ConfigError, InternalError
from aftertune.models.quiet import quiet
from aftertune.models.score import Head
from aftertune.progress import Progress, Task
from aftertune.tune import checkpoints
from aftertune.tune.batches import noise_seed
from aftertune.tune.config import TuneConfig
from aftertune.tune.loss import Encoded, StepShare, backward, share

Steps = Sequence[Sequence[Sequence[int]]]  # [step][micro_batch][slot] -> row_index

# How launchers tell a process that it is one of several, or how to train.
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "ACCELERATE_", "PMI_",
             "OMPI_", "MV2_")  # fmt: skip


def train(
    model: Any,
    tokenizer: Any,
    rows: Mapping[int, Encoded],
    steps: Steps,
    config: TuneConfig,
    device: torch.device,
    folder: Path,
    progress: Progress,
) -> list[dict[str, float]]:
    """Train `model` (plain or PEFT) in place; one record per step: loss, grad_norm, learning_rate.

    `config` is resolved. Checkpoints go to `folder`, and the newest complete one there is gone on
    from; the result is bit for bit the same. `loss` is in nats, the mean over the step's trained
    tokens of weight x nll. Where several processes were started, all call this alike and end with
    the same weights. Raises ConfigError when the loss stops being a number.
    """
    plain = model.get_base_model() if isinstance(model, PeftModel) else model
    Head.of(plain).verify(plain)
    torch.manual_seed(config.seed)
    found = _checkpoint(folder)
    done = int(found.name.rpartition("-")[2]) if found else 0
    with quiet(), _kept_as_it_was(plain), _without_launcher():
        trainer = PlannedTrainer(model, tokenizer, rows, steps, config, device, folder)
        with progress.task(f"tune {config.name or config.method}", len(steps), done) as task:
            trainer.add_callback(Report(task))
            trainer.train(resume_from_checkpoint=str(found) if found else None)
    return [
        {name: float(entry[name]) for name in ("loss", "grad_norm", "learning_rate")}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]


class PlannedTrainer(SFTTrainer):
    """An SFTTrainer whose item is a whole optimiser step of the plan, cut into micro-batches."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        rows: Mapping[int, Encoded],
        steps: Steps,
        config: TuneConfig,
        device: torch.device,
        folder: Path,
    ) -> None:
        self.group = parallel.group()

        def collate_step(items: list[dict[str, int]]) -> StepShare:
            (item,) = items
            step = steps[item["step"]]
            return share(item["step"], step, rows, self.group.mine(range(len(step))))

        arguments = _arguments(config, device, folder)
        if arguments.world_size > 1:
            raise InternalError("the trainer must not know of other processes")
        super().__init__(
            model=model,
            args=arguments,
            data_collator=collate_step,
            train_dataset=Dataset.from_dict({"step": list(range(len(steps)))}),
            processing_class=tokenizer,
            callbacks=[Checkpoints(config.checkpoint_seconds)] if self.group.first else [],
        )
        # or it would be saved with every checkpoint, and the model's token ids aligned to it
        self.processing_class = None
        self.remove_callback(PrinterCallback)
        self.compute_dtype = getattr(torch, config.dtype)
        self.plain = model.get_base_model() if isinstance(model, PeftModel) else model
        self.head = Head.of(self.plain)
        self.step_loss = math.nan

    def training_step(
        self, model: Any, inputs: StepShare, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Gradients of one optimiser step, micro-batch after micro-batch; its loss in nats."""
        model.train()
        loss = 0.0
        for place, batch in inputs.micro_batches.items():
            torch.manual_seed(noise_seed(self.args.seed, inputs.step, place))
            loss += backward(self.plain, self.head, batch, inputs.normaliser, self.compute_dtype)
        self.step_loss = self._over_processes(loss)
        if not math.isfinite(self.step_loss):
            raise ConfigError(
                f"the loss is not a number at step {self.state.global_step + 1}; lower "
                "learning_rate, or set dtype to float32."
            )
        return torch.tensor(self.step_loss, device=self.args.device)

    def _over_processes(self, loss: float) -> float:
        """Sum gradients and loss over the processes. One without a micro-batch adds nothing; a
        parameter that no process has a gradient for stays without, as it would in one process."""
        if self.group.size == 1:
            return loss
        trained = [one for one in self.model.parameters() if one.requires_grad]
        total = torch.tensor([loss], dtype=torch.float64)
        reached = torch.tensor([one.grad is not None for one in trained], dtype=torch.long)
        parallel.add([total, reached])
        reached_by_any = [one for one, n in zip(trained, reached.tolist(), strict=True) if n]
        for one in reached_by_any:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        parallel.add([one.grad for one in reached_by_any])
        return float(total)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Into the trainer's state, which checkpoints keep; without the float32 of its sums."""
        if "loss" in logs:
            logs["loss"] = self.step_loss
        Trainer.log(self, logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # weights only: no tokenizer, and no pickle of the arguments
        extra = {} if self.plain is self.model else {"save_embedding_layers": False}
        self.model.save_pretrained(output_dir, **extra)

    def _get_num_items_in_batch(self, batch_samples: Any, device: Any) -> None:
        """Not looked for: a share of a step brings its own normaliser."""

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted."""
        return 0

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: the manifest says more."""

    def _send_telemetry(self) -> None:
        """None is sent."""


class Checkpoints(TrainerCallback):
    """Saves by the clock, so that short runs save nothing; numbers never depend on when."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        late = time.monotonic() - self.since >= self.seconds
        control.should_save = late and state.global_step < state.max_steps

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        root = Path(args.output_dir)
        checkpoints.seal(root / f"checkpoint-{state.global_step}")
        checkpoints.keep_newest(root)
        self.since = time.monotonic()


class Report(TrainerCallback):
    def __init__(self, task: Task) -> None:
        self.task = task

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = state.log_history[-1]
        if "loss" in last:
            self.task.advance(1, f"loss {last['loss']:.3f}")


@contextmanager
def _kept_as_it_was(plain: Any) -> Iterator[None]:
    """What the trainer sets on the model's config is undone: it is saved as it was found."""
    settings = vars(plain.config)
    before = dict(settings)
    try:
        yield
    finally:
        settings.clear()
        settings.update(before)


def _checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, as process 0 sees it; it removes partial ones."""
    found = checkpoints.newest(folder) if parallel.group().first else None
    chosen = parallel.share("the checkpoint", str(found) if found else None)
    return Path(chosen) if chosen else None


@contextmanager
def _without_launcher() -> Iterator[None]:
    """Within it no library sees that this process is one of several."""
    hidden = {name: os.environ[name] for name in os.environ if name.startswith(_LAUNCHER)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _arguments(config: TuneConfig, device: torch.device, folder: Path) -> SFTConfig:
    arguments = SFTConfig(
        output_dir=str(folder),
        seed=config.seed,
        use_cpu=device.type == "cpu",
        bf16=False,  # autocast stands in our own loss
        num_train_epochs=1,  # the plan holds all epochs
        per_device_train_batch_size=1,  # an item is a step
        gradient_accumulation_steps=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule if config.schedule != "constant" else
        "constant_with_warmup" if config.warmup_ratio else "constant",
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        neftune_noise_alpha=config.neftune_alpha,
        activation_checkpointing=config.gradient_checkpointing,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # by the clock, see Checkpoints
        save_total_limit=None,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )  # fmt: skip
    arguments._n_gpu = min(1, arguments.n_gpu)  # one device, also where several are visible
    return arguments
