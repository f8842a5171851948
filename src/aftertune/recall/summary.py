"""All that is said of base and tuned models from their answers (pure)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aftertune.recall import pairing, retest
from aftertune.recall.classes import CLASSES
from aftertune.recall.facts import Fact
from aftertune.recall.forgetting import forgotten, front, over_texts, same_order
from aftertune.recall.paired import by_tag, compare

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """One model: its rows of the tables `recall` and `text_loss`."""

    answers: Sequence[Record]
    texts: Sequence[Record]


@dataclass(frozen=True)
class Bought:
    """What else is known of a tuned model. quality: what it is good for, higher is better; kl: mean
    KL(tuned from base) on its own answers, nats."""

    quality: float | None = None
    kl_nats: float | None = None


def summarise(
    base: Side, tuned: Mapping[str, Side], facts: Sequence[Fact], draws: int, margin: float,
    seed: int, bought: Mapping[str, Bought],
) -> dict[str, Any]:  # fmt: skip
    """JSON values: classes of the base; per model what was lost, by tag and class, and texts."""
    of_class = pairing.classes(base.answers)
    counts = Counter(of_class.values())
    asked_again = {way: retest.flips(*_halves(base.answers, way, draws)) for way in pairing.WAYS}
    models = {
        name: _model(base, side, facts, of_class, draws, margin, seed)
        for name, side in tuned.items()
    }
    return {
        "n_facts": len(facts),
        "draws": draws,
        "classes": {name: counts[name] for name in CLASSES if counts[name]},
        "asked_again": asked_again,
        "models": models,
        "front": _front(models, bought),
    }


def table(
    base: Side, tuned: Mapping[str, Side], facts: Sequence[Fact], draws: int
) -> list[dict[str, Any]]:
    """The table `recall_pairs`."""
    of_class = pairing.classes(base.answers)
    by_id = {fact.id: fact for fact in facts}
    second = range(draws, 2 * draws)
    found = []
    for model, side in tuned.items():
        for way in pairing.WAYS:
            there = pairing.known(base.answers, way, second)
            here = pairing.known(side.answers, way, second)
            for one in pairing.pairs(there, here, facts, of_class):
                fact = by_id[one.item]
                found.append({
                    "fact_id": one.item, "model": model, "way": way, "outcome": one.outcome,
                    "class": of_class.get(one.item),
                    "base_share": there[one.item].share, "tuned_share": here[one.item].share,
                    "question": fact.question, "answer": fact.answer,
                    "base_answer": there[one.item].answer, "tuned_answer": here[one.item].answer,
                    "tags": json.dumps(dict(fact.tags), ensure_ascii=False, sort_keys=True),
                })  # fmt: skip
    return found


def _model(
    base: Side, side: Side, facts: Sequence[Fact], of_class: Mapping[str, str], draws: int,
    margin: float, seed: int,
) -> dict[str, Any]:  # fmt: skip
    second = range(draws, 2 * draws)
    ways = {}
    for way in pairing.WAYS:
        there = pairing.known(base.answers, way, second)
        here = pairing.known(side.answers, way, second)
        found = pairing.pairs(there, here, facts, of_class)
        # classes have their own table, beside the base asked again
        plain = [
            replace(one, tags={k: v for k, v in one.tags.items() if k != "class"}) for one in found
        ]
        ways[way] = {**compare(found, seed, margin), "by_tag": by_tag(plain, seed, margin)}
    first, again = _halves(base.answers, "greedy", draws)
    here = pairing.known(side.answers, "greedy", second)
    return {
        "ways": ways,
        "by_class": retest.by_class(of_class, first, again, here, seed),
        "texts": forgotten(base.texts, side.texts, seed),
    }


def _halves(
    answers: Sequence[Record], way: str, draws: int
) -> tuple[dict[str, pairing.Known], dict[str, pairing.Known]]:
    first = pairing.known(answers, way, range(draws))
    return first, pairing.known(answers, way, range(draws, 2 * draws))


def _front(
    models: Mapping[str, Mapping[str, Any]], bought: Mapping[str, Bought]
) -> dict[str, Any] | None:
    """Quality against forgetting of several models, with KL beside; None for one model."""
    if len(models) < 2:
        return None
    judged = all(name in bought and bought[name].quality is not None for name in models)
    points: dict[str, dict[str, Any]] = {}
    for name, found in models.items():
        one = bought.get(name, Bought())
        points[name] = {
            # a mean over aspects of the same answers has no interval of its own
            "quality": {"estimate": one.quality, "low": None, "high": None}
            if judged
            else found["ways"]["choice"]["tuned"],
            "forgetting_nats": over_texts(found["texts"]),
            "kl_nats": one.kl_nats,
        }
    places = {
        name: (p["quality"]["estimate"], p["forgetting_nats"]["estimate"])
        for name, p in points.items()
    }
    both = [
        (p["kl_nats"], places[name][1])
        for name, p in points.items()
        if p["kl_nats"] is not None and places[name][1] is not None
    ]
    agree = same_order([kl for kl, _ in both], [lost for _, lost in both])
    return {
        "quality_is": "mean score by the judge" if judged else "share of facts chosen right",
        "points": points,
        "front": front(places),
        "kl_and_forgetting": agree if len(both) >= 2 else None,
    }
