"""`trace`: which rows did these answers borrow from?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, clock, printable, show_json, show_table

if TYPE_CHECKING:
    from aftertune.tracing import TraceResult

_KINDS = ("words", "exact", "pieces", "bm25", "embeddings")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(trace)


def trace(
    responses: Annotated[
        str | None,
        typer.Option(
            help="Answers: a respond-… artefact, or a JSON, JSONL or CSV file with instruction and "
            "response. Known where --shift is given."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Rows: a file, a folder, a hub id. Known where --tuned-rows is given."),
    ] = None,
    shift: Annotated[
        str | None, typer.Option(help="The shift-… artefact of these answers: more evidence.")
    ] = None,
    tuned_rows: Annotated[
        str | None,
        typer.Option(
            help="The tune-… artefact of the model: rows that --hold-out kept from it are the "
            "control, and give p and q."
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows that the model never saw, repeatable; or `permuted`: the rows with answers "
            "that traded places."
        ),
    ] = None,
    span: Annotated[
        str | None, typer.Option(help="Ask about this phrase, wherever it stands in the answers.")
    ] = None,
    top: Annotated[int | None, typer.Option(help="Rows written for a span.", min=1)] = None,
    max_spans: Annotated[int | None, typer.Option(help="Spans of an answer.", min=1)] = None,
    words: Annotated[bool, typer.Option("--words/--no-words", help="Rare shared words.")] = True,
    exact: Annotated[
        bool, typer.Option("--spans/--no-spans", help="The same run of words or characters.")
    ] = True,
    pieces: Annotated[
        bool, typer.Option("--pieces/--no-pieces", help="Word pieces and fuzzy matches.")
    ] = True,
    bm25: Annotated[bool, typer.Option("--bm25/--no-bm25", help="Rows by BM25.")] = True,
    embeddings: Annotated[
        bool, typer.Option("--embeddings/--no-embeddings", help="Rows by sentence embeddings.")
    ] = True,
    q: Annotated[
        float | None, typer.Option("--q", help="False discovery rate at which a span is found.")
    ] = None,
    out: o.Out = Path("out"),
    limit: o.Limit = None,
    format: o.Format = None,
    seed: o.Seed = None,
    redact: Annotated[bool, typer.Option("--redact", help="Leave all texts off the page.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would run and how long, and stop.")
    ] = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Find the rows that answers borrowed from: spans, rows, evidence, error rates, a page."""
    given = dict(locals())
    from aftertune import tracing
    from aftertune.config import build
    from aftertune.trace.config import TraceConfig

    options: dict[str, Any] = {
        name: given[name] for name in ("span", "top", "max_spans", "q", "seed")
    }
    options |= {name: None if given[name] else False for name in _KINDS}  # only what was said
    options["permuted"] = tracing.PERMUTED in (control or []) or None
    named = ("responses", "data", "shift", "tuned_rows")
    checked = build(TraceConfig, options, config, beside=(*named, "control"))
    terminal = Terminal()
    inputs = tracing.read(
        *(o.from_file(config, name, given[name]) for name in named),
        controls=o.from_file(config, "control", control) or [], out=out, progress=terminal,
        limit=limit, format=format,
    )  # fmt: skip
    if plan:
        from aftertune.trace.run import measure

        _show_plan(measure(checked, inputs, terminal), as_json)
        return
    result = tracing.run(checked, inputs, out, terminal, redact)
    if as_json:
        show_json({"artefact": str(result.artefact.folder), "id": result.artefact.id,
                   "counts": result.artefact.counts, "about": result.artefact.about,
                   "page": str(result.report_path), "look_at": str(result.look_at)})  # fmt: skip
        return
    _show(result)


def _show_plan(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    typer.echo(f"{found['n_answers']:,} answers, traced among {found['n_rows']:,} rows.")
    typer.echo(f"The index took {clock(found['index_seconds'])} and is kept for the run.")
    typer.echo(
        f"The answers would take about {clock(found['seconds'])} and "
        f"{found['bytes'] / 1e6:,.1f} MB of disk, by what a few of them took."
    )


def _show(result: "TraceResult") -> None:
    from aftertune.report.blocks.trace import block

    one = block(result.artefact.about)
    for sentence in [*one["sentences"], *one["cautions"]]:
        typer.echo(printable(sentence))
    rows = [
        [str(row["row_index"]), f"{row['n_spans']:,}", f"{row['n_responses']:,}",
         "–" if row["n_found"] is None else f"{row['n_found']:,}"]
        for row in result.found["rows"][:10]
    ]  # fmt: skip
    if rows:
        q = result.artefact.config["q"]
        show_table("Rows most borrowed from", ["row", "spans", "answers", f"q <= {q:g}"], rows)
    typer.echo(f"artefact: {result.artefact.folder}")
    typer.echo(f"rows to look at: {result.look_at}")
    typer.echo(f"report: {result.report_path}")
