"""Proof by rephrasing: does the span go when the prompt no longer holds the shared concept?

No tuning: the model that said the span is asked again. Beside it stand rephrasings that keep the
concept, since any other wording changes an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan, hash_json
from aftertune.config import StageConfig, build
from aftertune.controls.proof import rephrased
from aftertune.controls.substitutes import holds, values
from aftertune.errors import InputError
from aftertune.experiments import rephrasings
from aftertune.experiments.accused import Case
from aftertune.experiments.cost import Cost
from aftertune.experiments.rephrasings import Rephrased
from aftertune.experiments.verify_config import VerifyConfig
from aftertune.inputs import tune_artefact
from aftertune.judge.cost import CHARACTERS
from aftertune.models.load import Loaded, load
from aftertune.models.reference import find
from aftertune.models.said import Said, logprobs
from aftertune.progress import Progress
from aftertune.report.numbers import plural
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig

VERSION = 1
SIDES = ("rephrasings", "keeps")
NONE_GIVEN = "no rephrasing of its prompt was given"

Record = dict[str, Any]
Asked = tuple[int, str, str]  # case, side, wording


@dataclass(frozen=True)
class Rephrase:
    """What was asked, and the answers to it; concepts: by case, the words that its prompt shares
    with its best row and that a rephrasing should avoid."""

    asked: list[Asked]
    answers: Artefact
    concepts: list[list[str]]


class WordingsConfig(StageConfig):
    """Prompts in other words: response_id, side, wording."""

    control: str = "rephrase"
    wordings: tuple[tuple[str, str, str], ...]


def asked_again(
    config: VerifyConfig, cases: Sequence[Case], responses: Artefact, rows: Mapping[int, str],
    out: Path, progress: Progress,
) -> Rephrase:  # fmt: skip
    """The answers of the model itself to the rephrased prompts. rows: texts by row_index, as far as
    they are known."""
    concepts = [_concept(case, rows) for case in cases]
    asked = _asked(cases, _given(config, cases, concepts, out))
    if not asked:
        raise InputError(
            "none of the rephrasings belongs to one of these spans; name their response_id, or "
            "their prompt word for word."
        )
    prompts = _prompts(cases, asked, responses, out)
    answers = respond_stage.run(_as_before(config, responses), prompts, out, progress)
    return Rephrase(asked, answers, concepts)


def plan(
    config: VerifyConfig, cases: Sequence[Case], rows: Mapping[int, str], out: Path
) -> Cost:  # fmt: skip
    """What it takes: how many prompts leave the machine, where an endpoint rephrases them."""
    if config.endpoint is None:
        return Cost("rephrase", "the model answers the rephrased prompts of the file")
    assert config.endpoint_model is not None
    rephrasings.client(config.endpoint, config.endpoint_model)  # is it an address at all?
    concepts = [_concept(case, rows) for case in cases]
    texts = rephrasings.questions(_instructions(cases, concepts), config.per_prompt)
    asked = 0 if rephrasings.were_asked(texts, config.endpoint_model, out) else len(texts)
    sent = sum(map(len, texts.values())) // CHARACTERS if asked else 0
    return Cost(
        "rephrase",
        f"{plural(asked, 'prompt')} (about {plural(sent, 'token')}) and words of rows go to "
        f"{config.endpoint}, and the model answers the rephrased prompts",
        asked=asked,
    )  # fmt: skip


def run(config: VerifyConfig, cases: Sequence[Case], again: Rephrase) -> dict[str, Any]:
    """What was found: per case and side how often the span is gone."""
    scored = _scored(config, cases, again.asked, again.answers)
    found: list[dict[str, list[Record]]] = [{side: [] for side in SIDES} for _ in cases]
    for (place, side, wording), one in zip(again.asked, scored, strict=True):
        words = again.concepts[place]
        kept = any(holds(wording, word) for word in words) if words else None
        found[place][side].append({**one, "wording": wording, "keeps_a_shared_word": kept})
    records = [
        {**case.as_json(), **one, "reason": None if one["rephrasings"] else NONE_GIVEN}
        for case, one in zip(cases, found, strict=True)
    ]
    used = [one for one in found if one["rephrasings"]]
    known = [
        one["keeps_a_shared_word"] for case in used for one in case["rephrasings"]
        if one["keeps_a_shared_word"] is not None
    ]  # fmt: skip
    return {
        "way": "rephrase",
        "n": len(used),
        **rephrased(used),
        "still_shared": {"n": len(known), "hits": sum(known)},
        "cases": records,
        "n_tunings": 0,
    }


def _concept(case: Case, rows: Mapping[int, str]) -> list[str]:
    """Names, numbers and content words that the prompt shares with the best accused row."""
    text = rows.get(case.rows[0]) if case.rows else None
    if text is None:
        return []
    return [one.text for one in values(case.prompt) if holds(text, one.text)]


def _given(
    config: VerifyConfig, cases: Sequence[Case], concepts: Sequence[Sequence[str]], out: Path
) -> dict[str, Rephrased]:
    if config.rephrasings is not None:
        return rephrasings.read(config.rephrasings)
    assert config.endpoint is not None
    assert config.endpoint_model is not None
    ask = rephrasings.client(config.endpoint, config.endpoint_model)
    instructions = _instructions(cases, concepts)
    return rephrasings.asked(instructions, config.per_prompt, config.endpoint_model, out, ask)


def _instructions(
    cases: Sequence[Case], concepts: Sequence[Sequence[str]]
) -> dict[str, tuple[str, Sequence[str]]]:
    """By response, its prompt and the words to avoid: of all its spans' rows."""
    found: dict[str, tuple[str, list[str]]] = {}
    for case, words in zip(cases, concepts, strict=True):
        _, known = found.setdefault(case.accused.response_id, (case.prompt, []))
        known += [word for word in words if word not in known]
    return dict(found)


def _asked(cases: Sequence[Case], given: Mapping[str, Rephrased]) -> list[Asked]:
    found = []
    for place, case in enumerate(cases):
        one = given.get(case.accused.response_id) or given.get(case.prompt)
        for side in SIDES if one else ():
            found += [(place, side, wording) for wording in getattr(one, side)]
    return found


def _prompts(
    cases: Sequence[Case], asked: Sequence[Asked], responses: Artefact, out: Path
) -> Artefact:
    """The rephrased prompts: the last message is exchanged, turns before it stay."""
    wordings = tuple(
        (cases[place].accused.response_id, side, wording) for place, side, wording in asked
    )
    config = WordingsConfig(wordings=wordings)
    plan = Plan("prompts", VERSION, config.given(), config, (responses.as_input("responses"),))
    if made := artefact.find(out, plan):
        return made
    records = []
    for number, (place, _, wording) in enumerate(asked):
        record = cases[place].record
        messages = [*record["messages"][:-1], {**record["messages"][-1], "content": wording}]
        name = f"p-{hash_json([number, messages])[:16]}"
        records.append(
            {
                "prompt_id": name, "row_index": number, "line": None, "messages": messages,
                "tools": None, "cluster_id": name, "duplicate_of": None, "tags": record["tags"],
            }
        )  # fmt: skip
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"prompts": schema.from_rows("prompts", records)})
        return draft.finish({"done": len(records), "skipped": {}, "unscored": {}})


def _as_before(config: VerifyConfig, responses: Artefact) -> RespondConfig:
    """The settings of the answers that the spans were found in; greedy, in one precision."""
    same = {
        name: value
        for name in ("template", "max_new_tokens", "batch_size")
        if (value := responses.config.get(name)) is not None
    }
    if tune := tune_artefact(config.tuned):
        used = tune.about["template"]
        kept = str(tune.folder / "template.jinja") if used["kind"] == "file" else used["name"]
        same["template"] = kept
    return build(
        RespondConfig,
        {
            **same, "model": config.tuned, "base": config.base, "name": "rephrased",
            "dtype": config.dtype, "device": config.device,
            "trust_remote_code": config.trust_remote_code,
        },
    )  # fmt: skip


def _scored(
    config: VerifyConfig, cases: Sequence[Case], asked: Sequence[Asked], answers: Artefact
) -> list[Record]:
    """Per wording: is the span gone from the answer, and by how much does its log-probability
    differ after the original prefix, nats."""
    loaded = _loaded(config)
    said = {one["row_index"]: one for one in answers.table("responses").to_pylist()}
    before = logprobs(loaded, [case.said for case in cases])
    items, found = [], []
    for number, (place, _, _) in enumerate(asked):
        record = said.get(number)
        if record is None:
            raise InputError(
                "a rephrasing does not fit into the model's context; shorten the rephrasings."
            )
        old = cases[place].said
        items.append(Said(record["prompt_token_ids"], old.response, old.first, old.end))
        found.append(not holds(record["response"], cases[place].span.strip()))
    after = logprobs(loaded, items)
    return [
        {"gone": gone, "change_nats": new - before[place]}
        for (place, _, _), gone, new in zip(asked, found, after, strict=True)
    ]


def _loaded(config: VerifyConfig) -> Loaded:
    return load(
        find(config.tuned, config.base), dtype=config.dtype, device=config.device,
        trust_remote_code=config.trust_remote_code,
    )  # fmt: skip
