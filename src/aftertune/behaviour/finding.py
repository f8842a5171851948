"""What a check says of one answer (pure)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """value: a number, 0 or 1 where the check only flags; None where nothing can be said, and
    `reason` says why. flagged: what is counted; None for plain numbers. start, end: where in the
    answer it shows, code points.
    """

    value: float | None
    flagged: bool | None = None
    reason: str | None = None
    start: int | None = None
    end: int | None = None


def flag(reason: str, start: int | None = None, end: int | None = None, value: float = 1.0
         ) -> Finding:  # fmt: skip
    """The answer shows it, there; `reason` says what was seen."""
    return Finding(value, True, reason, start, end)


def clear(value: float = 0.0, reason: str | None = None) -> Finding:
    """The answer does not show it."""
    return Finding(value, False, reason)


def number(value: float) -> Finding:
    """A plain number, like a length."""
    return Finding(float(value))


def unknown(reason: str) -> Finding:
    """Nothing can be said of this answer."""
    return Finding(None, None, reason)
