"""Command lines in this process."""

import sys

import pytest

from aftertune.cli import main as command_line


def call(*arguments: object) -> int:
    """One command line: its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["aftertune", *map(str, arguments)])
        patch.setenv("COLUMNS", "400")
        try:
            command_line.main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0
