"""Which rows are tuned on, and in which order: planned before the run, from content and seeds.

Every order here comes from a hash of (purpose, seed, row id), never from a generator's state or
from the order in which rows arrive. So a smaller subset is contained in a larger one, a row keeps
its place in the draw when others are added, and one batch plan serves several runs.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aftertune.errors import InputError


@dataclass(frozen=True)
class PlanRow:
    """What planning needs to know of one rendered row."""

    row_id: str
    row_index: int
    cluster_id: str
    n_tokens: int
    n_trained: int


class Use(NamedTuple):
    """One use of a row: a line of the table `batch_plan`. Steps count from 0."""

    step: int
    micro_batch: int
    slot: int
    epoch: int
    row_index: int
    row_id: str


def hold_out(rows: Sequence[PlanRow], share: float, seed: int) -> set[int]:
    """Row indexes to keep out of tuning: whole clusters, about `share` of all rows.

    Clusters are taken in the seed's order; one is passed over where it would lead further past
    the target than the rows taken so far fall short of it. At least one row stays for tuning.
    """
    if share == 0 or not rows:
        return set()
    target = max(1, round(share * len(rows)))
    sizes = Counter(row.cluster_id for row in rows)
    held: set[str] = set()
    count = 0
    for cluster in sorted(sizes, key=lambda name: _place("hold out", seed, name, 0)):
        size = sizes[cluster]
        if count < target and count + size - target <= target - count and count + size < len(rows):
            held.add(cluster)
            count += size
    return {row.row_index for row in rows if row.cluster_id in held}


def draw(
    rows: Sequence[PlanRow], seed: int, subset: int | None, token_budget: int | None, epochs: int
) -> tuple[list[PlanRow], dict[int, str]]:
    """The rows to tune on, by row_index, and why each other row is left out.

    Rows without a trained token never count. The first `subset` rows of the seed's order are
    taken, and of these the longest beginning whose tokens x epochs stay within `token_budget`.
    """
    left_out: dict[int, str] = {}
    chosen: list[PlanRow] = []
    spent = 0
    open_budget = True
    for row in _ordered(rows, "subset", seed):
        if row.n_trained == 0:
            left_out[row.row_index] = "no trained token"
        elif subset is not None and len(chosen) >= subset and open_budget:
            left_out[row.row_index] = "not in the subset"
        else:
            cost = row.n_tokens * epochs
            open_budget = open_budget and (token_budget is None or spent + cost <= token_budget)
            if open_budget:
                chosen.append(row)
                spent += cost
            else:
                left_out[row.row_index] = "over the token budget"
    return sorted(chosen, key=lambda row: row.row_index), left_out


def plan(
    rows: Sequence[PlanRow],
    *,
    epochs: int,
    batch_size: int,
    micro_batch_tokens: int,
    seed: int,
    group_by_length: bool,
    max_steps: int | None = None,
) -> list[Use]:
    """The batch plan: every row once per epoch, `batch_size` rows per optimiser step.

    Only the last step of an epoch may have fewer. With `group_by_length` rows of an epoch's
    order are sorted by length within stretches of many batches (at least four stretches to an
    epoch, so that batches differ between epochs), then the batches are shuffled. Within a step
    rows go from long to short and are cut into micro-batches of at most `micro_batch_tokens`
    tokens, padding counted; a longer row stands alone.
    """
    uses: list[Use] = []
    step = 0
    for epoch in range(epochs):
        for batch in _epoch(rows, batch_size, seed, epoch, group_by_length):
            if max_steps is not None and step >= max_steps:
                return uses
            uses.extend(
                Use(step, micro_batch, slot, epoch, row.row_index, row.row_id)
                for micro_batch, members in enumerate(_micro_batches(batch, micro_batch_tokens))
                for slot, row in enumerate(members)
            )
            step += 1
    return uses


def steps(uses: Sequence[Use]) -> list[list[list[int]]]:
    """The plan as row indexes: `[step][micro_batch][slot]`."""
    nested: list[list[list[int]]] = []
    for use in sorted(uses):
        if use.step == len(nested):
            nested.append([])
        if use.micro_batch == len(nested[use.step]):
            nested[use.step].append([])
        nested[use.step][use.micro_batch].append(use.row_index)
    return nested


def take_over(
    rows: Sequence[PlanRow], uses: Sequence[Use], parts: Mapping[tuple[str, int], str]
) -> tuple[list[Use], dict[int, str]]:
    """Another run's plan on these rows, and the part (train, held_out, left_out) of each row.

    `parts` gives (row_id, row_index) -> part of the other run's split. Rows are matched by
    row_id, and equal rows in the order of their places. Raises InputError naming the first row
    of the plan that is missing here or has no trained token here.
    """
    here = _by_occurrence([(row.row_id, row.row_index) for row in rows])
    there = _by_occurrence(list(parts))
    new_index = {old: here[key] for key, old in there.items() if key in here}
    trained = {row.row_index: row.n_trained for row in rows}
    taken = []
    for use in uses:
        index = new_index.get(use.row_index)
        if index is None:
            raise InputError(
                f"the plan to take over uses row {use.row_id} (row_index {use.row_index}), which "
                "is not among these rows; give the rows that the plan was made for."
            )
        if trained[index] == 0:
            raise InputError(
                f"the plan to take over uses row {use.row_id} (row_index {use.row_index}), which "
                "has no trained token here; use the other run's template and max_length."
            )
        taken.append(use._replace(row_index=index))
    used = {use.row_index for use in taken}
    matched = {new_index[old]: part for (_, old), part in parts.items() if old in new_index}
    of_row = {
        row.row_index: "train" if row.row_index in used
        else "held_out" if matched.get(row.row_index) == "held_out" else "left_out"
        for row in rows
    }  # fmt: skip
    return taken, of_row


def noise_seed(seed: int, step: int, micro_batch: int) -> int:
    """The seed of a micro-batch's dropout and NEFTune noise: 63 bits, unlike for unlike places.

    So noise follows from the place in the plan, not from which process computes it or what was
    computed before.
    """
    digest = _place("noise", seed, f"step {step}", micro_batch)
    return int.from_bytes(digest[:8]) >> 1


def _by_occurrence(keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """(row_id, how many equal rows stand before it) -> row_index."""
    seen: Counter[str] = Counter()
    places = {}
    for row_id, row_index in sorted(keys, key=lambda key: key[1]):
        places[row_id, seen[row_id]] = row_index
        seen[row_id] += 1
    return places


def _ordered(rows: Sequence[PlanRow], purpose: str, seed: int) -> list[PlanRow]:
    of_index = {row.row_index: row for row in rows}
    places = _by_occurrence([(row.row_id, row.row_index) for row in rows])
    keys = sorted(places, key=lambda key: _place(purpose, seed, *key))
    return [of_index[places[key]] for key in keys]


def _place(purpose: str, seed: int, name: str, occurrence: int) -> bytes:
    return hashlib.sha256(f"{purpose}\n{seed}\n{name}\n{occurrence}".encode()).digest()


def _epoch(
    rows: Sequence[PlanRow], batch_size: int, seed: int, epoch: int, group_by_length: bool
) -> list[list[PlanRow]]:
    order = _ordered(rows, f"epoch {epoch}", seed)
    if group_by_length:
        stretch = max(1, min(50, len(order) // (4 * batch_size))) * batch_size
        order = [
            row
            for start in range(0, len(order), stretch)
            for row in sorted(order[start : start + stretch], key=lambda row: -row.n_tokens)
        ]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if not group_by_length:
        return batches
    short = batches[-1:] if batches and len(batches[-1]) < batch_size else []
    full = batches[: len(batches) - len(short)]
    numbers = sorted(range(len(full)), key=lambda n: _place(f"batches {epoch}", seed, "", n))
    return [full[number] for number in numbers] + short


def _micro_batches(batch: Sequence[PlanRow], micro_batch_tokens: int) -> Iterator[list[PlanRow]]:
    members: list[PlanRow] = []
    for row in sorted(batch, key=lambda row: -row.n_tokens):
        # the first member is the longest: it says how wide the padded micro-batch is
        if members and (len(members) + 1) * members[0].n_tokens > micro_batch_tokens:
            yield members
            members = []
        members.append(row)
    if members:
        yield members
