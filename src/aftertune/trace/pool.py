"""Among which rows borrowings are looked for: the rows tuned on, and control rows (pure).

All stand in one pool and are searched together. Its order comes from their content alone, so where
two rows are equally good, which is named says nothing of which was tuned on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aftertune.artefact import hash_json
from aftertune.data.clusters import near_pairs
from aftertune.errors import InputError
from aftertune.trace.permuted import pairs, traded

HELD_OUT, PERMUTED = "held-out rows", "permuted rows"
LEFT_OUT = "left out of the tuning"
NOTHING_TRAINED = "no trained token"
WEIGHT_0 = "weight 0"
SEEN = "near duplicate of a row"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Pooled:
    """One row of the pool. control: the name of the control that it belongs to, None for a row that
    the model was tuned on. row_index: its place in its own source. cluster_id: what stayed together
    with it when rows were held out; near: its near duplicates alone, which are at most that."""

    row_id: str
    row_index: int
    cluster_id: str
    messages: Sequence[Mapping[str, Any]]
    control: str | None
    near: str


def split_rows(
    rows: Sequence[Record], split: Sequence[Record] | None
) -> tuple[list[Pooled], dict[str, int]]:
    """The rows tuned on and those held out, and how many of the others there are, by reason.

    rows, split: records of the tables of those names; without a split all rows count as tuned on.
    Clusters are what stayed together when rows were held out. Held-out rows that could not have
    been trained on are left out like the others. Raises InputError where the split is not of these
    rows.
    """
    if split is None:
        return [_pooled(row, None) for row in rows], {}
    parts = {(one["row_id"], one["row_index"]): one for one in split}
    found, others = [], Counter[str]()
    for row in rows:
        part = parts.get((row["row_id"], row["row_index"]))
        if part is None:
            raise InputError(
                f"row {row['row_index']} was not among the rows of the tuning; give --data the "
                "rows that it was tuned with."
            )
        reason = _why_not(part)
        if reason:
            others[reason] += 1
        else:
            side = HELD_OUT if part["part"] == "held_out" else None
            found.append(replace(_pooled(row, side), cluster_id=part["cluster_id"]))
    return found, dict(sorted(others.items()))


def _why_not(part: Record) -> str | None:
    if part["part"] == "left_out":
        return LEFT_OUT
    if not part["n_trained_tokens"]:
        return NOTHING_TRAINED
    return WEIGHT_0 if part["weight"] == 0 else None


def unseen(
    name: str, rows: Sequence[Record], pool: Sequence[Pooled]
) -> tuple[list[Pooled], dict[str, int]]:
    """The rows of a control, without near duplicates of the pool's, which the model has seen."""
    texts = [_text(row["messages"]) for row in rows]
    near = near_pairs(texts, [_text(row.messages) for row in pool])
    seen = {query for query, _, _ in near}
    kept = [_pooled(row, name) for place, row in enumerate(rows) if place not in seen]
    return kept, {SEEN: len(seen)} if seen else {}


def permuted(rows: Sequence[Pooled], seed: int) -> list[Pooled]:
    """Control rows made of the rows tuned on, whose answers trade places."""
    tuned_on = [row for row in rows if row.control is None]
    messages = [row.messages for row in tuned_on]
    paired = pairs(messages, [row.cluster_id for row in tuned_on], seed)
    found = []
    for place, said in traded(messages, paired):
        name = f"r-{hash_json(said)[:16]}"
        found.append(Pooled(name, tuned_on[place].row_index, name, said, PERMUTED, name))
    return found


def ordered(pool: Iterable[Pooled]) -> list[Pooled]:
    """By the row's id, which is a hash of its content."""
    return sorted(pool, key=lambda row: (row.row_id, row.row_index))


def clusters(pool: Iterable[Pooled]) -> dict[str | None, int]:
    """Clusters of near duplicates on each side: None for the rows tuned on, or a control's name.

    Not of what stayed together: rows are held out up to a share of rows, and the share of groups of
    unlike sizes would be a draw of its own."""
    found = Counter(side for side, _ in {(row.control, row.near) for row in pool})
    return dict(found)


def prompt_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user asked, all turns."""
    return "\n".join(m["content"] or "" for m in messages if m["role"] == "user")


def _pooled(row: Record, control: str | None) -> Pooled:
    of = row["cluster_id"]
    return Pooled(row["row_id"], row["row_index"], of, row["messages"], control, of)


def _text(messages: Sequence[Mapping[str, Any]]) -> str:
    said = (one[part] for one in messages for part in ("thinking", "content", "tool_calls"))
    return "\n".join(text for text in said if text)
