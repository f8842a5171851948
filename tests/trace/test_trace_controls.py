"""What chance finds: p and q from held-out rows, excess over other controls, the classifier."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.intervals import Interval
from aftertune.trace import controls, two_samples
from aftertune.trace.controls import (
    BELOW,
    BEYOND,
    UNDECIDED,
    concentration,
    conclusion,
    excess,
    over_both,
)
from aftertune.trace.permuted import pairs, traded
from aftertune.trace.two_samples import auroc, fit, hashed

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
winners = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)


def test_p_and_q_by_hand() -> None:
    scores = [9, 8, 7, 6, 5, 4]
    held = [False, False, False, True, False, True]
    p = controls.p_values(scores, held)
    # two held-out winners: none at or above 9, 8 and 7, one at or above 5
    assert p[[0, 1, 2, 4]].tolist() == [1 / 3, 1 / 3, 1 / 3, 2 / 3]
    assert np.isnan(p[[3, 5]]).all()
    q = controls.q_values(scores, held, 0.5)
    # (1 + 0) / 3 at 7, carried up to 8 and 9 where it would be 1/2 and 1; (1 + 1) / 4 at 5
    assert q[[0, 1, 2, 4]].tolist() == [1 / 3, 1 / 3, 1 / 3, 1 / 2]
    # a quarter held out: each held-out winner stands for three others
    assert controls.q_values(scores, held, 0.25)[[0, 4]].tolist() == [1.0, 1.0]
    # three quarters: for a third of one
    by_hand = [1 / 9, 1 / 6]
    assert controls.q_values(scores, held, 0.75)[[0, 4]] == pytest.approx(by_hand)


def test_equal_scores_enter_together() -> None:
    p = controls.p_values([1, 1, 1], [False, True, False])
    assert p[[0, 2]].tolist() == [1.0, 1.0]
    for order in ([False, True, False], [True, False, False], [False, False, True]):
        q = controls.q_values([1, 1, 1], order, 0.5)
        assert q[~np.asarray(order)].tolist() == [1.0, 1.0]  # (1 + 1) / 2


def test_without_winners_of_a_side() -> None:
    assert controls.p_values([], []).tolist() == []
    assert controls.q_values([], [], 0.5).tolist() == []
    assert controls.p_values([3.0, 1.0], [False, False]).tolist() == [1.0, 1.0]
    assert controls.q_values([3.0, 1.0], [False, False], 0.5).tolist() == [0.5, 0.5]
    assert np.isnan(controls.q_values([3.0, 1.0], [True, True], 0.5)).all()


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        controls.q_values([1.0], [False], 1.0)
    with pytest.raises(ValueError, match="must both be"):
        controls.p_values([1.0, 2.0], [False])
    with pytest.raises(ValueError, match="not finite"):
        controls.p_values([float("nan")], [False])


@settings(deadline=None)
@given(winners, st.sampled_from([0.2, 0.5, 0.8]))
def test_a_higher_score_has_no_higher_p_or_q(found: list[tuple[int, bool]], share: float) -> None:
    scores = np.asarray([score for score, _ in found], float)
    held = np.asarray([one for _, one in found])
    order = np.argsort(-scores, kind="stable")
    for values in (controls.p_values(scores, held), controls.q_values(scores, held, share)):
        known = values[order][~held[order]]
        assert (np.diff(known) >= 0).all()
        assert ((known > 0) & (known <= 1)).all()
        # only the order of scores counts
    again = controls.q_values(scores**3 - 7, held, share)
    assert np.array_equal(again, controls.q_values(scores, held, share), equal_nan=True)


def _null(generator: np.random.Generator, n: int, share: float) -> tuple[Floats, Bools]:
    """Winners that no row caused: the label says nothing of the score, and many scores are tied."""
    return np.round(generator.normal(size=n), 1), generator.random(n) < share


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_p_is_super_uniform_under_the_null(share: float) -> None:
    generator = np.random.default_rng(0)
    values = []
    for _ in range(3000):
        p = controls.p_values(*_null(generator, 40, share))
        values += generator.permutation(p[~np.isnan(p)])[:1].tolist()  # one per run: independent
    found = np.asarray(values)
    for alpha in (0.05, 0.1, 0.2, 0.5, 0.9):
        slack = 3 * np.sqrt(alpha * (1 - alpha) / len(found))
        assert (found <= alpha).mean() <= alpha + slack
    assert (found <= 0.5).mean() > 0.3  # and not by never being small


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("spans_of_a_cluster", [1, 5])
def test_the_false_discovery_rate_is_held(share: float, spans_of_a_cluster: int) -> None:
    """200 spans of chance and 100 that rows caused: at q = 0.10 the mean false discovery
    proportion has an upper bound (one-sided, 95%) at or below 0.12, and half are found."""
    generator = np.random.default_rng(1)
    false, power = [], []
    for _ in range(1000):
        clusters = 200 // spans_of_a_cluster
        label = generator.random(clusters) < share
        scores = np.append(generator.normal(size=200), generator.normal(3.5, 1, 100))
        held = np.append(np.repeat(label, spans_of_a_cluster), np.zeros(100, bool))
        found = controls.q_values(np.round(scores, 1), held, share) <= 0.1
        false.append(found[:200].sum() / max(1, found.sum()))
        power.append(found[200:].mean())
    bound = np.mean(false) + 1.645 * np.std(false) / np.sqrt(len(false))
    assert bound <= 0.12
    assert np.mean(false) > 0.02  # it is no test that refuses everything
    assert np.mean(power) > 0.5


def test_nothing_is_found_where_nothing_is() -> None:
    generator = np.random.default_rng(2)
    any_found = [
        (controls.q_values(*_null(generator, 200, 0.5), 0.5) <= 0.1).any() for _ in range(1000)
    ]
    assert np.mean(any_found) <= 0.1


def test_p_and_q_by_hand_where_a_cluster_wins_several_spans() -> None:
    scores = [9, 8, 7, 6, 5]
    held = [False, True, True, False, True]
    clusters = ["a", "x", "x", "b", "y"]
    # held-out clusters by their best: x at 8, y at 5; held-out spans: 8, 7 and 5. The larger of
    # 1/3 and 1/4, and of 2/3 and 3/4
    p = controls.p_values(scores, held, clusters)
    assert p[[0, 3]].tolist() == [1 / 3, 3 / 4]
    both = controls.p_values(scores, held, ["a", "x", "x", "a", "y"])
    assert both[[0, 3]].tolist() == [2 / 5, 4 / 5]  # two spans of a: 2/5 and 4/5
    # x wins 2, y 1, and one more as large as the largest: (4 + 1 + 4) / (2 + 1 + 2)
    numbers = [0, 1, 1, 2, 3]
    assert controls.crowd(held, numbers) == 9 / 5
    q = controls.q_values([99, *scores[1:]], held, 0.5, clusters)
    assert q[0] == 1.0  # 9 / 5 for one
    assert controls.crowd([True, False], [0, 1]) == 1.0  # as if all were apart
    assert controls.crowd([], []) == 1.0
    apart = controls.q_values(scores, held, 0.5, list("abcde"))
    assert np.array_equal(apart, controls.q_values(scores, held, 0.5), equal_nan=True)
    with pytest.raises(ValueError, match="names for"):
        controls.p_values([1.0, 2.0], [False, True], ["a"])


def _crowded(
    generator: np.random.Generator, size: int, share: float, alike: float
) -> tuple[Floats, Bools, list[int]]:
    """200 winners that no row caused, `size` to a cluster, whose scores hang together."""
    own = generator.normal(size=200 // size)
    scores = np.sqrt(alike) * np.repeat(own, size)
    scores += np.sqrt(1 - alike) * generator.normal(size=200)
    label = generator.random(200 // size) < share
    return scores, np.repeat(label, size), np.repeat(np.arange(200 // size), size).tolist()


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("size", [1, 5, 20])
def test_many_spans_of_a_cluster_leave_p_and_q_right(share: float, size: int) -> None:
    """Nothing is borrowed: p is super-uniform, and a run reports a span in a tenth of cases at
    most. As if spans were independent, both go wrong."""
    generator = np.random.default_rng(6)
    values, naive, reported, naively = [], [], [], []
    for _ in range(1500):
        scores, held, clusters = _crowded(generator, size, share, alike=0.9)
        if held.all():
            continue
        drawn = generator.choice(np.flatnonzero(~held))
        values.append(controls.p_values(scores, held, clusters)[drawn])
        naive.append(controls.p_values(scores, held)[drawn])
        reported.append((controls.q_values(scores, held, share, clusters) <= 0.1).any())
        naively.append((controls.q_values(scores, held, share) <= 0.1).any())
    for alpha in (0.05, 0.1, 0.2, 0.5):
        slack = 3 * np.sqrt(alpha * (1 - alpha) / len(values))
        assert np.mean(np.asarray(values) <= alpha) <= alpha + slack
    assert np.mean(reported) <= 0.1
    if size == 20:
        assert np.mean(np.asarray(naive) <= 0.05) > 0.07
        assert np.mean(naively) > 0.2


def test_few_rows_that_win_many_spans_with_high_scores_leave_p_right() -> None:
    """Five of 100 clusters win 20 spans each and score above most. Over many runs, at most a share
    a of all spans has p <= a."""
    generator = np.random.default_rng(8)
    sizes = np.where(np.arange(100) < 5, 20, 1)
    clusters = np.repeat(np.arange(100), sizes)
    small, total = dict.fromkeys((0.02, 0.05, 0.1, 0.2, 0.5), 0), 0
    for _ in range(1500):
        own = generator.normal(np.where(sizes > 1, 2.0, 0.0))
        scores = own[clusters] + 0.3 * generator.normal(size=len(clusters))
        held = (generator.random(100) < 0.5)[clusters]
        p = controls.p_values(scores, held, clusters.tolist())[~held]
        total += len(p)
        for alpha in small:
            small[alpha] += int((p <= alpha).sum())
    for alpha, n in small.items():
        assert n / total <= alpha + 0.012
    assert small[0.5] / total > 0.3  # and not by never being small


@pytest.mark.parametrize("size", [1, 5, 20])
def test_borrowings_among_many_spans_of_a_cluster(size: int) -> None:
    """100 borrowed spans beside them: the mean false discovery proportion stays below 0.1, and
    with up to five spans to a cluster most of them are found."""
    generator = np.random.default_rng(7)
    false, power = [], []
    for _ in range(500):
        scores, held, clusters = _crowded(generator, size, 0.5, alike=0.9)
        found = controls.q_values(
            np.append(scores, generator.normal(3.5, 1, 100)), np.append(held, np.zeros(100, bool)),
            0.5, [*clusters, *range(1000, 1100)],
        ) <= 0.1  # fmt: skip
        false.append(found[:200].sum() / max(1, found.sum()))
        power.append(found[200:].mean())
    assert np.mean(false) + 1.645 * np.std(false) / np.sqrt(len(false)) <= 0.12
    if size < 20:
        assert np.mean(power) > 0.5


def test_q_of_rows_by_hand() -> None:
    scores = [9, 8, 7, 6, 5, 4]
    clusters = list("aabxxc")
    held = [False, False, False, True, True, False]
    q = controls.q_of_clusters(scores, held, 0.5, clusters)
    # best spans: a 9, b 7, x 6 (held out), c 4: (1 + 0) / 2 at 7, (1 + 1) / 3 at 4
    assert q[[0, 1, 2, 5]] == pytest.approx([1 / 2, 1 / 2, 1 / 2, 2 / 3])
    assert np.isnan(q[[3, 4]]).all()
    # by spans x counts twice, and as large as that is one cluster more: (2 + 2) / 2 at 9 and 8
    assert controls.q_values(scores, held, 0.5, clusters)[0] == pytest.approx(2 / 3)
    assert controls.q_of_clusters([], [], 0.5, []).tolist() == []
    with pytest.raises(ValueError, match="both held out and not"):
        controls.q_of_clusters([1.0, 2.0], [True, False], 0.5, ["a", "a"])


def test_q_of_rows_by_their_best_spans_by_hand() -> None:
    scores = [9, 4, 8, 7, 6, 5, 5, 3, 2, 1]
    clusters = list("abccxxxdde")
    held = [one in "xd" for one in clusters]
    q = controls.q_of_clusters(scores, held, 0.5, clusters, best=2)
    # above the median of 5: a 4, c 3 + 2, x 1 + 0 (held out, two of three), b, d and e 0
    assert q[[0, 2, 3]] == pytest.approx([1 / 2] * 3)  # (1 + 0) / 2
    assert q[[1, 9]] == pytest.approx([3 / 4] * 2)  # (1 + 2) / 4
    assert np.isnan(q[[4, 5, 6, 7, 8]]).all()
    assert controls.q_of_clusters([], [], 0.5, [], best=2).tolist() == []


@given(winners, st.sampled_from([0.2, 0.5, 0.8]))
@settings(max_examples=60, deadline=None)
def test_rows_of_one_span_each_have_the_q_of_their_spans(
    found: list[tuple[int, bool]], share: float
) -> None:
    scores, held = [one[0] for one in found], [one[1] for one in found]
    rows = controls.q_of_clusters(scores, held, share, range(len(found)))
    assert np.array_equal(rows, controls.q_values(scores, held, share), equal_nan=True)


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("size", [1, 5, 20])
def test_rows_that_are_borrowed_from_among_rows_that_are_not(size: int, share: float) -> None:
    """200 clusters win `size` spans each by chance, whose scores hang together or do not, and 60
    others, all trained, that many of which one is borrowed. Of the clusters found at q = 0.10 at
    most a tenth is false on average (one-sided 95% bound 0.11), and half of the 60 are found."""
    generator = np.random.default_rng(8)
    false, power = [], []
    clusters = np.repeat(np.arange(260), size).tolist()
    for alike in np.tile([0.0, 0.9], 300):
        own = np.repeat(generator.normal(size=260), size)
        scores = np.sqrt(alike) * own + np.sqrt(1 - alike) * generator.normal(size=260 * size)
        scores[200 * size :: size] = generator.normal(5.0, 1, 60)
        label = np.append(generator.random(200) < share, np.zeros(60, bool))
        q = controls.q_of_clusters(scores, np.repeat(label, size), share, clusters)[::size]
        found = q <= 0.1
        false.append(found[:200].sum() / max(1, found.sum()))
        power.append(found[200:].mean())
    assert np.mean(false) + 1.645 * np.std(false) / np.sqrt(len(false)) <= 0.11
    assert np.mean(false) > 0.02  # it does not refuse everything
    assert np.mean(power) > 0.5


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_rows_by_their_best_five_spans_among_rows_that_are_not(share: float) -> None:
    """200 clusters win 1 to 20 spans each by chance, whose scores hang together or do not, and 60
    others, all trained, eight each, half of them borrowed: the rate holds, and half are found."""
    generator = np.random.default_rng(9)
    false, power = [], []
    for alike in np.tile([0.0, 0.9], 200):
        sizes = np.append(generator.integers(1, 21, 200), np.full(60, 8))
        clusters = np.repeat(np.arange(260), sizes)
        own = generator.normal(size=260)[clusters]
        scores = np.sqrt(alike) * own + np.sqrt(1 - alike) * generator.normal(size=len(own))
        first = np.searchsorted(clusters, np.arange(200, 260))
        scores[first[:, None] + np.arange(4)] = generator.normal(3.0, 1, (60, 4))
        label = np.append(generator.random(200) < share, np.zeros(60, bool))
        every = controls.q_of_clusters(scores, label[clusters], share, clusters.tolist(), best=5)
        found = every[np.searchsorted(clusters, np.arange(260))] <= 0.1
        false.append(found[:200].sum() / max(1, found.sum()))
        power.append(found[200:].mean())
    assert np.mean(false) + 1.645 * np.std(false) / np.sqrt(len(false)) <= 0.11
    assert np.mean(power) > 0.3


def test_excess_over_a_control_by_hand() -> None:
    found = excess([True, True, False, True], list("aabb"), list("wxyz"), chance=0.5)
    assert (found["n_won"], found["n"], found["chance"]) == (3, 4, 0.5)
    assert found["share"]["estimate"] == 3 / 4
    assert found["share"]["n"] == 2  # responses
    alone = excess([True], ["a"], ["x"], chance=0.2)
    assert alone["conclusion"] == UNDECIDED  # one has no interval
    assert "two" in alone["reason"]
    assert excess([], [], [], chance=0.5)["share"]["estimate"] is None


def test_the_variance_over_answers_and_rows_by_hand() -> None:
    # residuals 1/4, 1/4, -3/4, 1/4; over answers 1/2, -1/2: 2 / 16 x (1/4 + 1/4) = 1/16; over
    # rows, all different, 4/3 / 16 x (3/16 + 9/16) = 1/16, as over both
    found = over_both([1, 1, 0, 1], list("aabb"), list("wxyz"))
    assert found.low == 0.0  # 3/4 - 12.7 x 1/4, cut: t with 1 degree of freedom
    assert (found.estimate, found.high) == (3 / 4, 1.0)
    many = over_both([1, 1, 0, 1] * 50, np.arange(200).tolist(), np.arange(200).tolist())
    sem = np.sqrt(3 / 16 / 199)
    assert many.high == pytest.approx(0.75 + 1.97196 * sem, abs=1e-5)


def test_excess_says_beyond_below_and_undecided() -> None:
    response = [f"r{n}" for n in range(40)]
    rows = list(range(40))
    always, mostly, half = np.ones(40, bool), np.arange(40) % 8 > 0, np.arange(40) % 2 > 0
    assert excess(mostly, response, rows, 0.5)["conclusion"] == BEYOND
    assert excess(mostly, response, rows, 0.5)["reason"] is None
    assert excess(~mostly, response, rows, 0.5)["conclusion"] == BELOW
    assert excess(half, response, rows, 0.5)["conclusion"] == UNDECIDED
    assert "chance" in excess(half, response, rows, 0.5)["reason"]
    all_won = excess(always, response, rows, 0.5)
    assert all_won["conclusion"] == BEYOND
    assert all_won["share"]["low"] == pytest.approx(0.025 ** (1 / 40))  # 40 of 40 at this share
    none_won = excess(~always, response, rows, 0.5)
    assert none_won["share"]["high"] == pytest.approx(1 - 0.025 ** (1 / 40))
    # 0.5 ** 5 is more than 0.025, and so is the chance of two answers, or of two rows
    assert excess(always[:5], response[:5], rows[:5], 0.5)["conclusion"] == UNDECIDED
    assert excess(always, ["a", "b"] * 20, rows, 0.5)["conclusion"] == UNDECIDED
    assert excess(always, response, ["x", "y"] * 20, 0.5)["conclusion"] == UNDECIDED


def test_no_conclusion_is_drawn_from_a_control_that_is_unlike_the_rows() -> None:
    mostly, names = np.arange(40) % 8 > 0, list(range(40))
    alike = Interval(0.51, 0.46, 0.56, 400)
    assert excess(mostly, names, names, 0.5, alike)["conclusion"] == BEYOND
    for told_apart, why in (
        (Interval(0.9, 0.88, 0.92, 400), "0.92"),
        (Interval(0.55, 0.4, 0.7, 20), "0.70"),  # few rows: perhaps unlike
        (Interval(None, None, None, 4, reason="too few rows"), "too few rows"),
    ):
        found = excess(mostly, names, names, 0.5, told_apart)
        assert found["conclusion"] == UNDECIDED
        assert why in found["reason"]
        assert found["share"]["estimate"] == mostly.mean()  # the share is shown all the same


def test_the_share_of_wins_holds_chance_at_any_size_of_the_control() -> None:
    """Rows of either side are drawn alike: the interval holds chance in 95 of 100 runs or more."""
    generator = np.random.default_rng(3)
    response = np.repeat(np.arange(50), 3).tolist()
    for n_control in (50, 200):
        chance, holds = 50 / (50 + n_control), 0
        for _ in range(200):
            values = generator.random((150, 50 + n_control))
            best = values.argmax(1)
            found = excess(best < 50, response, best.tolist(), chance)["share"]
            holds += found["low"] <= chance <= found["high"]
        assert 180 <= holds <= 200


def test_few_rows_that_win_much_are_no_excess() -> None:
    """Which side a popular row stands on is luck that all answers share: an interval over answers
    alone calls it an excess in most runs, one over both hardly ever."""
    generator = np.random.default_rng(8)
    popular = 1 / np.arange(1, 41)
    beyond, over_answers = 0, 0
    for _ in range(300):
        ours = generator.permutation(40) < 20
        best = generator.choice(40, 300, p=popular / popular.sum())
        names = np.arange(300).tolist()
        beyond += excess(ours[best], names, best.tolist(), 0.5)["conclusion"] != UNDECIDED
        alone = controls.over_responses(ours[best], names)
        over_answers += conclusion(alone, 0.5) != UNDECIDED
    assert beyond <= 0.12 * 300
    assert over_answers > 0.4 * 300


def test_concentration() -> None:
    assert concentration([]) == 0
    assert concentration(["a", "b", "a"]) == 2


def _texts(generator: np.random.Generator, words: Sequence[str], n: int) -> list[list[str]]:
    return [generator.choice(words, 30).tolist() for _ in range(n)]


def test_a_classifier_tells_unlike_sets_apart_and_like_ones_not() -> None:
    generator = np.random.default_rng(4)
    common = [f"word{n}" for n in range(200)]
    same = auroc(_texts(generator, common, 150), _texts(generator, common, 150))
    assert same.low is not None
    assert same.high is not None
    assert same.low < 0.5 < same.high
    other = [f"other{n}" for n in range(200)]
    apart = auroc(
        _texts(generator, [*common, *other[:50]], 150), _texts(generator, [*common, *other], 150)
    )
    assert apart.low is not None
    assert apart.estimate is not None
    assert apart.low > two_samples.FAR
    assert apart.estimate < 1


def test_the_classifier_needs_rows_and_sees_no_twin() -> None:
    few = auroc([["a"]] * 3, [["b"]] * 3)
    assert few.estimate is None
    assert "fold" in str(few.reason)
    generator = np.random.default_rng(5)
    texts = _texts(generator, [f"w{n}" for n in range(3000)], 100)
    owners = [*range(100), *range(100)]
    twins = auroc(texts, texts, owners)
    assert twins.estimate == 0.5  # the same texts in the same folds
    with pytest.raises(ValueError, match="groups"):
        auroc(texts, texts, owners[:5])


def test_the_logistic_regression_is_at_its_minimum() -> None:
    features = hashed([["a", "b"], ["a"], ["c"], ["c", "b"]])
    label = np.asarray([False, False, True, True])
    weights = fit(features, label)
    dense = features.toarray()
    assert dense @ weights == pytest.approx(-(dense @ weights)[[3, 2, 1, 0]], abs=1e-4)
    # the slope of the loss in the weights, at an offset of 0 as the symmetry says
    sign = np.where(label, 1.0, -1.0)
    slope = -(sign / (1 + np.exp(sign * (dense @ weights)))) @ dense + weights
    assert np.abs(slope).max() < 1e-4


def test_hashed_rows_have_length_one() -> None:
    features = hashed([["a", "a", "b"], []]).toarray()
    assert np.sqrt((features**2).sum(1)) == pytest.approx([1, 0])
    assert sorted(features[features > 0]) == pytest.approx([np.sqrt(1 / 3), np.sqrt(2 / 3)])


def _row(prompt: str, *answers: str) -> list[dict[str, str]]:
    found = []
    for answer in answers:
        found += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return found


def test_answers_trade_places_between_near_prompts() -> None:
    rows = [
        _row("how do bees make honey", "They collect the nectar of many flowers."),
        _row("where do bees live", "They live in hives and in hollow trees."),
        _row("what is a stock market", "People buy and sell shares of firms."),
        _row("who sets stock market rules", "The state makes rules that all must keep."),
        _row("how do bees make honey", "They collect the nectar of many flowers."),  # a duplicate
        _row("two turns", "Yes.", "No."),
        [{"role": "user", "content": "no answer"}],
    ]
    clusters = ["a", "b", "c", "d", "a", "e", "f"]
    seen = set()
    for seed in range(8):
        paired = pairs(rows, clusters, seed)
        places = [place for pair in paired for place in pair]
        assert len(set(places)) == len(places)
        assert not {4, 5, 6} & set(places)  # a copy, no partner, no answer
        seen |= {tuple(sorted(pair)) for pair in paired}
    assert {(0, 1), (2, 3)} <= seen
    made = dict(traded(rows, [(0, 1)]))
    assert made[0] == [rows[0][0], rows[1][1]]
    assert made[1] == [rows[1][0], rows[0][1]]
    assert pairs([], []) == []


def test_the_area_of_values_by_hand() -> None:
    found = two_samples.auroc_of([1.0, 2.0, 3.0], [2.0, 4.0])
    assert found.estimate == pytest.approx(4.5 / 6)  # 2 above 1, ties 2, below 3; 4 above all
    assert two_samples.auroc_of([0.0] * 5, [0.0] * 5).estimate == 0.5
    assert two_samples.auroc_of([1.0], [2.0, 3.0]).estimate is None
