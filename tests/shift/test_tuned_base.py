"""An adapter whose own base cannot be had stands on `tuned_base`, whatever it is compared with."""

import json
import shutil

import pytest
import torch
from made_responses import greedy, made
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from aftertune.progress import Silent
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run
from tiny_models import save_model


class Said(Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, sentence):
        self.warnings.append(sentence)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Another model, the base, an adapter on it, and a copy that names a base nobody has."""
    folder = tmp_path_factory.mktemp("tuned-base")
    other, base = save_model("llama", folder / "o"), save_model("llama", folder / "b", seed=1)
    torch.manual_seed(3)
    config = LoraConfig(r=4, target_modules=["q_proj"])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder / "adapter")
    lost = shutil.copytree(folder / "adapter", folder / "lost")
    path = lost / "adapter_config.json"
    named = json.loads(path.read_text()) | {"base_model_name_or_path": "nobody/has-this"}
    path.write_text(json.dumps(named))
    return other, base, folder / "adapter", lost, made(folder, greedy(base, 10))


def test_the_adapter_is_the_same_model_wherever_its_base_is_named(world, tmp_path):
    other, base, adapter, lost, responses = world
    found, said = [], Said()
    for tuned in (adapter, lost):
        config = ShiftConfig(base=str(other), tuned=str(tuned), tuned_base=str(base))
        found.append(run(config, responses, tmp_path / tuned.name, said))
    one, two = (artefact.table("tokens") for artefact in found)
    assert one.equals(two)
    assert found[0].id == found[1].id
    assert not said.warnings  # what lies between two bases is what was asked


def test_an_adapter_may_be_the_base_too(world, tmp_path):
    _, base, adapter, lost, responses = world
    config = ShiftConfig(base=str(lost), tuned=str(adapter), tuned_base=str(base))
    summary = run(config, responses, tmp_path, Said()).about["summary"]
    assert summary["kl_tuned_base_nats"]["per_token"]["estimate"] == 0
