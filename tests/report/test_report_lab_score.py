"""The block about detectors: worlds that are planted, and numbers by hand."""

import pytest

from aftertune.lab import scoring
from aftertune.lab.detectors import Finding
from aftertune.report.blocks.lab_score import _apart, block
from aftertune.report.blocks.shape import checked
from made_judged import detector, planted, truth, world

CAUSED, OTHER = truth("caused", -2.0), truth("not caused", 0.1)


def shown(found, absent=None):
    return checked(block({"name": "world 0", "found": found, "absent": absent or {}}))


def held(low, high, reason=None):
    return {"estimate": (low + high) / 2, "low": low, "high": high, "reason": reason}


def unknown(reason):
    return {"estimate": None, "low": None, "high": None, "reason": reason}


def made(name, low, high, included=True, **more):
    measures = {"auroc": held(low, high), "top_1": held(0.2, 0.4)}
    against = {
        "best_baseline": "b", "to_best_baseline": held(0.1, 0.3), "to_ceiling": held(-0.3, -0.1),
        "gap_closed": held(0.2, 0.6),
    }  # fmt: skip
    return {
        "name": name, "included": included, "n": 100, "unscored": {}, "reason": None, "worlds": [],
        "measures": measures, "calibration": {"reason": "no"}, "against": {"auroc": against},
        **more,
    }  # fmt: skip


def found_of(*detectors, worlds=1):
    counts = {"caused": 60, "not caused": 40, "undecided": 7}
    return {
        "worlds": [{"world": n, "counts": counts, "n_rows": 10} for n in range(worlds)],
        "promised": 0.1,
        "detectors": list(detectors),
        "ceiling": made("labels", 0.9, 1.0),
        "blind": {"top_1": 0.1, "top_5": 0.4, "top_1_one_row": 0.1, "top_5_one_row": 0.4},
    }


def test_included_detectors_alone_are_told_from_chance_and_from_the_ceiling():
    one = shown(found_of(made("a", 0.4, 0.6), made("b", 0.7, 0.9), made("c", 0.1, 0.3)))
    assert one["sentences"] == [
        "Of 100 wrong statements with a decided label, 60 are caused by rows; 7 more are undecided "
        "and left out.",
        "The ceiling, the labels' own effects on fresh seeds, is AUROC 0.95 [0.90, 1.00].",
        "Above chance in AUROC: b 0.80 [0.70, 0.90].",
        "Below chance: c 0.20 [0.10, 0.30].",
        "Undecided, the interval holds chance: a 0.50 [0.40, 0.60].",
        "The best included detector is b, 0.20 [0.10, 0.30] below the ceiling.",
        "The first row named is one of the cause in: b 30.0% [20.0, 40.0], a 30.0% [20.0, 40.0] "
        "and c 30.0% [20.0, 40.0]; the labels on fresh seeds reach 30.0% [20.0, 40.0], a row drawn "
        "blindly 10.0%.",
    ]
    assert [row["label"] for row in one["picture"]["rows"]] == ["b", "a", "c", "labels (ceiling)"]
    assert one["cautions"] == [
        "One world: intervals draw its prompts, and say nothing of other worlds; precision, recall "
        "and calibration of scores need a second one."
    ]
    # nobody is compared with the best, and nobody's scores are calibrated
    assert one["table"]["columns"] == ["detector", "AUROC", "top 1", "statements"]
    assert one["table"]["rows"][-1] == ["blind chance", "0.50", "10.0%", "–"]


def test_ones_own_detector_closes_a_share_of_the_gap():
    one = shown(found_of(made("b", 0.55, 0.7), made("mine", 0.7, 0.9, included=False)))
    assert one["sentences"][3] == (
        "mine is 0.20 [0.10, 0.30] above b, the best included detector, and 0.20 [0.10, 0.30] "
        "below the ceiling; it closes 40.0% [20.0, 60.0] of the gap between the two."
    )
    column = one["table"]["columns"].index("gap closed")
    assert [row[column] for row in one["table"]["rows"]] == ["40.0% [20.0, 60.0]", "–", "–", "–"]


def test_what_is_not_told_apart_is_not_said_to_be_better():
    mine = made("mine", 0.55, 0.9, included=False)
    mine["against"]["auroc"] |= {
        "to_best_baseline": held(-0.1, 0.3),
        "gap_closed": unknown("the gap is not told from 0: its interval holds 0"),
    }
    sentence = shown(found_of(made("b", 0.55, 0.7), mine))["sentences"][3]
    assert sentence.startswith(
        "mine is not told from b, the best included detector (difference 0.10"
    )
    assert sentence.endswith("is not said, since the gap is not told from 0: its interval holds 0.")


def test_distances_in_words():
    assert _apart(held(0.1, 0.3), "b") == "0.20 [0.10, 0.30] above b"
    assert _apart(held(-0.3, -0.1), "b") == "0.20 [0.10, 0.30] below b"
    assert _apart(held(-0.2, 0.4), "b") == "not told from b (difference 0.10 [-0.20, 0.40])"
    assert _apart(unknown("no"), "b") == "at an unknown distance from b"


@pytest.fixture(scope="module")
def planted_found():
    worlds = planted()
    mine = detector(worlds, 1.5, 3, right=0.6, q=0.05)
    sure = [
        [Finding(0.9 if f.score > 0 else 0.1, f.rows, probability=True) for f in w] for w in mine
    ]
    return scoring.results(
        worlds, {"bm25": detector(worlds, 0.7, 1), "mine": mine, "sure": sure}, seed=0
    )


def test_five_planted_worlds_on_the_page(planted_found):
    one = shown(planted_found)
    text = " ".join(one["sentences"])
    assert "of the gap between the two" in text
    # it reports everything, so two thirds are false in every world
    assert "mine promises at most 10.0% false; found are 66.7% (66.7% in world 0, " in text
    assert "and it reports 100% of what rows caused." in text
    assert "sure gives probabilities: Brier score" in text
    assert "more than perfect ones would have by chance" in text
    assert one["cautions"] == [
        "Numbers are means over 5 worlds and intervals t intervals over them; thresholds and "
        "calibration of scores come from the other worlds; the best included detector is chosen on "
        "these statements, which favours it."
    ]
    assert one["table"]["columns"] == [
        "detector", "AUROC", "gap closed", "average precision", "precision", "recall", "top 1",
        "top 5", "top 1 of one row", "Brier score", "calibration error", "statements",
    ]  # fmt: skip
    assert len(one["table"]["rows"]) == 5


def test_worlds_of_one_label_are_named():
    worlds = [world(0, [CAUSED, OTHER]), world(1, [CAUSED, OTHER]), world(2, [OTHER, OTHER])]
    found = scoring.results(worlds, {"bm25": [[Finding(1.0), Finding(0.0)]] * 3}, seed=0)
    said = shown(found)["cautions"][1]
    assert said.endswith("world 2 has statements of one label only and none of AUROC.")


def test_one_sided_labels_have_a_reason():
    found = scoring.results([world(0, [OTHER])], {"random": [[Finding(1.0)]]}, seed=0)
    one = shown(found)
    assert one["sentences"][-1] == "Nothing is compared: no statement is caused by rows."
    assert one["picture"]["rows"][0]["estimate"] is None
    assert one["picture"]["rows"][0]["reason"] == "no statement is caused by rows"
    assert one["cautions"][0].startswith("Only 0 statements are caused")


def test_what_is_absent_is_said():
    silent = [[Finding(None, reason="no shift")] * 2] * 2
    worlds = [world(n, [CAUSED, OTHER]) for n in (0, 1)]
    found = scoring.results(worlds, {"entropy": silent}, seed=0)
    one = shown(found, {"shift of world 0": "the base is gone."})
    assert "entropy is absent: no shift." in one["cautions"]
    assert one["cautions"][-1] == "Not measured: shift of world 0, the base is gone."
    assert one["picture"]["rows"][0]["reason"] == "no shift"


def test_labels_without_fresh_seeds_have_no_ceiling():
    worlds = [world(n, [truth("caused"), truth("not caused")]) for n in (0, 1)]
    found = scoring.results(worlds, {"bm25": [[Finding(1.0), Finding(0.0)]] * 2}, seed=0)
    assert "There is no ceiling: it was not masked on fresh seeds." in shown(found)["sentences"]


def test_nothing_found_is_an_empty_block():
    one = checked(block({"name": "it", "found": None, "absent": {}}))
    assert (one["sentences"], one["picture"], one["table"]) == ([], None, None)
