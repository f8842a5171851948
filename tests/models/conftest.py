"""Adapters of every kind that users bring, on tiny models, with weights far from zero."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

PROBE = [5, 6, 7, 100, 200, 3, 9]
# name -> what LoraConfig is told besides rank and targets
ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "saved_head": {"modules_to_save": ["lm_head"]},
    "saved_both": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "lora_head": {"target_modules": ["q_proj", "lm_head"]},
    "dora_head": {"target_modules": ["q_proj", "lm_head"], "use_dora": True},
    "lora_embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "trained_tokens": {"trainable_token_indices": [5, 6]},
    "pissa": {"init_lora_weights": "pissa"},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    """Tests do not write into the user's cache; slow ones share the converted embedded model."""
    if "slow" not in request.keywords:
        monkeypatch.setenv("AFTERTUNE_CACHE", str(tmp_path / "cache"))


def save_adapter(
    base: Path,
    folder: Path,
    rows: int | None = None,
    tokenizer: bool = False,
    seed: int = 0,
    change: Callable[[Any], None] | None = None,
    **options: Any,
) -> Path:
    """A random adapter on `base`, saved by PEFT; with `rows` the vocabulary is resized before."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    settings = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(model, LoraConfig(**{**settings, **options}))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif rows is not None and ("embed_tokens" in name or "lm_head" in name):
                parameter[400:].add_(torch.randn_like(parameter[400:]))
        if change is not None:
            change(adapted)
    adapted.save_pretrained(folder)
    with torch.no_grad():  # what a loaded adapter must give again
        logits = adapted.eval()(torch.tensor([PROBE])).logits
    save_file({"logits": logits}, folder.with_suffix(".expected"))
    if tokenizer:
        tokens = AutoTokenizer.from_pretrained(base)
        tokens.add_special_tokens({"additional_special_tokens": ["<|extra|>", "<|more|>"]})
        tokens.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapters(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of ADAPTERS on the tiny Llama, and one whose vocabulary was resized."""
    root = tmp_path_factory.mktemp("adapters")
    made = {name: save_adapter(tiny_llama, root / name, **ADAPTERS[name]) for name in ADAPTERS}
    made["resized"] = save_adapter(tiny_llama, root / "resized", rows=410, tokenizer=True)
    made["resized_saved"] = save_adapter(
        tiny_llama, root / "resized_saved", rows=410, tokenizer=True, **ADAPTERS["saved_both"]
    )
    return made


@pytest.fixture(scope="session")
def make_adapter() -> Callable[..., Path]:
    """`save_adapter`, for adapters that only one test needs."""
    return save_adapter


@pytest.fixture(scope="session")
def probe() -> torch.Tensor:
    """The ids [1, 7] whose logits stand beside every adapter as `<folder>.expected`."""
    return torch.tensor([PROBE])
