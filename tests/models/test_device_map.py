"""A model spread over devices: here memory and disk, which takes transformers' own dispatching."""

from pathlib import Path

import pytest
import torch

from aftertune.errors import ModelError
from aftertune.models.generate import Settings, generate
from aftertune.models.load import load
from aftertune.models.score import Head, hidden_states

SPREAD: dict[str, int | str] = {
    "model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu",
    "model.layers.1": "disk", "model.norm": "cpu", "lm_head": "cpu",
}  # fmt: skip
SEQUENCES = [[5, 6, 7, 8], [9, 10, 11, 12, 13, 14]]


def test_a_spread_model_scores_and_answers_as_one_in_one_place(tiny_llama: Path) -> None:
    whole = load(tiny_llama, dtype="float32")
    spread = load(tiny_llama, dtype="float32", device_map=SPREAD)
    devices = {parameter.device.type for parameter in spread.model.parameters()}
    assert devices == {"cpu", "meta"}  # one layer is fetched for each pass
    Head.of(spread.model).verify(spread.model)
    states = [hidden_states(one.model, SEQUENCES, [1, 2]) for one in (whole, spread)]
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    settings = Settings(6, None, None, None)
    answers = [generate(one.plain, SEQUENCES, [2], settings, [[], []], None)
               for one in (whole, spread)]  # fmt: skip
    assert [answer.ids for answer in answers[0]] == [answer.ids for answer in answers[1]]


@pytest.mark.parametrize("end", ["lm_head", "model.embed_tokens"])
def test_both_ends_need_a_device(tiny_llama: Path, end: str) -> None:
    with pytest.raises(ModelError, match="without a device to compute on"):
        load(tiny_llama, dtype="float32", device_map={**SPREAD, end: "disk"})
