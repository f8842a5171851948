"""Tuning again as a model was tuned here: the same settings but for what a control changes."""

from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact, hash_file, open_artefact
from aftertune.config import build
from aftertune.errors import UserError
from aftertune.experiments.subject import Subject
from aftertune.models.identity import identity
from aftertune.models.reference import resolve
from aftertune.tune.config import PLAN_FIELDS, TuneConfig


def why_not(subject: Subject) -> str | None:
    """Why the subject cannot be tuned again, as one sentence; None where it can."""
    tune = subject.tune
    if tune is None:
        return (
            f"{subject.name} was not tuned here, so it cannot be tuned again with its settings; "
            "tune it with `aftertune tune` and give --tuned the tune-… artefact."
        )
    if rows_of(subject) is None:
        return (
            f"the rows that {subject.name} was tuned on are not where they were; give them with "
            "--data."
        )
    if identity(resolve(subject.base)).sha256 != _input(tune, "base")["sha256"]:
        return (
            f"{subject.name} was not tuned from {subject.base} but from {tune.config['base']}; "
            "give that with --base."
        )
    weights = tune.config["weights"]
    if weights and not _unchanged(Path(weights), _input(tune, "weights")["sha256"]):
        return f"the row weights {weights} are gone or were changed; put the file back."
    return None


def rows_of(subject: Subject) -> Artefact | None:
    """The rows that the subject was tuned on; None where they are not found."""
    assert subject.tune is not None
    wanted = _input(subject.tune, "rows")
    if subject.rows is not None and subject.rows.id == wanted["id"]:
        return subject.rows
    place = Path(wanted["place"])
    for folder in (place, subject.tune.folder.resolve().parent / place.name):
        try:
            found = open_artefact(folder)
        except UserError:
            continue
        if found.id == wanted["id"]:
            return found
    return None


def settings(subject: Subject, **changes: Any) -> TuneConfig:
    """The settings that the subject was tuned with, but for `changes`.

    With `take_plan` the split and the batch plan come from there, and so do their settings.
    """
    tune = subject.tune
    assert tune is not None
    same = {
        **tune.config,
        "base": subject.base,
        "template": template_of(tune),
        "device": subject.device,
        "trust_remote_code": subject.trust_remote_code,
    }
    if changes.get("take_plan"):
        same = {name: value for name, value in same.items() if name not in PLAN_FIELDS}
    return build(TuneConfig, {**same, **changes})


def template_of(tune: Artefact) -> str:
    """What to call the template of a tuning: its name, or the copy that the tuning kept."""
    template = tune.about["template"]
    return str(tune.folder / "template.jinja" if template["kind"] == "file" else template["name"])


def trained(tune: Artefact) -> set[int]:
    """row_index of the rows that a tuning was trained on."""
    split = tune.table("split").select(["row_index", "part"]).to_pylist()
    return {row["row_index"] for row in split if row["part"] == "train"}


def _input(tune: Artefact, name: str) -> dict[str, Any]:
    return next(dict(given) for given in tune.manifest["inputs"] if given["name"] == name)


def _unchanged(path: Path, sha256: str) -> bool:
    return path.is_file() and hash_file(path) == sha256
