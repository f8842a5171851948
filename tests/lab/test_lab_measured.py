"""A detector beside a baseline and the ceiling, on made worlds in which all three are planted."""

import numpy as np
import pytest

from aftertune.lab import measured, scoring
from aftertune.lab.calibration import ONE_WORLD
from aftertune.lab.detectors import Finding
from aftertune.lab.measured import (
    IS_BASELINE,
    NO_BASELINE,
    NO_PAIRS,
    NOT_FRESH,
    OWN,
    WITHIN,
    blind_top,
    ceiling,
    compared,
    paired,
    scored,
)
from aftertune.lab.over_worlds import NO_GAP
from aftertune.lab.score import NO_ROWS
from made_judged import detector, planted, truth, world

CAUSED, OTHER = truth("caused", -2.0), truth("not caused", 0.1)


@pytest.fixture(scope="module")
def found():
    """bm25 is weak, mine better, and the labels best; random knows nothing."""
    worlds = planted()
    said = {
        "bm25": detector(worlds, 0.7, 1, right=0.3),
        "random": detector(worlds, 0.0, 2, right=0.05),
        "mine": detector(worlds, 1.5, 3, right=0.6),
    }
    return scoring.results(worlds, said, seed=0)


def by_name(found, name):
    return next(one for one in found["detectors"] if one["name"] == name)


def test_what_was_planted_is_found(found):
    auroc = {one["name"]: one["measures"]["auroc"] for one in found["detectors"]}
    # two normals apart by s: AUROC is Phi(s / sqrt 2): 0.69, 0.50, 0.856 and 0.983
    assert auroc["bm25"]["low"] < 0.690 < auroc["bm25"]["high"]
    assert auroc["random"]["low"] < 0.5 < auroc["random"]["high"]
    assert auroc["mine"]["low"] < 0.856 < auroc["mine"]["high"]
    top = found["ceiling"]["measures"]
    assert top["auroc"]["low"] < 0.983 < top["auroc"]["high"]
    assert (top["top_1"]["estimate"], auroc["mine"]["n"]) == (1, 5)
    assert [one["included"] for one in found["detectors"]] == [True, True, False]


def test_a_detector_is_held_against_the_best_baseline_and_the_ceiling(found):
    against = by_name(found, "mine")["against"]["auroc"]
    assert against["best_baseline"] == "bm25"
    assert against["to_best_baseline"]["low"] < 0.856 - 0.690 < against["to_best_baseline"]["high"]
    assert against["to_best_baseline"]["low"] > 0
    assert against["to_ceiling"]["high"] < 0
    # (0.856 - 0.690) / (0.983 - 0.690)
    assert against["gap_closed"]["low"] < 0.566 < against["gap_closed"]["high"]
    assert "Fieller" in against["gap_closed"]["method"]


def test_the_best_baseline_is_not_held_against_itself(found):
    against = by_name(found, "bm25")["against"]["auroc"]
    assert against["to_best_baseline"]["reason"] == IS_BASELINE
    assert against["gap_closed"]["reason"] == IS_BASELINE
    assert against["to_ceiling"]["high"] < 0
    assert by_name(found, "random")["against"]["auroc"]["to_best_baseline"]["estimate"] < 0


def test_every_world_is_told_with_the_threshold_of_the_others(found):
    one = by_name(found, "mine")
    assert [world["world"] for world in one["worlds"]] == list(range(5))
    mean = np.mean([world["auroc"] for world in one["worlds"]])
    assert one["measures"]["auroc"]["estimate"] == pytest.approx(mean)
    assert all(0 < world["threshold"] < 2 for world in one["worlds"])
    assert all(world["false_discovery"] is None for world in one["worlds"])


def test_equals_do_not_differ_and_close_nothing():
    worlds = planted()
    same = detector(worlds, 0.7, 1)
    found = scoring.results(worlds, {"bm25": same, "mine": same}, seed=0)
    against = by_name(found, "mine")["against"]["auroc"]
    for name in ("to_best_baseline", "gap_closed"):
        assert (against[name]["estimate"], against[name]["low"], against[name]["high"]) == (0, 0, 0)


def test_a_baseline_at_the_ceiling_leaves_no_gap():
    worlds = planted()
    said = {"bm25": ceiling(worlds), "mine": detector(worlds, 0.7, 1)}
    found = scoring.results(worlds, said, seed=0)
    against = by_name(found, "mine")["against"]["auroc"]
    assert against["gap_closed"]["reason"] == NO_GAP
    assert against["to_best_baseline"]["high"] < 0


def test_only_statements_that_both_score_are_compared():
    worlds = [world(0, [CAUSED, OTHER, CAUSED, OTHER])]
    silent = Finding(None, reason="no")
    said = {
        "bm25": [[Finding(1.0), Finding(2.0), silent, silent]],  # wrong in its one pair
        "mine": [[Finding(2.0), Finding(1.0), Finding(0.0), Finding(9.0)]],  # right in that pair
    }
    found = scoring.results(worlds, said, seed=0)
    assert by_name(found, "mine")["measures"]["auroc"]["estimate"] == 0.25  # of all
    assert by_name(found, "mine")["against"]["auroc"]["to_best_baseline"]["estimate"] == 1
    nothing = {"bm25": [[silent] * 4], "mine": said["mine"]}
    against = by_name(scoring.results(worlds, nothing, seed=0), "mine")["against"]["auroc"]
    assert against["best_baseline"] is None
    assert against["to_best_baseline"]["reason"] == NO_BASELINE


def test_a_ceiling_that_was_never_measured_is_absent():
    worlds = [world(n, [truth("caused"), truth("not caused")]) for n in range(2)]
    found = scoring.results(worlds, {"mine": [[Finding(1.0), Finding(0.0)]] * 2}, seed=0)
    assert found["ceiling"]["reason"] == NOT_FRESH
    assert found["ceiling"]["unscored"] == {NOT_FRESH: 4}
    assert by_name(found, "mine")["against"]["auroc"]["to_ceiling"]["reason"] == NO_PAIRS


def test_a_detector_by_hand():
    # caused: 3 (blames 1), 1 (blames 9); others: 2, and one that it cannot score
    said = [
        [Finding(3.0, (1,)), Finding(2.0, (2,)), Finding(1.0, (9, 1)), Finding(None, reason="no")]
    ]
    found = scored([world(0, [CAUSED, OTHER, CAUSED, OTHER])], said, seed=0)
    assert (found["n"], found["unscored"]) == (3, {"no": 1})
    assert found["measures"]["auroc"]["estimate"] == 0.5
    assert found["measures"]["top_1"]["estimate"] == 0.5
    assert found["measures"]["top_5"]["estimate"] == 1
    assert found["measures"]["false_discovery"]["estimate"] is None
    assert found["calibration"] == {"reason": ONE_WORLD}


def test_the_ceiling_is_the_effects_and_rows_on_fresh_seeds():
    truths = [CAUSED, OTHER, truth("caused", 0.2, rows=(3, 4), rows_b=(5, 4), level="several rows"),
              OTHER, truth("caused", -1.0, rows=(2,), rows_b=())]  # fmt: skip
    found = scored([world(0, truths)], ceiling([world(0, truths)]), seed=0)["measures"]
    # -effect_b: caused 2, -0.2 and 1, others -0.1 twice: four of six pairs are right
    assert found["auroc"]["estimate"] == pytest.approx(4 / 6)
    assert found["top_1"]["estimate"] == pytest.approx(1 / 3)
    assert found["top_5"]["estimate"] == pytest.approx(2 / 3)
    assert found["top_1_one_row"]["estimate"] == 0.5


def test_who_names_no_rows_has_no_top():
    found = scored([world(0, [CAUSED, OTHER])], [[Finding(1.0), Finding(0.0)]], 0)
    assert found["measures"]["top_1"]["reason"] == NO_ROWS


def test_blind_rows_are_counted_per_world():
    one = world(0, [CAUSED, OTHER])
    several = [truth("caused", -1.0, (1, 2), level="several rows"),
               truth("caused", -1.0, (1, 2, 3), level="several rows")]  # fmt: skip
    found = blind_top([one, world(1, several)])
    # of ten rows 1, 2 and 3 are causal
    assert found["top_1"] == pytest.approx((0.1 + 0.2 + 0.3) / 3)
    assert found["top_1_one_row"] == pytest.approx(0.1)
    assert found["top_5_one_row"] == pytest.approx(0.5)
    assert blind_top([world(0, [OTHER])])["top_1"] is None


def test_probabilities_by_hand():
    # four of 0.75 of which three come true, in each of two worlds: (3/16 of 1) and no error
    truths = [CAUSED, CAUSED, CAUSED, OTHER]
    said = [[Finding(0.75, probability=True)] * 4] * 2
    found = scored([world(0, truths), world(1, truths)], said, 0)["calibration"]
    assert found["of"] == OWN
    assert found["brier"]["estimate"] == pytest.approx(3 / 16)
    assert found["brier_of_share"] == pytest.approx(3 / 16)
    assert found["expected_error"] == 0
    assert found["bins"] == [{"n": 8, "said": 0.75, "found": 0.75}]


def test_other_scores_are_calibrated_on_other_worlds():
    worlds = planted(n=120)
    good = scored(worlds, detector(worlds, 2.0, 5), 0)["calibration"]
    blind = scored(worlds, [[Finding(0.0)] * 120] * 5, 0)["calibration"]
    assert good["of"] == WITHIN
    assert good["brier"]["high"] < good["brier_of_share"]
    assert good["expected_error"] <= good["expected_error_if_perfect"]["high"]
    # who says the same of everything learns the share of the other worlds: 1/3 x 2/3
    assert blind["brier"]["estimate"] == pytest.approx(2 / 9)
    assert blind["expected_error"] == pytest.approx(0)


def test_probabilities_of_a_braggart_are_told():
    worlds = planted(n=120)
    said = [[Finding(0.99 if t["label"] == "caused" else 0.6, probability=True) for t in w.truths]
            for w in worlds]  # fmt: skip
    found = scored(worlds, said, 0)["calibration"]
    assert found["expected_error"] > found["expected_error_if_perfect"]["high"]
    assert found["brier"]["estimate"] == pytest.approx(0.01**2 / 3 + 0.6**2 * 2 / 3)


def test_promised_and_found_of_every_world():
    truths = [CAUSED, CAUSED, OTHER, OTHER]
    first = [Finding(1.0, q=0.05), Finding(1.0, q=0.05), Finding(1.0, q=0.05), Finding(1.0, q=1.0)]
    second = [Finding(1.0, q=0.1), Finding(1.0, q=0.5), Finding(1.0, q=0.5), Finding(1.0, q=1.0)]
    found = scored([world(0, truths), world(1, truths)], [first, second], 0)
    assert [one["false_discovery"] for one in found["worlds"]] == pytest.approx([1 / 3, 0])
    assert found["measures"]["false_discovery"]["estimate"] == pytest.approx(1 / 6)
    assert [one["power"] for one in found["worlds"]] == [1, 0.5]


def test_nothing_to_score_has_a_reason():
    silent = scored([world(0, [CAUSED])], [[Finding(None, reason="no")]], 0)
    assert (silent["measures"], silent["reason"]) == ({}, "no")
    assert scored([], [], 0)["reason"] == measured.NO_STATEMENTS
    one_sided = scored([world(0, [OTHER])], [[Finding(1.0)]], 0)
    assert one_sided["reason"] == "no statement is caused by rows"


def test_statements_stand_in_one_order():
    worlds = [world(0, [CAUSED, OTHER]), world(4, [OTHER])]
    said = [[Finding(1.0), Finding(None)], [Finding(3.0)]]
    found = paired(worlds, said)
    assert [one and one.group for one in found] == ["0/0", None, "4/0"]
    results = {"a": scored(worlds, said, 0)}
    assert compared("a", {"a": found, "top": found}, results, [], "top", 0)["auroc"][
        "best_baseline"
    ] is None  # fmt: skip
