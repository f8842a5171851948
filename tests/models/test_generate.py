"""Decoding: batches do not matter, stops are cut by position, draws belong to their sequence."""

import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from aftertune.errors import InternalError
from aftertune.models.generate import Generated, Settings, generate

VOCABULARY = 300  # every tiny tokenizer has more
GREEDY = Settings(max_new_tokens=16)
SAMPLED = Settings(max_new_tokens=16, temperature=1.0)


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_gpt2", "tiny_qwen"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return _load(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> PreTrainedModel:
    return _load(tiny_llama)


def _load(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _prompts(n: int, seed: int = 0) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(3, VOCABULARY) for _ in range(draw.randrange(1, 30))] for _ in range(n)]


def test_batch_size_and_order_do_not_change_answers(model: PreTrainedModel) -> None:
    prompts = _prompts(9)
    alone = [generate(model, [p], [2], GREEDY)[0] for p in prompts]
    order = [4, 0, 7, 2, 8, 1, 6, 3, 5]
    shuffled: dict[int, Generated] = {}
    for batch in (order[:5], order[5:]):
        answers = generate(model, [prompts[i] for i in batch], [2], GREEDY)
        shuffled.update(zip(batch, answers, strict=True))
    assert [shuffled[i] for i in range(9)] == alone
    assert len({tuple(a.ids) for a in alone}) > 1  # else the comparison could not fail


def test_greedy_is_the_argmax_of_a_plain_pass(model: PreTrainedModel) -> None:
    prompt = _prompts(1, seed=3)[0]
    [answer] = generate(model, [prompt], [], GREEDY)
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(GREEDY.max_new_tokens):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert answer == Generated(ids[len(prompt) :], "length")


def test_a_prefix_is_gone_on_from(model: PreTrainedModel) -> None:
    prompts = _prompts(3, seed=1)
    whole = generate(model, prompts, [], GREEDY)
    prefixes = [whole[0].ids[:5], [], whole[2].ids[:11]]
    rest = generate(model, prompts, [], GREEDY, prefixes=prefixes)
    for prefix, full, tail in zip(prefixes, whole, rest, strict=True):
        assert len(tail.ids) == GREEDY.max_new_tokens  # only what is new counts
        assert [*prefix, *tail.ids][: len(full.ids)] == full.ids


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(stops=st.sets(st.integers(0, VOCABULARY - 1), max_size=60), seed=st.integers(0, 99))
def test_stops_at_the_first_stop_token(llama: PreTrainedModel, stops: set[int], seed: int) -> None:
    prompts = _prompts(3, seed)
    free = generate(llama, prompts, [], GREEDY)
    stopped = generate(llama, prompts, sorted(stops), GREEDY)
    for whole, answer in zip(free, stopped, strict=True):
        assert answer.ids == whole.ids[: len(answer.ids)]
        assert not stops & set(answer.ids[:-1])
        assert (answer.finish_reason == "stop") == (answer.ids[-1] in stops)
        assert answer.finish_reason == "stop" or len(answer.ids) == GREEDY.max_new_tokens


def test_a_stop_token_that_is_also_the_padding(llama: PreTrainedModel) -> None:
    # id 0 is what batches are padded with; here it also stops the first answer at once and
    # never the second, so 15 paddings follow it that are no part of the answer
    prompts = _prompts(2, seed=5)
    bias = torch.zeros(2, 1, llama.config.vocab_size)
    bias[:, 0, 0] = torch.tensor([1e4, -1e4])
    handle = llama.lm_head.register_forward_hook(lambda module, args, output: output + bias)
    try:
        first, second = generate(llama, prompts, [0], GREEDY)
    finally:
        handle.remove()
    assert first == Generated([0], "stop")
    assert len(second.ids) == 16
    assert second.finish_reason == "length"


def test_ids_after_the_stop_are_cut_by_position(llama: PreTrainedModel) -> None:
    prompts = _prompts(6, seed=2)
    free = generate(llama, prompts, [], GREEDY)
    stop = free[0].ids[3]  # the first answer stops early, others go on beside it
    answers = generate(llama, prompts, [stop], GREEDY)
    assert answers[0].ids == free[0].ids[: free[0].ids.index(stop) + 1]
    assert answers[0].finish_reason == "stop"
    assert {a.finish_reason for a in answers} == {"stop", "length"}


def test_the_checkpoints_generation_config_does_not_leak(llama: PreTrainedModel) -> None:
    prompts = _prompts(4, seed=4)
    plain = generate(llama, prompts, [2], GREEDY)
    own = GenerationConfig(
        do_sample=True, temperature=2.0, top_k=5, repetition_penalty=4.0, no_repeat_ngram_size=1,
        suppress_tokens=plain[0].ids[:2], eos_token_id=[plain[0].ids[1]], min_new_tokens=9,
    )  # fmt: skip
    before, llama.generation_config = llama.generation_config, own
    try:
        assert generate(llama, prompts, [2], GREEDY) == plain
        assert llama.generation_config is own  # and is left as it was
        leaking = llama.generate(torch.tensor([prompts[0]]), max_new_tokens=16)
        assert leaking[0, len(prompts[0]) :].tolist() != plain[0].ids  # it would have mattered
    finally:
        llama.generation_config = before


def test_draws_do_not_depend_on_the_batch(model: PreTrainedModel) -> None:
    prompts, seeds = _prompts(5, seed=6), [11, 22, 33, 44, 55]
    settings = Settings(max_new_tokens=12, temperature=0.9, top_p=0.95, top_k=100)
    together = generate(model, prompts, [2], settings, sample_seeds=seeds)
    assert generate(model, prompts, [2], settings, sample_seeds=seeds) == together
    torch.manual_seed(1)  # the global stream has no part in it
    for i in (4, 1):
        alone = generate(model, [prompts[i]], [2], settings, sample_seeds=[seeds[i]])
        assert alone == [together[i]]


def test_seeds_give_unlike_draws(llama: PreTrainedModel) -> None:
    prompt = _prompts(1)[0]
    draws = generate(llama, [prompt] * 8, [], SAMPLED, sample_seeds=range(8))
    assert len({tuple(d.ids) for d in draws}) == 8


def test_draws_follow_the_softmax(llama: PreTrainedModel) -> None:
    # 2,000 draws of one token at a high temperature against the softmax: chi-squared over the
    # ten likeliest tokens and the rest; 29.6 is the 99.9% point of chi-squared with 10 degrees
    prompt, n = [7, 8, 9], 2000
    with torch.no_grad():
        probs = (llama(torch.tensor([prompt])).logits[0, -1].double() / 1.5).softmax(-1)
    settings = Settings(max_new_tokens=1, temperature=1.5)
    draws = generate(llama, [prompt] * n, [], settings, sample_seeds=range(n))
    counts = torch.bincount(torch.tensor([d.ids[0] for d in draws]), minlength=len(probs))
    top = probs.topk(10).indices
    expected = torch.cat([probs[top], (1 - probs[top].sum())[None]]) * n
    seen = torch.cat([counts[top], (n - counts[top].sum())[None]])
    assert float(((seen - expected) ** 2 / expected).sum()) < 29.6


def test_top_k_of_one_is_greedy(llama: PreTrainedModel) -> None:
    prompts = _prompts(3)
    settings = Settings(max_new_tokens=16, temperature=3.0, top_k=1)
    sampled = generate(llama, prompts, [2], settings, sample_seeds=[1, 2, 3])
    assert sampled == generate(llama, prompts, [2], GREEDY)


def test_nothing_to_answer_and_misuse(llama: PreTrainedModel) -> None:
    assert generate(llama, [], [2], GREEDY) == []
    with pytest.raises(InternalError, match="one seed per sequence"):
        generate(llama, [[5]], [2], SAMPLED)
    with pytest.raises(InternalError, match="without tokens"):
        generate(llama, [[5], []], [2], GREEDY)
