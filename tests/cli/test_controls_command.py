"""`controls`, and `audit --controls`: what is printed, the JSON, the page, wrong names."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aftertune.cli import main as command_line
from aftertune.inputs import read_rows
from aftertune.progress import Silent

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


def test_the_file_may_say_which_and_absences_are_printed(
    run: Run, asked: list[object], tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("which: template\n")
    status, out, err = run("controls", *asked, "--config", file, "--json")
    assert status == 0, err
    assert set(json.loads(out)["controls"]) == {"template"}
    with_raw = [*asked[:-1], "raw"]
    status, out, err = run("controls", *with_raw, "--config", file)
    assert status == 0, err
    assert "Absent: raw: it is the template that the tuned model was asked with." in out


@pytest.mark.parametrize("command", ["audit", "controls"])
def test_what_only_controls_need_is_checked_before_anything_runs(
    run: Run, asked: list[object], tmp_path: Path, command: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"instruction": "One", "output": "Two."}))
    rows = read_rows(str(file), tmp_path / "made", Silent()).folder
    for option, value, words in (
        ("--references", tmp_path / "none.jsonl", "there is no"),
        ("--references", rows, "is a rows artefact"),
        ("--unrounded-base", tmp_path / "no" / "such" / "base", "no such folder"),
    ):
        status, _, err = run(command, *asked, option, value)
        assert status == 2, err
        assert words in err
        assert "Traceback" not in err
        assert not (tmp_path / "out").exists()


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
    for file_says in ("which: [paint]", "which: []"):
        file.write_text(file_says)
        status, _, err = run("controls", *asked, "--config", file)
        assert status == 2, err
        assert "error: --which: " in err
    for command in (("controls", *asked, "--which", ""), ("audit", *asked, "--controls", "")):
        status, _, err = run(*command)
        assert status == 2, err
        assert "no control is named" in err
    status, _, err = run("controls", *asked, "--which", "words", "--control", tmp_path / "none")
    assert status == 2
    assert "none" in err
    assert "Traceback" not in err
