"""The compatibility mode: hand-derived values, a plain float64 version, what it is not."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_shift import plain_metrics

from aftertune.shift.common import CommonIds
from aftertune.shift.compat import absent_counts, compat_metrics, note, prefix
from aftertune.shift.metrics import ABSENT, position_metrics

ln = math.log


def one(base, tuned, k=3, **options):
    """The values of a single position, names without their prefix."""
    rows = [torch.tensor([row], dtype=torch.float32) for row in (base, tuned)]
    found = compat_metrics(*rows, k, **options)
    return {name.removeprefix(prefix(k)): values[0].item() for name, values in found.items()}


def plain(base, tuned, k):
    """Lists of logits -> the same by sorting and Python floats, in the order of the definition."""
    lists = [sorted(range(len(row)), key=lambda i: (-row[i], i))[:k] for row in (base, tuned)]
    shares = []
    for row, ids in zip((base, tuned), lists, strict=True):
        weights = [math.exp(row[i] - row[ids[0]]) for i in ids]
        shares.append({i: w / math.fsum(weights) for i, w in zip(ids, weights, strict=True)})
    p, q = shares
    shared = [i for i in p if i in q and p[i] > 0 and q[i] > 0]
    p_mass, q_mass = (math.fsum(s[i] for i in shared) for s in shares)
    best = lists[1][0]
    listed = best in p
    rank = 1 + lists[0].index(best) if listed else k + 1
    return {
        "kl_base_tuned_nats": math.fsum(p[i] * ln(p[i] / q[i]) for i in shared)
        if shared
        else math.nan,
        "shared_kl_base_tuned_nats": math.fsum(
            p[i] / p_mass * ln(p[i] / p_mass / (q[i] / q_mass)) for i in shared
        )
        if shared
        else math.nan,
        "n_shared": len(shared),
        "base_rank_of_tuned_argmax": rank,
        "base_prob_of_tuned_argmax": p[best] if listed else math.nan,
        "category": 1 if rank == 1 else 2 if rank <= 3 else 3,
    }


def test_values_derived_by_hand():
    # base's three: ids 0, 1, 2 with 4/7, 2/7, 1/7; tuned's: 3, 0, 2 with 4/7, 2/7, 1/7
    base = [ln(4), ln(2), 0.0, ln(1 / 2), ln(1 / 4)]
    tuned = [ln(2), ln(1 / 4), 0.0, ln(4), ln(1 / 8)]
    got = one(base, tuned)
    # shared 0 and 2: 4/7 ln((4/7) / (2/7)) + 1/7 ln 1
    assert got["kl_base_tuned_nats"] == pytest.approx(4 / 7 * ln(2))
    # on these two alone base is 4/5, 1/5 and tuned 2/3, 1/3
    assert got["shared_kl_base_tuned_nats"] == pytest.approx(0.8 * ln(1.2) + 0.2 * ln(0.6))
    assert got["n_shared"] == 2
    assert got["base_rank_of_tuned_argmax"] == 4  # k + 1: id 3 is not in the base's list
    assert math.isnan(got["base_prob_of_tuned_argmax"])
    assert got["category"] == 3


def test_it_is_no_divergence_because_it_can_be_negative():
    base = [ln(2), ln(1 / 4), 0.0, ln(4), ln(1 / 8)]
    tuned = [ln(4), ln(2), 0.0, ln(1 / 2), ln(1 / 4)]
    got = one(base, tuned)
    assert got["kl_base_tuned_nats"] == pytest.approx(2 / 7 * ln(1 / 2))
    assert got["shared_kl_base_tuned_nats"] > 0
    assert got["base_rank_of_tuned_argmax"] == 2
    assert got["base_prob_of_tuned_argmax"] == pytest.approx(2 / 7)
    assert got["category"] == 2


def test_the_direction_is_base_first():
    # all of both vocabularies is listed: base 1/2 1/4 1/4, tuned 1/8 5/8 1/4
    got = one([ln(4), ln(2), ln(2)], [ln(1), ln(5), ln(2)])
    expected = 0.5 * ln(4) + 0.25 * ln(0.4)
    assert got["kl_base_tuned_nats"] == pytest.approx(expected)
    assert got["shared_kl_base_tuned_nats"] == pytest.approx(expected)


def test_no_shared_token_is_absent_with_its_reason_and_not_0():
    base = torch.tensor([[9.0, 8.0, 7.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]])
    tuned = torch.tensor([[0.0, 0.0, 0.0, 7.0, 8.0, 9.0], [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]])
    got = compat_metrics(base, tuned, 3)
    kl = got["lin2024_top3_kl_base_tuned_nats"]
    assert math.isnan(kl[0])
    assert kl[1] == 0
    assert got["lin2024_top3_n_shared"].tolist() == [0, 3]
    assert got["lin2024_top3_base_rank_of_tuned_argmax"].tolist() == [4, 1]
    apart, beyond = "no token is in both top-3 lists", "not in the base's top-3 list"
    counted = absent_counts(got, 3)
    assert counted["lin2024_top3_kl_base_tuned_nats"] == {apart: 1}
    assert counted["lin2024_top3_shared_kl_base_tuned_nats"] == {apart: 1}
    assert counted["lin2024_top3_base_prob_of_tuned_argmax"] == {f"the tuned argmax is {beyond}": 1}
    assert len(counted) == 3


def test_a_tuned_argmax_that_is_no_common_id_has_no_rank():
    base, tuned = torch.zeros(2, 3), torch.tensor([[1.0, 0.0, 0.0, 5.0], [1.0, 0.0, 0.0, 1.0]])
    got = compat_metrics(base, tuned, 3)
    # of the second row's equal best ids 0 and 3, the lower one counts, and it is common
    assert got["lin2024_top3_base_rank_of_tuned_argmax"].tolist() == [ABSENT, 1]
    assert got["lin2024_top3_category"].tolist() == [ABSENT, 1]
    assert got["lin2024_top3_base_prob_of_tuned_argmax"].isnan().tolist() == [True, False]
    counted = absent_counts(got, 3)
    outside = {"the tuned argmax is outside the common vocabulary": 1}
    assert counted["lin2024_top3_category"] == outside
    assert counted["lin2024_top3_base_prob_of_tuned_argmax"] == outside


def test_common_ids_are_matched_by_id():
    # ids 1 and 2 are common: base ln 3 against 0, tuned 0 against ln 3
    got = one([9.0, ln(3), 0.0], [0.0, 0.0, ln(3)], common=torch.tensor([1, 2]))
    assert got["n_shared"] == 2
    assert got["kl_base_tuned_nats"] == pytest.approx(0.75 * ln(3) + 0.25 * ln(1 / 3))
    assert got["base_rank_of_tuned_argmax"] == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=90), st.integers(3, 40))
def test_identical_rows_have_no_shift_at_all(row, k):
    got = one(row, row, k)
    assert got["kl_base_tuned_nats"] == got["shared_kl_base_tuned_nats"] == 0
    assert (got["base_rank_of_tuned_argmax"], got["category"]) == (1, 1)
    assert 1 <= got["n_shared"] <= min(k, len(row))


LOGIT = st.one_of(
    st.floats(-30, 30, width=32), st.sampled_from([0.0, -0.0, 1.0, 1e4, -1e4, -math.inf])
)


@st.composite
def two_rows(draw):
    size = draw(st.integers(1, 150))
    kind = draw(st.sampled_from([LOGIT, st.sampled_from([0.0, 1.0]), st.floats(-9, 9, width=32)]))
    pair = [draw(st.lists(kind, min_size=size, max_size=size)) for _ in range(2)]
    for row in pair:  # at least one id is possible
        row[draw(st.integers(0, size - 1))] = draw(st.floats(-30, 30, width=32))
    return pair


@settings(max_examples=150, deadline=None)
@given(two_rows(), st.integers(3, 40))
def test_equal_to_plain_float64_whatever_the_logits(pair, k):
    got, expected = one(*pair, k), plain(*pair, k)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-5, abs=1e-6, nan_ok=True), name
    assert not got["shared_kl_base_tuned_nats"] < 0


@settings(max_examples=40, deadline=None)
@given(two_rows())
def test_with_the_whole_vocabulary_listed_it_is_the_exact_value(pair):
    base, tuned = ([max(x, -30.0) for x in row] for row in pair)
    exact = plain_metrics(base, tuned, 0)
    got = one(base, tuned, 150)
    if got["n_shared"] == len(base):  # nothing underflowed
        assert got["kl_base_tuned_nats"] == pytest.approx(
            exact["kl_base_tuned_nats"], rel=1e-5, abs=1e-6
        )


def test_without_ties_the_rank_is_the_exact_one_until_it_is_capped():
    torch.manual_seed(0)
    base, tuned = torch.randn(2, 400, 500)
    exact = position_metrics(base, tuned, tuned.argmax(1))
    ours = compat_metrics(base, tuned)
    rank = exact["base_rank_of_tuned_argmax"]
    assert torch.equal(ours["lin2024_top30_base_rank_of_tuned_argmax"], rank.clamp(max=31))
    assert (rank > 31).any()
    assert torch.equal(ours["lin2024_top30_category"], exact["category"])


def test_every_name_and_the_note_say_what_it_is():
    got = compat_metrics(torch.randn(2, 100), torch.randn(2, 100))
    assert all(name.startswith("lin2024_top30_") for name in got)
    assert "no KL divergence" in note()
    assert "Lin et al. (2024)" in note()
    assert "10 largest" in note(10)


def test_no_positions_give_empty_columns():
    got = compat_metrics(torch.zeros(0, 70), torch.zeros(0, 70))
    assert {len(values) for values in got.values()} == {0}
    assert absent_counts(got) == {}


def test_not_a_number_shows_and_stays_in_its_row():
    base = torch.randn(3, 70)
    base[1, 60] = math.nan
    got = compat_metrics(base, base.clone())
    nan = got["lin2024_top30_kl_base_tuned_nats"].isnan()
    assert nan.tolist() == [False, True, False]


def test_what_is_refused():
    rows = torch.zeros(1, 40)
    with pytest.raises(TypeError, match="float32"):
        compat_metrics(rows.bfloat16(), rows)
    with pytest.raises(ValueError, match="k is 2"):
        compat_metrics(rows, rows, 2)
    with pytest.raises(ValueError, match="common"):
        compat_metrics(rows, rows, common=torch.tensor([40]))
    prepared = CommonIds.of(None, 40, 40, rows.device)
    assert compat_metrics(rows, rows, common=prepared)["lin2024_top30_n_shared"].tolist() == [30]
