"""Headline numbers of a table `lin2024_top30` (pure); `compat` says what its values are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from aftertune.shift.categories import CATEGORIES
from aftertune.shift.compat import K, absent_counts, note, prefix
from aftertune.shift.groups import Groups, groups_of
from aftertune.shift.metrics import ABSENT
from aftertune.stats.intervals import bootstrap_mean

MEANS = (
    "kl_base_tuned_nats",
    "shared_kl_base_tuned_nats",
    "n_shared",
    "base_rank_of_tuned_argmax",
    "base_prob_of_tuned_argmax",
)
RANK_NOTE = f"a rank beyond {K} counts as {K + 1}, so the mean rank is a lower bound"

Array = npt.NDArray[Any]


def summarise_compat(
    table: pa.Table, seed: int = 0, prompt_of: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """JSON values: note, k, rank_note; means: per token of each of MEANS, over the positions that
    have it; beyond_the_list: share of ranks beyond k; categories: {name: {n, share}}; absent:
    {column: {reason: positions}}. Names of columns are whole, and means and shares are intervals
    over prompts (prompt_of: response_id -> prompt_id; without it over responses).
    """
    groups = groups_of(table, prompt_of)
    rank = _floats(table, "base_rank_of_tuned_argmax")
    category = table.column(prefix() + "category")
    shares = {}
    for name in CATEGORIES:
        hit = pc.fill_null(pc.equal(category, name), False).to_numpy()
        share = np.where(np.isnan(rank), np.nan, hit)
        shares[name] = {"n": int(hit.sum()), "share": _mean(share, groups, seed)}
    return {
        "note": note(),
        "k": K,
        "rank_note": RANK_NOTE,
        "means": {prefix() + name: _mean(_floats(table, name), groups, seed) for name in MEANS},
        "beyond_the_list": _mean(np.where(np.isnan(rank), np.nan, rank > K), groups, seed),
        "categories": shares,
        "absent": _absent(table),
    }


def _absent(table: pa.Table) -> dict[str, dict[str, int]]:
    rank = _floats(table, "base_rank_of_tuned_argmax")
    columns = {
        "base_rank_of_tuned_argmax": np.nan_to_num(rank, nan=ABSENT),
        "n_shared": _floats(table, "n_shared"),
    }
    return absent_counts({prefix() + name: torch.tensor(v) for name, v in columns.items()})


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A numeric column, named without its prefix, with NaN where it is null."""
    column = pc.cast(table.column(prefix() + name), pa.float64())
    values: npt.NDArray[np.float64] = column.fill_null(float("nan")).to_numpy()
    return values


def _mean(values: Array, groups: Groups, seed: int) -> dict[str, Any]:
    there = ~np.isnan(values)
    prompt = groups.prompt[there]
    sums = np.bincount(prompt, values[there], groups.n_prompts)
    return bootstrap_mean(sums, np.bincount(prompt, minlength=groups.n_prompts), seed).as_json()
