"""The text control: every tuned model on every text, model x text.

The texts are the answers of each tuned model, the base's own answers under the same template, and
references, where the prompts carry them or a file gives them. The numbers are made in
`controls/texts.py`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.controls.answers import answers_of, values_of
from aftertune.controls.texts import ENOUGH, Cell, compare, enough
from aftertune.errors import ArtefactError, InputError, UserError
from aftertune.experiments import materials
from aftertune.experiments.findings import ControlConfig, keep
from aftertune.experiments.subject import Subject
from aftertune.progress import Progress
from aftertune.respond import run as respond_stage
from aftertune.respond.config import GivenConfig, RespondConfig
from aftertune.respond.given import run_given
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig

VERSION = 2
CONTROL = "texts"
BASE, REFERENCES = "the base", "the references"  # no name of a model has a space

Texts = dict[str, dict[str, Artefact]]  # text -> model that can read it -> responses


def run(
    subjects: Sequence[Subject], out: Path, progress: Progress, references: str | None = None
) -> Artefact:
    """The artefact `control-texts` of all tuned models together.

    references: a file of answers, or a `respond-…` artefact; without it, what the prompts carry.
    A text that cannot be had, and a model that was asked under another template than a text, are
    absent with their reason.
    """
    absent: dict[str, str] = {}
    texts, base_text = _base_answers(subjects, absent, out, progress)
    texts = {one.name: {one.name: one.responses} for one in subjects} | texts
    texts |= _references(subjects, references, absent, out, progress)
    _read_by_others(subjects, texts, absent)
    shifts = _shifts(subjects, texts, absent, out, progress)
    _drop_small_texts(subjects, texts, shifts, absent)
    seed = subjects[0].seed
    config = ControlConfig(names=tuple(one.name for one in subjects), seed=seed, absent=absent)
    inputs = {f"{model} on {text}": shift for (model, text), shift in shifts.items()}
    inputs |= {f"{text} for {model}": texts[text][model] for model, text in shifts}

    def find() -> tuple[dict[str, Any], dict[str, Any]]:
        found = compare(_cells(texts, shifts), base_text, seed)
        found["dtypes"] = sorted({one.dtype for one in subjects})
        return found, {"done": found["n_prompts"], "skipped": {}, "unscored": {}}

    return keep(CONTROL, VERSION, config, inputs, out, find)


def _template_of(subject: Subject) -> dict[str, Any]:
    return subject.responses.about.get("template") or {"name": "none", "sha256": None}


def _base_answers(
    subjects: Sequence[Subject], absent: dict[str, str], out: Path, progress: Progress
) -> tuple[Texts, dict[str, str]]:
    """The base's own answers, once per template; and model -> the name of that text."""
    kinds = {one["sha256"]: Path(one["name"]).name for one in map(_template_of, subjects)}
    names = list(kinds.values())
    texts: Texts = {}
    base_text = {}
    for subject in subjects:
        used = _template_of(subject)
        called = kinds[used["sha256"]]
        if names.count(called) > 1:  # two files of one name
            called += f" {str(used['sha256'])[:8]}"
        text = BASE if len(kinds) == 1 else f"{BASE} ({called})"
        base_text[subject.name] = text
        try:
            found = _base_answers_to(subject, out, progress)
        except ArtefactError:
            raise
        except UserError as error:
            absent[text] = str(error).rstrip(".")
            continue
        texts.setdefault(text, {})[subject.name] = found
    return texts, base_text


def _base_answers_to(subject: Subject, out: Path, progress: Progress) -> Artefact:
    if subject.responses.about.get("template") is None:
        raise InputError(f"it is not known how {subject.name} was asked")
    made = subject.responses.config
    asked = {
        "model": subject.base, "name": "base", "batch_size": subject.batch_size,
        "template": materials.template_for_base(subject, out),
        "max_new_tokens": made.get("max_new_tokens") or _longest(subject.responses),
        "seed": subject.seed, "dtype": made.get("dtype") or subject.dtype,
        "device": subject.device, "trust_remote_code": subject.trust_remote_code,
    }  # fmt: skip
    prompts = materials.prompts_of(subject, out)
    return respond_stage.run(build(RespondConfig, asked), prompts, out, progress)


def _longest(responses: Artefact) -> int:
    ids = responses.table("responses").column("response_token_ids").to_pylist()
    return max((len(one) for one in ids if one), default=1)


def _references(
    subjects: Sequence[Subject], given: str | None, absent: dict[str, str], out: Path,
    progress: Progress,
) -> Texts:  # fmt: skip
    """References as each model reads them: under its own template, in its own tokens."""
    found: dict[str, Artefact] = {}
    failed: dict[str, str] = {}
    for subject in subjects:
        try:
            found[subject.name] = _reference_answers(subject, given, out, progress)
        except ArtefactError:
            raise
        except UserError as error:
            failed[subject.name] = str(error).rstrip(".")
    if not found:
        absent[REFERENCES] = "; ".join(dict.fromkeys(failed.values()))
        return {}
    absent |= {f"{name} on {REFERENCES}": reason for name, reason in failed.items()}
    return {REFERENCES: found}


def _reference_answers(
    subject: Subject, given: str | None, out: Path, progress: Progress
) -> Artefact:
    if given and (Path(given) / "manifest.json").exists():
        return _asked_alike(open_artefact(Path(given)), subject)
    if subject.responses.about.get("template") is None:
        raise InputError(f"it is not known how {subject.name} was asked")
    prompts = materials.prompts_of(subject, out)
    source = given
    if source is None:
        records = [one for row in prompts.table("prompts").to_pylist() if (one := _carried(row))]
        if not records:
            raise InputError("no prompt carries a reference; give answers with --references FILE.")
        source = str(materials.json_lines("references.jsonl", records, out))
    asked = {
        "source": source, "name": "references", "model": subject.tuned, "base": subject.base,
        "template": materials.template_for_tuned(subject),
        "trust_remote_code": subject.trust_remote_code,
    }  # fmt: skip
    return run_given(build(GivenConfig, asked), prompts, out, progress)


def _asked_alike(references: Artefact, subject: Subject) -> Artefact:
    """References that are answers to what the subject was asked; raises InputError."""
    if references.stage != "respond":
        raise InputError(
            f"{references.folder} is a {references.stage} artefact; give a respond-… artefact or a "
            "file of answers."
        )
    theirs = references.about.get("template") or {"name": "none", "sha256": None}
    used = _template_of(subject)
    if theirs["sha256"] is None or theirs["sha256"] != used["sha256"]:
        raise InputError(
            f"the references were asked under {Path(theirs['name']).name}, and {subject.name} "
            f"under {Path(used['name']).name}; give them as a file."
        )
    return references


def _carried(prompt: dict[str, Any]) -> dict[str, Any] | None:
    """A prompt with the reference that it carries, as a record of a file of answers."""
    tags = json.loads(prompt["tags"])
    reference = tags.get("reference")
    if isinstance(reference, dict):
        reference = reference.get("content")
    if not isinstance(reference, str) or not reference.strip():
        return None
    said = [
        {name: value for name, value in one.items() if value is not None}
        for one in prompt["messages"]
    ]
    kept = {name: tags[name] for name in ("alpaca_input",) if name in tags}
    tools = {} if prompt["tools"] is None else {"tools": json.loads(prompt["tools"])}
    return {"messages": said, "response": reference, **tools, **kept}


def _read_by_others(subjects: Sequence[Subject], texts: Texts, absent: dict[str, str]) -> None:
    """Give every text to the models that were asked under the same template."""
    by_name = {one.name: one for one in subjects}
    for text, readers in texts.items():
        if text == REFERENCES:
            continue
        owner, responses = next(iter(readers.items()))
        template = _template_of(by_name[owner])
        for subject in subjects:
            if _template_of(subject)["sha256"] == template["sha256"]:
                readers[subject.name] = responses
            else:
                absent[f"{subject.name} on {text}"] = (
                    f"its prompts were asked under the template {Path(template['name']).name}, and "
                    f"{subject.name} was asked under {Path(_template_of(subject)['name']).name}"
                )


def _shifts(
    subjects: Sequence[Subject], texts: Texts, absent: dict[str, str], out: Path,
    progress: Progress,
) -> dict[tuple[str, str], Artefact]:  # fmt: skip
    found = {}
    for subject in subjects:
        for text, readers in texts.items():
            if text == subject.name:
                found[subject.name, text] = subject.shift
            elif subject.name in readers:
                responses = readers[subject.name]
                try:
                    found[subject.name, text] = _shift(subject, responses, out, progress)
                except ArtefactError:
                    raise
                except UserError as error:
                    absent[f"{subject.name} on {text}"] = str(error).rstrip(".")
    return found


def _shift(subject: Subject, responses: Artefact, out: Path, progress: Progress) -> Artefact:
    asked = {
        **subject.shift_options(),
        "base": subject.base,
        "tuned": subject.tuned,
        "name": subject.name,
    }
    return shift_stage.run(build(ShiftConfig, asked), responses, out, progress)


def _drop_small_texts(
    subjects: Sequence[Subject], texts: Texts, shifts: dict[tuple[str, str], Artefact],
    absent: dict[str, str],
) -> None:  # fmt: skip
    """A text that answers few of the prompts would leave few for all the others.

    An answer of nothing but a stop token has nothing to compare, so it is none.
    """

    def asked_of(responses: Artefact) -> set[str]:
        return set(responses.table("responses").column("prompt_id").to_pylist())

    def answered_in(responses: Artefact) -> set[str]:
        stops = responses.about.get("stop_ids") or ()
        answers = answers_of(responses.table("responses"), stops)
        return {one.prompt_id for one in answers if one.ids}

    asked = set().union(*(asked_of(one.responses) for one in subjects))
    for model, text in list(shifts):
        answered = answered_in(texts[text][model])
        if text not in {one.name for one in subjects} and not enough(answered, asked):
            del shifts[model, text]
            absent[text] = (
                f"it answers {len(answered & asked):,} of the {len(asked):,} prompts, and at least "
                f"{ENOUGH:.0%} of them are needed"
            )


def _cells(texts: Texts, shifts: dict[tuple[str, str], Artefact]) -> dict[tuple[str, str], Cell]:
    found = {}
    for (model, text), shift in shifts.items():
        responses = texts[text][model]
        stops = responses.about.get("stop_ids") or ()
        answers = answers_of(responses.table("responses"), stops)
        found[model, text] = Cell(values_of(shift.table("tokens"), answers), answers)
    return found
