"""What is shown of answers, blind: items from the responses of one or more models (pure).

An item holds what an annotator sees (`shown`) apart from what must not be seen (`hidden`: models,
ids, tags), and its id tells nothing of either.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from aftertune.artefact import hash_json
from aftertune.data.places import Place, Record, in_order, placed
from aftertune.study.config import Kind

Answers = Mapping[str, Sequence[Record]]  # model -> records of the table `responses`
OF_TWO = ("pairs", "outcomes")


@dataclass(frozen=True)
class Item:
    """One thing to rate.

    shown: {prompt: [{role, content}], answers: [text], candidates: [{row_id, instruction, output,
    score}]}. hidden: {models, prompt_id, response_ids, tags}, models and ids in the order of
    `shown["answers"]`. repeat_of: the item that this one is again, under another id.
    """

    item_id: str
    kind: Kind
    shown: Mapping[str, Any]
    hidden: Mapping[str, Any]
    pilot: bool = False
    feedback: Mapping[str, Any] | None = None
    repeat_of: str | None = None


@dataclass(frozen=True)
class Made:
    """Items of a study. without_partner: prompts that lack an answer of one of the models."""

    items: list[Item]
    without_partner: int = 0
    alike: int = 0  # items whose two answers are one text
    empty: int = 0  # items that show an answer without a word


def make(
    answers: Answers,
    kind: Kind,
    seed: int,
    sample: int | None = None,
    candidates: Mapping[str, Sequence[Record]] | None = None,
) -> Made:
    """Items of `kind` from the answers of named models, in the order of prompts.

    Answers belong together by what was asked, wherever it stands in each model's answers.
    pairs and outcomes: one per prompt and pair of models, which of the two is stored first being
    drawn. outcomes keep the order in which the models are named, since their classes speak of the
    answer stored first. spans and aspects: one per answer. sample: so many prompts, drawn by seed.
    candidates: response_id -> rows that tracing proposes for it.
    """
    by_model = {model: placed(records) for model, records in answers.items()}
    places = _drawn(in_order(by_model), sample, seed)
    proposed = candidates or {}
    items, lonely, alike, empty = [], 0, 0, 0
    for place in places:
        here = {model: found[place] for model, found in by_model.items() if place in found}
        chosen = (
            list(combinations([m for m in answers if m in here], 2))
            if kind in OF_TWO
            else [(model,) for model in answers if model in here]
        )
        lonely += kind in OF_TWO and len(here) < len(answers)
        for models in chosen:
            ordered = _drawn_order(models, place, seed) if kind == "pairs" else models
            records = [here[model] for model in ordered]
            alike += len(records) == 2 and records[0]["response"] == records[1]["response"]
            empty += any(not record["response"].strip() for record in records)
            items.append(_item(kind, ordered, records, seed, proposed))
    return Made(items, lonely, alike, empty)


def again(item: Item, seed: int) -> Item:
    """The same item under another id, to test a rater against himself."""
    name = f"i-{hash_json(['again', seed, item.item_id])[:16]}"
    return replace(item, item_id=name, repeat_of=item.item_id, pilot=False, feedback=None)


def text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last request of a prompt, by which people name it."""
    users = [m["content"] or "" for m in messages if m["role"] == "user"]
    return str(users[-1]) if users else ""


def _item(
    kind: Kind, models: Sequence[str], records: Sequence[Record], seed: int,
    proposed: Mapping[str, Sequence[Record]],
) -> Item:  # fmt: skip
    ids = [record["response_id"] for record in records]
    prompt = [{"role": m["role"], "content": m["content"] or ""} for m in records[0]["messages"]]
    rows = [dict(row) for one in ids for row in proposed.get(one, ())]
    shown = {"prompt": prompt, "answers": [r["response"] for r in records], "candidates": rows}
    hidden = {
        "models": list(models),
        "prompt_id": records[0]["prompt_id"],
        "response_ids": ids,
        "tags": json.loads(records[0]["tags"]),
    }
    return Item(f"i-{hash_json([seed, kind, ids, shown])[:16]}", kind, shown, hidden)


def _drawn(places: list[Place], sample: int | None, seed: int) -> list[Place]:
    if sample is None or sample >= len(places):
        return places
    drawn = set(random.Random(f"{seed} prompts").sample(places, sample))
    return [place for place in places if place in drawn]


def _drawn_order(models: tuple[str, ...], place: Place, seed: int) -> tuple[str, ...]:
    chance = random.Random(f"{seed} {place} {models}")
    return models[::-1] if chance.random() < 0.5 else models
