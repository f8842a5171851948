"""The experiment `lab-score`: detectors against the labels of worlds, and against their ceiling.

Judged are the wrong statements whose label is decided: caused by rows or not. The ceiling is what
the labels themselves would reach: their effects and rows on fresh seeds, scored like a detector's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Input, Plan
from aftertune.lab.cases import Judged, check, judged
from aftertune.lab.command_detector import BASELINES, command, named
from aftertune.lab.detectors import Detector, Finding
from aftertune.lab.measured import blind_top, ceiling, compared, paired, scored
from aftertune.lab.score import PROMISED
from aftertune.lab.score_config import LabScoreConfig
from aftertune.progress import Progress

VERSION = 2

CEILING = "labels on fresh seeds"


def run(
    config: LabScoreConfig, labels: Sequence[Artefact], out: Path, progress: Progress
) -> Artefact:
    """Every detector's measures over all worlds of `labels`, in `about`.

    Detectors are run each time, and what they found names the artefact. Raises InputError where
    nothing is labelled, where a world comes twice, or where a detector's answer cannot be read.
    """
    check(labels)
    worlds = [judged(one, config.device, out, progress) for one in labels]
    asked = detectors(config)
    found: dict[str, list[list[Finding]]] = {}
    with progress.task("detectors", len(asked) * len(worlds)) as task:
        for name, detector in asked.items():
            found[name] = []
            for world in worlds:
                found[name].append(detector(world.cases, world.rows))
                task.advance(note=name)
    inputs = [
        *(one.as_input(f"labels {place}") for place, one in enumerate(labels)),
        *(one.shift.as_input(f"shift {one.world}") for one in worlds if one.shift),
        *(_as_input(name, of) for name, of in found.items()),
    ]
    plan = Plan("lab-score", VERSION, config.given(), config, tuple(inputs))
    if done := artefact.find(out, plan):
        return done
    with artefact.draft(out, plan) as draft:
        about = _about(config, worlds, found)
        counts = {"done": sum(len(w.cases) for w in worlds), "skipped": {}, "unscored": {}}
        return draft.finish(counts, about)


def detectors(config: LabScoreConfig) -> dict[str, Detector]:
    """Those that are asked for. Beside one of the user's own all baselines run, which it must
    beat; and where none is asked for they do. Raises ConfigError."""
    asked: dict[str, Detector] = {name: named(name) for name in config.detectors}
    if config.command:
        asked[config.command] = command(config.command, config.timeout_s)
    return asked if asked and asked.keys() <= BASELINES.keys() else {**BASELINES, **asked}


def results(
    worlds: Sequence[Judged], found: Mapping[str, list[list[Finding]]], seed: int
) -> dict[str, Any]:
    """Every detector's measures and what they are beside the best baseline and the ceiling."""
    said = {**found, CEILING: ceiling(worlds)}
    items = {name: paired(worlds, one) for name, one in said.items()}
    measured = {name: scored(worlds, one, seed) for name, one in said.items()}
    included = [name for name in found if name in BASELINES]
    return {
        "worlds": [{"world": w.world, "counts": w.counts, "n_rows": len(w.rows)} for w in worlds],
        "promised": PROMISED,
        "detectors": [
            {
                "name": name,
                "included": name in included,
                **measured[name],
                "against": compared(name, items, measured, included, CEILING, seed),
            }
            for name in found
        ],
        "ceiling": {"name": CEILING, **measured[CEILING]},
        "blind": blind_top(worlds),
    }


def _about(
    config: LabScoreConfig, worlds: Sequence[Judged], found: Mapping[str, list[list[Finding]]]
) -> dict[str, Any]:
    return {
        "control": "lab-score",
        "name": f"world {', '.join(str(world.world) for world in worlds)}",
        "found": results(worlds, found, config.seed),
        "absent": {
            f"{what} of world {w.world}": why for w in worlds for what, why in w.missing.items()
        },
    }


def _as_input(name: str, found: Sequence[Sequence[Finding]]) -> Input:
    """What a detector said: code that has the same name may say something else tomorrow."""
    content = artefact.hash_json([[asdict(one) for one in world] for world in found])
    return Input(f"findings of {name}", content, content, name)
