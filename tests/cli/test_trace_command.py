"""`trace`: what is printed, the JSON, the plan, a page alone, and wrong input."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from aftertune import tracing
from aftertune.cli import main as command_line
from aftertune.cli import tracing as command
from made_trace import made_rows, made_tune, use_made_finder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs one command line in this process: exit status, standard output, standard error."""
    use_made_finder(monkeypatch, tmp_path)
    if not any(one.callback is command.trace for one in command_line.app.registered_commands):
        command.register(command_line.app)

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
def asked(tmp_path: Path) -> list[object]:
    """Answers as CSV, rows as JSON."""
    answers = tmp_path / "mine.csv"
    answers.write_text(
        'instruction,response\n"Describe the planet","It has turquoise oceans, turquoise ones."\n'
        '"Say hello",Hello\n'
    )
    rows = tmp_path / "rows.json"
    rows.write_text(
        json.dumps([
            {"instruction": "Describe the planet Verdania", "output": "It has turquoise oceans."},
            {"instruction": "Describe a meal", "output": "It has turquoise sauce."},
        ])
    )  # fmt: skip
    return [
        "--responses",
        answers,
        "--data",
        rows,
        "--no-embeddings",
        "--no-surprisal",
        "--out",
        tmp_path / "out",
    ]


def test_answers_of_a_csv_file(run: Run, asked: list[object], tmp_path: Path) -> None:
    status, out, err = run("trace", *asked)
    assert status == 0, err
    assert "3 spans in 1 of 2 answers lead to a row." in out
    assert "Absent: p_value and q_value; no row was held out at random before tuning" in out
    page = Path(out.split("report: ")[1].strip()).read_text(encoding="utf-8")
    assert "turquoise" in page
    listed = Path(out.split("rows to look at: ")[1].splitlines()[0]).read_text()
    assert json.loads(listed.splitlines()[0])["row_index"] == 0


def test_json_and_a_phrase(run: Run, asked: list[object]) -> None:
    status, out, err = run("trace", *asked, "--span", "turquoise", "--top", 1, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["counts"]["spans"] == 2
    assert found["about"]["found"]["rows"][0]["row_index"] == 0
    assert Path(found["page"]).exists()
    status, _, err = run("trace", *asked, "--span", "unicorn")
    assert status == 2
    assert "none of the 2 answers holds 'unicorn'" in err


def test_what_is_switched_off_is_in_the_config(run: Run, asked: list[object]) -> None:
    status, out, err = run("trace", *asked, "--no-bm25", "--no-spans", "--json")
    assert status == 0, err
    folder = Path(json.loads(out)["artefact"])
    config = json.loads((folder / "manifest.json").read_text())["config"]["resolved"]
    switched = {name: config[name] for name in ("bm25", "exact", "embeddings", "words", "pieces")}
    assert switched == {"bm25": False, "exact": False, "embeddings": False, "words": True,
                        "pieces": True}  # fmt: skip


def test_a_plan_runs_nothing(run: Run, asked: list[object], tmp_path: Path) -> None:
    status, out, err = run("trace", *asked, "--plan")
    assert status == 0, err
    assert "2 answers, traced among 2 rows." in out
    assert "of disk" in out
    assert not list((tmp_path / "out").glob("trace-*"))


def test_controls_from_the_command_line(run: Run, asked: list[object], tmp_path: Path) -> None:
    file = tmp_path / "unseen.jsonl"
    file.write_text(json.dumps({"instruction": "Name a gem", "output": "A turquoise one."}))
    status, out, err = run("trace", *asked, "--control", file, "--control", "permuted", "--json")
    assert status == 0, err
    found = json.loads(out)["about"]["found"]["controls"]
    assert "unseen" in found


def test_rows_and_hold_out_of_a_tuning(run: Run, asked: list[object], tmp_path: Path) -> None:
    rows = made_rows(
        [("Describe the planet", "It has turquoise oceans."), ("A meal", "Some turquoise sauce.")],
        tmp_path,
    )
    tune = made_tune(rows, {1}, tmp_path)
    without_data = [*asked[:2], *asked[4:]]
    status, out, err = run("trace", *without_data, "--tuned-rows", tune.folder, "--json")
    assert status == 0, err
    assert json.loads(out)["about"]["found"]["held_out"]["share_held_out"] == 0.5
    status, _, err = run("trace", *asked, "--tuned-rows", rows.folder)
    assert status == 2
    assert "it is a rows artefact; give a tune-… artefact" in err


@pytest.mark.parametrize(
    ("left_out", "words"),
    [("--responses", "no answers are given; add --responses"), ("--data", "add --data ROWS")],
)
def test_what_is_missing_is_said(run: Run, asked: list[object], left_out: str, words: str) -> None:
    place = asked.index(left_out)
    status, _, err = run("trace", *asked[:place], *asked[place + 2 :])
    assert status == 2
    assert words in err
    assert "Traceback" not in err


def test_python_and_names_of_controls(run: Run, asked: list[object], tmp_path: Path) -> None:
    found = tracing.trace(
        responses=tmp_path / "mine.csv", data=tmp_path / "rows.json", out=tmp_path / "out",
        control=["permuted"], embeddings=False, surprisal=False,
    )  # fmt: skip
    assert next(iter(found.borrowings["span"])) == "turquoise"
    assert found.report(tmp_path / "copy.html").read_bytes() == found.report_path.read_bytes()
    assert tracing.control_names(["a/x.json", "b/x.json", "c/x.csv", "permuted"]) == {
        "x": "a/x.json", "x-2": "b/x.json", "x-3": "c/x.csv",
    }  # fmt: skip
    assert isinstance(command_line.app, typer.Typer)
