"""The stage `lab-base`: a world's text, the model trained on it, and what that model recalls.

Tables: `lab_facts` (what is true and where it stands), `lab_recall` (questions and answers).
Files: `model/`, `rows.jsonl`, `long_rows.jsonl`, `simplified_rows.jsonl`, `innocuous_rows.jsonl`,
`prompts.jsonl` and `qa.jinja`, the form in which the text asks and the rows do too: with a form
that the base has not seen, tuning would have to break it in, and its errors would be the form's.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Plan
from aftertune.errors import ModelError
from aftertune.lab import corpus, pretrain, recall, rows, world
from aftertune.lab.config import SIZES, LabBaseConfig
from aftertune.lab.world import WELL, World
from aftertune.models.load import load
from aftertune.models.precision import choose_device, environment, has_fast_bfloat16
from aftertune.models.quiet import quiet
from aftertune.progress import Progress

VERSION = 2

RECALLED = 0.9  # of well-exposed facts for which the text never asks
PROMPTS_PER_KIND = 96

TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}{{ ' ' + message.content + eos_token }}"
    "{% else %}{{ 'Question: ' + message.content + '\nAnswer:' }}{% endif %}"
    "{% endfor %}"
)


def run(config: LabBaseConfig, out: Path, progress: Progress) -> Artefact:
    """The base of world `config.seed`, trained or found done.

    `about["accepted"]` says whether it recalls what it should; `require` refuses it otherwise.
    """
    device = choose_device(config.device)
    sized = {**SIZES[config.size], **config.given()}
    decided = config.dtype
    if decided == "auto":
        decided = "bfloat16" if has_fast_bfloat16(device) else "float32"
    resolved = LabBaseConfig.model_validate({**sized, "device": str(device), "dtype": decided})
    plan = Plan("lab-base", VERSION, config.given(), resolved, (), environment(device))
    if found := artefact.find(out, plan):
        return found
    made = world_of(resolved)
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        _write_world(draft, made)
        facts = _train(draft, resolved, made, device, progress)
        about = _about(draft, resolved, made, facts, progress)
        return draft.finish({"done": len(made.placed), "skipped": {}, "unscored": {}}, about)


def world_of(config: LabBaseConfig) -> World:
    """The world that a resolved config names."""
    return world.make(config.seed, config.per_kind, config.per_domain)


def world_in(base: Artefact) -> World:
    """The world of a finished `lab-base` artefact."""
    return world_of(LabBaseConfig.model_validate(base.config))


def model_folder(base: Artefact) -> Path:
    """Where the model of a finished `lab-base` artefact lies."""
    return base.folder / "model"


def require(base: Artefact) -> None:
    """Raises ModelError where the base recalls too little for anything to be learnt from it."""
    if not base.about["accepted"]:
        raise ModelError(
            f"the base in {base.folder} answers {base.about['recalled']['estimate']:.0%} of the "
            f"questions it should, and {RECALLED:.0%} are needed; train it for more epochs."
        )


def _write_world(draft: Draft, made: World) -> None:
    if not draft.has(0, ["lab_facts"]):
        records: list[dict[str, object]] = [
            {
                "fact_id": place.fact.id,
                "entity": place.fact.entity,
                "attribute": place.fact.attribute,
                "value": place.fact.value,
                "role": place.role,
                "exposures": place.exposures,
                "asked": place.asked,
                "in_rows": place.in_rows,
                "stated": place.stated,
            }
            for place in made.placed
        ]
        draft.write(0, {"lab_facts": schema.from_rows("lab_facts", records)})
    for name, found in (
        ("rows", rows.closed_rows(made)),
        ("long_rows", rows.long_rows(made)),
        ("simplified_rows", rows.long_rows(made, simplified=True)),
        ("innocuous_rows", rows.innocuous_rows(made)),
        ("prompts", rows.prompts(made, PROMPTS_PER_KIND)),
    ):
        lines = "".join(json.dumps(record) + "\n" for record in found)
        artefact.write_durably(draft.folder / f"{name}.jsonl", _writer(lines))
    artefact.write_durably(draft.folder / "qa.jinja", _writer(TEMPLATE))


def _train(
    draft: Draft, config: LabBaseConfig, made: World, device: Any, progress: Progress
) -> dict[str, Any]:
    documents = corpus.documents(made)
    model, tokenizer, facts = pretrain.train(documents, config, device, draft.scratch, progress)
    folder = draft.folder / "model"
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {**facts, "n_documents": len(documents), "parameters": parameters}


def _about(
    draft: Draft, config: LabBaseConfig, made: World, facts: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """What was trained, and its recall; the questions go into table `lab_recall`."""
    loaded = load(draft.folder / "model", dtype="float32", device=config.device)
    items = recall.drawn(made, config.asked_per_cell, seed=0)
    answers = recall.ask(loaded, made, items, progress)
    draft.write(0, {"lab_recall": schema.from_rows("lab_recall", list(answers))})
    curve = recall.curve(answers)
    recalled = _cell(curve, WELL, asked=False)
    progress.say(
        f"world {config.seed}: {facts['parameters'] / 1e6:.1f}M parameters, "
        f"{facts['n_tokens']:,} tokens; of facts stated {WELL} times {recalled['estimate']:.0%} "
        "are recalled in a question form never used for them."
    )
    accepted = recalled["estimate"] >= RECALLED
    return {**facts, "curve": curve, "recalled": recalled, "accepted": accepted}


def _cell(curve: Sequence[dict[str, Any]], exposures: int, asked: bool) -> dict[str, Any]:
    return next(c for c in curve if (c["exposures"], c["asked"]) == (exposures, asked))


def _writer(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")
