"""One model at a time: the same numbers as both together, on less memory, whenever it is killed."""

import gc
import shutil

import pytest
import torch
from killed import Killed
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from aftertune.errors import ArtefactError
from aftertune.models.score import Head
from aftertune.progress import Silent
from aftertune.shift import alone, pair
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run
from tiny_models import save_model

SMALL = {"batch_tokens": 40, "part_tokens": 10}


class Saying(Silent):
    """Keeps what was said."""

    def __init__(self):
        super().__init__()
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def shift(base, tuned, responses, out, progress=None, **options):
    config = ShiftConfig(base=str(base), tuned=str(tuned), **options)
    return run(config, responses, out, progress or Silent())


def assert_same(found, other):
    """All parts byte for byte, and all that is said but for the settings."""
    assert found.id == other.id
    assert found.manifest["tables"] == other.manifest["tables"]
    assert found.manifest["files"] == other.manifest["files"]
    assert found.about == other.about
    assert found.counts == other.counts


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_two_models_give_the_same_bytes(llamas, dtype, tmp_path):
    options = {"dtype": dtype, "rescore": False, "lin2024": True, **SMALL}
    together = shift(*llamas, tmp_path / "a", **options)
    apart = shift(*llamas, tmp_path / "b", one_at_a_time=True, **options)
    assert len(together.manifest["tables"]["tokens"]) > 2
    assert_same(apart, together)
    assert not (apart.folder / "work").exists()


@pytest.mark.parametrize("kind", ["gpt2", "qwen"])
def test_other_families_and_tied_heads_too(kind, llamas, tmp_path):
    base, tuned = save_model(kind, tmp_path / "base"), save_model(kind, tmp_path / "t", seed=1)
    together = shift(base, tuned, llamas[2], tmp_path / "a")
    assert_same(shift(base, tuned, llamas[2], tmp_path / "b", one_at_a_time=True), together)


def test_an_adapter_on_another_base_passes_alone(llamas, adapter, tmp_path):
    _, other, responses = llamas
    together = shift(other, adapter, responses, tmp_path / "a", **SMALL)
    apart = shift(other, adapter, responses, tmp_path / "b", one_at_a_time=True, **SMALL)
    assert not apart.about["shared_weights"]
    assert_same(apart, together)


def test_an_adapter_on_its_base_is_one_set_of_weights_anyway(
    llamas, adapter, tmp_path, monkeypatch
):
    base, _, responses = llamas
    together = shift(base, adapter, responses, tmp_path / "a")
    monkeypatch.setattr(alone, "read", None)  # nothing is read model by model
    progress = Saying()
    apart = shift(base, adapter, responses, tmp_path / "b", progress, one_at_a_time=True)
    assert_same(apart, together)
    assert any("one set of weights serves both" in said for said in progress.said)


def test_bfloat16_is_left_by_the_same_rule(llamas, near, tmp_path):
    base, _, responses = llamas
    options = {"dtype": "bfloat16", **SMALL}
    together = shift(base, near, responses, tmp_path / "a", **options)
    apart = shift(base, near, responses, tmp_path / "b", one_at_a_time=True, **options)
    assert apart.about["rescored_in_fp32"]
    assert_same(apart, together)
    far = shift(*llamas, tmp_path / "b", one_at_a_time=True, **options)
    assert far.about["dtype"] == "bfloat16"
    assert_same(far, shift(*llamas, tmp_path / "a", **options))


def test_the_base_may_read_another_template(llamas, tmp_path):
    options = {"base_template": "few-shot", **SMALL}
    with_messages = _asked(llamas[2], tmp_path)
    together = shift(*llamas[:2], with_messages, tmp_path / "a", **options)
    apart = shift(*llamas[:2], with_messages, tmp_path / "b", one_at_a_time=True, **options)
    assert_same(apart, together)


def _asked(responses, out):
    """The same answers to prompts that have messages."""
    from made_responses import PROMPTS, made

    records = responses.table("responses").to_pylist()
    for place, record in enumerate(records):
        message = dict.fromkeys(("thinking", "tool_calls", "tool_call_id", "name"))
        record["messages"] = [{"role": "user", "content": PROMPTS[place], **message}]
    return made(out / "asked", records)


def bodies_in_memory():
    """The causal language models that are held."""
    gc.collect()
    models = [one for one in gc.get_objects() if issubclass(type(one), PreTrainedModel)]
    return [one for one in models if one.get_output_embeddings() is not None]


def test_never_two_bodies_in_memory(llamas, tmp_path, monkeypatch):
    elsewhere = {id(one) for one in bodies_in_memory()}
    held = {"reading": [], "applying": []}

    def noting(function, what):
        def noted(*args):
            held[what].append(sum(id(one) not in elsewhere for one in bodies_in_memory()))
            return function(*args)

        return noted

    monkeypatch.setattr(alone, "read", noting(alone.read, "reading"))
    monkeypatch.setattr(Head, "logits", noting(Head.logits, "applying"))
    shift(*llamas, tmp_path, one_at_a_time=True, noise_responses=0)
    assert set(held["reading"]) == {1}
    assert held["applying"][-1] == 0  # the tables are made without either body


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("after", range(1, 13))
def test_killed_at_any_moment_it_goes_on_and_repeats_no_part(llamas, after, tmp_path, monkeypatch):
    """Nothing that a model was read for is written twice."""
    options = {"one_at_a_time": True, "dtype": "bfloat16", **SMALL}
    written = []

    def stopping(path, write):
        if len(written) == after:
            raise StoppedError
        written.append(path.name)
        return durably(path, write)

    durably = alone.write_durably
    monkeypatch.setattr(alone, "write_durably", stopping)
    with pytest.raises(StoppedError):
        shift(*llamas, tmp_path / "a", **options)
    first, after = len(written), None
    resumed = shift(*llamas, tmp_path / "a", **options)
    assert len(written) > first
    twice = {name for name in written if written.count(name) > 1}
    # a head is made again where the run was stopped before it was known to be there
    assert twice <= {"base-head.safetensors", "tuned-head.safetensors"}
    monkeypatch.setattr(alone, "write_durably", durably)
    assert_same(resumed, shift(*llamas, tmp_path / "b", **{**options, "one_at_a_time": False}))


@pytest.mark.parametrize("after", [1, 2, 5, 9])
def test_a_kill_within_a_part_loses_that_part_alone(llamas, after, tmp_path, monkeypatch):
    reads = []
    hidden_states = pair.hidden_states

    def counted(*args):
        reads.append(1)
        return hidden_states(*args)

    monkeypatch.setattr(pair, "hidden_states", counted)
    options = {"one_at_a_time": True, "noise_responses": 0, **SMALL}
    whole = shift(*llamas, tmp_path / "b", **options)
    n_whole, _ = len(reads), reads.clear()
    with pytest.raises(KeyboardInterrupt):
        shift(*llamas, tmp_path / "a", Killed(after), **options)
    resumed = shift(*llamas, tmp_path / "a", **options)
    assert n_whole <= len(reads) <= n_whole + 2  # a part has two batches here at most
    assert_same(resumed, whole)


def test_both_ways_continue_what_the_other_began(llamas, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        shift(*llamas, tmp_path / "a", Killed(9), one_at_a_time=True, **SMALL)
    resumed = shift(*llamas, tmp_path / "a", **SMALL)
    assert_same(resumed, shift(*llamas, tmp_path / "b", **SMALL))


def test_the_disk_it_needs_is_said_before_and_must_be_there(llamas, tmp_path, monkeypatch):
    base, tuned, responses = llamas
    progress = Saying()
    found = shift(base, tuned, responses, tmp_path / "a", progress, one_at_a_time=True)
    assert any("GB of disk" in said for said in progress.said)
    # two models, 32 numbers of 4 bytes for every token
    needed = 2 * 32 * 4 * found.counts["tokens"]
    usage = shutil.disk_usage(tmp_path)
    for free in (needed - 1, needed):
        monkeypatch.setattr(alone.shutil, "disk_usage", lambda _, n=free: usage._replace(free=n))
        if free < needed:
            with pytest.raises(ArtefactError, match=r"one model at a time needs .* GB of disk"):
                shift(base, tuned, responses, tmp_path / "b", one_at_a_time=True)
        else:
            shift(base, tuned, responses, tmp_path / "b", one_at_a_time=True)


def test_a_head_with_a_bias_keeps_it(llamas, tmp_path):
    """GPT-J's head has a bias, which other families lack."""
    from transformers import GPTJConfig, GPTJForCausalLM

    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = GPTJConfig(
            vocab_size=400, n_embd=32, n_layer=1, n_head=4, rotary_dim=4, n_positions=256,
            bos_token_id=1, eos_token_id=2, initializer_range=0.3,
        )  # fmt: skip
        model = GPTJForCausalLM(config)
        with torch.no_grad():
            model.lm_head.bias.normal_(0, 1)
        folders.append(tmp_path / f"gptj{seed}")
        model.save_pretrained(folders[-1])
        AutoTokenizer.from_pretrained(llamas[0]).save_pretrained(folders[-1])
    assert AutoModelForCausalLM.from_pretrained(folders[0]).lm_head.bias.abs().max() > 1
    together = shift(*folders, llamas[2], tmp_path / "a")
    assert_same(shift(*folders, llamas[2], tmp_path / "b", one_at_a_time=True), together)
