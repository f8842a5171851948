"""From verdicts and ratings to what `believe` and `corrected` make of them (pure)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from aftertune.judge import believe
from aftertune.judge.calls import Responses
from aftertune.judge.corrected import correct
from aftertune.judge.people import Ratings
from aftertune.judge.verdicts import Record
from aftertune.stats.intervals import absent

Found = dict[str, Any]
Scores = dict[str, dict[str, list[float]]]  # aspect -> response_id -> its scores


def repeats(
    verdicts: Sequence[Record], prompt_of: Mapping[str, str], aspects: Sequence[str], seed: int
) -> Found:
    """aspect -> `believe.repeats`, over single answers and pairs alike; empty for one repeat."""
    asked: dict[str, dict[tuple[Any, ...], list[float]]] = {a: defaultdict(list) for a in aspects}
    for one in verdicts:
        if one["score"] is not None:
            name = one["response_id"], one["other_response_id"], one["presentation"]
            asked[one["aspect"]][name].append(one["score"])
    found = {}
    for aspect, questions in asked.items():
        if any(len(scores) > 1 for scores in questions.values()):
            prompts = [prompt_of[name[0]] for name in questions]
            found[aspect] = believe.repeats(list(questions.values()), prompts, seed)
    return found


def order(
    pairs: Sequence[Record], prompt_of: Mapping[str, str], aspects: Sequence[str], seed: int
) -> Found:
    """aspect -> `believe.order`, of pairs with a score in both orders."""
    found = {}
    for aspect in aspects:
        shown: dict[tuple[Any, ...], dict[str, float]] = defaultdict(dict)
        for one in pairs:
            if one["aspect"] == aspect and one["score"] is not None:
                name = one["response_id"], one["other_response_id"], one["repeat"]
                shown[name][one["presentation"]] = one["score"]
        both = {name: one for name, one in shown.items() if len(one) == 2}
        if both:
            first, second = ([one[w] for one in both.values()] for w in ("first", "second"))
            found[aspect] = believe.order(first, second, [prompt_of[n[0]] for n in both], seed)
    return found


def length(
    scores: Scores, responses: Responses, aspects: Sequence[str], ratings: Ratings | None,
    seed: int,
) -> Found:  # fmt: skip
    """aspect -> {judge: `believe.length` of scores, beyond_people: of scores less ratings}."""
    records = [record for one in responses.values() for record in one]
    found = {}
    for aspect in aspects:
        judged = [(r, float(np.mean(s))) for r in records
                  if (s := scores[aspect].get(r["response_id"]))]  # fmt: skip
        rated = [
            (r, score - _rating(ratings, r["response_id"], aspect))
            for r, score in judged
            if ratings and aspect in ratings.get(r["response_id"], {})
        ]
        found[aspect] = {
            "judge": _slope(judged, seed),
            "beyond_people": _slope(rated, seed) if rated else None,
        }
    return found


def _slope(values: Sequence[tuple[Mapping[str, Any], float]], seed: int) -> Found:
    words = [len(record["response"].split()) for record, _ in values]
    prompts = [record["prompt_id"] for record, _ in values]
    return believe.length([value for _, value in values], words, prompts, seed)


def _rating(ratings: Ratings, response_id: str, aspect: str) -> float:
    return float(np.mean(list(ratings[response_id][aspect].values())))


def people(
    scores: Scores, prompt_of: Mapping[str, str], aspects: Sequence[str], ratings: Ratings,
    seed: int,
) -> Found:  # fmt: skip
    """aspect -> agreement of the judge with single people, and of people with each other."""
    found = {}
    for aspect in aspects:
        judge, person, between = [], [], []
        for name, rated in ratings.items():
            values = list(rated.get(aspect, {}).values())
            group = prompt_of[name]
            between += [(a, b, group) for a, b in combinations(values, 2)]
            if said := scores[aspect].get(name):
                judge += [(float(np.mean(said)), group)] * len(values)
                person += values
        found[aspect] = {
            "n_ratings": len(person),
            "judge": _agreement([s for s, _ in judge], person, [g for _, g in judge], seed),
            "between_people": _agreement(
                [a for a, _, _ in between], [b for _, b, _ in between],
                [g for _, _, g in between], seed, exchangeable=True,
            ),
        }  # fmt: skip
    return found


def _agreement(
    first: Sequence[float], second: Sequence[float], groups: Sequence[str], seed: int,
    exchangeable: bool = False,
) -> Found:  # fmt: skip
    if not first:
        return absent("nothing was rated twice").as_json()
    return believe.concordance(first, second, groups, seed, exchangeable).as_json()


def corrected(
    scores: Scores, responses: Responses, aspects: Sequence[str], ratings: Ratings
) -> Found:
    """aspect -> model -> `corrected.correct`, where every prompt has one answer of the model."""
    found: Found = {}
    for aspect in aspects:
        found[aspect] = {}
        for model, records in responses.items():
            prompts = [record["prompt_id"] for record in records]
            if len(set(prompts)) < len(prompts):
                reason = "a prompt has several answers, which hang together"
                found[aspect][model] = {"corrected": absent(reason).as_json()}
                continue
            names = [r["response_id"] for r in records if scores[aspect].get(r["response_id"])]
            rated = [i for i, name in enumerate(names) if aspect in ratings.get(name, {})]
            values = [_rating(ratings, names[i], aspect) for i in rated]
            judged = [float(np.mean(scores[aspect][name])) for name in names]
            if not judged:
                found[aspect][model] = {"corrected": absent("no score").as_json()}
                continue
            found[aspect][model] = correct(judged, rated, values).as_json()
    return found
