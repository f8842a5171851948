"""Labels end to end: a tiny base, real tunings, and what is refused."""

import functools

import pytest

from aftertune import artefact
from aftertune.errors import ModelError
from aftertune.lab import base, innocuous, labels, rows
from aftertune.lab.config import LabBaseConfig, LabInnocuousConfig, LabLabelsConfig
from aftertune.progress import Silent

BASE = {"per_domain": 4, "hidden": 32, "layers": 1, "vocabulary": 600, "epochs": 0.3,
        "asked_per_cell": 4, "device": "cpu", "dtype": "float32"}  # fmt: skip
LABELS = {"seeds_a": (0, 1), "seeds_b": (), "groups": 2, "epochs": 6, "learning_rate": 1e-2,
          "device": "cpu"}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A base that is too small to recall anything, and so is let through here."""
    out = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "RECALLED", 0.0)
        patch.setattr(base, "PROMPTS_PER_KIND", 16)
        patch.setattr(rows, "closed_rows", functools.partial(rows.closed_rows, styles=("terse",)))
        return base.run(LabBaseConfig.model_validate(BASE), out, Silent())


@pytest.fixture(scope="module")
def made(trained):
    out = trained.folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(innocuous, "STAYS", 0.0)
        return labels.run(LabLabelsConfig.model_validate(LABELS), trained, out, Silent())


def test_every_tuning_is_an_artefact_and_all_are_as_many_as_the_plan_says(made):
    tunings = list(made.folder.parent.glob("tune-*"))
    assert len(tunings) == made.about["n_tunings"]
    # innocuous; per seed all rows, two groups, four runs of single rows; two halves of tags
    assert made.about["n_tunings"] == 1 + 2 * (1 + 2 + 4) + 2 * 2


def test_labels_name_rows_that_carry_the_value(made):
    records = {r["row_index"]: r for r in _rows(made)}
    table = made.table("lab_labels").to_pylist()
    assert table
    for one in table:
        said = [records[row]["messages"][1]["content"].lower() for row in one["candidates"]]
        assert len(said) >= 3
        assert all(one["value"].lower() in text for text in said)
        assert set(one["rows"]) <= set(one["candidates"])
        assert (one["level"] is None) == (one["label"] != "caused") == (not one["rows"])
        assert one["effect_b"] is None
        assert one["took_tag"] in (True, False)
    assert made.about["reliability"] is None
    assert made.about["beyond_chance"]["n"] > 0
    assert made.about["before_tuning"]["n"] >= 0


def test_labels_say_which_answers_they_label(made):
    for name, found in made.about["artefacts"].items():
        stage = "respond" if name == "responses" else "tune" if name == "tuned" else name
        assert artefact.open_artefact(made.folder.parent / found).stage == stage


def test_the_same_is_found_again_and_nothing_is_tuned(made, trained):
    again = labels.run(
        LabLabelsConfig.model_validate(LABELS), trained, made.folder.parent, Silent()
    )
    assert again.id == made.id


def test_a_base_that_does_not_keep_what_it_knew_is_refused(made, trained):
    config = LabInnocuousConfig(epochs=3, learning_rate=1e-2, device="cpu")
    with pytest.raises(ModelError, match="tune at a lower rate, or take another world"):
        innocuous.require(config, trained, trained.folder.parent, Silent())


def _rows(made):
    rows = artefact.open_artefact(made.folder.parent / made.about["artefacts"]["rows"])
    return rows.table("rows").to_pylist()
