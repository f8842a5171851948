"""The conclusion: sentences from numbers, and what they must not claim."""

from typing import Any

import pytest

from aftertune.report.sentences import (
    cautions,
    compared,
    findings,
    moved,
    pairs_to_compare,
    unstable,
)


def estimate(value: float | None, low: float | None = None, high: float | None = None,
             reason: str | None = None) -> dict[str, Any]:  # fmt: skip
    return {"estimate": value, "low": low, "high": high, "n": 32, "reason": reason}


def model(name: str = "full", **values: Any) -> dict[str, Any]:
    return {
        "name": name, "method": "full", "learning_rate": 5e-5, "base": "some-base", "base_id": "b",
        "base_note": None, "dtype": "float32", "rescored": None, "text_of": [], "sampled": False,
        "given": False, "stability": None, "base_template": None, "n_encoded": 0,
        "unscored": {}, "n_scored": 32, "n_tokens": 3000, "floor": 0.0002,
        "kl": estimate(0.138, 0.121, 0.156),
        "shares": {"unshifted": estimate(0.851, 0.83, 0.87), "marginal": estimate(0.09, 0.08, 0.1),
                   "shifted": estimate(0.059, 0.05, 0.07)},
    } | values  # fmt: skip


def test_how_far_one_model_moved() -> None:
    # 0.138 / 0.0002 = 690 floors
    assert moved(model()) == (
        "full moved by a mean KL(tuned from base) of 0.138 [0.121, 0.156] nats per token on its "
        "own greedy answers, 690 times the noise floor of 0.00020. Of 3,000 tokens in 32 answers, "
        "85.1% [83.0, 87.0] are unshifted, 9.0% [8.0, 10.0] marginal and 5.9% [5.0, 7.0] shifted."
    )


def test_all_and_none_are_counts_without_an_interval() -> None:
    shares = {"unshifted": estimate(1.0, 1.0, 1.0), "marginal": estimate(0.0, 0.0, 0.0),
              "shifted": estimate(0.0, 0.0, 0.0)}  # fmt: skip
    said = moved(model(shares=shares))
    assert said.endswith("32 answers, all are unshifted, none marginal and none shifted.")


def test_a_model_against_itself_did_not_move() -> None:
    said = moved(model(kl=estimate(0.0, 0.0, 0.0)))
    assert said == (
        "full did not move: KL(tuned from base) is 0 at every one of 3,000 tokens in 32 answers."
    )


def test_a_shift_within_the_noise_is_no_movement() -> None:
    """The whole interval lies within three floors."""
    said = moved(model(kl=estimate(0.0005, 0.0004, 0.0006)))
    assert said.startswith("full did not move by more than the noise")
    assert "0.00020" in said


@pytest.mark.parametrize(
    "kl",
    [estimate(0.003, 0.0002, 0.01), estimate(0.0005, 0.0004, 0.0007), estimate(0.0005)],
    ids=["wide", "across three floors", "no interval"],
)
def test_an_interval_across_the_noise_is_undecided(kl: dict[str, Any]) -> None:
    said = moved(model(kl=kl))
    assert said.startswith("It is undecided whether full moved by more than the noise")


def test_a_base_under_another_template_is_said_and_is_no_movement() -> None:
    other = model(base_template="raw")
    assert moved(other).startswith(
        "full lies a mean KL(tuned from base) of 0.138 [0.121, 0.156] nats per token from the "
        "base, on its own greedy answers, the base reading its prompts under raw, 690 times"
    )
    for kl in (estimate(0.0, 0.0, 0.0), estimate(0.0005, 0.0004, 0.0006), estimate(0.0005)):
        still = moved(model(base_template="raw", kl=kl))
        assert "move" not in still
        assert "the base reading its prompts under raw" in still
    assert "part of this number; it is not tuning alone" in said(other)
    assert "not tuning alone" not in said(model())


def test_what_cannot_be_said_has_its_reason() -> None:
    said = moved(model(kl=estimate(None, reason="a value is not finite")))
    assert said == "Nothing is said about how far full moved: a value is not finite."
    assert findings([], []) == ["No model was given, so there is nothing to conclude."]


def test_one_answer_has_no_interval_and_no_floor_is_said() -> None:
    said = moved(model(kl=estimate(0.138), floor=None, n_scored=1))
    assert "0.138 nats per token" in said
    assert "no noise floor was measured" in said
    assert "3,000 tokens in 1 answer," in said
    assert "times the noise floor" not in moved(model(floor=0.0))


def test_no_kl_without_the_text_it_was_taken_on() -> None:
    assert "on its own answers" in moved(model(sampled=True))
    assert "on answers of teacher and pupil" in moved(model(text_of=["teacher", "pupil"]))


def pair(*values: Any, n: int = 32, reason: str | None = None) -> dict[str, Any]:
    difference = estimate(*values, reason=reason)
    return {"first": "full", "second": "lora", "n": n, "difference": difference,
            "smallest_detectable": 0.0254 if n else None}  # fmt: skip


def test_further_only_where_the_interval_leaves_zero_out() -> None:
    assert compared(pair(0.121, 0.104, 0.139)) == (
        "full moved further than lora: the difference is 0.121 [0.104, 0.139] nats, paired over "
        "32 prompts (smallest difference that could have been seen: 0.0254 nats per token)."
    )
    assert compared(pair(0.01, -0.01, 0.03)) == (
        "It is undecided whether full or lora moved further: the difference is "
        "0.0100 [-0.0100, 0.0300] nats on 32 prompts in common, and its interval contains 0 "
        "(smallest difference that could have been seen: 0.0254 nats per token)."
    )
    assert compared(pair(0.01, 0.0, 0.03)).startswith("It is undecided")


def test_the_one_that_moved_further_is_named_first() -> None:
    assert compared(pair(-0.2, -0.3, -0.1)).startswith(
        "lora moved further than full: the difference is 0.200 [0.100, 0.300] nats"
    )


def test_pairs_without_an_interval_or_a_common_prompt() -> None:
    assert compared(pair(None, n=0, reason="no values")) == (
        "full and lora are not compared: they have no scored prompt in common."
    )
    assert compared(pair(None, n=3, reason="a value is not finite")).endswith(
        "are not compared: a value is not finite."
    )
    one = compared(pair(0.1, n=1))
    assert one.startswith("It is undecided")
    assert "1 prompt in common gives no interval" in one


def test_all_pairs_of_four_but_only_neighbours_of_five() -> None:
    def made(*means: float | None) -> list[dict[str, Any]]:
        return [model(str(m), kl=estimate(m)) for m in means]

    assert pairs_to_compare(made(0.1, 0.3, 0.2)) == [(1, 2), (1, 0), (2, 0)]
    assert len(pairs_to_compare(made(1, 2, 3, 4))) == 6
    assert pairs_to_compare(made(0.1, 0.5, 0.2, 0.4, 0.3)) == [(1, 3), (3, 4), (4, 2), (2, 0)]
    assert pairs_to_compare(made(0.1, None)) == []
    assert pairs_to_compare([]) == []


def said(*models: dict[str, Any]) -> str:
    return "\n".join(cautions(models, []))


def test_intervals_are_of_these_models() -> None:
    assert "speak of these models on prompts like these" in said(model())
    assert cautions([], []) == []
    assert "They rest on only 3 answers" in said(model(n_scored=3))
    assert "One answer alone gives no interval" in said(model(n_scored=1))


def test_one_rate_per_method_is_warned_about() -> None:
    lora = model("lora", method="lora")
    both = said(model(), lora)
    assert "Learning rates: full at 5e-5; lora at 5e-5." in both
    assert "full and lora were each tried at one learning rate only" in both
    two = said(model(), lora, model("lora2", method="lora", learning_rate=2e-4))
    assert "lora at 5e-5 and 2e-4" in two
    assert "full was tried at one learning rate only" in two
    many = said(model(), model("f2", learning_rate=1e-5))
    assert "only" not in many


def test_an_unknown_rate_is_said() -> None:
    found = said(model("theirs", learning_rate=None, method=None))
    assert "The learning rate of theirs is unknown" in found
    assert "Learning rates:" not in found


def test_a_base_that_is_an_assistant() -> None:
    note = "rounded to 4 bits; it is already an assistant."
    found = said(model(base_note=note), model("other"))  # an adapter knows nothing of its base
    assert found.count("draws no verdict about pure base checkpoints") == 1
    assert "rounded to 4 bits" in found
    assert "verdict" not in said(model())


def test_other_bases_dtypes_and_answers() -> None:
    assert "do not share one base" in said(model(), model("b", base="other", base_id="c"))
    assert "computed in float32." in said(model())
    assert "noise floor is high" in said(model(dtype="bfloat16"))
    assert "not strictly comparable" in said(model(), model("b", dtype="bfloat16"))
    assert "full was scored in float32 because" in said(model(rescored={"floor_nats": 0.001}))
    assert "were sampled" in said(model(sampled=True))
    assert "encoded once" in said(model(n_encoded=2))
    assert "1 answer could not be scored and is left out (too long)." in said(
        model(unscored={"too long": 1})
    )


def test_answers_that_other_batches_change() -> None:
    found = {"dtype": "bfloat16", "n_answers": 8, "n_differ": 3, "n_below_noise": 3,
             "margin_max": 0.061, "noise_max": 0.215}  # fmt: skip
    within = unstable("full", found)
    assert "3 of 8 answers differ; at every first difference" in within
    assert "(at most 0.0610) lies within the rounding noise (0.215)" in within
    beyond = unstable("full", {**found, "n_below_noise": 2, "margin_max": 0.5})
    assert "at 1 first difference the float32 margin" in beyond
    assert "larger than the rounding noise" in beyond
    assert unstable("full", {**found, "n_differ": 0}).endswith("0 of 8 answers differ.")
    assert "could not be measured" in unstable("full", {**found, "n_below_noise": None})
