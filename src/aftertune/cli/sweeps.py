"""`sweep`: methods, learning rates, sizes and seeds in one grid."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

Number = TypeVar("Number", int, float)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the app."""
    app.command()(sweep)


def sweep(
    base: o.Base = None,
    data: o.Data = None,
    prompts: o.Prompts = None,
    out: o.Out = Path("out"),
    methods: Annotated[str | None, typer.Option(help="full,lora (the default) or one.")] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="Of every method, with commas between: 5e-5,2e-4.")
    ] = None,
    learning_rates_full: Annotated[
        str | None, typer.Option(help="Of full tuning, in place of --learning-rates.")
    ] = None,
    learning_rates_lora: Annotated[
        str | None, typer.Option(help="Of LoRA, in place of --learning-rates.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Rows to tune on, with commas between; else all.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many, from 0; 5 to speak of a method.", min=1)
    ] = None,
    pilot_seeds: Annotated[
        int | None, typer.Option(help="How many more, which the default margin comes from.", min=1)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="As many optimiser steps at every size.", min=1)
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Nats per token that still count as flat; else a tenth of the gap."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="paper or alpaca, as for tune.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows per optimiser step (effective batch).", min=1)
    ] = None,
    micro_batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens computed at once, padding included.", min=1)
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens per row; the rest is cut.")] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine, linear or constant.")] = None,
    warmup_ratio: Annotated[float | None, typer.Option(help="Share of the steps.")] = None,
    lora_rank: Annotated[int | None, typer.Option(min=1)] = None,
    lora_alpha: Annotated[int | None, typer.Option(min=1)] = None,
    template: o.Template = None,
    limit: o.Limit = None,
    max_new_tokens: o.MaxNewTokens = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    trust_remote_code: o.TrustRemoteCode = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would run, and stop.")] = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Tune with several methods, rates, sizes and seeds; is it the method or the rate?"""
    given = dict(locals())
    from aftertune.config import build
    from aftertune.experiments.sweep_config import SweepConfig, check_plan, plan_sentences

    for name in ("out", "plan", "config", "as_json"):
        given.pop(name)
    given["trust_remote_code"] = trust_remote_code or None
    if methods:
        given["methods"] = [part.strip() for part in methods.split(",")]
    for name in ("learning_rates", "learning_rates_full", "learning_rates_lora"):
        given[name] = _listed(given[name], float, name)
    given["sizes"] = _listed(sizes, int, "sizes")
    checked = build(SweepConfig, given, config)
    if plan:
        for sentence in [*plan_sentences(checked), *check_plan(checked)]:
            typer.echo(sentence)
        return
    from aftertune.experiments import sweep as experiment

    made = experiment.run(checked, out, Terminal())
    if as_json:
        show_json({"artefact": str(made.folder), "id": made.id, "about": made.about})
        return
    _show(made.about)
    typer.echo(f"artefact: {made.folder}")


def _show(about: dict[str, Any]) -> None:
    """Each question with its table and its sentences."""
    from aftertune.report.blocks.sweep import block, size_block

    for one in (block(about), size_block(about)):
        if one is not None:
            show_table(one["question"], one["table"]["columns"], one["table"]["rows"])
            for sentence in one["sentences"]:
                typer.echo(printable(sentence))


def _listed(text: str | None, kind: Callable[[str], Number], name: str) -> list[Number] | None:
    """Numbers with commas between; None where nothing was said."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        option = f"--{name.replace('_', '-')}"
        raise ConfigError(f"{option} {text}: write numbers with commas between.") from error
