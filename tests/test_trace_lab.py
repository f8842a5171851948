"""The measures of bench/trace_lab.py: pairs of span and row, and discoveries of splits."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest

from aftertune.trace import influenced

BENCH = Path(__file__).parent.parent / "bench"


def _module(name):
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


measures, rates = _module("trace_lab_measures"), _module("trace_lab_rates")
for needed in ("measure", "trace_lab_pairs", "trace_lab_splits"):
    _module(needed)
by_halves = _module("trace_lab_halves").by_halves


def span(label="caused", causal=(1,), rows=(1, 2, 3), told=(3.0, 2.0, 1.0), fresh=(1,), **more):
    return {
        "label": label, "family": "town", "causal": list(causal), "rows": list(rows),
        "evidence": {"exact": list(told)}, "span": {"exact": max(told, default=0.0)},
        "named": {measures.CEILING: list(fresh), "blind": []}, **more,
    }  # fmt: skip


def test_a_detector_that_is_right_and_one_that_is_wrong():
    world = [span(), span(causal=(3,), told=(1.0, 1.0, 5.0))]
    right = measures.of_world(world, measures.ranked(world, {"exact": 1.0}))
    assert right == {"auroc": 1.0, "average_precision": 1.0, "top_1": 1.0, "top_5": 1.0}
    wrong = [span(causal=(3,))]
    found = measures.of_world(wrong, measures.ranked(wrong, {"exact": 1.0}))
    assert found["auroc"] == 0.0
    assert found["average_precision"] == pytest.approx(1 / 3)
    assert (found["top_1"], found["top_5"]) == (0.0, 1.0)


def test_what_is_never_named_is_no_hit_and_what_is_not_retrieved_is_missed():
    world = [span(), span(rows=(), told=())]
    nothing = measures.of_world(world, measures.named(world, "blind"))
    assert (nothing["auroc"], nothing["top_1"], nothing["top_5"]) == (0.5, 0.0, 0.0)
    assert measures.of_world(world, measures.named(world, measures.CEILING))["top_1"] == 0.5


def test_spans_that_no_row_caused_are_no_part_of_the_pairs():
    one = [span()]
    more = [*one, span("not caused", causal=()), span("undecided", causal=())]
    of = [measures.of_world(w, measures.ranked(w, {"exact": 1.0})) for w in (one, more)]
    assert of[0] == of[1]
    assert len(measures.decided(more)) == 2


def test_weights_of_a_world_come_from_the_others():
    told = [span(), span(causal=(1, 2))] * 5
    misled = [span(causal=(3,))] * 5
    found = measures.left_out({0: told, 1: misled}, ("exact",))
    assert found["auroc"][0] == 0.5  # fitted on what misleads: no weight, all alike
    assert found["auroc"][1] == 0.0  # fitted on what tells
    assert measures.weights_from([told], ("exact",))["exact"] > 0


def test_the_share_of_a_gap_by_hand():
    values = {name: [0.9, 0.8] for name in measures.MEASURES}
    low = {name: [0.8, 0.7] for name in measures.MEASURES}
    high = {name: [1.0, 0.9] for name in measures.MEASURES}
    found = measures.compared(values, low, high)["auroc"]
    assert found["gap_closed"]["estimate"] == pytest.approx(0.5)
    assert measures.compared(values, high, high)["auroc"]["gap_closed"]["estimate"] is None


def split(spans, statements=(), share=0.5):
    return {"world": 0, "seed": 0, "share": share, "groups": [["town.river", "Aldra", 1]],
            "spans": spans, "statements": list(statements)}  # fmt: skip


def found_span(score, held=False, cluster="c", effect=-2.0, response="a"):
    return {
        "response": response, "start": 0, "end": 5, "text": "Aldra", "score": [score],
        "shift_nats": 1.0, "base_surprise": 2.0, "held": [held], "clusters": [cluster],
        "keys": [["town.river", "Aldra" if effect is not None else "Isk"]],
        "evidence": {"exact": [1.0]}, "effects": [0.0, effect or 0.0, 0.0, 0.0], "rows": [1],
    }  # fmt: skip


def test_discoveries_and_their_truth_by_hand():
    # 30 trained winners above the only decoy: q = 2 / 30 behind it, 1 / 30 before it
    spans = [found_span(5.0 + n, cluster=f"c{n}", response=f"r{n}") for n in range(27)]
    spans += [found_span(4.0, cluster=f"d{n}", effect=0.0) for n in range(2)]
    spans += [found_span(3.0, cluster="e", effect=-0.4), found_span(1.0, held=True)]
    caused = {"response": "r0", "start": 2, "end": 4, "key": ["town.river", "Aldra"]}
    asked = [{**caused, "effect": -1.0}, {**caused, "response": "z", "effect": -1.0},
             {**caused, "effect": 0.0}]  # fmt: skip
    one = split(spans, asked)
    of = rates.of_split(one, rates.winners(one, None, None), "spans")
    assert (of["n"], of["true"], of["false"], of["undecided"]) == (30, 27, 2, 1)
    assert (of["fdp"], of["fdp_strict"]) == pytest.approx((2 / 30, 3 / 30))
    assert (of["power"], of["n_caused"], of["held_winners"]) == (0.5, 2, 1)


def test_spans_of_one_cluster_count_once():
    one = split([found_span(5.0 + n) for n in range(40)])
    won = rates.winners(one, None, None)
    for units in ("spans", "clusters"):
        assert rates.discoveries(won, 0.5, units) == []  # one cluster proves nothing: q = 1
    apart = [{**winner, "cluster": number} for number, winner in enumerate(won)]
    for units in ("spans", "clusters"):
        assert len(rates.discoveries(apart, 0.5, units)) == 40


def test_a_cluster_is_true_where_one_of_its_spans_is():
    spans = []
    for n in range(20):
        spans += [found_span(9.0, cluster=f"c{n}", response=f"r{n}", effect=0.0),
                  found_span(8.0, cluster=f"c{n}", response=f"r{n}", effect=-2.0)]  # fmt: skip
    spans += [found_span(7.0, cluster="d", effect=0.0), found_span(7.0, cluster="e", effect=-0.4)]
    one = split([*spans, found_span(1.0, held=True)])
    of = rates.of_split(one, rates.winners(one, None, None), "clusters")
    assert (of["n"], of["true"], of["false"], of["undecided"]) == (22, 20, 1, 1)
    # with the best two of each above the median of 8, those with 9 alone stand out
    of = rates.of_split(one, rates.winners(one, None, None), "clusters", best=2)
    assert (of["n"], of["true"]) == (22, 20)  # at q = 0.10 one decoy of 22 is let in


def test_the_first_rows_and_what_they_add_by_halves():
    n = influenced.MOST + 2
    many = found_span(0.0)
    many |= {"held": [True] * n, "clusters": [f"c{k}" for k in range(n)], "rows": list(range(n)),
             "keys": many["keys"] * n, "score": [0.0] * n,
             "influence_halves": {"16": [0.0] * (n - 2), "32": [float(k) for k in range(n - 2)]},
             "evidence": {"exact": [1.0] * n}, "influence_base": [5.0] * n}  # fmt: skip
    [won] = rates.winners(by_halves(split([many]), 32), {influenced.WEIGHT: 1.0},
                          influenced.OF_HALVES)  # fmt: skip
    assert won["cluster"] == f"c{n - 3}"
    assert won["of_span"][influenced.WEIGHT] == n - 3  # and nothing of the base
    [won] = rates.winners(by_halves(split([many]), 16), {influenced.WEIGHT: 1.0},
                          influenced.OF_HALVES)  # fmt: skip
    assert won["cluster"] == "c0"  # of equal ones the first


def test_a_row_that_was_never_trained_on_is_false():
    assert rates.false(None)
    assert not rates.true(None)
    assert rates.true(-math.log(2))
    assert not rates.false(-math.log(1.25))


def test_weights_choose_the_winner_and_order_spans():
    two = found_span(0.0)
    two |= {"score": [0.0, -1.0], "held": [False, True], "clusters": ["c", "d"],
            "keys": two["keys"] * 2, "evidence": {"exact": [1.0, 9.0]}}  # fmt: skip
    moved = {**found_span(0.0), "shift_nats": 7.0}
    found = rates.winners(split([two, moved]), {"exact": 1.0}, {"shift_nats": 1.0})
    assert [one["held"] for one in found] == [True, False]
    assert found[1]["score"] > found[0]["score"]
    assert rates.winners(split([two]), None, None)[0]["cluster"] == "c"


def test_no_splits_and_one_world():
    assert rates.over_splits([])["fdp"] == {"mean": None, "high": None}
    one = rates.of_split(split([]), [], "spans")
    assert one["fdp"] == 0.0
    assert one["power"] is None
    assert rates.over_splits([one])["fdp"] == {"mean": 0.0, "high": None}
