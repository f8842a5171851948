"""A weight per row, from a file: 0 masks a row's loss and leaves everything else as it was."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aftertune.errors import InputError


def read(path: Path) -> dict[str | int, float]:
    """row_id (text) or row_index (integer) -> weight.

    JSON holds `{row_id: weight}`, or a list of objects; CSV and Parquet have a column `weight`
    and a column `row_id` or `row_index`. Raises InputError naming the entry.
    """
    weights: dict[str | int, float] = {}
    for number, record in enumerate(_records(path)):
        key, weight = _entry(record, f"{path}, entry {number + 1}")
        if weights.setdefault(key, weight) != weight:
            raise InputError(f"{path} gives {key} two weights; give each row one.")
    if not weights:
        raise InputError(f"{path} holds no weight; leave --weights out or list rows in it.")
    return weights


def per_row(
    weights: Mapping[str | int, float], rows: Sequence[tuple[str, int]]
) -> dict[int, float]:
    """row_index -> weight for `rows` of (row_id, row_index); 1 where none is given.

    Raises InputError when a weight is for a row that is not there.
    """
    known: set[str | int] = {key for row in rows for key in row}
    unknown = [key for key in weights if key not in known]
    if unknown:
        raise InputError(
            f"weights are given for {len(unknown)} rows that are not among the rows, the first is "
            f"{unknown[0]}; use the row_id or row_index of the rows artefact."
        )
    return {
        row_index: weights.get(row_id, weights.get(row_index, 1.0)) for row_id, row_index in rows
    }


def _records(path: Path) -> list[Any]:
    suffix = path.suffix.lower()
    if suffix not in (".json", ".jsonl", ".csv", ".parquet"):
        raise InputError(f"{path}: weights are a .json, .jsonl, .csv or .parquet file.")
    try:
        if suffix == ".parquet":
            return list(pq.read_table(path).to_pylist())
        text = path.read_text(encoding="utf-8-sig")
        if suffix == ".csv":
            return list(csv.DictReader(text.splitlines()))
        if suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        value = json.loads(text)
    except OSError as error:
        raise InputError(f"cannot read the weights {path}: {error.strerror or error}.") from error
    except (ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} is not valid {suffix[1:]}; write it again.") from error
    if isinstance(value, dict):
        return [{"row_id": key, "weight": weight} for key, weight in value.items()]
    if isinstance(value, list):
        return value
    raise InputError(f"{path} holds neither an object of row_id: weight nor a list of objects.")


def _entry(record: Any, place: str) -> tuple[str | int, float]:
    try:
        key = record.get("row_id")
        named: str | int = str(key) if key not in (None, "") else int(record["row_index"])
        weight = float(record["weight"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place}: give row_id or row_index, and weight.") from error
    if not math.isfinite(weight) or weight < 0:
        raise InputError(f"{place}: the weight {weight} is not a number of 0 or more.")
    return named, weight
