"""File hashes that are remembered, so that gigabytes of weights are read once.

A hash is kept in the user's cache under the file's real path and trusted while its size and
times stay the same. Losing the cache costs time and nothing else.
"""

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from aftertune.artefact import hash_file

# A file changed less than this ago could change again within one tick of the file system's
# clock, so its hash is not remembered.
_SETTLED_NS = 2_000_000_000


def cache_dir() -> Path:
    """Where converted models and file hashes are kept: $AFTERTUNE_CACHE or ~/.cache/aftertune."""
    given = os.environ.get("AFTERTUNE_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "aftertune"


def sha256_of(path: Path) -> str:
    """sha256 of the file's bytes, from the cache when the file has not changed since."""
    real = path.resolve()
    state = real.stat()
    facts = [str(real), state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    note = cache_dir() / "hashes" / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["facts"] == facts:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not remembered, or a note that another version wrote
    sha256 = hash_file(real)
    changed = max(state.st_mtime_ns, state.st_ctime_ns)
    if time.time_ns() - changed > _SETTLED_NS:
        _remember(note, {"facts": facts, "sha256": sha256})
    return sha256


def _remember(note: Path, value: dict[str, Any]) -> None:
    """Atomic also against other processes: each writes its own temporary file and renames it."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=note.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream)
        os.replace(temporary, note)
    except OSError:
        return  # a cache that cannot be written only costs time
