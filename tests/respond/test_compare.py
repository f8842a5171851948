"""What other batches change, in bfloat16, and against what it is held."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, PreTrainedModel

from aftertune.models.generate import Settings, generate
from aftertune.progress import Silent
from aftertune.respond.compare import Answer, choose, first_difference, stability, unchecked

PROMPTS = [[5, 9, 77], [120, 4], [33, 8, 60, 17, 201], [250, 251, 252]]
GREEDY = Settings(max_new_tokens=12)


@pytest.fixture
def model(tiny_llama: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.bfloat16).eval()


def answered(model: PreTrainedModel, prefix: list[int] | None = None) -> list[Answer]:
    """Every prompt's own greedy answer, one by one."""
    prefixes = [prefix or []]
    return [
        Answer(
            f"a-{i}", prompt, prefix or [], generate(model, [prompt], [2], GREEDY, prefixes)[0].ids
        )
        for i, prompt in enumerate(PROMPTS)
    ]


def test_first_difference_by_hand() -> None:
    assert first_difference([1, 2, 3], [1, 5, 3]) == 1
    assert first_difference([4], [5]) == 0
    assert first_difference([1, 2], [1, 2, 3]) is None
    assert first_difference([], [1]) is None


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_first_difference_is_where_the_common_beginning_ends(a: list[int], b: list[int]) -> None:
    place = first_difference(a, b)
    assert place == first_difference(b, a)
    if place is None:
        shorter = min(len(a), len(b))
        assert a[:shorter] == b[:shorter]
    else:
        assert a[:place] == b[:place]
        assert a[place] != b[place]


def test_choosing_is_seeded() -> None:
    assert choose(3, seed=0) == [0, 1, 2]
    assert choose(0, seed=0) == []
    assert choose(100, seed=1) == choose(100, seed=1) != choose(100, seed=2)
    assert len(set(choose(100, seed=1))) == 8


def test_the_same_answers_again(model: PreTrainedModel) -> None:
    # batch size 4 in the table, answered one by one here and there: nothing can differ
    found = stability(model, answered(model), [2], GREEDY, batch_size=4, progress=Silent())
    assert found["checked"]
    assert (found["n_answers"], found["n_differ"], found["n_below_noise"]) == (4, 0, 0)
    assert found["differences"] == []
    assert (found["margin_max"], found["margin_median"]) == (None, None)
    assert found["noise_max"] > found["noise_median"] > 0
    assert found["dtype"] == "bfloat16"
    assert found["other_batch_size"] == 1


def test_answers_of_batch_size_one_are_compared_with_one_batch(model: PreTrainedModel) -> None:
    found = stability(model, answered(model), [2], GREEDY, batch_size=1, progress=Silent())
    assert found["other_batch_size"] == 4


def test_a_changed_token_is_found_with_its_margin(model: PreTrainedModel, tiny_llama: Path) -> None:
    # the answer in the table has another token at place 3 than the model would give: far from
    # a tie, so it must show as one difference that is not below the noise
    answers = answered(model, prefix=[7, 8])
    asked = answers[1]
    tampered = [*asked.new]
    tampered[3] = asked.new[3] + 1
    answers[1] = Answer("a-1", asked.prompt, asked.prefix, tampered)
    exact = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.bfloat16).float()
    with torch.no_grad():
        before = torch.tensor([[*asked.prompt, *asked.prefix, *asked.new[:3]]])
        logits = exact(before).logits[0, -1]
    margin = abs(float(logits[asked.new[3]] - logits[tampered[3]]))

    found = stability(model, answers, [2], GREEDY, batch_size=4, progress=Silent())
    [difference] = found["differences"]
    assert difference["response_id"] == "a-1"
    assert difference["position"] == 5  # two tokens of prefix, then three that agree
    assert difference["token_id"] == tampered[3]
    assert difference["other_token_id"] == asked.new[3]
    assert difference["margin_float32"] == pytest.approx(margin, abs=1e-4)
    assert found["n_differ"] == 1
    assert found["margin_max"] == found["margin_median"] == difference["margin_float32"]
    assert margin > found["noise_max"]
    assert found["n_below_noise"] == 0


def test_noise_is_zero_without_rounding(tiny_llama: Path) -> None:
    # the identity: float32 held against itself
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    found = stability(model, answered(model), [2], GREEDY, batch_size=4, progress=Silent())
    assert found["noise_max"] == 0
    assert found["n_differ"] == 0


def test_what_is_not_compared_says_why() -> None:
    said = unchecked("float32", "no need")
    assert said == {"dtype": "float32", "checked": False, "reason": "no need"}
