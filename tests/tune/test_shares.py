"""A step in shares: what several processes compute sums to what one computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from aftertune.models.score import Head
from aftertune.parallel import Group
from aftertune.tune.batches import noise_seed
from aftertune.tune.loss import Encoded, backward, share

STEP = [[0, 1], [2], [3], [4, 5]]


def rows() -> dict[int, Encoded]:
    """Rows of random tokens; how many are trained differs from row to row."""
    chance = np.random.default_rng(0)
    return {
        index: Encoded(chance.integers(3, 300, length), np.arange(length) > index, 1.0 + index)
        for index, length in enumerate([14, 9, 11, 20, 8, 7])
    }


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_shares_sum_to_the_step(tiny_llama: Path, size: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float64)
    head = Head.of(model.train())

    def computed(places: list[int]) -> float:
        part = share(7, STEP, rows(), places)
        assert part.step == 7
        # trained: every token after place `index`; 13 + 7 + 8 + 16 + 3 + 1 by hand
        assert part.normaliser == 48
        assert list(part.micro_batches) == places
        return sum(
            backward(model, head, batch, part.normaliser, torch.float64)
            for batch in part.micro_batches.values()
        )

    model.zero_grad()
    whole = computed([0, 1, 2, 3])
    expected = {name: one.grad.clone() for name, one in model.named_parameters()}
    model.zero_grad()
    # gradients accumulate over the shares as `parallel.add` sums them over processes
    total = sum(computed(Group(rank, size).mine(range(4))) for rank in range(size))
    assert total == pytest.approx(whole, rel=1e-6)
    for name, one in model.named_parameters():
        torch.testing.assert_close(one.grad, expected[name], rtol=1e-6, atol=1e-9)


def test_a_process_without_a_micro_batch_has_an_empty_share() -> None:
    empty = share(0, STEP, rows(), Group(5, 6).mine(range(4)))
    assert empty.micro_batches == {}
    assert empty.to(torch.device("cpu")) == empty


def test_a_row_of_weight_0_still_counts_in_the_normaliser() -> None:
    masked = {**rows(), 3: Encoded(rows()[3].ids, rows()[3].trained, 0.0)}
    assert share(0, STEP, masked, [0]).normaliser == share(0, STEP, rows(), [0]).normaliser


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), min_size=2, unique=True))
def test_noise_has_another_seed_in_every_place(places: list[tuple[int, int, int]]) -> None:
    seeds = [noise_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [noise_seed(*place) for place in places]
