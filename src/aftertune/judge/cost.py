"""What a paid run will take, said before it begins (pure)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aftertune.judge.calls import Call
from aftertune.judge.journal import Answer

CHARACTERS = 4  # of a token: English; other scripts have fewer, and cost more
WORDS_OF_JUDGE = 60  # tokens that a judge writes on an aspect, roughly


@dataclass(frozen=True)
class Estimate:
    """What is left to ask. Tokens are guessed from characters; money is None without prices.

    most_tokens_out: where every reply is as long as it may be. money, most_money: in the unit of
    the prices. Calls that are asked once more because their answer cannot be read come on top.
    """

    calls: int
    done: int
    tokens_in: int
    tokens_out: int
    most_tokens_out: int
    money: float | None
    most_money: float | None

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def estimate(
    calls: Sequence[Call], done: int, n_aspects: int, max_tokens: int,
    price_in: float | None, price_out: float | None,
) -> Estimate:  # fmt: skip
    """Of the calls that are left; `done` others were answered by an earlier run.

    prices: money for a million tokens sent and received.
    """
    characters = sum(len(one["content"]) for call in calls for one in call.messages)
    sent = -(-characters // CHARACTERS)
    most = len(calls) * max_tokens
    received = min(most, len(calls) * n_aspects * WORDS_OF_JUDGE)
    return Estimate(
        len(calls), done, sent, received, most,
        money(sent, received, price_in, price_out), money(sent, most, price_in, price_out),
    )  # fmt: skip


def money(
    tokens_in: int, tokens_out: int, price_in: float | None, price_out: float | None
) -> float | None:
    """The price of these tokens; None where a price is not known.

    >>> money(2_000_000, 500_000, 3.0, 10.0), money(1, 1, 3.0, None)
    (11.0, None)
    """
    if price_in is None or price_out is None:
        return None
    return (tokens_in * price_in + tokens_out * price_out) / 1e6


def spent(
    answers: Sequence[Answer], price_in: float | None, price_out: float | None
) -> dict[str, Any]:
    """What the judge says that its answers took; None where it does not say."""
    counts: list[int | None] = []
    for name in ("prompt_tokens", "completion_tokens"):
        said = [getattr(answer, name) for answer in answers]
        counts.append(None if None in said else sum(said))
    sent, received = counts
    known = sent is not None and received is not None
    return {
        "answers": len(answers),
        "tokens_in": sent,
        "tokens_out": received,
        "money": money(sent or 0, received or 0, price_in, price_out) if known else None,
    }
