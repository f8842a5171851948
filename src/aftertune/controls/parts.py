"""What a shift is made of: template, style and content, as Shapley values (pure numpy).

KL(tuned from variant) is taken on one text, the tuned model's own answers, from four variants that
stand nearer and nearer to the tuned model:

    none       the base under its own template
    template   the base under the tuned model's template
    style      the style twin (`permute.py`) under the base's own template
    both       the style twin under the tuned model's template

    template = 1/2 [(none - template) + (style - both)]
    style    = 1/2 [(none - style) + (template - both)]
    content  = both

Each is its mean drop over both orders in which template and style can be given, so what only the
two together do is split equally. The three sum to `none`, the whole shift. A part can be negative:
then the variant that has it stands further from the tuned model than the one that lacks it.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aftertune.controls.answers import answers_of
from aftertune.errors import InputError
from aftertune.shift.groups import groups_of, missing
from aftertune.stats.intervals import DRAWS, LEVEL, absent, interval_of, resamples

VARIANTS = ("none", "template", "style", "both")
PARTS = ("template", "style", "content")

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def shapley(values: npt.ArrayLike) -> Array:
    """KL from the four VARIANTS [..., 4], in nats -> the three PARTS [..., 3], in nats."""
    none, template, style, both = np.moveaxis(np.asarray(values, np.float64), -1, 0)
    return np.stack(
        [
            ((none - template) + (style - both)) / 2,
            ((none - style) + (template - both)) / 2,
            both,
        ],
        axis=-1,
    )


def share_out(
    sums: npt.ArrayLike, counts: npt.ArrayLike, prompts: npt.ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """The parts of a shift with their intervals, as JSON values.

    sums [R, 4]: each response's summed KL in nats from the four VARIANTS. counts [R]: how many
    tokens were summed; responses of none are left out. prompts [R]: which prompt each answers;
    prompts are drawn again, all numbers in one set of resamples, so the parts add up in each.

    {n_responses, n_prompts, n_tokens, per_response, per_token}; the last two hold
    {variants: {name: interval}, parts: {name: interval}, shares: {name: interval}, together:
    interval}: shares are of the whole shift, and `together` is what template and style do beyond
    the sum of what each does alone, which the parts split.
    """
    total, n_tokens = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    of_prompt = np.asarray(prompts)
    if total.shape != (len(n_tokens), len(VARIANTS)) or of_prompt.shape != n_tokens.shape:
        raise ValueError(f"sums {total.shape} must be [R, 4], counts and prompts [R]")
    some = n_tokens > 0
    total, n_tokens = total[some], n_tokens[some]
    known, inverse = np.unique(of_prompt[some], return_inverse=True)
    number = inverse.astype(np.int64)
    per_token = _over(number, len(known), total, n_tokens)
    means = total / n_tokens[:, None]
    per_response = _over(number, len(known), means, np.ones(len(means)))
    return {
        "n_responses": len(total),
        "n_prompts": len(known),
        "n_tokens": int(n_tokens.sum()),
        "per_response": _parted(*per_response, seed),
        "per_token": _parted(*per_token, seed),
    }


def summed(tokens: pa.Table, stops: Mapping[str, int]) -> dict[str, tuple[float, int]]:
    """response_id -> summed KL(tuned from base) in nats of a `tokens` table, and of how many
    tokens; the position that `stops` names for a response is left out.
    """
    groups = groups_of(tokens)
    n = groups.n_responses
    stop = np.asarray([stops.get(response_id, -1) for response_id in groups.response_ids], int)
    kept = tokens.column("position").to_numpy() != stop[groups.response]
    kl = tokens.column("kl_tuned_base_nats").to_numpy().astype(np.float64)
    sums = np.bincount(groups.response[kept], kl[kept], n)
    counts = np.bincount(groups.response[kept], minlength=n)
    places = enumerate(groups.response_ids)
    return {one: (float(sums[place]), int(counts[place])) for place, one in places}


def stop_positions(responses: pa.Table, stop_ids: Collection[int]) -> dict[str, int]:
    """response_id -> the position of its stop token, for the responses that end with one."""
    answers = answers_of(responses, stop_ids)
    return {answer.response_id: len(answer.ids) for answer in answers if answer.stopped}


def together(
    variants: Mapping[str, Mapping[str, tuple[float, int]]], prompt_of: Mapping[str, str]
) -> tuple[Array, Array, list[str]]:
    """`share_out`'s sums [R, 4], counts [R] and prompts [R] of the responses that were scored from
    all four VARIANTS (each as `summed` gives it). prompt_of: response_id -> prompt_id.

    Raises InputError when a response has no prompt, or other tokens were scored in one of them.
    """
    scored = [variants[name] for name in VARIANTS]
    ids = [one for one in scored[0] if all(one in other for other in scored[1:])]
    for one in ids:
        if one not in prompt_of:
            raise missing(one)
        if len({other[one][1] for other in scored}) > 1:
            raise InputError(
                f"response {one!r} was not scored at the same tokens in all four comparisons; "
                "run them on the same responses."
            )
    sums = np.asarray([[other[one][0] for other in scored] for one in ids], np.float64)
    counts = np.asarray([scored[0][one][1] for one in ids], np.float64)
    return sums.reshape(-1, len(VARIANTS)), counts, [prompt_of[one] for one in ids]


def _over(number: Ints, n: int, values: Array, weights: Array) -> tuple[Array, Array]:
    """Sums over the responses of n prompts, of values [R, 4] and weights [R]."""
    columns = [np.bincount(number, column, n) for column in (*values.T, weights)]
    sums = np.asarray(columns, np.float64).T
    return sums[:, :-1], sums[:, -1]


def _parted(top: Array, bottom: Array, seed: int) -> dict[str, Any]:
    """Variants, parts and shares of means top / bottom over prompts, from top [P, 4], bottom [P]"""
    n = len(bottom)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = top.sum(0) / bottom.sum()
        draws = [(w @ top) / (w @ bottom)[:, None] for w in resamples(n, seed, DRAWS)]
    drawn = np.concatenate([means[None, :], *draws])  # the estimate, then the resamples
    parts = shapley(drawn)
    none, template, style, both = drawn.T
    joint = (none - template) - (style - both)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = parts / none[:, None]

    def interval(column: Array) -> dict[str, Any]:
        return interval_of(float(column[0]), column[1:], n, LEVEL).as_json()

    nothing = absent("there is no shift to share out", n).as_json()
    return {
        "variants": {name: interval(drawn[:, i]) for i, name in enumerate(VARIANTS)},
        "parts": {name: interval(parts[:, i]) for i, name in enumerate(PARTS)},
        "shares": {
            name: nothing if n and means[0] == 0 else interval(shares[:, i])
            for i, name in enumerate(PARTS)
        },
        "together": interval(joint),
    }
