"""Lin et al.'s truncated values beside the main table, which they never change."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_shift import logits64

from aftertune import schema
from aftertune.progress import Silent
from aftertune.shift.compat import compat_metrics, note
from aftertune.shift.compat_summary import MEANS, RANK_NOTE, summarise_compat
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run

PREFIX = "lin2024_top30_"
KL = PREFIX + "kl_base_tuned_nats"


def shift(base, tuned, responses, out, **options):
    config = ShiftConfig(base=str(base), tuned=str(tuned), **options)
    return run(config, responses, out, Silent())


@pytest.fixture(scope="module")
def both(llamas, tmp_path_factory):
    """The shift without and with the compatibility table."""
    out = tmp_path_factory.mktemp("lin2024")
    options = {"batch_tokens": 40, "part_tokens": 10}
    return shift(*llamas, out, **options), shift(*llamas, out, lin2024=True, **options)


def test_it_changes_nothing_else(both):
    plain, found = both
    for name in ("tokens", "noise_floor"):
        assert found.manifest["tables"][name] == plain.manifest["tables"][name]
    assert plain.tables == ["noise_floor", "tokens"]
    assert found.tables == ["lin2024_top30", "noise_floor", "tokens"]
    assert plain.about == {**found.about, "lin2024": None}
    assert plain.counts == found.counts


def test_its_rows_are_those_of_the_main_table(both):
    keys = ["response_id", "position"]
    assert both[1].table("lin2024_top30").select(keys).equals(both[1].table("tokens").select(keys))


def test_its_values_are_those_of_the_definition_on_plain_float64_logits(llamas, both):
    base, tuned, responses = llamas
    table = both[1].to_pandas("lin2024_top30").set_index(["response_id", "position"])
    assert len(table) > 20
    for one in responses.table("responses").to_pylist():
        prompt, response = one["prompt_token_ids"], one["response_token_ids"]
        rows = [torch.tensor(logits64(f, [*prompt, *response])).float() for f in (base, tuned)]
        place = slice(len(prompt) - 1, len(prompt) + len(response) - 1)
        expected = compat_metrics(*(row[place] for row in rows))
        found = table.loc[one["response_id"]].sort_index()
        for name in MEANS:
            values = found[PREFIX + name].to_numpy(np.float64)
            wanted = expected[PREFIX + name].double().numpy()
            assert values == pytest.approx(wanted, abs=1e-5, nan_ok=True), name


def test_it_says_loudly_what_it_is(llamas, tmp_path):
    progress = Silent()
    config = ShiftConfig(base=str(llamas[0]), tuned=str(llamas[1]), lin2024=True)
    run(config, llamas[2], tmp_path, progress)
    assert note() in progress.warnings


def test_the_summary_says_what_it_is(both):
    about = both[1].about["lin2024"]
    assert about["note"] == note()
    assert about["rank_note"] == RANK_NOTE
    assert about["k"] == 30
    assert set(about["means"]) == {PREFIX + name for name in MEANS}
    found = both[1].to_pandas("lin2024_top30")[KL]
    kl = about["means"][KL]
    assert kl["estimate"] == pytest.approx(found.mean(), rel=1e-6)
    assert kl["low"] < kl["estimate"] < kl["high"]
    assert sum(one["n"] for one in about["categories"].values()) == len(found)


def made(kls, ranks, shared, responses):
    """A table with the given values; None is absent."""
    n = len(kls)
    columns = {
        "response_id": responses,
        "position": list(range(n)),
        KL: kls,
        PREFIX + "shared_kl_base_tuned_nats": kls,
        PREFIX + "n_shared": shared,
        PREFIX + "base_rank_of_tuned_argmax": ranks,
        PREFIX + "base_prob_of_tuned_argmax": [None if r is None or r > 30 else 0.5 for r in ranks],
        PREFIX + "category": [
            None if r is None else ("unshifted" if r == 1 else "marginal" if r < 4 else "shifted")
            for r in ranks
        ],
    }
    return pa.table(columns, schema=schema.LIN2024_TOP30)


def test_values_derived_by_hand():
    table = made([0.5, None, -0.3, 1.0], [1, 31, None, 3], [9, 0, 2, 30], ["a", "a", "b", "b"])
    found = summarise_compat(table, 0, {"a": "p", "b": "p"})
    means = found["means"]
    assert means[KL]["estimate"] == pytest.approx(0.4)  # (0.5 - 0.3 + 1) / 3
    assert means[PREFIX + "base_rank_of_tuned_argmax"]["estimate"] == pytest.approx(35 / 3)
    assert means[PREFIX + "n_shared"]["estimate"] == pytest.approx(41 / 4)
    assert found["beyond_the_list"]["estimate"] == pytest.approx(1 / 3)
    assert found["categories"]["marginal"]["share"]["estimate"] == pytest.approx(1 / 3)
    assert found["categories"]["shifted"]["n"] == 1
    assert means[KL]["low"] is None  # one prompt says nothing of others
    assert means[KL]["reason"]
    apart = {"no token is in both top-30 lists": 1}
    outside = {"the tuned argmax is outside the common vocabulary": 1}
    beyond = {"the tuned argmax is not in the base's top-30 list": 1}
    assert found["absent"] == {
        KL: apart,
        PREFIX + "shared_kl_base_tuned_nats": apart,
        PREFIX + "base_rank_of_tuned_argmax": outside,
        PREFIX + "base_prob_of_tuned_argmax": outside | beyond,
        PREFIX + "category": outside,
    }


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-2, 2, width=32)),
            st.one_of(st.none(), st.integers(1, 31)),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_every_position_is_in_the_mean_or_among_the_absent(values):
    kls, ranks = zip(*values, strict=True)
    shared = [0 if kl is None else 1 for kl in kls]
    table = made(kls, ranks, shared, [f"r{i % 4}" for i in range(len(kls))])
    found = summarise_compat(table)
    absent = sum(found["absent"].get(KL, {}).values())
    assert absent == sum(kl is None for kl in kls)
    assert (found["means"][KL]["estimate"] is None) == (absent == len(kls))
    known = sum(rank is not None for rank in ranks)
    assert sum(one["n"] for one in found["categories"].values()) == known


def test_no_positions_leave_every_mean_absent():
    found = summarise_compat(schema.LIN2024_TOP30.empty_table())
    assert found["absent"] == {}
    for one in found["means"].values():
        assert one["estimate"] is None
        assert one["reason"]
