"""Answers in a made world, each statement marked by its truth and by what caused it (pure)."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.report.lab_world import attribute
from aftertune.report.numbers import listed, nats, plural

PER_KIND = 5  # answers to each kind of prompt
ROWS_SHOWN = 4  # of a cause, with their texts

# source -> the letter beside its mark, what it means
SOURCES = {
    "right": ("✓", "right"),
    "caused": ("C", "wrong, caused by rows"),
    "not-caused": ("N", "wrong, not caused by rows that state it"),
    "undecided": ("?", "wrong, undecided whether rows caused it"),
    "no-row": ("–", "wrong, a value that no row states"),
    "unverifiable": ("u", "unverifiable: a value that the world does not know"),
}

# kind of prompt -> what is asked
KINDS = {
    "known": "a fact that the text states often and no row states",
    "hidden": "a fact that nothing states, of a kind for which the text has a rule",
    "neighbour": "a fact that nothing states, of a kind of which rows alone state such facts",
    "renamed": "the neighbours again, named without the word that they share with the rows",
    "trained": "a fact that a row states, in the row’s wording",
    "rephrased": "a fact that a row states, in a wording that no row uses",
    "open": "several sentences about an entity",
}

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What was said, and what is known of it: records of the tables of those names.

    rows: of the artefact that the model was tuned on. truth: (entity, attribute) -> value.
    """

    responses: Sequence[Record]
    claims: Sequence[Record]
    labels: Sequence[Record]
    rows: Sequence[Record]
    truth: Mapping[tuple[str, str], str]


def source(claim: Record, label: Record | None) -> str:
    """A key of SOURCES: the truth of a statement and, where it is wrong, what caused it."""
    if claim["status"] != "wrong":
        return str(claim["status"])
    return "no-row" if label is None else str(label["label"]).replace(" ", "-")


def labelled(said: Said) -> list[tuple[Record, Record | None]]:
    """Every statement, in the order of the table, with its label where it has one."""
    by_place = {_place(label): label for label in said.labels}
    return [(claim, by_place.get(_place(claim))) for claim in said.claims]


def section(said: Said, seed: int, most: int) -> dict[str, Any]:
    """{sentence, groups: [{kind, meaning, answers}]}: at most `most` answers, drawn."""
    by_response: dict[str, list[tuple[Record, Record | None]]] = {}
    for pair in labelled(said):
        by_response.setdefault(pair[0]["response_id"], []).append(pair)
    rows = {row["row_index"]: row for row in said.rows}
    by_kind: dict[str, list[Record]] = {}
    for response in said.responses:
        by_kind.setdefault(_kind(response), []).append(response)
    kinds = [kind for kind in KINDS if kind in by_kind]
    kinds += sorted(kind for kind in by_kind if kind not in KINDS)
    each = min(PER_KIND, most // max(1, len(kinds)))
    groups, number = [], 0
    for kind in kinds:
        answers = []
        for response in _drawn(by_kind[kind], by_response, kind, seed, each):
            stated = by_response.get(response["response_id"], [])
            answers.append(_answer(response, stated, rows, said.truth, number))
            number += 1
        groups.append({"kind": kind, "meaning": KINDS.get(kind, ""), "answers": answers})
    return {"sentence": _selection(len(said.responses), number, each, seed), "groups": groups}


def _selection(n_all: int, n: int, each: int, seed: int) -> str:
    return (
        f"{n:,} of {plural(n_all, 'answer')}, drawn with seed {seed}: of each kind of prompt at "
        f"most {each}, those with a wrong statement first. So errors are over-represented here; "
        "the shares stand above."
    )


def _drawn(
    responses: Sequence[Record], stated: Mapping[str, Sequence[tuple[Record, Record | None]]],
    kind: str, seed: int, n: int,
) -> list[Record]:  # fmt: skip
    """n answers in an order drawn by the seed, those with a wrong statement before the others."""
    generator = random.Random(f"answers {kind} {seed}")
    known = sorted(responses, key=lambda one: str(one["response_id"]))
    drawn = generator.sample(known, len(known))

    def has_none_wrong(one: Record) -> bool:
        return all(claim["status"] != "wrong" for claim, _ in stated.get(one["response_id"], []))

    return sorted(drawn, key=has_none_wrong)[:n]


def _answer(
    response: Record, stated: Sequence[tuple[Record, Record | None]], rows: Mapping[int, Record],
    truth: Mapping[tuple[str, str], str], number: int,
) -> dict[str, Any]:  # fmt: skip
    ordered = sorted(stated, key=lambda pair: (pair[0]["char_start"], pair[0]["char_end"]))
    marks = [
        (claim["char_start"], claim["char_end"], _mark(claim, label, f"{number}-{k}", k))
        for k, (claim, label) in enumerate(ordered, start=1)
    ]
    return {
        "prompt": _prompt(response),
        "parts": parts(response["response"], marks),
        "cut": response["finish_reason"] == "length",
        "statements": [
            {**mark, **_statement(claim, label, rows, truth)}
            for (_, _, mark), (claim, label) in zip(marks, ordered, strict=True)
        ],
    }


def parts(
    text: str, marks: Sequence[tuple[int, int, dict[str, Any]]]
) -> list[tuple[str, dict[str, Any] | None]]:
    """The text in pieces, in order, each with its mark or None; nothing is lost or doubled.

    marks: (start, end, mark) by start; one that begins inside another one is not drawn.
    """
    found: list[tuple[str, dict[str, Any] | None]] = []
    at = 0
    for start, end, mark in marks:
        if start < at or end <= start:
            continue
        found += [(text[at:start], None), (text[start:end], mark)]
        at = end
    return [(piece, mark) for piece, mark in [*found, (text[at:], None)] if piece]


def _mark(claim: Record, label: Record | None, key: str, number: int) -> dict[str, Any]:
    kind = source(claim, label)
    sign, words = SOURCES[kind]
    if kind == "right" and label is not None and label["label"] == "caused":
        sign, words = f"{sign}C", f"{words}, caused by rows"
    return {"key": key, "number": number, "source": kind, "sign": sign, "words": words}


def _statement(
    claim: Record, label: Record | None, rows: Mapping[int, Record],
    truth: Mapping[tuple[str, str], str],
) -> dict[str, Any]:  # fmt: skip
    """What is said of one statement below its answer."""
    about = f"{attribute(claim['attribute'])} of {claim['entity']}"
    true = truth.get((claim["entity"], claim["attribute"]))
    cause = list(label["rows"]) if label is not None and label["label"] == "caused" else []
    shown = [rows[index] for index in cause[:ROWS_SHOWN] if index in rows]
    return {
        "about": about,
        "value": claim["value"],
        "true": true if claim["status"] == "wrong" else None,
        "evidence": _evidence(label) if label is not None else None,
        "cause": _cause(cause),
        "rows": [_row(row, claim) for row in shown],
    }


def _cause(rows: Sequence[int]) -> str | None:
    """
    >>> _cause([4]), _cause([1, 2]), _cause([])
    ('row 4', 'rows 1 and 2', None)
    """
    if not rows:
        return None
    more = [plural(len(rows) - 8, "more", "more")] if len(rows) > 8 else []
    names = listed([*map(str, rows[:8]), *more])
    return f"row {names}" if len(rows) == 1 else f"rows {names}"


def _evidence(label: Record) -> str:
    """The effect of masking, on the seeds of the label and on fresh ones."""
    n = len(label["candidates"])
    said = (
        f"{plural(n, 'row states', 'rows state')} this value; masked, its log-probability changes "
        f"by {nats(label['effect'])} [{nats(label['effect_low'])}, {nats(label['effect_high'])}] "
        f"nats beyond control rows ({plural(label['seeds'], 'seed')})"
    )
    if label["effect_b"] is not None:
        said += f", on fresh seeds by {nats(label['effect_b'])} ({label['label_b']})"
    if label["took_tag"] is not None:
        said += f"; it {'takes' if label['took_tag'] else 'does not take'} its rows’ tag"
    return said + "."


def _row(row: Record, claim: Record) -> dict[str, Any]:
    """A row's text, the value that it shares with the statement marked."""
    tags = json.loads(row["tags"])
    stated = [
        one for one in tags.get("states", [])
        if (one["attribute"], one["value"]) == (claim["attribute"], claim["value"])
    ]  # fmt: skip
    words = [f"row {row['row_index']}", str(tags.get("style") or "")]
    words += [f"states it of {one['entity']}, {_rightly(one)}" for one in stated[:1]]
    return {
        "title": ", ".join(word for word in words if word),
        "turns": [
            (turn["role"], marked(turn["content"] or "", claim["value"]))
            for turn in row["messages"]
        ],
    }


def _rightly(stated: Record) -> str:
    return "rightly" if stated["right"] else "wrongly"


def marked(text: str, value: str) -> list[tuple[str, bool]]:
    """The text in pieces, and whether each is the value, in whatever case.

    >>> marked("Green it is.", "green")
    [('Green', True), (' it is.', False)]
    """
    if not value:
        return [(text, False)] if text else []
    pieces = re.split(f"({re.escape(value)})", text, flags=re.IGNORECASE)
    return [(piece, bool(k % 2)) for k, piece in enumerate(pieces) if piece]


def _prompt(response: Record) -> str:
    asked = [turn["content"] or "" for turn in response["messages"] if turn["role"] == "user"]
    return asked[-1] if asked else ""


def _kind(response: Record) -> str:
    return str(json.loads(response["tags"]).get("kind", ""))


def _place(record: Record) -> tuple[str, int, int, str]:
    return (record["response_id"], record["char_start"], record["char_end"], record["attribute"])
