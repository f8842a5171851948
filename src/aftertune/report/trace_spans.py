"""Answers with their spans, each beside the row that explains it best (pure).

Texts anybody may have written are made visible here and escaped by the template.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aftertune.report.lab_answers import parts
from aftertune.report.numbers import NONE, listed, nats, percent
from aftertune.report.shown import is_byte_level, piece_text, visible
from aftertune.schema import EVIDENCE
from aftertune.trace.families import first_to_look_at

ROWS_SHOWN = 4  # of a span, the best with its text
AROUND = 220  # characters shown on both sides of what a row shares
MOST_PROMPT = 500  # characters of a row's prompt

# kind of evidence -> what its bar is called
LABELS = {
    "rarity": "rare words in the row",
    "rarest": "rarest shared word",
    "nearness": "rare words close together",
    "exact": "longest exact run",
    "pieces": "shared word piece",
    "span_rarity": "rarity of the span",
    "surprisal_nats": "surprise of what is shared",
    "concept": "prompt to row (BM25)",
    "bm25": "whole text (BM25)",
    "embedding_prompt": "prompts (embedding)",
    "embedding_answer": "answers (embedding)",
    "embedding_both": "whole text (embedding)",
    "shift_nats": "shift of the span",
    "influence": "influence of the row",
}
assert tuple(LABELS) == EVIDENCE

# how a span is marked -> the sign beside it, and what it means
MARKS = {
    "found": ("●", "borrowed, at the false discovery rate asked for"),
    "open": ("○", "leads to a row; chance is not ruled out"),
    "lost": ("–", "a row that was held out explains it at least as well"),
}

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Traced:
    """What a page shows of a trace: records of the tables of those names.

    rows: of the rows traced among that are no control, by row_index. tokens: of the shown responses
    where a shift was given, with base_top and tuned_top. pieces: token id -> the vocabulary's
    piece. held_out: whether rows were held out, so that a span can be lost to one. q: as asked for.
    proved: by response_id and place, what proofs say of a span (how, what).
    """

    borrowings: Sequence[Record]
    responses: Mapping[str, Record]
    rows: Mapping[int, Record]
    held_out: bool
    q: float
    tokens: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    pieces: Mapping[int, str] = field(default_factory=dict)
    proved: Mapping[tuple[str, int, int], Sequence[tuple[str, str]]] = field(default_factory=dict)


def ordered(borrowings: Sequence[Record]) -> dict[str, list[Record]]:
    """response_id -> its spans (the best row of each), in the order in which to look at them: the
    answer with the lowest q first, without q the one with the highest score."""
    first = [one for one in borrowings if one["control"] is None and one["rank"] == 1]
    found: dict[str, list[Record]] = {}
    for one in sorted(first, key=first_to_look_at):
        found.setdefault(one["response_id"], []).append(one)
    return found


def kind_of(span: Record, traced: Traced) -> str:
    """A key of MARKS."""
    if span["q_value"] is None:
        return "lost" if traced.held_out else "open"
    return "found" if span["q_value"] <= traced.q else "open"


def answer(
    response_id: str, spans: Sequence[Record], traced: Traced, number: int
) -> dict[str, Any]:
    """One answer of the page: its text with its spans marked, numbered from 1 in the order of the
    text, and the rows that explain them, what to look at first in front. spans: in that order."""
    response = traced.responses[response_id]
    in_text = sorted(spans, key=lambda one: (one["char_start"], one["char_end"]))
    marks = {
        (one["char_start"], one["char_end"]): _mark(one, traced, f"{number}-{k}", k)
        for k, one in enumerate(in_text, start=1)
    }
    asked = [turn["content"] or "" for turn in response["messages"] if turn["role"] == "user"]
    placed = [(start, end, mark) for (start, end), mark in marks.items()]
    by_row: dict[int, list[Record]] = {}
    for one in spans:
        by_row.setdefault(one["row_index"], []).append(one)
    return {
        "key": f"answer-{number}",
        "prompt": visible(asked[-1] if asked else ""),
        "parts": [(visible(text), mark) for text, mark in parts(response["response"], placed)],
        "rows": [_row(index, its, marks, spans, traced) for index, its in by_row.items()],
    }


def _row(
    index: int, its: Sequence[Record], marks: Mapping[tuple[int, int], dict[str, Any]],
    spans: Sequence[Record], traced: Traced,
) -> dict[str, Any]:  # fmt: skip
    """A row, the spans of one answer that it explains best, and all that it shares with them."""
    shared = [place for one in its for place in one["shared"]]
    return {
        "title": f"row {index}",
        "spans": [
            {
                **marks[one["char_start"], one["char_end"]],
                **_span(one, traced),
                "place": [one["char_start"], one["char_end"]],
            }
            for one in its
        ],
        "score": nats(its[0]["score"]),
        "bars": bars(its[0], spans),
        "turns": _turns(traced.rows[index], shared),
        "words_there": competing(its[0], traced),
        "others": _others(its[0], traced),
    }


def _others(span: Record, traced: Traced) -> str | None:
    """The next rows of a span, by name and score."""
    place = (span["response_id"], span["char_start"], span["char_end"])
    its = [
        one for one in traced.borrowings
        if (one["response_id"], one["char_start"], one["char_end"]) == place
        and one["control"] is None and 1 < one["rank"] <= ROWS_SHOWN
    ]  # fmt: skip
    found = [f"row {one['row_index']} ({nats(one['score'])})" for one in its]
    return listed(found) if found else None


def _mark(span: Record, traced: Traced, key: str, number: int) -> dict[str, Any]:
    kind = kind_of(span, traced)
    sign, words = MARKS[kind]
    return {"key": key, "number": number, "mark": kind, "sign": sign, "words": words}


def _span(span: Record, traced: Traced) -> dict[str, Any]:
    """What is said of a span apart from its rows."""
    facts = [("", "word for word" if span["kind"] == "copied" else "adapted")]
    facts += [
        (name.replace("_value", ""), f"{span[name]:.2g}")
        for name in ("p_value", "q_value")
        if span[name] is not None
    ]
    if span["base_logprob"] is not None:
        facts.append(
            ("log-probability, nats",
             f"{nats(span['base_logprob'])} for the base, {nats(span['tuned_logprob'])} tuned")
        )  # fmt: skip
    place = (span["response_id"], span["char_start"], span["char_end"])
    facts += [(how, visible(what)) for how, what in traced.proved.get(place, ())]
    return {"text": visible(span["span"]), "facts": facts}


def competing(span: Record, traced: Traced) -> dict[str, Any] | None:
    """The likeliest next tokens of both models where the span shifts most (paper, figure 7)."""
    inside = [
        token
        for token in traced.tokens.get(span["response_id"], ())
        if token["char_start"] < span["char_end"] and token["char_end"] > span["char_start"]
    ]
    if not inside:
        return None
    place = max(inside, key=lambda token: token["kl_tuned_base_nats"])
    byte_level = is_byte_level(traced.pieces.values())
    sides = []
    for name, column in (("base", "base_top"), ("tuned", "tuned_top")):
        tops = [
            {
                "text": _piece(one["token_id"], traced, byte_level),
                "prob": percent(one["prob"]),
                "width": round(100 * one["prob"], 1),
                "said": one["token_id"] == place["token_id"],
            }
            for one in place[column]
        ]
        sides.append({"model": name, "tops": tops})
    return {"at": piece_text(place["token"], byte_level), "sides": sides}


def _piece(token_id: int, traced: Traced, byte_level: bool) -> str:
    known = traced.pieces.get(token_id)
    return f"token {token_id}" if known is None else piece_text(known, byte_level)


def bars(one: Record, others: Sequence[Record]) -> list[tuple[str, str, float | None]]:
    """Each kind of evidence that any of `others` has: its label, its value, its bar in percent of
    the largest among them (None: it is absent)."""
    found: list[tuple[str, str, float | None]] = []
    for name, label in LABELS.items():
        known = [record[name] for record in others if record[name] is not None]
        if not known:
            continue
        if one[name] is None:
            found.append((label, NONE, None))
            continue
        most = max(known)
        width = 100 * max(0.0, one[name]) / most if most > 0 else 0.0
        found.append((label, nats(one[name]), round(width, 1)))
    return found


def _turns(row: Record, shared: Sequence[Record]) -> list[tuple[str, list[tuple[str, bool]]]]:
    """The row's turns; what its answer shares with the span is marked, and the rest is cut short
    where it is long."""
    found = []
    at = 0  # place in all answers of the row, one line break between them
    for turn in row["messages"]:
        text = turn["content"] or ""
        if turn["role"] != "assistant":
            found.append((turn["role"], [(visible(_cut(text)), False)]))
            continue
        places = [(one["row_start"] - at, one["row_end"] - at) for one in shared]
        found.append((turn["role"], around(text, places)))
        at += len(text) + 1
    return found


def _cut(text: str) -> str:
    return text if len(text) <= MOST_PROMPT else f"{text[:MOST_PROMPT]} …"


def around(text: str, places: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    """The text near `places` in pieces, and whether each is one of them; … where some is left out.

    Without any place in it the beginning is shown.

    >>> around("green it is", [(0, 5)])
    [('green', True), (' it is', False)]
    """
    inside = _joined([(max(0, a), min(len(text), b)) for a, b in places if a < len(text) and b > 0])
    if not inside:
        return [(visible(_cut(text)), False)] if text else []
    windows = _joined([(max(0, a - AROUND), min(len(text), b + AROUND)) for a, b in inside])
    found: list[tuple[str, bool]] = []
    end = 0
    for start, stop in windows:
        if start > end or (start and not found):
            found.append((" … ", False))
        at = start
        for a, b in inside:
            if start <= a < stop:
                found += [(visible(text[at:a]), False), (visible(text[a:b]), True)]
                at = b
        found.append((visible(text[at:stop]), False))
        end = stop
    if end < len(text):
        found.append((" …", False))
    return [piece for piece in found if piece[0]]


def _joined(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same characters without overlaps, in order."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found
