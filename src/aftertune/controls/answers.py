"""Answers and their values by position, as the controls compare them (pure).

The stop token is left out everywhere: another template may end answers with another token, and a
base that never saw a template does not know how to end one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aftertune.shift.groups import groups_of
from aftertune.stats.intervals import Interval, bootstrap_mean

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """One response that has token ids; `ids` are without its stop token.

    ended: stop, length or given, as in the table `responses`. stopped: a stop token was left out.
    """

    response_id: str
    prompt_id: str
    ids: list[int]
    ended: str
    stopped: bool = False


@dataclass(frozen=True)
class PerPrompt:
    """Values of the same prompts in the same order, so that two of these can be paired.

    sums [P]: sum over the values of all its answers, counts [P]: how many values. means [P]: sum
    over its answers of their means, answers [P]: how many answers.
    """

    sums: Array
    counts: Array
    means: Array
    answers: Array

    def per_token(self, seed: int) -> Interval:
        """Mean over all values; prompts are drawn."""
        return over_prompts(bootstrap_mean(self.sums, self.counts, seed))

    def per_response(self, seed: int) -> Interval:
        """Mean over answers of their means; prompts are drawn."""
        return over_prompts(bootstrap_mean(self.means, self.answers, seed))

    def both(self, seed: int) -> dict[str, Any]:
        """Both means as JSON values."""
        return {
            "per_token": self.per_token(seed).as_json(),
            "per_response": self.per_response(seed).as_json(),
        }


def over_prompts(interval: Interval) -> Interval:
    """The same interval, called after what was drawn: prompts, not responses."""
    reason = interval.reason and interval.reason.replace("one response", "one prompt")
    method = interval.method.replace("over responses", "over prompts")
    return replace(interval, method=method, reason=reason)


def answers_of(responses: pa.Table, stop_ids: Collection[int]) -> list[Answer]:
    """The answers of a `responses` table that have token ids, in its order."""
    columns = ["response_id", "prompt_id", "response_token_ids", "finish_reason"]
    found = []
    for record in responses.select(columns).to_pylist():
        ids = record["response_token_ids"]
        if ids is None:
            continue
        ended = record["finish_reason"]
        stopped = ended == "stop" and bool(ids) and ids[-1] in stop_ids
        kept = ids[:-1] if stopped else ids
        found.append(Answer(record["response_id"], record["prompt_id"], kept, ended, stopped))
    return found


def values_of(
    tokens: pa.Table, answers: Sequence[Answer], column: str = "kl_tuned_base_nats"
) -> dict[str, Array]:
    """response_id -> a numeric column of a `tokens` table by position, without the stop token.

    An answer that was not scored, or that has nothing but a stop token, is not in it.
    """
    groups = groups_of(tokens)
    order = np.lexsort((tokens.column("position").to_numpy(), groups.response))
    values = tokens.column(column).to_numpy().astype(np.float64)[order]
    ends = np.cumsum(np.bincount(groups.response, minlength=groups.n_responses))
    split = dict(zip(groups.response_ids, np.split(values, ends[:-1]), strict=True))
    return {
        one.response_id: split[one.response_id][: len(one.ids)]
        for one in answers
        if one.response_id in split and one.ids
    }


def per_prompt(
    values: Mapping[str, Array], prompt_of: Mapping[str, str], prompts: Sequence[str]
) -> PerPrompt:
    """`values` (response_id -> [positions]) gathered by prompt, in the order of `prompts`.

    Answers to other prompts and answers without values do not count.
    """
    place = {prompt: number for number, prompt in enumerate(prompts)}
    sums, counts, means, answers = (np.zeros(len(prompts)) for _ in range(4))
    for response_id, some in values.items():
        number = place.get(prompt_of[response_id])
        if number is None or not len(some):
            continue
        sums[number] += some.sum()
        counts[number] += len(some)
        means[number] += some.mean()
        answers[number] += 1
    return PerPrompt(sums, counts, means, answers)
