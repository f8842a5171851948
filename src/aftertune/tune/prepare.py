"""From the table of rows to what is trained: rendered rows, split, batch plan, self-test."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aftertune.artefact import Artefact
from aftertune.data import selftest
from aftertune.data.linked import linked
from aftertune.data.render import Rendered, render_row
from aftertune.data.templates import Template
from aftertune.errors import InputError
from aftertune.progress import Progress
from aftertune.tune import batches
from aftertune.tune.batches import PlanRow, Use
from aftertune.tune.config import TuneConfig
from aftertune.tune.loss import Encoded

# Rows that the self-test looks at: all of them up to here, the first in the order of use beyond.
SELF_TEST_ROWS = 2000
NOT_REACHED = "not reached within max_steps"
_WIDTH = 100


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before the model is touched. Keys of `encoded` are row_index."""

    encoded: dict[int, Encoded]
    uses: list[Use]
    split: list[dict[str, Any]]  # records of the table `split`
    self_test: selftest.SelfTest
    shown: Any  # one row as rich Text, its trained part coloured

    def rows_per_epoch(self) -> int:
        """Rows of a whole epoch, also where the run ends before it does."""
        return sum(r["part"] == "train" or r["reason"] == NOT_REACHED for r in self.split)

    def counts(self) -> dict[str, Any]:
        """For the manifest: rows by what became of them."""
        parts = Counter(record["part"] for record in self.split)
        train = [record for record in self.split if record["part"] == "train"]
        reasons = Counter(record["reason"] for record in self.split if record["part"] == "left_out")
        return {
            "done": parts["train"],
            "held_out": parts["held_out"],
            "skipped": dict(sorted(reasons.items())),
            "unscored": {},
            "masked": sum(record["weight"] == 0 for record in train),
            "cut_rows": sum(record["n_cut_tokens"] > 0 for record in train),
            "cut_tokens": sum(record["n_cut_tokens"] for record in train),
        }


def prepare(
    rows: Artefact,
    config: TuneConfig,
    template: Template,
    tokenizer: Any,
    weights: Mapping[int, float],
    taken: Artefact | None,
    progress: Progress,
) -> Prepared:
    """Render, split and plan. Raises InputError when no row is left, TemplateError when the
    self-test finds a row that would train the wrong tokens."""
    table = rows.table("rows").to_pylist()
    rendered, refused = _render(table, config, template, tokenizer, progress)
    units = _units(table, config, taken)
    plan_rows = [_plan_row(row, units, rendered.get(row["row_index"])) for row in table]
    uses, parts, reasons = _decide(plan_rows, config, taken)
    reasons = {**reasons, **refused}
    used = list(dict.fromkeys(use.row_index for use in uses))
    by_index = {row["row_index"]: row for row in table}
    if not any(weights.get(index, 1.0) for index in used):
        raise InputError("every row that would be trained has weight 0; give one of them a weight.")
    samples = [_sample(by_index[index], rendered[index]) for index in used[:SELF_TEST_ROWS]]
    self_test = selftest.check(
        samples, tokenizer, template, tokenizer.pad_token_id, config.train_on
    )
    self_test.raise_if_failed()
    return Prepared(
        encoded={
            index: _encoded(rendered[index], weights.get(index, 1.0)) for index in used
        },
        uses=uses,
        split=[
            _split_record(row, units, parts, reasons, weights, rendered.get(row["row_index"]))
            for row in table
        ],
        self_test=self_test,
        shown=selftest.coloured(_to_show(samples), tokenizer, _WIDTH),
    )  # fmt: skip


def _to_show(samples: Sequence[selftest.Sample]) -> Rendered:
    """The shortest of the first rows: one that fits on a screen."""
    return min((sample.rendered for sample in samples[:20]), key=lambda row: len(row.ids))


def _render(
    table: Sequence[Mapping[str, Any]],
    config: TuneConfig,
    template: Template,
    tokenizer: Any,
    progress: Progress,
) -> tuple[dict[int, Rendered], dict[int, str]]:
    """row_index -> the rendered row, and why a row cannot be rendered."""
    rendered: dict[int, Rendered] = {}
    refused: dict[int, str] = {}
    with progress.task("render rows", len(table)) as task:
        for row in table:
            try:
                rendered[row["row_index"]] = render_row(
                    row["messages"], row["tools"], template, tokenizer, config.max_length,
                    config.train_on, json.loads(row["tags"]),
                )  # fmt: skip
            except InputError as error:
                refused[row["row_index"]] = str(error)
            task.advance()
    return rendered, refused


def _decide(
    rows: Sequence[PlanRow], config: TuneConfig, taken: Artefact | None
) -> tuple[list[Use], dict[int, str], dict[int, str]]:
    """The batch plan; row_index -> part; row_index -> why it is left out."""
    if taken:
        theirs = {
            (r["row_id"], r["row_index"]): r["part"] for r in taken.table("split").to_pylist()
        }
        plan = [Use(**line) for line in taken.table("batch_plan").to_pylist()]
        uses, parts = batches.take_over(rows, plan, theirs)
        reason = "not in the plan that was taken over"
        return uses, parts, {index: reason for index, part in parts.items() if part == "left_out"}
    held = batches.hold_out(rows, config.hold_out, config.hold_out_seed)
    if config.hold_out and not held:
        raise InputError(
            f"no row can be held out: a share of {config.hold_out:g} of {len(rows)} rows is less "
            "than any group of rows that stay together, or all rows are one; give more rows or "
            "another share."
        )
    free = [row for row in rows if row.row_index not in held]
    chosen, reasons = batches.draw(
        free, config.subset_seed, config.subset, config.token_budget, config.epochs
    )
    if not chosen:
        found = ", ".join(f"{n} rows: {reason}" for reason, n in Counter(reasons.values()).items())
        raise InputError(f"no row is left to tune on ({found}); give more rows or looser limits.")
    uses = batches.plan(
        chosen,
        epochs=config.epochs,
        batch_size=config.batch_size,
        micro_batch_tokens=config.micro_batch_tokens,
        seed=config.shuffle_seed,
        group_by_length=config.group_by_length,
        max_steps=config.max_steps,
    )
    used = {use.row_index for use in uses}
    reasons |= {row.row_index: NOT_REACHED for row in chosen if row.row_index not in used}
    parts = dict.fromkeys(used, "train")
    parts |= dict.fromkeys(held, "held_out") | dict.fromkeys(reasons, "left_out")
    return uses, parts, reasons


def _units(
    table: Sequence[Mapping[str, Any]], config: TuneConfig, taken: Artefact | None
) -> dict[int, str]:
    """row_index -> what stays together with it where rows are held out: its near duplicates, or the
    rows whose answers share rare words with its own, or what another run kept together."""
    clusters = {row["row_index"]: row["cluster_id"] for row in table}
    if taken:
        theirs = {one["row_id"]: one["cluster_id"] for one in taken.table("split").to_pylist()}
        return {row["row_index"]: theirs.get(row["row_id"], row["cluster_id"]) for row in table}
    if config.hold_out_by == "near-duplicates":
        return clusters
    prompts, answers = (
        ["\n".join(one["content"] or "" for one in row["messages"]
                   if (one["role"] == "assistant") == said) for row in table]
        for said in (False, True)
    )  # fmt: skip
    return dict(zip(clusters, linked(prompts, answers, list(clusters.values())), strict=True))


def _plan_row(
    row: Mapping[str, Any], units: Mapping[int, str], rendered: Rendered | None
) -> PlanRow:
    n_trained = sum(rendered.loss_mask[1:]) if rendered else 0
    n_tokens = len(rendered.ids) if rendered else 0
    index = row["row_index"]
    return PlanRow(row["row_id"], index, units[index], n_tokens, n_trained)


def _encoded(rendered: Rendered, weight: float) -> Encoded:
    ids = np.asarray(rendered.ids, dtype=np.int64)
    return Encoded(ids, np.asarray(rendered.loss_mask, dtype=np.bool_), weight)


def _sample(row: Mapping[str, Any], rendered: Rendered) -> selftest.Sample:
    tags = json.loads(row["tags"])
    return selftest.Sample(row["row_index"], row["messages"], rendered, row["tools"], tags)


def _split_record(
    row: Mapping[str, Any],
    units: Mapping[int, str],
    parts: Mapping[int, str],
    reasons: Mapping[int, str],
    weights: Mapping[int, float],
    rendered: Rendered | None,
) -> dict[str, Any]:
    index = row["row_index"]
    return {
        "row_id": row["row_id"],
        "row_index": index,
        "cluster_id": units[index],
        "part": parts[index],
        "reason": reasons.get(index) if parts[index] == "left_out" else None,
        "weight": weights.get(index, 1.0),
        "n_tokens": len(rendered.ids) if rendered else None,
        "n_trained_tokens": sum(rendered.loss_mask[1:]) if rendered else None,
        "n_cut_tokens": rendered.n_cut if rendered else None,
    }
