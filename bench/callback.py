"""What ShiftCallback costs at its default setting, in TRL's stock training of a real model.

    python bench/callback.py --out bench/results/callback.json

LoRA and all parameters, each with the callback and without, in a process of its own and from the
same seed. The cost is counted inside the run that has it: the callback's construction and its
hooks, over the rest of the training. The run without shows that the losses are the same and what
the whole took. `every` is left to the callback, so it spreads its evaluations by what it measures;
a training that is too short for the setup costs more, and the shortest that costs 5% is given.
With `--threads 1` the process's own time counts, which other programs do not change.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from aftertune.artefact import write_durably
from aftertune.callback import ShiftCallback
from aftertune.data import readers
from aftertune.models.load import load, load_tokenizer
from aftertune.models.quiet import quiet
from measure import child, machine

METHODS = ("lora", "full")
PACKAGES = ("torch", "transformers", "trl", "peft")
PROMISE = 0.05
LEAST_EVALUATIONS = 2  # before the first step and after the last one
Measured = dict[str, Any]
Clock = Callable[[], float]


def main() -> None:
    """Measure each method with and without, and write one JSON file."""
    asked = _arguments()
    if asked.child:
        print(json.dumps(_train(json.loads(asked.child))))
        return
    what = {
        "model": asked.model, "steps": asked.steps, "batch_size": asked.batch_size,
        "threads": asked.threads,
    }  # fmt: skip
    runs = {
        method: {
            name: child(__file__, {**what, "method": method, "watch": watch}, asked.threads)
            for name, watch in (("without", False), ("with", True))
        }
        for method in METHODS
    }
    result = {
        "what": "ShiftCallback at its default setting in TRL's stock SFTTrainer",
        **what, "clock": "processor time" if asked.threads == 1 else "wall time",
        **machine(PACKAGES), "runs": runs,
        "same_losses": {
            method: pair["with"]["losses"] == pair["without"]["losses"]
            for method, pair in runs.items()
        },
    }  # fmt: skip
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(asked.out, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    _show(result)
    print(f"written: {asked.out}")


class Timed(ShiftCallback):
    """The callback with a clock around its hooks."""

    clock: Clock
    in_hooks = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> Any:
        start = self.clock()
        done = super().on_train_begin(*args, **kwargs)
        self.in_hooks += self.clock() - start
        return done

    def on_step_end(self, *args: Any, **kwargs: Any) -> Any:
        start = self.clock()
        done = super().on_step_end(*args, **kwargs)
        self.in_hooks += self.clock() - start
        return done


def _train(what: Measured) -> Measured:
    torch.set_num_threads(what["threads"])
    clock = time.process_time if what["threads"] == 1 else time.perf_counter
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer, tokens = _trainer(what, folder)
        setup, watch = 0.0, None
        if what["watch"]:
            start = clock()
            watch = Timed(trainer)
            setup = clock() - start
            watch.clock = clock
            trainer.add_callback(watch)
        start = clock()
        trainer.train()
        seconds = clock() - start
    log = trainer.state.log_history
    found: Measured = {
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "losses": [entry["loss"] for entry in log if "loss" in entry],
    }
    return found if watch is None else found | _cost(watch, setup, seconds, what["steps"])


def _cost(watch: Timed, setup: float, seconds: float, steps: int) -> Measured:
    """The share, and how few steps of this kind would cost no more than what is promised."""
    training = seconds - watch.in_hooks
    evaluation = watch.in_hooks / len(watch.history)
    least = setup + LEAST_EVALUATIONS * evaluation
    return {
        "every": watch.every,
        "evaluations": len(watch.history),
        "setup_seconds": round(setup, 2),
        "evaluation_seconds": round(evaluation, 2),
        "step_seconds": round(training / steps, 2),
        "share_of_training_time": round((setup + watch.in_hooks) / training, 4),
        "own_share_of_training_time": round(watch.share_of_training_time(), 4),
        "fewest_steps_within_promise": math.ceil(least / (PROMISE * training / steps)),
        "answer_tokens": sum(watch.texts.lengths),
        "tokens_read": sum(map(len, watch.texts.sequences)),
    }


def _trainer(what: Measured, folder: str) -> tuple[SFTTrainer, int]:
    """TRL's trainer on the packaged rows, and how many real tokens it reads in all."""
    tokenizer = load_tokenizer(what["model"])
    lines = (Path(readers.__file__).parent / "pocket" / "rows.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in lines.splitlines()]
    wanted = what["steps"] * what["batch_size"]
    rows = (rows * math.ceil(wanted / len(rows)))[:wanted]
    columns = [_encoded(row, tokenizer) for row in rows]
    arguments = SFTConfig(
        output_dir=folder, use_cpu=True, bf16=True, max_steps=what["steps"], learning_rate=5e-5,
        per_device_train_batch_size=what["batch_size"], activation_checkpointing=False, seed=0,
        max_length=None, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    adapter = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = load(what["model"], dtype="float32", device="cpu").model.requires_grad_(True)
    SFTTrainer._send_telemetry = lambda self: None
    trainer = SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(columns),
        processing_class=tokenizer, peft_config=adapter if what["method"] == "lora" else None,
    )  # fmt: skip
    return trainer, sum(len(row["input_ids"]) for row in columns)


def _encoded(row: dict[str, str], tokenizer: Any) -> dict[str, list[int]]:
    prompt = tokenizer(f"### Instruction:\n{row['instruction']}\n\n### Response:\n")["input_ids"]
    answer = [*tokenizer(row["output"])["input_ids"], tokenizer.eos_token_id]
    return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


def _show(result: Measured) -> None:
    for method, pair in result["runs"].items():
        watched = pair["with"]
        print(
            f"{method}: {watched['share_of_training_time']:.1%} of the training time, every "
            f"{watched['every']} steps; setup {watched['setup_seconds']} s, evaluation "
            f"{watched['evaluation_seconds']} s, step {watched['step_seconds']} s; within "
            f"{PROMISE:.0%} from {watched['fewest_steps_within_promise']} steps on; whole run "
            f"{watched['seconds']} s with, {pair['without']['seconds']} s without; "
            f"same losses: {result['same_losses'][method]}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("bench/results/callback.json"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
