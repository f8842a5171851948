"""The stage `report` on a made world: lab artefacts in, one HTML file out."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Plan, open_artefact
from aftertune.errors import ArtefactError
from aftertune.progress import Progress
from aftertune.report.config import ReportConfig
from aftertune.report.lab_answers import Said
from aftertune.report.lab_page import Labelled, MadeWorld, build, render, without_texts
from aftertune.report.run import DATA, PAGE

VERSION = 1
STAGES = ("lab-base", "lab-labels", "lab-study", "lab-score")


def run(config: ReportConfig, made: Sequence[Artefact], out: Path, progress: Progress) -> Artefact:
    """Write `report.html` and `summary.json` about artefacts of STAGES.

    The world, answers and rows of labels are found where they were made, or beside the labels.
    Raises ArtefactError when one of them is missing, or an artefact is of another stage.
    """
    for one in made:
        if one.stage not in STAGES:
            raise ArtefactError(
                f"{one.folder} is a {one.stage} artefact; a page about a made world takes "
                f"{', '.join(f'{stage}-…' for stage in STAGES)}."
            )
    labels = [one for one in made if one.stage == "lab-labels"]
    spoken_of = {one.id: _spoken_of(one) for one in labels}
    bases = _by_id([*(one for one in made if one.stage == "lab-base"),
                    *(spoken_of[one.id]["base"] for one in labels)])  # fmt: skip
    read = _by_id([*made, *bases, *(a for found in spoken_of.values() for a in found.values())])
    inputs = tuple(one.as_input(f"{place} {one.stage}") for place, one in enumerate(read))
    plan = Plan("report", VERSION, config.given(), config, inputs)
    if found := artefact.find(out, plan):
        return found
    with progress.task("report", 2) as task:
        worlds = {one.id: _world(one) for one in bases}
        view = build(
            config,
            list(worlds.values()),
            [_labelled(one, spoken_of[one.id], worlds) for one in labels],
            [one.manifest for one in made if one.stage in ("lab-study", "lab-score")],
            metadata.version("aftertune"),
        )
        task.advance()
        page = render(view)
        shown = json.dumps(without_texts(view), ensure_ascii=False, indent=1, allow_nan=False)
        task.advance()
    with artefact.draft(out, plan) as draft:
        for name, text in ((PAGE, page), (DATA, shown)):
            artefact.write_durably(draft.folder / name, _writer(text))
        counts = {"done": len(made), "skipped": {}, "unscored": {}}
        return draft.finish(counts, {**view["conclusion"], "page": PAGE})


def _spoken_of(labels: Artefact) -> dict[str, Artefact]:
    """The base, answers and rows of labels."""
    places = {given["name"]: Path(given["place"]) for given in labels.manifest["inputs"]}
    names = labels.about["artefacts"]
    found = {"base": _beside(labels, places["base"])}
    for name in ("responses", "rows"):
        found[name] = _beside(labels, labels.folder.parent / names[name])
    return found


def _beside(labels: Artefact, place: Path) -> Artefact:
    """The artefact at `place`, or beside the labels if their folder was moved."""
    beside = labels.folder.resolve().parent / place.name
    folder = beside if beside.exists() else place
    if not folder.exists():
        raise ArtefactError(
            f"{labels.folder} speaks of {place.name}, which is gone; run `aftertune lab labels` "
            "again in the same --out."
        )
    return open_artefact(folder)


def _by_id(made: Sequence[Artefact]) -> list[Artefact]:
    """Each artefact once, in order."""
    return list({one.id: one for one in made}.values())


def _world(base: Artefact) -> MadeWorld:
    return MadeWorld(base.manifest, base.table("lab_facts").to_pylist())


def _labelled(
    labels: Artefact, spoken_of: dict[str, Artefact], worlds: dict[str, MadeWorld]
) -> Labelled:
    world = worlds[spoken_of["base"].id]
    said = Said(
        responses=spoken_of["responses"].table("responses").to_pylist(),
        claims=labels.table("lab_claims").to_pylist(),
        labels=labels.table("lab_labels").to_pylist(),
        rows=spoken_of["rows"].table("rows").to_pylist(),
        truth={(fact["entity"], fact["attribute"]): fact["value"] for fact in world.facts},
    )
    return Labelled(labels.manifest, world, said)


def _writer(text: str) -> Any:
    return lambda path: path.write_bytes(text.encode("utf-8"))  # no newline translation: hashes
