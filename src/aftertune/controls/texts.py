"""Model x text: the KL of every model on every text, and what is wrong with a text (pure).

A KL belongs to the text that it was taken on. Two things make texts unlike beside their words:
their length, and loops, in which every model is sure of the next token and KL is diluted. So all
texts are also cut, prompt by prompt, to the shortest of them, and loops and runaways are flagged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aftertune.controls.answers import Answer, Array, over_prompts, per_prompt
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import bootstrap_mean, paired_difference

LONGEST_CYCLE = 50  # tokens
REPEATS, COVERED = 3, 30  # a loop goes round so often, over so many tokens
GRAM = 4
REPEATED = 0.5  # share of an answer's 4-grams that stood in it before; speech has under 0.2
ENOUGH = 0.5  # share of all prompts that a text must answer to be compared


@dataclass(frozen=True)
class Cell:
    """One model on one text. kl: response_id -> KL(tuned from base) by position, stop token left
    out; an answer that was not scored is not in it."""

    kl: Mapping[str, Array]
    answers: Sequence[Answer]

    def by_prompt(self) -> dict[str, list[Answer]]:
        """The scored answers of every prompt."""
        found: dict[str, list[Answer]] = {}
        for one in self.answers:
            if one.response_id in self.kl:
                found.setdefault(one.prompt_id, []).append(one)
        return found


def runs_away(answer: Answer) -> bool:
    """No stop within the limit. Of answers from elsewhere it is not known, so not said."""
    return answer.ended == "length"


def loops(ids: Sequence[int]) -> bool:
    """Whether the tail goes round in a cycle, or most 4-grams stood in the answer before.

    A cycle: at most LONGEST_CYCLE tokens, at least REPEATS times over at least COVERED tokens.
    """
    for period in range(1, min(LONGEST_CYCLE, len(ids) // REPEATS) + 1):
        covered = period + _same_as_before(ids, period)
        if covered >= max(COVERED, REPEATS * period):
            return True
    return len(ids) >= COVERED and repeated(ids) > REPEATED


def repeated(ids: Sequence[int]) -> float:
    """Share of the 4-grams of `ids` that stood in it before; 0 where there are none."""
    n = len(ids) - GRAM + 1
    if n < 1:
        return 0.0
    return 1 - len({tuple(ids[i : i + GRAM]) for i in range(n)}) / n


def enough(prompts: set[str], of: set[str]) -> bool:
    """Whether a text answers so many of the prompts that it can be compared."""
    return bool(of) and len(prompts & of) >= ENOUGH * len(of)


def compare(
    cells: Mapping[tuple[str, str], Cell], base_text: Mapping[str, str], seed: int = 0
) -> dict[str, Any]:
    """All cells (model, text) on the prompts that every text has, as JSON values.

    base_text: model -> the name of the base's own answers to it. A model's own text has its name.
    Returns n_prompts; left_out: {text: prompts that it alone or with others lacks}; texts: {text:
    n_answers, mean_tokens, runaway, loop, flagged (counts), share_flagged}; cells: {model: {text:
    whole, cut, without_flagged, each per_token and per_response; n_flagged}}; own_minus_base:
    {model: mean KL per token of cut texts, its own minus the base's, with smallest_detectable}.
    """
    grouped = {key: cell.by_prompt() for key, cell in cells.items()}
    everywhere = {prompt for one in grouped.values() for prompt in one}
    prompts = sorted(everywhere.intersection(*grouped.values()))
    lengths = {
        prompt: min(len(a.ids) for one in grouped.values() for a in one[prompt])
        for prompt in prompts
    }
    found: dict[str, Any] = {
        "n_prompts": len(prompts),
        "mean_cut_tokens": float(np.mean(list(lengths.values()))) if prompts else None,
        "left_out": {},
        "texts": {},
        "cells": {},
        "own_minus_base": {},
    }
    for (model, text), cell in cells.items():
        answers = [one for prompt in prompts for one in grouped[model, text][prompt]]
        found["left_out"].setdefault(text, len(everywhere) - len(grouped[model, text]))
        found["texts"].setdefault(text, _about(answers, prompts, seed))
        found["cells"].setdefault(model, {})[text] = _means(cell, answers, lengths, seed)
    for model, text in base_text.items():
        if (model, model) in cells and (model, text) in cells:
            pair = (cells[model, model], cells[model, text])
            found["own_minus_base"][model] = _difference(pair, lengths, seed)
    return found


def _same_as_before(ids: Sequence[int], period: int) -> int:
    """How many tokens at the end are those that stood `period` before."""
    n = 0
    while n + period < len(ids) and ids[-1 - n] == ids[-1 - n - period]:
        n += 1
    return n


def _about(answers: Sequence[Answer], prompts: Sequence[str], seed: int) -> dict[str, Any]:
    """How long a text's answers are, and how many are flagged."""
    runaway = [runs_away(one) for one in answers]
    loop = [loops(one.ids) for one in answers]
    flagged = [a or b for a, b in zip(runaway, loop, strict=True)]
    place = {prompt: number for number, prompt in enumerate(prompts)}
    hits, counts = np.zeros(len(prompts)), np.zeros(len(prompts))
    for one, hit in zip(answers, flagged, strict=True):
        hits[place[one.prompt_id]] += hit
        counts[place[one.prompt_id]] += 1
    return {
        "n_answers": len(answers),
        "mean_tokens": float(np.mean([len(one.ids) for one in answers])) if answers else None,
        "runaway": sum(runaway),
        "loop": sum(loop),
        "flagged": sum(flagged),
        "share_flagged": over_prompts(bootstrap_mean(hits, counts, seed)).as_json(),
    }


def _means(
    cell: Cell, answers: Sequence[Answer], lengths: Mapping[str, int], seed: int
) -> dict[str, Any]:
    prompt_of = {one.response_id: one.prompt_id for one in cell.answers}
    prompts = list(lengths)
    whole = {one.response_id: cell.kl[one.response_id] for one in answers}
    clean = {
        one.response_id: whole[one.response_id]
        for one in answers
        if not runs_away(one) and not loops(one.ids)
    }
    return {
        "whole": per_prompt(whole, prompt_of, prompts).both(seed),
        "cut": per_prompt(_cut(whole, prompt_of, lengths), prompt_of, prompts).both(seed),
        "without_flagged": per_prompt(clean, prompt_of, prompts).both(seed),
        "n_flagged": len(answers) - len(clean),
    }


def _difference(pair: tuple[Cell, Cell], lengths: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Mean KL per token on the first text minus that on the second, cut, paired over prompts."""
    gathered = []
    for cell in pair:
        prompt_of = {one.response_id: one.prompt_id for one in cell.answers}
        gathered.append(per_prompt(_cut(cell.kl, prompt_of, lengths), prompt_of, list(lengths)))
    one, other = gathered
    found = over_prompts(paired_difference(one.sums, other.sums, one.counts, other.counts, seed))
    return {**found.as_json(), "smallest_detectable": detectable_of(found)}


def _cut(
    kl: Mapping[str, Array], prompt_of: Mapping[str, str], lengths: Mapping[str, int]
) -> dict[str, Array]:
    """The first tokens of every answer to one of the prompts, as many as `lengths` says."""
    return {
        one: values[: lengths[prompt_of[one]]]
        for one, values in kl.items()
        if prompt_of[one] in lengths
    }
