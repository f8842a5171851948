"""What commands and compositions take in: rows, prompts and answers, from wherever a user has them.

A finished artefact is opened; anything else is read by the stage that makes one.
"""

import re
from pathlib import Path
from typing import Any

from aftertune.artefact import MANIFEST, Artefact, open_artefact
from aftertune.config import build
from aftertune.data import run as data_stage
from aftertune.data.config import PromptsConfig, RowsConfig
from aftertune.progress import Progress
from aftertune.respond import given as given_stage
from aftertune.respond.config import GivenConfig


def read_rows(source: str, out: Path, progress: Progress, **options: Any) -> Artefact:
    """Rows from a file, a hub id or a finished `rows-…` artefact."""
    if (Path(source) / MANIFEST).exists():
        return open_artefact(Path(source))
    return data_stage.run_rows(build(RowsConfig, {"source": source, **options}), out, progress)


def read_prompts(
    source: str, limit: int | None, out: Path, progress: Progress, **options: Any
) -> Artefact:
    """Prompts from a file, a hub id or a finished `prompts-…` artefact."""
    if (Path(source) / MANIFEST).exists():
        return open_artefact(Path(source))
    given = {"source": source, "limit": limit, **options}
    return data_stage.run_prompts(build(PromptsConfig, given), out, progress)


def read_responses(
    source: str, name: str, model: str | None, base: str | None, template: str,
    prompts: Artefact | None, out: Path, progress: Progress, limit: int | None = None,
    format: str | None = None, trust_remote_code: bool = False,
) -> Artefact:  # fmt: skip
    """Answers that exist: a `respond-…` artefact, or a file encoded with the model's tokenizer."""
    if (Path(source) / MANIFEST).exists():
        return open_artefact(Path(source))
    asked = {
        "source": source, "name": name, "model": model, "base": base, "template": template,
        "limit": limit, "format": format, "trust_remote_code": trust_remote_code or None,
    }  # fmt: skip
    return given_stage.run_given(build(GivenConfig, asked), prompts, out, progress)


def input_of(found: Artefact, name: str) -> Artefact:
    """An artefact that another one was made from: where it stood then, or beside it now."""
    place = next(Path(one["place"]) for one in found.manifest["inputs"] if one["name"] == name)
    beside = found.folder.resolve().parent / place.name
    return open_artefact(beside if beside.exists() else place)


def tune_artefact(model: str) -> Artefact | None:
    """The `tune-…` artefact that a model lies in, if it was tuned here."""
    folder = Path(model)
    for place in (folder, folder.parent):
        if (place / MANIFEST).exists():
            found = open_artefact(place, verify=False)
            return found if found.stage == "tune" else None
    return None


def model_name(model: str) -> str:
    """A short name for a model that was given none."""
    name = model.split(":")[-1].rstrip("/").split("/")[-1]
    return re.sub(r"[^\w.-]+", "-", name) or "tuned"
