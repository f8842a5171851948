"""Examples, classes, loss by class beside the base asked again, forgetting, rows."""

import pytest

from aftertune.recall import posing, row_kinds
from aftertune.recall.classes import HIGHLY, MAYBE, UNKNOWN, WEAKLY, class_of
from aftertune.recall.facts import Fact
from aftertune.recall.forgetting import forgotten, front, over_texts, same_order
from aftertune.recall.novelty import READ_TOKENS, _batches, summary
from aftertune.recall.pairing import Known, known, pairs
from aftertune.recall.retest import by_class, flips

FACTS = [Fact(f"f{n}", n, f"Question {n}?", f"answer {n % 9}") for n in range(20)]


@pytest.mark.parametrize(
    ("greedy", "sampled", "name"),
    [
        ([True, True], [], HIGHLY),
        ([True, False], [], MAYBE),
        ([False, False], [False, True], WEAKLY),
        ([False], [False], UNKNOWN),
        ([False], [], UNKNOWN),
        ([], [True], None),
    ],
)
def test_classes(greedy: list[bool], sampled: list[bool], name: str | None) -> None:
    assert class_of(greedy, sampled) == name


def test_examples_are_other_facts_with_other_answers() -> None:
    orders = [posing.ordered(FACTS, draw, 0) for draw in range(3)]
    for order in orders:
        for fact in FACTS:
            shown = posing.examples(fact, order, 4)
            assert len(shown) == 4
            assert fact.answer not in [one.answer for one in shown]
    firsts = [[one.id for one in posing.examples(FACTS[0], order, 4)] for order in orders]
    assert len({tuple(one) for one in firsts}) == 3
    assert posing.examples(FACTS[0], posing.ordered(FACTS[:1], 0, 0), 4) == []


def test_long_answers_and_questions_about_choices_are_not_said() -> None:
    long = Fact("x", 0, "Why?", "word " * 9)
    assert posing.why_not_said(long, 8) == posing.TOO_LONG
    assert posing.why_not_said(Fact("x", 0, "Which of the following?", "a"), 8) is not None
    assert posing.why_not_said(FACTS[0], 8) is None


def record(
    fact: str, draw: int, answer: str, correct: bool, way: str = "greedy"
) -> dict[str, object]:
    return {"fact_id": fact, "draw": draw, "way": way, "answer": answer, "correct": correct}


def test_most_draws_decide_and_the_answer_fits() -> None:
    said = [("Rome", True), ("Oslo", False), ("rome", True), ("Oslo", False), ("Rome", True)]
    records = [record("a", n, *one) for n, one in enumerate(said)]
    found = known(records, "greedy", range(5))["a"]
    assert (found.share, found.answer, found.right) == (0.6, "Rome", True)
    half = known(records, "greedy", range(4))["a"]
    assert (half.right, half.answer) == (False, "Oslo")
    assert known(records, "choice", range(5)) == {}
    assert known(records, "greedy", range(5, 9)) == {}


def test_only_what_both_were_asked_is_paired() -> None:
    there, here = {"f0": Known(1.0, "x"), "f1": Known(0.0, "y")}, {"f1": Known(1.0, "z")}
    found = pairs(there, here, FACTS, {"f1": UNKNOWN})
    assert [(one.item, one.outcome, dict(one.tags)) for one in found] == [
        ("f1", "gained", {"class": UNKNOWN})
    ]


def shares(values: list[float]) -> dict[str, Known]:
    return {f"f{n}": Known(value, "") for n, value in enumerate(values)}


def test_regression_to_the_mean_is_taken_off() -> None:
    of_class = {f"f{n}": HIGHLY if n < 10 else UNKNOWN for n in range(20)}
    first = shares([1.0] * 10 + [0.0] * 10)
    again = shares([0.8] * 10 + [0.1] * 10)
    same = by_class(of_class, first, again, again)
    assert same[HIGHLY]["seen"]["estimate"] == pytest.approx(-0.2)  # though nothing changed
    assert same[HIGHLY]["retest"]["estimate"] == pytest.approx(-0.2)
    assert same[HIGHLY]["excess"]["estimate"] == 0
    assert same[HIGHLY]["excess"]["low"] < 0 < same[HIGHLY]["excess"]["high"]
    assert same[UNKNOWN]["seen"]["estimate"] == pytest.approx(0.1)
    tuned = shares([0.5] * 10 + [0.1] * 10)
    lost = by_class(of_class, first, again, tuned)[HIGHLY]
    assert lost["excess"]["estimate"] == pytest.approx(-0.3)
    assert lost["seen"]["estimate"] == pytest.approx(
        lost["retest"]["estimate"] + lost["excess"]["estimate"]
    )
    assert flips(first, shares([0.0, *[1.0] * 9, *[0.0] * 9, 1.0])) == {
        "n": 20, "lost": 1, "gained": 1,
    }  # fmt: skip
    assert by_class({}, first, again, tuned) == {}


def text(window: int, loss: float, n: int = 10) -> dict[str, object]:
    return {"text": "t", "window": window, "n_tokens": n, "loss_nats": loss}


def test_forgetting_by_hand() -> None:
    base = [text(n, 20.0) for n in range(5)]
    found = forgotten(base, [text(n, 25.0) for n in range(5)])["t"]
    assert found["estimate"] == pytest.approx(0.5)
    assert (found["base_nats"], found["n_tokens"]) == (2.0, 50)
    assert forgotten(base, base)["t"]["estimate"] == 0
    other = forgotten(base, [text(n, 25.0, 9) for n in range(5)])["t"]
    assert other["estimate"] is None
    assert "other tokens" in other["reason"]
    assert forgotten([], []) == {}


def test_the_front() -> None:
    found = front({"a": (0.9, 0.5), "b": (0.5, 0.1), "c": (0.4, 0.2), "d": (0.9, None),
                   "e": (0.5, 0.1)})  # fmt: skip
    assert found == ["a", "b", "e"]
    assert same_order([1, 2, 3], [1, 3, 2]) == {"same": 2, "of": 3}
    assert same_order([1, 1], [1, 2]) == {"same": 0, "of": 0}


def turns(*contents: str) -> list[dict[str, str]]:
    roles = ["user", "assistant"] * len(contents)
    return [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]


def test_short_rows_become_facts() -> None:
    fact = row_kinds.as_fact(turns("What did he work as?", "He was a sailor."), 7, 8)
    assert fact is not None
    assert (fact.id, fact.aliases) == ("7", ("sailor",))
    assert row_kinds.as_fact(turns("What?", "Sailor."), 0, 8).aliases == ()  # type: ignore[union-attr]
    for messages in (
        turns("What?", "word " * 9), turns("What?", "a\nb"), turns("a", "b", "c", "d"),
        turns("What?", "?"), turns("What?"), [],
    ):  # fmt: skip
        assert row_kinds.as_fact(messages, 0, 8) is None


def test_what_stands_before_the_last_answer() -> None:
    assert row_kinds.before_answer(turns("a", "b", "c", "d")) == ("a\n\nb\n\nc", "d")
    assert row_kinds.before_answer(turns("a")) is None
    assert row_kinds.before_answer([]) is None


def test_how_much_was_new() -> None:
    long = {"kind": "long answer", "class": None, "n_content_tokens": 4,
            "loss_nats_per_content_token": 2.0}  # fmt: skip
    short = [
        {**long, "kind": "short answer", "class": name, "n_content_tokens": None,
         "loss_nats_per_content_token": None}
        for name in (UNKNOWN, UNKNOWN, HIGHLY, MAYBE)
    ]  # fmt: skip
    found = summary([*short, long, {**long, "loss_nats_per_content_token": 4.0,
                                    "n_content_tokens": 12}], 0)  # fmt: skip
    assert (found["n_rows"], found["n_short"], found["n_long"]) == (6, 4, 2)
    assert found["new"]["estimate"] == 0.5
    assert found["classes"] == {HIGHLY: 1, MAYBE: 1, UNKNOWN: 2}
    assert found["loss_nats_per_content_token"]["estimate"] == pytest.approx(56 / 16)
    assert summary([], 0)["new"]["reason"] == "no values"


def test_the_mean_over_texts_by_hand() -> None:
    one = {"estimate": 0.1, "low": 0.07, "high": 0.14, "reason": None}
    two = {"estimate": 0.3, "low": 0.26, "high": 0.33, "reason": None}
    found = over_texts({"a": one, "b": two})
    # low: 0.2 - sqrt(0.03^2 + 0.04^2) / 2; high: 0.2 + sqrt(0.04^2 + 0.03^2) / 2
    assert found["estimate"] == pytest.approx(0.2)
    assert (found["low"], found["high"]) == pytest.approx((0.175, 0.225))
    alone = over_texts({"a": one})
    assert [alone[end] for end in ("estimate", "low", "high")] == pytest.approx([0.1, 0.07, 0.14])


def test_the_mean_over_texts_is_absent_with_its_reason() -> None:
    absent = {"estimate": None, "low": None, "high": None, "reason": "other tokens"}
    short = {"estimate": 0.1, "low": None, "high": None, "reason": "one window has no interval"}
    assert over_texts({})["reason"] == "no texts were read"
    assert over_texts({"a": absent, "b": short})["estimate"] is None
    assert over_texts({"b": short})["estimate"] == 0.1
    assert over_texts({"b": short})["low"] is None


def test_batches_hold_every_row_once_and_are_no_wider_than_allowed() -> None:
    lengths = {place: 1 + place * 37 % 900 for place in range(40)} | {99: READ_TOKENS + 5}
    found = _batches(lengths)
    assert sorted(place for one in found for place in one) == sorted(lengths)
    assert [99] in found
    assert all(
        len(one) * max(lengths[place] for place in one) <= READ_TOKENS
        for one in found
        if one != [99]
    )
    assert len(found) < 10
