"""What the rows of spans add over tunings on random halves of a world's rows, those held out too.

As `trace --influence-halves` has it (`experiments/halves_influence.py`), but for all splits of a
world together: halves are drawn of what its splits keep together, which is the same in all of them,
so one set of tunings serves them all.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from aftertune import artefact
from aftertune.artefact import Artefact
from aftertune.controls.halves import added, halves
from aftertune.inputs import read_rows
from aftertune.lab import base as base_stage
from aftertune.lab.config import LabLabelsConfig
from aftertune.lab.tuning import tuned
from aftertune.models.load import load, load_tokenizer
from aftertune.models.said import logprobs
from aftertune.progress import Progress
from aftertune.trace.influenced import MOST, WEIGHT
from trace_lab_pairs import keep
from trace_lab_splits import Made, said_of, tunings

TUNINGS = (16, 32)
FIRST_SEED = 100  # of the shuffles: no split's own

Record = dict[str, Any]


def with_halves(base: Artefact, splits: list[Record], out: Path, progress: Progress) -> None:
    """Adds to each span of these splits of one world `influence_halves`: number of tunings -> nats
    of each of its first `MOST` rows. Kept in OUT by split."""
    paths = [out / f"trace-lab-halves-{base.id}-{one['seed']}.json" for one in splits]
    left = [place for place, path in enumerate(paths) if not path.exists()]
    if left:
        made = {place: tunings(base, splits[place]["seed"], out, progress) for place in left}
        found = _found(base, {place: (made[place], splits[place]) for place in left}, out, progress)
        for place, of in found.items():
            keep(paths[place], of)
    for one, path in zip(splits, paths, strict=True):
        for span, of in zip(one["spans"], json.loads(path.read_text()), strict=True):
            span["influence_halves"] = of


def _found(
    base: Artefact, given: dict[int, tuple[Made, Record]], out: Path, progress: Progress
) -> dict[int, list[dict[str, list[float]]]]:
    tokenizer = load_tokenizer(base_stage.model_folder(base))
    items, bounds = [], {}
    for place, (made, split) in given.items():
        start = len(items)
        items += [
            said_of(tokenizer, made.said[one["response"]], (one["start"], one["end"]))
            for one in split["spans"]
        ]
        bounds[place] = slice(start, len(items))
    first = next(iter(given.values()))[0]
    members: dict[str, list[int]] = {}
    for one in first.tune.table("split").to_pylist():
        members.setdefault(one["cluster_id"], []).append(one["row_index"])
    names = sorted(members)
    held = halves([len(members[name]) for name in names], max(TUNINGS))
    rows = read_rows(str(base.folder / "rows.jsonl"), out, progress)
    recipe = LabLabelsConfig(device="cpu").recipe
    y = []
    for number, half in enumerate(held):
        lost = sorted(
            row for name, inside in zip(names, half, strict=True) if not inside
            for row in members[name]
        )  # fmt: skip
        text = json.dumps([{"row_index": row, "weight": 0.0} for row in lost])
        path = out / f"mask-{artefact.hash_json([base.id, lost])[:16]}.json"
        artefact.write_durably(path, lambda place, text=text: place.write_text(text))
        run = tuned(base, rows, recipe, FIRST_SEED + number, out, progress, path)
        y.append(logprobs(load(run.folder / "model", dtype="float32", device="cpu"), items))
    of_all = np.asarray(y)
    column = {name: place for place, name in enumerate(names)}
    return {
        place: _of_split(of_all[:, bounds[place]], held, column, split)
        for place, (_, split) in given.items()
    }


def _of_split(
    y: np.ndarray, held: np.ndarray, column: dict[str, int], split: Record
) -> list[dict[str, list[float]]]:
    found = []
    for place, one in enumerate(split["spans"]):
        columns = [column[name] for name in one["clusters"][:MOST]]
        found.append({
            str(n): np.round(added(y[:n, place], held[:n, columns]), 5).tolist() for n in TUNINGS
        })  # fmt: skip
    return found


def by_halves(split: Record, n: int) -> Record:
    """The split with its spans' first rows alone, and what they add over n tunings as evidence."""
    spans = [
        {
            **one, **{name: one[name][:MOST] for name in ("rows", "held", "clusters", "keys")},
            "evidence": {WEIGHT: one["influence_halves"][str(n)]},
        }
        for one in split["spans"]
    ]  # fmt: skip
    return {**split, "spans": [{k: v for k, v in one.items() if k != WEIGHT} for one in spans]}
