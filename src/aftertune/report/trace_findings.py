"""At most five findings at the head of the page: what, how much, three examples, what
to do (pure).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.blocks.trace import NOTHING, sentences, whole
from aftertune.report.numbers import nats, percent, plural, with_interval
from aftertune.report.shown import visible

MOST = 5
EXAMPLES = 3

Found = Mapping[str, Any]
Record = Mapping[str, Any]


def findings(
    found: Found, spans: Sequence[Record], keys: Mapping[tuple[str, int, int], str],
    trace_id: str, data: str, redact: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """[{sentence, examples: [{text, row, key}], command: (why, command) or None}], what to look at
    first in front.

    spans: the best row of each span, in the order in which to look at them. keys: of the spans
    that are on the page. Examples are absent from a redacted page. data: what the rows are called
    in a command.
    """
    drop = (
        "to tune without the rows that are listed",
        f"aftertune tune --base BASE --data {data} --weights {trace_id}/rows-to-look-at.jsonl",
    )
    made = [
        _first(found, spans, data, drop),
        _row(found, spans, drop),
        _family(found, spans, drop),
        _copied(found, spans),
        _shift(found, spans),
    ]
    return [
        {
            "sentence": sentence,
            "examples": [] if redact else [_example(one, keys) for one in examples[:EXAMPLES]],
            "command": command,
        }
        for sentence, examples, command in (one for one in made if one is not None)
    ][:MOST]


Command = tuple[str, str]  # what for, and the command
Finding = tuple[str, Sequence[Record], Command | None]


def _first(found: Found, spans: Sequence[Record], data: str, drop: Command) -> Finding:
    """Whether there is more than chance; without a control, how to get one."""
    said = sentences(found)
    if not found["n_spans"]:
        return said[0], [], None
    held = found["held_out"]
    if held:
        sentence = said[1] if held["n_found"] else f"{said[2]}{_nothing(said)}"
        any_found = held["n_found"] or held["n_rows_found"]
        return f"{sentence} {rows_found(held)}", spans, drop if any_found else None
    if found["controls"]:
        return f"{said[1]}{_nothing(said)}", spans, None
    tune = f"aftertune tune --base BASE --data {data} --hold-out 0.5"
    return (
        f"{whole(found)} Nothing says how many would by chance: no rows were held out.",
        spans,
        ("to have error rates, trace the answers of this model with --tuned-rows", tune),
    )


def rows_found(held: Found) -> str:
    """How many rows are found, those that stay together as one. held: `held_out` of a trace."""
    n = held["n_rows_found"]
    q = f"q = {held['q']:.2f} (rows, not spans; rows that stayed together as one)"
    if n:
        return f"{plural(n, 'row')} {'is' if n == 1 else 'are'} found to be borrowed from at {q}."
    lowest = held["lowest_q_of_rows"]
    why = "no row wins a span" if lowest is None else f"the lowest q of a row is {lowest:.2g}"
    return f"No row is found to be borrowed from at {q}; {why}."


def _nothing(said: Sequence[str]) -> str:
    return f" {NOTHING}" if NOTHING in said else ""


def _row(found: Found, spans: Sequence[Record], drop: Command) -> Finding | None:
    if not found["rows"]:
        return None
    row = found["rows"][0]
    by_q = "" if row["n_found"] is None else f"; {row['n_found']:,} of them found by q"
    added = "" if row["added_nats"] is None else (
        f", tuning added {nats(row['added_nats'])} nats to one on average"
    )  # fmt: skip
    sentence = (
        f"Row {row['row_index']} explains most: {plural(row['n_spans'], 'span')} in "
        f"{plural(row['n_responses'], 'answer')}, {with_interval(row['share'], percent)} of all "
        f"spans{by_q}; {row['n_adapted']:,} adapted{added}. To look at: {row['what_to_do']} it."
    )
    its = [one for one in spans if one["row_index"] == row["row_index"]]
    return sentence, its, drop if row["n_found"] or row["n_found"] is None else None


def _family(found: Found, spans: Sequence[Record], drop: Command) -> Finding | None:
    several = [one for one in found["families"] if len(one["rows"]) > 1]
    if not several:
        return None
    family = several[0]
    held = "" if family["n_held_out"] is None else (
        f"; held-out rows of that kind explain {family['n_held_out']:,}"
    )  # fmt: skip
    sentence = (
        f"One family of {len(family['rows']):,} rows explains "
        f"{with_interval(family['share'], percent)} of all spans ({family['n_spans']:,}{held})."
    )
    return sentence, [one for one in spans if one["row_index"] in family["rows"]], None


def _copied(found: Found, spans: Sequence[Record]) -> Finding | None:
    if found["copied"]["estimate"] is None:
        return None
    adapted = [one for one in spans if one["kind"] == "adapted"]
    sentence = (
        f"{with_interval(found['copied'], percent)} of the spans stand word for word in the row; "
        f"adapted: {len(adapted):,} of {found['n_spans']:,}."
    )
    return sentence, adapted, None


def _shift(found: Found, spans: Sequence[Record]) -> Finding | None:
    if found["shift_nats"]["estimate"] is None:
        return None
    known = [one for one in spans if one["base_logprob"] is not None]
    moved = sorted(known, key=lambda one: one["base_logprob"] - one["tuned_logprob"])
    sentence = (
        f"Tuning changed the log-probability of a span by "
        f"{with_interval(found['shift_nats'], nats)} nats (tuned minus base)."
    )
    return sentence, moved, None


def _example(span: Record, keys: Mapping[tuple[str, int, int], str]) -> dict[str, Any]:
    place = (span["response_id"], span["char_start"], span["char_end"])
    return {
        "text": visible(span["span"]),
        "row": span["row_index"],
        "key": keys.get(place),
    }
