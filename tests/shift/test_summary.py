"""Headline numbers of hand-made tables."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune import schema
from aftertune.errors import InputError
from aftertune.shift.summary import MEANS, per_response, summarise, summarise_floor

NAMES = {1: "unshifted", 2: "marginal", 3: "marginal"}


def token(
    response="a", position=0, kl=0.0, rank=1, ties=0, sentence=0, within=None, piece="x", **more
):
    """One row of the tokens table."""
    row = {
        "response_id": response,
        "position": position,
        "token_id": ord(piece[0]),
        "token": piece,
        "char_start": position,
        "char_end": position + 1,
        "sentence": sentence,
        "position_in_sentence": position if within is None else within,
        "base_logprob": -1.0,
        "tuned_logprob": -1.0,
        "base_rank": 1,
        "tuned_rank": 1,
        "rank_ties": None if rank is None else ties,
        "is_tuned_argmax": True,
        "tuned_argmax": 7,
        "base_rank_of_tuned_argmax": rank,
        "base_prob_of_tuned_argmax": None if rank is None else 1 / rank,
        "kl_tuned_base_nats": kl,
        "kl_base_tuned_nats": kl,
        "js_nats": kl / 4,
        "base_entropy_nats": 1.0,
        "tuned_entropy_nats": 1.0,
        "category": None if rank is None else NAMES.get(rank, "shifted"),
        "base_top": [],
        "tuned_top": [],
        "base_mass_outside_common": 0.0,
        "tuned_mass_outside_common": 0.0,
    }
    return row | more


def table(*rows):
    return schema.from_rows("tokens", list(rows))


def test_per_token_and_per_response_by_hand():
    # response a: one token of 4 nats; response b: three tokens of 0
    found = summarise(table(token("a", 0, 4.0), *(token("b", i) for i in range(3))))
    kl = found["kl_tuned_base_nats"]
    assert kl["per_token"]["estimate"] == 1.0
    assert kl["per_response"]["estimate"] == 2.0
    assert kl["per_token"]["n"] == 2
    assert (found["n_responses"], found["n_tokens"]) == (2, 4)


def test_shares_of_categories_under_best_and_worst_tie_rank():
    rows = [token("a", 0, rank=1), token("a", 1, rank=1, ties=2), token("b", 0, rank=3, ties=1)]
    found = summarise(table(*rows, token("b", 1, rank=None)))
    shares = found["categories"]
    # ranks 1, 1, 3 of the three tokens that have one; at worst 1, 3, 4
    assert [shares[name]["n"] for name in shares] == [2, 1, 0]
    assert [shares[name]["share"]["estimate"] for name in shares] == pytest.approx(
        [2 / 3, 1 / 3, 0]
    )
    worst = [shares[name]["share_worst_tie_rank"]["estimate"] for name in shares]
    assert worst == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert found["ties"]["estimate"] == pytest.approx(2 / 3)
    assert found["without_rank"]["n"] == 1
    assert found["without_rank"]["share"]["estimate"] == 0.25
    assert found["base_rank_of_tuned_argmax"]["per_token"]["estimate"] == pytest.approx(5 / 3)
    assert found["base_prob_of_tuned_argmax"]["per_token"]["estimate"] == pytest.approx(7 / 9)


def test_the_first_twentieth_of_each_sentence():
    # sentence 0 has 40 tokens, so its first 2 count; sentence 1 has 3, so its first 1
    rows = [token("a", i, 1.0 if i < 2 else 0.0) for i in range(40)]
    rows += [token("a", 40 + i, 4.0 if i == 0 else 1.0, sentence=1, within=i) for i in range(3)]
    # the same sentence number in another response is another sentence
    rows += [token("b", i, 2.0 if i == 0 else 0.0) for i in range(5)]
    found = summarise(table(*rows))["sentence_start"]
    assert found["first"]["estimate"] == pytest.approx((1 + 1 + 4 + 2) / 4)
    assert found["rest"]["estimate"] == pytest.approx((1 + 1) / (38 + 2 + 4))
    assert found["difference"]["estimate"] == pytest.approx(2 - 2 / 44)


def test_along_the_response_in_bins_that_double():
    rows = [token("a", i, float(i)) for i in range(5)] + [token("b", i, 0.0) for i in range(2)]
    along = summarise(table(*rows))["along"]
    assert [(b["start"], b["end"], b["n_tokens"], b["n"]) for b in along] == [
        (0, 1, 2, 2),
        (1, 2, 2, 2),
        (2, 4, 2, 1),
        (4, 8, 1, 1),
    ]
    assert [b["estimate"] for b in along] == [0.0, 0.5, 2.5, 4.0]
    assert along[1]["low"] is not None
    assert along[2]["low"] is None
    assert along[2]["reason"] == "one prompt has no interval"


def test_frequent_tokens_by_category():
    rows = [token("a", i, piece=p, rank=r) for i, (p, r) in enumerate(
        [("x", 9), ("y", 9), ("x", 9), ("x", 1), ("y", 2), ("z", 4)])]  # fmt: skip
    found = summarise(table(*rows))["frequent"]
    assert [(t["token"], t["n"], t["n_all"]) for t in found["shifted"]] == [
        ("x", 2, 3),
        ("y", 1, 2),
        ("z", 1, 1),
    ]
    assert [(t["token"], t["n"]) for t in found["marginal"]] == [("y", 1)]


def test_no_tokens_give_absent_values_with_their_reason():
    found = summarise(table())
    for name in MEANS:
        for mean in found[name].values():
            assert (mean["estimate"], mean["reason"]) == (None, "no values")
    assert found["categories"]["shifted"]["share"]["estimate"] is None
    assert found["sentence_start"]["difference"]["reason"] == "no values"
    assert found["along"] == []
    assert found["frequent"] == {"marginal": [], "shifted": []}
    assert len(per_response(table())["response_id"]) == 0
    json.dumps(found, allow_nan=False)


def test_an_infinite_divergence_makes_the_mean_absent_and_says_so():
    found = summarise(table(token("a", 0, math.inf), token("b", 0, 1.0)))
    mean = found["kl_tuned_base_nats"]["per_token"]
    assert (mean["estimate"], mean["reason"]) == (None, "a value is not finite")
    json.dumps(found, allow_nan=False)


def test_identity_has_no_shift_and_an_interval_of_width_nought():
    found = summarise(table(*(token(r, i) for r in "abc" for i in range(4))))
    kl = found["kl_tuned_base_nats"]["per_token"]
    assert (kl["estimate"], kl["low"], kl["high"]) == (0, 0, 0)
    assert found["categories"]["unshifted"]["share"]["low"] == 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.floats(0, 20, width=32), st.integers(1, 9)),
        min_size=1,
        max_size=40,
    )
)
def test_means_agree_with_pandas_and_shares_add_up(values):
    rows = [token(r, i, kl, rank) for i, (r, kl, rank) in enumerate(values)]
    made = table(*rows)
    found, frame = summarise(made), made.to_pandas()
    kl = found["kl_tuned_base_nats"]
    assert kl["per_token"]["estimate"] == pytest.approx(frame["kl_tuned_base_nats"].mean())
    by_response = frame.groupby("response_id", sort=False)["kl_tuned_base_nats"].mean()
    assert kl["per_response"]["estimate"] == pytest.approx(by_response.mean())
    assert sum(c["share"]["estimate"] for c in found["categories"].values()) == pytest.approx(1)
    means = per_response(made)
    assert list(means["response_id"]) == list(by_response.index)
    assert means["kl_tuned_base_nats"] == pytest.approx(by_response.to_numpy())
    assert means["n_tokens"].sum() == len(values)


def test_per_response_leaves_what_is_absent_absent():
    means = per_response(table(token("a", rank=None), token("b", rank=2)))
    assert np.isnan(means["base_rank_of_tuned_argmax"][0])
    assert means["base_rank_of_tuned_argmax"][1] == 2


def noise(*rows):
    names = ("kind", "model", "kl_nats", "argmax_differs")
    records = [dict(zip(names, row, strict=True)) for row in rows]
    return schema.from_rows(
        "noise_floor", [{"response_id": "a", "position": i, **r} for i, r in enumerate(records)]
    )


def test_the_floor_is_the_largest_mean_of_the_kinds_that_apply():
    rows = [("other_batching", "base", 0.1, False), ("other_batching", "base", 0.3, True),
            ("cached", "tuned", 0.25, False), ("precision", "tuned", 9.0, True),
            ("identity", "base", 0.0, False)]  # fmt: skip
    found = summarise_floor(noise(*rows), "float32", {"x": "why"})
    assert (found["floor_nats"], found["floor_kind"], found["floor_model"]) == (
        pytest.approx(0.25),
        "cached",
        "tuned",
    )
    base = found["kinds"]["other_batching"]["base"]
    assert base["mean_nats"] == pytest.approx(0.2)
    assert base["share_argmax_differs"] == 0.5
    assert base["n"] == 2
    assert found["absent"] == {"x": "why"}
    # in bfloat16 the difference to float32 is what a shift has to stand above
    assert summarise_floor(noise(*rows), "bfloat16", {})["floor_nats"] == 9.0


def test_no_noise_has_no_floor():
    found = summarise_floor(noise(), "float32", {"cached": "none drawn"})
    assert found["floor_nats"] is None
    assert found["kinds"] == {}


def answers(values):
    """A tokens table of one response per list of KL values."""
    return table(
        *(
            token(f"r{number}", position, kl)
            for number, response in enumerate(values)
            for position, kl in enumerate(response)
        )
    )


def test_a_prompt_that_is_asked_twice_is_one_witness():
    """Forty copies of each answer change neither the mean nor its interval."""
    values = [[0.1, 0.2], [0.4], [0.9, 0.1, 0.3]]
    once, copies = answers(values), answers(values * 40)
    ids = copies.column("response_id").unique().to_pylist()
    alone = summarise(once)["kl_tuned_base_nats"]
    together = summarise(copies, 0, {name: f"p{i % 3}" for i, name in enumerate(ids)})
    assert together["n_responses"] == 120
    assert together["n_prompts"] == 3
    for mean in ("per_token", "per_response"):
        for edge in ("estimate", "low", "high"):
            assert together["kl_tuned_base_nats"][mean][edge] == pytest.approx(alone[mean][edge])
    assert summarise(copies)["kl_tuned_base_nats"]["per_token"]["low"] > alone["per_token"]["low"]


def test_a_response_without_a_prompt_is_the_users_to_mend():
    with pytest.raises(InputError, match=r"'b'.*give the responses that were scored"):
        summarise(table(token("a"), token("b")), 0, {"a": "p"})


def test_as_many_frequent_tokens_are_kept_as_the_paper_lists():
    rows = [token("a", i, piece=chr(200 + i), rank=9) for i in range(130)]
    rows += [token("a", 130, piece=chr(329), rank=9)]  # the last one twice: it comes first
    shifted = summarise(table(*rows))["frequent"]["shifted"]
    assert len(shifted) == 125
    assert (shifted[0]["token"], shifted[0]["n"]) == (chr(329), 2)
