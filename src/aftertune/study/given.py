"""Ratings that did not come from a study of ours: a file with item, rater and value.

JSON Lines, JSON, CSV, TSV or Parquet. Other names that files use for the three are known.
"""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from aftertune.data.readers import read_file
from aftertune.errors import InputError
from aftertune.study.agreement import Entry

_NAMES = {
    "item": ("item", "item_id", "response_id", "id"),
    "rater": ("rater", "annotator", "annotator_id", "worker", "coder"),
    "value": ("value", "rating", "label", "score"),
}


def read(path: str, aspect: str | None = None) -> list[Entry]:
    """(item, rater, value) of every line; values as numbers where all of them are.

    aspect: only lines whose `aspect` it is. Lines without a value are no ratings. Raises InputError
    where a line lacks an item or a rater, or somebody rated an item twice.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path of the ratings.")
    found: dict[tuple[str, str], Any] = {}
    aspects = set()
    for number, (line, value, error, _) in enumerate(read_file(Path(path), "train"), start=1):
        place = f"line {line}" if line is not None else f"record {number}"
        if error is not None or not isinstance(value, dict):
            raise InputError(f"{place} of {path} cannot be read; write item, rater and value.")
        aspects.add(value.get("aspect"))
        if aspect is not None and value.get("aspect") != aspect:
            continue
        item, rater, rating = (_field(value, name) for name in _NAMES)
        if item is None or rater is None:
            raise InputError(f"{place} of {path} names no item or no rater; write item, rater and "
                             "value.")  # fmt: skip
        if rating is None or rating == "":
            continue
        if (str(item), str(rater)) in found:
            more = "; choose one with --aspect" if len(aspects - {None}) > 1 else ""
            raise InputError(
                f"{place} of {path}: {rater} rated {item} a second time; keep one rating of each "
                f"item and rater{more}."
            )
        found[str(item), str(rater)] = rating
    if not found:
        raise InputError(f"{path} holds no ratings; write item, rater and value.")
    values = _numbers(list(found.values()))
    return [(item, rater, v) for (item, rater), v in zip(found, values, strict=True)]


def _field(record: Mapping[str, Any], name: str) -> Any:
    return next((record[key] for key in _NAMES[name] if record.get(key) is not None), None)


def _numbers(values: list[Any]) -> list[Hashable]:
    """All of them as numbers, or else all as text."""
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError):
        return [str(value) for value in values]
