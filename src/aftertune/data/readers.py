"""Files -> raw objects: JSON, JSON Lines, CSV, TSV and Parquet, also packed with gzip.

Text is UTF-8, with or without a byte-order mark. A line of JSON Lines, or a row of CSV, that
cannot be read is one bad row; a file that breaks off or is something else is an InputError.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aftertune.data.conversations import BadRow
from aftertune.data.json_files import BOM, read_json, read_json_lines
from aftertune.data.raw import RAW_CHARACTERS, Line, checked, open_bytes
from aftertune.errors import InputError

SUFFIXES = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet",
}  # fmt: skip
_KNOWN = ".json, .jsonl, .csv, .tsv or .parquet"


def read_file(path: Path, split: str) -> Iterator[Line]:
    """The objects of one file; raises InputError when the file is not usable as a whole."""
    kind = recognise_file(path)
    if kind == "parquet":
        lines = _parquet(path)
    elif kind == "jsonl":
        lines = read_json_lines(path)
    elif kind == "json":
        lines = read_json(path, split)
    else:
        lines = _csv(path, "\t" if kind == "tsv" else None)
    try:
        for line, value, error, raw in lines:
            yield (line, value, error, raw) if error else (line, *checked(value))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged: its gzip data breaks off; fetch it again.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error


def recognise_file(path: Path) -> str:
    """json, jsonl, csv, tsv or parquet: by suffix, else by content; raises InputError."""
    try:
        with open_bytes(path) as stream:
            head = stream.read(65536)
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged: its gzip data breaks off; fetch it again.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    if not head.strip():
        raise InputError(f"{path} is empty; give a file that holds rows.")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is UTF-16 text; save it as UTF-8.")
    if head.startswith(b"PK\x03\x04"):
        raise InputError(f"{path} is a zip archive; unpack it and give a file in it.")
    suffix = SUFFIXES.get(_suffix(path))
    if b"\0" in head[:8192] or suffix == "parquet":
        wanted = "is not a Parquet file" if suffix == "parquet" else "is a binary file"
        raise InputError(f"{path} {wanted}; give {_KNOWN}.")
    start = head.removeprefix(BOM).lstrip()
    if suffix == "jsonl":
        return "json" if start.startswith(b"[") else suffix
    return suffix or _by_content(path, start)


def _by_content(path: Path, start: bytes) -> str:
    if start.startswith((b"[", b"{")):
        return "json"  # which also recognises JSON Lines
    header = start.partition(b"\n")[0]
    if b"\t" in header or b"," in header:
        return "tsv" if header.count(b"\t") > header.count(b",") else "csv"
    raise InputError(f"cannot tell what kind of file {path} is; give {_KNOWN}.")


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _csv(path: Path, delimiter: str | None) -> Iterator[Line]:
    csv.field_size_limit(2**31 - 1)  # of the process; long cells are judged by MAX_CHARACTERS
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        if delimiter is None:
            header = text.readline()
            delimiter = max(",;\t", key=header.count)
            text.seek(0)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header_fields = _header(path, reader)
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    raise InputError(
                        f"{path} breaks off: a quote opened in the row at line {line} is never "
                        "closed; close it or fetch the file again."
                    ) from error
                yield line, None, BadRow("not CSV", str(error)), ""
                continue
            if not fields:
                continue
            if len(fields) != len(header_fields):
                detail = f"{len(fields)} where the header has {len(header_fields)}"
                yield line, None, BadRow("wrong number of fields", detail), _shown(fields)
                continue
            yield line, dict(zip(header_fields, fields, strict=True)), None, ""


def _header(path: Path, reader: Any) -> list[str]:
    try:
        fields = [name.strip() for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise InputError(f"{path} has no header line; name its columns there.") from error
    if len(set(fields)) != len(fields):
        twice = next(name for name in fields if fields.count(name) > 1)
        raise InputError(f"{path} has two columns named {twice!r}; rename one.")
    return fields


def _shown(fields: list[str]) -> str:
    return json.dumps([field[:RAW_CHARACTERS] for field in fields], ensure_ascii=False)[
        :RAW_CHARACTERS
    ]


def _parquet(path: Path) -> Iterator[Line]:
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
            for value in batch.to_pylist():
                yield None, value, None, ""
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is a damaged Parquet file ({str(error).splitlines()[0]}); fetch it again."
        ) from error
