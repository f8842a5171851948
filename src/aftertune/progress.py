"""What long work says while it runs; the command line draws it, libraries stay silent.

A stage asks its `Progress` for a task and advances it; it never prints by itself.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One bar: `total` units of work."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """`amount` more units are done; `note` stands beside the bar."""


# A bar that closes itself.
TaskContext = AbstractContextManager[Task]


class Progress(Protocol):
    """Where bars and sentences go."""

    def task(self, label: str, total: float, done: float = 0) -> TaskContext:
        """A bar for `total` units of which `done` were finished by an earlier run."""

    def say(self, sentence: str) -> None:
        """One line for the user that stays on screen."""

    def warn(self, sentence: str) -> None:
        """One line that the user should not miss."""


class _SilentTask:
    def advance(self, amount: float = 1, note: str = "") -> None:
        return None


class Silent:
    """Says nothing; keeps warnings so that tests and callers can look at them."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    @contextmanager
    def task(self, label: str, total: float, done: float = 0) -> Iterator[Task]:
        yield _SilentTask()

    def say(self, sentence: str) -> None:
        return None

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
