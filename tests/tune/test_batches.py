"""The plan follows from content and seeds alone."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.errors import InputError
from aftertune.tune.batches import PlanRow, draw, hold_out, plan, steps, take_over

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=80)
seeds = st.integers(0, 5)


def rows_of(token_counts: list[int], per_cluster: int = 1) -> list[PlanRow]:
    return [
        PlanRow(f"row-{n}", 10 * n, f"cluster-{n // per_cluster}", count, max(1, count // 2))
        for n, count in enumerate(token_counts)
    ]


def plan_of(rows: list[PlanRow], **changes: object) -> list[tuple[object, ...]]:
    asked: dict[str, object] = {
        "epochs": 2, "batch_size": 4, "micro_batch_tokens": 256, "seed": 0, "group_by_length": True,
    }  # fmt: skip
    return [tuple(use) for use in plan(rows, **{**asked, **changes})]  # type: ignore[arg-type]


@given(lengths, st.integers(1, 9), st.integers(1, 4), st.booleans(), seeds)
def test_every_row_once_per_epoch_in_full_steps(
    counts: list[int], batch_size: int, epochs: int, grouped: bool, seed: int
) -> None:
    rows = rows_of(counts)
    uses = plan(rows, epochs=epochs, batch_size=batch_size, micro_batch_tokens=256, seed=seed,
                group_by_length=grouped)  # fmt: skip
    for epoch in range(epochs):
        used = [use for use in uses if use.epoch == epoch]
        assert sorted(use.row_index for use in used) == [row.row_index for row in rows]
        sizes = list(Counter(use.step for use in used).values())
        assert all(size == batch_size for size in sizes[:-1])
        assert sizes[-1] == (len(rows) - 1) % batch_size + 1
    assert [use.step for use in uses] == sorted(use.step for use in uses)
    assert {use.step for use in uses} == set(range(epochs * -(-len(rows) // batch_size)))


@given(lengths, st.integers(1, 400), st.booleans())
def test_micro_batches_stay_within_their_padded_tokens(
    counts: list[int], micro_batch_tokens: int, grouped: bool
) -> None:
    rows = rows_of(counts)
    tokens = {row.row_index: row.n_tokens for row in rows}
    uses = plan(rows, epochs=1, batch_size=6, micro_batch_tokens=micro_batch_tokens, seed=1,
                group_by_length=grouped)  # fmt: skip
    for step in steps(uses):
        for members in step:
            widest = max(tokens[index] for index in members)
            assert len(members) == 1 or widest * len(members) <= micro_batch_tokens


@given(lengths, seeds, st.randoms(use_true_random=False))
def test_the_order_in_which_rows_arrive_does_not_matter(
    counts: list[int], seed: int, chance: random.Random
) -> None:
    rows = rows_of(counts, per_cluster=2)
    shuffled = rows[:]
    chance.shuffle(shuffled)
    assert plan_of(rows, seed=seed) == plan_of(shuffled, seed=seed)
    assert hold_out(rows, 0.3, seed) == hold_out(shuffled, 0.3, seed)
    assert draw(rows, seed, 7, None, 1) == draw(shuffled, seed, 7, None, 1)


def test_rows_grouped_by_length_pad_less_and_batches_differ_between_epochs() -> None:
    chance = random.Random(0)
    rows = rows_of([chance.randint(20, 400) for _ in range(256)])
    tokens = {row.row_index: row.n_tokens for row in rows}

    def padded(grouped: bool) -> int:
        uses = plan(rows, epochs=1, batch_size=8, micro_batch_tokens=10**9, seed=0,
                    group_by_length=grouped)  # fmt: skip
        return sum(
            len(members) * max(tokens[index] for index in members)
            for step in steps(uses)
            for members in step
        )

    real = sum(tokens.values())
    assert padded(True) < 1.1 * real < 1.4 * real < padded(False)

    nested = steps(plan(rows, epochs=2, batch_size=8, micro_batch_tokens=10**9, seed=0,
                        group_by_length=True))  # fmt: skip
    batches = [frozenset(index for members in step for index in members) for step in nested]
    assert len(set(batches)) == 64
    first = [max(tokens[index] for index in batch) for batch in batches[:32]]
    assert first != sorted(first)
    assert first != sorted(first, reverse=True)


def test_equal_rows_are_spread_like_any_others() -> None:
    rows = [PlanRow("same", index, "c", 10, 5) for index in range(40)]
    orders = {
        tuple(use[4] for use in plan_of(rows, epochs=1, seed=seed, group_by_length=False))
        for seed in range(5)
    }
    assert len(orders) == 5


def test_max_steps_cuts_the_plan_short_and_changes_nothing_before() -> None:
    rows = rows_of([5] * 10)
    whole = plan_of(rows)
    assert plan_of(rows, max_steps=2) == [use for use in whole if use[0] < 2]  # type: ignore[operator]
    assert plan_of(rows, max_steps=99) == whole
    assert plan_of([]) == []


def test_a_plan_by_hand() -> None:
    # lengths 3, 9, 4 in one step of at most 12 padded tokens: [9], then [4, 3] (2 x 4 = 8)
    rows = rows_of([3, 9, 4])
    uses = plan_of(rows, epochs=1, batch_size=3, micro_batch_tokens=12)
    assert uses == [
        (0, 0, 0, 0, 10, "row-1"),
        (0, 1, 0, 0, 20, "row-2"),
        (0, 1, 1, 0, 0, "row-0"),
    ]


@given(lengths, st.integers(1, 80), st.integers(1, 80), seeds)
def test_subsets_are_nested(counts: list[int], one: int, other: int, seed: int) -> None:
    rows = rows_of(counts)
    small, large = sorted((one, other))
    few, left = draw(rows, seed, small, None, 1)
    many, _ = draw(rows, seed, large, None, 1)
    assert set(few) <= set(many)
    assert len(few) == min(small, len(rows))
    assert len(few) + len(left) == len(rows)
    assert [row.row_index for row in few] == sorted(row.row_index for row in few)


def test_a_row_keeps_its_place_in_the_draw_when_others_are_added() -> None:
    rows = rows_of([5] * 40)
    before = set(draw(rows[:20], 0, 10, None, 1)[0])
    after = set(draw(rows, 0, 20, None, 1)[0])
    assert len(after & set(rows[:20])) >= 5
    assert {row for row in after if row in rows[:20]} <= before or before <= after


@given(lengths, st.integers(1, 3), st.integers(0, 4000), st.integers(0, 4000), seeds)
def test_token_budgets_hold_and_are_nested(
    counts: list[int], epochs: int, one: int, other: int, seed: int
) -> None:
    rows = rows_of(counts)
    small, large = sorted((one, other))
    few, left = draw(rows, seed, None, small, epochs)
    many, _ = draw(rows, seed, None, large, epochs)
    assert sum(row.n_tokens for row in few) * epochs <= small
    assert set(few) <= set(many)
    assert set(left.values()) <= {"over the token budget"}


def test_rows_without_a_trained_token_are_left_out_with_that_reason() -> None:
    rows = [PlanRow("a", 0, "a", 5, 0), PlanRow("b", 1, "b", 5, 2)]
    chosen, left = draw(rows, 0, 2, None, 1)
    assert [row.row_id for row in chosen] == ["b"]
    assert left == {0: "no trained token"}


@given(lengths, st.integers(1, 5), st.floats(0.01, 0.9), seeds)
def test_held_out_rows_share_no_cluster_with_the_rest(
    counts: list[int], per_cluster: int, share: float, seed: int
) -> None:
    rows = rows_of(counts, per_cluster)
    held = hold_out(rows, share, seed)
    inside = {row.cluster_id for row in rows if row.row_index in held}
    outside = {row.cluster_id for row in rows if row.row_index not in held}
    assert not inside & outside
    assert len(held) < len(rows)
    target = max(1, round(share * len(rows)))
    assert abs(len(held) - target) <= max(per_cluster, len(rows) - 1 if len(outside) == 1 else 0)


def test_hold_out_takes_about_its_share_and_none_when_it_is_zero() -> None:
    rows = rows_of([5] * 100)
    assert len(hold_out(rows, 0.2, 0)) == 20
    assert hold_out(rows, 0.2, 0) != hold_out(rows, 0.2, 1)
    assert hold_out(rows, 0.0, 0) == set()
    assert hold_out([], 0.5, 0) == set()
    # one cluster is everything: nothing can be held out and something be left
    assert hold_out(rows_of([5] * 4, per_cluster=4), 0.5, 0) == set()


def test_a_plan_is_taken_over_by_row_id() -> None:
    theirs = rows_of([5, 6, 7, 8])
    uses = plan(theirs[:3], epochs=1, batch_size=2, micro_batch_tokens=64, seed=0,
                group_by_length=True)  # fmt: skip
    parts = {(row.row_id, row.row_index): "train" for row in theirs}
    parts["row-3", 30] = "held_out"
    moved = [
        PlanRow(row.row_id, row.row_index + 1, row.cluster_id, row.n_tokens, row.n_trained)
        for row in theirs
    ] + [PlanRow("new", 99, "new", 4, 2)]
    taken, of_row = take_over(moved, uses, parts)
    assert [(use.step, use.micro_batch, use.slot, use.row_id) for use in taken] == [
        (use.step, use.micro_batch, use.slot, use.row_id) for use in uses
    ]
    assert [use.row_index for use in taken] == [use.row_index + 1 for use in uses]
    assert of_row == {1: "train", 11: "train", 21: "train", 31: "held_out", 99: "left_out"}


def test_a_plan_for_other_rows_is_refused_by_name() -> None:
    rows = rows_of([5, 6])
    uses = plan(rows, epochs=1, batch_size=2, micro_batch_tokens=64, seed=0, group_by_length=True)
    parts = {(row.row_id, row.row_index): "train" for row in rows}
    with pytest.raises(InputError, match="row-1"):
        take_over(rows[:1], uses, parts)
    with pytest.raises(InputError, match="no trained token"):
        take_over([rows[0], PlanRow("row-1", 10, "c", 6, 0)], uses, parts)
