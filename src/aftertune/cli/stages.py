"""The stages as commands: rows, tune, respond, shift, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.artefact import Artefact


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the app."""
    for command in (rows, tune, respond, shift, report):
        app.command()(command)


def rows(
    data: o.Data = None,
    prompts: o.Prompts = None,
    out: o.Out = Path("out"),
    format: o.Format = None,
    split: Annotated[str | None, typer.Option(help="Split of a hub data set.")] = None,
    limit: o.Limit = None,
    strict: o.Strict = False,
    as_json: o.AsJson = False,
) -> None:
    """Load rows or prompts and count what is in them.

    Duplicates, conflicting answers, empty and bad rows, overlap of rows with prompts.
    """
    from aftertune.data import run as stage
    from aftertune.inputs import read_prompts, read_rows

    if not data and not prompts:
        raise ConfigError("nothing to load: give --data ROWS, --prompts PROMPTS, or both.")
    terminal = Terminal()
    options = {"format": format, "split": split, "strict": strict or None}
    loaded: dict[str, Artefact] = {}
    if data:
        loaded["rows"] = read_rows(data, out, terminal, limit=limit, **options)
    if prompts:
        own = {} if data else options  # with rows beside them, the prompts' format is recognised
        loaded["prompts"] = read_prompts(prompts, limit, out, terminal, **own)
    result: dict[str, Any] = {
        name: {"artefact": str(found.folder), "counts": found.counts, **found.about}
        for name, found in loaded.items()
    }
    if len(loaded) == 2:
        result["overlap"] = stage.overlap(loaded["rows"], loaded["prompts"])
    if as_json:
        show_json(result)
        return
    from aftertune.report.rows import section

    manifests = {name: found.manifest for name, found in loaded.items()}
    shown = section(manifests.get("rows"), manifests.get("prompts"), result.get("overlap"))
    for title, facts in shown["groups"]:
        show_table(title, ["", "what was found"], facts, left=True)
    for line in shown["sentences"] + [f"artefact: {found.folder}" for found in loaded.values()]:
        typer.echo(printable(line))


def tune(
    base: o.Base = None,
    data: o.Data = None,
    out: o.Out = Path("out"),
    method: Annotated[
        str | None, typer.Option(help="full (all parameters; the paper's SFT) or lora (its LFT).")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="paper (3 epochs, 5e-5, batch 32, rank 8) or alpaca.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What progress calls this run.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after N steps.", min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
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
    lora_dropout: Annotated[float | None, typer.Option()] = None,
    target_modules: Annotated[
        str | None, typer.Option(help="all-linear, or module names with commas between.")
    ] = None,
    dora: Annotated[bool, typer.Option("--dora", help="Weight-decomposed LoRA.")] = False,
    quantize: Annotated[
        str | None, typer.Option(help="4bit: QLoRA; needs a GPU and bitsandbytes; unverified.")
    ] = None,
    neftune_alpha: Annotated[float | None, typer.Option(help="NEFTune noise.")] = None,
    gradient_checkpointing: Annotated[bool, typer.Option("--gradient-checkpointing")] = False,
    subset: Annotated[
        int | None, typer.Option(help="N rows drawn at random; smaller sets lie in larger.", min=1)
    ] = None,
    token_budget: Annotated[
        int | None, typer.Option(help="At most N tokens, rows times epochs.", min=1)
    ] = None,
    hold_out: Annotated[
        float | None, typer.Option(help="Share of rows kept out, whole groups at a time.")
    ] = None,
    hold_out_by: Annotated[
        str | None,
        typer.Option(
            help="What stays together: near-duplicates, or also rows that say the same: "
            "shared-words."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="JSON, CSV or Parquet: row_id or row_index, weight.")
    ] = None,
    take_plan: Annotated[
        Path | None, typer.Option(help="A tune-… artefact whose split and batches to use.")
    ] = None,
    train_on: Annotated[str | None, typer.Option(help="all or last assistant turns.")] = None,
    template: o.Template = None,
    seed: o.Seed = None,
    shuffle_seed: Annotated[int | None, typer.Option(help="Seed of the order of rows.")] = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(help="Seconds between resume checkpoints.")
    ] = None,
    format: o.Format = None,
    strict: o.Strict = False,
    limit: o.Limit = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Tune a base on rows, with all parameters or with LoRA."""
    given = dict(locals())
    from aftertune.config import build
    from aftertune.inputs import read_rows
    from aftertune.tune import run as stage
    from aftertune.tune.config import TuneConfig

    reading = {name: given.pop(name) or None for name in ("format", "strict", "limit")}
    for name in ("data", "out", "config", "as_json"):
        given.pop(name)
    for flag in ("dora", "gradient_checkpointing", "trust_remote_code"):
        given[flag] = given[flag] or None
    if target_modules and target_modules != "all-linear":
        given["target_modules"] = [part.strip() for part in target_modules.split(",")]
    data = o.from_file(config, "data", data)
    if not data:
        raise ConfigError("no rows are given; add --data ROWS.")
    checked = build(TuneConfig, given, config, beside=("data",))
    terminal = Terminal()
    loaded = read_rows(data, out, terminal, **reading)
    made = stage.run(checked, loaded, out, terminal)
    _show(made, as_json, f"model: {made.folder / 'model'}")


def respond(
    base: o.Base = None,
    tuned: o.Tuned = None,
    prompts: o.Prompts = None,
    responses: o.Responses = None,
    out: o.Out = Path("out"),
    template: o.Template = None,
    max_new_tokens: o.MaxNewTokens = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sample at this temperature; else greedy.")
    ] = None,
    top_p: Annotated[float | None, typer.Option()] = None,
    top_k: Annotated[int | None, typer.Option(min=1)] = None,
    n: Annotated[int | None, typer.Option("-n", help="Answers to each prompt.", min=1)] = None,
    prefix: Annotated[
        str | None, typer.Option(help="JSONL or Parquet: prompt_id, prefix_token_ids.")
    ] = None,
    batch_size: o.BatchSize = None,
    limit: o.Limit = None,
    seed: o.Seed = None,
    device: o.Device = None,
    device_map: Annotated[
        str | None, typer.Option(help="auto: spread a model too large for one device.")
    ] = None,
    dtype: o.Dtype = None,
    format: o.Format = None,
    strict: o.Strict = False,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Answer prompts, or take answers that exist.

    With --tuned the tuned models answer, with --base alone the base does.
    """
    given = dict(locals())
    from aftertune.config import build
    from aftertune.inputs import read_prompts, read_responses
    from aftertune.respond import run as stage
    from aftertune.respond.config import RespondConfig

    for name in ("base", "tuned", "prompts", "responses", "out", "limit", "format", "strict",
                 "config", "as_json"):  # fmt: skip
        given.pop(name)
    given["trust_remote_code"] = trust_remote_code or None
    terminal = Terminal()
    beside = ("base", "tuned", "prompts")
    base, prompts = o.from_file(config, "base", base), o.from_file(config, "prompts", prompts)
    tuned_models = o.models_from(tuned, config)
    models = tuned_models or ({"base": base} if base else {})
    reading = {"format": format, "strict": strict or None}
    asked = read_prompts(prompts, limit, out, terminal, **reading) if prompts else None
    made: list[Artefact] = []
    made += [
        read_responses(
            source, name, models.get(name), base, template or "auto", asked, out, terminal,
            limit, format, trust_remote_code,
        )
        for name, source in o.for_models(responses, list(models)).items()
    ]  # fmt: skip
    if not made and (asked is None or not models):
        raise ConfigError(
            "give --prompts PROMPTS and a model (--tuned NAME=MODEL or --base MODEL)."
        )
    if not responses and asked is not None:
        for name, model in models.items():
            options = {
                **given,
                "model": model,
                "base": base if tuned_models else None,
                "name": name,
            }
            checked = build(RespondConfig, options, config, beside)
            made.append(stage.run(checked, asked, out, terminal))
    for artefact in made:
        _show(artefact, as_json)


def shift(
    base: o.Base = None,
    tuned: o.Tuned = None,
    responses: o.Responses = None,
    out: o.Out = Path("out"),
    template: o.Template = None,
    base_template: Annotated[
        str | None,
        typer.Option(
            help="Template under which the base reads the prompts; else as the tuned model does."
        ),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Tokens kept of both models.", min=1)] = None,
    lin2024: Annotated[
        bool,
        typer.Option(
            "--lin2024",
            help="Also the truncated values of Lin et al. (2024), to compare with theirs only.",
        ),
    ] = False,
    one_at_a_time: Annotated[
        bool,
        typer.Option(
            "--one-at-a-time",
            help="Never hold both models in memory: hidden states go to disk.",
        ),
    ] = False,
    seed: o.Seed = None,
    device: o.Device = None,
    device_map: Annotated[
        str | None, typer.Option(help="auto: spread a model too large for one device.")
    ] = None,
    dtype: o.Dtype = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Measure the shift from base to tuned on answers."""
    from aftertune.config import build
    from aftertune.inputs import read_responses
    from aftertune.shift import run as stage
    from aftertune.shift.config import ShiftConfig

    models = o.named(tuned, "--tuned")
    if not models or not responses:
        raise ConfigError("give --tuned NAME=MODEL and --responses ANSWERS.")
    if len(models) > 1:
        raise ConfigError("shift takes one --tuned model; `aftertune audit` takes several.")
    name, model = next(iter(models.items()))
    if len(responses) > 1:
        raise ConfigError("shift takes one --responses; run it once for each.")
    source = o.for_models(responses, list(models))[name]
    options = {
        "base": base, "tuned": model, "name": name, "top_k": top_k, "seed": seed,
        "device": device, "device_map": device_map, "dtype": dtype,
        "trust_remote_code": trust_remote_code or None,
        "base_template": base_template, "lin2024": lin2024 or None,
        "one_at_a_time": one_at_a_time or None,
    }  # fmt: skip
    checked = build(ShiftConfig, options, config)
    terminal = Terminal()
    answers = read_responses(
        source, name, model, checked.base, template or "auto", None, out, terminal
    )
    made = stage.run(checked, answers, out, terminal)
    if as_json:
        _show(made, as_json)
        return
    from aftertune.report.headline import COLUMNS, headline

    show_table("KL(tuned from base), nats per token", COLUMNS, [headline(name, made.about)])
    _show(made, as_json)


def report(
    shifts: Annotated[
        list[Path],
        typer.Argument(
            help="shift-… artefacts, one per tuned model, and control-… artefacts; or lab-… "
            "artefacts alone; or trace-… artefacts, several side by side."
        ),
    ],
    data: o.Data = None,
    prompts: o.Prompts = None,
    out: o.Out = Path("out"),
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    redact: Annotated[bool, typer.Option("--redact", help="Leave all texts out.")] = False,
    as_json: o.AsJson = False,
) -> None:
    """Write the page about measured shifts, a made world, or traces side by side."""
    from aftertune.reporting import report_on

    made = report_on(shifts, data, prompts, out, Terminal(), title, redact)
    _show(made, as_json, f"report: {made.folder / 'report.html'}")


def _show(made: "Artefact", as_json: bool, line: str | None = None) -> None:
    if as_json:
        show_json({"artefact": str(made.folder), "id": made.id, "counts": made.counts,
                   "about": made.about})  # fmt: skip
        return
    for name, count in made.counts.items():
        if count:
            typer.echo(printable(f"{name}: {count}"))
    typer.echo(f"artefact: {made.folder}")
    if line:
        typer.echo(line)
