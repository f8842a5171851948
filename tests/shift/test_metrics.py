"""Every column against hand-derived values, the identity, and the plain float64 computation."""

import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_shift import plain_metrics

from aftertune.shift import metrics
from aftertune.shift.common import CommonIds
from aftertune.shift.metrics import position_metrics

NATS = 1e-5
DIVERGENCES = ("kl_tuned_base_nats", "kl_base_tuned_nats", "js_nats")


def one(base, tuned, token=0, **options):
    """The columns of a single position as Python values."""
    rows = [torch.tensor([row], dtype=torch.float32) for row in (base, tuned)]
    return {
        n: v[0].tolist()
        for n, v in position_metrics(*rows, torch.tensor([token]), **options).items()
    }


def assert_equal_to_plain(base, tuned, tokens, common=None, top_k=5):
    """base, tuned [N, V] float32. Floats within 1e-5 (or 1e-6 of the value), the rest equal."""
    index = None if common is None else torch.tensor(common)
    ours = position_metrics(base, tuned, tokens, index, top_k)
    for row in range(len(tokens)):
        plain = plain_metrics(base[row], tuned[row], int(tokens[row]), common, top_k)
        assert ours.keys() == plain.keys()
        for name, expected in plain.items():
            got = ours[name][row].tolist()
            if expected is None:
                assert got == 0 or math.isnan(got), name
            elif isinstance(expected, float) or name.endswith("probs"):
                assert got == pytest.approx(expected, rel=1e-6, abs=NATS), (name, row)
            else:
                assert got == expected, (name, row)


def test_values_derived_by_hand():
    # base 1/2 1/4 1/4, tuned 1/4 1/2 1/4; the token is id 2
    ln = math.log
    got = one([ln(2), 0.0, 0.0], [0.0, ln(2), 0.0], token=2, top_k=2)
    assert got["kl_tuned_base_nats"] == pytest.approx(0.25 * ln(0.5) + 0.5 * ln(2))  # = ln2 / 4
    assert got["kl_base_tuned_nats"] == pytest.approx(ln(2) / 4)
    # m = 3/8 3/8 1/4: JS = 1/2 ln(4/3) + 1/4 ln(2/3)
    assert got["js_nats"] == pytest.approx(ln(4 / 3) / 2 + ln(2 / 3) / 4, abs=1e-6)
    assert got["base_entropy_nats"] == pytest.approx(1.5 * ln(2))
    assert got["tuned_entropy_nats"] == pytest.approx(1.5 * ln(2))
    assert got["base_logprob"] == pytest.approx(-ln(4))
    assert got["base_rank"] == 2  # ids 1 and 2 are equal: one logit is strictly larger
    assert got["tuned_rank"] == 2
    assert got["tuned_argmax"] == 1
    assert not got["is_tuned_argmax"]
    assert got["base_rank_of_tuned_argmax"] == 2
    assert got["rank_ties"] == 1  # id 2 has the tuned argmax's base logit too
    assert got["base_prob_of_tuned_argmax"] == pytest.approx(0.25)
    assert got["category"] == 2  # marginal
    assert got["base_top_ids"] == [0, 1]
    assert got["base_top_probs"] == pytest.approx([0.5, 0.25])
    assert got["tuned_top_ids"] == [1, 0]
    assert got["base_mass_outside_common"] == 0


@pytest.mark.parametrize(("rank", "name"), [(1, 1), (2, 2), (3, 2), (4, 3), (400, 3)])
def test_category_follows_the_base_rank_of_the_tuned_argmax(rank, name):
    base = -torch.arange(500.0)  # id i has rank i + 1
    tuned = torch.zeros(500)
    tuned[rank - 1] = 5
    got = one(base.tolist(), tuned.tolist())
    assert (got["base_rank_of_tuned_argmax"], got["category"]) == (rank, name)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=200), st.integers(0, 10**6))
def test_identical_rows_have_no_shift_at_all(row, token):
    got = one(row, row, token % len(row))
    assert [got[name] for name in DIVERGENCES] == [0.0, 0.0, 0.0]
    assert got["base_rank_of_tuned_argmax"] == 1
    assert got["category"] == 1
    assert got["base_logprob"] == got["tuned_logprob"]


def test_identity_at_full_size_and_in_every_chunk():
    logits = torch.randn(metrics.CHUNK * 3 + 1, 49_152) * 4
    got = position_metrics(logits, logits.clone(), logits.argmax(1))
    assert all(not got[name].any() for name in DIVERGENCES)
    assert (got["category"] == 1).all()
    assert got["is_tuned_argmax"].all()


@pytest.mark.parametrize("size", [3, 64, 65, 511, 512, 1000, 32_000])
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_equal_to_float64_at_many_sizes_and_scales(size, scale):
    torch.manual_seed(size)
    n = 2 if size > 10_000 else metrics.CHUNK + 3
    base = torch.randn(n, size) * scale
    tuned = base + torch.randn(n, size) * scale / 10
    assert_equal_to_plain(base, tuned, torch.randint(0, size, (n,)))


# Logits as models may give them and as they should not: ordinary, equal, huge, masked.
ORDINARY = st.floats(-30, 30, width=32)
LOGIT = st.one_of(ORDINARY, st.sampled_from([0.0, -0.0, 1.0, 1e4, -1e4, -math.inf]))


@st.composite
def two_rows(draw):
    size = draw(st.integers(1, 150))
    kind = draw(st.sampled_from([ORDINARY, LOGIT, st.sampled_from([0.0, -0.0, 1.0])]))
    pair = [draw(st.lists(kind, min_size=size, max_size=size)) for _ in range(2)]
    for row in pair:  # at least one id is possible
        row[draw(st.integers(0, size - 1))] = draw(ORDINARY)
    common = draw(st.one_of(st.none(), st.sets(st.integers(0, size - 1), min_size=1)))
    possible = common is None or all(any(row[i] > -math.inf for i in common) for row in pair)
    return pair, draw(st.integers(0, size - 1)), sorted(common) if common and possible else None


@settings(max_examples=150, deadline=None)
@given(two_rows(), st.integers(1, 9))
def test_equal_to_float64_whatever_the_logits(case, top_k):
    (base, tuned), token, common = case
    rows = torch.tensor([base]), torch.tensor([tuned])
    assert_equal_to_plain(*rows, torch.tensor([token]), common, top_k)


@settings(max_examples=60, deadline=None)
@given(two_rows())
def test_bounds_and_symmetry(case):
    (base, tuned), token, common = case
    options = {"common": None if common is None else torch.tensor(common)}
    ours, swapped = one(base, tuned, token, **options), one(tuned, base, token, **options)
    assert ours["kl_tuned_base_nats"] == pytest.approx(swapped["kl_base_tuned_nats"], abs=NATS)
    assert ours["js_nats"] == pytest.approx(swapped["js_nats"], abs=NATS)
    assert 0 <= ours["js_nats"] <= math.log(2) * (1 + 1e-6)
    assert ours["kl_tuned_base_nats"] >= 0
    assert 0 <= ours["base_entropy_nats"] <= math.log(len(base)) + NATS


def test_small_shifts_do_not_drown_in_rounding():
    torch.manual_seed(0)
    base = torch.randn(3, 32_000) * 4
    tuned = base + torch.randn(3, 32_000) * 1e-3  # KL about 5e-7
    ours = position_metrics(base, tuned, torch.zeros(3, dtype=torch.int64))["kl_tuned_base_nats"]
    for row in range(3):
        expected = plain_metrics(base[row], tuned[row], 0)["kl_tuned_base_nats"]
        assert expected < 1e-5
        assert float(ours[row]) == pytest.approx(expected, abs=3e-7)


def test_neighbours_and_chunks_do_not_change_a_value(monkeypatch):
    torch.manual_seed(1)
    base, tuned = torch.randn(2, 21, 3000) * 3
    tokens = torch.randint(0, 3000, (21,))
    whole = position_metrics(base, tuned, tokens)
    monkeypatch.setattr(metrics, "CHUNK", 3)
    pieces = position_metrics(base, tuned, tokens)
    alone = position_metrics(base[7:8], tuned[7:8], tokens[7:8])
    for name, values in whole.items():
        assert torch.equal(values, pieces[name]), name
        assert torch.equal(values[7:8], alone[name]), name


def test_a_position_alone_is_what_it_is_beside_others_on_several_threads():
    # torch splits one long row between threads, and sums it up in another order
    torch.manual_seed(3)
    base, tuned = torch.randn(2, 3, 49_152) * 3
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        whole = position_metrics(base, tuned, torch.arange(3))
        alone = position_metrics(base[1:2], tuned[1:2], torch.arange(1, 2))
    finally:
        torch.set_num_threads(threads)
    for name, values in whole.items():
        assert torch.equal(values[1:2], alone[name]), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")
def test_compiled_sums_are_as_exact_and_keep_the_identity():
    torch.manual_seed(4)
    base = torch.randn(metrics.CHUNK, 32_000) * 4
    tuned = base + torch.randn_like(base)
    compiled = torch.compile(metrics.chunk_sums, dynamic=False)
    ids = torch.arange(len(base))
    found = position_metrics(base, tuned, ids, sums=compiled)
    for row in range(2):
        plain = plain_metrics(base[row], tuned[row], row)
        for name in (*DIVERGENCES, "base_entropy_nats", "tuned_entropy_nats"):
            assert float(found[name][row]) == pytest.approx(plain[name], rel=1e-6, abs=NATS), name
    same = position_metrics(base, base.clone(), ids, sums=compiled)
    assert all(not same[name].any() for name in DIVERGENCES)


def test_ties_count_the_others_and_the_lowest_id_is_the_argmax():
    got = one([5.0] * 100, [0.0] * 100, token=70)
    assert got["tuned_argmax"] == 0
    assert got["base_rank"] == got["base_rank_of_tuned_argmax"] == 1
    assert got["rank_ties"] == 99
    assert got["base_top_ids"] == [0, 1, 2, 3, 4]
    assert got["base_entropy_nats"] == pytest.approx(math.log(100))


def test_an_argmax_outside_the_common_ids_has_no_rank_in_the_base():
    # the tuned model's added id 3 is its favourite; half of its mass lies there
    got = one([1.0, 0.0, 0.0], [0.0, 0.0, 0.0, math.log(3)], token=3)
    assert got["tuned_argmax"] == 3
    assert got["is_tuned_argmax"]
    assert got["base_rank_of_tuned_argmax"] == got["rank_ties"] == got["category"] == metrics.ABSENT
    assert math.isnan(got["base_prob_of_tuned_argmax"])
    assert got["base_rank"] == got["tuned_rank"] == metrics.ABSENT
    assert math.isnan(got["base_logprob"])
    assert math.isnan(got["tuned_logprob"])
    assert got["tuned_mass_outside_common"] == pytest.approx(0.5)
    assert got["base_mass_outside_common"] == 0
    assert got["tuned_top_ids"] == [0, 1, 2]
    assert got["tuned_entropy_nats"] == pytest.approx(math.log(3))  # renormalised


@pytest.mark.parametrize("common", [range(90), [*range(5, 70), 80, 99], [3]])
def test_common_ids_in_the_middle_or_first(common):
    torch.manual_seed(2)
    base, tuned = torch.randn(6, 100) * 3, torch.randn(6, 130) * 3
    assert_equal_to_plain(base, tuned, torch.randint(0, 100, (6,)), list(common))


def test_a_huge_logit_outside_takes_all_the_mass():
    got = one([0.0, 0.0, 1e4], [0.0, 0.0, 0.0], common=torch.tensor([0, 1]))
    assert got["base_mass_outside_common"] == 1
    assert got["tuned_mass_outside_common"] == pytest.approx(1 / 3)
    assert got["kl_tuned_base_nats"] == 0


def test_an_id_that_only_one_model_forbids_makes_kl_infinite():
    got = one([0.0, 0.0, -math.inf], [0.0, 0.0, 0.0])
    assert got["kl_tuned_base_nats"] == math.inf
    assert got["kl_base_tuned_nats"] == pytest.approx(math.log(1.5))
    assert got["js_nats"] < math.log(2)


def test_not_a_number_shows_and_stays_in_its_row():
    base = torch.zeros(3, 70)
    base[1, 60] = math.nan
    got = position_metrics(base, torch.zeros(3, 70), torch.tensor([0, 0, 0]))
    assert torch.equal(got["kl_tuned_base_nats"].isnan(), torch.tensor([False, True, False]))


def test_no_positions_give_empty_columns():
    got = position_metrics(
        torch.zeros(0, 70), torch.zeros(0, 70), torch.zeros(0, dtype=torch.int64)
    )
    assert {len(values) for values in got.values()} == {0}


def test_what_is_refused():
    rows = torch.zeros(1, 4)
    with pytest.raises(TypeError, match="float32"):
        position_metrics(rows.bfloat16(), rows, torch.tensor([0]))
    for common in ([], [0, 0], [4], [-1, 2]):
        with pytest.raises(ValueError, match="common"):
            CommonIds.of(torch.tensor(common), 4, 9, rows.device)


def test_logits_are_left_as_they_were():
    base, tuned = torch.randn(2, 5, 200)
    before = base.clone(), tuned.clone()
    position_metrics(base, tuned, torch.zeros(5, dtype=torch.int64), torch.arange(3, 190))
    assert np.array_equal(before, (base, tuned))
