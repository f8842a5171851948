"""What proof costs, said before anything is tuned (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.report.numbers import plural

ASK_ABOVE = 600.0  # seconds of tuning that nobody begins by mistake


@dataclass(frozen=True)
class Cost:
    """One proof: how many tunings, as long as the one that was made, and what they are.

    tokens, seconds and n_bytes are those of all its tunings, by what that one took. asked:
    instructions that go to an endpoint. Finished tunings are reused, so this is the most.
    """

    proof: str
    what: str
    n_tunings: int = 0
    tokens: int = 0
    seconds: float = 0.0
    n_bytes: int = 0
    asked: int = 0

    def sentence(self) -> str:
        """One sentence, without time and room, which `total` says of all proofs together."""
        if not self.n_tunings:
            return f"{self.proof}: no tuning; {self.what}."
        return f"{self.proof}: {plural(self.n_tunings, 'tuning')}; {self.what}."

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "proof": self.proof, "what": self.what, "n_tunings": self.n_tunings,
            "tokens": self.tokens, "seconds": self.seconds, "bytes": self.n_bytes,
            "asked": self.asked,
        }  # fmt: skip


def total(costs: Sequence[Cost], place: str) -> str | None:
    """What all of them take together, as one sentence; None where nothing is tuned."""
    n = sum(one.n_tunings for one in costs)
    if not n:
        return None
    tokens = sum(one.tokens for one in costs)
    size = sum(one.n_bytes for one in costs)
    return (
        f"In all {plural(n, 'tuning')} at most, {tokens:,} tokens, about "
        f"{duration(seconds_of(costs))} by what the tuning itself took, and "
        f"{size / 1e9:.2f} GB in {place}; finished ones are reused."
    )


def seconds_of(costs: Sequence[Cost]) -> float:
    """Seconds of tuning, all of them together."""
    return sum(one.seconds for one in costs)


def duration(seconds: float) -> str:
    """How long, in the unit that fits.

    >>> duration(40), duration(700), duration(9000)
    ('40 s', '12 minutes', '2.5 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
