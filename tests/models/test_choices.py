"""Answers scored behind one prompt: equal to scoring each alone, whatever the architecture."""

import math
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MptConfig,
    MptForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from aftertune.errors import InputError
from aftertune.models.choices import Question, Way, choose_way, score_answers
from aftertune.models.load import Loaded, load
from aftertune.progress import Silent
from tiny_models import byte_level_tokenizer

VOCABULARY = 400
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 256, "initializer_range": 0.3,
}  # fmt: skip
GROUPED = {**SHAPE, "num_key_value_heads": 2}
WAYS = {name: Way(name, None, None) for name in ("tree", "cache", "plain")}  # type: ignore[arg-type]
NATS = 1e-4


def made(name: str) -> Any:
    """A random-weight model of a family that tiny_models has not."""
    torch.manual_seed(0)
    if name == "gpt-neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(**SHAPE))
    if name == "mistral":
        return MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=16))
    if name == "gemma2":
        config = Gemma2Config(**GROUPED, head_dim=8, final_logit_softcapping=5.0, sliding_window=16)
        return Gemma2ForCausalLM(config)
    if name == "gpt-neo":  # the second layer sees 16 tokens
        config = GPTNeoConfig(
            vocab_size=VOCABULARY, hidden_size=32, num_layers=2, num_heads=4, window_size=16,
            attention_types=[[["global", "local"], 1]], max_position_embeddings=256,
            initializer_range=0.3,
        )  # fmt: skip
        return GPTNeoForCausalLM(config)
    if name == "opt":
        config = OPTConfig(
            vocab_size=VOCABULARY, hidden_size=32, ffn_dim=64, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=256, word_embed_proj_dim=32,
            init_std=0.3,
        )  # fmt: skip
        return OPTForCausalLM(config)
    if name == "bloom":
        config = BloomConfig(
            vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3
        )
        return BloomForCausalLM(config)
    if name == "mpt":
        config = MptConfig(
            vocab_size=VOCABULARY, d_model=32, n_layers=2, n_heads=4, max_seq_len=256,
            initializer_range=0.3,
        )  # fmt: skip
        return MptForCausalLM(config)
    assert name == "mamba"
    return MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8)
    )


@pytest.fixture(scope="module")
def loaded_of(
    tiny_llama: Path, tiny_gpt2: Path, tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """name -> the loaded model, each made once."""
    folders = {"llama": tiny_llama, "gpt2": tiny_gpt2, "qwen": tiny_qwen}
    known: dict[str, Loaded] = {}

    def of(name: str) -> Loaded:
        if name not in known:
            if name not in folders:
                folders[name] = tmp_path_factory.mktemp(name)
                made(name).save_pretrained(folders[name])
                byte_level_tokenizer().save_pretrained(folders[name])
            known[name] = load(folders[name], dtype="float32")
        return known[name]

    return of


def some(n: int, shared: int = 0, longest: int = 9, seed: int = 0) -> list[Question]:
    """Questions of mixed lengths with 0 to 5 answers of mixed lengths."""
    draw = torch.Generator().manual_seed(seed)

    def ids(count: int) -> list[int]:
        return torch.randint(3, VOCABULARY, (count,), generator=draw).tolist()

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=draw))

    beginning = ids(shared)
    return [
        Question([*beginning, *ids(number(1, longest))],
                 [ids(number(1, 5)) for _ in range(number(0, 5))])
        for _ in range(n)
    ]  # fmt: skip


def scored(loaded: Loaded, questions: list[Question], way: str, max_tokens: int = 300) -> Any:
    return score_answers(loaded, questions, max_tokens=max_tokens, progress=Silent(), way=WAYS[way])


def assert_alike(found: Any, wanted: Any) -> None:
    assert [len(scores) for scores in found] == [len(scores) for scores in wanted]
    for one, other in zip(chain(*found), chain(*wanted), strict=True):
        assert one.logprob_nats == pytest.approx(other.logprob_nats, abs=NATS)
        assert (one.n_tokens, one.greedy) == (other.n_tokens, other.greedy)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen", "gpt-neox", "opt"])
@pytest.mark.parametrize("shared", [0, 70])
@pytest.mark.parametrize("max_tokens", [1, 200, 4000])
def test_tree_and_cache_equal_plain_scoring(
    loaded_of: Any, family: str, shared: int, max_tokens: int
) -> None:
    loaded, questions = loaded_of(family), some(8, shared)
    wanted = scored(loaded, questions, "plain")
    for way in ("tree", "cache"):
        assert_alike(scored(loaded, questions, way, max_tokens), wanted)
    assert choose_way(loaded, questions).name == "tree"


def test_plain_scoring_is_the_sum_of_the_models_own_log_softmax(loaded_of: Any) -> None:
    loaded = loaded_of("llama")
    prompt, answer = [5, 6, 7], [100, 200]
    with torch.no_grad():
        logits = loaded.plain(torch.tensor([[*prompt, *answer]])).logits[0].double()
    rows = logits.log_softmax(-1)
    own = float(rows[2, 100] + rows[3, 200])
    likeliest = int(logits[2].argmax())
    (scores,) = scored(loaded, [Question(prompt, [answer, [likeliest]])], "plain")
    assert scores[0].logprob_nats == pytest.approx(own, abs=1e-5)
    assert (scores[0].n_tokens, scores[0].greedy) == (2, False)
    assert scores[1].greedy
    assert scores[1].logprob_nats == pytest.approx(float(rows[2].max()), abs=1e-5)


def test_answers_of_one_token_are_the_whole_distribution(loaded_of: Any) -> None:
    question = Question([5, 6, 7], [[token] for token in range(VOCABULARY)])
    (scores,) = scored(loaded_of("qwen"), [question], "tree", max_tokens=64)
    assert math.fsum(math.exp(one.logprob_nats) for one in scores) == pytest.approx(1, abs=1e-5)
    assert sum(one.greedy for one in scores) == 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_questions_in_any_batches(loaded_of: Any, data: st.DataObject) -> None:
    token = st.integers(3, VOCABULARY - 1)
    question = st.builds(
        Question,
        st.lists(token, min_size=1, max_size=12),
        st.lists(st.lists(token, min_size=1, max_size=7), max_size=6),
    )
    questions = data.draw(st.lists(question, max_size=6))
    max_tokens = data.draw(st.integers(1, 200))
    loaded = loaded_of("llama")
    assert_alike(
        scored(loaded, questions, "tree", max_tokens), scored(loaded, questions, "plain", 1)
    )


@pytest.mark.parametrize("shared", [64, 100])
def test_a_shared_beginning_is_computed_once(
    loaded_of: Any, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, questions = loaded_of("llama"), some(12, shared)
    computed = []
    body = loaded.plain.get_decoder()
    original = body.forward

    @wraps(original)
    def counted(*args: Any, **options: Any) -> Any:
        computed.append(options["input_ids"].numel())
        return original(*args, **options)

    wanted = scored(loaded, questions, "plain")
    monkeypatch.setattr(body, "forward", counted)
    assert_alike(scored(loaded, questions, "tree", 4000), wanted)
    longest = max(len(q.prompt_ids) + sum(len(a) - 1 for a in q.answers) for q in questions)
    assert max(computed) <= max(shared, 12 * (longest - shared))
    assert sum(computed) < shared + 12 * (longest - shared) + 1


@pytest.mark.parametrize("family", ["mistral", "gemma2", "gpt-neo"])
def test_within_its_window_a_model_is_scored_by_tree_and_beyond_it_otherwise(
    loaded_of: Any, family: str
) -> None:
    loaded = loaded_of(family)
    short, long = some(6, longest=7), some(6, longest=40, seed=1)
    way = choose_way(loaded, short)
    assert way.name == "tree"
    assert_alike(scored(loaded, short, "tree"), scored(loaded, short, "plain"))
    way = choose_way(loaded, [*short, *long])
    assert way.name != "tree"
    assert "window of 16" in (way.reason or "")
    found = score_answers(loaded, long, max_tokens=300, progress=Silent(), way=way)
    assert_alike(found, scored(loaded, long, "plain"))


def test_a_way_chosen_on_short_questions_is_not_used_beyond_the_window(loaded_of: Any) -> None:
    loaded, long = loaded_of("mistral"), some(6, longest=40, seed=1)
    assert_alike(scored(loaded, long, "tree"), scored(loaded, long, "plain"))


@pytest.mark.parametrize("family", ["bloom", "mpt", "mamba"])
def test_models_that_take_no_mask_fall_back_and_say_why(loaded_of: Any, family: str) -> None:
    loaded, questions = loaded_of(family), some(6)
    way = choose_way(loaded, questions)
    assert way.name in ("cache", "plain")
    assert type(loaded.plain).__name__ in (way.reason or "")
    found = score_answers(loaded, questions, max_tokens=100, progress=Silent(), way=way)
    assert_alike(found, scored(loaded, questions, "plain", 1))


def test_the_check_finds_a_model_that_ignores_the_mask(
    loaded_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_of("gpt2")
    body = loaded.plain.get_decoder()
    original = body.forward

    @wraps(original)
    def careless(*args: Any, **options: Any) -> Any:
        if options.get("attention_mask") is not None and options["attention_mask"].ndim == 4:
            options["attention_mask"] = None
        return original(*args, **options)

    monkeypatch.setattr(body, "forward", careless)
    for questions in (some(4, seed=3), [Question([5, 6, 7], [[8, 9, 10]])]):
        way = choose_way(loaded, questions)
        assert way.name == "cache"
        assert "by a tree mask it was" in (way.reason or "")
        assert (way.gap_nats or 0) < NATS


def test_the_way_is_said_where_the_caller_chose_none(loaded_of: Any) -> None:
    class Heard(Silent):
        said: list[str] = []  # noqa: RUF012

        def say(self, sentence: str) -> None:
            self.said.append(sentence)

    score_answers(loaded_of("llama"), some(3), max_tokens=100, progress=Heard())
    assert len(Heard.said) == 1
    assert "tree mask" in Heard.said[0]


def test_eager_attention_takes_the_mask_too(tiny_llama: Path, loaded_of: Any) -> None:
    loaded, questions = load(tiny_llama, dtype="float32"), some(6)
    loaded.model.set_attn_implementation("eager")
    assert choose_way(loaded, questions).name == "tree"
    wanted = scored(loaded_of("llama"), questions, "plain")
    assert_alike(scored(loaded, questions, "tree"), wanted)


def test_an_adapter_on_and_off(adapters: dict[str, Path], loaded_of: Any) -> None:
    loaded, questions = load(adapters["lora"], dtype="float32"), some(6)
    wanted = scored(loaded, questions, "plain")
    assert_alike(scored(loaded, questions, "tree"), wanted)
    with loaded.adapter_off():
        base = scored(loaded, questions, "tree")
    assert_alike(base, scored(loaded_of("llama"), questions, "plain"))
    assert any(a.logprob_nats != b.logprob_nats for a, b in zip(base[0], wanted[0], strict=True))


def test_bfloat16_is_scored_by_tree(tiny_llama: Path) -> None:
    loaded = load(tiny_llama, dtype="bfloat16")
    way = choose_way(loaded, some(6))
    assert way.name == "tree"
    assert way.gap_nats is not None


def test_nothing_to_score(loaded_of: Any) -> None:
    loaded = loaded_of("llama")
    assert score_answers(loaded, [], max_tokens=10, progress=Silent()) == []
    assert score_answers(loaded, [Question([5], [])], max_tokens=10, progress=Silent()) == [[]]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question([], [[5]]), "no prompt tokens"),
        (Question([5], [[6], []]), "answer without tokens"),
        (Question([5] * 250, [[6] * 7]), "needs 257 tokens .* reads 256"),
    ],
)
def test_what_cannot_be_scored_is_refused(loaded_of: Any, question: Question, said: str) -> None:
    loaded = loaded_of("gpt-neox")
    for way in (None, WAYS["tree"]):
        with pytest.raises(InputError, match=f"question 2 .*{said}"):
            score_answers(
                loaded, [Question([5], [[6]]), question], max_tokens=10, progress=Silent(), way=way
            )


def test_the_models_here_are_far_from_uniform(loaded_of: Any) -> None:
    """Else agreement would say nothing."""
    for name in ("llama", "gpt2", "qwen", "gpt-neox", "opt", "mistral"):
        model = loaded_of(name).plain
        with torch.no_grad():
            logits = model(torch.tensor([[5, 6, 7, 8]])).logits
        assert float(logits.std()) > 0.5
