"""The stage `recall`: one model is asked for facts, and reads texts.

Tables `facts` (what is asked), `recall` (what it answers) and, where texts are given, `text_loss`.
A part of `recall` is a batch of facts, planned before the first question; a run that was killed
asks only what no part holds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Input, Plan
from aftertune.data.templates import get
from aftertune.errors import InputError
from aftertune.models.identity import identity
from aftertune.models.load import load, load_tokenizer
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import find
from aftertune.progress import Progress
from aftertune.recall import posing, reading
from aftertune.recall.asking import Asker, ask, scoring_way, stops_of
from aftertune.recall.config import RecallConfig
from aftertune.recall.facts import Fact
from aftertune.recall.sources import Facts

VERSION = 1


def run(
    config: RecallConfig, facts: Facts, texts: Sequence[Path], out: Path, progress: Progress
) -> Artefact:
    """Ask `config.model` for `facts`; raises UserError where it cannot be asked.

    Examples come from the same facts, so there have to be more than `shots` with short answers.
    """
    pool = _pool(facts.facts, config)
    ref = find(config.model, config.base)
    tokenizer = load_tokenizer(ref, trust_remote_code=config.trust_remote_code)
    template = get(config.template, tokenizer) if config.template else None
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device, parameter_count(ref), "score", stored_dtype(ref))
    resolved = config.resolve(
        dtype=dtype, device=str(device), name=config.name or Path(config.model).name,
        template=template.name if template else None,
    )  # fmt: skip
    inputs = [facts.input, identity(ref).as_input("model"), *reading.inputs(texts)]
    if template:
        inputs.append(Input("template", template.sha256, template.sha256, template.name))
    plan = Plan("recall", VERSION, config.given(), resolved, tuple(inputs), environment(device))
    if found := artefact.find(out, plan):
        return found
    loaded = load(ref, dtype=dtype, device=device, purpose="score", progress=progress,
                  trust_remote_code=config.trust_remote_code)  # fmt: skip
    asker = Asker(loaded, resolved, template, pool, stops_of(loaded, template))
    if any(fact.distractors for fact in facts.facts):
        asker = replace(asker, way=scoring_way(asker, facts.facts))
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        if not draft.has(0, ["facts"]):
            records: list[dict[str, object]] = [fact.as_record() for fact in facts.facts]
            draft.write(0, {"facts": schema.from_rows("facts", records)})
        _ask_all(draft, asker, facts.facts, progress)
        _read_all(draft, asker, texts, progress)
        if finished := draft.meet():
            return finished
        return draft.finish(_counts(facts, resolved), _about(asker, facts, texts))


def _pool(facts: Sequence[Fact], config: RecallConfig) -> list[Fact]:
    pool = [one for one in facts if posing.why_not_said(one, config.max_answer_words) is None]
    pool = pool or list(facts)
    if len(pool) <= config.shots:
        raise InputError(
            f"{len(pool)} facts with short answers are too few for {config.shots} examples to a "
            "prompt; give more facts, or fewer examples with --shots."
        )
    return pool


def _ask_all(draft: Draft, asker: Asker, facts: Sequence[Fact], progress: Progress) -> None:
    size = asker.config.batch_size
    batches = [facts[at : at + size] for at in range(0, len(facts), size)]
    mine = draft.mine(range(len(batches)))
    missing = [index for index in mine if not draft.has(index, ["recall"])]
    total, left = (sum(len(batches[i]) for i in parts) for parts in (mine, missing))
    with progress.task(f"facts asked of {asker.config.name}", total, total - left) as task:
        for index in missing:
            draft.write(index, {"recall": schema.from_rows("recall", ask(asker, batches[index]))})
            task.advance(len(batches[index]))


def _read_all(draft: Draft, asker: Asker, texts: Sequence[Path], progress: Progress) -> None:
    for index, path in enumerate(texts):
        if not draft.has(index, ["text_loss"]):
            progress.say(f"{asker.config.name} reads {path.name}")
            losses: list[dict[str, object]] = list(reading.losses(path, asker.loaded))
            draft.write(index, {"text_loss": schema.from_rows("text_loss", losses)})


def _counts(facts: Facts, config: RecallConfig) -> dict[str, Any]:
    unsaid = Counter(
        why for one in facts.facts if (why := posing.why_not_said(one, config.max_answer_words))
    )
    if without := sum(not one.distractors for one in facts.facts):
        unsaid["no distractors, so nothing to choose among"] = without
    return {"done": len(facts.facts), "skipped": facts.aside, "unscored": dict(unsaid)}


def _about(asker: Asker, facts: Facts, texts: Sequence[Path]) -> dict[str, Any]:
    chances = [1 / (1 + len(one.distractors)) for one in facts.facts if one.distractors]
    return {
        "model": {**asker.loaded.identity.describe(), "facts": asker.loaded.facts},
        "source": facts.source,
        "template": asker.config.template,
        "scoring": asker.way.sentence() if asker.way else None,
        "chance": sum(chances) / len(chances) if chances else None,  # of choosing at random
        "texts": [path.name for path in texts],
    }
