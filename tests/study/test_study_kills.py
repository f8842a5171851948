"""SIGKILL while twenty people rate: nothing that was confirmed is lost, nothing is doubled."""

import json
import os
import threading
import time
import urllib.error
from http.client import HTTPException
from pathlib import Path

import pytest

from aftertune.study.store import open_store
from made_study_store import Server, make, rating, served

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")

WRITERS, ITEMS, KILLS = 20, 12, 3


class Writer(threading.Thread):
    """A page: sends each rating until it is confirmed, whatever happens to the server.

    It keeps its last one until `killed` is set, so that no kill comes after the end.
    """

    def __init__(
        self, server: Server, token: str, killed: threading.Event, ended: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self.server, self.token, self.killed, self.ended = server, token, killed, ended
        self.bodies = [rating("pairs", k) for k in range(ITEMS)]
        self.confirmed: list[str] = []
        self.resent = 0

    def run(self) -> None:
        for body in self.bodies:
            if body is self.bodies[-1]:
                self.killed.wait()
            while not self._sent(body) and not self.ended.is_set():
                self.resent += 1
                time.sleep(0.02)

    def _sent(self, body: dict[str, object]) -> bool:
        try:
            reply = self.server.ask(self.token, "/api/ratings", body)
        except (urllib.error.URLError, OSError, HTTPException, json.JSONDecodeError):
            return False
        self.confirmed.append(reply["rating_id"])
        return True


def on_disk(path: Path) -> list[str]:
    store = open_store(path)
    found = [one["rating_id"] for one in store.ratings()]
    store.close()
    return found


def test_killed_while_twenty_people_rate(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    tokens = make(path, n=ITEMS, annotators=WRITERS)
    killed, ended = threading.Event(), threading.Event()
    with served(path) as server:
        writers = [Writer(server, tokens[f"a{k}"], killed, ended) for k in range(WRITERS)]
        for writer in writers:
            writer.start()
        for kill in range(1, KILLS + 1):
            enough = kill * WRITERS * ITEMS // (KILLS + 1)
            _wait(lambda n=enough: sum(len(w.confirmed) for w in writers) >= n)
            server.kill()
            confirmed = {name for writer in writers for name in writer.confirmed}
            found = on_disk(path)  # as the kill left it
            assert confirmed <= set(found)
            assert len(found) == len(set(found))
            assert len(confirmed) < WRITERS * ITEMS
            server.start()
        killed.set()
        _wait(lambda: all(len(writer.confirmed) == ITEMS for writer in writers))
        ended.set()
        told = [server.ask(tokens[f"a{k}"], "/api/study")["items"] for k in range(WRITERS)]
    assert all(item["rated"] for items in told for item in items)
    assert sum(writer.resent for writer in writers) > 0
    sent = [body["rating_id"] for writer in writers for body in writer.bodies]
    assert sorted(on_disk(path)) == sorted(sent)
    store = open_store(path)
    ratings = store.ratings()
    store.close()
    assert [one["sequence"] for one in ratings] == list(range(1, WRITERS * ITEMS + 1))
    by_id = {body["rating_id"]: body for writer in writers for body in writer.bodies}
    for one in ratings:
        assert one["answer"] == by_id[one["rating_id"]]["answer"]


def test_a_restart_has_the_same_state(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    tokens = make(path, n=3)
    with served(path) as server:
        for k in range(2):
            server.ask(tokens["a0"], "/api/ratings", rating("pairs", k))
        paths = ("/api/study", "/api/items/i0", "/api/items/i2")
        before = [server.ask(tokens["a0"], where) for where in paths]
        overview = server.ask(tokens["o"], "/api/overview")
        server.kill()
        server.start()
        assert [server.ask(tokens["a0"], where) for where in paths] == before
        assert server.ask(tokens["o"], "/api/overview") == overview


def _wait(reached: object) -> None:
    """Until `reached()`; the test's own time limit ends what never comes."""
    ends = time.monotonic() + 120
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < ends, "it did not come so far"
        time.sleep(0.005)
