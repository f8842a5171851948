"""Tuning again: the same settings give the same artefact, and what is gone is asked for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aftertune.data.templates import BUILTIN
from aftertune.experiments import retune
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.tune.run import run as tune
from made_subject import subject


@pytest.fixture(scope="module")
def odd(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A template from a file, row weights, a subset: what is easily lost on the way."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "own.jinja").write_text(BUILTIN["human-assistant"].replace("Human", "User"))
    (folder / "weights.json").write_text(json.dumps([{"row_index": 2, "weight": 0.5}]))
    return subject(
        tiny_llama, folder, method="lora", epochs=1, subset=9, hold_out=0.2, seed=3, dora=True,
        template=str(folder / "own.jinja"), weights=str(folder / "weights.json"),
    )  # fmt: skip


def test_the_same_settings_name_the_same_artefact(odd: Subject) -> None:
    assert odd.tune is not None
    assert retune.why_not(odd) is None
    rows = retune.rows_of(odd)
    assert rows is not None
    again = retune.settings(odd)
    assert again.template == str(odd.tune.folder / "template.jinja")
    assert tune(again, rows, odd.tune.folder.parent, Silent()).id == odd.tune.id
    other = retune.settings(odd, seed=4)
    assert {name for name, value in again if getattr(other, name) != value} == {"seed"}


def test_a_plan_that_is_taken_over_brings_its_rows(odd: Subject) -> None:
    assert odd.tune is not None
    taken = retune.settings(odd, take_plan=odd.tune.folder)
    rows = retune.rows_of(odd)
    assert rows is not None
    twin = tune(taken, rows, odd.tune.folder.parent, Silent())
    assert twin.table("batch_plan") == odd.tune.table("batch_plan")
    assert retune.trained(twin) == retune.trained(odd.tune)
    assert len(retune.trained(odd.tune)) == 9


def test_rows_are_found_where_the_tuning_had_them(odd: Subject) -> None:
    assert odd.rows is not None
    found = retune.rows_of(replace(odd, rows=None))
    assert found is not None
    assert found.id == odd.rows.id
    other = replace(odd, rows=odd.prompts)  # some other artefact
    assert retune.rows_of(other).id == odd.rows.id  # type: ignore[union-attr]


def test_weights_that_were_changed_are_asked_for(odd: Subject) -> None:
    assert odd.tune is not None
    path = Path(odd.tune.config["weights"])
    before = path.read_text()
    path.write_text("[]")
    try:
        assert "put the file back" in str(retune.why_not(odd))
    finally:
        path.write_text(before)
