"""Artefacts that are being written: begun or continued, part by part, and finished."""

import errno
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from aftertune import parallel, schema
from aftertune.artefact.durable import write_durably
from aftertune.artefact.manifest import MANIFEST, contents, write_manifest
from aftertune.artefact.plan import Plan
from aftertune.artefact.reading import Artefact, open_artefact, unusable
from aftertune.artefact.together import seen_here
from aftertune.artefact.unfinished import DRAFT, SCRATCH, clear, continue_or_restart, write_note
from aftertune.errors import ArtefactError, InternalError


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
            for name in wrote:
                seen_here(self.folder, name, rank)
        if parallel.group().first:
            return None
        parallel.gather("the artefact is finished")
        return open_artefact(self.folder, verify=False)

    def finish(self, counts: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> Artefact:
        """Write the manifest: from here on the artefact exists, for all processes."""
        if not self._met and (finished := self.meet()):
            return finished
        clear(self.folder)
        held = contents(self.folder)  # hashing takes its time, which counts
        manifest = write_manifest(
            self.folder, self.plan, held, counts, about or {}, self._seconds_until(time.monotonic())
        )
        (self.folder / DRAFT).unlink(missing_ok=True)
        parallel.gather("the artefact is finished")
        return Artefact(self.folder, manifest)

    def _part(self, table: str, index: int) -> Path:
        if table not in schema.TABLES:
            raise InternalError(f"no such table: {table}")
        return self.folder / table / f"part-{index:05d}.parquet"

    def _note_seconds(self) -> None:
        now = time.monotonic()
        self._seconds, self._since = self._seconds_until(now), now
        write_note(self.folder, self.plan, self._seconds)

    def _seconds_until(self, now: float) -> float:
        return self._seconds + now - self._since


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
        seen_here(folder, DRAFT, 0)
        yield Draft(plan, folder, 0.0, None)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArtefactError(f"{out} is a file; give --out a folder.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise unusable(out, error) from error
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
        seconds, restarted = continue_or_restart(folder, plan)
        parallel.gather("the artefact is begun")
        yield Draft(plan, folder, seconds, restarted)
    finally:
        lock.release()


def _readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException):
        return False
    return True
