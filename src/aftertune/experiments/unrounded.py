"""A base of reduced precision: what rounding it did, told apart from what tuning did.

On the tuned model's answers: KL(rounded base from unrounded base), KL(tuned from rounded base),
which is the shift as audited, and KL(tuned from unrounded base).
"""

from pathlib import Path
from typing import Any, ClassVar

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.controls.answers import PerPrompt, answers_of, per_prompt, values_of
from aftertune.errors import ArtefactError, UserError
from aftertune.experiments.findings import ControlConfig, keep
from aftertune.experiments.subject import Subject
from aftertune.progress import Progress
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig
from aftertune.shift.groups import prompts_of
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import paired_difference

VERSION = 1
CONTROL = "unrounded"
NOT_GIVEN = (
    "the unrounded base is not given; name it with --unrounded-base where the base was rounded"
)


class UnroundedConfig(ControlConfig):
    """Which model the base was before it was rounded; it enters by its content, as in a shift."""

    recorded_only: ClassVar[frozenset[str]] = ControlConfig.recorded_only | {"unrounded"}

    unrounded: str | None = None


def run(subject: Subject, out: Path, progress: Progress, unrounded: str | None = None) -> Artefact:
    """The artefact `control-unrounded` of one tuned model, or why there is none."""
    shifts, absent = {"tuning": subject.shift}, {}
    if unrounded is None:
        absent[CONTROL] = NOT_GIVEN
    else:
        try:
            shifts["rounding"] = _shift(subject, unrounded, subject.base, out, progress)
            shifts["both"] = _shift(subject, unrounded, subject.tuned, out, progress)
        except ArtefactError:
            raise
        except UserError as error:
            absent[CONTROL] = str(error).rstrip(".")
    config = UnroundedConfig(
        name=subject.name, seed=subject.seed, absent=absent, unrounded=unrounded
    )
    inputs = {"responses": subject.responses, **shifts}

    def find() -> tuple[dict[str, Any], dict[str, Any]]:
        return _found(subject, shifts)

    return keep(CONTROL, VERSION, config, inputs, out, None if absent else find)


def _shift(subject: Subject, base: str, tuned: str, out: Path, progress: Progress) -> Artefact:
    asked = {**subject.shift_options(), "base": base, "tuned": tuned, "name": subject.name}
    return shift_stage.run(build(ShiftConfig, asked), subject.responses, out, progress)


def _found(subject: Subject, shifts: dict[str, Artefact]) -> tuple[dict[str, Any], dict[str, Any]]:
    """kl: {rounding, tuning, both: per_token and per_response}; difference: rounding minus tuning,
    nats per token, paired over prompts."""
    table = subject.responses.table("responses")
    answers = answers_of(table, subject.responses.about.get("stop_ids") or ())
    kl = {name: values_of(shift.table("tokens"), answers) for name, shift in shifts.items()}
    common = set.intersection(*(set(values) for values in kl.values()))
    prompt_of = prompts_of(table)
    prompts = list(dict.fromkeys(prompt_of[one.response_id] for one in answers
                                 if one.response_id in common))  # fmt: skip
    gathered: dict[str, PerPrompt] = {
        name: per_prompt({one: v for one, v in values.items() if one in common}, prompt_of, prompts)
        for name, values in kl.items()
    }
    one, other = gathered["rounding"], gathered["tuning"]
    difference = paired_difference(one.sums, other.sums, one.counts, other.counts, subject.seed)
    found = {
        "n_responses": len(common),
        "n_prompts": len(prompts),
        "kl": {name: values.both(subject.seed) for name, values in gathered.items()},
        "difference": {
            **difference.as_json(), "smallest_detectable": detectable_of(difference)
        },
    }  # fmt: skip
    return found, {"done": len(common), "skipped": {}, "unscored": {}}
