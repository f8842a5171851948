"""Weights fitted on labelled pairs, and those that the package carries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aftertune.errors import InternalError
from aftertune.trace import weights as of
from aftertune.trace.rank import by_ranks


def test_features_are_log_ranks_within_a_span_by_hand():
    evidence = {"exact": np.array([5.0, 1.0, 5.0, 2.0, 9.0])}
    span = np.array([0, 0, 0, 1, 1])
    found = of.features(evidence, ("exact", "not there"), span)
    assert found[:, 0] == pytest.approx(
        [-math.log(1.5), -math.log(3), -math.log(1.5), -math.log(2), 0]
    )
    assert found[:3, 1] == pytest.approx([-math.log(2)] * 3)  # all share one rank


def test_what_tells_gets_a_weight_and_what_misleads_gets_none():
    generator = np.random.default_rng(0)
    caused = generator.random(400) < 0.4
    told = caused + generator.normal(0, 0.5, 400)
    x = np.stack([told, -told, generator.normal(0, 1, 400)], axis=1)
    right, wrong, noise = of.fit(x, caused)
    assert right > 1
    assert wrong == 0
    assert noise < right / 10


def test_a_weight_by_its_own_condition():
    # one kind, balanced and symmetric: no intercept, and the slope solves sum x s(-wx) = ridge w
    x, caused = np.array([[-1.0], [-1.0], [1.0], [1.0], [1.0], [-1.0]]), [0, 0, 1, 1, 0, 1]
    (weight,) = of.fit(x, caused, ridge=0.5)
    right, wrong = 4 / (1 + math.exp(weight)), 2 / (1 + math.exp(-weight))
    assert right - wrong == pytest.approx(0.5 * weight, abs=1e-4)


def test_of_one_label_nothing_is_learnt():
    assert of.fit(np.ones((3, 2)), [True] * 3).tolist() == [0, 0]
    assert of.fit(np.zeros((0, 2)), []).tolist() == [0, 0]


@given(arrays(float, (12, 2), elements=st.integers(-3, 3)), arrays(bool, 12))
def test_no_weight_is_below_0(x, caused):
    assert (of.fit(x, caused) >= 0).all()


def test_scores_are_the_features_by_their_weights():
    evidence = {"exact": np.array([3.0, 1.0, 2.0]), "concept": np.array([0.0, 4.0, 4.0])}
    weights = {"exact": 0.5, "concept": 2.0}
    x = of.features(evidence, tuple(weights), np.zeros(3, np.int64))
    assert by_ranks(evidence, weights) == pytest.approx(x @ [0.5, 2.0])
    assert by_ranks(evidence, weights, ("concept",)) == pytest.approx(x[:, 0] * 0.5)


@pytest.mark.parametrize("name", ["text", "tokens", "influence"])
def test_the_package_carries_weights_and_says_where_from(name):
    found = of.fitted(name)
    assert set(of.TEXT) <= set(found)
    assert any(found.values())
    assert all(value >= 0 for value in found.values())
    assert of.fitted(f"{name}_spans")


def test_unknown_weights():
    with pytest.raises(InternalError, match="called made-up"):
        of.fitted("made-up")
