"""The plan of scoring batches: every response once, bounded batches, fixed by lengths alone."""

from hypothesis import given
from hypothesis import strategies as st

from aftertune.shift.batches import plan


def test_by_hand():
    # sorted: 2 (50), 0 (30), 3 (30), 1 (10); 2 + 0 would be 2 x 50 > 90, 0 + 3 + 1 is 3 x 30
    batches = [[2], [0, 3, 1]]
    assert plan([30, 10, 50, 30], [5, 5, 5, 5], 90, 100) == [batches]
    assert plan([30, 10, 50, 30], [5, 5, 5, 5], 90, 5) == [[[2]], [[0, 3, 1]]]


def test_none_and_one_that_is_too_long():
    assert plan([], [], 100, 100) == []
    assert plan([500], [400], 100, 100) == [[[0]]]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 200)), max_size=60),
    st.integers(1, 2000),
    st.integers(1, 2000),
)
def test_every_place_once_and_bounded(sizes, batch_tokens, part_tokens):
    scored = [response for _, response in sizes]
    lengths = [prompt + response for prompt, response in sizes]
    parts = plan(lengths, scored, batch_tokens, part_tokens)
    batches = [batch for part in parts for batch in part]
    assert sorted(place for batch in batches for place in batch) == list(range(len(sizes)))
    for batch in batches:
        padded = len(batch) * max(lengths[place] for place in batch)
        assert padded <= batch_tokens or len(batch) == 1
    for part in parts:
        before = [
            sum(scored[place] for batch in part[:i] for place in batch) for i in range(len(part))
        ]
        assert max(before) < part_tokens  # a batch is added only while there is room
    longest = [lengths[batch[0]] for batch in batches]
    assert longest == sorted(longest, reverse=True)
