"""The options that several commands share: one word for one thing, everywhere."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from aftertune.errors import ConfigError

Base = Annotated[
    str | None,
    typer.Option(help="What tuning started from: a hub id, a folder, or embedded:smollm2-135m."),
]
Tuned = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=MODEL, repeatable: a hub id, a folder, a PEFT adapter, or a tune-… artefact."
    ),
]
Data = Annotated[
    str | None, typer.Option(help="Rows: a file, a folder, a hub id, or embedded:pocket.")
]
Prompts = Annotated[
    str | None, typer.Option(help="Prompts: a file, a folder, a hub id, or embedded:pocket.")
]
Responses = Annotated[
    list[str] | None,
    typer.Option(help="[NAME=]ANSWERS that exist: a respond-… artefact, or a JSON or JSONL file."),
]
Out = Annotated[Path, typer.Option(help="Where artefacts go: OUT/stage-id.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with options; the command line wins.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything drawn at random.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16, float16.")]
Template = Annotated[
    str | None,
    typer.Option(
        help="auto, chat, alpaca, human-assistant, few-shot, raw, or the path of a Jinja file."
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="Format of the rows or prompts; auto recognises it.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")]
Limit = Annotated[int | None, typer.Option(help="Only the first N.", min=1)]
MaxNewTokens = Annotated[int | None, typer.Option(help="Longest answer, in tokens.", min=1)]
BatchSize = Annotated[int | None, typer.Option(help="Prompts answered together.", min=1)]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with a model. Off.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def for_models(values: list[str] | None, models: Collection[str]) -> dict[str, str]:
    """--responses [NAME=]ANSWERS by model; the name may be left out where there is one model."""
    given = list(values or [])
    if len(given) == 1 and "=" not in given[0] and len(models) == 1:
        return {next(iter(models)): given[0]}
    pairs = named(given, "--responses")
    for name in pairs:
        if models and name not in models:
            raise ConfigError(
                f"--responses names {name}, which is no --tuned model; these are: "
                f"{', '.join(models)}."
            )
    return pairs


def models_from(tuned: list[str] | None, file: Path | None) -> dict[str, str]:
    """--tuned NAME=MODEL, or `tuned` of the config file: one model, or a mapping of names."""
    if tuned:
        return named(tuned, "--tuned")
    found = from_file(file, "tuned", None) or {}
    if isinstance(found, str):
        return named([found], "--tuned")
    if not isinstance(found, dict) or not all(isinstance(model, str) for model in found.values()):
        raise ConfigError(f"tuned in {file}: write one model, or `name: model` lines.")
    return {str(name): model for name, model in found.items()}


def from_file(file: Path | None, name: str, value: Any) -> Any:
    """An option of the command itself: what was said, or else what the config file says."""
    if value or file is None:
        return value
    from aftertune.config import read_yaml

    return read_yaml(file).get(name, value)


def named(values: list[str] | None, option: str) -> dict[str, str]:
    """NAME=VALUE options as a mapping; a value without a name is named after its last part."""
    from aftertune.inputs import model_name

    pairs: dict[str, str] = {}
    for value in values or []:
        name, equals, rest = value.partition("=")
        if not equals:
            name, rest = model_name(value), value
        if not name or not rest:
            raise ConfigError(f"{option} {value}: write it as {option} NAME=PATH.")
        if name in pairs:
            raise ConfigError(f"{option} gives the name {name} twice; give each its own.")
        pairs[name] = rest
    return pairs
