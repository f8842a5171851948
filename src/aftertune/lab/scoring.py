"""The experiment `lab-score`: detectors against the labels of worlds, and against their ceiling.

Judged are the wrong statements whose label is decided: caused by rows or not. The ceiling is what
the labels themselves would reach: their effects on fresh seeds, scored like a detector's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Input, Plan
from aftertune.lab.cases import Judged, check, judged
from aftertune.lab.command_detector import command, named
from aftertune.lab.detectors import ABSENT, BASELINES, Case, Detector, Finding, Record
from aftertune.lab.score import TOP, Scored, random_top, score
from aftertune.lab.score_config import LabScoreConfig
from aftertune.progress import Progress
from aftertune.stats.intervals import absent

VERSION = 1

CEILING = "labels on fresh seeds"
NO_ROWS = "it names no rows"
_TOPS = tuple(f"top_{k}" for k in TOP)


def run(
    config: LabScoreConfig, labels: Sequence[Artefact], out: Path, progress: Progress
) -> Artefact:
    """Every detector's measures over all worlds of `labels`, in `about`.

    Intervals draw worlds where there are several, else prompts. Detectors are run each time, and
    what they found names the artefact. Raises InputError where nothing is labelled, where a world
    comes twice, or where a detector's answer cannot be read.
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
    """Those that are asked for, all baselines where none is; raises ConfigError."""
    asked: dict[str, Detector] = {name: named(name) for name in config.detectors}
    if config.command:
        asked[config.command] = command(config.command, config.timeout_s)
    return asked or dict(BASELINES)


def scored(
    worlds: Sequence[Judged], said: Sequence[Sequence[Finding]], seed: int
) -> dict[str, Any]:
    """A detector's measures (intervals as JSON), `n` and `unscored` statements by reason.

    A measure that it cannot have has its reason: top_k where it names no rows, everything where it
    scores nothing.
    """
    items: list[Scored] = []
    unscored: Counter[str] = Counter()
    for world, findings in zip(worlds, said, strict=True):
        for case, truth, one in zip(world.cases, world.truths, findings, strict=True):
            if one.score is None:
                unscored[one.reason or "no score"] += 1
            else:
                items.append(_item(case, truth, one.score, one.rows, one.q))
    result: dict[str, Any] = {"n": len(items), "unscored": dict(sorted(unscored.items()))}
    if not items:
        reason = unscored.most_common(1)[0][0] if unscored else "there are no decided statements"
        return {**result, "measures": {}, "reason": reason}
    measures = score(items, seed)
    if not any(one.blamed for one in items):
        measures |= dict.fromkeys(_TOPS, absent(NO_ROWS, len(items)))
    told = {name: interval.as_json() for name, interval in measures.items()}
    return {**result, "measures": told, "reason": measures["auroc"].reason}


def ceiling(worlds: Sequence[Judged], seed: int) -> dict[str, Any]:
    """The labels' effects on seeds B as scores. They name the rows of the label by themselves, so
    top_k would say nothing."""
    said = [[Finding(-truth["effect_b"]) for truth in world.truths] for world in worlds]
    return scored(worlds, said, seed)


def blind_top(worlds: Sequence[Judged]) -> dict[str, float | None]:
    """Chance that k rows of their world drawn blindly hold one of the causal set."""
    found: dict[str, float | None] = {}
    for k in TOP:
        total, caused = 0.0, 0
        for world in worlds:
            items = [_item(c, t, 0.0) for c, t in zip(world.cases, world.truths, strict=True)]
            if n := sum(one.caused for one in items):
                total, caused = total + n * random_top(items, len(world.rows), k), caused + n
        found[f"top_{k}"] = total / caused if caused else None
    return found


def _item(
    case: Case, truth: Record, value: float, rows: tuple[int, ...] = (), q: float | None = None
) -> Scored:
    caused = truth["label"] == "caused"
    return Scored(case.group, caused, value, rows, frozenset(truth["rows"]), q)


def _about(
    config: LabScoreConfig, worlds: Sequence[Judged], found: Mapping[str, list[list[Finding]]]
) -> dict[str, Any]:
    results = [{"name": name, **scored(worlds, said, config.seed)} for name, said in found.items()]
    missing = {} if config.detectors or config.command else dict(ABSENT)
    return {
        "control": "lab-score",
        "name": f"world {', '.join(str(world.world) for world in worlds)}",
        "found": {
            "worlds": [
                {"world": w.world, "counts": w.counts, "n_rows": len(w.rows)} for w in worlds
            ],
            "detectors": results,
            "ceiling": {"name": CEILING, **ceiling(worlds, config.seed)},
            "blind": blind_top(worlds),
        },
        "absent": missing | {f"shift of world {w.world}": w.no_shift for w in worlds if w.no_shift},
    }


def _as_input(name: str, found: Sequence[Sequence[Finding]]) -> Input:
    """What a detector said: code that has the same name may say something else tomorrow."""
    content = artefact.hash_json([[asdict(one) for one in world] for world in found])
    return Input(f"findings of {name}", content, content, name)
