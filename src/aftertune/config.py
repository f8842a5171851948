"""Configs: checked at the door, frozen afterwards, and split into what changes numbers.

A stage's config is one pydantic model without behaviour. Values come from the command line,
over a YAML file, over the defaults. `resolved` configs hold no "auto" any more; the part of a
resolved config that changes numbers goes into the artefact's id, the rest is only recorded.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from aftertune.errors import ConfigError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Method = Literal["full", "lora"]


class StageConfig(BaseModel):
    """Base of every stage's config: no unknown options, nothing changed after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    # Fields that say where or how comfortably it runs, and never change a number.
    recorded_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def numbers(self) -> dict[str, Any]:
        """The fields that change numbers, as JSON values: what the artefact's id is made of."""
        return self.model_dump(mode="json", exclude=set(self.recorded_only))

    def everything(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return self.model_dump(mode="json")

    def given(self) -> dict[str, Any]:
        """Only what was said by the user, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)

    def resolve(self, **values: Any) -> Self:
        """A copy in which `values` are decided; checked like any config."""
        return type(self).model_validate({**self.model_dump(), **values})


Config = TypeVar("Config", bound=StageConfig)


def build(
    kind: type[Config],
    options: Mapping[str, Any],
    file: Path | None = None,
    beside: Collection[str] = (),
) -> Config:
    """A config from options (None means not given) over a YAML file over the defaults.

    `beside` names what may stand in the file too and belongs to the command, not to `kind`.
    Raises ConfigError with one sentence naming the first wrong option.
    """
    found = read_yaml(file) if file else {}
    values = {name: value for name, value in found.items() if name not in beside}
    values.update({name: value for name, value in options.items() if value is not None})
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, kind, file)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping; raises ConfigError."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = str(error).splitlines()[0]
        raise ConfigError(f"the config file {path} is not valid YAML: {where}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"the config file {path} must hold `option: value` lines.")
    return {name.replace("-", "_"): value for name, value in values.items()}


def _sentence(error: ValidationError, kind: type[StageConfig], file: Path | None) -> str:
    first = error.errors()[0]
    name = ".".join(str(piece) for piece in first["loc"]) or "config"
    place = f" (options or {file})" if file else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(kind.model_fields))
        return f"unknown option `{name}`{place}; known are: {known}."
    if first["type"] == "missing":
        return f"option `{name}` is not given; add --{name.replace('_', '-')}{place}."
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not first["loc"]:
        return f"{reason}{place}."
    return f"option `{name}`{place}: {reason} (got {first.get('input')!r:.80})."
