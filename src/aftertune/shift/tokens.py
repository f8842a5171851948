"""The `tokens` table: the numbers of `metrics` beside what and where each token is; and the table
`lin2024_top30`, which holds those of `compat` for the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from aftertune import schema
from aftertune.errors import InputError
from aftertune.shift.categories import CATEGORIES
from aftertune.shift.compat import prefix
from aftertune.shift.metrics import ABSENT
from aftertune.text.sentences import sentence_bounds, sentence_of_tokens
from aftertune.text.spans import pieces, spans

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Placed:
    """The tokens of one response and where they stand in its text; lists of one length."""

    response_id: str
    ids: list[int]
    pieces: list[str]
    spans: list[tuple[int, int]]
    sentence: list[int]
    position_in_sentence: list[int]


def placed(
    tokenizer: Any, response_id: str, ids: Sequence[int], text: str, stopped: bool = False
) -> Placed:
    """Places the tokens of a response; raises InputError when they do not decode to its text.

    stopped: it ended with a stop token, which is no part of the text and has an empty span there
    (also where the tokenizer does not count it among its special tokens).
    """
    try:
        at = spans(tokenizer, ids, text)
    except InputError:
        if not stopped:
            raise
        at = [*spans(tokenizer, ids[:-1], text), (len(text), len(text))]
    sentence, position = sentence_of_tokens(at, sentence_bounds(text), text)
    return Placed(response_id, list(ids), pieces(tokenizer, ids), at, sentence, position)


def table(one: Placed, metrics: Mapping[str, Tensor]) -> pa.Table:
    """The rows of one response; `metrics` as from `position_metrics`, one value per token."""
    n = len(one.ids)
    columns: dict[str, Any] = {
        "response_id": [one.response_id] * n,
        "position": list(range(n)),
        "token_id": one.ids,
        "token": one.pieces,
        "char_start": [start for start, _ in one.spans],
        "char_end": [end for _, end in one.spans],
        "sentence": one.sentence,
        "position_in_sentence": one.position_in_sentence,
        "category": [(None, *CATEGORIES)[code] for code in metrics["category"].tolist()],
        "base_top": _tops(metrics["base_top_ids"], metrics["base_top_probs"]),
        "tuned_top": _tops(metrics["tuned_top_ids"], metrics["tuned_top_probs"]),
    }
    # no ties are 0 as well, so where they are absent only the rank says
    without = metrics["base_rank_of_tuned_argmax"].numpy() == ABSENT
    ties = pa.array(metrics["rank_ties"].numpy(), mask=without)
    return _table("tokens", {**columns, "rank_ties": ties}, metrics)


def lin2024_table(one: Placed, metrics: Mapping[str, Tensor]) -> pa.Table:
    """The same rows of `lin2024_top30`; `metrics` as from `compat_metrics`, one value per token."""
    n = len(one.ids)
    category = prefix() + "category"
    columns = {
        "response_id": [one.response_id] * n,
        "position": list(range(n)),
        category: [(None, *CATEGORIES)[code] for code in metrics[category].tolist()],
    }
    return _table("lin2024_top30", columns, metrics)


def _table(name: str, columns: Mapping[str, Any], metrics: Mapping[str, Tensor]) -> pa.Table:
    """A table of `columns` and, for the others, of `metrics`."""
    arrays = []
    for field in schema.TABLES[name]:
        if field.name in columns:
            arrays.append(pa.array(columns[field.name]).cast(field.type))
            continue
        values = metrics[field.name].numpy()
        arrays.append(pa.array(values, mask=_missing(values, field)).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema.TABLES[name])


def _missing(values: Array, field: pa.Field) -> npt.NDArray[np.bool_] | None:
    if not field.nullable:
        return None
    missing: npt.NDArray[np.bool_] = (
        np.isnan(values) if values.dtype.kind == "f" else values == ABSENT
    )
    return missing


def _tops(ids: Tensor, probs: Tensor) -> pa.Array:
    n, k = ids.shape
    pairs = pa.StructArray.from_arrays(
        [pa.array(ids.numpy().ravel(), pa.int32()), pa.array(probs.numpy().ravel(), pa.float32())],
        fields=list(schema.TOP_TOKENS.value_type),
    )
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * k)
    return pa.ListArray.from_arrays(offsets, pairs, type=schema.TOP_TOKENS)
