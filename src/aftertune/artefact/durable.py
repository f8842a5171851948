"""Files that are whole or absent, also after a power cut."""

import os
from collections.abc import Callable
from pathlib import Path

from aftertune import parallel

TEMPORARY = ".tmp"  # how the name of a file that is being written ends


def write_durably(path: Path, write: Callable[[Path], object]) -> None:
    """`write(temporary path)`, then sync and rename, so that `path` is whole or absent."""
    # Several processes may write one file. Nobody waits here for the others: a callback in
    # somebody's own training writes from one of them alone.
    own = "" if parallel.is_first() else f".{os.environ['RANK']}"
    temporary = path.with_name(f"{path.name}{own}{TEMPORARY}")
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
