"""The truth of responses: every statement right, wrong or unverifiable, and who could have said it.

A wrong value that rows carry is no borrowing by that alone: values are few, and a guess hits one of
them. `beyond_chance` compares with values of the same kind that the text states as often.
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

_ALIKE = float(np.log(1.25))  # how far apart the frequencies of matched values may be


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
    """In how many rows wrong values stand, against values of the same attribute that the text
    states about as often (within a quarter) and that are neither said nor true.

    {n, rows_with_value, rows_by_chance, difference}, intervals over prompts; `unmatched` wrong
    statements have no such value, and are left out.
    """
    stated: dict[str, Counter[str]] = {}
    for place in world.placed:
        stated.setdefault(place.fact.attribute, Counter())[place.fact.value] += place.exposures
    wrong, observed, chance = [], [], []
    unmatched = 0
    for one in found:
        if one["status"] != "wrong":
            continue
        attribute, true = one["attribute"], world.truth[one["entity"], one["attribute"]]
        times = stated[attribute]
        matched = [
            value
            for value in times
            if value not in (one["value"], true)
            and abs(np.log((times[value] + 1) / (times[one["value"]] + 1))) <= _ALIKE
        ]
        if not matched:
            unmatched += 1
            continue
        rows = {value: len(known[attribute, value].rows) if (attribute, value) in known else 0
                for value in times}  # fmt: skip
        wrong.append(one)
        observed.append(float(rows[one["value"]]))
        chance.append(float(np.mean([rows[value] for value in matched])))
    if not wrong:
        return {"n": 0, "unmatched": unmatched, "reason": "no wrong statement can be matched"}
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
        "unmatched": unmatched,
        "rows_with_value": mean(observed),
        "rows_by_chance": mean(chance),
        "difference": mean(differences),
    }
