"""The noise floor: what is exactly 0, what is not, and that weights come out as they went in."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aftertune.errors import ModelError
from aftertune.models.load import load
from aftertune.shift import noise
from aftertune.shift.noise import Noise, in_dtype, measure, sample
from aftertune.shift.pair import Item, Pair


@pytest.fixture(scope="module")
def pair(tiny_llama, tiny_llama_other):
    return Pair(load(tiny_llama, dtype="float32"), load(tiny_llama_other, dtype="float32"))


ITEMS = [
    Item("a", [5, 6, 7], [30 + i for i in range(12)]),
    Item("b", [8], [60 + i for i in range(4)]),
    Item("c", list(range(40, 60)), [90 + i for i in range(7)]),
]


def both(pair, items, n_tokens, n_cached_tokens):
    """The noise of both models."""
    return sum(
        (
            measure(which, loaded.model, items, n_tokens, n_cached_tokens)
            for which, loaded in (("base", pair.base), ("tuned", pair.tuned))
        ),
        Noise(),
    )


def by_kind(found):
    kinds = {}
    for row in found.rows:
        kinds.setdefault((row["kind"], row["model"]), []).append(row)
    return kinds


def test_every_kind_for_both_models(pair):
    found = both(pair, ITEMS, n_tokens=6, n_cached_tokens=3)
    kinds = by_kind(found)
    assert {kind for kind, _ in kinds} == {"other_batching", "cached", "precision", "identity"}
    assert {model for _, model in kinds} == {"base", "tuned"}
    n = {kind: len(rows) for (kind, _), rows in kinds.items()}
    # 6 + 4 + 6 tokens; 3 + 3 + 3 with a cache; the first response twice
    assert n == {"other_batching": 16, "cached": 9, "precision": 16, "identity": 6}
    assert found.absent == {}
    for (kind, _), rows in kinds.items():
        largest = max(row["kl_nats"] for row in rows)
        assert min(row["kl_nats"] for row in rows) >= 0
        if kind == "identity":
            assert largest == 0
            assert not any(row["argmax_differs"] for row in rows)
        elif kind == "precision":
            assert 1e-5 < largest < 1
        else:
            assert largest < 1e-5  # float32
    assert found.table().num_rows == len(found.rows)


def test_in_bfloat16_the_reference_is_float32(tiny_llama):
    loaded = load(tiny_llama, dtype="bfloat16")
    kinds = by_kind(measure("base", loaded.model, ITEMS, 6, 3))
    assert 1e-5 < max(row["kl_nats"] for row in kinds["precision", "base"]) < 1
    assert max(row["kl_nats"] for row in kinds["identity", "base"]) == 0
    assert next(loaded.model.parameters()).dtype == torch.bfloat16


def test_weights_come_back_bit_for_bit_also_after_an_error(pair):
    model = pair.tuned.model
    before = [parameter.clone() for parameter in model.parameters()]
    with in_dtype(model, torch.bfloat16):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    with pytest.raises(ZeroDivisionError), in_dtype(model, torch.bfloat16):
        raise ZeroDivisionError
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_what_cannot_be_measured_is_absent_with_its_reason(pair, monkeypatch):
    def refuse(*args):
        raise ModelError("no cache here")

    monkeypatch.setattr(noise, "hidden_states_cached", refuse)
    monkeypatch.setattr(noise, "PRECISION_BELOW", 10)
    found = both(pair, ITEMS[:1], 4, 2)
    assert found.absent["cached"] == "no cache here"
    assert "large" in found.absent["precision"]
    assert {row["kind"] for row in found.rows} == {"other_batching", "identity"}


def test_no_responses_leave_every_kind_absent(pair):
    found = both(pair, [], 4, 2)
    assert found.rows == []
    assert len(found.absent) == 4
    assert found.table().num_rows == 0


@given(st.integers(0, 300), st.integers(0, 20), st.integers(0, 5))
def test_the_sample_is_small_distinct_and_seeded(n, wanted, seed):
    places = sample(n, wanted, seed)
    assert places == sorted(set(places)) == sample(n, wanted, seed)
    assert len(places) <= min(wanted, max(2, n // 10))
    assert all(0 <= place < n for place in places)
    if n >= 16 and wanted >= 2:
        assert len(places) >= 2
