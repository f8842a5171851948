"""A user's own check: a regular expression, or a function in a Python file.

    --check NAME=REGEX               flags where the expression is found in the answer
    --check NAME=FILE.py:function    function(prompt, response) -> bool, number, None, or
                                     (one of these, reason)
A file is run only when it is named so. An expression that searches one answer for longer than
SECONDS is stopped: some need time that doubles with every character ("catastrophic backtracking").
"""

import importlib.util
import math
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.artefact import Input, hash_file, hash_json
from aftertune.behaviour.finding import Finding, clear, flag, number, unknown
from aftertune.errors import ConfigError

SECONDS = 5.0  # that an expression may search one answer
_NAME = re.compile(r"[A-Za-z][\w-]{0,39}")
_FUNCTION = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


@dataclass(frozen=True)
class OwnCheck:
    """name: of the check; input: what it is made of, by content; say(prompt, response)."""

    name: str
    input: Input
    say: Callable[[str, str], Finding]


def own_check(name: str, given: str) -> OwnCheck:
    """The check that `NAME=given` asks for; raises ConfigError where it cannot be made."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--check {name}=...: a name is up to 40 letters, digits, - and _, a letter first."
        )
    if match := _FUNCTION.fullmatch(given):
        return _of_function(name, Path(match.group(1)), match.group(2))
    try:
        pattern = re.compile(given)
    except re.error as error:
        raise ConfigError(
            f"--check {name}: {given!r} is no regular expression ({error}); mend it, or write "
            "FILE.py:function."
        ) from error
    content = hash_json(["regex", given])
    return OwnCheck(name, Input(f"check {name}", content, content, given), _of_regex(name, pattern))


def _of_regex(name: str, pattern: re.Pattern[str]) -> Callable[[str, str], Finding]:
    def say(prompt: str, response: str) -> Finding:
        try:
            with _limited(SECONDS):
                match = pattern.search(response)
        except TimeoutError as error:
            raise ConfigError(
                f"--check {name}: the expression searches one answer of {len(response):,} "
                f"characters for over {SECONDS:g} seconds; write it without a repetition inside a "
                "repetition, like (a+)+."
            ) from error
        return flag("the expression is found", match.start(), match.end()) if match else clear()

    return say


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises TimeoutError after so long, also within `re`; no limit where a system or thread has
    no alarm (Windows, and all threads but the main one)."""
    here = threading.current_thread() is threading.main_thread()
    if not here or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _of_function(name: str, path: Path, function: str) -> OwnCheck:
    if not path.is_file():
        raise ConfigError(f"--check {name}: there is no file {path}; check its path.")
    content = hash_json([hash_file(path), function])
    spec = importlib.util.spec_from_file_location(f"aftertune_check_{content[:16]}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"--check {name}: {path} cannot be read as Python; check the file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"--check {name}: {path} stops with {type(error).__name__}: {error}; mend it."
        ) from error
    called = getattr(module, function, None)
    if not callable(called):
        raise ConfigError(f"--check {name}: {path} has no function {function}; check its name.")

    kinds: set[bool] = set()  # whether it counts; it cannot count some answers and measure others

    def say(prompt: str, response: str) -> Finding:
        try:
            said = called(prompt, response)
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"--check {name}: {function} stops with {type(error).__name__}: {error}; mend it."
            ) from error
        found = _finding(name, said)
        kinds.update([] if found.value is None else [found.flagged is not None])
        if len(kinds) > 1:
            raise ConfigError(
                f"--check {name}: the function returns True or False of some answers and numbers "
                "of others; return one kind."
            )
        return found

    return OwnCheck(name, Input(f"check {name}", content, content, f"{path}:{function}"), say)


def _finding(name: str, said: Any) -> Finding:
    """What a function returned, as a finding."""
    reason = None
    if isinstance(said, tuple) and len(said) == 2:
        said, reason = said[0], None if said[1] is None else str(said[1])
    if said is None:
        return unknown(reason or "the function returned None")
    if isinstance(said, bool):
        return flag(reason or "the function says so") if said else clear(reason=reason)
    if isinstance(said, int | float) and math.isfinite(said):
        return number(said)
    raise ConfigError(
        f"--check {name}: the function returned {said!r:.60}; return True, False, a number or None."
    )
