"""What detectors are asked of a world: its labelled wrong statements, with their tokens.

Read from an artefact of labels and what stands beside it; the shift of the first tuned model from
its base is made where it is not there yet, and the base's loss of every row is measured.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc

from aftertune import schema
from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.data import templates
from aftertune.errors import ArtefactError, InputError, UserError
from aftertune.lab import base as base_stage
from aftertune.lab.detectors import LOSS, Case, Record
from aftertune.lab.row_loss import losses
from aftertune.models.load import load
from aftertune.progress import Progress
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig

_PARTS = ("rows", "responses", "tuned")  # artefacts that the labels name
_NOT_TOLD = ["base_top", "tuned_top"]  # columns of a token; long, and in the shift


@dataclass(frozen=True)
class Judged:
    """The wrong statements of one world: what detectors are told, and what they are held against.

    cases, truths: decided statements in one order; truths are records of `lab_labels`. rows:
    row_index, messages and the base's loss, all that was tuned on. counts: wrong statements by
    label. missing: what could not be had (tokens of the cases, losses of the rows), and why.
    """

    world: int
    cases: list[Case]
    truths: list[Record]
    rows: list[Record]
    counts: dict[str, int]
    shift: Artefact | None = None
    missing: dict[str, str] = field(default_factory=dict)


def check(labels: Sequence[Artefact]) -> None:
    """Raises ArtefactError where one is no labels, or labels of an earlier kind, and InputError
    where a world comes twice."""
    if not labels:
        raise InputError("no labels are given; name a lab-labels-… artefact.")
    for one in labels:
        if one.stage != "lab-labels":
            raise ArtefactError(f"{one.folder} is no lab-labels-… artefact; give one.")
        if lack := _lack(one):
            raise ArtefactError(
                f"{one.folder} was made by an earlier version of the lab and lacks {lack}; delete "
                "it and run `aftertune lab labels` again."
            )
    times = Counter(one.about["world"] for one in labels)
    world, most = times.most_common(1)[0]
    if most > 1:
        raise InputError(f"world {world} is given {most} times; score each of its labels alone.")


def _lack(labels: Artefact) -> str | None:
    """What labels of today have and these do not."""
    named = labels.about.get("artefacts", {})
    if unnamed := [part for part in _PARTS if part not in named]:
        return f"the name of its {unnamed[0]}"
    known = labels.table("lab_labels").schema.names if "lab_labels" in labels.tables else []
    missing = [name for name in schema.TABLES["lab_labels"].names if name not in known]
    return f"the column {missing[0]}" if missing else None


def judged(labels: Artefact, device: str, out: Path, progress: Progress) -> Judged:
    """The cases of one artefact of labels. Raises InputError where no label is decided."""
    made = labels.about["artefacts"]
    responses = _beside(labels, made["responses"])
    by_id = {one["response_id"]: one for one in responses.table("responses").to_pylist()}
    rows = _beside(labels, made["rows"]).table("rows").to_pylist()
    wrong = [one for one in labels.table("lab_labels").to_pylist() if one["status"] == "wrong"]
    decided = [one for one in wrong if one["label"] != "undecided"]
    if not decided:
        raise InputError(
            f"{labels.folder} has no wrong statement with a decided label; label with more seeds."
        )
    shift, no_shift = _shift(labels, responses, device, out, progress)
    tokens = _tokens(shift, [one["response_id"] for one in decided])
    lost, no_loss = _losses(labels, rows, device, progress)
    world = int(labels.about["world"])
    return Judged(
        world,
        [_case(world, one, by_id[one["response_id"]], tokens) for one in decided],
        decided,
        [_plain(row, loss) for row, loss in zip(rows, lost, strict=True)],
        dict(Counter(one["label"] for one in wrong)),
        shift,
        {what: why for what, why in (("shift", no_shift), ("loss of the rows", no_loss)) if why},
    )


def _case(world: int, label: Record, response: Record, tokens: Mapping[str, list[Record]]) -> Case:
    start, end = label["char_start"], label["char_end"]
    asked = [m["content"] for m in response["messages"] if m["role"] == "user"]
    touched = [
        token
        for token in tokens.get(response["response_id"], ())
        if token["char_start"] < end and token["char_end"] > start
    ]
    return Case(
        f"{world}/{response['prompt_id']}",
        asked[-1],
        response["response"],
        (start, end),
        tuple(touched),
    )


def _plain(row: Record, loss: float | None) -> Record:
    """A row as a detector sees it: no tags, which say what the lab knows of it."""
    messages = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
    return {"row_index": row["row_index"], "messages": messages, LOSS: loss}


def _losses(
    labels: Artefact, rows: Sequence[Record], device: str, progress: Progress
) -> tuple[list[float | None], str | None]:
    """The base's loss of every row in the form in which it was tuned on; or why it is unknown."""
    try:
        tuned = _beside(labels, labels.about["artefacts"]["tuned"])
        loaded = load(base_stage.model_folder(_base(labels)), dtype="float32", device=device)
        form = templates.get(str(tuned.folder / "template.jinja"), loaded.tokenizer)
        return losses(loaded, form, rows, tuned.config["max_length"]), None
    except UserError as error:
        progress.warn(f"no loss of the rows of world {labels.about['world']}: {error}")
        return [None] * len(rows), str(error)


def _shift(
    labels: Artefact, responses: Artefact, device: str, out: Path, progress: Progress
) -> tuple[Artefact | None, str | None]:
    """The first tuned model against its base on its own answers; or why there is none."""
    try:
        base, tuned = _base(labels), _beside(labels, labels.about["artefacts"]["tuned"])
        options = {
            "base": str(base_stage.model_folder(base)),
            "tuned": str(tuned.folder),
            "name": f"world {labels.about['world']}",
            "dtype": "float32",
            "noise_responses": 0,
            "device": device,
        }
        return shift_stage.run(build(ShiftConfig, options), responses, out, progress), None
    except UserError as error:
        progress.warn(f"no shift of world {labels.about['world']}: {error}")
        return None, str(error)


def _tokens(shift: Artefact | None, wanted: Sequence[str]) -> dict[str, list[Record]]:
    """response_id -> its token records in order."""
    if shift is None:
        return {}
    table = shift.table("tokens").drop_columns(_NOT_TOLD)
    table = table.filter(pc.field("response_id").isin(list(wanted))).sort_by("position")
    found: dict[str, list[Record]] = {}
    for token in table.to_pylist():
        found.setdefault(token["response_id"], []).append(token)
    return found


def _base(labels: Artefact) -> Artefact:
    (given,) = (one for one in labels.manifest["inputs"] if one["name"] == "base")
    return _beside(labels, given["id"])


def _beside(labels: Artefact, name: str) -> Artefact:
    return open_artefact(labels.folder.resolve().parent / name, verify=False)
