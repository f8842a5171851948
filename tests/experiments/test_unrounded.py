"""Rounding and tuning told apart, on tiny models rounded by hand."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune.experiments.unrounded import NOT_GIVEN, run
from aftertune.progress import Silent
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.unrounded import block
from made_pair import pair


@pytest.fixture(scope="module")
def rounded(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with weights in steps of a 16th."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 16).round() / 16)
    folder = tmp_path_factory.mktemp("rounded")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(folder)
    return folder


def test_a_rounded_base_that_was_not_tuned(tiny_llama: Path, rounded: Path, tmp_path: Path) -> None:
    made = run(pair(rounded, rounded, tmp_path), tmp_path, Silent(), str(tiny_llama))
    kl = {name: one["per_token"] for name, one in made.about["found"]["kl"].items()}
    assert kl["tuning"]["estimate"] == 0
    assert kl["rounding"]["low"] > 0
    assert kl["both"] == kl["rounding"]
    assert "Rounding moved the model further" in checked(block(made.about))["sentences"][1]


def test_a_base_that_was_not_rounded_but_tuned(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    it = pair(tiny_llama, tiny_llama_other, tmp_path)
    made = run(it, tmp_path, Silent(), str(tiny_llama))
    kl = {name: one["per_token"] for name, one in made.about["found"]["kl"].items()}
    assert kl["rounding"]["estimate"] == 0
    assert kl["both"] == kl["tuning"]
    assert "Tuning moved the model further" in checked(block(made.about))["sentences"][1]


def test_without_the_unrounded_base_it_is_absent(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    it = pair(tiny_llama, tiny_llama_other, tmp_path)
    made = run(it, tmp_path, Silent())
    assert made.about["absent"] == {"unrounded": NOT_GIVEN}
    assert NOT_GIVEN in checked(block(made.about))["sentences"][0]
    gone = run(it, tmp_path, Silent(), str(tmp_path / "nowhere"))
    assert "nowhere" in gone.about["absent"]["unrounded"]
