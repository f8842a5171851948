"""`judge`: how good are the answers, and how far can the judge be believed?"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.artefact import Artefact
    from aftertune.judge.cost import Estimate
    from aftertune.judge.run import Prepared

_ASSESS = ("people", "for_people", "seed")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(judge)


def judge(
    responses: o.Responses = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Address of an OpenAI-compatible judge, like https://host/v1."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The judge's name at the endpoint.")] = None,
    judge_key: Annotated[
        str | None,
        typer.Option(
            envvar="AFTERTUNE_JUDGE_KEY",
            show_default=False,
            help="The endpoint's key; better in the environment, where `ps` does not show it.",
        ),
    ] = None,
    local: Annotated[
        str | None, typer.Option(help="A local judge: a hub id, a folder, embedded:smollm2-135m.")
    ] = None,
    verdicts: Annotated[
        str | None, typer.Option(help="Verdicts that exist: JSONL, or just-eval's result file.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the judge is called.")] = None,
    aspects: Annotated[
        str | None,
        typer.Option(
            help="With commas between: helpfulness, clarity, factuality, depth, engagement "
            "(these five by default), safety."
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(help="alone (1 to 5), pairs (two models, both orders), or both."),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Ask everything N times: test-retest.", min=1)
    ] = None,
    people: Annotated[
        str | None, typer.Option(help="Ratings by people: response_id, aspect, annotator, value.")
    ] = None,
    for_people: Annotated[
        int | None, typer.Option(help="Draw N answers of each model for people to rate.", min=1)
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 by default.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest reply.", min=1)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Calls at once.", min=1)] = None,
    attempts: Annotated[
        int | None, typer.Option(help="Times that a call is sent before it is given up.", min=1)
    ] = None,
    timeout_seconds: Annotated[float | None, typer.Option(help="For a reply.")] = None,
    price_in: Annotated[
        float | None, typer.Option(help="Money for a million tokens sent, for the estimate.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(help="Money for a million tokens received.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a paid run.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how many calls, tokens and money, and stop.")
    ] = False,
    out: o.Out = Path("out"),
    limit: o.Limit = None,
    template: o.Template = None,
    batch_size: o.BatchSize = None,
    seed: o.Seed = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Judge answers on five aspects, and say how far the judge can be believed.

    Answers leave this machine only to the --endpoint that you name, after saying how many.
    """
    given = dict(locals())
    from pydantic import SecretStr

    from aftertune.config import build
    from aftertune.judge import assess
    from aftertune.judge import run as stage
    from aftertune.judge.config import AssessConfig, JudgeConfig

    for beside in ("responses", "judge_key", "yes", "plan", "out", "config", "as_json"):
        given.pop(beside)
    given["trust_remote_code"] = trust_remote_code or None
    assessed = {one: o.from_file(config, one, given[one]) for one in _ASSESS}
    for one in ("people", "for_people"):
        given.pop(one)
    beside_judge = ("responses", "people", "for_people")
    asked = build(JudgeConfig, given, config, beside=beside_judge)
    to_assess = build(AssessConfig, assessed)
    terminal = Terminal()
    answers = answers_of(o.from_file(config, "responses", responses), out, terminal)
    local_judge = None
    if asked.local:
        from aftertune.judge.local import prepare as find_judge

        local_judge = find_judge(asked)
    prepared = stage.prepare(asked, answers, local_judge)
    estimate = stage.estimate(prepared, out)
    if plan:
        _show_plan(prepared, estimate, as_json)
        return
    if asked.endpoint and estimate.calls:
        terminal.say(_sentence(prepared, estimate))
        _ask(yes)
    key = SecretStr(judge_key) if judge_key and asked.endpoint else None
    judged = stage.run(prepared, out, terminal, key)
    made = assess.run(to_assess, judged, answers, out, terminal)
    _show(judged, made, as_json)


def answers_of(given: Any, out: Path, terminal: Terminal) -> "dict[str, Artefact]":
    """The answers of each model, by name: artefacts, or files without token ids."""
    from aftertune.artefact import MANIFEST, open_artefact
    from aftertune.inputs import read_responses

    listed = [given] if isinstance(given, str) else list(given or [])
    found: dict[str, Artefact] = {}
    for value in listed:
        name, equals, source = value.partition("=")
        source = source if equals else value
        if (Path(source) / MANIFEST).exists():
            one = open_artefact(Path(source))
        else:
            one = read_responses(
                source, name if equals else Path(source).stem, None, None, "auto", None, out,
                terminal,
            )  # fmt: skip
        if not equals:
            name = str(one.config.get("name") or Path(source).stem)
        if name in found:
            raise ConfigError(f"--responses gives the name {name} twice; write NAME=ANSWERS.")
        found[name] = one
    if not found:
        raise ConfigError("no answers are given; add --responses [NAME=]ANSWERS.")
    return found


def _sentence(prepared: "Prepared", estimate: "Estimate") -> str:
    n = sum(map(len, prepared.responses.values()))
    said = (
        f"{n:,} answers go to {prepared.config.endpoint}: {estimate.calls:,} calls"
        f"{f' ({estimate.done:,} were answered before)' if estimate.done else ''}, about "
        f"{estimate.tokens_in:,} tokens sent and {estimate.tokens_out:,} received, at most "
        f"{estimate.most_tokens_out:,}; "
    )
    if estimate.money is None:
        return f"{said}no price is known (--price-in, --price-out)."
    return f"{said}about {estimate.money:,.2f}, at most {estimate.most_money or 0:,.2f}."


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("this run may cost money; add --yes to begin it.")
    if not typer.confirm("Begin?"):
        raise typer.Exit


def _show_plan(prepared: "Prepared", estimate: "Estimate", as_json: bool) -> None:
    if as_json:
        show_json({"artefact": prepared.plan.id, **estimate.as_json()})
    elif prepared.config.endpoint:
        typer.echo(printable(_sentence(prepared, estimate)))
    else:
        typer.echo(f"{estimate.calls:,} calls, {estimate.done:,} were answered before.")


def _show(judged: "Artefact", made: "Artefact", as_json: bool) -> None:
    if as_json:
        show_json({"verdicts": str(judged.folder), "artefact": str(made.folder),
                   "counts": judged.counts, "about": made.about})  # fmt: skip
        return
    from aftertune.report.blocks import judge as of_models
    from aftertune.report.blocks import judge_belief as of_the_judge

    for shown in (of_models.block(made.about), of_the_judge.block(made.about)):
        for line in [shown["question"], *shown["sentences"], *shown["cautions"]]:
            typer.echo(printable(line))
        if shown["table"]:
            show_table("", shown["table"]["columns"], shown["table"]["rows"])
    typer.echo(f"verdicts: {judged.folder}")
    typer.echo(f"artefact: {made.folder}")
