"""Devices, dtypes and parameter counts, decided without loading a model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from aftertune.errors import ConfigError, ModelError
from aftertune.models import precision
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    has_fast_bfloat16,
    parameter_count,
    safetensors_header,
    stored_dtype,
)
from aftertune.models.reference import resolve

SMALL, LARGE = 999_999_999, 1_000_000_000


@pytest.mark.parametrize(
    ("device", "fast", "parameters", "purpose", "stored", "chosen"),
    [
        ("cpu", True, SMALL, "score", "bfloat16", "float32"),
        ("cpu", True, SMALL, "generate", "bfloat16", "float32"),
        ("cpu", True, SMALL, "train", "float32", "bfloat16"),
        ("cpu", False, SMALL, "train", "float32", "float32"),
        ("cpu", True, LARGE, "score", "float16", "bfloat16"),
        ("cpu", False, LARGE, "score", "bfloat16", "float32"),
        ("cuda", True, SMALL, "score", "float32", "bfloat16"),
        ("cuda", True, LARGE, "score", "float16", "float16"),
        ("cuda", True, LARGE, "train", "float16", "bfloat16"),
        ("cuda", False, LARGE, "score", "bfloat16", "float16"),
        ("cuda", False, LARGE, "train", "bfloat16", "float32"),
    ],
)
def test_automatic_dtypes(
    monkeypatch: pytest.MonkeyPatch, device: str, fast: bool, parameters: int, purpose: Any,
    stored: Any, chosen: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: fast)
    assert choose_dtype("auto", device, parameters, purpose, stored) == chosen


def test_a_dtype_that_was_asked_for_is_taken() -> None:
    for dtype in ("float32", "bfloat16", "float16"):
        assert choose_dtype(dtype, "cpu", LARGE, "score", None) == dtype


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "", "cuda:99"):
        with pytest.raises(ConfigError, match="device") as error:
            choose_device(wrong)
        assert "\n" not in str(error.value)


def test_fast_bfloat16_agrees_with_the_kernel() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists() or "flags" not in cpuinfo.read_text():
        pytest.skip("no x86 /proc/cpuinfo to compare with")
    flags = next(line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    assert has_fast_bfloat16("cpu") is bool({"avx512_bf16", "amx_tile"} & set(flags.split()))
    assert has_fast_bfloat16("meta") is False


def test_parameters_are_counted_from_headers(
    tiny_llama: Path, tiny_qwen: Path, adapters: dict[str, Path]
) -> None:
    for folder in (tiny_llama, tiny_qwen):  # tied weights of the second count once
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert parameter_count(resolve(folder)) == model.num_parameters()
    # rank 4 on q (32 -> 32) and v (32 -> 16) of 2 layers: 2 (4*32 + 32*4 + 4*32 + 16*4) = 896
    on_llama = parameter_count(resolve(adapters["lora"]))
    assert on_llama == parameter_count(resolve(tiny_llama)) + 896


def test_stored_dtypes(tiny_llama: Path, adapters: dict[str, Path], tmp_path: Path) -> None:
    assert stored_dtype(resolve(tiny_llama)) == "float32"
    AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert stored_dtype(resolve(tmp_path)) == "bfloat16"
    assert stored_dtype(resolve(adapters["lora"], tmp_path)) == "bfloat16"


def test_a_damaged_header_is_named(tiny_llama: Path, tmp_path: Path) -> None:
    whole = (tiny_llama / "model.safetensors").read_bytes()
    path = tmp_path / "model.safetensors"
    for content in (b"", b"\0" * 100, b"\xff" * 100, whole[:100], whole[:-1], whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            safetensors_header(path)
    path.write_bytes(whole)
    assert "lm_head.weight" in safetensors_header(path)


def test_environment() -> None:
    found = environment("cpu", processes=2)
    assert (found["device"], found["device_name"], found["processes"]) == ("cpu", "cpu", 2)
    assert found["threads"] == torch.get_num_threads()
    assert found["cpu_capability"]
    assert "torch" in found["packages"]
