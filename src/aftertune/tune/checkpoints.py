"""Checkpoints to resume from: a folder counts only once its own last line is written.

A trainer writes a checkpoint file by file, so a kill in between leaves a folder that looks like
one. Here a checkpoint is complete when its marker lists every other file with its size, and the
marker is written, synced, after all of them. These folders hold optimizer state; they live in an
unfinished run's own scratch folder and are never loaded from anywhere else.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from aftertune.artefact import write_durably

MARKER = "complete.json"
# what torch.save says when a file ends before it has written all of it
_TORCH_CUT_OFF = ("unexpected pos", "PytorchStreamWriter")
_NAME = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint that was just written as complete: sync its files, then the marker."""
    sizes = sync_folder(checkpoint)
    text = json.dumps(sizes, sort_keys=True)
    write_durably(checkpoint / MARKER, lambda out: out.write_text(text, encoding="utf-8"))


def newest(root: Path) -> Path | None:
    """The newest complete checkpoint under `root`; partial ones are removed."""
    complete = []
    for step, folder in _folders(root):
        if _is_complete(folder):
            complete.append((step, folder))
        else:
            shutil.rmtree(folder)
    return max(complete)[1] if complete else None


def keep_newest(root: Path, keep: int = 1) -> None:
    """Remove all but the newest `keep` complete checkpoints, and every partial one."""
    newest(root)
    for _, folder in sorted(_folders(root))[:-keep]:
        # without its marker first: a kill during the removal must not leave a complete-looking one
        (folder / MARKER).unlink()
        shutil.rmtree(folder)


def sync_folder(folder: Path) -> dict[str, int]:
    """Put every file under `folder` on the disk; file names and their sizes in bytes."""
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
            sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


@contextmanager
def full_disk_as_oserror(folder: Path) -> Iterator[None]:
    """torch and safetensors hide a full disk in errors of their own; it leaves as ENOSPC."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        said = str(error)
        if "No space left" not in said and not any(words in said for words in _TORCH_CUT_OFF):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def _folders(root: Path) -> list[tuple[int, Path]]:
    found = [(_NAME.fullmatch(path.name), path) for path in root.iterdir()]
    return [(int(match[1]), path) for match, path in found if match]


def _is_complete(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False
