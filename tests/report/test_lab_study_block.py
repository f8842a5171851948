"""The study on the page: conclusions, margins, cautions, and method against how far it moved."""

import pytest

from aftertune.lab import claims, study_curves
from aftertune.lab.study_measures import QUANTITIES, UNITS, absent, value
from aftertune.report.blocks import lab_study
from aftertune.report.blocks.shape import checked


def comparison(quantity, margin, primary=True, direction="at_least", against="lora"):
    return {"quantity": quantity, "cell": "full", "against": against, "unit": UNITS[quantity],
            "direction": direction, "margin": margin, "primary": primary}  # fmt: skip


CLAIMS = claims.Claims.model_validate(
    {
        "rate_rule": "lowest_mean_held_out_loss", "test": "paired_t_over_worlds",
        "correction": "holm", "level": 0.95, "worlds": 5,
        "claims": [
            {"id": "C1", "says": "Full shifts more.", "comparisons": [
                comparison("kl", 0.1),
                comparison("kl", 0.5, primary=False, against=None),
            ]},
            {"id": "C2", "says": "Full forgets as much.", "comparisons": [
                comparison("forgetting", 0.05, direction="at_most")]},
            {"id": "C3", "says": "Rows are to blame.", "comparisons": [
                comparison("caused_share", 0.5, against=None)]},
        ],
    }
)  # fmt: skip


def cells(number):
    """World `number`: full lies 0.4 nats above LoRA, forgets a fifth more, and was not labelled."""
    full = {"kl": value(1.4 + number / 100, 9), "forgetting": value(0.3 + number / 100, 9),
            "caused_share": absent("it was not labelled")}  # fmt: skip
    return {"full": full, "lora": {"kl": value(1.0, 9), "forgetting": value(0.1, 9)}}


def curve(number, apart):
    def tuning(rate, kl, more):
        return {"rate": rate, "kl": kl, "held_out_loss": 4 - kl,
                "forgetting": 0.1 * kl + more + number / 1000,
                "wrong_neighbour": 0.5, "borrowed_neighbour": None}  # fmt: skip

    return {
        "base": tuning(0, 0.0, 0.0),
        "full": [tuning(1e-4, 0.5, apart), tuning(1e-3, 2.0, apart * (1 + number / 100))],
        "lora": [tuning(1e-3, 0.4, 0.0), tuning(3e-3, 1.8, 0.0)],
    }


def about(n=5, apart=0.2, **changed):
    worlds = range(n)
    curves = [curve(number, apart) for number in worlds]
    found = {
        "claims": claims.evaluate(CLAIMS, [cells(number) for number in worlds]),
        "claims_sha256": "0123456789abcdef" * 4,
        "claims_fixed_at": "2026-01-02T03:04:05+00:00",
        "judged_tunings": 2 * n,
        "judged_before_claims": 0,
        "level": 0.95,
        "worlds_needed": 5,
        "rate_rule": "lowest_mean_held_out_loss",
        "rates": {"full": 3e-4, "lora": 3e-3},
        "rates_tried": {"full": [1e-4, 3e-4, 1e-3], "lora": [1e-3, 3e-3]},
        "seeds": {"choosing": 100, "judged": 0},
        "curves": study_curves.over_rates(curves, 0.95) if n else {"full": [], "lora": []},
        "at_equal": study_curves.at_equal(curves, 0.95),
        "worlds": [{"world": number, "cells": {}} for number in worlds],
        "seconds_per_world": 900.0,
        **changed,
    }
    return {"name": "world 0, 1, 2, 3, 4", "found": found, "absent": {}}


def test_every_claim_says_its_conclusion_with_effect_and_margin():
    shown = checked(lab_study.block(about()))
    assert shown["sentences"][:3] == [
        "C1, holds: Full shifts more. KL(tuned from base) on the tuned model's own answers, full "
        "minus lora: 0.420 [0.400, 0.440] nats over 5 worlds, margin 0.100 nats; the interval lies "
        "above the margin of 0.1 nats.",
        "C2, does not hold: Full forgets as much. Known facts forgotten, full minus lora: 22.0% "
        "[20.0, 24.0] over 5 worlds, margin 5.0%; the interval lies above the margin of 5%.",
        "C3, undecided: Rows are to blame. Wrong statements caused by rows, undecided ones counted "
        "as not, full: – over 0 worlds, margin 50.0%; 0 of at least 5 worlds have a value: "
        "exploratory only (full: it was not labelled).",
    ]
    assert "full 3e-4 and LoRA 3e-3" in shown["sentences"][3]
    assert "A world took 15.0 min" in shown["sentences"][-1]


def test_the_picture_counts_in_margins():
    rows = checked(lab_study.block(about()))["picture"]["rows"]
    assert [row["label"] for row in rows] == [
        "C1 (claimed above 1): holds", "C2 (claimed below 1): does not hold",
        "C3 (claimed above 1): undecided",
    ]  # fmt: skip
    assert rows[0]["estimate"] == pytest.approx(4.2)  # 0.42 of 0.1
    assert rows[1]["estimate"] == pytest.approx(4.4)  # 0.22 of 0.05
    assert (rows[2]["estimate"], rows[2]["low"]) == (None, None)
    assert "it was not labelled" in rows[2]["reason"]


def test_the_table_tells_primaries_from_what_is_exploratory():
    rows = checked(lab_study.block(about()))["table"]["rows"]
    assert [row[-1] for row in rows] == ["holds", "exploratory", "does not hold", "undecided"]
    assert rows[1][2:] == ["full", "1.42 [1.40, 1.44] nats", "above 0.500 nats", "–", "5",
                           "exploratory"]  # fmt: skip
    assert rows[0][5] == "<0.001"


def test_cautions_name_what_weakens_a_study():
    few = lab_study.block(about(4))
    assert few["cautions"][0].startswith("4 worlds, and the claims ask for 5")
    assert {one for row in few["table"]["rows"] for one in row[-1:]} == {"undecided", "exploratory"}
    said = " ".join(lab_study.block(about(judged_before_claims=1))["cautions"])
    assert "1 judged tuning of 10 had been made before these claims were fixed" in said
    # full was chosen amid its rates, LoRA at their edge
    assert "The rate of LoRA, 3e-3, was chosen at the edge" in said
    assert "The rate of full" not in said
    one = lab_study.block(about(rates_tried={"full": [3e-4], "lora": [1e-3, 3e-3]}))["cautions"]
    assert "One rate was tried with full: nothing was chosen." in one
    worlds = [{"world": 0, "cells": {"labels-full": {}}}] * 5
    assert any("Labels come from tunings of their own" in said
               for said in lab_study.block(about(worlds=worlds))["cautions"])  # fmt: skip


def test_method_against_how_far_it_moved():
    shown = checked(lab_study.equal_block(about()))
    first = shown["sentences"][0]
    assert first.startswith(
        "At equal KL(tuned from base) on the tuned model's own answers, full minus LoRA in known "
        "facts forgotten: 2"
    )
    assert first.endswith("over 5 worlds; the method still predicts it.")
    assert shown["sentences"][2].endswith(f"absent ({study_curves.ONE_POINT}).")
    series = shown["picture"]["series"]
    assert [one["name"] for one in series] == ["full", "LoRA"]
    assert [point["x"] for point in series[1]["points"]] == [0.4, 1.8]
    assert shown["picture"]["x_values"] == [0.4, 0.5, 1.8, 2.0]
    assert len(shown["table"]["rows"]) == 4


def test_no_difference_at_equal_kl_is_undecided():
    noisy = about()
    noisy["found"]["at_equal"] = [
        {"axis": "kl", "outcome": "forgetting", "reason": None,
         "effect": {"estimate": 0.01, "low": -0.02, "high": 0.04, "n": 5, "reason": None}}
    ]  # fmt: skip
    assert lab_study.equal_block(noisy)["sentences"][0].endswith(
        "known facts forgotten: 1.0% [-2.0, 4.0] over 5 worlds; undecided, the interval holds 0."
    )


def test_curves_without_a_place_give_no_second_block():
    assert lab_study.equal_block(about(0)) is None


def test_every_quantity_has_a_name_on_the_page():
    assert lab_study.CALLED.keys() == QUANTITIES.keys()
