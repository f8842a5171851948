"""`controls`, and `audit --controls`: what is printed, the JSON, the page, wrong names."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aftertune.cli import main as command_line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line in this process: exit status, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aftertune", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "400")
        status = 0
        try:
            command_line.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def asked(tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path) -> list[object]:
    """Options of an audit of a few prompts that carry references, without rows."""
    prompts = tmp_path / "prompts.jsonl"
    questions = [{"instruction": f"Name planet {n}.", "reference": "Mars."} for n in range(4)]
    prompts.write_text("\n".join(map(json.dumps, questions)))
    return ["--base", tiny_llama, "--tuned", f"it={tiny_llama_other}", "--prompts", prompts,
            "--out", tmp_path / "out", "--max-new-tokens", 8, "--dtype", "float32",
            "--template", "human-assistant"]  # fmt: skip


def test_controls_print_their_sentences_and_stand_on_the_page(
    run: Run, asked: list[object]
) -> None:
    status, out, err = run("controls", *asked, "--which", "template,texts,parts")
    assert status == 0, err
    assert "Does the template make the shift of it?" in out
    assert "KL(it from the base) on its own answers" in out
    assert "was not tuned here" in out  # parts
    assert "at most: tunings 0" in err
    page = Path(out.split("report: ")[1].strip()).read_text(encoding="utf-8")
    assert "Does the template make the shift of it?" in page
    assert "was not tuned here" in page


def test_audit_takes_controls_too_and_json_holds_them(
    run: Run, asked: list[object], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "\n".join(json.dumps({"instruction": f"{n}", "output": f"Word {n}."}) for n in range(4))
    )
    status, out, err = run(
        "audit", *asked, "--controls", "template,words", "--control", rows, "--json"
    )
    assert status == 0, err
    found = json.loads(out)["controls"]
    assert set(found) == {"template", "words"}
    assert found["template"][0]["found"]["conclusion"]
    # the same controls are reused by the other command, and by a page made of the artefacts
    before = set((tmp_path / "out").glob("control-*"))
    status, out, err = run("controls", *asked, "--which", "template", "--json")
    assert status == 0, err
    assert set((tmp_path / "out").glob("control-*")) == before
    artefacts = json.loads(out)
    shift = artefacts["artefacts"]["it"]["shift"]
    control = artefacts["controls"]["template"][0]["artefact"]
    status, out, err = run("report", shift, control, "--out", tmp_path / "out")
    assert status == 0, err
    page = Path(out.split("report: ")[1].strip()).read_text(encoding="utf-8")
    assert "Does the template make the shift of it?" in page


def test_wrong_names_end_in_one_sentence(run: Run, asked: list[object], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("controls: [template, paint]\n")
    for command in (
        ("controls", *asked, "--which", "paint"),
        ("audit", *asked, "--controls", "template,paint"),
        ("controls", *asked, "--config", file),
    ):
        status, _, err = run(*command)
        assert status == 2, err
        errors = [line for line in err.splitlines() if "error:" in line]
        assert len(errors) == 1
        assert "no control 'paint'" in errors[0]
        assert "hand-off" in errors[0]
    status, _, err = run("controls", *asked, "--which", "words", "--control", tmp_path / "none")
    assert status == 2
    assert "none" in err
    assert "Traceback" not in err
