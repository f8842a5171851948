"""`behaviour`: how do the answers behave, before and after tuning?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.artefact import Artefact

_OF_STAGE = ("harmless", "deserve", "tokenizer", "verbatim_words", "limit")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(behaviour)


def behaviour(
    responses: o.Responses = None,
    base: Annotated[
        str | None, typer.Option(help="NAME of the base's answers; else those named first.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Rows: for verbatim runs, personal data and lengths; a file, a hub id."),
    ] = None,
    harmless: Annotated[
        str | None,
        typer.Option(help="Prompts not to be refused: a file (.txt: one a line), or TAG=VALUE."),
    ] = None,
    deserve: Annotated[
        str | None, typer.Option(help="Prompts that deserve a refusal, said likewise.")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            help="A check of your own, repeatable: NAME=REGEX, or NAME=FILE.py:function, which "
            "gets prompt and answer and returns True, False, a number or None."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="A model whose tokenizer counts the tokens of all answers and rows."),
    ] = None,
    verbatim_words: Annotated[
        int | None, typer.Option(help="Words in a row that make a verbatim run; 20.", min=5)
    ] = None,
    out: o.Out = Path("out"),
    limit: o.Limit = None,
    seed: o.Seed = None,
    redact: Annotated[bool, typer.Option("--redact", help="Leave all texts off the page.")] = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Look for loops, leaks, refusals, copies and more in answers; compare base and tuned."""
    given = dict(locals())
    from aftertune.behaviour import assess
    from aftertune.behaviour import run as stage
    from aftertune.behaviour.config import BehaviourConfig, CompareConfig
    from aftertune.config import build
    from aftertune.inputs import read_rows
    from aftertune.report import behaviour_run as page_stage
    from aftertune.report.config import ReportConfig

    options: dict[str, Any] = {name: given[name] for name in _OF_STAGE}
    options["checks"] = _checks(check) or None
    beside = ("responses", "base", "data", "seed")
    asked = build(BehaviourConfig, options, config, beside=beside)
    compared = build(
        CompareConfig,
        {"base": o.from_file(config, "base", base), "seed": o.from_file(config, "seed", seed)},
    )
    terminal = Terminal()
    answers = _answers(o.from_file(config, "responses", responses), out, terminal)
    source = o.from_file(config, "data", data)
    rows = read_rows(source, out, terminal) if source else None
    found = stage.run(asked, answers, rows, out, terminal)
    made = assess.run(compared, found, out, terminal)
    shown = build(ReportConfig, {"redact": redact or None})
    page = page_stage.run(shown, made, answers, out, terminal)
    _show(found, made, page, as_json)


def _checks(given: list[str] | None) -> dict[str, str]:
    """--check NAME=WHAT options by name."""
    found: dict[str, str] = {}
    for value in given or []:
        name, equals, what = value.partition("=")
        if not (name and equals and what):
            raise ConfigError(f"--check {value}: write NAME=REGEX or NAME=FILE.py:function.")
        if name in found:
            raise ConfigError(f"--check gives the name {name} twice; give each its own.")
        found[name] = what
    return found


def _answers(given: Any, out: Path, terminal: Terminal) -> "dict[str, Artefact]":
    """The answers of each model, by name: artefacts, or files without token ids."""
    from aftertune.artefact import MANIFEST
    from aftertune.inputs import model_name, read_responses

    listed = [given] if isinstance(given, str) else list(given or [])
    found: dict[str, Artefact] = {}
    for value in listed:
        name, equals, source = value.partition("=")
        source = source if equals else value
        named = name if equals else model_name(Path(source).stem)
        one = read_responses(source, named, None, None, "auto", None, out, terminal)
        if not equals and (Path(source) / MANIFEST).exists():
            named = str(one.config.get("name") or named)
        if named in found:
            raise ConfigError(f"--responses gives the name {named} twice; write NAME=ANSWERS.")
        found[named] = one
    if not found:
        raise ConfigError("no answers are given; add --responses [NAME=]ANSWERS.")
    return found


def _show(found: "Artefact", made: "Artefact", page: "Artefact", as_json: bool) -> None:
    from aftertune.report.blocks.behaviour import block
    from aftertune.report.run import PAGE

    report = page.folder / PAGE
    if as_json:
        show_json({"behaviour": str(found.folder), "artefact": str(made.folder),
                   "counts": found.counts, "about": made.about, "page": str(report)})  # fmt: skip
        return
    one = block(made.about)
    for line in [*one["sentences"], *one["cautions"]]:
        typer.echo(printable(line))
    if one["table"]:
        show_table(one["question"], one["table"]["columns"], one["table"]["rows"])
    typer.echo(f"answers: {found.folder}")
    typer.echo(f"artefact: {made.folder}")
    typer.echo(f"report: {report}")
