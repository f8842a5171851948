"""Parts of a shift: hand values, what they must obey, and planted parts found again."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.controls.parts import (
    PARTS,
    VARIANTS,
    shapley,
    share_out,
    stop_positions,
    summed,
    together,
)
from aftertune.errors import InputError
from aftertune.shift.metrics import position_metrics

RATES = {"template": 0.5, "style": 0.4, "content": 0.3}  # standard deviation of logits
VOCABULARY = 100


def test_parts_by_hand():
    # template: 1/2 [(3 - 1) + (2 - 0.5)] = 1.75; style: 1/2 [(3 - 2) + (1 - 0.5)] = 0.75
    assert shapley([3.0, 1.0, 2.0, 0.5]).tolist() == [1.75, 0.75, 0.5]


def test_what_only_both_do_is_split_equally():
    # alone neither removes anything, together they remove everything
    assert shapley([1.0, 1.0, 1.0, 0.0]).tolist() == [0.5, 0.5, 0.0]
    # both remove the same: whichever comes first has it all
    assert shapley([1.0, 0.0, 0.0, 0.0]).tolist() == [0.5, 0.5, 0.0]


def test_a_part_that_leads_away_is_negative():
    assert shapley([1.0, 2.0, 0.5, 1.5]).tolist() == [-1.0, 0.5, 1.5]


@given(st.lists(st.floats(0, 100), min_size=4, max_size=4))
def test_parts_add_up_and_do_not_depend_on_the_order(values):
    template, style, content = shapley(values)
    assert template + style + content == pytest.approx(values[0], abs=1e-9)
    swapped = shapley([values[0], values[2], values[1], values[3]])
    assert swapped == pytest.approx([style, template, content], abs=1e-9)


def test_what_changes_nothing_has_no_part():
    """The template is the base's own: the values with and without it are the same numbers."""
    generator = np.random.default_rng(0)
    none, style = generator.uniform(0, 9, (2, 30))
    sums = np.stack([none, none, style, style], axis=1)
    found = share_out(sums, np.full(30, 7), np.arange(30))
    for mean in (found["per_response"], found["per_token"]):
        part = mean["parts"]["template"]
        assert part["estimate"] == part["low"] == part["high"] == 0
        assert mean["together"]["estimate"] == 0


def test_both_means_by_hand():
    # response A: 1 token, 4 nats from the base; B: 3 tokens, none; one prompt each
    sums = [[4.0, 2.0, 4.0, 2.0], [0.0, 0.0, 0.0, 0.0]]
    found = share_out(sums, [1, 3], ["a", "b"])
    assert found["per_token"]["variants"]["none"]["estimate"] == 1.0
    assert found["per_response"]["variants"]["none"]["estimate"] == 2.0
    assert {n: found["per_token"]["parts"][n]["estimate"] for n in PARTS} == {
        "template": 0.5, "style": 0.0, "content": 0.5,
    }  # fmt: skip
    assert found["per_response"]["shares"]["template"]["estimate"] == 0.5
    assert (found["n_responses"], found["n_prompts"], found["n_tokens"]) == (2, 2, 4)


def test_prompts_are_drawn_and_not_responses():
    sums = np.repeat([[4.0, 2.0, 3.0, 1.0], [2.0, 1.0, 1.0, 0.0], [1.0, 0.5, 1.0, 0.5]], 5, axis=0)
    found = share_out(sums, np.ones(15), np.repeat(["a", "b", "c"], 5))
    assert found["n_prompts"] == found["per_token"]["parts"]["style"]["n"] == 3
    single = share_out(sums[::5], np.ones(3), ["a", "b", "c"])
    assert found["per_response"]["parts"] == single["per_response"]["parts"]


def test_what_cannot_be_parted_says_why():
    empty = share_out(np.empty((0, 4)), [], [])
    assert empty["per_token"]["parts"]["style"]["reason"] == "no values"
    assert empty["per_token"]["shares"]["style"]["reason"] == "no values"
    one = share_out([[4.0, 2.0, 3.0, 1.0]], [2], ["a"])["per_token"]
    assert one["parts"]["content"]["estimate"] == 0.5
    assert one["parts"]["content"]["reason"] == "one prompt has no interval"
    none = share_out(np.zeros((3, 4)), [1, 1, 1], ["a", "b", "c"])["per_token"]
    assert none["parts"]["content"]["estimate"] == 0
    assert none["shares"]["content"]["reason"] == "there is no shift to share out"
    infinite = share_out([[np.inf, 1, 1, 1], [1, 1, 1, 1]], [1, 1], ["a", "b"])["per_token"]
    assert infinite["parts"]["template"]["reason"] == "a value is not finite"
    with pytest.raises(ValueError, match="must be"):
        share_out(np.zeros((3, 3)), [1, 1, 1], ["a", "b", "c"])


def test_responses_of_a_stop_token_alone_are_left_out():
    found = share_out([[4.0, 2.0, 3.0, 1.0], [0, 0, 0, 0]], [2, 0], ["a", "b"])
    assert found["n_responses"] == 1
    assert found["per_response"]["variants"]["none"]["estimate"] == 2.0


def made_parts(generator, n, n_tokens=6, rates=RATES):
    """Summed KL [n, 4] of n responses whose logits are base + template + style + content, each
    effect drawn anew at every position with the standard deviation of `rates`, times the strength
    of the response.
    """
    shape = (n, n_tokens, VOCABULARY)
    base = generator.normal(0, 1, shape)
    strength = generator.lognormal(0, 0.3, (n, 1, 1))
    effect = {name: strength * rates[name] * generator.normal(0, 1, shape) for name in PARTS}
    with_template, with_style = base + effect["template"], base + effect["style"]
    both = with_template + effect["style"]
    tuned = (both + effect["content"]).reshape(-1, VOCABULARY)
    columns = []
    for variant in (base, with_template, with_style, both):
        rows = torch.from_numpy(variant.reshape(-1, VOCABULARY)).float()
        tokens = torch.zeros(len(rows), dtype=torch.long)
        kl = position_metrics(rows, torch.from_numpy(tuned).float(), tokens)["kl_tuned_base_nats"]
        columns.append(kl.numpy().astype(np.float64).reshape(n, n_tokens).sum(1))
    return np.stack(columns, axis=1)


def test_small_planted_effects_have_half_their_variance():
    # KL of a small change d of the logits is half the variance of d; independent effects add up
    rates = {"template": 0.06, "style": 0.04, "content": 0.02}
    sums = made_parts(np.random.default_rng(1), 300, 6, rates)
    found = share_out(sums, np.full(300, 6), np.arange(300))["per_response"]
    strength = np.exp(2 * 0.3**2)  # mean square of the strengths
    for name in PARTS:
        expected = strength * rates[name] ** 2 / 2 * (1 - 1 / VOCABULARY)
        assert found["parts"][name]["estimate"] == pytest.approx(expected, rel=0.1)
    # 36 : 16 : 4
    assert found["shares"]["template"]["estimate"] == pytest.approx(36 / 56, abs=0.02)


def test_planted_parts_lie_within_their_intervals_as_often_as_stated():
    generator = np.random.default_rng(5)
    truth = share_out(made_parts(generator, 2000), np.full(2000, 6), np.arange(2000))
    trials, n = 200, 20
    hits = dict.fromkeys([(kind, name) for kind in ("parts", "shares") for name in PARTS], 0)
    drawn = made_parts(generator, trials * n).reshape(trials, n, 4)
    for trial in range(trials):
        found = share_out(drawn[trial], np.full(n, 6), np.arange(n), seed=trial)["per_response"]
        for kind, name in hits:
            exact = truth["per_response"][kind][name]["estimate"]
            interval = found[kind][name]
            hits[kind, name] += interval["low"] <= exact <= interval["high"]
    for rate in hits.values():
        assert 0.90 <= rate / trials <= 0.99  # nominal 95%


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(0.01, 10)] * 4, st.integers(1, 9), st.integers(0, 5)),
        min_size=2,
        max_size=12,
    ),
    st.integers(0, 99),
)
def test_estimates_add_up_to_the_whole(responses, seed):
    sums = [one[:4] for one in responses]
    found = share_out(sums, [one[4] for one in responses], [one[5] for one in responses], seed)
    for kind in ("per_response", "per_token"):
        parts = [found[kind]["parts"][name]["estimate"] for name in PARTS]
        shares = [found[kind]["shares"][name]["estimate"] for name in PARTS]
        whole = found[kind]["variants"]["none"]["estimate"]
        assert sum(parts) == pytest.approx(whole, rel=1e-9)
        assert sum(shares) == pytest.approx(1, rel=1e-6)


def tokens_of(*responses):
    """A `tokens` table: (response_id, [KL by position])."""
    rows = [
        {"response_id": name, "position": position, "kl_tuned_base_nats": kl}
        for name, values in responses
        for position, kl in enumerate(values)
    ]
    names = {"response_id": pa.string(), "position": pa.int32(), "kl_tuned_base_nats": pa.float32()}
    return pa.Table.from_pylist(rows, schema=pa.schema(names))


def test_sums_leave_the_stop_token_out():
    tokens = tokens_of(("a", [1.0, 2.0, 8.0]), ("b", [4.0]), ("c", [5.0, 1.0]))
    responses = pa.Table.from_pylist(
        [
            {"response_id": "a", "finish_reason": "stop", "response_token_ids": [5, 6, 2]},
            {"response_id": "b", "finish_reason": "stop", "response_token_ids": [2]},
            {"response_id": "c", "finish_reason": "length", "response_token_ids": [5, 2]},
            {"response_id": "d", "finish_reason": "stop", "response_token_ids": None},
            {"response_id": "e", "finish_reason": "stop", "response_token_ids": [5, 6]},
        ]
    ).append_column("prompt_id", pa.array(list("pqrst")))
    stops = stop_positions(responses, [2])
    assert stops == {"a": 2, "b": 0}  # e was stopped by something that is no stop token
    assert stop_positions(responses, []) == {}
    assert summed(tokens, stops) == {"a": (3.0, 2), "b": (0.0, 0), "c": (6.0, 2)}
    assert summed(tokens.slice(0, 0), stops) == {}


def test_only_what_all_four_scored_is_brought_together():
    scored = {name: {"a": (4.0, 2), "b": (1.0, 1)} for name in VARIANTS}
    scored["style"] = {"a": (3.0, 2)}
    sums, counts, prompts = together(scored, {"a": "p", "b": "q"})
    assert sums.tolist() == [[4.0, 4.0, 3.0, 4.0]]
    assert (counts.tolist(), prompts) == ([2.0], ["p"])
    nothing = together({name: {} for name in VARIANTS}, {})
    assert nothing[0].shape == (0, 4)
    with pytest.raises(InputError, match="not among the responses"):
        together(scored, {})
    scored["both"] = {"a": (4.0, 3)}
    with pytest.raises(InputError, match="same tokens"):
        together(scored, {"a": "p"})
