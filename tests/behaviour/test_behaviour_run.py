"""The stage, the comparison, the page and the command on small made answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftertune.artefact import Artefact
from aftertune.behaviour import assess
from aftertune.behaviour import run as stage
from aftertune.behaviour.checks import CHECKS
from aftertune.behaviour.config import BehaviourConfig, CompareConfig
from aftertune.cli import behaviour as command
from aftertune.cli import main as command_line
from aftertune.errors import ConfigError, InputError
from aftertune.progress import Silent
from aftertune.report import behaviour_run as page_stage
from aftertune.report import control_charts
from aftertune.report.blocks.behaviour import block
from aftertune.report.blocks.shape import checked
from aftertune.report.config import ReportConfig
from made_answers import answers

Run = Callable[..., tuple[int, str, str]]
HOSTILE = "I cannot help with <script>alert(1)</script> \u202ethat."
N = 20

if "behaviour" not in {one.callback.__name__ for one in command_line.app.registered_commands}:
    command.register(command_line.app)


def given(folder: Path) -> dict[str, Artefact]:
    """A base that goes round, a tuned model that refuses; both know nothing of how they ended."""
    base = {n: "round and round it goes " * (8 if n < 10 else 1) for n in range(N)}
    tuned = {n: HOSTILE if n < 12 else f"Fine, that is item number {n}." for n in range(N)}
    return {
        "base": answers(folder, "base", base, kind="plain"),
        "tuned": answers(folder, "tuned", tuned, kind="plain"),
    }


def made(folder: Path, **options: Any) -> tuple[Artefact, Artefact, dict[str, Artefact]]:
    read = given(folder)
    config = BehaviourConfig(**options)
    found = stage.run(config, read, None, folder / "out", Silent())
    return found, assess.run(CompareConfig(), found, folder / "out", Silent()), read


def test_every_check_has_one_line_for_each_answer(tmp_path: Path) -> None:
    found, _, read = made(tmp_path)
    table = found.to_pandas()
    assert len(table) == 2 * N * len(CHECKS)
    assert set(table["check"]) == set(CHECKS)
    unknown = table[table["value"].isna()]
    assert unknown["reason"].notna().all()
    limit = table[table["check"] == "hit_limit"]
    assert limit["value"].isna().all()  # a file without finish reasons
    shown = table[(table["check"] == "refusal") & (table["flagged"] == True)]  # noqa: E712
    assert len(shown) == 12
    first = shown.iloc[0]
    assert HOSTILE[int(first["evidence_start"]) : int(first["evidence_end"])] == "I cannot help"
    again = stage.run(BehaviourConfig(), read, None, tmp_path / "out", Silent())
    assert again.id == found.id


def test_base_and_tuned_are_compared(tmp_path: Path) -> None:
    _, control, _ = made(tmp_path)
    found = {one["check"]: one for one in control.about["found"]["checks"]}
    assert found["loop"]["conclusion"] == "less"
    assert found["loop"]["mcnemar"]["only_base"] == 10
    assert found["refusal"]["conclusion"] == "more"
    assert found["refusal"]["difference"]["estimate"] == pytest.approx(12 / N)
    assert "item" not in json.dumps(control.manifest["about"])  # no text of answers
    found_here = made(tmp_path)[0]
    with pytest.raises(ConfigError, match="no such answers"):
        assess.run(CompareConfig(base="x"), found_here, tmp_path / "out", Silent())


def test_lists_say_which_prompts_may_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("This is item 1.\nThis is  item 15.\n")
    _, control, _ = made(tmp_path, deserve=str(file), harmless="kind=plain")
    found = {one["check"]: one for one in control.about["found"]["checks"]}
    assert found["refusal_deserved"]["n"] == 2
    assert found["refusal_deserved"]["tuned"]["estimate"] == 0.5  # 1 is refused, 15 is not
    assert found["refusal_harmless"]["n"] == N
    before = made(tmp_path, deserve=str(file))[0].id
    file.write_text("This is item 2.\n")
    assert made(tmp_path, deserve=str(file))[0].id != before
    with pytest.raises(ConfigError, match="no such file"):
        made(tmp_path, deserve="nowhere.txt")
    file.write_text("\n")
    with pytest.raises(InputError, match="no prompt can be read"):
        made(tmp_path, deserve=str(file))


def test_own_checks_stand_beside_the_others(tmp_path: Path) -> None:
    _, control, _ = made(tmp_path, checks={"fine": r"\bFine\b"})
    found = {one["check"]: one for one in control.about["found"]["checks"]}
    assert found["fine"]["mcnemar"]["only_tuned"] == 8
    with pytest.raises(ConfigError, match="taken"):
        made(tmp_path, checks={"loop": "x"})


def test_one_tokenizer_counts_answers_and_rows(tmp_path: Path, tiny_llama: Path) -> None:
    _, control, _ = made(tmp_path, tokenizer=str(tiny_llama))
    found = {one["check"]: one for one in control.about["found"]["checks"]}
    longer = found["tokens"]
    assert longer["base"]["estimate"] > found["words"]["base"]["estimate"]
    assert longer["n"] == N
    without = {one["check"] for one in made(tmp_path)[1].about["found"]["checks"]}
    assert "tokens" not in without


def test_the_block_says_what_changed_first(tmp_path: Path) -> None:
    _, control, _ = made(tmp_path)
    one = checked(block(control.about))
    said = one["sentences"][0]
    assert said.startswith("tuned beside base, paired over 20 prompts. More: ")
    assert "refuses (0% → 60.0%, +60.0% [" in said
    assert "less: " in said
    assert "repetition loop (50.0% → 0%" in said
    assert any("Not looked at: hit the length limit" in words for words in one["cautions"])
    rows = {row[0]: row for row in one["table"]["rows"]}
    assert rows["repetition loop"][1] == "▼ less, better"
    assert "template tokens leaked" not in rows
    assert any("In no answer of any model: " in words for words in one["sentences"])
    label = one["picture"]["x_label"] if one["picture"] else ""
    assert not label or "percentage points" in label
    assert one["picture"] is None  # of 20 prompts intervals are too wide to be drawn
    shown = {**one, "style": None, "key": "behaviour/tuned"}
    assert control_charts.picture(shown) is None


def test_one_model_alone_is_not_compared(tmp_path: Path) -> None:
    read = {"base": given(tmp_path)["base"]}
    found = stage.run(BehaviourConfig(), read, None, tmp_path / "out", Silent())
    control = assess.run(CompareConfig(), found, tmp_path / "out", Silent())
    one = checked(block(control.about))
    assert one["table"] is None
    assert "nothing to compare" in one["sentences"][0]


def test_the_page_marks_evidence_and_escapes_text(tmp_path: Path) -> None:
    _, control, read = made(tmp_path)
    page = page_stage.run(ReportConfig(), control, read, tmp_path / "out", Silent())
    html = (page.folder / "report.html").read_text("utf-8")
    assert "<mark>I cannot help</mark>" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "\u202e" not in html
    bare = page_stage.run(ReportConfig(redact=True), control, read, tmp_path / "out", Silent())
    assert "cannot help" not in (bare.folder / "report.html").read_text("utf-8")
    for one in (page, bare):
        assert "cannot help" not in (one.folder / "summary.json").read_text("utf-8")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line in this process: exit status, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aftertune", "behaviour", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "400")
        status = 0
        try:
            command_line.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_the_command(run: Run, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    words = " ".join(f"word{n}" for n in range(30))
    rows.write_text(json.dumps([{"instruction": "Say words.", "output": words}]))
    asked = [f"Tell me about item {n}, please." for n in range(8)]
    for name, said in (("base", "No."), ("tuned", f"Well: {words}")):
        records = [{"instruction": one, "output": said, "finish_reason": "length"} for one in asked]
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
    there = ["--responses", tmp_path / "base.json", "--responses", f"t={tmp_path / 'tuned.json'}",
             "--out", tmp_path / "out"]  # fmt: skip
    status, out, err = run(*there, "--data", rows, "--check", "well=^Well")
    assert status == 0, err
    assert "t beside base" in out
    assert "a long run word for word from a row (0% → 100%" in out
    assert "the rows 30.0" in out
    status, out, err = run(*there, "--data", rows, "--base", "t", "--json")
    assert status == 0, err
    found = {one["check"]: one for one in json.loads(out)["about"]["found"]["checks"]}
    assert found["verbatim"]["conclusion"] == "less"
    assert found["hit_limit"]["base"]["estimate"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no answers are given"),
        (["--check", "x"], "NAME=REGEX"),
        (["--check", "x=("], "no regular expression"),
        (["--base", "y"], "there are no such answers"),
        (["--verbatim-words", "1"], "5"),
    ],
)
def test_wrong_input_ends_in_one_sentence(
    run: Run, tmp_path: Path, options: list[str], said: str
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"instruction": "Go on.", "output": "No."}]))
    there = ["--responses", file, "--out", tmp_path / "out"] if options else []
    status, _, err = run(*there, *options)
    assert status == 2
    assert said in err
