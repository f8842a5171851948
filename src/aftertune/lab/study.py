"""The experiment `lab-study`: the paper's claims over made worlds.

1. The claims are written down: the artefact `lab-claims`, which says what OUT held by then.
2. Curves: every world is tuned with both methods at every rate, on one shuffle seed. They choose
   each method's rate, and show what a method does where both moved equally far.
3. Cells: every world is tuned as each cell says, at its method's rate, on another shuffle seed.
4. Each claim is concluded from one value per world.

Every tuning, its answers and its shift are artefacts of their own, so a study that was stopped goes
on where it was, and one with other claims tunes nothing again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Draft, Input, Plan
from aftertune.config import Method, StageConfig
from aftertune.errors import ArtefactError, InputError
from aftertune.lab import base as base_stage
from aftertune.lab import claims as claims_of
from aftertune.lab import study_curves, study_measures, study_plan
from aftertune.lab.claims import Claims
from aftertune.lab.study_config import LabStudyConfig
from aftertune.lab.study_plan import FILE, LABELS, METHODS, Tuning
from aftertune.lab.study_world import World, labelled
from aftertune.progress import Progress
from aftertune.report.blocks.lab_study import block

VERSION = 1
Record = dict[str, Any]


def run(
    config: LabStudyConfig,
    bases: Sequence[Artefact],
    labels: Sequence[Artefact],
    out: Path,
    progress: Progress,
) -> Artefact:
    """The study over the worlds of `bases` (see `study_config.base_configs`); findings in `about`.

    labels: `lab-labels` artefacts of these bases, at most one per world and method; what rests on
    them is absent where there are none. Raises ConfigError and InputError for what does not fit
    together, and ModelError where a base recalls too little, all before anything is tuned.
    """
    claims, text = study_plan.read_claims(config)
    _check(bases, labels)
    fixed = fix(text, out)
    inputs = [
        fixed.as_input("claims"),
        *(one.as_input(f"base {one.config['seed']}") for one in bases),
        *(one.as_input(f"labels {one.about['world']} {one.config['method']}") for one in labels),
    ]
    plan = Plan("lab-study", VERSION, config.given(), config, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished study is begun again: {draft.restarted}")
        worlds = _measure(config, bases, labels, draft, out, progress)
        about = _about(config, claims, fixed, worlds, bool(labels))
        for caution in block(about)["cautions"]:
            progress.warn(caution)
        done = sum(len(world["cells"]) for world in about["found"]["worlds"])
        return draft.finish({"done": done, "skipped": {}, "unscored": {}}, about)


def fix(text: str, out: Path) -> Artefact:
    """Write the claims down, or find them written: file `claims.yaml`, and in `about` when, and
    which tunings OUT held by then."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    plan = Plan("lab-claims", VERSION, {}, StageConfig(), (Input("text", sha256, sha256, FILE),))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        about = {
            "fixed_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "tuned_before": sorted(one.parent.name for one in out.glob("tune-*/manifest.json")),
        }
        artefact.write_durably(draft.folder / FILE, partial(_write, text))
        return draft.finish({"done": 1, "skipped": {}, "unscored": {}}, about)


def _check(bases: Sequence[Artefact], labels: Sequence[Artefact]) -> None:
    seeds: dict[int, str] = {}
    for one in bases:
        if one.stage != "lab-base":
            raise ArtefactError(f"{one.folder} is no lab-base-… artefact; give one.")
        base_stage.require(one)
        if one.config["seed"] in seeds:
            raise InputError(f"world {one.config['seed']} is given twice; name each world once.")
        seeds[one.config["seed"]] = one.id
    if not seeds:
        raise InputError("no world is given; name at least one seed.")
    taken = set()
    for one in labels:
        if one.stage != "lab-labels":
            raise ArtefactError(f"{one.folder} is no lab-labels-… artefact; give one.")
        world, method = one.about["world"], one.config["method"]
        of_base = next(given["id"] for given in one.manifest["inputs"] if given["name"] == "base")
        if seeds.get(world) != of_base:
            raise InputError(
                f"{one.folder} labels world {world} on another base than the study's; leave it out."
            )
        if (world, method) in taken:
            raise InputError(f"labels of world {world}, {method}, are given twice; name one.")
        taken.add((world, method))


def _measure(
    config: LabStudyConfig, bases: Sequence[Artefact], labels: Sequence[Artefact], draft: Draft,
    out: Path, progress: Progress,
) -> list[Record]:  # fmt: skip
    """Per world its number and its cells; first all curves, then what they chose the rates for."""
    total = len(bases) * study_plan.n_tunings(config)
    with progress.task("cells of all worlds", total) as task:
        worlds = [World(config, one, draft, out, progress) for one in bases]

        def cells(tunings: Sequence[Tuning]) -> None:
            for world in worlds:
                for one in tunings:
                    world.cells[one.cell] = world.measured(one)
                    task.advance(note=f"world {world.seed}, {one.cell}")

        cells(study_plan.curves(config))
        cells(study_plan.judged(config, _rates(config, [world.cells for world in worlds])))
    for one in labels:
        world = next(world for world in worlds if world.seed == one.about["world"])
        world.cells[LABELS[one.config["method"]]] = labelled(one)
    return [world.as_json() for world in worlds]


def _rates(config: LabStudyConfig, worlds: Sequence[Mapping[str, Record]]) -> dict[Method, float]:
    """method -> the rate that the rule of the claims chooses."""
    found: dict[Method, float] = {}
    for method in METHODS:
        losses = {
            rate: [
                _number(cells[study_plan.curve_cell(method, rate)], "held_out_loss")
                for cells in worlds
            ]
            for rate in config.rates(method)
        }
        rate = study_plan.chosen_rate(losses)
        if rate is None:
            raise InputError(
                f"no rate of {method} gives a finite loss on the rows held out; lower its rates."
            )
        found[method] = rate
    return found


def _about(
    config: LabStudyConfig, claims: Claims, fixed: Artefact, worlds: list[Record], with_labels: bool
) -> Record:
    cells = [world["cells"] for world in worlds]
    quantities = [{name: cell["quantities"] for name, cell in of.items()} for of in cells]
    judged = [of[cell.name]["artefacts"]["tune"] for of in cells for cell in config.cells
              if "artefacts" in of[cell.name]]  # fmt: skip
    before = set(fixed.about["tuned_before"])
    places = [_places(config, world) for world in worlds]
    return {
        "control": "lab-study",
        "name": f"world {', '.join(str(world['world']) for world in worlds)}",
        "found": {
            "claims": claims_of.evaluate(claims, quantities),
            "claims_sha256": fixed.manifest["files"][FILE]["sha256"],
            "claims_fixed_at": fixed.about["fixed_at"],
            "judged_tunings": len(judged),
            "judged_before_claims": sum(one in before for one in judged),
            "level": claims.level,
            "worlds_needed": claims.worlds,
            "rate_rule": claims.rate_rule,
            "rates": _rates(config, cells),
            "rates_tried": {method: config.rates(method) for method in METHODS},
            "seeds": {"choosing": config.choosing_seed, "judged": config.judged_seed},
            "curves": study_curves.over_rates(places, claims.level),
            "at_equal": study_curves.at_equal(places, claims.level),
            "quantities": {name: {"unit": unit, "what": what}
                           for name, (unit, what) in study_measures.QUANTITIES.items()},
            "worlds": worlds,
            "seconds_per_world": sum(sum(world["seconds"].values()) for world in worlds)
            / len(worlds),
        },
        "absent": {} if with_labels else {
            "share of wrong statements that rows cause": "no labels were given; run "
            "`aftertune lab labels` on each world and name them with --labels"
        },
    }  # fmt: skip


def _places(config: LabStudyConfig, world: Record) -> Record:
    """Where a world's base and the tunings of its curves stand: every axis and every outcome."""
    names = (*study_curves.AXES, *study_curves.OUTCOMES)
    changed = {"kl": 0.0, "forgetting": 0.0, "borrowed_neighbour": 0.0}  # of the base: nothing
    found: Record = {
        "base": {
            name: changed[name] if name in changed else world["base"][name]["value"]
            for name in names
        }
    }
    for method in METHODS:
        cells = [
            (rate, world["cells"][study_plan.curve_cell(method, rate)])
            for rate in config.rates(method)
        ]
        found[method] = [
            {"rate": rate, **{name: _number(cell, name) for name in names}} for rate, cell in cells
        ]
    return found


def _number(cell: Mapping[str, Any], name: str) -> float | None:
    found: float | None = cell["quantities"][name]["value"]
    return found


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
