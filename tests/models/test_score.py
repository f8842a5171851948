"""Heads and hidden states: equal to the models' own logits, on every family and adapter."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from aftertune.errors import InternalError, ModelError
from aftertune.models.load import load
from aftertune.models.score import Head, hidden_states, hidden_states_cached

SHAPE: dict[str, Any] = {
    "vocab_size": 120, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64, "initializer_range": 0.3,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED = {**SHAPE, "num_key_value_heads": 2}
SEQUENCES = [[3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13], [14, 15, 16, 17, 18]]
STARTS = [2, 1, 4]


def family(name: str) -> Any:
    torch.manual_seed(0)
    if name == "gemma2":
        config = Gemma2Config(**GROUPED, head_dim=8, final_logit_softcapping=5.0, sliding_window=4)
        return Gemma2ForCausalLM(config).eval()
    if name == "granite":
        return GraniteForCausalLM(GraniteConfig(**GROUPED, logits_scaling=4.0)).eval()
    if name == "cohere":
        return CohereForCausalLM(CohereConfig(**GROUPED, logit_scale=0.25)).eval()
    if name == "phi":
        model = PhiForCausalLM(PhiConfig(**SHAPE)).eval()
        torch.nn.init.normal_(model.lm_head.bias)
        return model
    assert name == "opt"
    config = OPTConfig(
        vocab_size=120, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, word_embed_proj_dim=16, init_std=0.3,
    )  # fmt: skip
    return OPTForCausalLM(config).eval()


@pytest.fixture(params=["llama", "gpt2", "qwen", "gemma2", "granite", "cohere", "phi", "opt"])
def model(request: Any, tiny_llama: Path, tiny_gpt2: Path, tiny_qwen: Path) -> Any:
    folders = {"llama": tiny_llama, "gpt2": tiny_gpt2, "qwen": tiny_qwen}
    if request.param in folders:
        return AutoModelForCausalLM.from_pretrained(folders[request.param]).eval()
    return family(request.param)


def own_logits(model: Any, sequence: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([sequence])).logits[0].float()


def test_head_of_states_is_the_models_own_logits(model: Any) -> None:
    head = Head.of(model)
    head.verify(model)
    states = hidden_states(model, SEQUENCES, STARTS)
    for sequence, start, state in zip(SEQUENCES, STARTS, states, strict=True):
        own = own_logits(model, sequence)
        assert own.abs().max() > 0.5  # else the comparison would say nothing
        torch.testing.assert_close(head.logits(state), own[start - 1 : -1], atol=1e-5, rtol=1e-5)


def test_a_batch_of_mixed_lengths_equals_one_by_one(model: Any) -> None:
    together = hidden_states(model, SEQUENCES, STARTS, pad_id=5)
    for sequence, start, state in zip(SEQUENCES, STARTS, together, strict=True):
        (alone,) = hidden_states(model, [sequence], [start])
        assert state.shape[0] == len(sequence) - start
        torch.testing.assert_close(state, alone, atol=1e-5, rtol=1e-5)


def test_cached_states_are_the_same(model: Any) -> None:
    plain = hidden_states(model, SEQUENCES, STARTS)
    for state, cached in zip(plain, hidden_states_cached(model, SEQUENCES, STARTS), strict=True):
        torch.testing.assert_close(cached, state, atol=1e-5, rtol=1e-5)


def test_no_sequences_and_nothing_to_score(tiny_llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    head = Head.of(model)
    assert hidden_states(model, [], []) == []
    assert hidden_states_cached(model, [], []) == []
    for states in (hidden_states(model, [[3, 4]], [2]), hidden_states_cached(model, [[3, 4]], [2])):
        assert states[0].shape == (0, 32)
        assert head.logits(states[0]).shape == (0, 400)


@pytest.mark.parametrize("start", [0, 4])
def test_a_start_without_a_predicting_position_is_refused(tiny_llama: Path, start: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with pytest.raises(InternalError, match="start"):
        hidden_states(model, [[3, 4, 5]], [start])


def test_a_sequence_longer_than_the_context_is_refused() -> None:
    with pytest.raises(InternalError, match="context of 64"):
        hidden_states(family("phi"), [[3] * 65], [1])


def test_by_hand() -> None:
    # h.W' = [1*1 + 2*0, 1*0 + 2*3] = [1, 6]; + bias [1, -2] = [2, 4]; * 0.5 = [1, 2]
    head = Head(
        torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([1.0, -2.0]), 0.5, soft_cap=None
    )
    assert head.logits(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
    capped = Head(head.weight, head.bias, 0.5, soft_cap=2.0)
    # 2 tanh(1/2) = 0.924234, 2 tanh(2/2) = 1.523188
    want = torch.tensor([[0.924234, 1.523188]])
    torch.testing.assert_close(capped.logits(torch.tensor([[1.0, 2.0]])), want, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["lora", "dora", "saved_head", "saved_both", "lora_head",
                                  "dora_head", "lora_embeddings", "trained_tokens", "pissa",
                                  "resized", "resized_saved"])  # fmt: skip
def test_heads_with_the_adapter_on_and_off(
    adapters: dict[str, Path], tiny_llama: Path, name: str
) -> None:
    loaded = load(adapters[name])
    base = load(tiny_llama)
    on = Head.of(loaded.model)
    on.verify(loaded.model)
    with loaded.adapter_off():
        off = Head.of(loaded.model)
        off.verify(loaded.model)
        states = hidden_states(loaded.model, SEQUENCES, STARTS)
    # used after the adapter is on again: a head is what it was when it was made
    base_head = Head.of(base.model)
    assert torch.equal(off.weight, base_head.weight)
    own = hidden_states(base.model, SEQUENCES, STARTS)
    for state, expected in zip(states, own, strict=True):
        assert torch.equal(off.logits(state), base_head.logits(expected))
    changed = name not in ("lora", "dora", "lora_embeddings", "trained_tokens", "pissa")
    assert (
        on.weight.shape != off.weight.shape or not torch.equal(on.weight, off.weight)
    ) is changed


def test_a_missing_soft_cap_or_scale_is_noticed() -> None:
    for name in ("gemma2", "granite", "cohere"):
        model = family(name)
        head = Head.of(model)
        wrong = Head(head.weight, head.bias)
        with pytest.raises(ModelError, match=type(model).__name__):
            wrong.verify(model)


def test_a_missing_bias_is_noticed() -> None:
    model = family("phi")
    with pytest.raises(ModelError, match="PhiForCausalLM"):
        Head(Head.of(model).weight).verify(model)


def test_a_float32_head_shares_the_models_storage(tiny_qwen: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen)
    head = Head.of(model)
    assert head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize("name", ["gemma2", "cohere", "phi", "opt"])
def test_bfloat16_upcast_equals_a_float32_product(name: str) -> None:
    model = family(name).to(torch.bfloat16)
    Head.of(model).verify(model)
    Head.of(model, upcast=False).verify(model)
    states = torch.randn(5, Head.of(model).weight.shape[1]).to(torch.bfloat16)
    wide = family(name)
    wide.load_state_dict({k: v.float() for k, v in model.state_dict().items()})
    upcast = Head.of(model).logits(states)
    assert upcast.dtype == torch.float32
    torch.testing.assert_close(upcast, Head.of(wide).logits(states.float()), atol=1e-5, rtol=1e-5)
    rounded = Head.of(model, upcast=False).logits(states)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, upcast)


def test_upcasting_in_blocks_covers_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias = torch.randn(23, 4).bfloat16(), torch.randn(23).bfloat16()
    hidden = torch.randn(3, 4).bfloat16()
    monkeypatch.setattr("aftertune.models.score._BLOCK", 5)
    want = hidden.double() @ weight.double().T + bias.double()
    got = Head(weight, bias).logits(hidden)
    torch.testing.assert_close(got.double(), want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["gemma2", "cohere", "phi"])
def test_gradients_reach_the_head_and_the_states(name: str) -> None:
    model = family(name).train()
    hidden = torch.randn(3, 32, requires_grad=True)
    Head.of(model).logits(hidden).square().sum().backward()
    ours = model.get_output_embeddings().weight.grad.clone()
    assert hidden.grad is not None
    model.zero_grad()
    state = hidden.detach().requires_grad_()
    logits = model.get_output_embeddings()(state)
    head = Head.of(model)
    logits = logits * head.scale
    if head.soft_cap:
        logits = torch.tanh(logits / head.soft_cap) * head.soft_cap
    logits.square().sum().backward()
    torch.testing.assert_close(ours, model.get_output_embeddings().weight.grad)
    torch.testing.assert_close(hidden.grad, state.grad)


def test_an_adapter_on_the_head_cannot_be_trained_by_position(adapters: dict[str, Path]) -> None:
    loaded = load(adapters["lora_head"])
    loaded.model.get_output_embeddings().lora_A.requires_grad_(True)
    with pytest.raises(ModelError, match="output matrix"):
        Head.of(loaded.model)


def test_a_model_without_a_head_is_refused(tiny_llama: Path) -> None:
    body = AutoModelForCausalLM.from_pretrained(tiny_llama).model
    with pytest.raises(ModelError, match="LlamaModel"):
        Head.of(body)


@pytest.mark.slow
def test_the_embedded_model_in_both_dtypes() -> None:
    for dtype in ("float32", "bfloat16"):
        loaded = load("embedded:smollm2-135m", dtype=dtype)
        for upcast in (True, False):
            Head.of(loaded.model, upcast).verify(loaded.model)
