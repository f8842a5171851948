"""What a judge answered, kept as it comes: one line per answer.

Every line is handed to the system at once, so a process killed at any moment leaves whole lines
and at most one that breaks off, which is cut away and whose call is asked again; nothing that was
stored is ever asked twice. It is synced to the disk every second: a machine that loses power
loses the answers of that second.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from aftertune import artefact

FILE = "answers.jsonl"
_SECONDS_BETWEEN_SYNCS = 1.0


@dataclass(frozen=True)
class Answer:
    """What the judge said. requests: sent until it came; tokens as the judge counts them."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    requests: int = 1


@dataclass(frozen=True)
class NoAnswer:
    """Why a call has none. It is not stored: it cost nothing, and may be asked again."""

    reason: str
    requests: int = 1


Heard = Answer | NoAnswer


class Journal:
    """The answers of a run by the keys of their calls; a class because it holds the open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        self.answers, whole = stored(self._path)
        self._file = self._path.open("ab")
        self._file.truncate(whole)
        self._synced = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._sync()
        self._file.close()

    def add(self, key: str, answer: Answer) -> None:
        """Store an answer for good."""
        record = {"key": key, **asdict(answer)}
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        self.answers[key] = answer
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def stored(path: Path) -> tuple[dict[str, Answer], int]:
    """The answers in a file by the keys of their calls, and the bytes of its whole lines."""
    found: dict[str, Answer] = {}
    whole = 0
    content = path.read_bytes() if path.exists() else b""
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line)
            key = record.pop("key")
            answer = Answer(**record)
        except (ValueError, AttributeError, KeyError, TypeError):
            break  # written while the process or the machine stopped
        if not line.endswith(b"\n"):
            break
        found[key] = answer
        whole += len(line)
    return found, whole


def write_answers(path: Path, answers: Mapping[str, Answer], keys: Sequence[str]) -> None:
    """The answers in the order of `keys`, without what differs from run to run."""
    lines = []
    for key in keys:
        record = {"key": key, **asdict(answers[key])}
        del record["requests"]
        lines.append(json.dumps(record) + "\n")
    artefact.write_durably(path, partial(_write, "".join(lines)))


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
