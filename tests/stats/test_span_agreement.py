"""F1 of marked tokens: by hand, chance, raters of known error, responses without a mark."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.stats.span_agreement import marked, span_agreement


def bits(text):
    return np.array([one == "1" for one in text])


def test_tokens_that_a_span_touches():
    tokens = [(0, 3), (3, 7), (7, 8), (8, 8)]  # the last is the stop token
    assert marked(tokens, [(2, 4)]).tolist() == [True, True, False, False]
    assert marked(tokens, [(3, 7)]).tolist() == [False, True, False, False]
    assert marked(tokens, [(0, 1), (7, 20)]).tolist() == [True, False, True, False]
    assert marked(tokens, []).tolist() == [False] * 4
    assert marked([], [(0, 5)]).tolist() == []
    for bad in ((4, 4), (5, 2), (-1, 3)):
        with pytest.raises(ValueError, match="at least one character"):
            marked(tokens, [bad])


def test_by_hand():
    found = span_agreement(
        [[bits("1100"), bits("0110")], [bits("1111"), bits("1100")], [bits("0000"), bits("0000")]]
    )
    # common 1 + 2, marked (2 + 2) + (4 + 2): F1 = 6 / 10
    assert found.f1.estimate == pytest.approx(0.6)
    # at random 2 x 2 / 4 = 1 and 4 x 2 / 4 = 2 in common
    assert found.chance.estimate == pytest.approx(0.6)
    assert found.difference.estimate == pytest.approx(0.0)
    assert (found.f1.n, found.n_unmarked) == (2, 1)


def test_three_raters_share_the_weight_of_a_response():
    three = [bits("1000"), bits("1000"), None, bits("0100")]
    found = span_agreement([three])
    # pairs: 2 of 2, 0 of 2, 0 of 2 (times two): F1 = 1 / 3
    assert found.f1.estimate == pytest.approx(1 / 3)
    assert found.f1.reason == "one response has no interval"
    both = span_agreement([three, [bits("1000"), bits("1000")]])
    assert both.f1.estimate == pytest.approx((2 / 3 + 2) / (2 + 2))


@pytest.mark.parametrize("missed", [0.0, 0.3])
def test_raters_who_miss_a_known_share_of_tokens(missed):
    generator = np.random.default_rng(6)
    marks = []
    for _ in range(400):
        wrong = generator.random(60) < 0.2
        marks.append([wrong & (generator.random(60) >= missed) for _ in range(2)])
    found = span_agreement(marks, draws=300)
    # both keep (1 - m)^2 of the wrong tokens, each 1 - m: F1 = 1 - m; by chance 0.2 (1 - m)
    assert found.f1.estimate == pytest.approx(1 - missed, abs=0.02)
    assert found.chance.estimate == pytest.approx(0.2 * (1 - missed), abs=0.03)
    assert found.f1.low < 1 - missed <= found.f1.high
    assert found.difference.low > 0.4


def test_the_same_marks_everywhere_are_not_certain():
    found = span_agreement([[bits("1100"), bits("1100")]] * 10)
    assert (found.f1.estimate, found.f1.high) == (1.0, 1.0)
    assert found.f1.low == pytest.approx(1 - 0.3085, abs=1e-4)
    assert found.difference.low == pytest.approx(0.5 - 0.3085, abs=1e-4)
    apart = span_agreement([[bits("1100"), bits("0011")]] * 10)
    assert (apart.f1.low, apart.f1.high) == pytest.approx((0, 0.3085), abs=1e-4)
    assert apart.difference.estimate == -0.5


def test_nothing_marked_and_nothing_read():
    silent = span_agreement([[bits("00"), bits("00")]] * 3)
    assert (silent.f1.estimate, silent.f1.reason) == (None, "nobody marked anything")
    assert silent.n_unmarked == 3
    for marks in ([], [[bits("11")]], [[bits("11"), None]]):
        assert span_agreement(marks).f1.reason == "no response has two raters"
    with pytest.raises(ValueError, match="different lengths"):
        span_agreement([[bits("11"), bits("111")]])


MARKS = st.lists(
    st.integers(1, 12).flatmap(
        lambda n: st.lists(
            st.lists(st.booleans(), min_size=n, max_size=n).map(np.array), min_size=2, max_size=3
        )
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(MARKS)
def test_f1_lies_between_0_and_1_and_raters_may_trade_places(marks):
    found = span_agreement(marks, draws=50)
    turned = span_agreement([raters[::-1] for raters in marks], draws=50)
    if found.f1.estimate is None:
        assert not any(one.any() for raters in marks for one in raters)
        return
    assert 0 <= found.f1.estimate <= 1
    assert found.f1.estimate == pytest.approx(turned.f1.estimate)
    assert found.difference.estimate == pytest.approx(
        found.f1.estimate - found.chance.estimate, abs=1e-9
    )
