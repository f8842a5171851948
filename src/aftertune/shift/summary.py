"""Headline numbers of one `tokens` table, with intervals over prompts (pure numpy).

Two means are given of everything: per token (a long response weighs more) and per response (all
weigh the same). What cannot be computed is absent with its reason. KL is KL(tuned from base), on
the responses that were scored.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aftertune.shift.categories import CATEGORIES, FIRST_RANK
from aftertune.shift.groups import Groups, groups_of
from aftertune.stats.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_means,
    paired_difference,
)

FREQUENT = 125  # tokens listed of each category, as in the paper's figure 12

MEANS = (
    "kl_tuned_base_nats",
    "kl_base_tuned_nats",
    "js_nats",
    "base_entropy_nats",
    "tuned_entropy_nats",
    "base_prob_of_tuned_argmax",
    "base_rank_of_tuned_argmax",
    "base_mass_outside_common",
    "tuned_mass_outside_common",
)

# Kinds of noise that a shift scored in a dtype must stand above. In float32 "precision" says what
# bfloat16 would do, so it is no floor there.
FLOOR_KINDS = {
    "float32": ("other_batching", "cached"),
    "bfloat16": ("other_batching", "cached", "precision"),
    "float16": ("other_batching", "cached", "precision"),
}

Array = npt.NDArray[Any]


def summarise(
    tokens: pa.Table, seed: int = 0, prompt_of: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The summary of a `tokens` table as JSON values.

    prompt_of: response_id -> prompt_id. Intervals draw prompts again, each with all its responses:
    a prompt that is asked twice, or sampled from three times, is no second witness. Without it
    every response is its own group.

    n_responses, n_prompts (groups), n_tokens;
    one entry per MEANS: {per_token, per_response}, each an interval;
    categories: {unshifted | marginal | shifted: {n, share, share_worst_tie_rank}}, shares of the
    tokens that have a category; the rank is the best of ties, and the worst is rank + rank_ties;
    ties: how often the rank is tied; without_rank: n and share of tokens whose tuned argmax is not
    a common id;
    sentence_start: mean KL per token of the first 5% of each sentence's tokens (at least one), of
    the rest, and their paired difference;
    along: mean KL per token by position in the response, in bins that double;
    frequent: {shifted | marginal: [{token_id, token, n, n_all}]}, by the token that stands there;
    n_all is how often it stands anywhere.
    """
    groups = groups_of(tokens, prompt_of)
    codes, n_groups = groups.prompt, groups.n_prompts
    kl = _floats(tokens, "kl_tuned_base_nats")
    result: dict[str, Any] = {
        "n_responses": groups.n_responses,
        "n_prompts": n_groups,
        "n_tokens": tokens.num_rows,
        "seed": seed,
    }
    for name in MEANS:
        values = _floats(tokens, name)
        result[name] = {
            "per_token": bootstrap_mean(*_sums(values, codes, n_groups), seed).as_json(),
            "per_response": _per_response(values, groups, seed),
        }
    result["categories"] = _categories(tokens, codes, n_groups, seed)
    result["ties"] = _share(
        _floats(tokens, "rank_ties") > 0, _has_rank(tokens), codes, n_groups, seed
    )
    everywhere = np.ones(len(codes), bool)
    without = ~_has_rank(tokens)
    result["without_rank"] = {
        "n": int(without.sum()),
        "share": _share(without, everywhere, codes, n_groups, seed),
    }
    result["sentence_start"] = _sentence_start(tokens, kl, groups, seed)
    result["along"] = _along(tokens, kl, codes, n_groups, seed)
    result["frequent"] = {name: _frequent(tokens, name) for name in CATEGORIES[1:]}
    return result


def per_response(tokens: pa.Table) -> dict[str, Array]:
    """Per response, in order of appearance: response_id, n_tokens and the mean of every MEANS.

    What models that answered the same prompts are compared by (`stats.intervals`).
    """
    groups = groups_of(tokens)
    n = groups.n_responses
    found: dict[str, Array] = {
        "response_id": np.asarray(groups.response_ids, dtype=object),
        "n_tokens": np.bincount(groups.response, minlength=n),
    }
    for name in MEANS:
        sums, counts = _sums(_floats(tokens, name), groups.response, n)
        with np.errstate(invalid="ignore"):
            found[name] = sums / counts
    return found


def summarise_floor(noise: pa.Table, dtype: str, absent: Mapping[str, str]) -> dict[str, Any]:
    """The `noise_floor` table in a few numbers.

    dtype: what the shift was scored in. absent: kind -> why it was not measured. Returns
    {kinds: {kind: {model: {mean_nats, p99_nats, max_nats, share_argmax_differs, n}}},
    floor_nats, floor_kind, floor_model, absent}: the floor is the largest mean that a shift in
    this dtype has to stand above.
    """
    frame = noise.to_pandas()
    kinds: dict[str, dict[str, Any]] = {}
    for (kind, model), rows in frame.groupby(["kind", "model"], sort=True):
        values = rows["kl_nats"].to_numpy(np.float64)
        kinds.setdefault(str(kind), {})[str(model)] = {
            "mean_nats": _finite(values.mean()),
            "p99_nats": _finite(np.quantile(values, 0.99)),
            "max_nats": _finite(values.max()),
            "share_argmax_differs": float(rows["argmax_differs"].mean()),
            "n": len(values),
        }
    candidates = [
        (numbers["mean_nats"], kind, model)
        for kind in FLOOR_KINDS[dtype]
        for model, numbers in kinds.get(kind, {}).items()
        if numbers["mean_nats"] is not None
    ]
    floor, kind, model = max(candidates, default=(None, None, None))
    return {
        "dtype": dtype,
        "kinds": kinds,
        "floor_nats": floor,
        "floor_kind": kind,
        "floor_model": model,
        "absent": dict(absent),
    }


def _finite(value: float) -> float | None:
    """None for what JSON cannot hold: an infinite or undefined mean."""
    return float(value) if np.isfinite(value) else None


def _floats(tokens: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A numeric column with NaN where it is null."""
    column = pc.cast(tokens.column(name), pa.float64())
    values: npt.NDArray[np.float64] = column.fill_null(float("nan")).to_numpy()
    return values


def _has_rank(tokens: pa.Table) -> npt.NDArray[np.bool_]:
    has: npt.NDArray[np.bool_] = tokens.column("base_rank_of_tuned_argmax").is_valid().to_numpy()
    return has


def _sums(values: Array, codes: Array, n: int, where: Array | None = None) -> tuple[Array, Array]:
    """Per group the sum of the values that are there (and in `where`), and how many."""
    used = ~np.isnan(values)
    if where is not None:
        used = used & where
    return (
        np.bincount(codes[used], weights=values[used], minlength=n),
        np.bincount(codes[used], minlength=n),
    )


def _per_response(values: Array, groups: Groups, seed: int) -> dict[str, Any]:
    """The mean over responses of their means; prompts are drawn again."""
    sums, counts = _sums(values, groups.response, groups.n_responses)
    some = counts > 0
    prompt = groups.prompt_of[some]
    of_prompt = np.bincount(prompt, weights=sums[some] / counts[some], minlength=groups.n_prompts)
    n_of_prompt = np.bincount(prompt, minlength=groups.n_prompts)
    return bootstrap_mean(of_prompt, n_of_prompt, seed).as_json()


def _share(hit: Array, among: Array, codes: Array, n: int, seed: int) -> dict[str, Any]:
    sums, counts = _sums(hit.astype(np.float64), codes, n, among)
    return bootstrap_mean(sums, counts, seed).as_json()


def _categories(tokens: pa.Table, codes: Array, n: int, seed: int) -> dict[str, Any]:
    has = _has_rank(tokens)
    best = _floats(tokens, "base_rank_of_tuned_argmax")
    worst = best + _floats(tokens, "rank_ties")
    found = {}
    for name, low, end in zip(CATEGORIES, FIRST_RANK, (*FIRST_RANK[1:], np.inf), strict=True):
        hit = (best >= low) & (best < end)
        hit_worst = (worst >= low) & (worst < end)
        found[name] = {
            "n": int(hit.sum()),
            "share": _share(hit, has, codes, n, seed),
            "share_worst_tie_rank": _share(hit_worst, has, codes, n, seed),
        }
    return found


def _sentence_start(tokens: pa.Table, kl: Array, groups: Groups, seed: int) -> dict[str, Any]:
    sentence = tokens.column("sentence").to_numpy().astype(np.int64)
    position = tokens.column("position_in_sentence").to_numpy()
    if len(kl) == 0:
        empty = bootstrap_mean([], [], seed).as_json()
        return {"first": empty, "rest": empty, "difference": empty}
    _, place = np.unique(np.stack([groups.response, sentence]), axis=1, return_inverse=True)
    length = np.bincount(place.ravel())[place.ravel()]
    first = position < np.maximum(1, length // 20)  # 5%, rounded down
    parts = [_sums(kl, groups.prompt, groups.n_prompts, where) for where in (first, ~first)]
    (first_sums, first_counts), (rest_sums, rest_counts) = parts
    difference = paired_difference(first_sums, rest_sums, first_counts, rest_counts, seed)
    return {
        "first": bootstrap_mean(first_sums, first_counts, seed).as_json(),
        "rest": bootstrap_mean(rest_sums, rest_counts, seed).as_json(),
        "difference": difference.as_json(),
    }


def _along(tokens: pa.Table, kl: Array, codes: Array, n: int, seed: int) -> list[dict[str, Any]]:
    """Bins [0, 1), [1, 2), [2, 4), [4, 8), ...: mean KL of the tokens whose position is within."""
    position = tokens.column("position").to_numpy()
    if len(position) == 0:
        return []
    n_bins = int(position.max()).bit_length() + 1
    starts = [0] + [2**i for i in range(n_bins - 1)]
    of_token = np.searchsorted(starts, position, side="right") - 1
    sums, counts = _sums(kl, codes * n_bins + of_token, n * n_bins)
    found: list[Interval] = bootstrap_means(
        sums.reshape(n, n_bins), counts.reshape(n, n_bins), seed
    )
    n_tokens = np.bincount(of_token, minlength=n_bins)
    return [
        {
            "start": start,
            "end": max(1, 2 * start),
            "n_tokens": int(n_tokens[i]),
            **found[i].as_json(),
        }
        for i, start in enumerate(starts)
    ]


def _frequent(tokens: pa.Table, category: str) -> list[dict[str, Any]]:
    """The tokens that most often stand where the category is; the lower id first on ties."""
    ids = tokens.column("token_id").to_numpy()
    here = pc.fill_null(pc.equal(tokens.column("category"), category), False).to_numpy()
    if not here.any():
        return []
    known, first, everywhere = np.unique(ids, return_index=True, return_counts=True)
    counts = np.bincount(np.searchsorted(known, ids[here]), minlength=len(known))
    order = np.lexsort((known, -counts))[:FREQUENT]
    pieces = tokens.column("token").combine_chunks()
    return [
        {
            "token_id": int(known[i]),
            "token": pieces[int(first[i])].as_py(),
            "n": int(counts[i]),
            "n_all": int(everywhere[i]),
        }
        for i in order
        if counts[i]
    ]
