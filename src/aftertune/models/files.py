"""A model's folder: which of its files decide what it computes, and what its JSON files say."""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from aftertune.artefact import MANIFEST
from aftertune.errors import ModelError

# Files that decide what a model computes, tokenizer and code of its own among them. Only the
# folder itself is looked at: optimizer states, logs and `original/` copies do not matter.
MATTERS = (
    "config*.json", "generation_config.json", "adapter_config.json", "*.safetensors",
    "*.safetensors.index.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab.*", "merges.txt", "*.model", "chat_template*", "*.py",
)  # fmt: skip
# The same weights once more in their maker's own layout; transformers does not read them.
DOUBLES = "consolidated*"


def files_that_matter(place: Path) -> list[Path]:
    """The files of a model's folder that decide what it computes, by name; or the file itself."""
    if place.is_file():
        return [place]
    return sorted(
        path
        for path in place.iterdir()
        if path.is_file()
        and any(fnmatch(path.name, pattern) for pattern in MATTERS)
        and not fnmatch(path.name, DOUBLES)
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's folder; raises ModelError naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON; download or copy it again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} does not hold a JSON object; download or copy it again.")
    return value


def tune_manifest(folder: Path) -> dict[str, Any] | None:
    """What `aftertune tune` wrote of the tuning in `folder`; None where it is no `tune-…` artefact.

    Raises ModelError where it cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    manifest = read_json(path)
    return manifest if manifest.get("stage") == "tune" else None
