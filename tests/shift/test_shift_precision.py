"""In how many bits weights were stored, and what rounding them to 4 bits alone does."""

import json

import gguf
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune.models.reference import resolve
from aftertune.progress import Silent
from aftertune.shift.config import ShiftConfig
from aftertune.shift.precision import precision
from aftertune.shift.run import run
from tiny_models import save_model

FACTS = {"stored_dtype": None}
# qwen2: what transformers calls the parts of a layer -> what GGUF calls them
_PARTS = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def gguf_of(folder, to, kind):
    """The tiny Qwen model of `folder` as a GGUF file; matrices are rounded to `kind`."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    config, tokenizer = model.config, AutoTokenizer.from_pretrained(folder)
    writer = gguf.GGUFWriter(to, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    core = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    names = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(names)
    writer.add_token_types([3 if name.startswith("<|") else 1 for name in names])
    writer.add_token_merges([" ".join(pair) for pair in core["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        values = tensor.float().numpy()
        if values.ndim == 1:
            writer.add_tensor(_named(name), values)
        else:
            writer.add_tensor(_named(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return to


def _named(name):
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in whole:
        return whole[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    part, _, ending = rest.rpartition(".")
    return f"blk.{layer}.{_PARTS[part]}.{ending}"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A base, another model, and the base as GGUF files of 4 and 32 bits."""
    folder = tmp_path_factory.mktemp("gguf")
    base, tuned = save_model("qwen", folder / "base"), save_model("qwen", folder / "t", seed=1)
    kinds = gguf.GGMLQuantizationType
    return (
        base,
        tuned,
        [gguf_of(base, folder / f"{k.name}.gguf", k) for k in (kinds.Q4_0, kinds.F32)],
    )


def shift(base, tuned, responses, out, **options):
    config = ShiftConfig(base=str(base), tuned=str(tuned), **options)
    return run(config, responses, out, Silent())


def mean_kl(found):
    return found.about["summary"]["kl_tuned_base_nats"]["per_token"]["estimate"]


def test_rounding_to_4_bits_is_told_apart_from_tuning(models, llamas, tmp_path):
    base, tuned, (four_bits, whole) = models
    responses = llamas[2]
    rounding = shift(base, four_bits, responses, tmp_path)
    assert rounding.about["precision"] == {
        "base": {"computed_in": "float32", "stored_dtype": "float32", "quantised": None},
        "tuned": {
            "computed_in": "float32",
            "stored_dtype": None,
            "quantised": {"by": "gguf", "type": "Q4_0", "bits": 4.5},
        },
    }
    assert mean_kl(rounding) > 0.01
    # the same file format without rounding is no shift: it is the 4 bits that move it
    unrounded = shift(base, whole, responses, tmp_path)
    assert unrounded.about["precision"]["tuned"]["quantised"] is None
    assert mean_kl(unrounded) < 1e-6
    tuning = shift(four_bits, tuned, responses, tmp_path)
    assert tuning.about["precision"]["base"]["quantised"]["bits"] == 4.5
    assert mean_kl(tuning) > mean_kl(rounding)


def test_a_rounded_base_passes_alone_too(models, llamas, tmp_path):
    base, _, (four_bits, _) = models
    together = shift(base, four_bits, llamas[2], tmp_path / "a")
    alone = shift(base, four_bits, llamas[2], tmp_path / "b", one_at_a_time=True)
    assert alone.manifest["tables"] == together.manifest["tables"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, None),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
            {"by": "bitsandbytes", "type": "nf4", "bits": 4},
        ),
        (
            {"quant_method": "bitsandbytes", "_load_in_8bit": True, "bnb_4bit_quant_type": "fp4"},
            {"by": "bitsandbytes", "type": None, "bits": 8},
        ),
        ({"quant_method": "gptq", "bits": 3}, {"by": "gptq", "type": None, "bits": 3}),
        ({"quant_method": "fp8", "fmt": "e4m3"}, {"by": "fp8", "type": "e4m3", "bits": None}),
        ({"quant_method": "unheard"}, {"by": "unheard", "type": None, "bits": None}),
    ],
)
def test_what_a_checkpoint_says_of_its_rounding(tiny_llama, tmp_path, config, expected):
    folder = tmp_path / "model"
    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    if config is not None:
        (folder / "config.json").write_text(json.dumps({**written, "quantization_config": config}))
    found = precision(resolve(folder), FACTS, "bfloat16")
    assert found == {"computed_in": "bfloat16", "stored_dtype": None, "quantised": expected}


def test_an_adapter_has_its_bases_precision(adapter):
    found = precision(resolve(adapter), {"stored_dtype": "float32"}, "float32")
    assert found == {"computed_in": "float32", "stored_dtype": "float32", "quantised": None}
