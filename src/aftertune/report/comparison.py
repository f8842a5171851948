"""Models beside each other: paired differences, and the table of all measures (pure)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from aftertune.report import numbers
from aftertune.report.sentences import pairs_to_compare
from aftertune.shift.summary import per_response
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import paired_difference

KL = "kl_tuned_base_nats"

Model = Mapping[str, Any]  # as in view.py


class Scored(Protocol):
    """What pairing needs of one model."""

    @property
    def tokens(self) -> pa.Table: ...
    @property
    def responses(self) -> pa.Table: ...


def pairs(tables: Sequence[Scored], models: Sequence[Model], seed: int) -> list[dict[str, Any]]:
    """Differences in mean KL per token between models, over the prompts that both answered.

    Several answers to one prompt count together as one group.
    """
    grouped = [by_prompt(given.tokens, given.responses) for given in tables]
    found = []
    for a, b in pairs_to_compare(models):
        common = [prompt for prompt in grouped[a] if prompt in grouped[b]]
        first, second = ([grouped[i][prompt] for prompt in common] for i in (a, b))
        difference = paired_difference(
            [total for total, _ in first],
            [total for total, _ in second],
            [n for _, n in first],
            [n for _, n in second],
            seed,
        )
        found.append(
            {
                "first": models[a]["name"],
                "second": models[b]["name"],
                "n": difference.n,
                "difference": difference.as_json(),
                "smallest_detectable": detectable_of(difference),
            }
        )
    return found


def by_prompt(tokens: pa.Table, responses: pa.Table) -> dict[str, tuple[float, int]]:
    """Per prompt the sum of KL(tuned from base) over its answers' tokens, and their number."""
    ids, prompts = (responses.column(c).to_pylist() for c in ("response_id", "prompt_id"))
    prompt_of = dict(zip(ids, prompts, strict=True))
    scored = per_response(tokens)
    found: dict[str, tuple[float, int]] = {}
    sums = scored[KL] * scored["n_tokens"]
    for response_id, total, n in zip(scored["response_id"], sums, scored["n_tokens"], strict=True):
        before, count = found.get(prompt_of[response_id], (0.0, 0))
        found[prompt_of[response_id]] = (before + float(total), count + int(n))
    return found


def table(models: Sequence[Model]) -> list[dict[str, Any]]:
    """Rows of the table: label, a cell (text, note) per model, main for what matters most."""
    estimates: list[tuple[str, Callable[[Model], Any], Callable[[float | None], str], bool]] = [
        ("mean KL(tuned from base), nats per token", lambda m: m["kl"], numbers.nats, True),
        (
            "the same, every answer weighing alike",
            lambda m: m["kl_per_answer"],
            numbers.nats,
            False,
        ),
        (
            "base probability of tuned’s first choice",
            lambda m: m["base_prob"],
            numbers.percent,
            False,
        ),
        ("base rank of tuned’s first choice", lambda m: m["base_rank"], numbers.decimal, False),
    ]
    found = [
        _row(
            label, [(form(_estimate(get(m))), numbers.interval(get(m), form)) for m in models], main
        )
        for label, get, form, main in estimates
    ]
    found[2:2] = [
        _row(name, [_share(m, name) for m in models], name == "unshifted")
        for name in ("unshifted", "marginal", "shifted")
    ]
    facts: list[tuple[str, Callable[[Model], tuple[str, str]]]] = [
        ("noise floor, nats", _floor),
        ("method", lambda m: (m["method"] or numbers.UNKNOWN, "")),
        ("learning rate", lambda m: (numbers.rate(m["learning_rate"]), "")),
        ("LoRA rank", lambda m: (_rank(m), "")),
        ("rows", lambda m: (_known(m["n_rows"]), "")),
        ("steps", _steps),
        ("answers", lambda m: (numbers.count(m["n_answers"]), _empty(m))),
        ("tokens scored", lambda m: (numbers.count(m["n_tokens"]), "")),
        ("mean length, tokens", lambda m: (numbers.count(m["mean_length"]), "")),
        ("answers ended by", lambda m: (_finish(m), "")),
        ("scored in", lambda m: (m["dtype"] or numbers.UNKNOWN, "")),
        ("base", lambda m: (m["base"], m["base_precision"])),
    ]
    if any(m["base_template"] for m in models):
        facts.append(("base read under", lambda m: (m["base_template"] or "the same template", "")))
    return found + [_row(label, [get(m) for m in models]) for label, get in facts]


def _row(label: str, cells: list[tuple[str, str]], main: bool = False) -> dict[str, Any]:
    return {"label": label, "main": main, "cells": [{"text": t, "note": n} for t, n in cells]}


def _share(model: Model, category: str) -> tuple[str, str]:
    """A category's share; its interval, or that there are none of it; the other end of ties."""
    best, worst = (
        numbers.percent(_estimate(model[key][category])) for key in ("shares", "shares_worst")
    )
    notes = [numbers.interval(model["shares"][category], numbers.percent)]
    tokens = numbers.plural(model["n_ranked"], "token")
    if best == "0%":
        notes = [f"none in {tokens}"]
    if best == "100%":
        notes = [f"each of {tokens}"]
    if worst != best:
        notes.append(f"({worst} under the worst tie rank)")
    return best, " ".join(note for note in notes if note)


def _estimate(interval: Mapping[str, Any] | None) -> float | None:
    return None if interval is None else interval["estimate"]


def _floor(model: Model) -> tuple[str, str]:
    if model["floor"] is None:
        return "not measured", ""
    times = ""
    if model["floor"] > 0 and _estimate(model["kl"]):
        times = f"mean KL is {numbers.times(model['kl']['estimate'] / model['floor'])} times this"
    return numbers.nats(model["floor"]), times


def _rank(model: Model) -> str:
    return numbers.NONE if model["method"] == "full" else _known(model["rank"])


def _known(value: float | None) -> str:
    return numbers.UNKNOWN if value is None else numbers.count(value)


def _steps(model: Model) -> tuple[str, str]:
    parts = [
        numbers.plural(model["epochs"], "epoch") if model["epochs"] else "",
        f"batch {model['batch_size']}" if model["batch_size"] else "",
    ]
    return _known(model["n_steps"]), ", ".join(part for part in parts if part)


def _empty(model: Model) -> str:
    return f"{model['n_empty']:,} of them empty" if model["n_empty"] else ""


def _finish(model: Model) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in model["finish"].items()) or numbers.NONE
