"""Small studies on disk for tests, and a server in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aftertune.study import founding, tokens
from launching import held_port

ASPECTS = ["clarity", "depth"]
SIDES = ("first", "second", "tie")
# an emoji of several code points, a letter with an accent of its own, an override, RTL, code
ASTRONAUT = "\U0001f469\U0001f3fd\u200d\U0001f680"  # four code points, one sign
TANGLED = (
    f"The flag {ASTRONAUT} flew over Cafe\u0301 Noir in 1889.\n\n"
    "```python\nif a < b and c > d:\n\tprint('<b>&amp;</b>')\n```\n"
    "שלום עולם is a greeting. \u202eevil\u202c end\u0007 of مرحبا 🇩🇪.\r\nLast line."
)
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e"
)
ROWS = [
    {"row_id": f"row-{k}", "instruction": f"Tell me of the {thing}.", "output": f"It is {k}."}
    for k, thing in enumerate(["tower", "river", "flag", "astronaut"])
]  # fmt: skip


def shown(kind: str, k: int, text: str | None = None) -> dict[str, Any]:
    """What is shown of item k."""
    first = text or f"First answer to question {k}."
    texts = [first, f"Second answer to question {k}."] if kind in ("pairs", "outcomes") else [first]
    rows = [{**ROWS[k % len(ROWS)], "score": 0.5}] if kind == "spans" else []
    prompt = [
        {"role": "user", "content": f"Question {k}: {HOSTILE if text == HOSTILE else 'why?'}"}
    ]
    return {"prompt": prompt, "answers": texts, "candidates": rows}


def answer(kind: str, k: int = 0) -> dict[str, Any]:
    """An answer that item k of `kind` accepts."""
    span = {"start": 0, "end": 5, "text": "First", "label": "not_factual",
            "cause": {"kind": "none", "row_id": None}}  # fmt: skip
    return {
        "pairs": {"overall": SIDES[k % 3], "aspects": dict.fromkeys(ASPECTS, "tie")},
        "spans": {"spans": [span], "nothing_wrong": False},
        "outcomes": {"outcome": "both_wrong"},
        "aspects": {"scores": dict.fromkeys(ASPECTS, k % 5 + 1)},
    }[kind]  # fmt: skip


def make(
    path: Path,
    kind: str = "pairs",
    n: int = 5,
    annotators: int = 2,
    texts: dict[int, str] | None = None,
    pilot: int = 0,
    guidelines: str = "",
) -> dict[str, str]:
    """A study at `path`; person_id -> token. Odd annotators see answers in reverse."""
    people = [(f"a{k}", "annotator") for k in range(annotators)]
    people += [("o", "organiser"), ("j", "adjudicator")]
    found = {name: tokens.new() for name, _ in people}
    told = {"answer": answer(kind), "why": "Because the organisers say so."}
    items = [
        {
            "item_id": f"i{k}", "position": k, "kind": kind, "pilot": k < pilot,
            "shown": shown(kind, k, (texts or {}).get(k)), "hidden": {"models": ["secret-model"]},
            "feedback": told if k < pilot else None,
        }
        for k in range(n)
    ]  # fmt: skip
    founding.create(
        path,
        {"name": f"A study of {kind}", "kind": kind, "aspects": ASPECTS, "guidelines": guidelines,
         "created": "2026-11-21", "seed": 0},
        items,
        [{"person_id": name, "name": f"Person {name}", "role": role,
          "token_hash": tokens.hashed(found[name])} for name, role in people],
        [{"person_id": f"a{a}", "item_id": f"i{k}", "batch": 0 if k < pilot else 1, "position": k,
          "swapped": a % 2 == 1} for a in range(annotators) for k in range(n)],
        ROWS if kind == "spans" else [],
    )  # fmt: skip
    return found


def rating(kind: str, k: int, **changed: Any) -> dict[str, Any]:
    """What a page sends for item k."""
    return {"rating_id": str(uuid.uuid4()), "item_id": f"i{k}", "answer": answer(kind, k),
            "note": "", "seconds": 1.5, **changed}  # fmt: skip


class Server:
    """A study's server in a process of its own."""

    def __init__(self, path: Path, port: int) -> None:
        self.path, self.port = path, port
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        code = (
            "import sys; from pathlib import Path; from aftertune.progress import Silent; "
            "from aftertune.study.server import serve; "
            "serve(Path(sys.argv[1]), Silent(), port=int(sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, str(self.path), str(self.port)]
        self.process = subprocess.Popen(command)
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            assert self.process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"{self.address}/rate", timeout=5).close()
                return
            except OSError:  # refused, or late because others ask it too
                time.sleep(0.05)
        raise AssertionError("the server did not answer")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """As a user ends it."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def ask(self, token: str, path: str, body: Any = None) -> Any:
        """JSON of the study, or urllib's HTTPError."""
        headers = {"Authorization": f"Bearer {token}", "X-Aftertune-Study": "1",
                   "Content-Type": "application/json"}  # fmt: skip
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)


@contextmanager
def served(path: Path) -> Iterator[Server]:
    """A server that ends with the block."""
    with held_port() as port:  # also while the server is dead and starts again
        server = Server(path, port)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.stop()
