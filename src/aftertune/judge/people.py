"""What people said of the same answers, and which answers they should be asked about.

A file of ratings has one rating per line (JSON Lines, CSV or Parquet): response_id (or item_id),
aspect, value from 1 to 5, and annotator where several people rated.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.data.places import in_order, placed
from aftertune.data.readers import read_file
from aftertune.errors import InputError
from aftertune.judge.aspects import HIGHEST, LOWEST
from aftertune.judge.calls import Responses
from aftertune.judge.prompt import conversation

FILE = "for_people.jsonl"
ONE_PERSON = "one person"

# response_id -> aspect -> annotator -> value
Ratings = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Rated:
    """Ratings of our answers. aside: why other lines were left out -> how many."""

    ratings: Ratings
    aside: dict[str, int]


def read(path: str, responses: Responses, aspects: Sequence[str]) -> Rated:
    """The ratings in a file; raises InputError, also when none is of these answers."""
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path of the ratings.")
    known = {record["response_id"] for records in responses.values() for record in records}
    found: Ratings = {}
    aside: Counter[str] = Counter()
    for _, value, error, _ in read_file(Path(path), "train"):
        fields = value if error is None and isinstance(value, dict) else {}
        name = fields.get("response_id") or fields.get("item_id")
        aspect, rating = fields.get("aspect"), _rating(fields.get("value"))
        if name not in known:
            aside["its answer is not among the responses"] += 1
        elif any(fields.get(key) for key in ("pilot", "repeat_of", "withdrawn")):
            aside["it is of the pilot, a repeat, or was taken back"] += 1
        elif aspect not in aspects:
            aside["its aspect is not asked for"] += 1
        elif rating is None:
            aside[f"its value is no number from {LOWEST} to {HIGHEST}"] += 1
        else:
            person = str(fields.get("annotator") or ONE_PERSON)
            found.setdefault(str(name), {}).setdefault(str(aspect), {})[person] = rating
    if not found:
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in aside.items())
        raise InputError(f"{path} holds no rating of these answers: {reasons or 'it is empty'}.")
    return Rated(found, dict(aside))


def draw(responses: Responses, n: int, seed: int) -> list[str]:
    """Ids of n answers of each model, drawn at random: the same prompts for every model.

    Fewer where a model has fewer answers.
    """
    by_model = {model: placed(records) for model, records in responses.items()}
    places = in_order(by_model)
    random.Random(seed).shuffle(places)
    found = []
    for by_place in by_model.values():
        found += [by_place[place]["response_id"] for place in places if place in by_place][:n]
    return found


def write_form(
    path: Path, responses: Responses, drawn: Sequence[str], aspects: Sequence[str], seed: int
) -> None:
    """The drawn answers in random order, with an empty value for each aspect; models not named."""
    wanted = set(drawn)
    rows = [r for records in responses.values() for r in records if r["response_id"] in wanted]
    random.Random(seed).shuffle(rows)
    lines = [
        json.dumps(
            {
                "response_id": row["response_id"], "aspect": aspect, "annotator": None,
                "value": None, "prompt": conversation(row["messages"]),
                "response": row["response"],
            },
            ensure_ascii=False,
        )
        for row in rows
        for aspect in aspects
    ]  # fmt: skip
    artefact.write_durably(path, partial(_write, "".join(line + "\n" for line in lines)))


def _rating(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and LOWEST <= found <= HIGHEST else None


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
