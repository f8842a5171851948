"""Loading everything that a checkpoint can be, and one sentence for everything that it is not."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils import logging

from aftertune.errors import InternalError, ModelError
from aftertune.models import vocabulary
from aftertune.models.load import load, load_tokenizer
from aftertune.models.reference import resolve
from aftertune.progress import Silent

KINDS = ["lora", "dora", "saved_head", "saved_both", "lora_head", "dora_head", "lora_embeddings",
         "trained_tokens", "pissa", "resized", "resized_saved"]  # fmt: skip


class Heard(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "copy"))


def change_json(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text())
    for name, change in changes.items():
        if change is None:
            value.pop(name, None)
        else:
            value[name] = change
    path.write_text(json.dumps(value))


def refused(spec: Path | str, says: str, base: Path | None = None) -> None:
    with pytest.raises(ModelError, match=says) as error:
        load(spec, base)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_a_folder_loads_as_it_is(tiny_llama: Path, probe: torch.Tensor) -> None:
    progress = Heard()
    loaded = load(tiny_llama, progress=progress)
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)
    assert torch.equal(loaded.model(probe).logits, plain(probe).logits)
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.dtype, loaded.device.type) == (torch.float32, "cpu")
    facts = loaded.facts
    assert (facts["architecture"], facts["dtype"], facts["tied"]) == (
        "LlamaForCausalLM", "float32", False,
    )  # fmt: skip
    assert facts["parameters"] == plain.num_parameters()
    assert (facts["vocab_size"], facts["tokenizer_size"]) == (400, 400)
    assert (facts["adapter"], facts["quantised"], facts["unused_tensors"]) == (None, None, 0)
    assert json.loads(json.dumps(facts)) == facts
    assert len(progress.said) == 1
    assert "LlamaForCausalLM" in progress.said[0]
    assert progress.warnings == []
    assert loaded.identity.spec == str(tiny_llama)
    with pytest.raises(InternalError), loaded.adapter_off():
        pass


@pytest.mark.parametrize("name", KINDS)
def test_an_adapter_is_what_was_saved_and_off_is_its_base(
    adapters: dict[str, Path], tiny_llama: Path, probe: torch.Tensor, name: str
) -> None:
    expected = load_file(adapters[name].with_suffix(".expected"))["logits"]
    base = load(tiny_llama).model(probe).logits
    loaded = load(adapters[name])
    assert loaded.is_adapter
    on = loaded.model(probe).logits
    assert torch.equal(on, expected)
    assert not torch.allclose(on[..., :400], base, atol=0.1)
    with loaded.adapter_off():
        assert torch.equal(loaded.model(probe).logits, base)
    assert torch.equal(loaded.model(probe).logits, on)
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_the_adapter_comes_back_on_after_an_error(
    adapters: dict[str, Path], probe: torch.Tensor
) -> None:
    loaded = load(adapters["resized"])
    on = loaded.model(probe).logits
    with pytest.raises(KeyError), loaded.adapter_off():
        raise KeyError
    assert torch.equal(loaded.model(probe).logits, on)


def test_trained_biases_are_put_back(
    tiny_qwen: Path,
    tmp_path: Path,
    probe: torch.Tensor,
    make_adapter: Callable[..., Path],
    recwarn: pytest.WarningsRecorder,
) -> None:
    folder = make_adapter(tiny_qwen, tmp_path / "bias", bias="lora_only")
    loaded = load(folder)
    recwarn.clear()
    with loaded.adapter_off():
        assert torch.equal(loaded.model(probe).logits, load(tiny_qwen).model(probe).logits)
    assert len(recwarn) == 0  # PEFT warns that biases stay, which here they do not


def test_tied_embeddings_resized_and_back(
    tiny_qwen: Path, tmp_path: Path, probe: torch.Tensor, make_adapter: Callable[..., Path]
) -> None:
    loaded = load(make_adapter(tiny_qwen, tmp_path / "tied", rows=416, tokenizer=True))
    assert torch.equal(loaded.model(probe).logits, load_file(tmp_path / "tied.expected")["logits"])
    with loaded.adapter_off():
        assert torch.equal(loaded.model(probe).logits, load(tiny_qwen).model(probe).logits)


def test_a_vocabulary_may_also_shrink(
    tiny_llama: Path, tmp_path: Path, probe: torch.Tensor, make_adapter: Callable[..., Path]
) -> None:
    folder = make_adapter(tiny_llama, tmp_path / "small", rows=390)
    loaded = load(folder)
    assert loaded.facts["vocab_size"] == 390
    assert torch.equal(loaded.model(probe).logits, load_file(tmp_path / "small.expected")["logits"])
    with loaded.adapter_off():
        assert loaded.model(probe).logits.shape[-1] == 400


def test_what_is_said_of_an_adapter(adapters: dict[str, Path], tiny_llama: Path) -> None:
    progress = Heard()
    loaded = load(adapters["dora"], progress=progress)
    assert loaded.facts["adapter"] == {
        "type": "DORA", "rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"],
        # 896 of LoRA, and DoRA's magnitudes: 32 for q and 16 for v in each of 2 layers
        "modules_to_save": None, "parameters": 896 + 96, "resized_vocabulary": False,
    }  # fmt: skip
    assert loaded.facts["base"] == str(tiny_llama)
    assert "DORA adapter of rank 4" in progress.said[0]
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)
    assert loaded.facts["parameters"] == plain.num_parameters()
    assert json.loads(json.dumps(loaded.facts)) == loaded.facts


def test_vocabularies_of_a_resized_adapter(adapters: dict[str, Path]) -> None:
    loaded = load(adapters["resized"])
    facts = loaded.facts
    assert (facts["vocab_size"], facts["base_vocab_size"], facts["tokenizer_size"]) == (
        410, 400, 402,
    )  # fmt: skip
    found = vocabulary.between(loaded.base_side(), loaded.side())
    assert found.common.tolist() == list(range(400))
    assert found.tuned_only.tolist() == [400, 401]
    assert found.n_unnamed == 8


def test_adapters_take_the_base_that_is_given(
    adapters: dict[str, Path], tiny_llama_other: Path, probe: torch.Tensor
) -> None:
    loaded = load(adapters["lora"], tiny_llama_other)
    with loaded.adapter_off():
        other = load(tiny_llama_other).model(probe).logits
        assert torch.equal(loaded.model(probe).logits, other)


def test_adapter_weights_have_the_models_dtype(adapters: dict[str, Path]) -> None:
    for name in KINDS:
        loaded = load(adapters[name], dtype="bfloat16")
        assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}


def test_a_merged_checkpoint_is_the_adapter_up_to_rounding(
    adapters: dict[str, Path], tmp_path: Path, probe: torch.Tensor
) -> None:
    loaded = load(adapters["lora"])
    on = loaded.model(probe).logits
    loaded.model.merge_and_unload().save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    merged = load(tmp_path)
    assert not merged.is_adapter
    torch.testing.assert_close(merged.model(probe).logits, on, atol=1e-4, rtol=1e-4)


def test_tokenizers(tiny_llama: Path, adapters: dict[str, Path], copy: Path) -> None:
    assert len(load_tokenizer(tiny_llama)) == 400
    assert len(load_tokenizer(adapters["lora"])) == 400  # the base's
    assert len(load_tokenizer(adapters["resized"])) == 402  # its own
    (copy / "tokenizer.json").write_text("{ damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        load_tokenizer(copy)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        load_tokenizer(resolve(copy))


def test_nothing_is_drawn_or_warned(
    adapters: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    verbosity = logging.get_verbosity()
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in KINDS:
            load(adapters[name])
    assert capfd.readouterr() == ("", "")
    assert caught == []
    assert logging.get_verbosity() == verbosity
    assert logging.is_progress_bar_enabled()


def test_damaged_weights(copy: Path) -> None:
    path = copy / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"\0" * 4096, b""):
        path.write_bytes(content)
        refused(copy, "damaged")


def test_missing_weights_are_not_made_up(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    refused(copy, r"lacks 1 of its weights, the first is model\.layers\.1\.mlp\.up_proj\.weight")


def test_a_missing_shard(copy: Path) -> None:
    AutoModelForCausalLM.from_pretrained(copy).save_pretrained(copy, max_shard_size="20KB")
    (copy / "model.safetensors").unlink(missing_ok=True)
    shards = sorted(copy.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert load(copy).facts["unused_tensors"] == 0
    shards[0].unlink()
    refused(copy, "cannot be loaded")


def test_weights_of_another_shape(copy: Path) -> None:
    change_json(copy / "config.json", hidden_size=64)
    refused(copy, "cannot be loaded")


def test_a_tokenizer_of_more_tokens_than_its_model_embeds(copy: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(copy)
    model.resize_token_embeddings(100)
    model.save_pretrained(copy)
    refused(copy, "tokens and its model embeds 100; put the tokenizer")


def test_surplus_tensors_are_warned_of(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["v_head.summary.weight"] = torch.zeros(2)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    progress = Silent()
    assert load(copy, progress=progress).facts["unused_tensors"] == 1
    assert "1 tensors" in progress.warnings[0]


def test_configs_that_say_too_little(copy: Path) -> None:
    change_json(copy / "config.json", architectures=None)
    refused(copy, "names no architectures")
    change_json(copy / "config.json", architectures=["LlamaForCausalLM"], model_type="martian")
    refused(copy, "config.json")
    (copy / "config.json").write_text("{ damaged")
    refused(copy, "config.json")
    change = {"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}
    (copy / "config.json").write_text(json.dumps(change))
    refused(copy, "LlamaForSequenceClassification, not a causal language model")


def test_models_that_are_not_causal(tmp_path: Path, tiny_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    small = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 8}  # fmt: skip
    BertForMaskedLM(BertConfig(**small)).save_pretrained(tmp_path / "bert")
    T5ForConditionalGeneration(
        T5Config(vocab_size=40, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    ).save_pretrained(tmp_path / "t5")
    for name in ("bert", "t5"):
        tokenizer.save_pretrained(tmp_path / name)
        refused(tmp_path / name, "not a causal language model")


def test_adapters_that_do_not_fit(
    adapters: dict[str, Path], tiny_gpt2: Path, tiny_qwen: Path, tmp_path: Path
) -> None:
    refused(adapters["lora"], "--base", base=tiny_gpt2)  # other modules
    narrow = Path(shutil.copytree(adapters["lora"], tmp_path / "narrow"))
    tensors = load_file(narrow / "adapter_model.safetensors")
    first = sorted(tensors)[0]
    save_file({**tensors, first: tensors[first][:, :8].contiguous()},
              narrow / "adapter_model.safetensors")  # fmt: skip
    refused(narrow, "does not fit")
    fewer = {name: tensor for name, tensor in tensors.items() if name != first}
    save_file(fewer, narrow / "adapter_model.safetensors")
    refused(narrow, "1 tensors have no counterpart")
    more = {**tensors, first.replace("q_proj", "k_proj"): tensors[first].clone()}
    save_file(more, narrow / "adapter_model.safetensors")
    refused(narrow, "1 tensors have no counterpart")
    change_json(narrow / "adapter_config.json", peft_type="MARTIAN")
    refused(narrow, "not one that this version of peft reads")
    (narrow / "adapter_model.safetensors").write_bytes(b"damaged")
    refused(narrow, "damaged")


def test_prompt_tuning_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    prefix = PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
    get_peft_model(model, prefix).save_pretrained(tmp_path)
    refused(tmp_path, "PREFIX_TUNING adapter")
