"""Artefacts: the folders in which stages meet.

An artefact is `OUT/<stage>-<hash>/` with `manifest.json` and Parquet tables
(`<table>/part-00000.parquet`). Its name is a hash of the stage, the format and stage version,
the ids of its inputs and the part of the config that changes numbers. So the same question
has the same name and is answered once, and any change of an input's content gets another.

A part is written under a temporary name, synced and renamed; the manifest comes last. A run
killed at any moment continues where it was: parts that exist are never computed again, and
parts and batches are planned before the run, so no value depends on where it was interrupted.

Several processes (`parallel.py`) make one artefact together: each writes the parts that it was
handed by `Draft.mine`, process 0 writes everything else, locks the folder and finishes it.
"""

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from aftertune import parallel, schema
from aftertune.config import StageConfig
from aftertune.errors import ArtefactError, DamagedPart, InternalError
from aftertune.parallel import ProcessesError

MANIFEST = "manifest.json"
_DRAFT = "draft.json"
SCRATCH = "work"
_TMP = ".tmp"
_PACKAGES = (
    "aftertune", "torch", "transformers", "tokenizers", "peft", "trl", "accelerate",
    "datasets", "safetensors", "gguf", "numpy", "pyarrow",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One input of a stage: `id` names its content (an artefact's or model's id, or a sha256)."""

    name: str
    id: str
    sha256: str
    place: str  # as the user named it; recorded, not part of any id


@dataclass(frozen=True)
class Plan:
    """What is to be computed: everything that names an artefact, and what is recorded beside it."""

    stage: str
    stage_version: int
    given: Mapping[str, Any]
    resolved: StageConfig
    inputs: tuple[Input, ...]
    environment: Mapping[str, Any] = field(default_factory=lambda: environment())

    @property
    def id(self) -> str:
        """`<stage>-<16 hex digits>`."""
        question = {
            "format_version": schema.FORMAT_VERSION,
            "stage": self.stage,
            "stage_version": self.stage_version,
            "inputs": sorted([given.name, given.id] for given in self.inputs),
            "config": self.resolved.numbers(),
        }
        return f"{self.stage}-{hash_json(question)[:16]}"


class Artefact:
    """A finished artefact, read only."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
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


class Draft:
    """An artefact being written. Get one from `draft()`."""

    def __init__(self, plan: Plan, folder: Path, seconds: float, restarted: str | None) -> None:
        self.plan = plan
        self.folder = folder
        self.restarted = restarted  # why an unfinished run was thrown away, if one was
        self._seconds = seconds
        self._since = time.monotonic()
        self._handed: set[int] = set()
        self._wrote: list[str] = []  # parts, for process 0 to find when all meet
        self._met = False

    @property
    def scratch(self) -> Path:
        """A folder for checkpoints and the like; it is gone once the artefact is finished."""
        path = self.folder / SCRATCH
        path.mkdir(exist_ok=True)
        return path

    def has(self, index: int, tables: Sequence[str]) -> bool:
        """Whether part `index` of every one of `tables` is already on disk and readable."""
        return all(_readable(self._part(name, index)) for name in tables)

    def mine(self, parts: Iterable[int]) -> list[int]:
        """Those of `parts` that this process is to write: all of them where it is alone."""
        handed = parallel.group().mine(parts)
        self._handed.update(handed)
        return handed

    def write(self, index: int, tables: Mapping[str, pa.Table]) -> None:
        """Part `index` of each table: checked, written under a temporary name, synced, renamed.

        What was not handed out by `mine` every process computes, and process 0 writes.
        """
        first = parallel.group().first
        if not first and index not in self._handed:
            return
        for name, table in tables.items():
            path = self._part(name, index)
            path.parent.mkdir(exist_ok=True)
            whole = schema.checked(name, table)
            write_durably(path, partial(pq.write_table, whole, compression="zstd"))
            self._wrote.append(path.relative_to(self.folder).as_posix())
        if first:
            self._note_seconds()

    def meet(self) -> Artefact | None:
        """Wait until every process has written its parts. Process 0 goes on alone, to `finish`;
        the others wait for that and get the artefact.

        A stage calls it where only what it would write in the end is left to do; `finish` calls
        it where a stage does not. Without other processes it does nothing.
        """
        if parallel.group().size == 1:
            return None
        self._met = True
        for rank, wrote in enumerate(parallel.gather("parts are written", self._wrote)):
            lost = [name for name in wrote if not (self.folder / name).exists()]
            if lost:
                raise _not_shared(self.folder, lost[0], rank)
        if parallel.group().first:
            return None
        parallel.gather("the artefact is finished")
        return open_artefact(self.folder, verify=False)

    def finish(self, counts: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> Artefact:
        """Write the manifest: from here on the artefact exists, for all processes."""
        if not self._met and (finished := self.meet()):
            return finished
        shutil.rmtree(self.folder / SCRATCH, ignore_errors=True)
        tables: dict[str, list[dict[str, Any]]] = {}
        files: dict[str, dict[str, Any]] = {}
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            name = path.relative_to(self.folder).as_posix()
            if name in (_DRAFT, MANIFEST) or name.endswith(_TMP):
                continue
            if path.suffix == ".parquet" and path.parent.name in schema.TABLES:
                rows = pq.read_metadata(path).num_rows
                entry = {"file": name, "rows": rows, "sha256": hash_file(path)}
                tables.setdefault(path.parent.name, []).append(entry)
            else:
                files[name] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        manifest = {
            "format_version": schema.FORMAT_VERSION,
            "stage": self.plan.stage,
            "stage_version": self.plan.stage_version,
            "id": self.plan.id,
            "config": {"given": dict(self.plan.given), "resolved": self.plan.resolved.everything()},
            "inputs": [vars(given) for given in self.plan.inputs],
            "environment": dict(self.plan.environment),
            "counts": dict(counts),
            "about": dict(about or {}),
            "tables": tables,
            "files": files,
            "seconds": round(self._seconds + time.monotonic() - self._since, 3),
        }
        manifest = json.loads(json.dumps(manifest, allow_nan=False))
        manifest["sha256"] = _manifest_hash(manifest)
        text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
        write_durably(self.folder / MANIFEST, lambda out: out.write_text(text, encoding="utf-8"))
        (self.folder / _DRAFT).unlink(missing_ok=True)
        parallel.gather("the artefact is finished")
        return Artefact(self.folder, json.loads(text))

    def _part(self, table: str, index: int) -> Path:
        if table not in schema.TABLES:
            raise InternalError(f"no such table: {table}")
        return self.folder / table / f"part-{index:05d}.parquet"

    def _note_seconds(self) -> None:
        now = time.monotonic()
        self._seconds, self._since = self._seconds + now - self._since, now
        _write_draft(self.folder, self.plan, self._seconds)


def find(out: Path, plan: Plan) -> Artefact | None:
    """The finished artefact that answers `plan`, verified; None when there is none yet.

    All processes of a run get the same answer, process 0's. Raises ProcessesError when they ask
    for different artefacts, or run in different environments.
    """
    folder = out / plan.id
    _same_everywhere(plan)
    try:
        exists = (folder / MANIFEST).exists()
    except OSError as error:
        raise _unusable(out, error) from error
    exists = parallel.share("looking for the artefact", exists)
    return open_artefact(folder) if exists else None


@contextmanager
def draft(out: Path, plan: Plan) -> Iterator[Draft]:
    """Begin or continue the artefact of `plan` under `out`; one run at a time.

    An unfinished run continues only where the environment (device, threads, package versions)
    is what it was, because bf16 values depend on it; otherwise it starts again from nothing
    and `restarted` says why.
    """
    folder = out / plan.id
    if not parallel.group().first:
        parallel.gather("the artefact is begun")
        if not (folder / _DRAFT).exists():
            raise _not_shared(folder, _DRAFT, 0)
        yield Draft(plan, folder, 0.0, None)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArtefactError(f"{out} is a file; give --out a folder.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _unusable(out, error) from error
    lock = FileLock(out / f".{plan.id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ArtefactError(
            f"another process is writing {folder}; wait for it or stop it, then run this again."
        ) from error
    try:
        if (folder / MANIFEST).exists():
            raise ArtefactError(f"{folder} was just finished by another process; run this again.")
        seconds, restarted = _continue_or_restart(folder, plan)
        parallel.gather("the artefact is begun")
        yield Draft(plan, folder, seconds, restarted)
    finally:
        lock.release()


def _same_everywhere(plan: Plan) -> None:
    """What bf16 values depend on has to be alike in all processes, as in a run that continues."""
    asked = parallel.gather("looking for an artefact", [plan.id, dict(plan.environment)])
    for rank, (name, environment) in enumerate(asked):
        if name != asked[0][0]:
            raise ProcessesError(
                f"process {rank} asks for {name} and process 0 for {asked[0][0]}; start all of "
                "them with the same command on the same files."
            )
        if environment != asked[0][1]:
            what, at_0, here = _difference(asked[0][1], environment)
            raise ProcessesError(
                f"{what} is {here} for process {rank} and {at_0} for process 0; start all of them "
                "alike."
            )


def _not_shared(folder: Path, name: str, rank: int) -> ProcessesError:
    return ProcessesError(
        f"{folder / name}, which process {rank} wrote, is not there for process "
        f"{parallel.group().rank}; give --out a folder that all machines share."
    )


def _unusable(out: Path, error: OSError) -> ArtefactError:
    return ArtefactError(f"{out} cannot be used ({error.strerror}); give --out another folder.")


def open_artefact(folder: Path, verify: bool = True) -> Artefact:
    """The artefact in `folder`; with `verify` every part's and file's hash is checked.

    Raises ArtefactError when there is none or it is unfinished, DamagedPart naming the file.
    """
    path = folder / MANIFEST
    if not path.exists():
        if (folder / _DRAFT).exists():
            raise ArtefactError(f"{folder} is unfinished; run its command again to continue it.")
        raise ArtefactError(f"{folder} is not an artefact: it has no {MANIFEST}.")
    damaged = DamagedPart(f"{path} is damaged; delete {folder} and run its command again.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    if version != schema.FORMAT_VERSION:
        raise ArtefactError(
            f"{folder} has format version {version}, this aftertune reads "
            f"{schema.FORMAT_VERSION}; run its command again."
        )
    if manifest.get("sha256") != _manifest_hash(manifest):
        raise damaged  # also what was edited by hand: its numbers would pass for measured ones
    if verify:
        _verify(folder, manifest)
    return Artefact(folder, manifest)


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    entries = [part for parts in manifest["tables"].values() for part in parts]
    entries += [{"file": name, **entry} for name, entry in manifest["files"].items()]
    for entry in entries:
        path = folder / entry["file"]
        if not path.exists():
            state = "is missing"
        elif hash_file(path) != entry["sha256"]:
            state = "is damaged"
        else:
            continue
        raise DamagedPart(f"{path} {state}; delete {folder} and run its command again.")


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    """sha256 of the manifest but for this hash, and for `seconds`, which differ from run to run."""
    return hash_json({k: v for k, v in manifest.items() if k not in ("sha256", "seconds")})


def environment(**recorded: Any) -> dict[str, Any]:
    """Versions of what computes; stages with a model add device, threads and process count."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "machine": platform.machine(),
            "packages": versions, **recorded}  # fmt: skip


def hash_json(value: Any) -> str:
    """sha256 of a JSON value in one canonical spelling."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_durably(path: Path, write: Callable[[Path], object]) -> None:
    """`write(temporary path)`, then sync and rename, so that `path` is whole or absent."""
    # Several processes may write one file. Nobody waits here for the others: a callback in
    # somebody's own training writes from one of them alone.
    own = "" if parallel.is_first() else f".{os.environ['RANK']}"
    temporary = path.with_name(f"{path.name}{own}{_TMP}")
    write(temporary)
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    if os.name == "posix":  # elsewhere a folder cannot be opened, and the rename is enough
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _continue_or_restart(folder: Path, plan: Plan) -> tuple[float, str | None]:
    before = _read_draft(folder)
    restarted = None
    if before is None:
        if any(folder.iterdir()):
            _empty(folder)  # killed before draft.json was written; nothing of value is here
    elif before["environment"] != json.loads(json.dumps(dict(plan.environment))):
        name, was, now = _difference(before["environment"], plan.environment)
        restarted = f"{name} was {was} and is now {now}"
        _empty(folder)
        before = None
    for leftover in folder.rglob(f"*{_TMP}"):
        leftover.unlink()
    seconds = float(before["seconds"]) if before else 0.0
    _write_draft(folder, plan, seconds)
    return seconds, restarted


def _write_draft(folder: Path, plan: Plan, seconds: float) -> None:
    note = {"id": plan.id, "environment": dict(plan.environment), "seconds": seconds}
    text = json.dumps(note, sort_keys=True)
    write_durably(folder / _DRAFT, lambda out: out.write_text(text, encoding="utf-8"))


def _read_draft(folder: Path) -> dict[str, Any] | None:
    try:
        note = json.loads((folder / _DRAFT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """The first entry in which two unlike environments differ, and its two values."""
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            return _difference(old, new)
        if old != new:
            return name, old, new
    return "the environment", before, now


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException):
        return False
    return True
