"""The hand-off: the base goes on by itself from the first tokens of the tuned model's answers.

How much of the difference between the two is gone once the beginning is given? The paper says:
most of it for LoRA (C1). The numbers are made in `controls/handoff.py`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.controls.answers import Answer, answers_of, values_of
from aftertune.controls.handoff import (
    FEWEST,
    FROM,
    GIVEN,
    WINDOW,
    Array,
    Pair,
    compare,
    likelihood,
    long_enough,
)
from aftertune.errors import ArtefactError, UserError
from aftertune.experiments import materials
from aftertune.experiments.findings import ControlConfig, keep
from aftertune.experiments.subject import Subject
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import local, resolve
from aftertune.progress import Progress
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig

VERSION = 2
CONTROL = "hand-off"

SHORT = f"fewer than {FROM + FEWEST} tokens"
SECOND = "another answer to the same prompt"
UNKNOWN_TOKEN = "its beginning holds a token that the base does not have"
NO_TEMPLATE = "it is not known how the model was asked"
NONE_LEFT = "no answer is long enough to be handed off"
OTHER_PROMPT = "the base was not asked, or reads the prompt in other tokens"


@dataclass(frozen=True)
class HandedOff:
    """The tuned model's answers that are handed off, and how many are not, by reason."""

    answers: dict[str, Answer]  # by prompt_id
    prompt_ids: dict[str, list[int]]  # prompt_id -> the prompt's token ids
    left_out: Counter[str]


def run(subject: Subject, out: Path, progress: Progress) -> Artefact:
    """The artefact `control-hand-off` of one tuned model, or why there is none."""
    absent: dict[str, str] = {}
    made: dict[str, Artefact] = {}
    handed = _handed_off(subject)
    if subject.responses.about.get("template") is None:
        absent[CONTROL] = NO_TEMPLATE
    elif not handed.answers:
        reasons = ", ".join(f"{n:,} with {reason}" for reason, n in handed.left_out.items())
        absent[CONTROL] = f"{NONE_LEFT} ({reasons or 'there are none'})"
    else:
        made = _continuations(subject, handed, out, progress)
        made |= _shifts(subject, made, absent, out, progress)
    config = ControlConfig(name=subject.name, seed=subject.seed, absent=absent)
    inputs = {"responses": subject.responses, "shift": subject.shift, **made}

    def find() -> tuple[dict[str, Any], dict[str, Any]]:
        return _found(subject, handed, made)

    return keep(CONTROL, VERSION, config, inputs, out, None if CONTROL in absent else find)


def _handed_off(subject: Subject) -> HandedOff:
    table = subject.responses.table("responses")
    stops = subject.responses.about.get("stop_ids") or ()
    known = len(
        load_tokenizer(local(resolve(subject.base)), trust_remote_code=subject.trust_remote_code)
    )
    ids = table.column("response_id").to_pylist()
    prompt_ids = dict(zip(ids, table.column("prompt_token_ids").to_pylist(), strict=True))
    found = HandedOff({}, {}, Counter())
    for answer in answers_of(table, stops):
        if not long_enough(answer):
            found.left_out[SHORT] += 1
        elif answer.prompt_id in found.answers:
            found.left_out[SECOND] += 1
        elif max(answer.ids[:FROM]) >= known:
            found.left_out[UNKNOWN_TOKEN] += 1
        else:
            found.answers[answer.prompt_id] = answer
            found.prompt_ids[answer.prompt_id] = prompt_ids[answer.response_id]
    return found


def _continuations(
    subject: Subject, handed: HandedOff, out: Path, progress: Progress
) -> dict[str, Artefact]:
    """What the base makes of the first k tokens, for every k; FROM + WINDOW tokens in all."""
    prompts = materials.prompts_of(subject, out, list(handed.answers))
    made = subject.responses.config
    same = {
        "model": subject.base, "batch_size": subject.batch_size,
        "template": materials.template_for_base(subject, out), "seed": subject.seed,
        "dtype": made.get("dtype") or subject.dtype, "device": subject.device,
        "trust_remote_code": subject.trust_remote_code,
    }  # fmt: skip
    found = {}
    for k in GIVEN:
        records = [
            {"prompt_id": prompt, "prefix_token_ids": answer.ids[:k]}
            for prompt, answer in handed.answers.items()
        ]
        prefix = str(materials.json_lines("prefixes.jsonl", records, out)) if k else None
        asked = {
            **same,
            "name": f"base after {k} tokens of {subject.name}",
            "prefix": prefix,
            "max_new_tokens": FROM + WINDOW - k,
        }
        found[_text(k)] = respond_stage.run(build(RespondConfig, asked), prompts, out, progress)
    return found


def _shifts(
    subject: Subject, made: dict[str, Artefact], absent: dict[str, str], out: Path,
    progress: Progress,
) -> dict[str, Artefact]:  # fmt: skip
    """The tuned model on the base's continuations, for its log-probabilities of them."""
    found = {}
    for k in GIVEN:
        asked = {
            **subject.shift_options(), "base": subject.base, "tuned": subject.tuned,
            "name": subject.name,
        }  # fmt: skip
        try:
            config = build(ShiftConfig, asked)
            found[_scored(k)] = shift_stage.run(config, made[_text(k)], out, progress)
        except ArtefactError:
            raise
        except UserError as error:
            absent[f"likelihood after {k} tokens"] = str(error).rstrip(".")
    return found


def _text(k: int) -> str:
    return f"after {k} tokens"


def _scored(k: int) -> str:
    return f"shift after {k} tokens"


def _found(
    subject: Subject, handed: HandedOff, made: dict[str, Artefact]
) -> tuple[dict[str, Any], dict[str, Any]]:
    continued = {k: _by_prompt(made[_text(k)], handed) for k in GIVEN}
    left_out = Counter(handed.left_out)
    pairs = []
    for prompt, answer in handed.answers.items():
        if any(prompt not in continued[k] for k in GIVEN):
            left_out[OTHER_PROMPT] += 1
            continue
        base = {k: continued[k][prompt].ids for k in GIVEN}
        pairs.append(Pair(prompt, answer.ids, base, answer.ended == "length"))
    scored = {k: made[_scored(k)] for k in GIVEN if _scored(k) in made}
    prompts = [pair.prompt_id for pair in pairs]
    own = _logprobs(subject.shift, handed.answers, prompts)
    theirs = {k: _logprobs(shift, continued[k], prompts) for k, shift in scored.items()}
    tuning = subject.shift.about.get("tuning") or {}
    found = {
        **compare(pairs, subject.seed),
        "likelihood": likelihood(own, theirs, subject.seed),
        "from": FROM,
        "window": WINDOW,
        "left_out": dict(left_out),
        "sampled": bool((subject.responses.about.get("settings") or {}).get("temperature")),
        "method": tuning.get("method"),
        "dtype": made[_text(0)].config["dtype"],
    }
    return found, {"done": len(pairs), "skipped": dict(left_out), "unscored": {}}


def _by_prompt(responses: Artefact, handed: HandedOff) -> dict[str, Answer]:
    """The base's texts by prompt, where it was asked in the very tokens of the tuned model."""
    table = responses.table("responses")
    answers = answers_of(table, responses.about["stop_ids"])
    read = table.column("prompt_token_ids").to_pylist()
    return {
        one.prompt_id: one
        for one, ids in zip(answers, read, strict=True)
        if ids == handed.prompt_ids[one.prompt_id]
    }


def _logprobs(
    shift: Artefact, answers: dict[str, Answer], prompts: Sequence[str]
) -> dict[str, Array]:
    """prompt_id -> the tuned model's log-probability of every compared token."""
    chosen = [answers[prompt] for prompt in prompts]
    values = values_of(shift.table("tokens"), chosen, "tuned_logprob")
    return {
        one.prompt_id: values[one.response_id][FROM : FROM + WINDOW]
        for one in chosen
        if one.response_id in values
    }
