"""A judge and a tracer beside people: do they say what people say? (pure)"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from aftertune.stats.span_agreement import marked, span_agreement
from aftertune.stats.with_people import WithPeople, agreement_with_people
from aftertune.study.agreement import Drawing, places
from aftertune.study.rated import Rated, bounds, by_aspect, pair_of, table, tokens

Found = dict[str, Any]
Record = Mapping[str, Any]
NONE = "none"  # people, or the tracer, name no row


def judge(ratings: Sequence[Rated], verdicts: Sequence[Record], drawing: Drawing) -> Found:
    """aspect -> `agreement_with_people` of a judge's verdicts on the same answers.

    verdicts: records of the table `verdicts`. A judge's repeats and orders are averaged first, and
    read as people read: of a pair, won, tied or lost; of an answer, the nearest of 1 to 5. Empty
    where they share no aspect.
    """
    if not ratings:
        return {}
    said = _pairs(verdicts) if ratings[0].kind == "pairs" else _alone(verdicts)
    names = {one.item_id: _name(one) for one in ratings}
    found: Found = {}
    for aspect, entries in by_aspect(ratings).items():
        labels = {item: said.get((name, aspect)) for item, name in names.items()}
        items = list(dict.fromkeys(item for item, _, _ in entries))
        if not any(labels[item] is not None for item in items):
            continue
        found[aspect] = _beside([labels[item] for item in items], table(entries), drawing)
    return found


def tracer(
    ratings: Sequence[Rated], borrowings: Sequence[Record], q: float | None, drawing: Drawing
) -> Found:
    """{rows, spans}: does tracing name the rows that people name, and mark what they mark?

    borrowings: records of the table `borrowings`; a span is traced where its best row has a
    q-value of at most `q`, or any best row where no rows were held out. rows: at each place that
    people marked and judged (not `unsure`), the row, or none. spans: token F1 with what at least
    half of the people marked, beside chance.
    """
    best = _best(borrowings, q)
    response = {one.item_id: one.response_ids[0] for one in ratings}
    entries: list[tuple[Any, Any, Any]] = []
    labels: list[str] = []
    for place, spans in places(ratings).items():
        said = {who: _row(span) for who, span in spans.items()}
        told = {who: row for who, row in said.items() if row is not None}
        if not told:
            continue
        start = min(span["start"] for span in spans.values())
        end = max(span["end"] for span in spans.values())
        entries += [(place, who, row) for who, row in told.items()]
        labels.append(_traced(best.get(response[place[0]], ()), start, end))
    return {
        "rows": _beside(labels, table(entries), drawing),
        "spans": _spans(ratings, best, drawing),
    }


def _spans(
    ratings: Sequence[Rated], best: Mapping[str, Sequence[Record]], drawing: Drawing
) -> Found:
    by_item: dict[str, list[Rated]] = defaultdict(list)
    for one in ratings:
        by_item[one.item_id].append(one)
    marks = []
    for some in by_item.values():
        words = tokens(some[0].text)
        people = np.mean([marked(words, bounds(one)) for one in some], axis=0) >= 0.5
        spans = [(b["char_start"], b["char_end"]) for b in best.get(some[0].response_ids[0], ())]
        marks.append([marked(words, spans), people])
    found = span_agreement(marks, drawing.seed, drawing.draws, drawing.level)
    return {"f1": found.f1.as_json(), "chance": found.chance.as_json(),
            "difference": found.difference.as_json()}  # fmt: skip


def _pairs(verdicts: Sequence[Record]) -> dict[tuple[Any, str], float]:
    """((response_id, other), aspect) -> 1, 0.5 or 0 for the first; both ways round."""
    scores: dict[tuple[Any, str], list[float]] = defaultdict(list)
    for one in verdicts:
        if one["score"] is None or one["other_response_id"] is None:
            continue
        here, other = one["response_id"], one["other_response_id"]
        scores[(here, other), one["aspect"]].append(one["score"])
        scores[(other, here), one["aspect"]].append(1 - one["score"])
    return {name: (1 + np.sign(np.mean(some) - 0.5)) / 2 for name, some in scores.items()}


def _alone(verdicts: Sequence[Record]) -> dict[tuple[Any, str], float]:
    scores: dict[tuple[Any, str], list[float]] = defaultdict(list)
    for one in verdicts:
        if one["score"] is not None and one["other_response_id"] is None:
            scores[one["response_id"], one["aspect"]].append(one["score"])
    return {name: float(np.floor(np.mean(some) + 0.5)) for name, some in scores.items()}


def _name(one: Rated) -> Any:
    """What `verdicts` call the item: of a pair the answer of the model first by name, first."""
    if one.kind != "pairs":
        return one.response_ids[0]
    turned = one.models[0] != pair_of(one)[0]
    return one.response_ids[::-1] if turned else one.response_ids


def _best(borrowings: Sequence[Record], q: float | None) -> dict[str, list[Record]]:
    """response_id -> the best row of each of its traced spans."""
    found: dict[str, list[Record]] = defaultdict(list)
    known = any(one["q_value"] is not None for one in borrowings)
    for one in borrowings:
        if one["control"] is not None or one["rank"] != 1:
            continue
        if known and q is not None and (one["q_value"] is None or one["q_value"] > q):
            continue
        found[one["response_id"]].append(one)
    return found


def _traced(spans: Sequence[Record], start: int, end: int) -> str:
    """The row of the traced span that shares most with [start, end), or NONE."""

    def shared(one: Record) -> int:
        return int(min(one["char_end"], end) - max(one["char_start"], start))

    overlapping = [one for one in spans if shared(one) > 0]
    if not overlapping:
        return NONE
    return str(max(overlapping, key=lambda one: (shared(one), one["score"]))["row_id"])


def _row(span: Record) -> str | None:
    """What a person names as a span's cause; None where there is no answer, or only doubt."""
    cause = span.get("cause")
    if cause is None or cause["kind"] == "unsure":
        return None
    return str(cause["row_id"]) if cause["kind"] == "row" else NONE


def _beside(labels: Sequence[Any], people: Sequence[Sequence[Any]], drawing: Drawing) -> Found:
    found: WithPeople = agreement_with_people(
        labels, people, drawing.seed, drawing.draws, drawing.level
    )
    return asdict(found)
