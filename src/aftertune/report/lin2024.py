"""The truncated values of Lin et al. (2024) on the page: only in their own table, with its note."""

from collections.abc import Callable, Mapping
from typing import Any

from aftertune.report import numbers

Found = Mapping[str, Any]  # as `shift.compat_summary.summarise_compat` writes it


def table(abouts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Notes that must stand beside the numbers, columns and rows; None where no shift has them.

    abouts: model -> its shift's `about`.
    """
    given: dict[str, Found] = {
        name: about["lin2024"] for name, about in abouts.items() if about.get("lin2024")
    }
    if not given:
        return None
    first = next(iter(given.values()))
    rows = [
        [name, *(_cell(found["means"][name], numbers.nats) for found in given.values())]
        for name in first["means"]
    ]
    beyond = [_cell(found["beyond_the_list"], numbers.percent) for found in given.values()]
    rows.append([f"ranks beyond {first['k']}", *beyond])
    rows += [
        [name, *(_cell(found["categories"][name]["share"], numbers.percent)
                 for found in given.values())]
        for name in first["categories"]
    ]  # fmt: skip
    absent = [_absent(name, found["absent"]) for name, found in given.items()]
    return {
        "note": first["note"],
        "notes": [f"Of ranks: {first['rank_note']}.", *(said for said in absent if said)],
        "columns": ["measure", *given],
        "rows": rows,
    }


def _cell(estimate: Mapping[str, Any], form: Callable[[float | None], str]) -> str:
    if estimate["estimate"] is None:
        return str(estimate["reason"])
    return numbers.with_interval(estimate, form)


def _absent(name: str, absent: Mapping[str, Mapping[str, int]]) -> str:
    """What could not be given; the same reason holds for several columns, so each is said once."""
    reasons = {reason: n for counts in absent.values() for reason, n in counts.items()}
    said = [f"at {numbers.plural(n, 'position')} {reason}" for reason, n in reasons.items()]
    return f"Absent for {name}: {numbers.listed(said)}." if said else ""
