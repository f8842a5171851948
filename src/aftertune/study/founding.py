"""How a study begins as a file: its tables, and everything in them but the ratings."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from aftertune.artefact import write_durably
from aftertune.errors import InputError
from aftertune.study.config import Kind
from aftertune.study.writer import connect

# what SQLite keeps in the head of the file: that it is a study, and of which version
MARKS = {"application_id": 0x61667374, "user_version": 1}
Record = Mapping[str, Any]

_KINDS = ", ".join(f"'{kind}'" for kind in get_args(Kind))
_TABLES = f"""
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE item (
    item_id TEXT PRIMARY KEY, position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
    shown TEXT NOT NULL, hidden TEXT NOT NULL, pilot INTEGER NOT NULL DEFAULT 0,
    feedback TEXT, repeat_of TEXT REFERENCES item DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE person (
    person_id TEXT PRIMARY KEY, name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('annotator', 'organiser', 'adjudicator')),
    token_hash TEXT NOT NULL UNIQUE, active INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE assignment (
    person_id TEXT NOT NULL REFERENCES person, item_id TEXT NOT NULL REFERENCES item,
    batch INTEGER NOT NULL, position INTEGER NOT NULL, swapped INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (person_id, item_id)
) WITHOUT ROWID;
CREATE TABLE rating (
    rating_id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person, item_id TEXT NOT NULL REFERENCES item,
    sequence INTEGER NOT NULL UNIQUE, answer TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL, received TEXT NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX rating_of ON rating (person_id, item_id, sequence);
CREATE INDEX rating_on ON rating (item_id);
CREATE TABLE "row" (row_id TEXT PRIMARY KEY, instruction TEXT NOT NULL, output TEXT NOT NULL);
CREATE VIRTUAL TABLE row_search USING fts5 (
    instruction, output, content = 'row', tokenize = 'unicode61 remove_diacritics 2'
);
"""
JSON = {"setting": ("value",), "item": ("shown", "hidden", "feedback"), "rating": ("answer",)}
_COLUMNS = {
    "item": ("item_id", "position", "kind", "shown", "hidden", "pilot", "feedback", "repeat_of"),
    "person": ("person_id", "name", "role", "token_hash", "active"),
    "assignment": ("person_id", "item_id", "batch", "position", "swapped"),
    "row": ("row_id", "instruction", "output"),
}  # fmt: skip
_ABSENT: dict[str, Any] = {
    "pilot": False,
    "feedback": None,
    "repeat_of": None,
    "active": True,
    "swapped": False,
}


def create(
    path: Path,
    settings: Record,
    items: Iterable[Record],
    people: Iterable[Record],
    assignments: Iterable[Record],
    rows: Iterable[Record] = (),
) -> None:
    """Write a new study to `path`; it is whole or absent.

    Records have the keys that the tables have as columns; settings and the columns shown, hidden
    and feedback are JSON values. settings: name, kind, aspects, guidelines and what else is to be
    kept. Raises InputError where `path` exists or the records do not fit together.
    """
    if path.exists():
        raise InputError(f"{path} exists; a study is never overwritten.")
    tables = {"item": items, "person": people, "assignment": assignments, "row": rows}
    try:
        write_durably(path, partial(_write, settings, tables))
    except (sqlite3.IntegrityError, UnicodeEncodeError) as error:
        raise InputError(f"the study's records do not fit together: {error}.") from None


def _write(settings: Record, tables: Mapping[str, Iterable[Record]], path: Path) -> None:
    """A new file at `path`, with nothing beside it."""
    path.unlink(missing_ok=True)  # of a process that was killed while it wrote
    connection = connect(path)
    try:
        connection.executescript(
            "".join(f"PRAGMA {name} = {value};" for name, value in MARKS.items()) + _TABLES
        )
        connection.execute("BEGIN")
        pairs = [(key, _as_json(value)) for key, value in settings.items()]
        connection.executemany("INSERT INTO setting VALUES (?, ?)", pairs)
        for table, columns in _COLUMNS.items():
            places = ", ".join("?" * len(columns))
            connection.executemany(
                f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({places})',
                (_values(table, columns, record) for record in tables[table]),
            )
        connection.execute("INSERT INTO row_search (row_search) VALUES ('rebuild')")
        connection.execute("COMMIT")
    finally:
        connection.close()


def _values(table: str, columns: Sequence[str], record: Record) -> list[Any]:
    """A record's values in the order of columns; KeyError names a column that is missing."""
    found = [record[c] if c in record else _ABSENT[c] for c in columns]
    as_json = JSON.get(table, ())
    return [
        _as_json(value) if column in as_json and value is not None else value
        for column, value in zip(columns, found, strict=True)
    ]


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
