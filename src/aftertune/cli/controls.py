"""`controls`: what else could have made the shift, asked of every tuned model."""

from pathlib import Path
from typing import Annotated

import typer

from aftertune.cli import options as o
from aftertune.cli.audits import Control, show_result
from aftertune.cli.console import Terminal


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(controls)


def controls(
    base: o.Base = None,
    tuned: o.Tuned = None,
    prompts: o.Prompts = None,
    data: o.Data = None,
    control: Control = None,
    which: Annotated[
        str | None,
        typer.Option(
            help="With commas between: template, texts, words, hand-off, unrounded, parts, floors; "
            "or all. parts and floors tune again."
        ),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(help="Answers to compare with in texts: a file, or a respond-… artefact."),
    ] = None,
    unrounded_base: Annotated[
        str | None, typer.Option(help="What a base of reduced precision was before its rounding.")
    ] = None,
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
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Audit, and ask what else could have made the shift: template, text, beginning, chance.

    Answers and shifts are made as by `aftertune audit`, and those that are finished are reused.
    """
    given = dict(locals())
    from aftertune import auditing
    from aftertune.config import build

    for name in ("which", "out", "config", "as_json"):
        given.pop(name)
    models = o.models_from(tuned, config)
    asked = which or o.from_file(config, "controls", None) or "all"
    given |= {
        "tuned": models or None,
        "responses": o.for_models(responses, list(models)) or None,
        "controls": asked,
        "redact": redact or None,
        "trust_remote_code": trust_remote_code or None,
    }
    result = auditing.run(build(auditing.AuditConfig, given, config), out, Terminal())
    show_result(result, as_json)
