"""Agreement of raters: published figures, values by hand, known errors, what has no value."""

import json
import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.agreement import (
    NO_PAIR,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    percent_agreement,
)
from aftertune.stats.ratings import by_rater

EVERY = [percent_agreement, cohen_kappa, fleiss_kappa, krippendorff_alpha, gwet_ac1]
OF_CHANCE = EVERY[1:]

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: 12 items, 4 raters
_ = None
EXAMPLE = [
    [1, 1, _, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [_, 5, 5, 5], [_, _, 1, 1], [_, 3, _, _],
]  # fmt: skip


def test_published_example_with_missing_ratings():
    # alphas: the paper's own; the others: Gwet's irrCAC on the same ratings
    assert krippendorff_alpha(EXAMPLE).estimate == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(EXAMPLE, "ordinal").estimate == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(EXAMPLE, "interval").estimate == pytest.approx(0.849, abs=5e-4)
    assert percent_agreement(EXAMPLE).estimate == pytest.approx(0.8181818, abs=5e-8)
    assert fleiss_kappa(EXAMPLE).estimate == pytest.approx(0.76117, abs=5e-6)
    assert gwet_ac1(EXAMPLE).estimate == pytest.approx(0.77544, abs=5e-6)


def test_pandalm_annotators(shared_data):
    items = json.loads((shared_data / "human/pandalm/testset-v1.json").read_text())
    given_by = [[item[f"annotator{k}"] for item in items] for k in (1, 2, 3)]
    found = [
        cohen_kappa(np.column_stack(pair)).estimate
        for pair in ((given_by[0], given_by[1]), (given_by[0], given_by[2]), given_by[1:])
    ]
    assert [f"{value:.3f}" for value in found] == ["0.852", "0.879", "0.862"]


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("mtbench", "nominal", "0.519011"),
        ("10k_prompts", "nominal", "0.120962"),
        ("10k_prompts", "ordinal", "0.254590"),
        ("10k_prompts", "interval", "0.262273"),
        ("cebab_stars", "nominal", "0.357196"),
        ("cebab_stars", "ordinal", "0.678839"),
        ("cebab_stars", "interval", "0.680910"),
    ],
)
def test_alttest_annotations(shared_data, name, scale, expected):
    path = shared_data / f"human/alttest/{name}.human_annotations.json"
    entries = [
        (item, rater, value)
        for rater, given_by in json.loads(path.read_text()).items()
        for item, value in given_by.items()
    ]
    found = krippendorff_alpha(by_rater(*zip(*entries, strict=True)), scale, draws=200)
    assert f"{found.estimate:.6f}" == expected
    assert found.low < found.estimate < found.high


def test_two_raters_by_hand():
    # 10 items: 4 yes/yes, 3 no/no, 2 yes/no, 1 no/yes; p_o = 0.7
    ratings = [["y", "y"]] * 4 + [["n", "n"]] * 3 + [["y", "n"]] * 2 + [["n", "y"]]
    assert percent_agreement(ratings).estimate == pytest.approx(0.7)
    # shares of yes 0.6 and 0.5: p_e = 0.3 + 0.2
    assert cohen_kappa(ratings).estimate == pytest.approx((0.7 - 0.5) / 0.5)
    # together 0.55: p_e = 0.55^2 + 0.45^2 = 0.505
    assert fleiss_kappa(ratings).estimate == pytest.approx((0.7 - 0.505) / 0.495)
    # p_e = 2 x 0.55 x 0.45 / 1 = 0.495
    assert gwet_ac1(ratings).estimate == pytest.approx((0.7 - 0.495) / 0.505)
    # a third category that nobody chose: p_e = (2 x 0.55 x 0.45) / 2 = 0.2475
    wider = gwet_ac1(ratings, scale=["y", "n", "unsure"])
    assert wider.estimate == pytest.approx((0.7 - 0.2475) / 0.7525)
    # 20 ratings, 11 yes: D_o = 6 / 20, D_e = 2 x 11 x 9 / (20 x 19)
    assert krippendorff_alpha(ratings).estimate == pytest.approx(1 - 0.3 / (198 / 380))


def test_scales_of_alpha_by_hand():
    ratings = [[1, 1], [2, 5]]  # n: one 2, one 5, two 1
    # interval: D_o = 2 x 9 / 4; D_e = 2 (2 x 1 + 2 x 16 + 9) / 12
    assert krippendorff_alpha(ratings, "interval").estimate == pytest.approx(1 - 4.5 / (86 / 12))
    # ordinal: mid-ranks 1, 2.5, 3.5: D_o = 2 x 1 / 4; D_e = 2 (2 x 2.25 + 2 x 6.25 + 1) / 12
    assert krippendorff_alpha(ratings, "ordinal").estimate == pytest.approx(1 - 0.5 / 3)
    words = [["bad", "bad"], ["fair", "good"]]
    order = ["bad", "fair", "good"]
    assert krippendorff_alpha(words, "ordinal", order).estimate == pytest.approx(1 - 0.5 / 3)


def test_always_the_other_way_is_minus_one():
    ratings = [["y", "n"], ["n", "y"]] * 10
    assert cohen_kappa(ratings).estimate == -1
    assert fleiss_kappa(ratings).estimate == -1
    assert gwet_ac1(ratings).estimate == -1
    assert percent_agreement(ratings).estimate == 0


def plain_alpha(ratings, apart):
    """Krippendorff's alpha from its sums over pairs of ratings."""
    units = [[v for v in row if v is not None] for row in ratings]
    units = [unit for unit in units if len(unit) >= 2]
    every = [value for unit in units for value in unit]
    observed = sum(sum(apart(a, b) for a, b in permutations(u, 2)) / (len(u) - 1) for u in units)
    expected = sum(apart(a, b) for a, b in permutations(every, 2)) / (len(every) - 1)
    return 1 - observed / expected if expected else None


TABLES = st.integers(1, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([None, 1, 2, 3, 7]), min_size=raters, max_size=raters), max_size=12
    )
)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_alpha_is_its_sums_over_pairs(ratings):
    paired = [row for row in ratings if sum(v is not None for v in row) >= 2]
    every = [value for row in paired for value in row if value is not None]

    def rank(value):
        return sum(v < value for v in every) + sum(v == value for v in every) / 2

    distances = {
        "nominal": lambda a, b: float(a != b),
        "interval": lambda a, b: (a - b) ** 2,
        "ordinal": lambda a, b: (rank(a) - rank(b)) ** 2,
    }
    for scale, apart in distances.items():
        expected = plain_alpha(ratings, apart) if every else None
        found = krippendorff_alpha(ratings, scale, draws=20).estimate
        assert (found is None) == (expected is None)
        assert found is None or found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.randoms())
def test_names_of_categories_and_order_of_raters_and_items_do_not_matter(ratings, random):
    names = {1: "d", 2: "b", 3: "a", 7: "c", None: None}
    order = random.sample(range(len(ratings[0])), len(ratings[0])) if ratings else []
    other = [[names[row[k]] for k in order] for row in random.sample(ratings, len(ratings))]
    for function in (percent_agreement, fleiss_kappa, krippendorff_alpha, gwet_ac1):
        one, two = function(ratings, draws=20), function(other, draws=20)
        assert (one.estimate is None) == (two.estimate is None)
        if one.estimate is not None:
            assert one.estimate == pytest.approx(two.estimate, abs=1e-9)
            assert one.estimate <= 1


def studies(n, raters, error, trials, generator):
    """Ratings of yes or no, half of the truth each, that raters turn round with chance `error`."""
    for _ in range(trials):
        truth = generator.random((n, 1)) < 0.5
        yield (truth ^ (generator.random((n, raters)) < error)).astype(int)


@pytest.mark.parametrize("error", [0.0, 0.05, 0.2, 0.5])
def test_known_error_of_raters_is_recovered(error):
    # two agree with chance (1 - e)^2 + e^2, and half by chance: every kappa expects (1 - 2e)^2
    ratings = next(studies(20_000, 2, error, 1, np.random.default_rng(2)))
    for function in OF_CHANCE:
        found = function(ratings, draws=2).estimate
        assert found == pytest.approx((1 - 2 * error) ** 2, abs=0.025)
        assert (1 - math.sqrt(max(0.0, found))) / 2 == pytest.approx(error, abs=0.08)


@pytest.mark.parametrize(("function", "raters"), [(cohen_kappa, 2), (krippendorff_alpha, 3)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(function, raters):
    generator = np.random.default_rng(5)
    found = [
        function(ratings, seed=trial, draws=400)
        for trial, ratings in enumerate(studies(40, raters, 0.15, 200, generator))
    ]
    held = np.mean([one.low <= 0.49 <= one.high for one in found])
    assert 0.90 <= held <= 0.99  # standard error 0.015


def test_full_agreement_still_has_an_interval():
    # of 20 items without one that differs, up to 1 - 0.025^(1/20) = 16.8% could differ
    ratings = [["y", "y"]] * 10 + [["n", "n"]] * 10
    found = percent_agreement(ratings)
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - 0.168434, abs=1e-6)
    assert "exact" in found.method
    kappa = cohen_kappa(ratings)
    assert kappa.low == pytest.approx(1 - 0.168434 / 0.5, abs=1e-5)
    assert kappa.high == 1.0
    # alpha of 1 and 5: an item can be 16 apart where chance expects 2 x 20 x 20 x 16 / (40 x 39)
    stars = krippendorff_alpha([[1, 1]] * 10 + [[5, 5]] * 10, "interval")
    assert stars.low == pytest.approx(1 - 0.168434 / (800 / 1560), abs=1e-5)


@pytest.mark.parametrize("function", OF_CHANCE)
def test_one_category_leaves_nothing_to_expect(function):
    found = function([["y", "y"]] * 9)
    assert (found.estimate, found.low, found.n) == (None, None, 9)
    assert "one category" in found.reason


def test_one_category_of_a_named_scale_has_an_ac1():
    found = gwet_ac1([["y", "y"]] * 9, scale=["y", "n"])
    assert found.estimate == 1.0
    assert found.low < 0.8


@pytest.mark.parametrize("function", EVERY)
def test_empty_and_one_item(function):
    assert function([]).reason == NO_PAIR
    assert function([[None, "y"], ["n", None]]).reason == NO_PAIR
    one = function([["y", "n"], [None, "y"], [math.nan, "n"]])
    assert (one.low, one.n) == (None, 1)
    assert one.reason == "one item has no interval"
    assert one.estimate is not None


def test_one_rater():
    for function in (percent_agreement, fleiss_kappa, krippendorff_alpha, gwet_ac1):
        assert function([["y"], ["n"]]).reason == NO_PAIR
    with pytest.raises(ValueError, match="two raters, not 1"):
        cohen_kappa([["y"], ["n"]])


def test_a_rare_category_leaves_too_many_resamples_without_a_value():
    found = cohen_kappa([["y", "y"]] * 11 + [["y", "n"]])
    assert found.estimate == pytest.approx(0, abs=1e-12)
    assert found.low is None
    assert found.reason.startswith("3")  # (11/12)^12 = 35% of the resamples lack the "n"
    assert "too few categories" in found.reason


def test_scales_ask_for_values_that_have_them():
    with pytest.raises(ValueError, match="ordinal scale needs numbers"):
        krippendorff_alpha([["a", "b"]], "ordinal")
    with pytest.raises(ValueError, match="interval scale needs numbers"):
        krippendorff_alpha([["a", "b"]], "interval")
    with pytest.raises(ValueError, match="not on the scale"):
        gwet_ac1([["a", "b"]], scale=["a"])
    with pytest.raises(ValueError, match="a place for every rater"):
        percent_agreement([["a", "b"], ["a"]])


def test_the_same_seed_gives_the_same_interval():
    assert fleiss_kappa(EXAMPLE, seed=3) == fleiss_kappa(EXAMPLE, seed=3)
    assert fleiss_kappa(EXAMPLE, seed=3) != fleiss_kappa(EXAMPLE, seed=4)
    assert fleiss_kappa(EXAMPLE, level=0.8).low > fleiss_kappa(EXAMPLE).low


def test_the_library_krippendorff_says_the_same():
    krippendorff = pytest.importorskip("krippendorff")
    ratings = np.random.default_rng(9).integers(1, 6, (40, 3))
    for scale in ("nominal", "ordinal", "interval"):
        theirs = krippendorff.alpha(ratings.T.astype(float), level_of_measurement=scale)
        assert krippendorff_alpha(ratings, scale).estimate == pytest.approx(theirs, abs=1e-12)


def test_statsmodels_says_the_same():
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    ratings = np.random.default_rng(9).integers(1, 6, (40, 3))
    table = np.stack([(ratings == value).sum(1) for value in range(1, 6)], 1)
    assert fleiss_kappa(ratings).estimate == pytest.approx(inter_rater.fleiss_kappa(table))
    joint = np.zeros((5, 5))
    np.add.at(joint, (ratings[:, 0] - 1, ratings[:, 1] - 1), 1)
    theirs = inter_rater.cohens_kappa(joint, return_results=False)
    assert cohen_kappa(ratings[:, :2]).estimate == pytest.approx(theirs)
