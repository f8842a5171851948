"""`recall`: what does the tuned model still know?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.recalling import RecallResult

_OF_FACTS = ("limit", "seed")
_BESIDE = ("tuned", "facts", "limit", "data", "texts", "shift", "judged", "margin")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(recall)


def recall(
    base: o.Base = None,
    tuned: o.Tuned = None,
    facts: Annotated[
        str | None,
        typer.Option(
            help="Facts: a JSON, JSONL or CSV file with question and answer, TruthfulQA's CSV, "
            "MMLU's zip, a lab-base artefact, or embedded:pocket (the default)."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Rows: how new is each of them to the base?")
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="A text that the models read, for forgetting; repeatable."),
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="NAME=shift-… artefact of a tuned model, for its mean KL; repeatable."),
    ] = None,
    judged: Annotated[
        Path | None, typer.Option(help="A control-judge artefact: the quality of the models.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(help="Examples in front of a question.", min=0)
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="Prompts with other examples, of each half; 10 in the paper.", min=1),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Sampled answers to a prompt; 16 in the paper.", min=1),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Share of facts that is small enough to be none; 0.05.")
    ] = None,
    out: o.Out = Path("out"),
    limit: Annotated[
        int | None, typer.Option(help="So many facts, drawn with the seed.", min=1)
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            help="Ask tuned models under this template instead of the plain text: auto, chat, "
            "alpaca, ..., or a Jinja file."
        ),
    ] = None,
    max_new_tokens: o.MaxNewTokens = None,
    batch_size: o.BatchSize = None,
    seed: o.Seed = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    redact: Annotated[bool, typer.Option("--redact", help="Leave all texts off the page.")] = False,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Ask base and tuned models the same facts, and list what was lost, gained and kept."""
    given = dict(locals())
    from aftertune import recalling
    from aftertune.config import build
    from aftertune.recall.config import CompareConfig, FactsConfig, RecallConfig

    beside = {name: o.from_file(config, name, given[name]) for name in _BESIDE}
    options: dict[str, Any] = {
        name: given[name]
        for name in ("shots", "draws", "samples", "template", "max_new_tokens", "batch_size",
                     "seed", "device", "dtype")
    }  # fmt: skip
    options |= {"model": o.from_file(config, "base", base),
                "trust_remote_code": trust_remote_code or None}  # fmt: skip
    if not options["model"]:
        raise ConfigError("no base is given; add --base MODEL, what tuning started from.")
    asked = build(RecallConfig, options, config, beside=(*_BESIDE, "base"))
    source = beside["facts"] or "embedded:pocket"
    which = {name: beside.get(name, given[name]) for name in _OF_FACTS}
    of_facts = build(FactsConfig, {"source": source, **which})
    comparing = build(CompareConfig, {"margin": beside["margin"], "seed": given["seed"]})
    models = o.models_from(tuned, config)
    paths = beside["texts"] or []
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    shifts = {name: Path(path) for name, path in o.named(beside["shift"], "--shift").items()}
    more = recalling.Beside(
        data=beside["data"], texts=tuple(map(Path, listed)), shifts=shifts,
        judged=Path(beside["judged"]) if beside["judged"] else None,
    )  # fmt: skip
    result = recalling.run(
        recalling.read_facts(of_facts), asked, comparing, models, more, out, Terminal(), redact
    )
    _show(result, as_json)


def _show(result: "RecallResult", as_json: bool) -> None:
    made = result.comparison
    if as_json:
        show_json({"artefact": str(made.folder), "id": made.id, "about": made.about,
                   "page": str(result.report_path)})  # fmt: skip
        return
    from aftertune.report.blocks import recall as recall_blocks

    shown = recall_blocks.block(made.about)
    for line in [*shown["sentences"], *shown["cautions"]]:
        typer.echo(printable(line))
    pairs = made.table("recall_pairs").to_pylist()
    lost = [one for one in pairs if one["outcome"] == "lost" and one["way"] == "greedy"]
    lost = lost or [one for one in pairs if one["outcome"] == "lost" and one["way"] == "choice"]
    if lost:
        rows = [[one["model"], one["question"], one["base_answer"], one["tuned_answer"]]
                for one in lost[:10]]  # fmt: skip
        title = f"Lost facts ({len(lost):,} in all)"
        show_table(title, ["model", "question", "base", "tuned"], rows, left=True)
    typer.echo(f"artefact: {made.folder}")
    typer.echo(f"report: {result.report_path}")
