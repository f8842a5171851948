"""Tunings of a world's base and what they answer, alike for all experiments of the lab."""

from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.lab import base as base_stage
from aftertune.lab.config import Recipe
from aftertune.progress import Progress
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.tune import run as tune_stage
from aftertune.tune.config import TuneConfig

MAX_NEW_TOKENS = 48
_BATCH = 96  # prompts answered at once


def tuned(
    base: Artefact, rows: Artefact, recipe: Recipe, seed: int, out: Path, progress: Progress,
    weights: Path | None = None, **more: Any,
) -> Artefact:  # fmt: skip
    """The tuning of one shuffle seed. more: further options of `TuneConfig`."""
    options = {
        "base": str(base_stage.model_folder(base)),
        "name": f"world {base.config['seed']}, seed {seed}",
        "template": str(base.folder / "qa.jinja"),
        **recipe.as_options(),
        "seed": seed,
        "shuffle_seed": seed,
        "weights": weights,
        **more,
    }
    return tune_stage.run(build(TuneConfig, options), rows, out, progress)


def answered(
    model: Path, prompts: Artefact, base: Artefact, device: str, out: Path, progress: Progress
) -> Artefact:
    """Greedy answers of the model in a folder, in the form in which the world's text asks."""
    options = {
        "model": str(model),
        "name": "answers",
        "template": str(base.folder / "qa.jinja"),
        "max_new_tokens": MAX_NEW_TOKENS,
        "batch_size": _BATCH,
        "dtype": "float32",
        "device": device,
    }
    return respond_stage.run(build(RespondConfig, options), prompts, out, progress)
