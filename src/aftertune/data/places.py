"""Answers of several models meet by what was asked, wherever it stands in each file (pure).

Files of answers lack prompts here and there, so equal row numbers say little; equal prompts that
are asked twice are told apart by their order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]  # of the table `responses`
Place = tuple[str, int, int]  # prompt_id, which of equal prompts (from 0), sample


def placed(records: Sequence[Record]) -> dict[Place, Record]:
    """One model's answers by what they answer, in the order of rows and samples."""
    found: dict[Place, Record] = {}
    seen: dict[str, dict[int, int]] = {}
    for record in sorted(records, key=lambda one: (one["row_index"], one["sample"])):
        rows = seen.setdefault(record["prompt_id"], {})
        which = rows.setdefault(record["row_index"], len(rows))
        found[record["prompt_id"], which, record["sample"]] = record
    return found


def in_order(answers: Mapping[str, Mapping[Place, Record]]) -> list[Place]:
    """All places as the prompts stand; a file that lacks some counts its others too low.

    answers: model -> what `placed` found.
    """
    last: dict[Place, int] = {}
    for by_place in answers.values():
        for place, record in by_place.items():
            last[place] = max(last.get(place, 0), record["row_index"])
    return sorted(last, key=lambda place: (last[place], place))
