"""The measures of bench/trace_null.py: halves of rows that no model saw, and what chance finds."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parent.parent / "bench"


@pytest.fixture(scope="module")
def null():
    sys.path.insert(0, str(BENCH))
    try:
        spec = importlib.util.spec_from_file_location("trace_null", BENCH / "trace_null.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["trace_null"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCH))
    return module


def won(scores, clusters):
    return {
        (f"a{place}", 0, 5): {"score": score, "cluster_id": name, "row_index": place}
        for place, (score, name) in enumerate(zip(scores, clusters, strict=True))
    }


def split(world, shares, found=0, draws=100):
    return {"world": world, "p": shares, "p_of_rows": shares, "n_draws": draws,
            "span found": found, "row found": found, "wins beyond chance": found,
            "any of these": found}  # fmt: skip


def test_half_of_the_clusters_is_held_out_by_each_draw(null):
    drawn = null.halves(["a", "b", "c", "a", "d", "e"], 40, "x")
    assert {len(held) for held in drawn} == {2}
    assert set().union(*drawn) == set("abcde")
    assert len(set(drawn)) > 5
    assert drawn == null.halves(["e", "d", "c", "b", "a"], 40, "x")
    assert drawn != null.halves(["a", "b", "c", "d", "e"], 40, "y")


def test_a_draw_by_hand(null):
    # of 3 spans that trained rows win, one lies above both decoys, one between them, one below
    given = won([5.0, 4.0, 3.0, 2.0, 1.0], "abcde")
    found = null.of_draw(given, frozenset("bd"), 0.5)
    assert found["p"] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert found["p_of_rows"] == found["p"]  # no cluster wins two spans
    assert not found["span found"]
    assert all("control" not in one for one in given.values())  # the next draw begins anew


def test_the_best_span_of_a_row_counts_for_it(null):
    found = null.of_draw(won([5.0, 4.0, 3.0, 2.0], ["a", "b", "a", "d"]), frozenset("b"), 0.5)
    assert len(found["p"]) == 3
    assert found["p_of_rows"] == [min(found["p"]), max(found["p"])]


def test_what_is_there_is_found(null):
    # 50 of 60 spans are won by rows, and all decoys lie below them: that is not chance
    given = won(np.linspace(2, 1, 60), [f"c{place}" for place in range(60)])
    found = null.of_draw(given, frozenset(f"c{place}" for place in range(50, 60)), 0.5)
    assert all(found[part] for part in null.PARTS)


def test_chance_alone_is_held(null):
    generator = np.random.default_rng(0)
    splits = []
    for world in range(4):
        names = [f"c{place}" for place in range(80)]
        one = null.of_split(won(generator.normal(size=80), names), names, 60, str(world))
        splits.append({"world": world, **one})
    found = null.over_worlds(splits)
    for level, of in found["p"].items():
        assert of["estimate"] <= float(level) + 0.01
        assert of["conclusion"] != "broken"
    assert found["p"]["0.5"]["estimate"] > 0.4  # and not by never being small
    assert found["span found"]["over_draws"]["n"] == 240
    assert found["span found"]["estimate"] <= 0.1


def test_worlds_are_averaged_and_compared_with_what_is_allowed(null):
    low, high = [0.001] * len(null.LEVELS), [0.9] * len(null.LEVELS)
    found = null.over_worlds([split(0, low), split(0, high, 4), split(1, low, 2)])
    assert found["p"]["0.5"]["estimate"] == pytest.approx((0.4505 + 0.001) / 2)
    assert found["p"]["0.5"]["worst_world"] == pytest.approx(0.4505)
    assert found["row found"]["estimate"] == pytest.approx(0.02)
    assert found["row found"]["over_draws"]["estimate"] == pytest.approx(6 / 300)
    assert found["p"]["0.5"]["conclusion"] == "undecided"
    for shares, said in ((low, "held"), (high, "broken")):
        same = null.over_worlds([split(0, shares), split(1, shares)])
        assert {of["conclusion"] for of in same["p"].values()} == {said}


def test_one_world_decides_nothing_and_no_span_has_no_share(null):
    assert null.over_worlds([split(0, [0.0] * 6)])["p"]["0.1"]["conclusion"] == "undecided"
    nothing = null.of_split({}, ["a", "b"], 3, "x")
    assert nothing["p"] == [None] * len(null.LEVELS)
    assert (nothing["n_spans"], nothing["most_of_a_cluster"], nothing["any of these"]) == (0, 0, 0)
    found = null.over_worlds([{"world": 0, **nothing}])["p"]["0.1"]
    assert (found["estimate"], found["worst_world"]) == (None, None)


def test_of_a_span_found_among_all_rows_only_those_of_b_are_left(null):
    known = {"evidence": {"exact": [3.0, 2.0, 1.0]}, "shift_nats": 0.5, "base_surprise": 2.0,
             "held": [False, True, True], "influence_base": [0.1, 0.2, 0.3],
             "clusters": ["a", "b", "c"], "rows": [7, 8, 9]}  # fmt: skip
    found = null._of_held(known)
    assert [one["row_index"] for one in found] == [8, 9]
    assert (found[1]["exact"], found[1]["influence"], found[1]["cluster_id"]) == (1.0, 0.3, "c")
    assert (found[0]["base_logprob"], found[0]["bm25"]) == (-2.0, None)
    assert null._of_held({**known, "held": [False] * 3}) == []
