"""All controls of audited models: which ones, what they cost, what is absent, and the page."""

from dataclasses import replace
from pathlib import Path

import pytest

from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError, ModelError
from aftertune.experiments import controls
from aftertune.experiments.controls_config import NAMES, ControlsConfig
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.report.blocks import BUILDERS
from aftertune.report.blocks.shape import checked
from made_pair import pair
from made_subject import subject


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(scope="module")
def tuned(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject(tiny_llama, tmp_path_factory.mktemp("controls"), learning_rate=1e-2)


def test_names_are_checked_and_ordered() -> None:
    def asked(which: object, **options: object) -> tuple[str, ...]:
        return build(ControlsConfig, {"which": which, **options}).asked()

    assert asked("words, template") == ("template", "words")
    assert asked("all") == tuple(name for name in NAMES if name != "unrounded")
    assert asked(["all"], unrounded_base="x") == NAMES
    assert set(BUILDERS) >= set(NAMES)
    with pytest.raises(ConfigError, match=r"no control 'paint'; these are: template, texts"):
        asked("paint")


def test_every_control_of_a_tuned_model_has_a_block(tuned: Subject) -> None:
    out, heard = tuned.shift.folder.parent, Heard()
    config = ControlsConfig(which=("all",), unrounded_base=tuned.base)
    made = controls.run(config, [tuned], out, heard)
    assert tuple(made) == NAMES
    for name, (one,) in made.items():
        assert one.stage == f"control-{name}"
        shown = checked(BUILDERS[name](one.about))
        assert shown["control"] == name
        assert shown["sentences"]
    assert "tunings 3," in heard.said[0]
    again = controls.run(config, [tuned], out, Silent())
    assert {n: one.id for n, (one,) in again.items()} == {n: one.id for n, (one,) in made.items()}


def test_two_models_have_one_table_of_texts_and_a_template_each(
    tiny_llama: Path, tiny_llama_other: Path, tiny_qwen: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one")
    two = pair(tiny_llama, tiny_qwen, tmp_path, "two")
    made = controls.run(ControlsConfig(which=("template", "texts")), [one, two], tmp_path, Silent())
    assert [len(made[name]) for name in ("template", "texts")] == [2, 1]
    assert made["texts"][0].about["names"] == ["one", "two"]


def test_what_fails_is_absent_with_its_reason_and_the_others_go_on(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("it does not fit; lower --batch-size.")

    it = pair(tiny_llama, tiny_llama, tmp_path)
    monkeypatch.setattr("aftertune.experiments.controls.handoff.run", fail)
    monkeypatch.setattr("aftertune.experiments.controls.texts.run", fail)
    said = Silent()
    made = controls.run(
        ControlsConfig(which=("template", "texts", "hand-off")), [it], tmp_path, said
    )
    assert len(said.warnings) == 2
    assert made["template"][0].about["found"]
    for name in ("texts", "hand-off"):
        (one,) = made[name]
        assert "does not fit" in one.about["absent"][name]
        assert "does not fit" in checked(BUILDERS[name](one.about))["sentences"][0]


def test_a_folder_that_cannot_be_used_ends_all(tiny_llama: Path, tmp_path: Path) -> None:
    it = pair(tiny_llama, tiny_llama, tmp_path)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ArtefactError, match="is a file"):
        controls.run(ControlsConfig(which=("template",)), [it], file, Silent())


def test_costs_of_a_model_that_was_not_tuned_here(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    it = pair(tiny_llama, tiny_llama_other, tmp_path)
    config = ControlsConfig(which=("template", "texts", "hand-off", "parts", "floors"))
    # template 3, texts 2 and 1 answering, hand-off 6 of both; nothing can be tuned again
    assert "tunings 0, times that prompts are answered 7, times that answers are scored 11;" in (
        controls.cost(config, [it])
    )
    two = [it, replace(it, name="two")]
    assert "answered 12," in controls.cost(ControlsConfig(which=("hand-off",)), two)
