"""Two real language models of unequal quality with one tokenizer, from the shared data."""

import pytest
import torch
from llama2c import convert
from made_responses import greedy, made
from plain_shift import plain_metrics
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune.progress import Silent
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run

# what the model's own page prints for greedy decoding
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high."
)


@pytest.fixture(scope="module")
def stories(shared_data, tmp_path_factory):
    """The better model (as tuned) and the worse one (as base)."""
    models = shared_data / "models"
    names = {"tuned": "stories260K/stories260K.bin", "base": "llama2xs/model.bin"}
    if not all((models / name).exists() for name in names.values()):
        pytest.skip("the TinyStories models are not in the shared data")
    folder = tmp_path_factory.mktemp("stories")
    for name, file in names.items():
        convert(models / file, models / "stories260K" / "tok512.bin", folder / name)
    return folder


def test_the_converted_model_tells_its_story(stories):
    tokenizer = AutoTokenizer.from_pretrained(stories / "tuned")
    model = AutoModelForCausalLM.from_pretrained(stories / "tuned")
    ids = [1]
    with torch.no_grad():
        while len(tokenizer.decode(ids, skip_special_tokens=True)) < len(STORY):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert tokenizer.decode(ids, skip_special_tokens=True) == STORY


def test_shift_between_two_real_models(stories, tmp_path):
    beginnings = ["Once upon a time", "Lily saw a dog", "The sun was hot", "Tom had a red car"]
    records = greedy(stories / "tuned", 40, beginnings)
    config = ShiftConfig(base=str(stories / "base"), tuned=str(stories / "tuned"))
    found = run(config, made(tmp_path, records), tmp_path, Silent())
    summary = found.about["summary"]
    kl = summary["kl_tuned_base_nats"]["per_token"]
    assert 0.1 < kl["low"] < kl["estimate"] < kl["high"] < 2
    assert summary["categories"]["unshifted"]["n"] > summary["categories"]["shifted"]["n"] > 0
    assert found.about["noise"]["floor_nats"] < 1e-6
    one = records[1]
    ids = [*one["prompt_token_ids"], *one["response_token_ids"]]
    rows = [row for row in found.table("tokens").to_pylist() if row["response_id"] == "r1"]
    logits = []
    for name in ("base", "tuned"):
        model = AutoModelForCausalLM.from_pretrained(stories / name, dtype=torch.float64)
        with torch.no_grad():
            logits.append(model(torch.tensor([ids])).logits[0].numpy())
    text = one["response"]
    assert "".join(text[row["char_start"] : row["char_end"]] for row in rows) == text
    for position, row in enumerate(rows):
        at = len(one["prompt_token_ids"]) + position - 1
        plain = plain_metrics(logits[0][at], logits[1][at], one["response_token_ids"][position])
        for name in ("kl_tuned_base_nats", "kl_base_tuned_nats", "js_nats", "base_logprob"):
            assert row[name] == pytest.approx(plain[name], abs=1e-5)
        for name in ("base_rank", "base_rank_of_tuned_argmax", "tuned_argmax"):
            assert row[name] == plain[name]
