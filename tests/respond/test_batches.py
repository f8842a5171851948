"""The batch plan is a function of lengths; every answer has its own seed."""

from hypothesis import given
from hypothesis import strategies as st

from aftertune.respond.batches import plan, sample_seed


def test_by_hand() -> None:
    # lengths 5, 9, 5, 2: the longest first, equal ones in their order, two to a batch
    assert plan([5, 9, 5, 2], samples=1, batch_size=2) == [[(1, 0), (0, 0)], [(2, 0), (3, 0)]]


def test_samples_of_a_prompt_are_neighbours() -> None:
    assert plan([1, 2], samples=2, batch_size=3) == [[(1, 0), (1, 1), (0, 0)], [(0, 1)]]


def test_nothing_to_plan() -> None:
    assert plan([], samples=3, batch_size=4) == []


@given(
    lengths=st.lists(st.integers(0, 50), max_size=40),
    samples=st.integers(1, 4),
    batch_size=st.integers(1, 9),
)
def test_every_answer_once_and_none_too_many(
    lengths: list[int], samples: int, batch_size: int
) -> None:
    batches = plan(lengths, samples, batch_size)
    planned = [sequence for batch in batches for sequence in batch]
    wanted = [(i, s) for i in range(len(lengths)) for s in range(samples)]
    assert sorted(planned) == wanted
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert all(0 < len(batch) <= batch_size for batch in batches)
    ordered = [lengths[prompt] for prompt, _ in planned]
    assert ordered == sorted(ordered, reverse=True)


def test_seeds_differ_in_every_argument() -> None:
    seeds = {
        sample_seed(seed, prompt, row, sample)
        for seed in (0, 1)
        for prompt in ("p-1", "p-2")
        for row in (0, 1)
        for sample in (0, 1)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(3, "p", 1, 2) == sample_seed(3, "p", 1, 2)
