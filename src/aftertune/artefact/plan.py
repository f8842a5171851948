"""What is to be computed: everything that names an artefact, and what is recorded beside it."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from aftertune import schema
from aftertune.artefact.hashes import hash_json
from aftertune.config import StageConfig

_PACKAGES = (
    "aftertune", "torch", "transformers", "tokenizers", "peft", "trl", "accelerate",
    "datasets", "safetensors", "gguf", "numpy", "pyarrow",
)  # fmt: skip


def environment(**recorded: Any) -> dict[str, Any]:
    """Versions of what computes; stages with a model add device, threads and process count."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "machine": platform.machine(),
            "packages": versions, **recorded}  # fmt: skip


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """The first entry in which two unlike environments differ, and its two values."""
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            return difference(old, new)
        if old != new:
            return name, old, new
    return "the environment", before, now


@dataclass(frozen=True)
class Input:
    """One input of a stage: `id` names its content (an artefact's or model's id, or a sha256)."""

    name: str
    id: str
    sha256: str
    place: str  # as the user named it; recorded, not part of any id


@dataclass(frozen=True)
class Plan:
    """A stage's question. given: the options as they came; resolved: with nothing left open."""

    stage: str
    stage_version: int
    given: Mapping[str, Any]
    resolved: StageConfig
    inputs: tuple[Input, ...]
    environment: Mapping[str, Any] = field(default_factory=environment)

    @property
    def id(self) -> str:
        """`<stage>-<16 hex digits>`."""
        question = {
            "format_version": schema.FORMAT_VERSION,
            "stage": self.stage,
            "stage_version": self.stage_version,
            "inputs": sorted([given.name, given.id] for given in self.inputs),
            "config": self.resolved.numbers(),
        }
        return f"{self.stage}-{hash_json(question)[:16]}"
