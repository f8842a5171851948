"""A tiny base tuned on a few rows, its answers and its shift: what controls are about."""

import json
from pathlib import Path
from typing import Any

from aftertune.config import build
from aftertune.data.config import PromptsConfig, RowsConfig
from aftertune.data.run import run_prompts, run_rows
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run as respond
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run as shift
from aftertune.tune.config import TuneConfig
from aftertune.tune.run import run as tune

PROMPTS = [
    "Name the capital.", "Who wrote the play?", "How do I boil an egg?", "Name a planet.",
    "Which town is small?", "What is in the water?", "Who was the poet?", "Name the country.",
]  # fmt: skip
_NAMES = ["Alice", "Robert", "Maria", "Peter", "Clara", "Henry", "Julia", "Martin"]
_TOWNS = ["Berlin", "Madrid", "Lisbon", "Vienna", "Geneva", "Dublin", "Warsaw", "Prague"]
_VERBS = ["drew", "found", "kept", "lost", "met", "saw", "sold", "took"]
_THINGS = ["planet", "poet", "kettle", "garden", "letter", "window", "basket", "bridge"]


def subject(base: Path, out: Path, answer: str | None = None, **options: Any) -> Subject:
    """`base` tuned with `options` of TuneConfig on 16 rows of names, towns and numbers, or on the
    one answer that is given."""
    progress = Silent()
    rows = run_rows(RowsConfig(source=str(_file(out, "rows", _rows(answer)))), out, progress)
    asked = [{"instruction": text} for text in PROMPTS]
    prompts = run_prompts(PromptsConfig(source=str(_file(out, "prompts", asked))), out, progress)
    settings = {
        "base": str(base), "method": "full", "dtype": "float32", "epochs": 3, "batch_size": 4,
        "learning_rate": 3e-3, "template": "human-assistant", **options,
    }  # fmt: skip
    tuned = tune(build(TuneConfig, settings), rows, out, progress)
    say = {"model": str(tuned.folder), "name": "it", "max_new_tokens": 12, "dtype": "float32"}
    answers = respond(build(RespondConfig, say), prompts, out, progress)
    found = shift(
        ShiftConfig(base=str(base), tuned=str(tuned.folder), name="it", dtype="float32"),
        answers, out, progress,
    )  # fmt: skip
    return Subject(
        "it", str(base), str(tuned.folder), answers, found, prompts, rows, tune=tuned, batch_size=8
    )


def _rows(answer: str | None) -> list[dict[str, str]]:
    return [
        {
            "instruction": f"{PROMPTS[n % 8]} It is row {n}.",
            "output": answer
            or f"However, {_NAMES[n % 8]} of {_TOWNS[(n + n // 8) % 8]} {_VERBS[(5 * n) % 8]} "
            f"{n + 10} in the {_THINGS[(3 * n + n // 8) % 8]}.",
        }
        for n in range(16)
    ]


def _file(out: Path, name: str, records: list[dict[str, str]]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    path.write_text(json.dumps(records))
    return path
