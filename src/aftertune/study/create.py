"""`study create`: a folder that holds a whole study, from answers that exist.

The folder holds `study.sqlite` (items, people, ratings), `guidelines.md` and `links.txt`. Tokens
stand in the links alone; the study keeps their hashes.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aftertune.artefact import Artefact, write_durably
from aftertune.errors import ArtefactError, InputError
from aftertune.study import founding, guidelines, tokens
from aftertune.study.answers import MODELS
from aftertune.study.collected import FILE
from aftertune.study.config import StudyConfig
from aftertune.study.design import Design, design
from aftertune.study.items import OF_TWO, Answers, Item, Made, make

LINKS, GUIDELINES = "links.txt", "guidelines.md"
ADDRESS = "http://127.0.0.1:8765"
CANDIDATES = 8  # rows proposed for an answer, at most
_READ = ["response_id", "prompt_id", "row_index", "sample", "messages", "response", "tags"]

Record = dict[str, Any]


@dataclass(frozen=True)
class Created:
    """A new study. links: (role, name, address with the person's token), never stored elsewhere.

    notes: what the organiser should know of the design.
    """

    folder: Path
    links: list[tuple[str, str, str]]
    design: Design
    notes: list[str]


def run(
    config: StudyConfig,
    responses: Mapping[str, Artefact],
    folder: Path,
    address: str = ADDRESS,
    trace: Artefact | None = None,
    rows: Artefact | None = None,
) -> Created:
    """Make the study that `config` asks for in `folder`, which must not hold one.

    trace: whose rows are proposed as causes of spans; rows: those that annotators can search.
    address: where the study will be served. Raises UserError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty; give another folder, or delete it.")
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise InputError(f"{address} is no address; write it like https://study.example.org.")
    _check(config, responses, trace, rows)
    by_id = _rows(rows)
    made = make(
        _answers(responses), config.kind, config.seed, config.sample, _proposed(trace, by_id)
    )
    if not made.items:
        raise InputError(
            "there is nothing to rate: "
            + ("no prompt has answers of two models; give answers to the same prompts, spelt alike."
               if config.kind in OF_TWO else "no answers.")
        )  # fmt: skip
    if config.pilot >= len(made.items):
        raise InputError(
            f"there are {len(made.items):,} items and all would be the pilot, which has no part in "
            "the results; lower --pilot or give more answers."
        )
    people = _people(config)
    planned = _planned(config, made, people)
    told = _guidelines(config)
    settings = {
        **config.everything(),
        "name": folder.resolve().name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "guidelines": told,
        "models": list(responses),
    }
    links = [
        (person["role"], person["name"], tokens.link(address, person["role"], token))
        for person, token in people
    ]
    _make_folder(folder)
    write_durably(folder / GUIDELINES, partial(_put, told))
    _write_links(folder / LINKS, links)
    _write(folder / FILE, settings, planned, people, by_id.values())  # last: now it is a study
    notes = _notes(config, made, planned)
    if trace is not None and not any(item.shown["candidates"] for item in made.items):
        notes.append("Tracing proposes no row for any of these answers; was it of other answers?")
    return Created(folder, links, planned, notes)


def _planned(config: StudyConfig, made: Made, people: Sequence[tuple[Record, str]]) -> Design:
    return design(
        made.items,
        [person["person_id"] for person, _ in people if person["role"] == "annotator"],
        overlap=config.overlap,
        batch_size=config.batch_size,
        pilot=config.pilot,
        repeats=config.repeats,
        seed=config.seed,
        feedback=_feedback(config),
    )


def _check(
    config: StudyConfig, responses: Mapping[str, Artefact], trace: Artefact | None,
    rows: Artefact | None,
) -> None:  # fmt: skip
    if config.kind in OF_TWO and len(responses) < 2:
        raise InputError(f"{config.kind} compares models; give --responses of at least two.")
    if config.kind == "outcomes" and len(responses) > 2:
        raise InputError(
            "outcomes asks about the first model's answers beside those of one other; give "
            "--responses of exactly two."
        )
    if (trace or rows) and config.kind != "spans":
        raise InputError(f"only spans has causes; leave --trace and --data out of {config.kind}.")
    if trace is not None and "borrowings" not in trace.tables:
        raise ArtefactError(f"{trace.folder} is no trace; give a trace-… artefact.")


def _answers(responses: Mapping[str, Artefact]) -> Answers:
    found = {}
    for name, one in responses.items():
        if "responses" not in one.tables:
            raise ArtefactError(f"{one.folder} holds no answers; give a respond-… artefact.")
        found[name] = one.table("responses").select(_READ).to_pylist()
    return found


def _rows(rows: Artefact | None) -> dict[str, Record]:
    """row_id -> {row_id, instruction, output}; of rows with one id, the first."""
    found: dict[str, Record] = {}
    if rows is None:
        return found
    for row in rows.table("rows").select(["row_id", "messages"]).to_pylist():
        said: dict[bool, list[str]] = {True: [], False: []}
        for message in row["messages"]:
            said[message["role"] == "assistant"].append(message["content"] or "")
        found.setdefault(row["row_id"], {
            "row_id": row["row_id"],
            "instruction": "\n".join(said[False]),
            "output": "\n".join(said[True]),
        })  # fmt: skip
    return found


def _proposed(trace: Artefact | None, rows: Mapping[str, Record]) -> dict[str, list[Record]]:
    """response_id -> the rows that tracing found for it, strongest first."""
    if trace is None:
        return {}
    best: dict[str, dict[str, float]] = {}
    columns = ["response_id", "row_id", "score", "control"]
    for one in trace.table("borrowings").select(columns).to_pylist():
        if one["control"] is None and one["row_id"] in rows:
            here = best.setdefault(one["response_id"], {})
            here[one["row_id"]] = max(one["score"], here.get(one["row_id"], one["score"]))
    return {
        response: [
            {**rows[row_id], "score": score}
            for row_id, score in sorted(here.items(), key=lambda pair: -pair[1])[:CANDIDATES]
        ]
        for response, here in best.items()
    }


def _people(config: StudyConfig) -> list[tuple[Record, str]]:
    """Records of people, each with the token that only its link will hold."""
    named = {
        "annotator": config.annotators,
        "adjudicator": config.adjudicators,
        "organiser": config.organisers,
    }
    found = []
    for role, names in named.items():
        for number, name in enumerate(names, start=1):
            token = tokens.new()
            found.append((
                {"person_id": f"{role}-{number}", "name": name, "role": role,
                 "token_hash": tokens.hashed(token)},
                token,
            ))  # fmt: skip
    return found


def _feedback(config: StudyConfig) -> list[Record]:
    """Lines of {prompt, model, answer, why}; raises InputError for a file that has others."""
    if config.feedback is None:
        return []
    found = []
    for number, line in enumerate(_text(config.feedback, "feedback").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
            MODELS[config.kind].model_validate(one["answer"])
            if not isinstance(one["prompt"], str):
                raise TypeError("prompt is no text")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"line {number} of {config.feedback} is no feedback; write one JSON object per "
                f'line, like {{"prompt": "…", "answer": {{…}}, "why": "…"}}.'
            ) from error
        found.append(one)
    return found


def _guidelines(config: StudyConfig) -> str:
    if config.guidelines is None:
        return guidelines.text(config.kind, config.aspects)
    return _text(config.guidelines, "guidelines")


def _text(path: str, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the {what} {path}; give a text file in UTF-8.") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); give another.") from error


def _write(
    path: Path, settings: Record, planned: Design, people: Sequence[tuple[Record, str]],
    rows: Iterable[Record],
) -> None:  # fmt: skip
    founding.create(
        path,
        settings,
        [_item(item, place) for place, item in enumerate(planned.items)],
        [person for person, _ in people],
        [
            {"person_id": one.person, "item_id": one.item_id, "batch": one.batch,
             "position": one.position, "swapped": one.swapped}
            for one in planned.assignments
        ],
        rows,
    )  # fmt: skip


def _item(item: Item, place: int) -> Record:
    return {
        "item_id": item.item_id, "position": place, "kind": item.kind, "shown": dict(item.shown),
        "hidden": dict(item.hidden), "pilot": item.pilot, "feedback": item.feedback,
        "repeat_of": item.repeat_of,
    }  # fmt: skip


def _put(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _write_links(path: Path, links: Sequence[tuple[str, str, str]]) -> None:
    """The only file with tokens, readable by its owner alone from the first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.writelines(f"{role}\t{name}\t{link}\n" for role, name, link in links)
        stream.flush()
        os.fsync(stream.fileno())


def _notes(config: StudyConfig, made: Made, planned: Design) -> list[str]:
    own = planned.of("annotator-1")
    said = [
        f"{len(made.items):,} items to rate; {config.overlap} of "
        f"{len(config.annotators)} annotators rate each, about {len(own):,} ratings for each "
        "annotator.",
    ]
    if made.without_partner:
        said.append(
            f"{made.without_partner:,} prompts lack an answer of one of the models; prompts are "
            "the same where their text is."
        )
    if made.alike:
        said.append(f"{made.alike:,} items show two answers that are the same text.")
    if made.empty:
        said.append(f"{made.empty:,} items show an answer that is empty.")
    pilot = sum(item.pilot for item in planned.items)
    if 4 * pilot > len(made.items):
        said.append(
            f"{pilot:,} of the items are the pilot, which has no part in the results; lower "
            "--pilot to keep more."
        )
    if config.overlap < 2:
        said.append(
            "Nobody's items overlap, so how far people agree will not be known; --overlap 2 tells."
        )
    wanted = sum(item.feedback is not None for item in planned.items)
    if config.feedback and wanted == 0:
        said.append("No prompt of the feedback file is among the prompts, so the pilot has none.")
    given = {one.item_id for one in own if one.batch}
    again = [i for i in planned.items if i.repeat_of and i.item_id in given]
    if len(again) < config.repeats:
        said.append(f"{len(again):,} items are repeated for each annotator, who has few.")
    return said
