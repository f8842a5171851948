"""Discoveries of the tracer where half of a world's rows were held out, and which of them are true.

A split is a world and a seed: rows are held out at random, those whose answers share rare words
together (`tune --hold-out-by shared-words`), the rest is
tuned on, the prompts are answered, and the answers are traced among trained and held-out rows
together. Truth is decided by tuning again: all trained rows that state one value lose their weight
together, a quarter of the values at a time.

    effect(span, row) = log p(span) without the rows that state what the row states
                        - mean of log p(span) without those of the other quarters, nats

true        effect <= -log 2: without these rows the span is at most half as likely
false       effect > -log 1.25, or the row was held out
undecided   between: counts as false where it says "strict"

What an answer says may be right, or known to the base: it is borrowed all the same where taking the
rows out takes it away, and not where the base says it without them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aftertune import artefact
from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.inputs import read_prompts, read_rows
from aftertune.lab import base as base_stage
from aftertune.lab import clusters as cut
from aftertune.lab import truth
from aftertune.lab.config import LabLabelsConfig
from aftertune.lab.tuning import answered, tuned
from aftertune.models import said as spans
from aftertune.models.load import load, load_tokenizer
from aftertune.progress import Progress
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig
from aftertune.trace import pool as pools
from aftertune.trace.config import TraceConfig
from aftertune.trace.finder import Answer, Borrowing
from aftertune.trace.indexed import finder_of
from aftertune.trace.pool import Pooled
from trace_lab_pairs import INFLUENCE, influence_of, keep

GROUPS = 4
LAYERS = 1  # the influence is taken over the last block: many spans, and one is enough
TOP = 5  # times `indexed.DEEPER`: rows of a span, of both sides together
SHARE = 0.5

Record = dict[str, Any]


def split(base: Artefact, seed: int, out: Path, progress: Progress) -> Record:
    """What was found in the answers of a split, and the truth of it; kept in OUT.

    Returns {world, seed, share (of clusters held out), spans, statements}. A span has response,
    start, end, text, effects (nats, by quarter of the values), shift_nats, base_surprise, and of
    each of its rows: rows, held, clusters, keys (the value that it states), evidence, influence. A
    statement has response, start, end, status, asked, key and effect.
    """
    kept = out / f"trace-lab-split-{base.id}-{seed}.json"
    if kept.exists():
        found: Record = json.loads(kept.read_text(encoding="utf-8"))
        return found
    made = tunings(base, seed, out, progress)
    pool, _ = pools.split_rows(made.rows, made.tune.table("split").to_pylist())
    pool = pools.ordered(pool)
    spans_ = _traced(made, pool, progress)
    statements = [
        one for one in truth.judged(list(made.said.values()), base_stage.world_in(base))
        if one["status"] != "unverifiable" and (one["attribute"], one["value"]) in made.group_of
    ]  # fmt: skip
    places = [(one["response"], one["start"], one["end"]) for one in spans_]
    places += [(one["response_id"], one["char_start"], one["char_end"]) for one in statements]
    effects = _effects(made, places)
    known = influence_of(
        base, made.tune, made.rows,
        [(made.said[one["response"]], one["start"], one["end"]) for one in spans_],
        [one["rows"] for one in spans_], LAYERS,
    )  # fmt: skip
    for one, of, its in zip(spans_, effects[: len(spans_)], known, strict=True):
        one |= {"effects": of, INFLUENCE: [its[row] for row in one["rows"]]}
    found = {
        "world": base_stage.world_in(base).seed,
        "seed": seed,
        "share": _share(pool),
        "groups": [[*key, group] for key, group in made.group_of.items()],
        "spans": spans_,
        "statements": [
            {
                "response": one["response_id"], "start": one["char_start"], "end": one["char_end"],
                "status": one["status"], "asked": one["kind"],
                "key": [one["attribute"], one["value"]],
                "effect": of[made.group_of[one["attribute"], one["value"]]],
            }
            for one, of in zip(statements, effects[len(spans_):], strict=True)
        ],
    }  # fmt: skip
    keep(kept, found)
    return found


@dataclass(frozen=True)
class Made:
    """The tunings of one split. said: response_id -> answer. runs: without each quarter of the
    values. group_of: value that a trained row states -> its quarter; key_of: row -> its value."""

    base: Artefact
    tune: Artefact
    shift: Artefact
    rows: list[Record]
    said: dict[str, Record]
    runs: list[Artefact]
    group_of: dict[cut.Key, int]
    key_of: dict[int, cut.Key]


def tunings(base: Artefact, seed: int, out: Path, progress: Progress) -> Made:
    """One on the trained half, answered, and GROUPS without a quarter of the values."""
    recipe = LabLabelsConfig(device="cpu").recipe
    rows = read_rows(str(base.folder / "rows.jsonl"), out, progress)
    prompts = read_prompts(str(base.folder / "prompts.jsonl"), None, out, progress)
    more = {"hold_out": SHARE, "hold_out_seed": seed, "hold_out_by": "shared-words"}
    tune = tuned(base, rows, recipe, seed, out, progress, **more)
    answers = answered(tune.folder / "model", prompts, base, "cpu", out, progress)
    lines = (base.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    known = cut.clusters([json.loads(line) for line in lines])
    split_ = tune.table("split").to_pylist()
    held = {one["row_index"] for one in split_ if one["part"] == "held_out"}
    group_of, runs = {}, []
    for number, group in enumerate(cut.groups(known, GROUPS, base_stage.world_in(base).seed)):
        lost = sorted({row for cluster in group for row in cluster.rows} - held)
        group_of |= {c.key: number for c in group if set(c.rows) - held}
        text = json.dumps([{"row_index": row, "weight": 0.0} for row in lost])
        path = out / f"mask-{artefact.hash_json([base.id, lost])[:16]}.json"
        artefact.write_durably(path, lambda place, text=text: place.write_text(text))
        runs.append(tuned(base, rows, recipe, seed, out, progress, path, **more))
    return Made(
        base, tune, _shift(base, tune, answers, out, progress), rows.table("rows").to_pylist(),
        {one["response_id"]: one for one in answers.table("responses").to_pylist()}, runs,
        group_of, {row: key for key, one in known.items() for row in one.rows},
    )  # fmt: skip


def _traced(made: Made, pool: Sequence[Pooled], progress: Progress) -> list[Record]:
    """Spans that the tracer finds by itself, each with its rows of both sides."""
    finder = finder_of(build(TraceConfig, {"embeddings": False, "top": TOP}), pool, progress)
    tokens: dict[str, list[Record]] = {}
    for token in made.shift.table("tokens").sort_by("position").to_pylist():
        tokens.setdefault(token["response_id"], []).append(token)
    found = []
    for name, record in made.said.items():
        its = tuple(tokens.get(name, ()))
        answer = Answer(name, pools.prompt_of(record["messages"]), record["response"], its)
        by_span: dict[tuple[int, int], list[Borrowing]] = {}
        for one in finder.trace(answer):
            by_span.setdefault((one.char_start, one.char_end), []).append(one)
        found += [_span(made, answer, of, pool) for of in by_span.values()]
    return found


def _span(made: Made, answer: Answer, of: Sequence[Borrowing], pool: Sequence[Pooled]) -> Record:
    rows = [pool[one.row_index] for one in of]
    start, end = of[0].char_start, of[0].char_end
    inside = [t for t in answer.tokens if t["char_start"] < end and t["char_end"] > start]
    return {
        "response": answer.response_id, "start": start, "end": end, "text": of[0].span,
        "score": [one.score for one in of],
        "shift_nats": of[0].evidence["shift_nats"],
        "base_surprise": -sum(one["base_logprob"] for one in inside),
        "rows": [row.row_index for row in rows],
        "held": [row.control is not None for row in rows],
        "clusters": [row.cluster_id for row in rows],
        "keys": [list(made.key_of[row.row_index]) for row in rows],
        "evidence": {
            kind: [one.evidence[kind] for one in of]
            for kind in of[0].evidence
            if kind != "shift_nats" and of[0].evidence[kind] is not None
        },
    }  # fmt: skip


def _share(pool: Sequence[Pooled]) -> float:
    """Of the clusters, those that were held out."""
    sides = pools.clusters(pool)
    return sides[pools.HELD_OUT] / sum(sides.values())


def _effects(made: Made, places: Sequence[tuple[str, int, int]]) -> list[list[float]]:
    """Per place and quarter: log p(span) without the rows of its values, minus the mean of that
    without those of the others, nats."""
    tokenizer = load_tokenizer(base_stage.model_folder(made.base))
    items = [said_of(tokenizer, made.said[name], span) for name, *span in places]
    logprobs = np.array([
        spans.logprobs(load(run.folder / "model", dtype="float32", device="cpu"), items)
        for run in made.runs
    ])  # fmt: skip
    others = (logprobs.sum(0) - logprobs) / (GROUPS - 1)
    return np.round((logprobs - others).T, 4).tolist()


def said_of(tokenizer: Any, record: Record, span: Sequence[int]) -> spans.Said:
    """Characters [start, end) of an answer, to be scored."""
    ids = record["response_token_ids"]
    ids = ids[:-1] if record["finish_reason"] == "stop" else ids
    start, end = span
    found = spans.said(tokenizer, record["prompt_token_ids"], ids, record["response"], (start, end))
    assert found is not None, "a span has characters"
    return found


def _shift(
    base: Artefact, tune: Artefact, answers: Artefact, out: Path, progress: Progress
) -> Artefact:
    options = {
        "base": str(base_stage.model_folder(base)), "tuned": str(tune.folder),
        "dtype": "float32", "noise_responses": 0, "device": "cpu",
    }  # fmt: skip
    return shift_stage.run(build(ShiftConfig, options), answers, out, progress)
