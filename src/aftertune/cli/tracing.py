"""`trace`: which rows did these answers borrow from?"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, clock, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aftertune.artefact import Artefact
    from aftertune.experiments.cost import Cost
    from aftertune.tracing import TraceResult

_KINDS = ("words", "exact", "pieces", "bm25", "embeddings", "surprisal")


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
    surprisal: Annotated[
        bool,
        typer.Option(
            "--surprisal/--no-surprisal",
            help="Spans that surprise a model which has not seen the rows count more: the base's "
            "probabilities of --shift, else the embedded model reads the answers.",
        ),
    ] = True,
    q: Annotated[
        float | None, typer.Option("--q", help="False discovery rate at which a span is found.")
    ] = None,
    verify: Annotated[
        str | None,
        typer.Option(
            help="Prove spans: swap (tune again on rows that state other values; the cheapest), "
            "mask (tune again without the rows), rephrase (ask without what prompt and row share)."
        ),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Mask, with other shuffles, what swap proposed.")
    ] = False,
    crossed: Annotated[
        int | None,
        typer.Option(help="Tune on N random halves of the rows: 16 to 64, even.", min=16, max=64),
    ] = None,
    influence: Annotated[
        bool,
        typer.Option("--influence", help="Would a step that unlearns a row lower its span?"),
    ] = False,
    influence_base: Annotated[
        bool,
        typer.Option(
            "--influence-base",
            help="Rank rows by their influence on spans in the base too, before p and q are made; "
            "needs --tuned-rows. One gradient for each span and row.",
        ),
    ] = False,
    influence_halves: Annotated[
        int | None,
        typer.Option(
            help="Rank rows by what they add to spans over N tunings on random halves of all rows "
            "(8 to 64, even; 32 find most), before p and q are made; needs --tuned-rows.",
            min=8,
            max=64,
        ),
    ] = None,
    tuned: Annotated[
        str | None,
        typer.Option(
            help="The tune-… artefact whose settings proof repeats; else that of --tuned-rows, or "
            "the model that answered."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Its base, where that is not where the tuning had it.")
    ] = None,
    verify_spans: Annotated[
        int | None, typer.Option(help="Spans to prove, best first; 20 by default.", min=1)
    ] = None,
    verify_rows: Annotated[
        int | None, typer.Option(help="Rows of a span to accuse, best first; 5.", min=1)
    ] = None,
    verify_seeds: Annotated[
        int | None, typer.Option(help="Shuffles that proof tunes with; 3.", min=2)
    ] = None,
    rephrasings: Annotated[
        Path | None,
        typer.Option(
            help="For rephrase: JSON Lines with response_id or prompt, rephrasings, keeps."
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="For rephrase: address of an OpenAI-compatible model that rephrases; its key "
            "stands in the environment variable AFTERTUNE_JUDGE_KEY."
        ),
    ] = None,
    endpoint_model: Annotated[
        str | None, typer.Option(help="What the endpoint calls that model.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before more than ten minutes of tuning.")
    ] = False,
    out: o.Out = Path("out"),
    limit: o.Limit = None,
    format: o.Format = None,
    seed: o.Seed = None,
    redact: Annotated[bool, typer.Option("--redact", help="Leave all texts off the page.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would run and how long, and stop.")
    ] = False,
    device: o.Device = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Find the rows that answers borrowed from: spans, rows, evidence, error rates, a page.

    With --verify, --crossed or --influence, prove it by tuning again, after saying what it costs.
    """
    given = dict(locals())
    from aftertune import tracing
    from aftertune.config import build
    from aftertune.experiments.verify_config import ProofConfig
    from aftertune.trace.config import TraceConfig

    options: dict[str, Any] = {
        name: given[name] for name in ("span", "top", "max_spans", "q", "seed")
    }
    options |= {name: None if given[name] else False for name in _KINDS}  # only what was said
    options["influence_base"] = influence_base or None
    options["influence_halves"] = influence_halves
    options["permuted"] = tracing.PERMUTED in (control or []) or None
    named = ("responses", "data", "shift", "tuned_rows")
    beside = (*named, "control", *(name for name in ProofConfig.model_fields if name != "seed"))
    checked = build(TraceConfig, options, config, beside=beside)
    proof = build(ProofConfig, _of_proof(ProofConfig.model_fields, given, config))
    terminal = Terminal()
    inputs = tracing.read(
        *(o.from_file(config, name, given[name]) for name in named),
        controls=o.from_file(config, "control", control) or [], out=out, progress=terminal,
        limit=limit, format=format,
    )  # fmt: skip
    if plan:
        from aftertune.trace.run import measure

        asked = proof.asks or checked.influence_halves
        costs = tracing.plan(checked, inputs, out, terminal, proof) if asked else []
        _show_plan(measure(checked, inputs, terminal), costs, out, as_json)
        return
    result = tracing.run(
        checked, inputs, out, terminal, redact, proof, lambda costs: _ask(costs, yes)
    )
    if as_json:
        show_json({"artefact": str(result.artefact.folder), "id": result.artefact.id,
                   "counts": result.artefact.counts, "about": result.artefact.about,
                   "proofs": {str(one.folder): one.about for one in result.proofs},
                   "page": str(result.report_path), "look_at": str(result.look_at)})  # fmt: skip
        return
    _show(result)


def _of_proof(
    fields: "Collection[str]", given: dict[str, Any], config: Path | None
) -> dict[str, Any]:
    """Options of proof: what was said, or else what the config file says."""
    found = {name: o.from_file(config, name, given[name]) for name in fields}
    # a switch that was not said leaves it to the file
    return {name: None if value is False else value for name, value in found.items()}


def _ask(costs: "Sequence[Cost]", yes: bool) -> None:
    """Raises ConfigError, or leaves, where a long or paid proof is not wanted."""
    from aftertune.experiments.cost import ASK_ABOVE, seconds_of

    long = seconds_of(costs) > ASK_ABOVE
    paid = any(one.asked for one in costs)
    if yes or not (long or paid):
        return
    if not sys.stdin.isatty():
        why = "tune for more than ten minutes" if long else "ask an endpoint, which may cost money"
        raise ConfigError(f"this would {why}; add --yes to begin it.")
    if not typer.confirm("Begin?"):
        raise typer.Exit


def _show_plan(found: dict[str, Any], costs: "Sequence[Cost]", out: Path, as_json: bool) -> None:
    from aftertune.experiments.cost import total

    if as_json:
        show_json({**found, "proofs": [one.as_json() for one in costs]})
        return
    typer.echo(f"{found['n_answers']:,} answers, traced among {found['n_rows']:,} rows.")
    typer.echo(f"The index took {clock(found['index_seconds'])} and is kept for the run.")
    typer.echo(
        f"The answers would take about {clock(found['seconds'])} and "
        f"{found['bytes'] / 1e6:,.1f} MB of disk, by what a few of them took."
    )
    if found["gradients"]:
        typer.echo(f"Influence in the base takes up to {found['gradients']:,} gradients more.")
    for one in costs:
        typer.echo(printable(one.sentence()))
    if whole := total(costs, str(out)):
        typer.echo(printable(whole))


def _show(result: "TraceResult") -> None:
    from aftertune.report.blocks.trace import block
    from aftertune.report.numbers import decimal
    from aftertune.report.trace_findings import rows_found

    one = block(result.artefact.about)
    for sentence in [*one["sentences"], *one["cautions"]]:
        typer.echo(printable(sentence))
    if held := result.found["held_out"]:
        typer.echo(rows_found(held))
    rows = [
        [str(row["row_index"]), f"{row['n_spans']:,}", f"{row['n_responses']:,}",
         "–" if row["n_found"] is None else f"{row['n_found']:,}", decimal(row["q_value"])]
        for row in result.found["rows"][:10]
    ]  # fmt: skip
    if rows:
        q = result.artefact.config["q"]
        columns = ["row", "spans", "answers", f"q <= {q:g}", "q of row"]
        show_table("Rows most borrowed from", columns, rows)
    _show_proofs(result.proofs)
    typer.echo(f"artefact: {result.artefact.folder}")
    typer.echo(f"rows to look at: {result.look_at}")
    typer.echo(f"report: {result.report_path}")


def _show_proofs(proofs: "Sequence[Artefact]") -> None:
    from aftertune.report.trace_proof import section

    for one in section([proof.about for proof in proofs], {}, None):
        for sentence in [one["question"], *one["sentences"], *one["cautions"]]:
            typer.echo(printable(sentence))
    for proof in proofs:
        typer.echo(f"proof: {proof.folder}")
