"""The template control: the tuned model's answers, with the base under several templates.

The tuned model reads its own template throughout. The base reads the same, then its own chat
template, the bare prompt, and a few-shot prompt that draws answers from a base model.
"""

from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.controls.answers import answers_of, values_of
from aftertune.controls.template import SAME, compare
from aftertune.data import templates
from aftertune.errors import ArtefactError, UserError
from aftertune.experiments.findings import ControlConfig, keep
from aftertune.experiments.subject import Subject
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import local, resolve
from aftertune.progress import Progress
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig
from aftertune.shift.groups import prompts_of

VERSION = 2
CONTROL = "template"
# What the base reads beside the tuned model's template: our name -> a template's name.
OTHERS = {"own": "chat", "raw": "raw", "few-shot": "few-shot"}

IS_THE_SAME = "it is the template that the tuned model was asked with"


def run(subject: Subject, out: Path, progress: Progress) -> Artefact:
    """The artefact `control-template` of one tuned model; a template that the base has not, or
    that is the tuned model's own, is absent with its reason."""
    shifts, absent = {SAME: subject.shift}, {}
    for name, template in OTHERS.items():
        try:
            if _is_the_same(subject, template):
                absent[name] = IS_THE_SAME
            else:
                shifts[name] = _shift(subject, template, out, progress)
        except ArtefactError:
            raise
        except UserError as error:
            absent[name] = str(error).rstrip(".")
    config = ControlConfig(name=subject.name, seed=subject.seed, absent=absent)
    inputs = {"responses": subject.responses, **shifts}

    def find() -> tuple[dict[str, Any], dict[str, Any]]:
        return _found(subject, shifts)

    return keep(CONTROL, VERSION, config, inputs, out, find)


def _is_the_same(subject: Subject, template: str) -> bool:
    """Whether the tuned model was asked with this template; raises TemplateError where the base's
    tokenizer does not have it."""
    ref = local(resolve(subject.base))
    tokenizer = load_tokenizer(ref, trust_remote_code=subject.trust_remote_code)
    used = subject.responses.about.get("template") or {}
    return bool(used.get("sha256") == templates.get(template, tokenizer).sha256)


def _shift(subject: Subject, template: str, out: Path, progress: Progress) -> Artefact:
    asked = {
        **subject.shift_options(),
        "base": subject.base,
        "tuned": subject.tuned,
        "name": subject.name,
        "base_template": template,
    }
    return shift_stage.run(build(ShiftConfig, asked), subject.responses, out, progress)


def _found(subject: Subject, shifts: dict[str, Artefact]) -> tuple[dict[str, Any], dict[str, Any]]:
    responses = subject.responses.table("responses")
    answers = answers_of(responses, subject.responses.about.get("stop_ids") or ())
    kl = {name: values_of(shift.table("tokens"), answers) for name, shift in shifts.items()}
    floor = subject.shift.about["noise"]["floor_nats"]
    used = subject.responses.about.get("template") or {}
    found = {
        **compare(kl, prompts_of(responses), floor, subject.seed),
        "n_stops": sum(one.stopped for one in answers),
        "templates": {
            SAME: used.get("name"),
            **{name: OTHERS[name] for name in shifts if name != SAME},
        },
    }
    left = {"not scored under every template": found["n_left_out"]} if found["n_left_out"] else {}
    return found, {"done": found["n_responses"], "skipped": left, "unscored": {}}
