"""A real HTTP server that plays an OpenAI-compatible judge, well or badly, and keeps count."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASPECTS = ("helpfulness", "factuality")
KEY = "sk-very-secret-0123456789"


def right(number: int) -> str:
    """A readable verdict on item `number`, in one of the forms that judges use."""
    verdict = {
        aspect: {"reason": f"Seen in {number}.", "score": 1 + (number + place) % 5}
        for place, aspect in enumerate(ASPECTS)
    }
    text = json.dumps(verdict)
    forms = (text, f"```json\n{text}\n```", f"Here is my verdict:\n{text}\nThat is all.")
    return forms[number % 3]


HALF = '{"helpfulness": {"reason": "Fine.", "score": 4}, "factuality": {"rea'
WORDS = json.dumps({a: {"reason": "Good.", "score": "four"} for a in ASPECTS})
TOO_HIGH = json.dumps({a: {"reason": "Good.", "score": 9} for a in ASPECTS})
EMPTY = ""


class JudgeServer(ThreadingHTTPServer):
    """Answers item n with the texts `said[n]` in turn, after the troubles `trouble[n]` in turn.

    An item is recognised by `item <n>.` in its messages. Troubles are slow, 429, 500, cut,
    half-body, no-json, hang, and 400. `most` is the largest number of requests at once; nobody is
    answered before it has reached `together`, or within 7 s.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, said: Mapping[int, Sequence[str]] | None = None,
        trouble: Mapping[int, Sequence[str]] | None = None, pause: float = 0.0,
        retry_after: str = "0.05", together: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said, self.pause, self.retry_after = dict(said or {}), pause, retry_after
        self.trouble = {number: list(each) for number, each in (trouble or {}).items()}
        self.lock = threading.Lock()
        self.requests: Counter[int] = Counter()
        self.given: Counter[int] = Counter()  # verdicts: what one would be billed for
        self.troubles: Counter[str] = Counter()
        self.at_once = self.most = 0
        self.together, self.all_here = together, threading.Event()
        self.seconds: list[float] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> "JudgeServer":
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that the client cut are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: JudgeServer

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = int(re.search(r"item (\d+)\.", json.dumps(body["messages"]))[1])
        with server.lock:
            server.requests[number] += 1
            server.at_once += 1
            server.most = max(server.most, server.at_once)
            server.seconds.append(time.monotonic())
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            left = server.trouble.get(number)
            trouble = left.pop(0) if left else ""
            server.troubles[trouble] += 1
            if server.most >= server.together:
                server.all_here.set()
        server.all_here.wait(7)
        try:
            self._meet(trouble, number)
        except OSError:
            self.close_connection = True

    def _meet(self, trouble: str, number: int) -> None:
        if trouble == "slow":
            time.sleep(0.05)
        elif trouble:
            self._done()
            self._fail(trouble)
            return
        time.sleep(self.server.pause)
        with self.server.lock:
            turn = self.server.given[number]
            self.server.given[number] += 1
        texts = self.server.said.get(number) or [right(number)]
        reply = {
            "choices": [
                {"message": {"content": texts[min(turn, len(texts) - 1)]}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        }
        self._done()
        self._send(200, json.dumps(reply))

    def _done(self) -> None:
        # before the reply is sent: the client may send its next request before we get on
        with self.server.lock:
            self.server.at_once -= 1

    def _fail(self, trouble: str) -> None:
        if trouble == "hang":
            self.connection.settimeout(20)
            self.rfile.read(1)  # until the client has had enough
            self.close_connection = True
        elif trouble == "cut":
            self.connection.close()
            self.close_connection = True
        elif trouble == "half-body":
            self._send(200, '{"choices": [{"mess', length=500)
            self.connection.close()
            self.close_connection = True
        elif trouble == "no-json":
            self._send(200, "<html>welcome to the proxy</html>")
        elif trouble == "quota":
            self._send(429, json.dumps({"error": {"code": "insufficient_quota"}}))
        elif trouble == "429":
            self._send(429, "slow down", wait=self.server.retry_after)
        else:
            said = f"no good, said with {self.headers.get('Authorization')}"
            self._send(int(trouble), json.dumps({"error": {"message": said}}))

    def _send(
        self, status: int, text: str, length: int | None = None, wait: str | None = None
    ) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(content)))
        if wait:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
