"""What the borrowings of all answers say together, and which rows to look at (pure)."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from aftertune.controls.match import tfidf
from aftertune.controls.search import folded_words
from aftertune.search.index import row_answer
from aftertune.stats.intervals import Interval
from aftertune.trace import controls, two_samples
from aftertune.trace.config import TraceConfig
from aftertune.trace.families import Borrowed, borrowed, families, what_to_do
from aftertune.trace.influenced import BEST_SPANS
from aftertune.trace.materials import Materials
from aftertune.trace.pool import HELD_OUT, PERMUTED, Pooled, prompt_of
from aftertune.trace.winners import (
    Record,
    Span,
    contest,
    row_error_rates,
    versus_control,
    versus_held_out,
)

MOST_ROWS, MOST_FAMILIES = 20, 20  # of the summary; the table holds all
NO_HELD_OUT = "no row was held out at random before tuning; tune with --hold-out 0.5 to have them"
NO_SHIFT = "no shift of these answers was given"
NO_CONTROL = "no control rows were given"
NO_PAIRS = "no two rows are of one topic and length, so no answers could trade places"

Spans = Mapping[Span, list[Record]]


def summary(config: TraceConfig, materials: Materials, spans: Spans) -> dict[str, Any]:
    """`about` of a trace: {control, name, found, absent}; spans with their error rates."""
    first = [
        one
        for of_span in spans.values()
        for one in of_span
        if (one["control"], one["rank"]) == (None, 1)
    ]
    share = materials.share_held_out
    held_out = (
        None
        if share is None
        else versus_held_out(spans, share, config.q, config.seed, _best_spans(config))
    )
    with_base = [one for one in first if one["base_logprob"] is not None]
    names = {one["model"] for one in materials.responses}
    return {
        "control": "trace",
        "name": config.name or (names.pop() if len(names) == 1 else ""),
        "found": {
            "n_responses": len(materials.responses),
            "n_with_span": len({key[0] for key in spans}),
            "n_spans": len(first),
            "pool": dict(Counter(row.control or "rows" for row in materials.pool)),
            "copied": _share([one["kind"] == "copied" for one in first], first, config.seed),
            "shift_nats": _share(
                [one["tuned_logprob"] - one["base_logprob"] for one in with_base],
                with_base,
                config.seed,
            ),
            "held_out": held_out,
            "controls": {
                name: _versus(config, materials, spans, name) for name in materials.controls
            },
            **_data_view(config, materials, spans),
        },
        "absent": _absent(config, materials, len(with_base)),
    }


def _share(values: list[Any], records: list[Record], seed: int) -> dict[str, Any]:
    response = [one["response_id"] for one in records]
    return controls.over_responses(values, response, seed).as_json()


def _versus(config: TraceConfig, materials: Materials, spans: Spans, name: str) -> dict[str, Any]:
    """The rows against one control. Permuted rows stand against the rows that they are made of."""
    theirs = [row for row in materials.pool if row.control == name]
    among = {row.row_index for row in theirs} if name == PERMUTED else None
    rows = [
        row
        for row in materials.pool
        if row.control is None and (among is None or row.row_index in among)
    ]
    auroc = _told_apart(rows, theirs, config.seed)
    if among is not None:
        both = (auroc, _belonging(rows, theirs))
        auroc = max(both, key=lambda one: 1.0 if one.high is None else one.high)
    chance = 0.5 if among else materials.chance(name)
    found = versus_control(spans, name, chance, auroc, among)
    return {**found, "auroc": auroc.as_json(), "n_rows": len(theirs)}


def _told_apart(rows: Sequence[Pooled], control: Sequence[Pooled], seed: int) -> Interval:
    """AUROC of a classifier between rows tuned on and those of a control."""
    first, second = ([folded_words(_text(row)) for row in side] for side in (rows, control))
    return two_samples.auroc(first, second, _owners(rows, control), seed)


def _belonging(rows: Sequence[Pooled], control: Sequence[Pooled]) -> Interval:
    """How often a row's own answer is nearer to its prompt (TF-IDF) than that of a permuted row.

    Words alone cannot tell permuted rows from rows, which hold the same; this can, and it is what
    the search looks at: a row whose answer belongs to its prompt is nearer to any answer on its
    topic.
    """
    both = [*control, *rows]
    prompts = [folded_words(prompt_of(row.messages)) for row in both]
    vectors = tfidf(prompts + [folded_words(row_answer(row.messages)) for row in both])
    nearness = vectors[: len(both)].multiply(vectors[len(both) :]).sum(axis=1)
    values = np.asarray(nearness, np.float64).ravel()
    return two_samples.auroc_of(values[: len(control)], values[len(control) :])


def _text(row: Pooled) -> str:
    return "\n".join(message["content"] or "" for message in row.messages)


def _owners(rows: Sequence[Pooled], control: Sequence[Pooled]) -> list[str]:
    """Rows that share texts have one owner, and stand in one fold of the classifier.

    Permuted rows have the prompt of one row and the answers of another: all four of a pair do.
    """
    answering = {row_answer(row.messages): row.row_index for row in rows}
    pair: dict[int, int] = {}
    for row in control:
        if row.control == PERMUTED:
            other = answering.get(row_answer(row.messages), row.row_index)
            pair[row.row_index] = min(row.row_index, other)
    return [
        f"row {pair.get(row.row_index, row.row_index)}"
        if row.control in (None, PERMUTED)
        else f"{row.control} {row.cluster_id}"
        for row in (*rows, *control)
    ]


def _data_view(config: TraceConfig, materials: Materials, spans: Spans) -> dict[str, Any]:
    """Rows and families by how often they are borrowed from; see families.py."""
    won = winning_spans(spans)
    rows = _borrowed(config, materials, spans)
    prompts = {
        row.row_index: prompt_of(row.messages)
        for row in materials.pool
        if row.control in (None, HELD_OUT)
    }
    answers = _answers(materials)
    held_out = None
    if materials.share_held_out is not None:
        held_out = [
            (one["row_index"], one["cluster_id"])
            for one in contest(spans, HELD_OUT).values()
            if one["control"] == HELD_OUT
        ]
    found = families(rows, prompts, held_out)
    return {
        "rows": [
            {
                **_row(row, won),
                "what_to_do": what_to_do(row, answers[row.row_index]),
                "share": _share_of(spans, {row.row_index}, config.seed),
            }
            for row in rows[:MOST_ROWS]
        ],
        "n_rows_borrowed": len(rows),
        "families": [
            {
                "words": list(one.words),
                "rows": [row.row_index for row in one.rows],
                "n_spans": one.n_spans,
                "n_found": one.n_found,
                "n_held_out": one.n_held_out,
                "share": _share_of(spans, {row.row_index for row in one.rows}, config.seed),
            }
            for one in found[:MOST_FAMILIES]
        ],
        "n_families": len(found),
    }


def _borrowed(config: TraceConfig, materials: Materials, spans: Spans) -> list[Borrowed]:
    share = materials.share_held_out
    of_rows = None if share is None else row_error_rates(spans, share, _best_spans(config))
    return borrowed(winning_spans(spans), config.q, of_rows)


def _best_spans(config: TraceConfig) -> int:
    """Of a cluster, that count for its q."""
    return BEST_SPANS if config.influence_halves else 1


def _share_of(spans: Spans, rows: Container[int], seed: int) -> dict[str, Any]:
    """Share of all spans that these of the rows tuned on explain best."""
    won = list(contest(spans, HELD_OUT).values())
    values = [one["control"] is None and one["row_index"] in rows for one in won]
    return _share(values, won, seed)


def winning_spans(spans: Spans) -> list[Record]:
    """The best row of each span, where it is one that was tuned on and none held out beats it."""
    return [one for one in contest(spans, HELD_OUT).values() if one["control"] is None]


def _answers(materials: Materials) -> dict[int, str]:
    """row_index -> answer, of the rows tuned on."""
    return {
        row.row_index: row_answer(row.messages) for row in materials.pool if row.control is None
    }


def _row(row: Borrowed, won: list[Record]) -> dict[str, Any]:
    examples = [
        [won[k]["response_id"], won[k]["char_start"], won[k]["char_end"]] for k in row.examples
    ]
    return {
        "row_index": row.row_index, "row_id": row.row_id, "n_spans": row.n_spans,
        "n_responses": row.n_responses, "n_copied": row.n_copied, "n_adapted": row.n_adapted,
        "added_nats": row.added_nats, "n_found": row.n_found,
        "best_score": row.best_score, "lowest_q": row.lowest_q, "q_value": row.q_value,
        "examples": examples,
    }  # fmt: skip


def _absent(config: TraceConfig, materials: Materials, n_with_base: int) -> dict[str, str]:
    found = {}
    if materials.share_held_out is None:
        found["p_value and q_value"] = NO_HELD_OUT
        if not materials.controls:
            found["excess over control"] = NO_PAIRS if config.permuted else NO_CONTROL
    if not n_with_base:
        found["the base's probability of the spans"] = NO_SHIFT
    return found


def look_at(config: TraceConfig, materials: Materials, spans: Spans) -> Iterator[dict[str, Any]]:
    """Rows to look at, as lines of a file, with weight 0 so that `tune --weights` drops them; what
    to do with each, drop or simplify, stands beside it.

    With held-out rows those that are found at the q asked for, as rows (`q_value`) or by one of
    their spans (`n_found`, `lowest_q`); without, those that explain two spans or more, since
    nothing says which of the others came about by chance.
    """
    won = winning_spans(spans)
    answers = _answers(materials)
    for row in _borrowed(config, materials, spans):
        if materials.share_held_out is None:
            if row.n_spans < 2:
                continue
            why = "no rows were held out, so chance is not ruled out"
        elif not row.n_found and not row.is_found(config.q):
            continue
        else:
            why = f"{row.n_found} of them at q <= {config.q:g}; q of the row {row.q_value:.2g}"
        example = won[row.examples[0]]
        yield {
            "row_id": row.row_id,
            "row_index": row.row_index,
            "weight": 0,
            "what_to_do": what_to_do(row, answers[row.row_index]),
            "reason": f"spans that it explains better than any other row: {row.n_spans}; {why}",
            "n_spans": row.n_spans,
            "n_adapted": row.n_adapted,
            "added_nats": row.added_nats,
            "n_found": row.n_found,
            "lowest_q": row.lowest_q,
            "q_value": row.q_value,
            "example": {name: example[name] for name in ("response_id", "char_start", "span")},
        }
