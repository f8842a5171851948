"""The page about a trace: from its table, answers and rows to what is shown (pure).

The result is one plain dict of JSON values, as in view.py; `render` makes the page of it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report import control_charts, frame, how, trace_proof, trace_rows, trace_spans
from aftertune.report.blocks import trace as trace_block
from aftertune.report.blocks.shape import checked
from aftertune.report.config import ReportConfig
from aftertune.report.facts import short_place
from aftertune.report.numbers import NONE, percent, plural, with_interval
from aftertune.report.shown import visible
from aftertune.report.trace_findings import MOST, findings
from aftertune.report.trace_spans import Record, Traced
from aftertune.trace.families import first_to_look_at

TITLE = "Which rows did the answers borrow from?"

DEFINITIONS: list[tuple[str, str]] = [
    ("span", "Characters of an answer that look borrowed: rare among the rows, shared with some of "
     "them, and not asked for by the prompt."),
    ("row", "One instance of instruction tuning. A span leads to the row that explains it best by "
     "the evidence below; that a row caused a span is shown by tuning again without it alone."),
    ("held-out rows", "Rows that were kept out of tuning at random, whole groups of rows that "
     "stay together: near duplicates, or all that say the same. Spans are looked for among both "
     "kinds of row together, blind to which is which."),
    ("p", "The larger of two: (1 + held-out groups that win a span with at least this score) "
     "/ (1 + those that win one), and (k + spans that held-out rows win with at least this score) "
     "/ (k + spans that they win), k being the spans that this span's group wins."),
    ("q", "The smallest false discovery rate at which the span is found: held-out winners for each "
     "winner that was tuned on, plus the spans that a held-out group wins on average, made "
     "monotone in the score; with a share h held out, times (1 - h) / h (knockoff+, for spans that "
     "share their group's fate). The q of a row is that of its best span alone, or, where rows are "
     "ranked by tunings on halves, of how far its best five spans lie above the median, together; "
     "one for each group: a false discovery is then a group from which nothing was borrowed, and q "
     "is lower where a few rows win many spans."),
    ("influence of the row", "Where rows are ranked by tunings on random halves of all rows: the "
     "span's mean log-probability over those that learnt from the row's group, minus that over the "
     "others, nats. Else the change by a small step that learns or unlearns the row."),
    ("excess over control", "The share of answers whose best span a row explains better than any "
     "control row, beside the share that chance would give, which is that of the clusters on its "
     "side. Answers and rows are both drawn again."),
    ("permuted rows", "The rows with answers that traded places between near prompts. They belong "
     "less to their prompts than the rows' own answers do, so by themselves they decide nothing."),
    ("AUROC between row sets", "How well a logistic regression on words tells a control's rows "
     "from the rows, cross-validated: 0.5 not at all, 1 always."),
    ("word for word, adapted", "The whole span stands in the row's answer, or parts of it do."),
    ("surprise of what is shared", "-log p, nats, of the words of a span that the row shares, by a "
     "model that has not seen the rows: the base where a shift was given, else the embedded "
     "SmolLM2-135M-Instruct. What anybody would say is no sign of a row."),
    ("bars", "Evidence beside the largest of the same kind among the rows of the same answer. "
     "Scores rank rows and are no probabilities."),
    ("log-probability", "Of all tokens of the span after the prompt and the answer so far, nats."),
    ("95% interval", "Expanded percentile bootstrap that draws whole answers again."),
]  # fmt: skip


def build(
    config: ReportConfig, manifest: Mapping[str, Any], traced: Traced, data: str, version: str,
    proved: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """Everything on the page. data: what the rows were read from. proved: what proofs found, the
    `about` of each."""
    about = manifest["about"]
    found = about["found"]
    spans = trace_spans.ordered(traced.borrowings)
    shown = {} if config.redact else _shown(config, spans, traced)
    flat = [one for its in spans.values() for one in its]
    flat.sort(key=first_to_look_at)
    block = {**checked(trace_block.block(about)), "key": "trace", "style": None, "absent": []}
    called = "ROWS" if config.redact else short_place(data) or "ROWS"
    keys = _keys(shown)
    said = None if config.redact else {trace_proof.key_of(one): one["span"] for one in flat}
    first = findings(found, flat, keys, str(manifest["id"]), called, config.redact)
    return {
        "title": config.title if "title" in config.given() else TITLE,
        "subtitle": _subtitle(about),
        "version": version,
        "redacted": config.redact,
        "findings": _with_proof(first, proved),
        "block": block,
        "proofs": trace_proof.section(proved, keys, said),
        "rows": trace_rows.table(found),
        "families": _families(found, traced, config.redact),
        "marks": list(trace_spans.MARKS.items()) if traced.held_out
        else [("open", trace_spans.MARKS["open"])],
        "n_answers": len(spans),
        "answers": None if config.redact else list(shown.values()),
        "how": {
            "definitions": [*DEFINITIONS, *(trace_proof.DEFINITIONS if proved else ())],
            "inputs": how.inputs([("trace", manifest)], {}, config.redact),
            "versions": how.versions([manifest]),
        },
    }  # fmt: skip


def _with_proof(
    first: Sequence[dict[str, Any]], proved: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The findings, with what proof says behind the first of them."""
    sentence = trace_proof.finding(proved)
    proof: list[dict[str, Any]] = (
        [{"sentence": sentence, "examples": [], "command": None}] if sentence else []
    )
    return [*first[:1], *proof, *first[1:]][:MOST]


def render(view: Mapping[str, Any]) -> str:
    """The page for what `build` found."""
    return frame.page(
        "trace.html.j2",
        ("report.css", "trace.css"),
        None,
        view=view,
        control_charts=control_charts,
    )


def without_texts(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view without answers and rows, for programs."""
    bare = [{**one, "examples": []} for one in view["findings"]]
    proofs = [
        {**one, "spans": [{**span, "text": None} for span in one["spans"]]}
        for one in view["proofs"]
    ]
    return {**view, "answers": None, "findings": bare, "proofs": proofs}


def _shown(
    config: ReportConfig, spans: Mapping[str, Sequence[Record]], traced: Traced
) -> dict[str, dict[str, Any]]:
    """response_id -> answer, from what to look at first on, as many as the page may hold."""
    found: dict[str, dict[str, Any]] = {}
    size = 0
    for number, (response_id, its) in enumerate(list(spans.items())[: config.max_answers], start=1):
        one = trace_spans.answer(response_id, its, traced, number)
        size += len(json.dumps(one, ensure_ascii=False).encode())
        if found and size > config.max_answer_bytes:
            break
        found[response_id] = one
    return found


def _keys(shown: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, int, int], str]:
    """Where on the page each span stands."""
    return {
        (response_id, *span["place"]): span["key"]
        for response_id, answer in shown.items()
        for row in answer["rows"]
        for span in row["spans"]
    }


def _subtitle(about: Mapping[str, Any]) -> str:
    found = about["found"]
    pool = {**found["pool"]}
    rows = pool.pop("rows", 0)
    parts = [plural(found["n_responses"], "answer"), f"traced among {plural(rows, 'row')}"]
    parts += [f"{n:,} {name}" if name.endswith("rows") else f"{n:,} rows of {name}"
              for name, n in pool.items()]  # fmt: skip
    of = f" of {about['name']}" if about["name"] else ""
    return visible(f"{parts[0]}{of}, {', '.join(parts[1:])}.")


def _families(found: Mapping[str, Any], traced: Traced, redact: bool) -> dict[str, Any] | None:
    if not found["families"]:
        return None
    held = found["held_out"] is not None
    columns = ["prompts about", "rows", "spans", "share of all spans", "found by q",
               "by held-out rows"]  # fmt: skip
    rows = [
        [
            f"family {place}" if redact else visible(", ".join(one["words"])) or NONE,
            ", ".join(map(str, one["rows"][:4])) + (" …" if len(one["rows"]) > 4 else ""),
            f"{one['n_spans']:,}",
            with_interval(one["share"], percent),
            NONE if one["n_found"] is None else f"{one['n_found']:,}",
            f"{one['n_held_out']:,}" if held else NONE,
        ]
        for place, one in enumerate(found["families"], start=1)
    ]
    more = found["n_families"] - len(rows)
    return {"columns": columns, "rows": rows, "more": max(0, more)}
