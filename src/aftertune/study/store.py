"""A study as one SQLite file: what is asked, of whom, and every rating.

Ratings are only ever added; the current rating of a person and an item is the newest that was not
withdrawn. A rating that was confirmed is on disk (WAL, synced at every commit), and the page's own
`rating_id` makes sending it again harmless. Reading never waits for writing.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from aftertune.errors import InputError
from aftertune.study import answers
from aftertune.study.answers import Rating
from aftertune.study.config import Kind
from aftertune.study.founding import JSON, MARKS
from aftertune.study.writer import Writer, connect

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """Somebody of the study. role: annotator, organiser or adjudicator."""

    person_id: str
    name: str
    role: str
    active: bool


@dataclass(frozen=True)
class Saved:
    """A rating that is on disk. again: it was there before it came this time."""

    rating_id: str
    sequence: int
    again: bool
    withdrawn: bool = False


def open_store(path: Path) -> "Store":
    """The study in `path`. Raises InputError for a file that is none."""
    if not path.exists():
        raise InputError(f"there is no study at {path}; make one with `aftertune study create`.")
    found: list[Any] = []
    whole = True
    try:
        with closing(connect(path)) as connection:
            found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in MARKS]
            whole = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        whole = False
    if found == list(MARKS.values()) and not whole:
        raise InputError(f"{path} is damaged; take the latest copy of it that is whole.")
    if found != list(MARKS.values()):
        raise InputError(f"{path} is not a study that this version of aftertune can read.")
    try:
        return Store(path)
    except sqlite3.OperationalError as error:
        raise InputError(f"{path} cannot be used ({error}); check who may write there.") from error


class Store:
    """A study that is open: one writer, and a reader for every thread that asks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = Writer(path)
        self._readers = threading.local()
        self._open: list[sqlite3.Connection] = []
        self.settings = {
            r["key"]: r["value"] for r in self._all("setting", "SELECT * FROM setting")
        }
        self.has_rows = bool(self._read('SELECT 1 FROM "row" LIMIT 1'))
        self.item = lru_cache(maxsize=10_000)(self._item)  # items never change

    def close(self) -> None:
        """Everything that was saved is on disk, and the file is one file again."""
        for reader in self._open:
            reader.close()
        self._writer.close()

    @property
    def kind(self) -> Kind:
        """What the study asks."""
        return self.settings["kind"]  # type: ignore[no-any-return]

    @property
    def aspects(self) -> list[str]:
        """The aspects asked for; none where the kind has none."""
        return list(self.settings.get("aspects") or []) if self.kind in ("pairs", "aspects") else []

    # people

    def person_of(self, token_hash: str) -> Person | None:
        """Whose token this is, as long as the person takes part."""
        found = self._read(
            "SELECT person_id, name, role, active FROM person WHERE token_hash = ? AND active = 1",
            token_hash,
        )
        return _person(found[0]) if found else None

    def people(self) -> list[Person]:
        """Everybody, in the order in which they were made."""
        found = self._read("SELECT person_id, name, role, active FROM person ORDER BY rowid")
        return [_person(row) for row in found]

    def replace_token(self, person_id: str, token_hash: str) -> None:
        """Give a person another token; the old link ends. Raises InputError."""

        def change(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE person SET token_hash = ? WHERE person_id = ?", (token_hash, person_id)
            ).rowcount

        if self._writer.submit(change).result() == 0:
            raise InputError(f"there is no person {person_id!r} in this study.")

    # items

    def items(self) -> list[dict[str, Any]]:
        """All items with what is hidden, by position."""
        return self._all("item", "SELECT * FROM item ORDER BY position, item_id")

    def row(self, row_id: str) -> dict[str, Any] | None:
        """A row that may be named as a cause."""
        found = self._read('SELECT * FROM "row" WHERE row_id = ?', row_id)
        return dict(found[0]) if found else None

    def search_rows(self, query: str, limit: int = 10) -> list[dict[str, Any]]:
        """Rows that hold words of `query`, the likeliest by BM25 first."""
        words = re.findall(r"\w+", query)[:50]
        if not words:
            return []
        found = self._read(
            'SELECT r.* FROM row_search s JOIN "row" r ON r.rowid = s.rowid '
            "WHERE row_search MATCH ? ORDER BY s.rank LIMIT ?",
            " OR ".join(f'"{word}"' for word in words),
            limit,
        )
        return [dict(row) for row in found]

    def assignments(self, person_id: str | None = None) -> list[dict[str, Any]]:
        """Who rates what, by person and position: the columns of `assignment`, and pilot, rated."""
        where = "" if person_id is None else "WHERE a.person_id = ?"
        found = self._read(
            "SELECT a.*, i.pilot, EXISTS (SELECT 1 FROM rating r WHERE r.person_id = a.person_id "
            "AND r.item_id = a.item_id AND r.withdrawn = 0) AS rated FROM assignment a "
            f"JOIN item i USING (item_id) {where} ORDER BY a.person_id, a.position",
            *(() if person_id is None else (person_id,)),
        )
        return [dict(row) for row in found]

    def next_item(self, person_id: str) -> str | None:
        """The first item that the person has yet to rate."""
        found = self._read(
            "SELECT item_id FROM assignment a WHERE person_id = ? AND NOT EXISTS (SELECT 1 FROM "
            "rating r WHERE r.person_id = a.person_id AND r.item_id = a.item_id "
            "AND r.withdrawn = 0) ORDER BY position LIMIT 1",
            person_id,
        )
        return str(found[0][0]) if found else None

    def swapped(self, person_id: str, item_id: str) -> bool | None:
        """Whether the person sees the answers in reverse; None where the item is not theirs."""
        found = self._read(
            "SELECT swapped FROM assignment WHERE person_id = ? AND item_id = ?", person_id, item_id
        )
        return bool(found[0][0]) if found else None

    def progress(self) -> list[dict[str, Any]]:
        """Of each annotator: person_id, name, done, items, seconds (their sum), last (when)."""
        found = self._read(
            "SELECT p.person_id, p.name, p.active, (SELECT COUNT(*) FROM assignment a "
            "WHERE a.person_id = p.person_id) AS items, COUNT(DISTINCT r.item_id) AS done, "
            "COALESCE(SUM(r.seconds), 0.0) AS seconds, MAX(r.received) AS last FROM person p "
            "LEFT JOIN rating r ON r.person_id = p.person_id AND r.withdrawn = 0 "
            "WHERE p.role = 'annotator' GROUP BY p.person_id ORDER BY p.rowid"
        )
        return [dict(row) for row in found]

    # ratings

    def save(self, person: Person, rating: Rating) -> Saved:
        """`save_later`, waited for."""
        return self.save_later(person, rating).result()

    def save_later(self, person: Person, rating: Rating) -> "Future[Saved]":
        """Keep a rating; the future ends once it is on disk.

        Raises InputError, at once for an answer that does not fit its item or an item that is not
        this person's, and in the future for a `rating_id` that is taken.
        """
        answer = self._checked(person, rating)
        received = datetime.now(UTC).isoformat(timespec="milliseconds")
        values = (answer, rating.note, rating.seconds, received)
        return self._writer.submit(partial(_add, person.person_id, rating, values))

    def withdraw_later(self, person: Person, rating_id: str) -> "Future[Saved]":
        """Take a rating back, which stays on file. Raises InputError (in the future)."""
        return self._writer.submit(partial(_withdraw, person.person_id, rating_id))

    def ratings(self, item_id: str | None = None) -> list[dict[str, Any]]:
        """Every rating, also withdrawn ones, by sequence; answers as shown, and how (`swapped`)."""
        return self._ratings("" if item_id is None else "WHERE r.item_id = ?", item_id)

    def current_ratings(self, item_id: str | None = None) -> list[dict[str, Any]]:
        """Of each person and item the newest rating that was not withdrawn, by sequence."""
        newest = {
            (one["person_id"], one["item_id"]): one
            for one in self.ratings(item_id)
            if not one["withdrawn"]
        }
        return sorted(newest.values(), key=lambda one: int(one["sequence"]))

    def rating_of(self, person_id: str, item_id: str) -> dict[str, Any] | None:
        """The person's current rating of an item."""
        found = self._all(
            "rating",
            "SELECT * FROM rating WHERE person_id = ? AND item_id = ? AND withdrawn = 0 "
            "ORDER BY sequence DESC LIMIT 1",
            person_id,
            item_id,
        )
        return found[0] if found else None

    def _ratings(self, where: str, item_id: str | None) -> list[dict[str, Any]]:
        return self._all(
            "rating",
            "SELECT r.*, p.role, p.name, COALESCE(a.swapped, 0) AS swapped, "
            "COALESCE(a.batch, 0) AS batch FROM rating r JOIN person p USING (person_id) "
            f"LEFT JOIN assignment a USING (person_id, item_id) {where} ORDER BY r.sequence",
            *(() if item_id is None else (item_id,)),
        )

    def _checked(self, person: Person, rating: Rating) -> str:
        """The answer as JSON, once it fits its item and its person."""
        item = self.item(rating.item_id)
        if item is None:
            raise InputError(f"there is no item {rating.item_id!r} in this study.")
        swapped = self.swapped(person.person_id, rating.item_id)
        if swapped is None and person.role != "adjudicator":
            raise InputError(f"the item {rating.item_id!r} is not one of yours.")
        shown = item["shown"]
        texts: Sequence[str] = shown["answers"][::-1] if swapped else shown["answers"]
        found = answers.checked(
            item["kind"], rating.answer, texts, self.aspects, self.asks_cause(item)
        )
        if isinstance(found, answers.Spans):
            proposed = {one["row_id"] for one in shown.get("candidates", ())}
            for span in found.spans:
                row_id = span.cause and span.cause.row_id
                if row_id and row_id not in proposed and self.row(row_id) is None:
                    raise InputError(f"there is no row {row_id!r} in this study.")
        return found.model_dump_json()

    def asks_cause(self, item: Record) -> bool:
        """Whether a span of the item needs a cause: there are rows to choose from."""
        return self.has_rows or bool(item["shown"].get("candidates"))

    def _item(self, item_id: str) -> dict[str, Any] | None:
        found = self._all("item", "SELECT * FROM item WHERE item_id = ?", item_id)
        return found[0] if found else None

    def _all(self, table: str, query: str, *values: object) -> list[dict[str, Any]]:
        """Records with their JSON read."""
        found = [dict(row) for row in self._read(query, *values)]
        for record in found:
            for name in JSON[table]:
                record[name] = None if record[name] is None else json.loads(record[name])
        return found

    def _read(self, query: str, *values: object) -> list[sqlite3.Row]:
        reader = getattr(self._readers, "connection", None)
        if reader is None:
            reader = connect(self.path)
            reader.execute("PRAGMA query_only = ON")
            self._readers.connection = reader
            self._open.append(reader)
        return list(reader.execute(query, values))


def _person(row: sqlite3.Row) -> Person:
    return Person(row["person_id"], row["name"], row["role"], bool(row["active"]))


def _add(
    person_id: str, rating: Rating, values: tuple[object, ...], connection: sqlite3.Connection
) -> Saved:
    before = connection.execute(
        "SELECT * FROM rating WHERE rating_id = ?", (rating.rating_id,)
    ).fetchone()
    if before is not None:
        if (before["person_id"], before["item_id"]) != (person_id, rating.item_id):
            raise InputError("another rating has this id; load the page again.")
        return Saved(rating.rating_id, before["sequence"], True, bool(before["withdrawn"]))
    sequence = connection.execute("SELECT COALESCE(MAX(sequence), 0) + 1 FROM rating").fetchone()[0]
    connection.execute(
        "INSERT INTO rating (rating_id, person_id, item_id, sequence, answer, note, seconds, "
        "received) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (rating.rating_id, person_id, rating.item_id, sequence, *values),
    )
    return Saved(rating.rating_id, sequence, False)


def _withdraw(person_id: str, rating_id: str, connection: sqlite3.Connection) -> Saved:
    found = connection.execute(
        "UPDATE rating SET withdrawn = 1 WHERE rating_id = ? AND person_id = ? RETURNING sequence",
        (rating_id, person_id),
    ).fetchone()
    if found is None:
        raise InputError(f"there is no rating {rating_id!r} of yours.")
    return Saved(rating_id, found["sequence"], True, True)
