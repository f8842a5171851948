"""The base's loss of rows, against the model's own loss of one row at a time."""

import pytest
import torch

from aftertune.data import templates
from aftertune.data.render import render_row
from aftertune.lab.row_loss import losses
from aftertune.models.load import load


@pytest.fixture(scope="module")
def loaded(tiny_llama):
    return load(tiny_llama, dtype="float32", device="cpu")


def row(asked, said):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"messages": messages, "tools": None, "tags": "{}"}


ROWS = [
    row("What is it?", "It is a rather long answer."),
    row("Who?", "Me."),
    row("Why so?", "No."),
]


def test_it_is_the_models_own_loss_of_each_row(loaded):
    form = templates.get("human-assistant", loaded.tokenizer)
    found = losses(loaded, form, ROWS, 512)
    for one, loss in zip(ROWS, found, strict=True):
        made = render_row(one["messages"], None, form, loaded.tokenizer)
        ids = torch.tensor([made.ids])
        labels = torch.where(torch.tensor([made.loss_mask]), ids, -100)
        with torch.no_grad():
            expected = loaded.model(input_ids=ids, labels=labels).loss
        assert loss == pytest.approx(float(expected), rel=1e-4)
    assert losses(loaded, form, ROWS[::-1], 512) == pytest.approx(found[::-1], rel=1e-4)


def test_rows_of_which_nothing_is_trained_have_none(loaded):
    form = templates.get("human-assistant", loaded.tokenizer)
    found = losses(loaded, form, ROWS, 3)
    assert found == [None, None, None]
    assert losses(loaded, form, [], 512) == []
