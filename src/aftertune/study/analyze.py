"""`control-study`: what people's ratings show, and how far people can be believed.

Works on a study that is still running: what is not known yet is named. Nobody's name is in it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Input, Plan
from aftertune.errors import ArtefactError, ConfigError, InputError
from aftertune.progress import Progress
from aftertune.study import collected, given
from aftertune.study.agreement import Drawing
from aftertune.study.collected import Collected
from aftertune.study.config import AnalyzeConfig
from aftertune.study.found import of_file, of_study

VERSION = 2
# of a study's settings, what its design was
_DESIGN = ("kind", "overlap", "batch_size", "pilot", "repeats", "aspects", "sample", "seed")
_PEOPLE = ("annotators", "adjudicators")


def run(
    config: AnalyzeConfig, out: Path, progress: Progress, judge: Artefact | None = None,
    trace: Artefact | None = None,
) -> Artefact:  # fmt: skip
    """Analyse a study's folder, or ratings in a file; what was found stands in `about`.

    judge: an artefact with verdicts on the same answers; trace: one with their borrowings. Raises
    InputError where there are no ratings.
    """
    drawing = Drawing(config.seed, config.draws, config.level)
    if config.ratings is not None:
        return _of_file(config, drawing, out)
    assert config.study is not None
    study = collected.read(config.study)
    if not study.rated:
        raise InputError(f"nobody has rated anything in {config.study} yet; there is nothing to "
                         "analyse.")  # fmt: skip
    _check(study, judge, trace)
    inputs = [_state(study, config.study)]
    inputs += [one.as_input(name) for name, one in (("judge", judge), ("trace", trace)) if one]
    plan = Plan("control-study", VERSION, config.given(), config, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    with progress.task("analysing ratings", 1) as task:
        found_here = of_study(
            study.rated, study.kind, study.aspects, study.asked, drawing,
            judge.table("verdicts").to_pylist() if judge else None,
            trace.table("borrowings").to_pylist() if trace else None,
            trace.config["q"] if trace else None,
        )  # fmt: skip
        task.advance()
    about: dict[str, Any] = {
        "control": "study",
        "names": list(study.models),
        "title": study.settings.get("name"),
        "design": _design(study),
        "judge": judge.about["judge"]["name"] if judge else None,
        "traced": trace is not None,
        "found": found_here,
        "absent": {},
    }
    return _write(plan, out, about)


def _of_file(config: AnalyzeConfig, drawing: Drawing, out: Path) -> Artefact:
    path = Path(str(config.ratings))
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path of --ratings.")
    sha256 = artefact.hash_file(path)
    inputs = (Input("ratings", sha256, sha256, str(path)),)
    plan = Plan("control-study", VERSION, config.given(), config, inputs)
    if found := artefact.find(out, plan):
        return found
    aspect = config.aspect or "the ratings"
    found_here = of_file(given.read(str(path), config.aspect), aspect, drawing)
    about: dict[str, Any] = {"control": "study", "names": [], "title": path.name, "design": None,
             "judge": None, "traced": False, "found": found_here, "absent": {}}  # fmt: skip
    return _write(plan, out, about)


def _write(plan: Plan, out: Path, about: Mapping[str, Any]) -> Artefact:
    with artefact.draft(out, plan) as draft:
        counts = {"done": about["found"]["counts"]["ratings"], "skipped": {}, "unscored": {}}
        return draft.finish(counts, about)


def _check(study: Collected, judge: Artefact | None, trace: Artefact | None) -> None:
    if judge is not None and "verdicts" not in judge.tables:
        raise ArtefactError(f"--judge {judge.folder}: give a judge-… artefact.")
    if trace is not None and "borrowings" not in trace.tables:
        raise ArtefactError(f"--trace {trace.folder}: give a trace-… artefact.")
    if judge is not None and study.kind not in ("pairs", "aspects"):
        raise ConfigError(f"a judge scores pairs and aspects, and people were asked for "
                          f"{study.kind}; leave --judge out.")  # fmt: skip
    if trace is not None and study.kind != "spans":
        raise ConfigError(f"tracing marks spans, and people were asked for {study.kind}; leave "
                          "--trace out.")  # fmt: skip


def _design(study: Collected) -> dict[str, Any]:
    """The design without names: of people, how many."""
    found = {name: study.settings.get(name) for name in _DESIGN}
    return found | {name: len(study.settings.get(name) or ()) for name in _PEOPLE}


def _state(study: Collected, place: str) -> Input:
    """The study as an input, named by its ratings and what was asked; it changes while it runs."""
    ratings = [asdict(one) for one in study.rated]
    sha256 = artefact.hash_json(json.loads(json.dumps([study.settings, study.asked, ratings])))
    return Input("study", sha256, sha256, place)
