"""`controls`: what else could have made the shift, asked of every tuned model."""

from pathlib import Path
from typing import Annotated

import typer

from aftertune.cli import options as o
from aftertune.cli.audits import Control, References, UnroundedBase, show_result
from aftertune.cli.console import Terminal
from aftertune.errors import ConfigError


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
    references: References = None,
    unrounded_base: UnroundedBase = None,
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
    asked = _asked(which, config)
    given |= {
        "tuned": models or None,
        "responses": o.for_models(responses, list(models)) or None,
        "controls": asked,
        "redact": redact or None,
        "trust_remote_code": trust_remote_code or None,
    }
    asked_for = build(auditing.AuditConfig, given, config, beside=("which",))
    result = auditing.run(asked_for, out, Terminal())
    show_result(result, as_json)


def _asked(which: str | None, file: Path | None) -> object:
    """The controls that are named on the command line, or in the file, or all of them."""
    from aftertune.config import read_yaml
    from aftertune.experiments.controls_config import ALL, NAMES, chosen

    said = read_yaml(file) if file else {}
    found = which if which is not None else said.get("which", said.get("controls", ALL))
    try:
        names = chosen(found)
    except ValueError as error:
        raise ConfigError(f"--which: {error}.") from error
    if not names or not isinstance(names, list | tuple):
        raise ConfigError(f"--which: name controls; these are: {', '.join(NAMES)}, or all.")
    return names
