"""Where a shift is: kinds of token, tags of the prompt, beginnings at equal base entropy (pure).

From one `tokens` table and the `responses` that were scored. KL is KL(tuned from base) in nats,
a mean per token unless it says otherwise. Intervals are over prompts, each with all its responses,
and what cannot be given is absent with its reason.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aftertune.shift.categories import CATEGORIES
from aftertune.shift.groups import Groups, groups_of, of_responses, prompts_of
from aftertune.shift.words import frequent, words_of
from aftertune.stats.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_means,
    paired_difference,
)
from aftertune.stats.strata import STRATA, stratified_difference
from aftertune.text.kinds import KINDS, kinds_of_tokens

Array = npt.NDArray[Any]

KL = "kl_tuned_base_nats"
MAX_VALUES = 30  # different values of a tag that is still a group
MAX_VALUE_LENGTH = 80  # characters: longer is a text, and no group

# Why a tag is no group.
NOT_STRINGS = "its values are not strings or lists of strings"
FREE_TEXT = f"a value is longer than {MAX_VALUE_LENGTH} characters"
TOO_MANY = f"it has more than {MAX_VALUES} values"
ALL_ALONE = "no two responses share a value"
ONE_VALUE = "all responses have the same value"


def where(tokens: pa.Table, responses: pa.Table, seed: int = 0) -> dict[str, Any]:
    """All of this module as JSON values: kinds, tags, tags_left_out, sentence_start,
    response_start; and frequent_words (`shift.words.frequent`)."""
    prompt_of = prompts_of(responses)
    tags, left_out = by_tag(tokens, responses, seed)
    groups = groups_of(tokens, prompt_of)
    return {
        "kinds": by_kind(tokens, responses, seed),
        "tags": tags,
        "tags_left_out": left_out,
        "sentence_start": beginning(tokens, first_of_sentences(tokens), seed, prompt_of),
        "response_start": beginning(tokens, first_of_responses(tokens), seed, prompt_of),
        "frequent_words": frequent(words_of(tokens, responses, groups)),
    }


def by_kind(tokens: pa.Table, responses: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Per kind of token that occurs, in the order of KINDS:

    {kind, n_tokens, n_responses, share_of_tokens, kl, share_of_kl, categories: {name: share of
    the kind's tokens that have a category}}, all but the counts as intervals.
    """
    groups = groups_of(tokens, prompts_of(responses))
    codes, n = groups.prompt, groups.n_prompts
    kind = np.asarray([KINDS.index(name) for name in token_kinds(tokens, responses)], np.int64)
    members = kind[:, None] == np.arange(len(KINDS))
    present = np.flatnonzero(members.any(0))
    members = members[:, present]
    in_responses = _sums(members, groups.response, groups.n_responses)
    kl = tokens.column(KL).to_numpy().astype(np.float64)
    counts, sums = _sums(members, codes, n), _sums(members, codes, n, kl)
    # of all tokens (or all KL) of a prompt, what is of the kind
    everything = np.repeat(counts.sum(1, keepdims=True), len(present), axis=1)
    whole = np.repeat(np.bincount(codes, kl, n)[:, None], len(present), axis=1)
    means = bootstrap_means(sums, counts, seed)
    shares = bootstrap_means(counts, everything, seed)
    shares_of_kl = bootstrap_means(sums, whole, seed)
    categories = _categories(tokens, members, codes, n, seed)
    return [
        {
            "kind": KINDS[present[i]],
            "n_tokens": int(counts[:, i].sum()),
            "n_responses": int((in_responses[:, i] > 0).sum()),
            "share_of_tokens": shares[i].as_json(),
            "kl": means[i].as_json(),
            "share_of_kl": shares_of_kl[i].as_json(),
            "categories": categories[i],
        }
        for i in range(len(present))
    ]


def token_kinds(tokens: pa.Table, responses: pa.Table) -> list[str]:
    """The kind of each row of `tokens`, from the text of its response.

    Raises InputError when a response is missing.
    """
    groups = groups_of(tokens)
    codes, n = groups.response, groups.n_responses
    if n == 0:
        return []
    texts = of_responses(groups, responses, "response")
    starts = tokens.column("char_start").to_numpy()
    ends = tokens.column("char_end").to_numpy()
    order = np.argsort(codes, kind="stable")
    found = np.empty(len(codes), dtype=object)
    for text, rows in zip(
        texts, np.split(order, np.cumsum(np.bincount(codes, minlength=n))[:-1]), strict=True
    ):
        spans = list(zip(starts[rows].tolist(), ends[rows].tolist(), strict=True))
        found[rows] = kinds_of_tokens(text, spans)
    return [str(kind) for kind in found]


def by_tag(
    tokens: pa.Table, responses: pa.Table, seed: int = 0
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Per tag of the prompts that makes groups, its values; and why the other tags make none.

    A tag is a key of the responses' `tags` whose values are strings or lists of strings; a
    response with a list is in the group of each of its values, so groups may overlap. Values are
    sorted by their number of responses: {value, n_responses, n_tokens, kl: {per_token,
    per_response}, categories}. Responses that lack the key are in no group.
    """
    groups = groups_of(tokens, prompts_of(responses))
    if not groups.n_responses:
        return {}, {}
    tags = [json.loads(text) for text in of_responses(groups, responses, "tags")]
    found, left_out = {}, {}
    for key in sorted({key for held in tags for key in held}):
        values, reason = _values(tags, key)
        if reason is not None:
            left_out[key] = reason
            continue
        found[key] = _tag_groups(tokens, values, groups, seed)
    return found, left_out


def first_of_sentences(tokens: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows are among the first 5% of their sentence's tokens: rounded down, at least one."""
    codes = groups_of(tokens).response
    sentence = tokens.column("sentence").to_numpy().astype(np.int64)
    position = tokens.column("position_in_sentence").to_numpy()
    if len(codes) == 0:
        return np.zeros(0, bool)
    _, place = np.unique(np.stack([codes, sentence]), axis=1, return_inverse=True)
    return _first(position, np.bincount(place.ravel())[place.ravel()])


def first_of_responses(tokens: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows are among the first 5% of their response's tokens: rounded down, at least one."""
    codes = groups_of(tokens).response
    return _first(tokens.column("position").to_numpy(), np.bincount(codes)[codes])


def beginning(
    tokens: pa.Table, is_first: npt.NDArray[np.bool_], seed: int = 0,
    prompt_of: Mapping[str, str] | None = None, n_strata: int = STRATA,
) -> dict[str, Any]:  # fmt: skip
    """Mean KL of the tokens that `is_first` marks against the rest, as they are and at equal
    base entropy. prompt_of: response_id -> prompt_id; without it every response is its own prompt.

    {first, rest, difference, at_equal_entropy: {first, rest, difference, entropy_difference (what
    the strata leave of it, in nats), n_strata, n_used, n_first, n_first_used, n_rest,
    n_rest_used}}; means and differences are intervals. `rest` at equal entropy is reweighted to
    the base entropies of the first tokens; tokens without a counterpart are left out and counted.
    """
    groups = groups_of(tokens, prompt_of)
    codes, n = groups.prompt, groups.n_prompts
    kl = tokens.column(KL).to_numpy().astype(np.float64)
    entropy = tokens.column("base_entropy_nats").to_numpy().astype(np.float64)
    sides = np.stack([is_first, ~is_first], axis=1)
    sums, counts = _sums(sides, codes, n, kl), _sums(sides, codes, n)
    difference = paired_difference(sums[:, 0], sums[:, 1], counts[:, 0], counts[:, 1], seed)
    equal = stratified_difference(kl, entropy, is_first, codes, n_strata, seed)
    return {
        "first": bootstrap_mean(sums[:, 0], counts[:, 0], seed).as_json(),
        "rest": bootstrap_mean(sums[:, 1], counts[:, 1], seed).as_json(),
        "difference": difference.as_json(),
        "at_equal_entropy": {
            "first": equal.first.as_json(),
            "rest": equal.rest.as_json(),
            "difference": equal.difference.as_json(),
            "entropy_difference": equal.covariate_difference.as_json(),
            "n_strata": equal.n_strata,
            "n_used": equal.n_used,
            "n_first": equal.n_first,
            "n_first_used": equal.n_first_used,
            "n_rest": equal.n_rest,
            "n_rest_used": equal.n_rest_used,
        },
    }


def _first(position: Array, length: Array) -> npt.NDArray[np.bool_]:
    first: npt.NDArray[np.bool_] = position < np.maximum(1, length // 20)
    return first


def _values(tags: Sequence[Mapping[str, Any]], key: str) -> tuple[list[list[str]], str | None]:
    """Per response its values of a tag, each once; and why the tag makes no groups, if so."""
    held = [one.get(key) for one in tags]
    listed = [[] if v is None else v if isinstance(v, list) else [v] for v in held]
    if not all(isinstance(value, str) for values in listed for value in values):
        return [], NOT_STRINGS
    values = [list(dict.fromkeys(one)) for one in listed]
    flat = [value for one in values for value in one]
    different = set(flat)
    if any(len(value) > MAX_VALUE_LENGTH for value in different):
        return [], FREE_TEXT
    if len(different) == len(flat):
        return [], ALL_ALONE
    if len(different) > MAX_VALUES:
        return [], TOO_MANY
    if len(different) == 1 and len(flat) == len(tags):
        return [], ONE_VALUE
    return values, None


def _tag_groups(
    tokens: pa.Table, values: Sequence[Sequence[str]], groups: Groups, seed: int
) -> list[dict[str, Any]]:
    """One tag: per value the numbers of the responses that have it."""
    sizes: dict[str, int] = {}
    for one in values:
        for value in one:
            sizes[value] = sizes.get(value, 0) + 1
    names = sorted(sizes, key=lambda value: (-sizes[value], value))
    has = np.asarray([[name in one for name in names] for one in values], bool)
    members = has[groups.response]
    kl = tokens.column(KL).to_numpy().astype(np.float64)
    codes, n = groups.prompt, groups.n_prompts
    counts = _sums(members, codes, n)
    per_token = bootstrap_means(_sums(members, codes, n, kl), counts, seed)
    per_response = _means_of_responses(members, kl, groups, seed)
    categories = _categories(tokens, members, codes, n, seed)
    return [
        {
            "value": name,
            "n_responses": sizes[name],
            "n_tokens": int(counts[:, i].sum()),
            "kl": {
                "per_token": per_token[i].as_json(),
                "per_response": per_response[i].as_json(),
            },
            "categories": categories[i],
        }
        for i, name in enumerate(names)
    ]


def _means_of_responses(
    members: npt.NDArray[np.bool_], kl: Array, groups: Groups, seed: int
) -> list[Interval]:
    """Per column of members [tokens, C] the mean over responses of their means."""
    counts = _sums(members, groups.response, groups.n_responses)
    some = counts > 0
    with np.errstate(invalid="ignore"):
        means = _sums(members, groups.response, groups.n_responses, kl) / counts
    of_prompt = [
        np.bincount(groups.prompt_of[one], mean[one], groups.n_prompts)
        for one, mean in zip(some.T, means.T, strict=True)
    ]
    n_of_prompt = _sums(some, groups.prompt_of, groups.n_prompts)
    return bootstrap_means(np.stack(of_prompt, axis=1), n_of_prompt, seed)


def _categories(
    tokens: pa.Table, members: npt.NDArray[np.bool_], codes: Array, n: int, seed: int
) -> list[dict[str, Any]]:
    """Per column of members [tokens, C] the shares of its tokens that have a category."""
    category = tokens.column("category")
    known = members & category.is_valid().to_numpy()[:, None]
    counts = _sums(known, codes, n)
    found = {}
    for name in CATEGORIES:
        hit = pc.fill_null(pc.equal(category, name), False).to_numpy()
        found[name] = bootstrap_means(_sums(known & hit[:, None], codes, n), counts, seed)
    return [
        {name: intervals[i].as_json() for name, intervals in found.items()}
        for i in range(members.shape[1])
    ]


def _sums(
    members: npt.NDArray[np.bool_], codes: Array, n: int, values: Array | None = None
) -> npt.NDArray[np.float64]:
    """[n, C]: how many rows of each column of members [rows, C] have a code, or their sum."""
    columns = [
        np.bincount(codes[column], None if values is None else values[column], n)
        for column in members.T
    ]
    return np.asarray(columns, np.float64).reshape(members.shape[1], n).T
