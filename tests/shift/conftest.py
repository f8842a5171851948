"""Tiny models that lie far from, near to and on a base; answers of one of them."""

import pytest
import torch
from made_responses import greedy, made
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiny_models import save_model


@pytest.fixture(scope="session")
def llamas(tmp_path_factory):
    """A base, another model, and greedy answers of the other."""
    folder = tmp_path_factory.mktemp("llamas")
    base, tuned = save_model("llama", folder / "base"), save_model("llama", folder / "t", seed=1)
    return base, tuned, made(folder, greedy(tuned, 18))


@pytest.fixture(scope="session")
def near(llamas, tmp_path_factory):
    """A model so near to the base that bfloat16 cannot tell them apart."""
    base = AutoModelForCausalLM.from_pretrained(llamas[0])
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.mul_(1 + 1e-4 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("near")
    base.save_pretrained(folder)
    AutoTokenizer.from_pretrained(llamas[0]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapter(llamas, tmp_path_factory):
    """A LoRA adapter on the base that moves it far."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(llamas[0])
    model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    return folder
