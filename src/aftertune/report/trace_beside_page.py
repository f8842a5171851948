"""The page about traces of several tunings side by side (pure).

It holds no text of rows or answers. `render` makes the page of what `build` found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report import control_charts, frame, how
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.trace_beside import (
    WAYS,
    blocks,
    did,
    differences,
    labels,
    won,
)
from aftertune.report.config import ReportConfig
from aftertune.report.numbers import (
    METHODS,
    NONE,
    UNKNOWN,
    listed,
    percent,
    plural,
    rate,
    with_interval,
)
from aftertune.report.shown import all_visible

TITLE = "Which tuning borrows more from its rows?"
MOST_FINDINGS = 5

DEFINITIONS: list[tuple[str, str]] = [
    ("full, LoRA", "Tuned with all parameters; with low-rank adapters."),
    ("span", "Characters of an answer that look borrowed. It leads to the row that explains it "
     "best; the best span of an answer is the one whose best row scores highest."),
    ("held-out rows", "Rows that were kept out of tuning at random, whole clusters of near "
     "duplicates. Spans are looked for among both kinds of row together, blind to which is which; "
     "by chance a row tuned on wins a span as often as its kind has clusters."),
    ("borrowed, chance taken off", "Mean over all answers of 1 where a row tuned on wins the best "
     "span, -(1 - h) / h where a held-out row does, 0 where there is no span; h is the held-out "
     "share of the clusters. What was not borrowed adds 0 on average."),
    ("found by q", "Spans, and rows, at the false discovery rate that was asked for; see the page "
     "of each trace."),
    ("caused by rows, not from the rows, undecided or unstable", "What tuning again said of the "
     "checked spans: masking the rows that a span leads to at least halves its probability beyond "
     "what masking matched rows does; changes it by less than a factor of 1.25; neither, or the "
     "span does not come back at all under other shuffles. Proposed by swap: the answer takes the "
     "new value that its own rows state, and not that of matched rows."),
    ("difference", "Of two shares, in points of 100, over the prompts that both models answered; "
     "undecided where its interval holds 0."),
    ("95% interval", "Prompts and rows are both drawn (two-way variance, t), of both models "
     "together where it is of a difference; exact (binomial) where nothing varies. That of answers "
     "with a span found by q, and of effects, draws whole answers again (expanded percentile "
     "bootstrap)."),
]  # fmt: skip


def build(
    config: ReportConfig, found: Mapping[str, Any], manifests: Sequence[Mapping[str, Any]],
    version: str,
) -> dict[str, Any]:  # fmt: skip
    """Everything on the page. found: of `trace.beside.beside`; manifests: of the traces, in its
    order."""
    names = labels(found["models"])
    said = blocks(found)
    n = plural(len(names), "tuning")
    view = {
        "title": config.title if "title" in config.given() else TITLE,
        "subtitle": f"{n}: {listed(names)}.",
        "version": version,
        "redacted": config.redact,
        "findings": differences(found)[:MOST_FINDINGS],
        "table": table(found),
        "blocks": [
            {**checked(one), "key": f"beside-{place}", "style": None, "absent": []}
            for place, one in enumerate(said)
        ],
        "how": {
            "definitions": DEFINITIONS,
            "inputs": how.inputs(
                [(f"trace of {name}", one) for name, one in zip(names, manifests, strict=True)],
                {}, config.redact,
            ),
            "versions": how.versions(manifests),
        },
        "beside": found,
    }  # fmt: skip
    shown: dict[str, Any] = all_visible(view)
    return shown


def render(view: Mapping[str, Any]) -> str:
    """The page for what `build` found."""
    return frame.page(
        "trace_beside.html.j2", ("report.css",), None, view=view, control_charts=control_charts
    )


def table(found: Mapping[str, Any]) -> dict[str, Any]:
    """Models side by side, a row for each measure."""
    models = found["models"]
    rows = [
        ["method", *(METHODS.get(one["method"], UNKNOWN) for one in models)],
        ["learning rate", *(rate(one["learning_rate"]) for one in models)],
        ["answers", *(f"{one['n_responses']:,}" for one in models)],
        ["spans that lead to rows", *(f"{one['n_spans']:,}" for one in models)],
        ["answers with a span whose best one a row tuned on wins", *map(won, models)],
        ["the same by chance", *(percent((one["wins"] or {}).get("chance")) for one in models)],
        ["answers whose best span was borrowed, chance taken off",
         *(with_interval(one["borrowed"], percent) for one in models)],
        ["answers with a span found by q",
         *(with_interval((one["found"] or {}).get("answers"), percent) for one in models)],
        ["spans and rows found by q", *(_counts(one["found"]) for one in models)],
    ]  # fmt: skip
    for way in dict.fromkeys(proof["way"] for one in models for proof in one["proofs"]):
        rows += _of_way(way, models)
    return {"columns": ["", *labels(models)], "rows": rows}


def _of_way(way: str, models: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    proofs = [next((p for p in one["proofs"] if p["way"] == way), None) for one in models]
    shares = {"caused by rows": "caused", "not from the rows": "not_from_rows",
              "undecided or unstable": "open"}  # fmt: skip
    return [
        [f"spans checked ({WAYS[way]})",
         *(f"{p['n']:,} of {p['n_spans']:,}" if p else NONE for p in proofs)],
        *([name, *(with_interval(p and p[key], percent) for p in proofs)]
          for name, key in shares.items()),
        ["what their rows did", *(did(p, "rows") for p in proofs)],
        ["what matched rows did", *(did(p, "matched") for p in proofs)],
    ]  # fmt: skip


def _counts(found: Mapping[str, Any] | None) -> str:
    return f"{found['n']:,} and {found['n_rows']:,}" if found else NONE
