"""Which response, and which prompt, every row of a `tokens` table belongs to (pure).

Prompts are what was drawn independently, so intervals draw them: a prompt that is asked twice, or
sampled from three times, is no second witness.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aftertune.errors import InputError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Numbers from 0 in order of appearance: responses among the tokens, prompts among those.

    response [tokens]: the number of each row's response. prompt_of [responses]: the number of each
    response's prompt. response_ids [responses].
    """

    response_ids: list[str]
    response: Ints
    prompt_of: Ints
    n_prompts: int

    @property
    def n_responses(self) -> int:
        return len(self.response_ids)

    @property
    def prompt(self) -> Ints:
        """The number of each row's prompt [tokens]."""
        return self.prompt_of[self.response]


def groups_of(tokens: pa.Table, prompt_of: Mapping[str, str] | None = None) -> Groups:
    """The groups of a `tokens` table.

    prompt_of: response_id -> prompt_id; without it every response is its own prompt. Raises
    InputError when it lacks a response.
    """
    coded = tokens.column("response_id").combine_chunks().dictionary_encode()
    ids = coded.dictionary.to_pylist()
    response = coded.indices.to_numpy().astype(np.int64)
    if prompt_of is None:
        return Groups(ids, response, np.arange(len(ids)), len(ids))
    numbers: dict[str, int] = {}
    places = []
    for response_id in ids:
        if response_id not in prompt_of:
            raise missing(response_id)
        places.append(numbers.setdefault(prompt_of[response_id], len(numbers)))
    return Groups(ids, response, np.asarray(places, np.int64), len(numbers))


def prompts_of(responses: pa.Table) -> dict[str, str]:
    """response_id -> prompt_id of a `responses` table."""
    ids, prompts = (responses.column(name).to_pylist() for name in ("response_id", "prompt_id"))
    return dict(zip(ids, prompts, strict=True))


def of_responses(groups: Groups, responses: pa.Table, column: str) -> list[str]:
    """A column of the responses that have tokens, in the order of `groups`.

    Raises InputError when a response is missing.
    """
    ids = responses.column("response_id").to_pylist()
    held = dict(zip(ids, responses.column(column).to_pylist(), strict=True))
    for response_id in groups.response_ids:
        if response_id not in held:
            raise missing(response_id)
    return [held[response_id] for response_id in groups.response_ids]


def missing(response_id: str) -> InputError:
    """The tokens are of a response that nobody gave."""
    return InputError(
        f"the tokens are of response {response_id!r}, which is not among the responses; "
        "give the responses that were scored."
    )
