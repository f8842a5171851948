"""What `--data` and `--prompts` name -> raw objects: a file, a folder of files, the texts that
the package carries, or a data set of the hub.
"""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from aftertune.artefact import MANIFEST, Input, hash_file, hash_json
from aftertune.data.config import Kind
from aftertune.data.raw import Raw, checked
from aftertune.data.readers import SUFFIXES, read_file
from aftertune.errors import InputError

__all__ = ["Raw", "Source", "open_source"]

_EMBEDDED = "embedded:"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?", re.ASCII)


@dataclass(frozen=True)
class Source:
    """`inputs` name the content by hash; `raws` are read once."""

    inputs: tuple[Input, ...]
    raws: Iterator[Raw]


def open_source(source: str, kind: Kind, split: str, revision: str | None = None) -> Source:
    """The source named `source`; raises InputError when there is none or it cannot be read."""
    if source.startswith(_EMBEDDED):
        return _from_files([_embedded(source, kind)], None, source, split)
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return _from_files(_files_of(path), path, source, split)
        if path.exists():
            return _from_files([path], None, source, split)
    except (OSError, RuntimeError, ValueError) as error:  # no rights, no such user, not a name
        raise InputError(f"cannot read {source[:200]!r}; check the path.") from error
    if _HUB_ID.fullmatch(source) and not _is_file_name(path):
        return _from_hub(source, split, revision)
    raise InputError(f"there is no file or folder {source}; check the path.")


def _is_file_name(path: Path) -> bool:
    return path.suffix.lower() in {*SUFFIXES, ".gz", ".txt", ".zip", ".arrow", ".xlsx"}


def _embedded(source: str, kind: Kind) -> Path:
    name = source.removeprefix(_EMBEDDED)
    if name != "pocket":
        raise InputError(
            f"{source} is not among the texts of this package; it has embedded:pocket."
        )
    path = Path(str(resources.files("aftertune.data") / "pocket" / f"{kind}.jsonl"))
    if not path.exists():
        raise InputError(f"this installation lacks the file {path}; install aftertune again.")
    return path


def _files_of(folder: Path) -> list[Path]:
    if (folder / MANIFEST).exists() or (folder / "dataset_info.json").exists():
        raise InputError(
            f"{folder} is not a folder of data files but one that a program wrote; "
            "give the data itself as JSON, JSON Lines, CSV or Parquet."
        )
    files = [path for path in sorted(folder.iterdir()) if _is_data(path)]
    if not files:
        raise InputError(f"{folder} holds no file that ends in {', '.join(SUFFIXES)}.")
    return files


def _is_data(path: Path) -> bool:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    return path.is_file() and suffix in SUFFIXES and not path.name.startswith(".")


def _from_files(files: list[Path], folder: Path | None, source: str, split: str) -> Source:
    inputs = []
    for path in files:
        name = f"source/{path.name}" if folder else "source"
        try:
            sha256 = hash_file(path)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}.") from error
        inputs.append(Input(name, sha256, sha256, str(path) if folder else source))
    return Source(tuple(inputs), _raws_of(files, split))


def _raws_of(files: list[Path], split: str) -> Iterator[Raw]:
    index = 0
    for path in files:
        for line, value, error, raw in read_file(path, split):
            yield Raw(index, line, value, error, raw, path.name)
            index += 1


def _from_hub(source: str, split: str, revision: str | None) -> Source:
    # `datasets` takes a second to import and only a hub id needs it
    hub = importlib.import_module("aftertune.data.sources_hub")
    values = hub.load(source, split, revision)
    raws = [Raw(i, None, *checked(value), file=source) for i, value in enumerate(values)]
    sha256 = hash_json([json.dumps(r.value) if r.error is None else r.raw for r in raws])
    return Source((Input("source", sha256, sha256, source),), iter(raws))
