"""The tracer as a detector: which rows it blames, and what it says where it cannot."""

import pytest

from aftertune.lab import trace_detector as of
from aftertune.lab.detectors import LOSS, NO_LOSS, NO_TOKENS, Case

ROWS = [
    {
        "row_index": 10 + place,
        "messages": [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": said},
        ],
        LOSS: float(place),
    }
    for place, (asked, said) in enumerate([
        ("What does the brosta owl eat?", "It feeds on snails."),
        ("Where does the trelm finch nest?", "In the old quarry."),
        ("What does the grelm vole eat?", "Snails."),
        ("Who wrote The Harbour?", "Granzair Fenwick wrote it."),
    ])
]  # fmt: skip
ANSWER = "It feeds on snails."
TOKEN = {
    "char_start": 12, "char_end": 18, "tuned_logprob": -0.5, "base_logprob": -4.0,
    "base_rank_of_tuned_argmax": 7, "tuned_entropy_nats": 1.5,
}  # fmt: skip


def case(group="0/a", tokens=(), response=ANSWER, span=(12, 18)):
    return Case(group, "What does the quolm owl eat?", response, span, tokens)


def test_rows_that_hold_the_span_are_blamed_the_nearest_first():
    (found,) = of.trace([case()], ROWS)
    assert found.rows == (10, 12)
    assert found.score == 0.0  # alone among the spans, it is first in everything
    assert found.q is None
    assert not found.probability


def test_tokens_order_spans():
    still = {**TOKEN, "base_logprob": -0.5, "base_rank_of_tuned_argmax": 1}
    moved, same = of.trace_models([case("0/a", (TOKEN,)), case("0/b", (still,))], ROWS)
    assert moved.rows == same.rows == (10, 12)
    assert moved.score > same.score


def test_what_is_known_of_a_span_by_hand():
    second = {**TOKEN, "base_logprob": -1.5, "base_rank_of_tuned_argmax": None}
    found = of.span_evidence(case(tokens=(TOKEN, second)), {"concept": 2.0})
    assert found == pytest.approx(
        {
            "concept": 2.0,
            "shift_nats": (3.5 + 1.0) / 2,
            "base_rank": 7.0,
            "doubt_nats": 1.5,
            "base_surprise": 5.5,
        }
    )


def test_where_it_cannot_say():
    (alone,) = of.trace([case(response="It is xylophonic.", span=(6, 16))], ROWS)
    assert (alone.score, alone.reason) == (None, of.NOTHING_SHARED)
    (blind,) = of.trace_models([case()], ROWS)
    assert (blind.score, blind.reason) == (None, NO_TOKENS)
    (unknown,) = of.trace_models([case(tokens=(TOKEN,))], [{**row, LOSS: None} for row in ROWS])
    assert (unknown.score, unknown.reason) == (None, NO_LOSS)


def test_nothing_to_judge():
    assert of.trace([], ROWS) == []
    assert [one.reason for one in of.trace([case()], [])] == [of.NOTHING_SHARED]


def test_the_order_of_cases_does_not_matter():
    cases = [case("0/a", (TOKEN,)), case("0/b", ({**TOKEN, "base_logprob": -1.0},))]
    there, back = of.trace_models(cases, ROWS), of.trace_models(cases[::-1], ROWS)
    assert there == back[::-1]
