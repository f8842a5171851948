"""What a run of the lab would do, in sentences, before it does anything."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aftertune.lab import labels, rows, world
from aftertune.lab.config import SIZES, LabBaseConfig, LabLabelsConfig

_SHAPE = ("per_kind", "per_domain", "hidden", "layers")


def base_sentences(config: LabBaseConfig) -> list[str]:
    """The world and its base."""
    sized = with_size(config)
    made = world.make(sized.seed, sized.per_kind, sized.per_domain)
    n_rows = len(rows.closed_rows(made))
    return [
        f"World {sized.seed}: {len(made.entities):,} entities, {len(made.placed):,} facts, "
        f"{n_rows:,} rows.",
        f"Its base: {sized.layers} layers of width {sized.hidden}, trained from scratch for "
        f"{sized.epochs:g} epochs of the world's text (nothing where OUT holds it).",
    ]


def labels_sentences(base: LabBaseConfig, config: LabLabelsConfig, out: Path) -> list[str]:
    """How many tunings labels take, and how long, by those of the same kind that OUT holds."""
    sized = with_size(base)
    records = rows.closed_rows(world.make(sized.seed, sized.per_kind, sized.per_domain))
    n_tunings = labels.n_tunings(config, records)
    steps = -(-len(records) // config.batch_size) * config.epochs
    seeds = len(config.seeds_a) + len(config.seeds_b)
    runs = f"one on all rows and {config.groups} that mask all rows of a value"
    if config.singly:
        runs += ", besides those that mask each row alone"
    said = [
        f"{n_tunings} tunings: for each of {seeds} shuffle seeds {runs}; "
        + ("some with tagged values; " if config.tags else "")
        + f"{config.method} at rate {config.learning_rate:g}, {steps:,} steps each."
    ]
    seconds = _seconds_each(out, sized, config)
    if seconds is None:
        said.append(f"How long: unknown, {out} holds no finished tuning of this kind.")
    else:
        said.append(
            f"How long: about {n_tunings * seconds / 3600:.2f} hours, since such a tuning took "
            f"{seconds:.0f} s; finished ones are reused."
        )
    return said


def with_size(config: LabBaseConfig) -> LabBaseConfig:
    """The config with what its size says and the user did not."""
    return LabBaseConfig.model_validate({**SIZES[config.size], **config.given()})


def _seconds_each(out: Path, base: LabBaseConfig, config: LabLabelsConfig) -> float | None:
    """Mean seconds of finished tunings alike, on bases of the same shape."""
    found = []
    for path in sorted(out.glob("tune-*/manifest.json")):
        tuned = _manifest(path)
        settings = tuned["config"]["resolved"]
        alike = all(
            settings[name] == getattr(config, name) for name in ("method", "epochs", "batch_size")
        )
        beside = Path(settings["base"]).parent / "manifest.json"
        if not alike or not beside.exists():
            continue
        theirs = _manifest(beside)
        shape = theirs["config"]["resolved"]
        if theirs["stage"] == "lab-base" and all(
            shape[name] == getattr(base, name) for name in _SHAPE
        ):
            found.append(float(tuned["seconds"]))
    return sum(found) / len(found) if found else None


def _manifest(path: Path) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
