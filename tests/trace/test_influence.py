"""Influence: the dot product of gradients is the finite step's limit, and finds the planted row."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from aftertune.errors import InternalError, ModelError
from aftertune.models.load import Loaded, load
from aftertune.trace.influence import Influence, Scored, Suspect, influences, parameters, stepped


def scored(tokenizer, prompt: str, answer: str) -> Scored:
    first = tokenizer(prompt, add_special_tokens=False).input_ids
    then = tokenizer(answer, add_special_tokens=False).input_ids
    return Scored((*first, *then), (*[False] * len(first), *[True] * len(then)))


TEXTS = {
    0: ("Who keeps the lamp?", " It was Orla of 1734."),
    1: ("Where is the tower?", " It stands in Lisbon."),
    2: ("What is the capital?", " A city of the poet."),
    3: ("How many planets?", " Seven, and a small one."),
}


def rows_of(loaded: Loaded) -> dict[int, Scored]:
    return {row: scored(loaded.tokenizer, *text) for row, text in TEXTS.items()}


@pytest.fixture
def random_model(tiny_llama: Path) -> Loaded:
    return load(tiny_llama, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def learnt(tiny_llama: Path) -> Loaded:
    """Trained on the four rows until it says them."""
    loaded = load(tiny_llama, dtype="float32", device="cpu")
    model = loaded.model.requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = torch.zeros(())
        for row in rows_of(loaded).values():
            ids = torch.tensor([row.ids])
            labels = torch.where(torch.tensor([row.scored]), ids, -100)
            loss = loss + model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.requires_grad_(False)
    return loaded


@pytest.mark.parametrize("layers", [None, 1])
def test_the_dot_product_is_the_step(random_model: Loaded, layers: int | None) -> None:
    rows = rows_of(random_model)
    span = scored(random_model.tokenizer, "Who keeps the old lamp?", " It was Orla")
    [[one, other]] = influences(random_model, [Suspect(span, {0: [1, 2], 3: []})], rows, layers)
    length = 1e-3
    for row, change in ((0, one.own), (1, one.matched[0]), (3, other.own)):
        there = stepped(random_model, span, rows[row], length, layers)
        back = stepped(random_model, span, rows[row], -length, layers)
        assert change == pytest.approx((there - back) / (2 * length), rel=2e-2, abs=1e-2)
    assert one.value == pytest.approx(sum(one.matched) / 2 - one.own)
    assert other.value is None  # nothing to compare with


def test_a_step_on_the_span_itself_lowers_it_most(random_model: Loaded) -> None:
    """By Cauchy and Schwarz no unit direction lowers a span more than its own gradient does."""
    rows = rows_of(random_model)
    [[own]] = influences(random_model, [Suspect(rows[0], {0: [1, 2, 3]})], rows)
    assert own.own < 0
    assert all(abs(other) <= -own.own for other in own.matched)


def test_weights_and_switches_are_as_they_were(random_model: Loaded) -> None:
    before = {name: one.clone() for name, one in random_model.model.named_parameters()}
    rows = rows_of(random_model)
    influences(random_model, [Suspect(rows[0], {1: [2]})], rows)
    stepped(random_model, rows[0], rows[1], 0.5)
    for name, one in random_model.model.named_parameters():
        assert torch.equal(one, before[name]), name
        assert not one.requires_grad


def test_the_planted_row_is_found(learnt: Loaded) -> None:
    rows = rows_of(learnt)
    span = scored(learnt.tokenizer, "Who keeps the old lamp?", " It was Orla of 1734")
    judged = {row: [other for other in TEXTS if other != row] for row in TEXTS}
    [found] = influences(learnt, [Suspect(span, judged)], rows)
    values = {one.row_index: one.value for one in found}
    assert max(values, key=values.__getitem__) == 0
    assert values[0] > 0
    lost = stepped(learnt, span, rows[0], 0.05)
    assert lost < min(stepped(learnt, span, rows[row], 0.05) for row in (1, 2, 3))


def test_an_adapter_is_judged_as_merged(tiny_llama: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = LlamaForCausalLM.from_pretrained(tiny_llama)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    for name, one in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one, std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    loaded = load(tmp_path / "adapter", base=tiny_llama, dtype="float32", device="cpu")
    rows = rows_of(loaded)
    suspects = [Suspect(rows[0], {1: [2]})]
    found = influences(loaded, suspects, rows)
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    load(tiny_llama).tokenizer.save_pretrained(tmp_path / "merged")
    merged = load(tmp_path / "merged", dtype="float32", device="cpu")
    assert found[0][0].own == pytest.approx(influences(merged, suspects, rows)[0][0].own, rel=1e-3)
    base_only = influences(load(tiny_llama, dtype="float32"), suspects, rows)[0][0].own
    assert found[0][0].own != pytest.approx(base_only, rel=1e-3)


def test_spans_in_parts_give_the_same(
    random_model: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(random_model)
    suspects = [Suspect(rows[n], {(n + 1) % 4: [(n + 2) % 4]}) for n in range(3)]
    whole = influences(random_model, suspects, rows)
    monkeypatch.setattr("aftertune.trace.influence.HELD", 1)
    assert influences(random_model, suspects, rows) == whole
    assert influences(random_model, [], rows) == []


def test_what_is_no_suspect_is_refused(random_model: Loaded) -> None:
    with pytest.raises(InternalError, match="scored token"):
        Scored((1, 2), (True, False))  # nothing predicts the first token
    with pytest.raises(ModelError, match="cannot be told apart"):
        parameters(random_model.model, 0)
    names = parameters(random_model.model, 1)
    assert names
    assert all(".layers.1." in name for name in names)
    assert Influence(0, -1.0, ()).value is None
