"""Base against tuned: pairs by prompt, what is decided, what cannot be said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.behaviour.summary import summarise


def line(model: str, prompt: int, flagged: bool | None, check: str = "loop", **more: Any
         ) -> dict[str, Any]:  # fmt: skip
    value = None if flagged is None else float(flagged)
    return {
        "response_id": f"{model}-{prompt}", "prompt_id": f"p{prompt}", "model": model,
        "check": check, "value": value, "flagged": flagged, "evidence_start": 0,
        "evidence_end": 3, "reason": "why" if flagged is None else None,
    } | more  # fmt: skip


def number(model: str, prompt: int, value: float | None) -> dict[str, Any]:
    return line(model, prompt, None, "words", value=value)


def of(base: list[bool | None], tuned: list[bool | None]) -> dict[str, Any]:
    lines = [line("base", n, one) for n, one in enumerate(base)]
    lines += [line("tuned", n, one) for n, one in enumerate(tuned)]
    return summarise(lines, "base", ["base", "tuned"])


def test_equal_models_do_not_differ() -> None:
    one = of([True, False] * 20, [True, False] * 20)["checks"][0]
    assert one["difference"]["estimate"] == 0
    assert one["difference"]["low"] < 0 < one["difference"]["high"]  # not "never"
    assert one["mcnemar"] == {"only_base": 0, "only_tuned": 0, "p": 1.0}
    assert one["conclusion"] == "undecided"
    assert one["examples"] == []


def test_a_change_is_decided_by_the_interval_and_by_mcnemar() -> None:
    base: list[bool | None] = [False] * 40
    five = of(base, [True] * 5 + [False] * 35)["checks"][0]
    assert five["difference"]["low"] > 0
    assert five["mcnemar"]["p"] == pytest.approx(2 / 2**5)
    assert five["conclusion"] == "undecided"
    six = of(base, [True] * 6 + [False] * 34)["checks"][0]
    assert six["mcnemar"]["p"] == pytest.approx(2 / 2**6)
    assert six["conclusion"] == "more"
    assert six["difference"]["estimate"] == pytest.approx(6 / 40)
    assert six["smallest_detectable"] >= 6 / 40
    assert of([True] * 6 + [False] * 34, base)["checks"][0]["conclusion"] == "less"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_swapping_the_models_turns_the_difference_round(pairs: list[tuple[bool, bool]]) -> None:
    there = of([a for a, _ in pairs], [b for _, b in pairs])["checks"][0]
    back = of([b for _, b in pairs], [a for a, _ in pairs])["checks"][0]
    assert there["difference"]["estimate"] == pytest.approx(-back["difference"]["estimate"])
    assert there["mcnemar"]["p"] == pytest.approx(back["mcnemar"]["p"])
    turned = {"more": "less", "less": "more", "undecided": "undecided"}
    assert back["conclusion"] == turned[there["conclusion"]]


def test_pairs_only_where_both_can_be_said() -> None:
    one = of([True, None, False, True], [True, True, None, False])["checks"][0]
    assert one["n"] == 2
    assert one["n_unknown"] == {"base": 1, "tuned": 1}
    assert (one["mcnemar"]["only_base"], one["mcnemar"]["only_tuned"]) == (1, 0)
    shown = one["examples"][0]
    assert (shown["flagged"], shown["response_id"]) == ("base", "base-3")
    assert shown["other_response_id"] == "tuned-3"


def test_what_can_be_said_of_no_answer_is_absent_with_its_reason() -> None:
    found = of([None, None], [None, None])
    assert found["checks"] == []
    assert found["absent"] == {"loop": "why"}
    assert summarise([], "base", ["base"])["checks"] == []


def test_numbers_are_compared_by_their_mean() -> None:
    lines = [number("base", n, 10.0 + n) for n in range(20)]
    lines += [number("tuned", n, 13.0 + n + (-1) ** n) for n in range(20)]
    one = summarise(lines, "base", ["base", "tuned"])["checks"][0]
    assert one["difference"]["estimate"] == pytest.approx(3)
    assert one["conclusion"] == "more"
    assert one["mcnemar"] is None
    assert one["base"]["estimate"] == pytest.approx(19.5)


def test_several_answers_to_a_prompt_are_one_draw() -> None:
    lines = [line("base", n, False) for n in range(10)]
    lines += [line("tuned", n, flagged) for n in range(10) for flagged in (True, False)]
    one = summarise(lines, "base", ["base", "tuned"])["checks"][0]
    assert one["n"] == 10
    assert one["difference"]["estimate"] == pytest.approx(0.5)
    assert one["mcnemar"] is None


def test_what_changed_most_comes_first() -> None:
    lines = []
    for n in range(60):
        lines += [line("base", n, n < 20), line("tuned", n, n < 22)]
        lines += [line("base", n, False, "empty"), line("tuned", n, n < 50, "empty")]
    found = summarise(lines, "base", ["base", "tuned"])
    assert [one["check"] for one in found["checks"]] == ["empty", "loop"]
