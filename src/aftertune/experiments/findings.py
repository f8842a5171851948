"""How a control is kept: what it found and what is absent, in an artefact `control-<name>`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.config import StageConfig


class ControlConfig(StageConfig):
    """What every control of ours records; what cannot be computed stands in `absent`."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"name", "names"})

    name: str | None = None  # of the tuned model
    names: tuple[str, ...] = ()  # of several
    seed: int = Field(0, ge=0)
    absent: dict[str, str] = Field(default_factory=dict)  # what -> why


Found = Callable[[], tuple[dict[str, Any], dict[str, Any]]]  # numbers, counts


def keep(
    control: str,
    version: int,
    config: ControlConfig,
    inputs: Mapping[str, Artefact],
    out: Path,
    find: Found | None = None,
) -> Artefact:
    """The artefact of `control`, computed by `find` where it is not there yet.

    Without `find` nothing was found, and `config.absent` says why.
    """
    given = tuple(one.as_input(name) for name, one in inputs.items())
    plan = Plan(f"control-{control}", version, config.given(), config, given)
    if done := artefact.find(out, plan):
        return done
    found, counts = find() if find else ({}, {"done": 0, "skipped": {}, "unscored": {}})
    whose = {"names": list(config.names)} if config.names else {"name": config.name}
    about = {"control": control, **whose, "found": found, "absent": config.absent}
    with artefact.draft(out, plan) as draft:
        return draft.finish(counts, about)
