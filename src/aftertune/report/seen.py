"""What a comparison could have seen, in words (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers


def seen(difference: Mapping[str, Any], unit: str = "nats per token") -> str:
    """Words in brackets to put behind a difference; empty where nothing is known.

    >>> seen({"smallest_detectable": 0.0123}), seen({"smallest_detectable": None})
    (' (smallest difference that could have been seen: 0.0123 nats per token)', '')
    """
    least = difference["smallest_detectable"]
    if not least:  # a difference that is the same at every prompt has no spread
        return ""
    return f" (smallest difference that could have been seen: {numbers.nats(least)} {unit})"
