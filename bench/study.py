"""A study under load: fifty people who rate at once, each without a pause.

    python bench/study.py --out bench/results/study.json
    python bench/study.py --people 5 --ratings 10 --out /tmp/small.json

The server runs as users run it, in a process of its own, and people in another, on loopback. A
person fetches an item, sends a rating, and begins again as soon as it is confirmed: nobody is that
fast, so the times say what the server does when it is never idle. `paced` is the same with a
second of thought between ratings. A rating counts as lost if it was confirmed and is not on disk.
Bounded in count, and in time by --seconds.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from aftertune.artefact import write_durably
from aftertune.progress import Silent
from aftertune.study import founding, server, store, tokens
from measure import machine

PACKAGES = ("fastapi", "uvicorn", "starlette", "pydantic")
ASPECTS = ["helpfulness", "clarity", "factuality", "depth", "engagement"]
LIMIT_MS = 100.0
Measured = dict[str, Any]


def main() -> None:
    """Measure and write one JSON file; ends with 1 where a rating was lost or it was too slow."""
    asked = _arguments()
    result: Measured = {
        "what": "a study's server under load, on loopback",
        "people": asked.people, "ratings_each": asked.ratings, "words_per_answer": asked.words,
        "limit_ms": LIMIT_MS, **machine(PACKAGES),
    }  # fmt: skip
    for name, pause in (("without_pause", 0.0), ("paced", asked.pause)):
        with tempfile.TemporaryDirectory() as folder:
            result[name] = _measured(asked, pause, Path(folder) / "study.sqlite")
        print(name, json.dumps(result[name], indent=1), flush=True)
    text = json.dumps(result, indent=1) + "\n"
    write_durably(asked.out, lambda path: path.write_text(text, encoding="utf-8"))
    bad = any(result[n]["lost"] or result[n]["doubled"] for n in ("without_pause", "paced"))
    sys.exit(int(bad or not result["without_pause"]["all_done"]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--ratings", type=int, default=100)
    parser.add_argument("--words", type=int, default=250, help="of each answer")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds of thought, when paced")
    parser.add_argument("--seconds", type=float, default=240.0, help="at most, of each part")
    parser.add_argument("--out", type=Path, default=Path("bench/results/study.json"))
    return parser.parse_args()


def _measured(asked: argparse.Namespace, pause: float, path: Path) -> Measured:
    given = _study(path, asked.people, asked.ratings, asked.words)
    port = _free_port()
    fresh = multiprocessing.get_context("spawn")
    serving = fresh.Process(target=_serve, args=(path, port), daemon=True)
    serving.start()
    try:
        _wait_for(port)
        before = _cpu_seconds(serving.pid)
        began = time.perf_counter()
        heard = asyncio.run(_everybody(given, port, asked.ratings, pause, asked.seconds))
        seconds = time.perf_counter() - began
        cpu = _cpu_seconds(serving.pid) - before
    finally:
        serving.kill()  # what was confirmed must be there all the same
        serving.join()
    found = _on_disk(path)
    times = {kind: [ms for one in heard for ms in one[kind]] for kind in ("get", "post")}
    confirmed = [name for one in heard for name in one["confirmed"]]
    return {
        "pause_seconds": pause, "seconds": round(seconds, 2),
        "requests_per_second": round(sum(map(len, times.values())) / seconds, 1),
        "server_cpu_ms_per_request": round(1000 * cpu / sum(map(len, times.values())), 3),
        "confirmed": len(confirmed), "on_disk": len(found),
        "all_done": len(confirmed) == asked.people * asked.ratings,
        "lost": len(set(confirmed) - set(found)), "doubled": len(found) - len(set(found)),
        "failed_requests": sum(one["failed"] for one in heard),
        "save_ms": _summary(times["post"]), "fetch_ms": _summary(times["get"]),
        "all_ms": _summary(times["get"] + times["post"]),
    }  # fmt: skip


def _summary(times: list[float]) -> Measured:
    if not times:
        return {"n": 0}
    p50, p95, p99 = (round(float(v), 2) for v in np.percentile(times, [50, 95, 99]))
    return {"n": len(times), "p50": p50, "p95": p95, "p99": p99, "most": round(max(times), 2),
            "under_limit": round(float(np.mean(np.asarray(times) < LIMIT_MS)), 4)}  # fmt: skip


async def _everybody(
    given: list[str], port: int, n: int, pause: float, seconds: float
) -> list[Measured]:
    ends = time.perf_counter() + seconds
    people = [_person(k, token, port, n, pause, ends) for k, token in enumerate(given)]
    return list(await asyncio.gather(*people))


async def _person(
    k: int, token: str, port: int, n: int, pause: float, ends: float
) -> Measured:  # fmt: skip
    """One person over one connection, as a browser keeps it."""
    told: Measured = {"get": [], "post": [], "confirmed": [], "failed": 0}
    await asyncio.sleep(pause * k / 50)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for item in range(n):
        if time.perf_counter() > ends:
            break
        status, _ = await _timed(told["get"], reader, writer, token, f"/api/items/i{item}", None)
        told["failed"] += status != 200
        sides = {"overall": "first", "aspects": dict.fromkeys(ASPECTS, "tie")}
        body = {"rating_id": str(uuid.uuid4()), "item_id": f"i{item}", "answer": sides,
                "note": "", "seconds": 12.5}  # fmt: skip
        status, reply = await _timed(told["post"], reader, writer, token, "/api/ratings", body)
        told["failed"] += status != 200
        if status == 200:
            told["confirmed"].append(json.loads(reply)["rating_id"])
        if pause:
            await asyncio.sleep(pause)
    writer.close()
    return told


async def _timed(
    times: list[float], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str,
    path: str, body: Measured | None,
) -> tuple[int, bytes]:  # fmt: skip
    """Status and body of one request; its milliseconds from first byte sent to last received."""
    data = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nX-Aftertune-Study: 1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    began = time.perf_counter()
    writer.write(head.encode() + data)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(answer.split("content-length: ")[1].split("\r\n")[0])
    reply = await reader.readexactly(length)
    times.append(1000 * (time.perf_counter() - began))
    return int(answer.split(" ")[1]), reply


def _study(path: Path, n_people: int, n_items: int, n_words: int) -> list[str]:
    """Tokens of the people of a study of pairs in which everybody rates every item."""
    given = [tokens.new() for _ in range(n_people)]
    text = " ".join(f"word{k % 97}" for k in range(n_words))
    items = [
        {"item_id": f"i{k}", "position": k, "kind": "pairs", "hidden": {},
         "shown": {"prompt": [{"role": "user", "content": f"Question {k}?"}],
                   "answers": [f"{k} {text}", f"{text} {k}"], "candidates": []}}
        for k in range(n_items)
    ]  # fmt: skip
    people = [
        {"person_id": f"a{k}", "name": f"a{k}", "role": "annotator", "token_hash": tokens.hashed(t)}
        for k, t in enumerate(given)
    ]
    assigned = [
        {"person_id": f"a{p}", "item_id": f"i{k}", "batch": 1, "position": k, "swapped": p % 2}
        for p in range(n_people)
        for k in range(n_items)
    ]
    settings = {"name": "bench", "kind": "pairs", "aspects": ASPECTS}
    founding.create(path, settings, items, people, assigned)
    return given


def _cpu_seconds(pid: int | None) -> float:
    """Of a process so far, from Linux's /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(path: Path, port: int) -> None:
    server.serve(path, Silent(), port=port)


def _on_disk(path: Path) -> list[str]:
    opened = store.open_store(path)
    found = [one["rating_id"] for one in opened.ratings()]
    opened.close()
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server did not begin")


if __name__ == "__main__":
    main()
