"""The stage `report`: shift, respond, tune and control artefacts in, one HTML file out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Input, Plan
from aftertune.errors import ArtefactError, InputError
from aftertune.progress import Progress
from aftertune.report.blocks import BUILDERS
from aftertune.report.config import ReportConfig
from aftertune.report.controls import name_of
from aftertune.report.figures import Figure, figures_of
from aftertune.report.model_tables import ModelTables
from aftertune.report.page import render
from aftertune.report.view import build

VERSION = 3  # what is undecided beside the noise; bases under another template
PAGE, DATA = "report.html", "summary.json"
PIECES = "pieces.json"  # of a shift artefact: {token id: the vocabulary's piece}


@dataclass(frozen=True)
class ReportModel:
    """One tuned model. `tune` is None for a checkpoint that was tuned elsewhere."""

    name: str
    shift: Artefact
    responses: Artefact
    tune: Artefact | None = None


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page is made of; overlap as from `data.run.overlap`.

    controls: artefacts of stages `control-...` and `sweep`.
    """

    models: Sequence[ReportModel]
    rows: Artefact | None = None
    prompts: Artefact | None = None
    overlap: Mapping[str, Any] | None = None
    controls: Sequence[Artefact] = ()


def run(config: ReportConfig, inputs: ReportInputs, out: Path, progress: Progress) -> Artefact:
    """Write `report.html` and `summary.json` (what the page shows, without the answers).

    Raises InputError when no model is given or two have one name, ArtefactError when an artefact
    is of another stage than its place asks for.
    """
    _check(inputs)
    plan = Plan("report", VERSION, config.given(), config, _inputs(inputs), artefact.environment())
    if found := artefact.find(out, plan):
        return found
    with progress.task("report", 2) as task:
        view = _view(config, inputs)
        task.advance()
        page = render(view)
        data = json.dumps({**view, "answers": None}, ensure_ascii=False, indent=1, allow_nan=False)
        task.advance()
    with artefact.draft(out, plan) as draft:
        for name, text in ((PAGE, page), (DATA, data)):
            artefact.write_durably(draft.folder / name, _writer(text))
        about = {
            "findings": view["conclusion"]["findings"],
            "cautions": view["conclusion"]["cautions"],
            "page": PAGE,
        }
        counts = {"done": len(inputs.models), "skipped": {}, "unscored": {}}
        return draft.finish(counts, about)


def shown(page: Artefact) -> dict[str, Any]:
    """What a finished page shows, without the answers: its `summary.json`."""
    found: dict[str, Any] = json.loads((page.folder / DATA).read_text("utf-8"))
    return found


def figures(inputs: ReportInputs) -> dict[str, Figure]:
    """Every picture of the page of these artefacts, by name, without writing a page.

    Raises as `run` does.
    """
    _check(inputs)
    return figures_of(_view(ReportConfig.model_validate({"max_answers": 0}), inputs))


def _view(config: ReportConfig, inputs: ReportInputs) -> dict[str, Any]:
    return build(
        config,
        [read_model(given, config.redact) for given in inputs.models],
        metadata.version("aftertune"),
        inputs.rows.manifest if inputs.rows else None,
        inputs.prompts.manifest if inputs.prompts else None,
        inputs.overlap,
        [control.manifest for control in inputs.controls],
    )


def _writer(text: str) -> Any:
    return lambda path: path.write_bytes(text.encode("utf-8"))  # no newline translation: hashes


def _check(inputs: ReportInputs) -> None:
    if not inputs.models:
        raise InputError(
            "a report needs at least one tuned model; give its shift-… artefact beside the others."
        )
    names = [given.name for given in inputs.models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two models are called {name}; give each --tuned another name.")
    for given in inputs.models:
        _is(given.shift, "shift", "tokens")
        _is(given.responses, given.responses.stage, "responses")
        if given.tune:
            _is(given.tune, "tune", "loss")
    for control in inputs.controls:
        if name_of(control.stage) not in BUILDERS:
            raise ArtefactError(
                f"{control.folder} is no control that the report knows; give control-… artefacts."
            )


def _is(found: Artefact, stage: str, table: str) -> None:
    if found.stage != stage or table not in found.tables:
        raise ArtefactError(
            f"{found.folder} is not what the report needs; give a {stage} artefact."
        )


def _inputs(inputs: ReportInputs) -> tuple[Input, ...]:
    """All artefacts under names that keep the order of the models."""
    found = []
    for place, given in enumerate(inputs.models):
        parts = {"shift": given.shift, "responses": given.responses, "tune": given.tune}
        found += [
            part.as_input(f"{place} {given.name}: {kind}") for kind, part in parts.items() if part
        ]
    if inputs.rows:
        found.append(inputs.rows.as_input("rows"))
    if inputs.prompts:
        found.append(inputs.prompts.as_input("prompts"))
    found += [
        control.as_input(f"{place} {control.stage}")
        for place, control in enumerate(inputs.controls)
    ]
    if inputs.overlap is not None:
        key = artefact.hash_json(inputs.overlap)
        found.append(Input("overlap", key, key, ""))
    return tuple(found)


def read_model(given: ReportModel, redact: bool) -> ModelTables:
    """One model's manifests and tables; with `redact` no pieces of its vocabulary."""
    return ModelTables(
        name=given.name,
        shift=given.shift.manifest,
        tokens=given.shift.table("tokens"),
        respond=given.responses.manifest,
        responses=given.responses.table("responses"),
        tune=given.tune.manifest if given.tune else None,
        loss=given.tune.table("loss") if given.tune else None,
        pieces=None if redact else _pieces(given.shift),
    )


def _pieces(shift: Artefact) -> dict[int, str]:
    """The vocabulary's piece of every preferred token, as the shift kept them."""
    kept = shift.folder / PIECES
    if not kept.exists():
        raise ArtefactError(f"{shift.folder} has no {PIECES}; delete it and run its command again.")
    return {int(token_id): piece for token_id, piece in json.loads(kept.read_text("utf-8")).items()}
