"""From verdicts to what is said of models and of the judge (pure).

A prompt is the unit: its answers, samples and repeats are averaged, and intervals are over
prompts. Verdicts without a score are left out of means and counted beside them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from aftertune.judge import reliability
from aftertune.judge.calls import Responses
from aftertune.judge.people import Ratings
from aftertune.judge.reliability import Found, Scores
from aftertune.judge.verdicts import Record, why_unscored
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import absent, bootstrap_mean, bootstrap_means, paired_difference

MAX_VALUES = 30  # different values of a tag that is still a group
MAX_VALUE_LENGTH = 80  # characters: longer is a text, and no group


def summarise(
    verdicts: Sequence[Record], responses: Responses, aspects: Sequence[str],
    ratings: Ratings | None, seed: int = 0,
) -> Found:  # fmt: skip
    """All of this module as JSON values; what was not asked for is absent with its reason."""
    alone = [one for one in verdicts if one["other_response_id"] is None]
    pairs = [one for one in verdicts if one["other_response_id"] is not None]
    prompt_of = {r["response_id"]: r["prompt_id"] for rs in responses.values() for r in rs}
    model_of = {r["response_id"]: model for model, rs in responses.items() for r in rs}
    scores = _scores(alone, aspects)
    return {
        "models": list(responses),
        "aspects": list(aspects),
        "n_answers": {model: len(records) for model, records in responses.items()},
        "n_prompts": len({r["prompt_id"] for rs in responses.values() for r in rs}),
        "unscored": _unscored(verdicts, model_of, list(responses), aspects),
        "means": _means(scores, responses, aspects, seed) if alone else {},
        "differences": _differences(scores, responses, aspects, seed) if alone else [],
        "by_tag": _by_tag(scores, responses, aspects, seed) if alone else {},
        "pairs": _pairs(pairs, model_of, prompt_of, list(responses), aspects, seed),
        "repeats": reliability.repeats(verdicts, prompt_of, aspects, seed),
        "order": reliability.order(pairs, prompt_of, aspects, seed),
        "length": reliability.length(scores, responses, aspects, ratings, seed) if alone else {},
        "people": reliability.people(scores, prompt_of, aspects, ratings, seed) if ratings else {},
        "corrected": reliability.corrected(scores, responses, aspects, ratings) if ratings else {},
    }


def _scores(verdicts: Sequence[Record], aspects: Sequence[str]) -> Scores:
    found: Scores = {aspect: defaultdict(list) for aspect in aspects}
    for one in verdicts:
        if one["score"] is not None:
            found[one["aspect"]][one["response_id"]].append(one["score"])
    return found


def _unscored(
    verdicts: Sequence[Record], model_of: Mapping[str, str], models: Sequence[str],
    aspects: Sequence[str],
) -> Found:  # fmt: skip
    """How many of all verdicts have no score: as a whole, by reason, by model and aspect."""
    every: Counter[tuple[str, str]] = Counter()
    without: Counter[tuple[str, str]] = Counter()
    for one in verdicts:
        cell = model_of[one["response_id"]], one["aspect"]
        every[cell] += 1
        without[cell] += one["score"] is None
    return {
        "n": sum(without.values()),
        "of": sum(every.values()),
        "reasons": why_unscored(verdicts),
        "cells": {
            model: {
                aspect: {"n": without[model, aspect], "of": every[model, aspect]}
                for aspect in aspects
            }
            for model in models
        },
    }


def _by_prompt(
    scores: Mapping[str, Sequence[float]], records: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """prompt_id -> mean over its answers of the mean over repeats."""
    found: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if one := scores.get(record["response_id"]):
            found[record["prompt_id"]].append(float(np.mean(one)))
    return {prompt: float(np.mean(values)) for prompt, values in found.items()}


def _mean_interval(values: Mapping[str, float], seed: int) -> Found:
    if not values:
        return absent("no verdict has a score").as_json()
    return bootstrap_mean([values[name] for name in sorted(values)], seed=seed).as_json()


def _means(scores: Scores, responses: Responses, aspects: Sequence[str], seed: int) -> Found:
    """aspect -> model -> the mean score, an interval over prompts."""
    found: Found = {aspect: {} for aspect in aspects}
    for model, records in responses.items():
        values = [_by_prompt(scores[aspect], records) for aspect in aspects]
        prompts = sorted({prompt for one in values for prompt in one})
        sums = [[one.get(prompt, 0.0) for one in values] for prompt in prompts]
        counts = [[prompt in one for one in values] for prompt in prompts]
        shape = (len(prompts), len(aspects))
        means = bootstrap_means(np.reshape(sums, shape), np.reshape(counts, shape), seed)
        for aspect, mean in zip(aspects, means, strict=True):
            found[aspect][model] = mean.as_json()
    return found


def _differences(
    scores: Scores, responses: Responses, aspects: Sequence[str], seed: int
) -> list[Found]:
    """Every two models on the prompts where both have a score: first minus second."""
    found = []
    for first, second in combinations(responses, 2):
        for aspect in aspects:
            a, b = (_by_prompt(scores[aspect], responses[model]) for model in (first, second))
            shared = sorted(a.keys() & b.keys())
            gap = paired_difference([a[p] for p in shared], [b[p] for p in shared], seed=seed)
            found.append(
                {
                    "aspect": aspect, "first": first, "second": second, **gap.as_json(),
                    "smallest_detectable": detectable_of(gap),
                }
            )  # fmt: skip
    return found


def _by_tag(scores: Scores, responses: Responses, aspects: Sequence[str], seed: int) -> Found:
    """tag -> value -> aspect -> model -> mean score; tags with few short values are groups."""
    found: Found = {}
    for tag, values in tag_values(responses).items():
        found[tag] = {}
        for value, prompts in sorted(values.items()):
            chosen = {
                model: [record for record in records if record["prompt_id"] in prompts]
                for model, records in responses.items()
            }
            found[tag][value] = _means(scores, chosen, aspects, seed)
    return found


def tag_values(responses: Responses) -> dict[str, dict[str, set[str]]]:
    """tag -> value -> prompt ids, of tags whose values are (lists of) short words that recur."""
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    texts: set[str] = set()
    for records in responses.values():
        for record in records:
            for tag, said in json.loads(record["tags"]).items():
                listed = said if isinstance(said, list) else [said]
                if any(not isinstance(v, str) or len(v) > MAX_VALUE_LENGTH for v in listed):
                    texts.add(tag)
                    continue
                for value in listed:
                    values[tag][value].add(record["prompt_id"])
    return {
        tag: dict(found)
        for tag, found in sorted(values.items())
        if tag not in texts and 1 < len(found) <= MAX_VALUES and max(map(len, found.values())) > 1
    }


def _pairs(
    pairs: Sequence[Record], model_of: Mapping[str, str], prompt_of: Mapping[str, str],
    models: Sequence[str], aspects: Sequence[str], seed: int,
) -> list[Found]:  # fmt: skip
    """Every two models: how often the first is preferred, `same` as half, both orders alike.

    A pair counts with the mean of its two orders, so that a taste for what stands first cancels;
    a pair judged in one order only is left out.
    """
    orders: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(
        lambda: {"first": [], "second": []}
    )
    for one in pairs:
        if one["score"] is not None:
            key = one["aspect"], one["response_id"], one["other_response_id"]
            orders[key][one["presentation"]].append(one["score"])
    values: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for (aspect, name, other), shown in orders.items():
        if shown["first"] and shown["second"]:
            score = (np.mean(shown["first"]) + np.mean(shown["second"])) / 2
            values[aspect, model_of[name], model_of[other]][prompt_of[name]].append(float(score))
    return [
        {
            "aspect": aspect, "first": first, "second": second,
            **_mean_interval(
                {p: float(np.mean(v)) for p, v in values[aspect, first, second].items()}, seed
            ),
        }
        for first, second in combinations(models, 2)
        for aspect in aspects
        if pairs
    ]  # fmt: skip
