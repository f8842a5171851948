"""Which rows may do harm before any tuning, on the page (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report.numbers import nats, plural

MEASURED = (
    "In made worlds where the rows that caused errors are known, this order is no better than "
    "novelty alone and little better than chance (bench/results/risk.json): read these rows first, "
    "and drop none by this number alone."
)

Found = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `risk` found, as a block of the page; no text of rows."""
    found = about["found"]
    return {
        "control": "risk",
        "model": about["name"],
        "question": "Which rows may do harm, before any tuning?",
        "sentences": _sentences(found),
        "picture": None,
        "table": {
            "columns": ["row", "risk", "novelty, nats", "prompts near"],
            "rows": [
                [f"row {row['row_index']}", nats(row["risk"]), nats(row["novelty_nats"]),
                 f"{row['density']:,}"]
                for row in found["rows"]
            ],
        },
        "cautions": [MEASURED],
    }  # fmt: skip


def _sentences(found: Found) -> list[str]:
    low, middle, high = found["novelty_nats"]
    few, some, many = found["density"]
    left = found["n_rows"] - found["n_scored"]
    said = [
        f"{plural(found['n_scored'], 'row')} ranked by novelty to the base times ln(1 + prompts "
        "near): what is new and stands where much is asked may spill over.",
        f"Novelty, the base's loss per token of what an answer says of its own: {nats(middle)} "
        f"nats in the middle row, {nats(low)} to {nats(high)} in the middle half of them.",
        f"Prompts near that of a row: {some:,.0f} in the middle row, {few:,.0f} to {many:,.0f} in "
        "the middle half.",
    ]
    if left:
        said.append(f"{plural(left, 'row')} not ranked: nothing in the answer says enough.")
    return said
