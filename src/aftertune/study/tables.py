"""Ratings, spans and causes as records of the tables of the same names (pure).

In the tables every value speaks of `response_id`, whichever order the annotator saw.
"""

from collections.abc import Iterable
from typing import Any

from aftertune.study.config import OVERALL
from aftertune.study.rated import SCORES, Rated, split

Record = dict[str, Any]


def ratings(rated: Iterable[Rated]) -> list[Record]:
    """One record per rating and aspect.

    value: of pairs 1, 0.5 or 0 (`response_id` is better, tie, worse), of aspects 1 to 5, of spans
    how many were marked. label: of outcomes the class; of spans `nothing wrong` where that was
    said.
    """
    return [
        {**_common(one), **_of(one), "aspect": aspect, "value": value, "label": label,
         "seconds": one.seconds, "received": one.received, "note": one.note}
        for one in rated
        for aspect, value, label in _said(one)
    ]  # fmt: skip


def spans(rated: Iterable[Rated]) -> list[Record]:
    """One record per marked span; characters are code points of the answer, [start, end)."""
    return [
        {**_common(one), **_place(one, number, span), "text": span["text"],
         "label": span["label"]}
        for one in rated
        if one.kind == "spans"
        for number, span in enumerate(one.answer["spans"])
    ]  # fmt: skip


def causes(rated: Iterable[Rated]) -> list[Record]:
    """One record per span whose cause was judged: row (with its `row_id`), none or unsure."""
    return [
        {**_common(one), **_place(one, number, span), "cause": span["cause"]["kind"],
         "row_id": span["cause"].get("row_id")}
        for one in rated
        if one.kind == "spans"
        for number, span in enumerate(one.answer["spans"])
        if span.get("cause")
    ]  # fmt: skip


def for_judge(rated: Iterable[Rated]) -> list[Record]:
    """Scores of 1 to 5 as `judge --people` reads them: response_id, aspect, annotator, value.

    What annotators say in the end: no pilot, repeats, adjudicators or what was taken back.
    """
    return [
        {"response_id": one.response_ids[0], "aspect": aspect, "annotator": one.person,
         "value": value}
        for one in split(rated).main
        if one.kind == "aspects"
        for aspect, value, _ in _said(one)
    ]  # fmt: skip


def _common(one: Rated) -> Record:
    return {
        "item_id": one.item_id,
        "repeat_of": one.original if one.is_repeat else None,
        "annotator": one.person,
        "role": one.role,
        "pilot": one.pilot,
        "batch": one.batch,
        "sequence": one.sequence,
        "withdrawn": one.withdrawn,
        "prompt_id": one.prompt_id,
    }


def _of(one: Rated) -> Record:
    two = len(one.models) == 2
    presentation = ("second" if one.swapped else "first") if two else "alone"
    return {
        "response_id": one.response_ids[0],
        "other_response_id": one.response_ids[1] if two else None,
        "model": one.models[0],
        "other_model": one.models[1] if two else None,
        "presentation": presentation,
        "kind": one.kind,
    }


def _place(one: Rated, number: int, span: Record) -> Record:
    return {
        "response_id": one.response_ids[0],
        "model": one.models[0],
        "span": number,
        "char_start": span["start"],
        "char_end": span["end"],
    }


def _said(one: Rated) -> list[tuple[str, float | None, str | None]]:
    """(aspect, value, label)."""
    answer = one.answer
    if one.kind == "pairs":
        said = {OVERALL: answer[OVERALL], **answer.get("aspects", {})}
        return [(name, SCORES[v], None) for name, v in said.items()]
    if one.kind == "aspects":
        return [(name, float(v), None) for name, v in answer["scores"].items()]
    if one.kind == "outcomes":
        return [("outcome", None, answer["outcome"])]
    label = "nothing wrong" if answer.get("nothing_wrong") else None
    return [("spans", float(len(answer["spans"])), label)]
