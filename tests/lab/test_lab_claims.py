"""Claims: the file that ships, Holm by hand, conclusions from planted worlds and their errors."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.errors import ConfigError
from aftertune.lab import claims, study_plan
from aftertune.lab.over_worlds import NO_VALUE, ONE_VALUE
from aftertune.lab.study_config import LabStudyConfig
from aftertune.lab.study_measures import UNITS, absent, value

HEAD = """
rate_rule: lowest_mean_held_out_loss
test: paired_t_over_worlds
correction: holm
level: 0.95
worlds: 5
claims:
"""
NUMBERS = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=3, max_size=8, unique=True)


def comparison(primary=True, direction="at_least", margin=0.1, against="lora", quantity="kl"):
    return {"quantity": quantity, "cell": "full", "against": against, "unit": UNITS[quantity],
            "direction": direction, "margin": margin, "primary": primary}  # fmt: skip


def made(*of_claims, worlds=5, level=0.95):
    """Claims C0, C1, ... with these comparisons each."""
    return claims.Claims.model_validate(
        {
            "rate_rule": "lowest_mean_held_out_loss", "test": "paired_t_over_worlds",
            "correction": "holm", "level": level, "worlds": worlds,
            "claims": [{"id": f"C{n}", "says": "so.", "comparisons": of}
                       for n, of in enumerate(of_claims)],
        }
    )  # fmt: skip


def planted(differences, quantity="kl"):
    """Worlds in which full lies so much above lora."""
    return [
        {"full": {quantity: value(1.0 + d, 10)}, "lora": {quantity: value(1.0, 10)}}
        for d in differences
    ]


def primary(differences, **kwargs):
    (found,) = claims.evaluate(made([comparison(**kwargs)]), planted(differences))
    return found["comparisons"][0]


def test_the_claims_that_ship_fit_the_study_as_it_comes():
    read, _ = study_plan.read_claims(LabStudyConfig())
    assert read.worlds == 5
    assert [claim.id for claim in read.claims] == [
        "C1-shift", "C1-forgetting", "C1-gained", "C2", "C3", "C4-filtering", "C4-neftune",
    ]  # fmt: skip


def test_means_over_worlds_by_hand():
    # mean 3, standard deviation sqrt(2.5), t(4) at 97.5% 2.7764: 3 +- 1.9632
    found = claims.over_worlds([1, 2, 3, 4, 5], 0.95)
    assert (found.estimate, found.n) == (3.0, 5)
    assert (found.low, found.high) == pytest.approx((1.03676, 4.96324), abs=1e-5)
    # of 3 against a margin of 1 t is 2 / 0.70711 = 2.82843, whose p on 4 degrees is 0.0474
    assert claims.p_value([1, 2, 3, 4, 5], 1.0) == pytest.approx(0.04742, abs=1e-5)


def test_what_has_no_spread_has_no_interval():
    assert claims.over_worlds([], 0.95).reason == NO_VALUE
    assert claims.over_worlds([0.5], 0.95).reason == ONE_VALUE
    same = claims.over_worlds([0.5, 0.5], 0.95)
    assert (same.estimate, same.low, same.reason) == (0.5, None, claims.SAME_VALUE)
    assert claims.p_value([0.5, 0.5], 0.1) is None


def test_holm_by_hand():
    found = claims.holm({"a": 0.03, "b": 0.01, "c": None, "d": 0.02})
    # 4 x 0.01, 3 x 0.02, 2 x 0.03; what has no p counts among the four
    assert found == pytest.approx({"a": 0.06, "b": 0.04, "d": 0.06, "c": None})
    assert claims.holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert claims.holm({}) == {}


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_only_raises(p):
    names = {str(place): one for place, one in enumerate(p)}
    found = claims.holm(names)
    assert all(names[name] <= found[name] <= 1 for name in names)
    order = sorted(names, key=names.__getitem__)
    adjusted = [found[name] for name in order]
    assert adjusted == sorted(adjusted)


@settings(deadline=None)
@given(NUMBERS, st.floats(0.01, 2))
def test_the_test_and_the_interval_agree(values, margin):
    found = claims.over_worlds(values, 0.95)
    p = claims.p_value(values, margin)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (not found.low <= margin <= found.high)


def test_a_claim_holds_beyond_its_margin():
    one = primary([0.30, 0.31, 0.29, 0.32, 0.28])
    assert one["effect"]["estimate"] == pytest.approx(0.3)
    assert one["per_world"] == pytest.approx([0.30, 0.31, 0.29, 0.32, 0.28])
    assert (one["conclusion"], one["p_holm"]) == ("holds", one["p"])
    assert one["reason"] == "the interval lies above the margin of 0.1 nats"


def test_an_effect_short_of_the_margin_does_not_hold():
    # told from 0, and still too small to matter
    one = primary([0.05, 0.051, 0.049, 0.052, 0.048])
    assert one["effect"]["low"] > 0
    assert one["conclusion"] == "does not hold"
    assert one["reason"] == "the interval lies below the margin of 0.1 nats"
    opposite = primary([-0.30, -0.31, -0.29, -0.32, -0.28])
    assert opposite["conclusion"] == "does not hold"
    assert opposite["reason"].endswith("; the effect goes the other way")


def test_a_claim_of_none_holds_below_its_margin():
    small = [0.05, 0.051, 0.049, 0.052, 0.048]
    assert primary(small, direction="at_most")["conclusion"] == "holds"
    large = [0.30, 0.31, 0.29, 0.32, 0.28]
    assert primary(large, direction="at_most")["conclusion"] == "does not hold"
    assert primary([-0.3, -0.31, -0.29, -0.32, -0.28], direction="at_most")["reason"] == (
        "the interval lies below the margin of 0.1 nats"
    )


def test_an_interval_that_holds_the_margin_is_undecided():
    one = primary([0.3, -0.1, 0.2, 0.0, 0.4])
    assert (one["conclusion"], one["reason"]) == (
        "undecided", "the interval holds the margin of 0.1 nats",
    )  # fmt: skip
    none = primary([0.25] * 5)
    assert none["conclusion"] == "undecided"
    assert none["reason"] == claims.SAME_VALUE


def test_holm_can_take_a_conclusion_away():
    # alone it would hold
    close = [0.125, 0.11, 0.155, 0.107, 0.14]
    assert primary(close)["conclusion"] == "holds"
    wide = comparison(quantity="tokens", margin=1.0)
    worlds = [
        {cell: one[cell] | {"tokens": value(n, 10)} for cell, n in zip(one, pair, strict=True)}
        for one, pair in zip(planted(close), [(0, 3), (5, 1), (2, 2), (9, 1), (0, 4)], strict=True)
    ]
    first, second = claims.evaluate(made([comparison()], [wide]), worlds)
    (one,) = first["comparisons"]
    assert one["p_holm"] == pytest.approx(2 * one["p"])
    assert one["conclusion"] == "undecided"
    assert one["reason"].endswith("but not after Holm's correction")
    assert second["comparisons"][0]["conclusion"] == "undecided"


def test_too_few_worlds_are_exploratory():
    one = primary([0.30, 0.31, 0.29, 0.32])
    assert (one["p"], one["p_holm"], one["conclusion"]) == (None, None, "undecided")
    assert one["reason"] == "4 of at least 5 worlds have a value: exploratory only"
    assert one["effect"]["low"] > 0.2


def test_a_world_without_a_value_is_left_out_and_named():
    worlds = planted([0.30, 0.31, 0.29, 0.32, 0.28])
    worlds[2]["lora"]["kl"] = absent("the shift has no finite mean")
    (found,) = claims.evaluate(made([comparison()]), worlds)
    (one,) = found["comparisons"]
    assert one["per_world"][2] is None
    assert one["effect"]["n"] == 4
    assert one["reason"].endswith("(lora: the shift has no finite mean)")
    (gone,) = claims.evaluate(made([comparison()]), [{}])
    assert gone["comparisons"][0]["effect"]["estimate"] is None
    assert gone["comparisons"][0]["reason"].endswith(f"(full: {claims.NO_CELL})")


def test_what_is_not_primary_gets_no_conclusion():
    strong = planted([0.30, 0.31, 0.29, 0.32, 0.28])
    both = [comparison(), comparison(primary=False, against=None, margin=0.5)]
    (found,) = claims.evaluate(made(both), strong)
    _, other = found["comparisons"]
    assert other["effect"]["estimate"] == pytest.approx(1.3)
    assert (other["p"], other["conclusion"], other["reason"]) == (None, None, None)
    # and costs the primary nothing
    assert found["comparisons"][0]["p_holm"] == found["comparisons"][0]["p"]


def test_wrong_conclusions_together_are_as_rare_as_promised():
    """Seven claims whose effects are just their margins: any conclusion is wrong."""
    generator = np.random.default_rng(0)
    sets, wrong = 2000, 0
    for _ in range(sets):
        draws = generator.normal(0.1, 0.2, (7, 5))
        p = {str(n): claims.p_value(one.tolist(), 0.1) for n, one in enumerate(draws)}
        wrong += min(claims.holm(p).values()) < 0.05
    assert wrong / sets < 0.06


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("claims: [", "is not valid YAML"),
        ("- 1", "mend it"),
        (HEAD + "  []", "at claims"),
        (HEAD.replace("holm", "none") + "  []", "at correction"),
        (HEAD + "  - {id: C1, says: so, comparisons: []}", "has 0 primary comparisons"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text, words):
    with pytest.raises(ConfigError, match=words) as told:
        claims.read(text, "mine.yaml")
    assert str(told.value).startswith("mine.yaml")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"quantity": "charm"}, "names charm; quantities are"),
        ({"unit": "share"}, "gives kl in share; its unit is nats"),
        ({"against": "qlora"}, "names the cell qlora; cells are"),
        ({"cell": "full-3e-4"}, "whose shuffle seed chose the rates"),
    ],
)
def test_claims_name_what_is_measured(changed, words, tmp_path):
    given = made([comparison() | changed]).model_dump(mode="json")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(ConfigError, match=words):
        study_plan.read_claims(LabStudyConfig(claims=tmp_path / "mine.yaml"))


def test_two_claims_of_one_name_are_refused():
    one = {"id": "C", "says": "so", "comparisons": [comparison()]}
    with pytest.raises(ValueError, match="two claims have the same id"):
        claims.Claims.model_validate(made([comparison()]).model_dump() | {"claims": [one, one]})


def test_a_claims_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the claims"):
        study_plan.read_claims(LabStudyConfig(claims=tmp_path / "none.yaml"))
