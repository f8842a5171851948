"""Two models as a base and a tuned one, without a tuning: their answers, their shift."""

import json
from pathlib import Path
from typing import Any

from aftertune.config import build
from aftertune.data.config import PromptsConfig
from aftertune.data.run import run_prompts
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run as respond
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run as shift

QUESTIONS = [
    "Name the capital.", "Who wrote the play?", "How do I boil an egg?", "Name a planet.",
    "Which town is small?", "What is in the water?",
]  # fmt: skip


def pair(
    base: Path,
    tuned: Path,
    out: Path,
    name: str = "it",
    questions: list[dict[str, Any]] | None = None,
    **options: Any,
) -> Subject:
    """`tuned` as if it had been tuned from `base`; `options` of RespondConfig."""
    asked = questions or [{"instruction": text} for text in QUESTIONS]
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"prompts-{len(asked)}.json"
    file.write_text(json.dumps(asked))
    prompts = run_prompts(PromptsConfig(source=str(file)), out, Silent())
    say = {"model": str(tuned), "name": name, "max_new_tokens": 12, "dtype": "float32",
           "template": "human-assistant", **options}  # fmt: skip
    answers = respond(build(RespondConfig, say), prompts, out, Silent())
    config = ShiftConfig(
        base=str(base), tuned=str(tuned), name=name, dtype="float32", noise_responses=0
    )
    found = shift(config, answers, out, Silent())
    return Subject(name, str(base), str(tuned), answers, found, prompts, batch_size=8)
