"""`control-behaviour`: base against tuned on every check, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.behaviour.config import CompareConfig
from aftertune.behaviour.summary import summarise
from aftertune.errors import ConfigError, InputError
from aftertune.progress import Progress

VERSION = 1


def run(config: CompareConfig, behaviour: Artefact, out: Path, progress: Progress) -> Artefact:
    """Summarise the artefact `behaviour` of the stage of that name.

    Without `config.base`, the model that was named first is the base. Raises ConfigError where
    there is no such model.
    """
    models = list(behaviour.about["models"])
    base = config.base or models[0]
    if base not in models:
        raise ConfigError(f"--base {base}: there are no such answers; these are: "
                          f"{', '.join(models)}.")  # fmt: skip
    resolved = config.resolve(base=base)
    inputs = (behaviour.as_input("behaviour"),)
    plan = Plan("control-behaviour", VERSION, config.given(), resolved, inputs)
    if found := artefact.find(out, plan):
        return found
    with progress.task("comparing models", 1) as task:
        lines = behaviour.table("behaviour").to_pylist()
        _check_common(lines, base, models)
        made = summarise(lines, base, models, config.seed)
        task.advance()
    with artefact.draft(out, plan) as draft:
        about: Mapping[str, object] = {
            "control": "behaviour",
            "names": models,
            "rows": behaviour.about["rows"],
            "verbatim_words": behaviour.config["verbatim_words"],
            "found": made,
            "absent": {},
        }
        return draft.finish({"done": len(lines), "skipped": {}, "unscored": {}}, about)


def _check_common(lines: Sequence[Mapping[str, Any]], base: str, models: Sequence[str]) -> None:
    """Raises InputError for a model that answers none of the base's prompts."""
    asked: dict[str, set[str]] = {name: set() for name in models}
    for line in lines:
        asked[line["model"]].add(line["prompt_id"])
    for name in models:
        if not asked[name] & asked[base]:
            raise InputError(
                f"{name} and {base} answer no prompt in common; give answers to the same prompts."
            )
