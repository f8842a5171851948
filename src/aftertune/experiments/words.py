"""Do the words that tuning moved stand in the rows, more than in rows that it never saw?

The paper's string search (figure 12) with its missing baseline. Rows that the model never saw are
those given as control rows, or those of its own tuning that were held out or not drawn. They are
paired one to one with the rows that it saw (`controls.match`); a near duplicate of a row of the
other side takes both out of the comparison.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.config import StageConfig
from aftertune.controls.crossed import SWAPS
from aftertune.controls.match import Texts, balance, match
from aftertune.controls.search import (
    READINGS,
    Occurrences,
    compare,
    folded_words,
    occurrences,
    presence,
    shares,
)
from aftertune.data.clusters import clusters
from aftertune.experiments import retune
from aftertune.experiments.subject import Subject
from aftertune.progress import Progress
from aftertune.shift.groups import groups_of, prompts_of
from aftertune.shift.words import words_of

VERSION = 1
TEXTS = ("answers", "prompts and answers")  # of the rows, in which words are looked for
# Why a tuning left rows out that it never saw and that chance, not content, chose.
NOT_DRAWN = ("not in the subset", "over the token budget", "not reached within max_steps")
# Tags that name a row's topic; the first that all rows of both sides carry is used.
TOPIC_TAGS = ("category", "topic", "task_type", "task", "domain", "subject", "family")

NO_ROWS = "the rows that it was tuned on are not given; add --data ROWS."
NO_CONTROL = (
    "there are no rows that it never saw: give --control ROWS of the same kind that the model "
    "never saw, or tune with --hold-out."
)
ALL_NEAR = (
    "every row that it never saw is a near duplicate of one that it was tuned on; give other rows "
    "with --control."
)

_COLUMNS = ["response_id", "position", "char_start", "char_end", "category"]

Row = Mapping[str, Any]


class WordsConfig(StageConfig):
    """The search for a model's words in its rows."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str
    seed: int
    swaps: int = SWAPS


@dataclass(frozen=True)
class Sides:
    """Rows that the model was tuned on, and rows that it never saw.

    source: where the second come from ("control rows", "held out", "not drawn", or several).
    """

    seen: list[Row]
    unseen: list[Row]
    source: str


def run(subject: Subject, out: Path, progress: Progress) -> Artefact:
    """The artefact `control-words` of one tuned model, or why it has no such search."""
    config = WordsConfig(name=subject.name, seed=subject.seed)
    plan = Plan("control-words", VERSION, config.given(), config, _inputs(subject))
    if done := artefact.find(out, plan):
        return done
    sides = _sides(subject)
    apart, n_near = _apart(sides)
    said, n_without = _said(subject)
    absent = {}
    if not sides.seen:
        absent["words"] = NO_ROWS
    elif not apart.unseen or not apart.seen:
        absent["control"] = ALL_NEAR if sides.unseen else NO_CONTROL
    found: dict[str, Any] = {}
    if sides.seen:
        found = _search(config, said, sides, apart, progress) | {"n_near_duplicates": n_near}
    about = {"control": "words", "name": subject.name, "found": found, "absent": absent}
    counts = {"done": len(said.word), "skipped": {"no category": n_without}, "unscored": {}}
    with artefact.draft(out, plan) as draft:
        return draft.finish(counts, about)


def _inputs(subject: Subject) -> tuple[artefact.Input, ...]:
    used = {
        "responses": subject.responses,
        "shift": subject.shift,
        "tune": subject.tune,
        "rows": _own_rows(subject) or subject.rows,
        "control_rows": subject.control_rows,
    }
    return tuple(one.as_input(name) for name, one in used.items() if one is not None)


def _own_rows(subject: Subject) -> Artefact | None:
    """The rows of the subject's own tuning, of which it is known which ones it saw."""
    return retune.rows_of(subject) if subject.tune else None


def _sides(subject: Subject) -> Sides:
    own = _own_rows(subject)
    rows = own or subject.rows
    seen: list[Row] = rows.table("rows").to_pylist() if rows else []
    unseen: dict[str, list[Row]] = {}
    if subject.tune is not None and own is not None:
        split = subject.tune.table("split").to_pylist()
        parts = {
            "trained": {r["row_index"] for r in split if r["part"] == "train" and r["weight"]},
            "held out": {r["row_index"] for r in split if r["part"] == "held_out"},
            "not drawn": {r["row_index"] for r in split if r["reason"] in NOT_DRAWN},
        }
        unseen = {
            name: [row for row in seen if row["row_index"] in part] for name, part in parts.items()
        }
        seen = unseen.pop("trained")
    if subject.control_rows is not None:
        unseen = {"control rows": subject.control_rows.table("rows").to_pylist()}
    source = " and ".join(name for name, held in unseen.items() if held)
    return Sides(seen, [row for held in unseen.values() for row in held], source)


def _apart(sides: Sides) -> tuple[Sides, dict[str, int]]:
    """Without the rows that are near duplicates across the sides; how many each side loses."""
    whole = [" ".join(_texts(row)) for row in [*sides.seen, *sides.unseen]]
    numbers = clusters(whole)
    of_seen, of_unseen = numbers[: len(sides.seen)], numbers[len(sides.seen) :]
    both = set(of_seen) & set(of_unseen)
    seen = [row for row, n in zip(sides.seen, of_seen, strict=True) if n not in both]
    unseen = [row for row, n in zip(sides.unseen, of_unseen, strict=True) if n not in both]
    lost = {"seen": len(sides.seen) - len(seen), "control": len(sides.unseen) - len(unseen)}
    return Sides(seen, unseen, sides.source), lost


def _texts(row: Row) -> tuple[str, str]:
    """What the row asks (system and user), and what it answers."""
    asked = [m["content"] or "" for m in row["messages"] if m["role"] != "assistant"]
    answered = [m["content"] or "" for m in row["messages"] if m["role"] == "assistant"]
    return "\n".join(asked), "\n".join(answered)


def _said(subject: Subject) -> tuple[Occurrences, int]:
    """The words of the scored answers; how many have no category."""
    responses = subject.responses.table("responses")
    tokens = subject.shift.table("tokens").select(_COLUMNS)
    groups = groups_of(tokens, prompts_of(responses))
    words = words_of(tokens, responses, groups)
    prompts = groups.prompt_of[words.response]
    without = int((words.category < 0).sum())
    return occurrences(words.text, words.category, prompts, groups.n_prompts), without


def _search(
    config: WordsConfig, said: Occurrences, sides: Sides, apart: Sides, progress: Progress
) -> dict[str, Any]:
    """{n_seen, n_never_seen, control (where these come from), matching, searches: [{reading, text,
    all_rows, matched (None without control rows)}]}; see `controls.match` and `controls.search`.
    """
    found: dict[str, Any] = {
        "n_seen": len(sides.seen),
        "n_never_seen": len(sides.unseen),
        "control": sides.source,
        "matching": None,
        "topic_tag": None,
    }
    rows: list[Row] = []
    unseen: list[Row] = []
    if apart.seen and apart.unseen:
        tag = _topic_tag([*apart.seen, *apart.unseen])
        mine, theirs = (_matchable(side, tag) for side in (apart.seen, apart.unseen))
        pairs = match(mine, theirs, config.seed)
        found |= {"matching": balance(mine, theirs, pairs, config.seed), "topic_tag": tag}
        rows = [apart.seen[i] for i in pairs.seen]
        unseen = [apart.unseen[i] for i in pairs.control]
    searches = []
    total = len(READINGS) * len(TEXTS)
    with progress.task(f"{config.name}: words looked for in the rows", total) as task:
        for reading in READINGS:
            for text in TEXTS:
                everything, seen, control = (
                    presence(said.words, [_read(row, text) for row in side], reading)
                    for side in (sides.seen, rows, unseen)
                )
                held = np.asarray(everything.sum(axis=1)).ravel() > 0
                searches.append(
                    {
                        "reading": reading,
                        "text": text,
                        "all_rows": shares(said, held, config.seed),
                        "matched": compare(said, seen, control, config.seed, config.swaps)
                        if found["matching"] else None,
                    }
                )  # fmt: skip
                task.advance()
    return {**found, "searches": searches}


def _read(row: Row, text: str) -> str:
    asked, answered = _texts(row)
    return answered if text == "answers" else f"{asked}\n{answered}"


def _matchable(rows: Sequence[Row], tag: str | None) -> Texts:
    texts = [_texts(row) for row in rows]
    return Texts(
        [folded_words(asked) for asked, _ in texts],
        [folded_words(answered) for _, answered in texts],
        None if tag is None else [json.loads(row["tags"])[tag] for row in rows],
    )


def _topic_tag(rows: Sequence[Row]) -> str | None:
    """The first of TOPIC_TAGS that every row carries as one text."""
    tags = [json.loads(row["tags"]) for row in rows]
    for name in TOPIC_TAGS:
        if all(isinstance(held.get(name), str) for held in tags):
            return name
    return None
