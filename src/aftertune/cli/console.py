"""What the terminal shows: progress with time left, warnings, tables, and JSON for programs.

Progress and sentences go to standard error, results to standard output, so that `--json` can be
piped. Model output is hostile text: control characters are shown, never sent to the terminal.
"""

import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars
from rich.table import Table
from rich.text import Text

from aftertune import parallel
from aftertune.progress import Task

_SECONDS_BETWEEN_LINES = 15.0  # where there is no terminal to redraw


class Terminal:
    """A `Progress` on a terminal, or as plain lines where standard error is no terminal.

    Of several processes only process 0 speaks, but for an error.
    """

    def __init__(self) -> None:
        self.err = Console(stderr=True, highlight=False, quiet=not parallel.is_first())
        self.warnings: list[str] = []

    @contextmanager
    def task(self, label: str, total: float, done: float = 0) -> Iterator[Task]:
        if self.err.is_terminal:
            with _bars(self.err) as bars:
                number = bars.add_task(printable(label), total=total, completed=int(done), note="")
                yield _BarTask(bars, number)
        else:
            line = _LineTask(self.err, label, total, done)
            yield line
            line.close()

    def say(self, sentence: str) -> None:
        self.err.print(printable(sentence), markup=False)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
        self.err.print("[bold yellow]warning:[/] " + escape(printable(sentence)))

    def show(self, text: Text) -> None:
        """Styled text, like a row with its trained part coloured."""
        self.err.print(text)

    def fail(self, sentence: str) -> None:
        """The one sentence of a UserError."""
        who = "error" if parallel.is_first() else f"error in process {os.environ['RANK']}"
        Console(stderr=True, highlight=False).print(
            f"[bold red]{who}:[/] " + escape(printable(sentence))
        )


class _BarTask:
    def __init__(self, bars: RichBars, number: Any) -> None:
        self._bars, self._number = bars, number

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._bars.update(self._number, advance=amount, note=printable(note))


class _LineTask:
    """One line at the start, then at most one every few seconds, and one at the end."""

    def __init__(self, console: Console, label: str, total: float, done: float) -> None:
        self._console, self._label, self._total = console, label, total
        self._done, self._done_before = done, done
        self._start = self._last = time.monotonic()
        already = f", {done:g} done before" if done else ""
        self._print(f"{label}: {total:g} to do{already}")

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES or self._done >= self._total:
            return
        self._last = now
        fresh = self._done - self._done_before
        left = (self._total - self._done) * (now - self._start) / fresh if fresh else 0
        beside = f", {note}" if note else ""
        self._print(f"{self._label}: {self._done:g}/{self._total:g}, {clock(left)} left{beside}")

    def close(self) -> None:
        seconds = time.monotonic() - self._start
        self._print(f"{self._label}: {self._done:g}/{self._total:g} in {clock(seconds)}")

    def _print(self, line: str) -> None:
        self._console.print(printable(line), markup=False)


def _bars(console: Console) -> RichBars:
    return RichBars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )


def clock(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 2 min 05 s, 1 h 03 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def printable(text: str) -> str:
    """Text whose control, format and surrogate characters are shown as escapes."""
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs")
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: bool = False
) -> None:
    """A table on standard output; columns after the first stand right unless `left`."""
    table = Table(title=printable(title), title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(printable(column), justify="left" if left or number == 0 else "right")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table)


def show_json(value: Any) -> None:
    """One JSON value on standard output, for programs."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False, default=str)
    sys.stdout.write("\n")
