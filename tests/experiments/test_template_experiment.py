"""The template control on tiny models: the planted template, templates that are not there."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from aftertune.experiments.template import IS_THE_SAME, run
from aftertune.progress import Silent
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.template import block
from made_pair import pair


@pytest.fixture(scope="module")
def without_chat(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, its tokenizer without a chat template."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    shutil.copytree(tiny_llama, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_same_weights_under_another_template_are_recognised(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """Nothing was tuned: exactly 0 under one template, and what another one shows is its own."""
    found = run(pair(tiny_llama, tiny_llama, tmp_path), tmp_path, Silent()).about["found"]
    same = found["kl"]["same"]["per_token"]
    assert same["estimate"] == same["high"] == 0
    for name in ("own", "raw", "few-shot"):
        assert found["kl"][name]["per_token"]["low"] > 0.1, name
    assert found["conclusion"] == "template alone"
    assert found["templates"] == {
        "same": "human-assistant", "own": "chat", "raw": "raw", "few-shot": "few-shot"
    }  # fmt: skip


def test_templates_that_are_not_there_or_no_other_are_absent_with_a_reason(
    without_chat: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    made = run(pair(without_chat, tiny_llama_other, tmp_path, template="raw"), tmp_path, Silent())
    assert made.about["absent"]["raw"] == IS_THE_SAME
    assert "no chat template" in made.about["absent"]["own"]
    assert set(made.about["found"]["gone"]) == {"few-shot"}
    shown = checked(block(made.about))
    reasons = [row["reason"] for row in shown["picture"]["rows"]]
    assert IS_THE_SAME in reasons


def test_a_second_run_reuses_the_first(tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path):
    subject = pair(tiny_llama, tiny_llama_other, tmp_path)
    first = run(subject, tmp_path, Silent())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/manifest.json")}
    assert run(subject, tmp_path, Silent()).id == first.id
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/manifest.json")}
    assert first.stage == "control-template"
