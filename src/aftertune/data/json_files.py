"""JSON and JSON Lines -> raw objects.

In JSON Lines a line that cannot be read is one bad row. A JSON file is one value: when it breaks
off, the error says where. It may hold a list of objects, one object, an object around one list,
or JSON Lines under the wrong name.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aftertune.data.conversations import BadRow
from aftertune.data.formats import ROW_FIELDS
from aftertune.data.raw import MAX_CHARACTERS, RAW_CHARACTERS, Line, open_bytes, too_long
from aftertune.errors import InputError

_MAX_LINE_BYTES = 8 * MAX_CHARACTERS
BOM = b"\xef\xbb\xbf"
_SPACE = " \t\r\n"


def read_json_lines(path: Path) -> Iterator[Line]:
    with open_bytes(path) as stream:
        number = 0
        while line := stream.readline(_MAX_LINE_BYTES):
            number += 1
            size = len(line)
            while size >= _MAX_LINE_BYTES and not line.endswith(b"\n"):
                rest = stream.readline(_MAX_LINE_BYTES)
                size += len(rest)
                if not rest or rest.endswith(b"\n"):
                    break
            text = line.removeprefix(BOM).decode("utf-8", "surrogateescape").strip(_SPACE)
            if size > len(line):
                yield number, None, too_long(f"{size:,} bytes"), text[:RAW_CHARACTERS]
            elif text:
                yield (number, *_parsed(text))


def _parsed(text: str) -> tuple[Any, BadRow | None, str]:
    try:
        return json.loads(text), None, ""
    except json.JSONDecodeError as error:
        bad = BadRow("not JSON", f"{error.msg} at column {error.colno}")
    except RecursionError:
        bad = BadRow("nested too deeply")
    except ValueError as error:  # a number of more than 4,300 digits
        bad = BadRow("not JSON", str(error).partition(";")[0])
    return None, bad, text[:RAW_CHARACTERS]


def read_json(path: Path, split: str) -> Iterator[Line]:
    with open_bytes(path) as stream:
        text = stream.read().removeprefix(BOM).decode("utf-8", "surrogateescape")
    start = _skip(text, 0)
    if text.startswith("[", start):
        yield from _array(path, text, start)
        return
    if not text.startswith("{", start):
        raise InputError(f"{path} is not JSON: it begins with {text[start : start + 20]!r}.")
    try:
        document, end = json.JSONDecoder().raw_decode(text, start)
        alone = _skip(text, end) == len(text)
    except (json.JSONDecodeError, RecursionError) as error:
        if _has_object_lines(text):
            yield from read_json_lines(path)
            return
        raise _broken(path, text, error, 0) from error
    if not alone:
        yield from read_json_lines(path)
        return
    for value in _rows_of_object(path, document, split):
        yield None, value, None, ""


def _array(path: Path, text: str, start: int) -> Iterator[Line]:
    """The elements of a JSON list one by one, each with its line."""
    decoder, count, line, counted = json.JSONDecoder(), 0, 1, 0
    here = _skip(text, start + 1)
    if text.startswith("]", here):
        here += 1
    else:
        while True:
            line, counted = line + text.count("\n", counted, here), here
            try:
                value, end = decoder.raw_decode(text, here)
            except (ValueError, RecursionError) as error:
                raise _broken(path, text, error, count, here) from error
            count += 1
            yield line, value, None, ""
            here = _skip(text, end)
            mark = text[here : here + 1]
            if mark not in (",", "]"):
                wanted = json.JSONDecodeError("Expecting ',' or ']'", text, here)
                raise _broken(path, text, wanted, count)
            here = _skip(text, here + 1)
            if mark == "]":
                break
    if _skip(text, here) < len(text):
        raise _broken(path, text, json.JSONDecodeError("Extra data", text, here), count)


def _broken(path: Path, text: str, error: Exception, rows: int, here: int = 0) -> InputError:
    if not isinstance(error, json.JSONDecodeError):
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        error = json.JSONDecodeError(what.partition(";")[0], text, here)
    # an open string is reported where it opens: the text ends within it
    cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    verb = "breaks off" if cut else "is not JSON"
    return InputError(
        f"{path} {verb} at line {error.lineno} column {error.colno} ({error.msg}), "
        f"after {rows:,} whole rows; fetch or write it again."
    )


def _skip(text: str, here: int) -> int:
    while here < len(text) and text[here] in _SPACE:
        here += 1
    return here


def _has_object_lines(text: str) -> bool:
    """Whether one of the first lines is an object by itself: JSON Lines with a bad line."""
    first = [line for line in text[:1_000_000].splitlines() if line.strip()][:10]
    return any(isinstance(_parsed(line.strip())[0], dict) for line in first)


def _rows_of_object(path: Path, document: dict[str, Any], split: str) -> list[Any]:
    """The rows in a JSON file that is one object: itself, its one list, or the list of `split`."""
    if any(name.lower() in ROW_FIELDS for name in document):
        return [document]
    lists = {
        name: held
        for name, held in document.items()
        if isinstance(held, list) and any(isinstance(row, dict) for row in held)
    }
    if len(lists) == 1:
        return next(iter(lists.values()))
    if split in lists:
        return lists[split]
    if lists:
        raise InputError(f"{path} holds several lists ({', '.join(lists)}); name one with --split.")
    return [document]
