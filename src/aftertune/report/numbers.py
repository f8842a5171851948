"""How numbers are written on the page: few digits, always the same way (pure)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

UNKNOWN = "unknown"
NONE = "–"
METHODS = {"full": "full", "lora": "LoRA"}  # how methods of tuning are called

Estimate = Mapping[str, Any]  # estimate, low, high, n: as `stats.intervals` writes intervals


def nats(value: float | None) -> str:
    """Three significant digits, at most five decimals; scientific below 0.00001 and from 10^6 on.

    >>> nats(0.0173421), nats(1.0), nats(0.0), nats(12.345), nats(3e-7), nats(0.00012)
    ('0.0173', '1.00', '0', '12.3', '3.0e-07', '0.00012')
    >>> nats(None), nats(math.inf), nats(2.5e9)
    ('–', '∞', '2.5e+09')
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    return f"{value:.{_decimals(value)}f}" if _is_plain(value) else f"{value:.1e}"


def _is_plain(value: float) -> bool:
    return 1e-5 <= abs(value) < 1e6


def _decimals(value: float) -> int:
    return min(5, max(0, 2 - math.floor(math.log10(abs(value)))))


def percent(share: float | None) -> str:
    """A share, or a difference of shares, with one decimal; never a false 0.0% or 100.0%.

    >>> percent(0.95), percent(0.0), percent(0.0002), percent(0.99999), percent(1.0)
    ('95.0%', '0%', '<0.1%', '>99.9%', '100%')
    >>> percent(-0.0213), percent(-0.0002), percent(1.25), percent(None)
    ('-2.1%', '>-0.1%', '125.0%', '–')
    """
    if share is None:
        return NONE
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    if abs(share) < 0.0005:
        return "<0.1%" if share > 0 else ">-0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def interval(estimate: Estimate | None, form: Callable[[float | None], str] = nats) -> str:
    """`[low, high]` in the unit and with the decimals of the estimate; empty where there is none.

    >>> interval({"estimate": 0.11, "low": 0.1, "high": 0.125}, percent)
    '[10.0, 12.5]'
    >>> interval({"estimate": 0.025, "low": 0.00647, "high": 0.12})
    '[0.0065, 0.1200]'
    """
    if not has_interval(estimate):
        return ""
    assert estimate is not None
    ends = [form(estimate["low"]), form(estimate["high"])]
    if form is nats and _is_plain(estimate["estimate"]):
        alike = [f"{estimate[end]:.{_decimals(estimate['estimate'])}f}" for end in ("low", "high")]
        # an end that is not 0 must not look like 0
        ends = [
            a if float(a) or not estimate[end] else exact
            for a, exact, end in zip(alike, ends, ("low", "high"), strict=True)
        ]
    return f"[{', '.join(end.removesuffix('%') for end in ends)}]"


def has_interval(estimate: Estimate | None) -> bool:
    """Whether there is one; all answers alike give one of width 0, which says nothing."""
    if estimate is None or estimate["low"] is None or estimate["high"] is None:
        return False
    return bool(estimate["high"] > estimate["low"])


def with_interval(estimate: Estimate | None, form: Callable[[float | None], str] = nats) -> str:
    """`mean [low, high]`; the mean alone where there is no interval."""
    if estimate is None or estimate.get("estimate") is None:
        return NONE
    return f"{form(estimate['estimate'])} {interval(estimate, form)}".strip()


def rate(value: float | None) -> str:
    """A learning rate as people write it.

    >>> rate(5e-5), rate(0.0002), rate(2.5e-5), rate(None)
    ('5e-5', '2e-4', '2.5e-5', 'unknown')
    """
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    digits, power = f"{value:.3e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def decimal(value: float | None) -> str:
    """Two decimals.

    >>> decimal(1.234), decimal(None)
    ('1.23', '–')
    """
    return NONE if value is None else f"{value:,.2f}"


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return NONE if value is None else f"{value:,.0f}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """
    >>> plural(1, "answer"), plural(1200, "answer"), plural(2, "reply", "replies")
    ('1 answer', '1,200 answers', '2 replies')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def times(value: float | None) -> str:
    """How many times: two significant digits, whole from ten on.

    >>> times(1.234), times(56.7), times(12345.0)
    ('1.2', '57', '12,000')
    """
    if value is None:
        return NONE
    if value < 10:
        return f"{value:.1f}"
    return f"{float(f'{value:.2g}'):,.0f}"


def listed(items: list[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return (
        items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
    )
