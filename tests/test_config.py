"""Configs: what is refused, and in what words."""

from pathlib import Path

import pytest

from aftertune.config import StageConfig, build
from aftertune.errors import ConfigError


class Toy(StageConfig):
    base: str
    rate: float = 1e-4
    device: str = "auto"


def test_options_go_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("﻿base: a\nrate: 0.5\n", encoding="utf-8")  # a byte-order mark is no trouble
    config = build(Toy, {"base": "b", "rate": None}, file)
    assert (config.base, config.rate, config.device) == ("b", 0.5, "auto")
    assert config.given() == {"base": "b", "rate": 0.5}
    assert config.numbers() == {"base": "b", "rate": 0.5}
    assert config.resolve(rate=1.0).rate == 1.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "option `base` is not given; add --base"),
        ({"base": "a", "rate": "fast"}, "option `rate`: .*number.*'fast'"),
        ({"base": "a", "color": 1}, "unknown option `color`; known are: base, device, rate"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build(Toy, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not valid YAML"),
        ("- a", "must hold `option: value` lines"),
        ("1: 2", "must hold"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        build(Toy, {}, file)
    with pytest.raises(ConfigError, match="cannot read the config file"):
        build(Toy, {}, tmp_path / "absent.yaml")


def test_an_empty_file_is_no_options(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("# nothing\n")
    assert build(Toy, {"base": "a"}, file).rate == 1e-4
