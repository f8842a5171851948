"""Presets fill what was not said, and nothing else."""

from pathlib import Path

import pytest

from aftertune.config import build
from aftertune.errors import ConfigError
from aftertune.tune.config import TuneConfig


def test_the_papers_recipe_is_the_default() -> None:
    config = build(TuneConfig, {"base": "b", "method": "lora"})
    assert (config.epochs, config.learning_rate, config.batch_size, config.lora_rank) == (
        3, 5e-5, 32, 8)  # fmt: skip
    assert config.given() == {"base": "b", "method": "lora"}


def test_a_preset_gives_way_to_what_is_said() -> None:
    given = {"base": "b", "method": "full", "preset": "alpaca", "learning_rate": 1e-4}
    config = build(TuneConfig, given)
    assert (config.learning_rate, config.batch_size, config.warmup_ratio) == (1e-4, 128, 0.03)
    assert config.given() == given


def test_equal_numbers_have_one_name_whatever_filled_them() -> None:
    spelt = {"learning_rate": 2e-5, "batch_size": 128, "warmup_ratio": 0.03}
    one = build(TuneConfig, {"base": "b", "method": "full", "preset": "alpaca"})
    other = build(TuneConfig, {"base": "elsewhere/b", "method": "full", "name": "x", **spelt})
    assert one.numbers() == other.numbers()
    assert one.resolve(dtype="float32").learning_rate == 2e-5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float16"}, "float16"),
        ({"method": "full", "dora": True}, "need method lora"),
        ({"method": "full", "quantize": "4bit"}, "need method lora"),
        ({"target_modules": "q_proj"}, "list of module names"),
        ({"target_modules": []}, "no module"),
        ({"take_plan": Path("x"), "hold_out": 0.1}, "take_plan"),
        ({"hold_out": 1.0}, "hold_out"),
        ({"hold_out_by": "shared-words"}, "add hold_out"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"preset": "other"}, "preset"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(TuneConfig, {"base": "b", "method": "lora", **options})
