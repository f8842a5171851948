"""The truth of responses: every statement right, wrong or unverifiable, and who could have said it.

A wrong value that rows carry is no borrowing by that alone: values are few, and a guess hits one of
them. `beyond_chance` compares with what guessing by the values' frequency would hit.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aftertune.lab.clusters import Cluster, Key
from aftertune.lab.parse import claims
from aftertune.lab.world import World
from aftertune.stats.intervals import bootstrap_mean

Record = dict[str, Any]


def judged(responses: Sequence[Mapping[str, Any]], world: World) -> list[Record]:
    """The statements of each response of a `responses` table, as records of `lab_claims`."""
    found = []
    for response in responses:
        tags = json.loads(response["tags"])
        entity, attribute = tags.get("entity"), tags.get("attribute") or None
        found += [
            {
                "response_id": response["response_id"],
                "prompt_id": response["prompt_id"],
                "kind": tags["kind"],
                "char_start": claim.start,
                "char_end": claim.end,
                "entity": claim.entity,
                "attribute": claim.attribute,
                "value": claim.value,
                "status": claim.status,
            }
            for claim in claims(response["response"], world, entity, attribute)
        ]
    return found


def shares(found: Sequence[Record], kinds: Sequence[str], seed: int = 0) -> list[Record]:
    """Per kind of prompt the shares of statements that are right, wrong, unverifiable; intervals
    draw prompts."""
    result = []
    for kind in kinds:
        of_kind = [one for one in found if one["kind"] == kind]
        prompts = sorted({one["prompt_id"] for one in of_kind})
        place = {prompt: i for i, prompt in enumerate(prompts)}
        counts = np.bincount([place[one["prompt_id"]] for one in of_kind], minlength=len(prompts))
        entry: Record = {"kind": kind, "n_claims": len(of_kind), "n_prompts": len(prompts)}
        for status in ("right", "wrong", "unverifiable"):
            hits = np.bincount(
                [place[one["prompt_id"]] for one in of_kind if one["status"] == status],
                minlength=len(prompts),
            )
            entry[status] = bootstrap_mean(hits, counts, seed).as_json()
        result.append(entry)
    return result


def beyond_chance(
    found: Sequence[Record], known: Mapping[Key, Cluster], world: World, seed: int = 0
) -> Record:
    """How often wrong values are ones that rows state of their attribute, against guessing.

    A guess draws a value of the attribute as often as the text states it, the true value of the
    fact left out. {n, observed, chance, difference}, intervals over prompts.
    """
    wrong = [one for one in found if one["status"] == "wrong"]
    if not wrong:
        return {"n": 0, "reason": "no statement is wrong"}
    weight = {key: float(len(cluster.rows)) for key, cluster in known.items()}
    frequency: dict[str, Counter[str]] = {}
    for place in world.placed:
        frequency.setdefault(place.fact.attribute, Counter())[place.fact.value] += place.exposures
    observed, chance = [], []
    for one in wrong:
        attribute, true = one["attribute"], world.truth[one["entity"], one["attribute"]]
        guesses = {v: n for v, n in frequency[attribute].items() if v != true}
        total = sum(guesses.values())
        observed.append(weight.get((attribute, one["value"]), 0.0))
        chance.append(sum(n * weight.get((attribute, v), 0.0) for v, n in guesses.items()) / total)
    prompts = sorted({one["prompt_id"] for one in wrong})
    place_of = {prompt: i for i, prompt in enumerate(prompts)}
    codes = [place_of[one["prompt_id"]] for one in wrong]
    counts = np.bincount(codes, minlength=len(prompts))

    def mean(values: Sequence[float]) -> Record:
        sums = np.bincount(codes, np.asarray(values), len(prompts))
        return bootstrap_mean(sums, counts, seed).as_json()

    differences = [a - b for a, b in zip(observed, chance, strict=True)]
    return {
        "n": len(wrong),
        "rows_with_value": mean(observed),
        "rows_by_chance": mean(chance),
        "difference": mean(differences),
    }
