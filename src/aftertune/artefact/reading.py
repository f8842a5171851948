"""Artefacts that are finished: one of them, and how it is found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aftertune import parallel, schema
from aftertune.artefact.hashes import hash_json
from aftertune.artefact.manifest import MANIFEST, Manifest, check_files, read_manifest
from aftertune.artefact.plan import Input, Plan
from aftertune.artefact.together import same_everywhere
from aftertune.errors import ArtefactError


class Artefact:
    """A finished artefact, read only."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    @property
    def stage(self) -> str:
        return str(self.manifest["stage"])

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config."""
        return dict(self.manifest["config"]["resolved"])

    @property
    def counts(self) -> dict[str, Any]:
        """done, skipped, unscored, each with its reasons; what else the stage counted."""
        return dict(self.manifest["counts"])

    @property
    def about(self) -> dict[str, Any]:
        """What the stage wants to be known: models, self-tests, summaries."""
        return dict(self.manifest["about"])

    @property
    def tables(self) -> list[str]:
        return sorted(self.manifest["tables"])

    def table(self, name: str) -> pa.Table:
        """The whole table `name`; raises ArtefactError when this artefact has none such."""
        if name not in self.manifest["tables"]:
            raise ArtefactError(
                f"{self.folder} has no table `{name}`; it has: {', '.join(self.tables)}."
            )
        parts = [pq.read_table(self.folder / part["file"]) for part in self._parts(name)]
        return pa.concat_tables(parts) if parts else schema.TABLES[name].empty_table()

    def parts(self, name: str) -> Iterator[pa.Table]:
        """The table part by part, so that memory stays flat."""
        for part in self._parts(name):
            yield pq.read_table(self.folder / part["file"])

    def to_pandas(self, name: str | None = None) -> Any:
        """A table as a pandas DataFrame; without a name, the stage's main (only or first) table."""
        return self.table(name or self.tables[0]).to_pandas()

    def as_input(self, name: str) -> Input:
        """This artefact as the input `name` of a later stage."""
        return Input(name, self.id, self.content_hash(), str(self.folder))

    def content_hash(self) -> str:
        """sha256 over the hashes of all parts and files: the content alone."""
        hashes = [
            [p["file"], p["sha256"]] for parts in self.manifest["tables"].values() for p in parts
        ]
        hashes += [[name, entry["sha256"]] for name, entry in self.manifest["files"].items()]
        return hash_json(sorted(hashes))

    def _parts(self, name: str) -> list[dict[str, Any]]:
        return list(self.manifest["tables"][name])

    def __repr__(self) -> str:
        return f"<aftertune artefact {self.id} at {self.folder}: {', '.join(self.tables)}>"


def open_artefact(folder: Path, verify: bool = True) -> Artefact:
    """The artefact in `folder`; with `verify` every part's and file's hash is checked.

    Raises ArtefactError when there is none or it is unfinished, DamagedPart naming the file.
    """
    manifest = read_manifest(folder)
    if verify:
        check_files(folder, manifest)
    return Artefact(folder, manifest)


def find(out: Path, plan: Plan) -> Artefact | None:
    """The finished artefact that answers `plan`, verified; None when there is none yet.

    All processes of a run get the same answer, process 0's. Raises ProcessesError when they ask
    for different artefacts, or run in different environments.
    """
    folder = out / plan.id
    same_everywhere(plan)
    try:
        exists = (folder / MANIFEST).exists()
    except OSError as error:
        raise unusable(out, error) from error
    exists = parallel.share("looking for the artefact", exists)
    return open_artefact(folder) if exists else None


def unusable(out: Path, error: OSError) -> ArtefactError:
    """What to say of a folder for artefacts that the system refuses."""
    return ArtefactError(f"{out} cannot be used ({error.strerror}); give --out another folder.")
