"""One object of a source, and the checks that every object passes, whatever file it is from.

A row of more than MAX_CHARACTERS is set aside, so are bytes that are not UTF-8 and lone
surrogates; NaN and infinities become null; NUL characters written as \\u0000 are kept.
"""

import gzip
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from aftertune.data.conversations import BadRow

MAX_CHARACTERS = 2_000_000  # of one row, spelt as JSON
RAW_CHARACTERS = 2_000  # of a bad row that are kept
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Raw:
    """One object of a source, or why there is none.

    `row_index` counts from 0 over all files of the source, `line` from 1 within the file (None
    where the file has no lines), `raw` is the first 2,000 characters of a bad row.
    """

    row_index: int
    line: int | None
    value: Any
    error: BadRow | None = None
    raw: str = ""
    file: str = ""


Line = tuple[int | None, Any, BadRow | None, str]  # line, value, error, raw text of an error


def checked(value: Any) -> tuple[Any, BadRow | None, str]:
    """The value as proper JSON; or why it is a bad row, and its first 2,000 characters."""
    try:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (ValueError, TypeError):
            value = plain(value)
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError):
        return None, BadRow("nested too deeply"), ""
    if len(text) > MAX_CHARACTERS:
        return None, too_long(f"{len(text):,} characters"), text[:RAW_CHARACTERS]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        escaped = 0xDC80 <= ord(text[error.start]) <= 0xDCFF
        reason = (
            "bytes that are not UTF-8" if escaped else "a lone surrogate, which is no character"
        )
        return None, BadRow(reason), text[:RAW_CHARACTERS]
    return value, None, ""


def too_long(size: str) -> BadRow:
    """The reason of a row over the limit, naming its size."""
    return BadRow(f"longer than {MAX_CHARACTERS:,} characters", f"it has {size}")


def plain(value: Any) -> Any:
    """As JSON: NaN and infinities are null, times ISO text, bytes their size."""
    if isinstance(value, dict):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return f"<{type(value).__name__}>" if type(value).__module__ != "decimal" else str(value)


def open_bytes(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where it is gzip."""
    with path.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]
