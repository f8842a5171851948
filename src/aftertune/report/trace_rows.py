"""The rows as a whole, on the page about a trace: what is borrowed, with what harm, what to do
with the row (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report.numbers import NONE, decimal, nats, percent, with_interval

MOST = 10
COLUMNS = ["row", "spans", "answers", "share of all spans", "adapted", "nats added", "found by q",
           "q of the row", "what to do"]  # fmt: skip
NOTE = (
    "Harm, as far as it can be seen without a judge: adapted spans say something else than the "
    "row, and nats added is what tuning added to the log-probability of a row's spans, on average. "
    "Found by q are single spans; the q of a row says whether it was borrowed from at all: a false "
    "discovery is then a row from which nothing was. What to do, once it is shown that the row "
    "causes them: drop it, or simplify a long answer of which less than half is borrowed. All rows "
    "to look at stand in rows-to-look-at.jsonl."
)

Found = Mapping[str, Any]


def table(found: Found) -> dict[str, Any] | None:
    """{columns, rows, note, more} of the rows most borrowed from; None where there are none.

    found: of the `about` of a trace. It holds no text of rows.
    """
    if not found["rows"]:
        return None
    rows = found["rows"][:MOST]
    return {
        "columns": COLUMNS,
        "rows": [_line(row) for row in rows],
        "note": NOTE,
        "more": found["n_rows_borrowed"] - len(rows),
    }


def _line(row: Mapping[str, Any]) -> list[str]:
    return [
        f"row {row['row_index']}",
        f"{row['n_spans']:,}",
        f"{row['n_responses']:,}",
        with_interval(row["share"], percent),
        f"{row['n_adapted']:,}",
        nats(row["added_nats"]),
        NONE if row["n_found"] is None else f"{row['n_found']:,}",
        decimal(row["q_value"]),
        row["what_to_do"],
    ]
