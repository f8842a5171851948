"""What a sweep over methods, learning rates, sizes and seeds says (pure numpy).

Every number is of KL(tuned from base) in nats on each tuned model's own answers. With at least five
seeds a finding speaks of the method: seeds and prompts are drawn again; with fewer it speaks of
these tuned models and draws prompts only (`stats.seeds`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aftertune.config import Method
from aftertune.shift.categories import CATEGORIES
from aftertune.stats.equivalence import Margin
from aftertune.stats.intervals import Array
from aftertune.stats.seeds import Statement, scope, statement
from aftertune.stats.trend import trend

# measure -> what is summed, and over how many
MEASURES = {
    "kl_per_token": ("kl", "tokens"),
    "kl_per_response": ("response_kl", "responses"),
    **{name: (name, "ranked") for name in CATEGORIES},
}
HEADLINE = "kl_per_token"

ByPrompt = Mapping[str, Array]  # [P], or [S, P] of several seeds


@dataclass(frozen=True)
class Cell:
    """All seeds of one method, learning rate and size (None: all rows); values [S, P]."""

    method: Method
    learning_rate: float
    size: int | None
    values: ByPrompt


def by_prompt(
    tokens: pa.Table, prompt_of: Mapping[str, str], prompts: Sequence[str]
) -> dict[str, Array]:
    """The sums of MEASURES for each of `prompts` [P] from one `tokens` table.

    prompt_of: response_id -> prompt_id. A prompt without a scored answer has counts of 0.
    """
    place = {prompt: number for number, prompt in enumerate(prompts)}
    ids = tokens.column("response_id").to_pylist()
    responses = list(dict.fromkeys(ids))
    number = {response: index for index, response in enumerate(responses)}
    of_token = np.array([number[one] for one in ids], np.int64)
    of_response = np.array([place[prompt_of[one]] for one in responses], np.int64)
    kl = tokens.column("kl_tuned_base_nats").to_numpy()
    n_tokens = np.bincount(of_token, minlength=len(responses))
    means = np.bincount(of_token, weights=kl, minlength=len(responses)) / n_tokens

    def summed(values: npt.ArrayLike, where: npt.NDArray[np.int64]) -> Array:
        weights = np.asarray(values, np.float64)
        return np.bincount(where, weights=weights, minlength=len(prompts)).astype(np.float64)

    everywhere = of_response[of_token]
    category = np.array(tokens.column("category").to_pylist(), dtype=object)
    return {
        "kl": summed(kl, everywhere),
        "tokens": summed(np.ones(len(ids)), everywhere),
        "response_kl": summed(means, of_response),
        "responses": summed(np.ones(len(responses)), of_response),
        "ranked": summed([one is not None for one in category], everywhere),
        **{name: summed(category == name, everywhere) for name in CATEGORIES},
    }


def stacked(of_seeds: Sequence[ByPrompt]) -> dict[str, Array]:
    """[P] of each seed to [S, P] of all."""
    return {name: np.stack([one[name] for one in of_seeds]) for name in of_seeds[0]}


def gap(full: ByPrompt, lora: ByPrompt) -> Statement:
    """Mean KL per token, full minus LoRA, of given models (values [S, P])."""
    return _contrast([full, lora], HEADLINE, (1.0, -1.0), 0)


def findings(cells: Sequence[Cell], margin: Margin | None, seed: int = 0) -> dict[str, Any]:
    """All that the sweep says, as JSON values.

    cells: per cell one statement for each of MEASURES, and the mean of every seed alone;
    methods: full minus LoRA at an equal rate and size;
    rates: per method and size, the highest rate minus the lowest;
    turned_round: per size, LoRA at its highest rate minus full at its lowest: over 0, the rate
    alone can turn the order of the methods round;
    trends: per method and rate, over sizes (`stats.trend`), each verdict with `margin`.
    """
    return {
        "cells": [_cell(cell, seed) for cell in cells],
        "methods": _methods(cells, seed),
        "rates": _rates(cells, seed),
        "turned_round": _turned_round(cells, seed),
        "trends": _trends(cells, margin, seed),
    }


def _cell(cell: Cell, seed: int) -> dict[str, Any]:
    found = {name: _contrast([cell.values], name, (1.0,), seed).as_json() for name in MEASURES}
    for name, one in found.items():
        del one["smallest_detectable"]  # of a comparison, which a mean alone is not
        if one["low"] is not None:  # a t interval may leave what a KL or a share can be
            most = 1.0 if name in CATEGORIES else np.inf
            one["low"], one["high"] = max(one["low"], 0.0), min(one["high"], most)
    alone = {}
    for name in ("kl_per_token", "kl_per_response"):
        top, bottom = (cell.values[part].sum(1) for part in MEASURES[name])
        alone[name] = [float(t / b) if b else None for t, b in zip(top, bottom, strict=True)]
    return {**_place(cell), **found, "per_seed": alone}


def _methods(cells: Sequence[Cell], seed: int) -> list[dict[str, Any]]:
    """Full minus LoRA wherever both were tuned at one rate and size."""
    of_lora = {(c.learning_rate, c.size): c for c in cells if c.method == "lora"}
    return [
        {
            "learning_rate": full.learning_rate,
            "size": full.size,
            "difference": _difference(full, of_lora[full.learning_rate, full.size], seed),
        }
        for full in cells
        if full.method == "full" and (full.learning_rate, full.size) in of_lora
    ]


def _rates(cells: Sequence[Cell], seed: int) -> list[dict[str, Any]]:
    found = []
    for (method, size), members in _grouped(cells, lambda c: (c.method, c.size or 0)):
        ordered = sorted(members, key=lambda cell: cell.learning_rate)
        if len(ordered) > 1:
            lowest, highest = ordered[0], ordered[-1]
            found.append(
                {
                    "method": method,
                    "size": size or None,
                    "lowest": lowest.learning_rate,
                    "highest": highest.learning_rate,
                    "difference": _difference(highest, lowest, seed),
                }
            )
    return found


def _turned_round(cells: Sequence[Cell], seed: int) -> list[dict[str, Any]]:
    found = []
    for (size,), members in _grouped(cells, lambda c: (c.size or 0,)):
        full = [cell for cell in members if cell.method == "full"]
        lora = [cell for cell in members if cell.method == "lora"]
        if not full or not lora:
            continue
        low = min(full, key=lambda cell: cell.learning_rate)
        high = max(lora, key=lambda cell: cell.learning_rate)
        if high.learning_rate > low.learning_rate:
            found.append(
                {
                    "size": size or None,
                    "lora_rate": high.learning_rate,
                    "full_rate": low.learning_rate,
                    "difference": _difference(high, low, seed),
                }
            )
    return found


def _trends(cells: Sequence[Cell], margin: Margin | None, seed: int) -> list[dict[str, Any]]:
    found = []
    top_name, bottom_name = MEASURES[HEADLINE]
    for (method, rate), members in _grouped(cells, lambda c: (c.method, c.learning_rate)):
        sized = sorted(((c.size, c) for c in members if c.size), key=lambda pair: pair[0])
        if len(sized) < 2:
            continue
        top = np.stack([cell.values[top_name] for _, cell in sized])
        bottom = np.stack([cell.values[bottom_name] for _, cell in sized])
        sizes = [size for size, _ in sized]
        one = trend(sizes, top, bottom, margin, scope(top.shape[1]), seed)
        found.append({"method": method, "learning_rate": rate, **one.as_json()})
    return found


def _difference(first: Cell, second: Cell, seed: int) -> dict[str, Any]:
    return _contrast([first.values, second.values], HEADLINE, (1.0, -1.0), seed).as_json()


def _contrast(
    values: Sequence[ByPrompt], measure: str, coefficients: tuple[float, ...], seed: int
) -> Statement:
    top, bottom = (np.stack([one[part] for one in values]) for part in MEASURES[measure])
    return statement(top, bottom, coefficients, scope(top.shape[1]), seed)


def _grouped(cells: Sequence[Cell], key: Any) -> list[tuple[Any, list[Cell]]]:
    ordered = sorted(cells, key=key)
    return [(name, list(members)) for name, members in groupby(ordered, key)]


def _place(cell: Cell) -> dict[str, Any]:
    return {"method": cell.method, "learning_rate": cell.learning_rate, "size": cell.size}
