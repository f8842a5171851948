"""One writer of a SQLite file, which confirms a change when it is on disk.

All changes go through one thread and one connection, so nobody waits for a lock. Changes that wait
at the same time are committed together: fifty people who press a key at once wait for one sync of
the disk, not for fifty.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

Change = Callable[[sqlite3.Connection], Any]
_AT_ONCE = 64  # changes of one commit, so that the first does not wait for ever


def connect(path: Path) -> sqlite3.Connection:
    """A connection without hidden transactions that keeps references whole and syncs commits."""
    found = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    found.row_factory = sqlite3.Row
    found.execute("PRAGMA foreign_keys = ON")
    found.execute("PRAGMA synchronous = FULL")
    return found


class Writer:
    """The thread that writes; a class because it holds the connection and the queue."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._waiting: queue.SimpleQueue[tuple[Change, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="study-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> "Future[Any]":
        """Have `change` run in a transaction; the future ends once it is on disk.

        A change that raises is undone alone, and its future raises the same.
        """
        future: Future[Any] = Future()
        self._waiting.put((change, future))
        return future

    def close(self) -> None:
        """End after everything that waits is on disk."""
        self._waiting.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            taken = [self._waiting.get()]
            while len(taken) < _AT_ONCE and not self._waiting.empty():
                taken.append(self._waiting.get())
            self._commit([one for one in taken if one is not None])
            if None in taken:
                return

    def _commit(self, changes: list[tuple[Change, "Future[Any]"]]) -> None:
        """All of them in one transaction; nobody hears before it is on disk."""
        if not changes:
            return
        results: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for change, future in changes:
                results.append((future, *self._alone(change)))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:  # a full disk, say: nothing of it is kept
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for _, future in changes:
                future.set_exception(error)
            return
        for future, value, failed in results:
            if failed is not None:
                future.set_exception(failed)
            else:
                future.set_result(value)

    def _alone(self, change: Change) -> tuple[Any, Exception | None]:
        """What the change gives; where it raises, it leaves nothing behind."""
        self._connection.execute("SAVEPOINT one")
        try:
            value, failed = change(self._connection), None
        except Exception as error:
            self._connection.execute("ROLLBACK TO one")
            value, failed = None, error
        self._connection.execute("RELEASE one")
        return value, failed
