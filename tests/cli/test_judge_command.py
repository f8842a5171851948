"""`judge`: the question before a paid run, the plan, the key, what is printed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aftertune.cli import judging
from aftertune.cli import main as command_line
from judge_server import KEY, JudgeServer

Run = Callable[..., tuple[int, str, str]]

if "judge" not in {one.callback.__name__ for one in command_line.app.registered_commands}:
    judging.register(command_line.app)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line in this process: exit status, standard output, standard error."""
    monkeypatch.delenv("AFTERTUNE_JUDGE_KEY", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aftertune", "judge", *map(str, arguments)])
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
    """Options with a file of answers to five prompts."""
    file = tmp_path / "answers.json"
    records = [{"instruction": f"This is item {n}.", "output": f"It is {n}."} for n in range(5)]
    file.write_text(json.dumps(records))
    return ["--responses", f"it={file}", "--out", tmp_path / "out", "--aspects",
            "helpfulness,factuality", "--model", "judge-1"]  # fmt: skip


def test_a_paid_run_is_asked_for(run: Run, asked: list[object]) -> None:
    with JudgeServer() as server:
        there = ["--endpoint", server.address]
        status, out, err = run(*asked, *there, "--plan", "--price-in", 1, "--price-out", 2)
        assert status == 0, err
        assert f"5 answers go to {server.address}: 5 calls" in out
        assert "at most 0.0" in out
        status, out, err = run(*asked, *there, "--plan", "--json")
        assert json.loads(out)["calls"] == 5
        assert json.loads(out)["money"] is None
        status, out, err = run(*asked, *there)  # nobody is there to say yes
        assert status == 2
        assert "5 answers go to" in err
        assert "add --yes" in err
        assert not server.requests
        status, out, err = run(*asked, *there, "--yes", "--json")
        assert status == 0, err
        assert sum(server.requests.values()) == 5
        found = json.loads(out)
        assert found["counts"]["done"] == 10
        assert found["about"]["found"]["means"]["factuality"]["it"]["n"] == 5
        # what is finished costs nothing, so nothing is asked
        status, out, err = run(*asked, *there)
        assert status == 0, err
        assert sum(server.requests.values()) == 5
        assert "How far can the judge judge-1 be believed?" in out
        assert "0 of 10 verdicts (0%) have no score" in out
        status, out, err = run(*asked, *there, "--for-people", 2)  # ratings ask no judge again
        assert status == 0, err
        assert sum(server.requests.values()) == 5
        assert "for_people.jsonl" in err


@pytest.mark.parametrize("where", ["option", "environment"])
def test_the_key_is_sent_and_not_shown(
    run: Run, asked: list[object], monkeypatch: pytest.MonkeyPatch, where: str, tmp_path: Path
) -> None:
    with JudgeServer(trouble={3: ["422"]}) as server:
        there = ["--endpoint", server.address, "--yes"]
        if where == "environment":
            monkeypatch.setenv("AFTERTUNE_JUDGE_KEY", KEY)
        else:
            there += ["--judge-key", KEY]
        status, out, err = run(*asked, *there, "--json")
        assert status == 0, err
        assert {one["Authorization"] for one in server.headers} == {f"Bearer {KEY}"}
        assert KEY not in out + err
        assert "calls have no answer" in err
        status, out, err = run(*asked, *there, "--concurrency", "many")
        assert status == 2
        assert KEY not in out + err
    for path in (tmp_path / "out").rglob("*.json*"):
        assert KEY not in path.read_text()


def test_wrong_options_end_in_one_sentence(run: Run, asked: list[object], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"judge_key: {KEY}\n")
    cases = [
        ([], "name one judge"),
        (["--endpoint", "h"], "https://host/v1"),
        (["--endpoint", f"https://x:{KEY}@h/v1"], "AFTERTUNE_JUDGE_KEY"),
        (["--verdicts", tmp_path / "none"], "no file"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--yes"], "cannot be reached"),
        (["--local", tmp_path / "no" / "model"], "no such folder"),
        (["--endpoint", "http://h/v1", "--config", file], "unknown option `judge_key`"),
        (["--endpoint", "http://h/v1", "--compare", "pairs"], "nothing to judge"),
    ]
    for options, words in cases:
        status, out, err = run(*asked, *options)
        assert status == 2, err
        errors = [line for line in err.splitlines() if "error:" in line]
        assert len(errors) == 1, err
        assert words in errors[0]
        assert "Traceback" not in err
        assert KEY not in out + err
    status, _, err = run("--verdicts", file)
    assert status == 2
    assert "no answers are given" in err


def test_recorded_verdicts_and_two_models(run: Run, asked: list[object], tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    records = [{"instruction": f"This is item {n}.", "output": "No idea."} for n in range(5)]
    other.write_text(json.dumps(records))
    said = {"helpfulness": {"reason": "r", "score": "4"}, "factuality": {"reason": "r", "score": 5}}
    verdicts = [
        {"input": f"This is item {n}.", "output_cand": text, "eval_config": {"gpt": "g"},
         "parsed_result": said}
        for n in range(5)
        for text in (f"It is {n}.", "No idea.")
    ]  # fmt: skip
    (tmp_path / "just_eval.json").write_text(json.dumps(verdicts))
    options = ["--responses", f"other={other}", "--verdicts", tmp_path / "just_eval.json"]
    status, out, err = run(*asked, *options)
    assert status == 0, err
    assert "How good are the answers of it and other, to the judge g?" in out
    assert "it against other: undecided on helpfulness" in out
