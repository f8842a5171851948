"""Tuning speed and memory: TRL's stock SFTTrainer against ours, on the same rows, in one run.

    python bench/tune.py --data dolly.json --out bench/results/tune.json

Each measurement is a process of its own, so that its peak memory is its own; the two trainers of
a method run one after the other. Both get the same token ids and loss mask. Stock runs with its
activation checkpointing off; both compute in bfloat16 over float32 weights where the processor
has it. Speed counts real tokens (padding is nobody's achievement) over the training call alone.
That both compute the same thing is shown on one identical batch: the loss, and the gradient norm
in float32.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from aftertune.artefact import write_durably
from aftertune.data import templates
from aftertune.data.config import RowsConfig
from aftertune.data.render import render_row
from aftertune.data.run import run_rows
from aftertune.models.load import load, load_tokenizer
from aftertune.models.precision import choose_dtype
from aftertune.models.quiet import quiet
from aftertune.models.reference import resolve
from aftertune.progress import Silent
from aftertune.tune import batches
from aftertune.tune import model as models
from aftertune.tune.batches import PlanRow
from aftertune.tune.config import TuneConfig
from aftertune.tune.loss import Encoded
from aftertune.tune.trainer import train

METHODS = ("lora", "full")
PACKAGES = ("torch", "transformers", "trl", "peft")
Measured = dict[str, Any]


def main() -> None:
    """Measure all pairs and write one JSON file."""
    asked = _arguments()
    if asked.child:
        print(json.dumps(_child(json.loads(asked.child), asked)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = _render(asked, Path(folder))
        asked.rows_file = Path(folder) / "rendered.json"
        asked.rows_file.write_text(json.dumps(rows))
        speed = {method: _pair(method, asked) for method in METHODS}
        equal = {
            f"{method} {dtype}": {
                trainer: _run({"trainer": trainer, "method": method, "dtype": dtype, "first": True},
                              asked)
                for trainer in ("stock", "ours")
            }
            for method in METHODS
            for dtype in dict.fromkeys(("float32", asked.dtype))
        }  # fmt: skip
    result = {
        "what": "tune: TRL SFTTrainer (activation checkpointing off) against aftertune",
        "base": asked.base, "data": asked.data, "rows": len(rows["ids"]),
        "real_tokens": sum(map(len, rows["ids"])), "epochs": asked.epochs,
        "batch_size": asked.batch_size, "micro_batch_tokens": asked.micro_batch_tokens,
        "dtype": asked.dtype, "threads": torch.get_num_threads(), "processor": processor(),
        "machine": platform.machine(), "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "speed": speed, "one_identical_batch": equal,
    }  # fmt: skip
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(asked.out, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    _show(result, asked.out)


def processor() -> str:
    """The processor's name as the system says it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} logical cores"
    except OSError:
        pass
    return platform.processor() or "unknown"


def _pair(method: str, asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for trainer in ("stock", "ours"):
        runs = [
            _run({"trainer": trainer, "method": method, "dtype": asked.dtype}, asked)
            for _ in range(asked.repeats)
        ]
        middle = sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
        found[trainer] = {**middle, "all_seconds": [run["seconds"] for run in runs]}
    faster = found["ours"]["tokens_per_second"] / found["stock"]["tokens_per_second"]
    return {**found, "times_faster": round(faster, 2)}


def _run(what: dict[str, Any], asked: argparse.Namespace) -> Measured:
    command = [
        sys.executable, __file__, "--child", json.dumps(what), "--rows-file", str(asked.rows_file),
        "--base", asked.base, "--epochs", str(asked.epochs), "--batch-size", str(asked.batch_size),
        "--micro-batch-tokens", str(asked.micro_batch_tokens),
    ]  # fmt: skip
    print(f"measuring {json.dumps(what)} ...", file=sys.stderr, flush=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _render(asked: argparse.Namespace, folder: Path) -> dict[str, list[Any]]:
    """The first rows of the seeded draw that fit: their ids and loss masks."""
    rows = run_rows(RowsConfig(source=asked.data), folder, Silent())
    tokenizer = load_tokenizer(asked.base)
    template = templates.get(asked.template, tokenizer)
    records = rows.table("rows").to_pylist()
    if asked.max_characters:
        records = [row for row in records if _characters(row) < asked.max_characters]
    candidates = [PlanRow(r["row_id"], r["row_index"], r["cluster_id"], 1, 1) for r in records]
    chosen, _ = batches.draw(candidates, 0, asked.rows, None, 1)
    of_index = {record["row_index"]: record for record in records}
    rendered = [
        render_row(of_index[row.row_index]["messages"], of_index[row.row_index]["tools"], template,
                   tokenizer, 1024, tags=json.loads(of_index[row.row_index]["tags"]))
        for row in chosen
    ]  # fmt: skip
    return {"ids": [row.ids for row in rendered], "trained": [row.loss_mask for row in rendered]}


def _characters(row: dict[str, Any]) -> int:
    return sum(len(message["content"] or "") for message in row["messages"])


def _child(what: dict[str, Any], asked: argparse.Namespace) -> Measured:
    rows = json.loads(asked.rows_file.read_text())
    encoded = {
        index: Encoded(np.asarray(ids, dtype=np.int64), np.asarray(trained, dtype=np.bool_))
        for index, (ids, trained) in enumerate(zip(rows["ids"], rows["trained"], strict=True))
    }
    if what.get("first"):
        encoded = {index: encoded[index] for index in range(min(asked.batch_size, len(encoded)))}
    measure = _ours if what["trainer"] == "ours" else _stock
    with tempfile.TemporaryDirectory() as folder:
        found = measure(encoded, what, asked, Path(folder))
    if what.get("first"):
        return {name: found[name] for name in ("loss", "grad_norm")}
    epochs = asked.epochs
    tokens = sum(len(row.ids) for row in encoded.values()) * epochs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": round(found["seconds"], 2),
        "tokens_per_second": round(tokens / found["seconds"], 1),
        "peak_rss_mb": round(peak / (1024 if sys.platform == "linux" else 1024**2)),
        "steps": found["steps"],
    }


def _ours(
    rows: dict[int, Encoded], what: dict[str, Any], asked: argparse.Namespace, folder: Path
) -> Measured:
    first = what.get("first", False)
    config = TuneConfig.model_validate(
        {"base": asked.base, "method": what["method"], "dtype": what["dtype"], "device": "cpu",
         "epochs": 1 if first else asked.epochs, "batch_size": asked.batch_size,
         "micro_batch_tokens": asked.micro_batch_tokens, "schedule": "linear"}
    )  # fmt: skip
    plan_rows = [PlanRow(f"{i}", i, f"{i}", len(row.ids), row.n_trained) for i, row in rows.items()]
    plan = batches.plan(
        plan_rows, epochs=config.epochs, batch_size=config.batch_size, seed=0,
        micro_batch_tokens=config.micro_batch_tokens, group_by_length=True,
    )  # fmt: skip
    model = models.build(config, resolve(asked.base), torch.device("cpu"), Silent())
    tokenizer = load_tokenizer(asked.base)
    steps = batches.steps(plan)
    start = time.perf_counter()
    records = train(
        model, tokenizer, rows, steps, config, torch.device("cpu"), folder, Silent()
    )  # fmt: skip
    return {"seconds": time.perf_counter() - start, "steps": len(records), **records[0]}


def _stock(
    rows: dict[int, Encoded], what: dict[str, Any], asked: argparse.Namespace, folder: Path
) -> Measured:
    first = what.get("first", False)
    arguments = SFTConfig(
        output_dir=str(folder), use_cpu=True, bf16=what["dtype"] == "bfloat16",
        num_train_epochs=1 if first else asked.epochs, learning_rate=5e-5, seed=0,
        per_device_train_batch_size=asked.batch_size, activation_checkpointing=False,
        max_length=None, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    columns = {
        "input_ids": [row.ids.tolist() for row in rows.values()],
        "labels": [np.where(row.trained, row.ids, -100).tolist() for row in rows.values()],
    }
    model = load(asked.base, dtype="float32", device="cpu").model.requires_grad_(True)
    adapter = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear",
                         task_type="CAUSAL_LM")  # fmt: skip
    SFTTrainer._send_telemetry = lambda self: None
    with quiet():
        trainer = SFTTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns),
            processing_class=load_tokenizer(asked.base),
            peft_config=adapter if what["method"] == "lora" else None,
        )  # fmt: skip
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    record = trainer.state.log_history[0]
    return {"seconds": seconds, "steps": trainer.state.global_step, "loss": record["loss"],
            "grad_norm": record["grad_norm"]}  # fmt: skip


def _show(result: dict[str, Any], out: Path) -> None:
    for method, pair in result["speed"].items():
        for trainer in ("stock", "ours"):
            found = pair[trainer]
            print(f"{method:5} {trainer:6} {found['tokens_per_second']:8.1f} tokens/s  "
                  f"{found['peak_rss_mb']:6} MB  {found['seconds']:7.1f} s")  # fmt: skip
        print(f"{method:5} {pair['times_faster']:.2f} times the stock trainer's tokens per second")
    for name, pair in result["one_identical_batch"].items():
        for trainer, found in pair.items():
            print(f"{name}, {trainer}: loss {found['loss']:.5f}, "
                  f"gradient norm {found['grad_norm']:.5f}")  # fmt: skip
    print(f"written: {out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", default="embedded:pocket", help="rows: any source that aftertune reads"
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--template", default="alpaca")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument(
        "--max-characters",
        type=int,
        default=0,
        help="leave longer rows out, prompt and response together",
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=1, help="the middle one counts")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("bench/results/tune.json"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--rows-file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.dtype = choose_dtype(asked.dtype, "cpu", 0, "train")
    return asked


if __name__ == "__main__":
    main()
