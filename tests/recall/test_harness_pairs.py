"""Sample files of two finished runs of lm-eval, paired; through Python and the command."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aftertune.cli.main import app
from aftertune.errors import ConfigError, InputError
from aftertune.progress import Silent
from aftertune.recall import harness_pairs, harness_run
from aftertune.recall.harness_config import HarnessConfig, HarnessPairsConfig
from aftertune.report.blocks.harness import block
from aftertune.report.blocks.shape import checked

NAME = "samples_colours_2025-01-31T10-20-30.123456.jsonl"


def sample(number: int, right: bool, prompt: str = "Q?") -> dict[str, Any]:
    values = (-1.0, -2.0) if right else (-2.0, -1.0)
    return {
        "doc_id": number, "doc": {"question": f"Question {number}?"}, "target": "0",
        "arguments": {f"gen_args_{i}": {"arg_0": prompt, "arg_1": f" {text}"}
                      for i, text in enumerate(("blue", "red"))},
        "filtered_resps": [[str(one), "False"] for one in values], "filter": "none",
        "metrics": ["acc"], "doc_hash": f"hash {number}", "acc": float(right),
    }  # fmt: skip


def write(path: Path, answers: list[bool], prompt: str = "Q?") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(sample(n, right, prompt)) for n, right in enumerate(answers)]
    path.write_text("\n".join(lines) + "\n")
    return path


def paired(base: Path, tuned: dict[str, Path], out: Path, **options: Any) -> Any:
    return harness_pairs.run(HarnessPairsConfig(**options), base, tuned, out, Silent())


def test_lost_gained_and_kept_by_hand(tmp_path: Path) -> None:
    base = write(tmp_path / "base" / NAME, [True] * 6 + [False] * 2)
    tuned = write(tmp_path / "tuned" / NAME, [False] * 3 + [True] * 3 + [True, False])
    made = paired(base, {"lora": tuned}, tmp_path / "out")
    found = made.about["found"]["models"]["lora"]
    assert found["compared"]["counts"] == {
        "lost": 3, "gained": 1, "kept right": 3, "kept wrong": 1
    }  # fmt: skip
    assert found["compared"]["p"] == pytest.approx(2 * (1 + 4) / 2**4)
    assert [one["item"] for one in found["examples"]["lost"]] == [f"colours/{n}" for n in range(3)]
    first = found["examples"]["lost"][0]
    assert (first["expected"], first["base"], first["tuned"]) == ("blue", "blue", "red")
    table = made.table("harness_items").to_pylist()
    assert len(table) == 8
    assert table[0]["base_logprobs"] == [-1.0, -2.0]
    shown = checked(block(made.about))
    assert "3 lost, 1 gained" in shown["sentences"][0]
    assert "undecided" in shown["sentences"][0]
    assert shown["cautions"] == []


def test_a_model_against_itself_changes_nothing(tmp_path: Path) -> None:
    base = write(tmp_path / "base.jsonl", [True, False] * 200)
    made = paired(base, {"same": base}, tmp_path / "out")
    one = made.about["found"]["models"]["same"]["compared"]
    assert (one["counts"]["lost"], one["counts"]["gained"]) == (0, 0)
    assert one["verdict"] == "nothing lost"
    again = paired(base, {"same": base}, tmp_path / "out")
    assert again.id == made.id
    assert paired(base, {"same": base}, tmp_path / "out", margin=0.1).id != made.id


def test_a_folder_of_runs_gives_the_newest_of_each_task(tmp_path: Path) -> None:
    for name in (NAME, NAME.replace("colours", "shapes")):
        write(tmp_path / "runs" / "model" / name, [True] * 5)
        write(tmp_path / "runs" / "model" / name.replace("2025", "2024"), [False] * 5)
    files = harness_pairs.sample_files(tmp_path / "runs")
    assert [harness_pairs.task_of(one.name) for one in files] == ["colours", "shapes"]
    items = harness_pairs.read(files, None, None)
    assert len(items) == 10
    assert all(one.right for one in items)
    write(tmp_path / "runs" / "another" / NAME, [True] * 5)
    with pytest.raises(InputError, match="several folders"):
        harness_pairs.sample_files(tmp_path / "runs")


def test_prompts_that_differ_are_said(tmp_path: Path) -> None:
    base = write(tmp_path / "base.jsonl", [True])
    tuned = write(tmp_path / "tuned.jsonl", [True], "<s>Q?")
    progress = Silent()
    made = harness_pairs.run(
        HarnessPairsConfig(), base, {"chat": tuned}, tmp_path / "out", progress
    )
    assert "different prompts" in progress.warnings[0]
    assert "different prompts" in block(made.about)["cautions"][0]


def test_what_cannot_be_paired_is_refused(tmp_path: Path) -> None:
    base = write(tmp_path / "one" / NAME, [True])
    other = write(tmp_path / "two" / NAME.replace("colours", "shapes"), [True])
    with pytest.raises(InputError, match="share no item"):
        paired(base, {"t": other}, tmp_path / "out")
    with pytest.raises(InputError, match="there is no file"):
        paired(base, {"t": tmp_path / "none.jsonl"}, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="--log_samples"):
        paired(base, {"t": tmp_path / "empty"}, tmp_path / "out")
    (tmp_path / "bad.jsonl").write_text('{"doc_id": 1\n')
    with pytest.raises(InputError, match=r"line 1 of .* is not JSON"):
        paired(base, {"t": tmp_path / "bad.jsonl"}, tmp_path / "out")
    with pytest.raises(InputError, match="has no metric f1"):
        paired(base, {"t": base}, tmp_path / "out", metric="f1")


def test_the_command_pairs_files(tmp_path: Path) -> None:
    base = write(tmp_path / "base" / NAME, [True, True, False])
    tuned = write(tmp_path / "tuned" / NAME, [True, False, False])
    command = ["harness", "--samples", str(base), "--tuned-samples", f"lora={tuned.parent}",
               "--out", str(tmp_path / "out")]  # fmt: skip
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0
    assert "1 lost, 0 gained" in shown.stdout
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert told["about"]["names"] == ["lora"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give --base MODEL and --tuned"),
        (["--samples", "x.jsonl"], "--tuned-samples"),
        (["--tuned-samples", "a=x.jsonl"], "--samples of the base"),
        (["--samples", "x", "--tuned-samples", "a=y", "--tuned", "b=z"], "no --tuned"),
    ],
)
def test_the_command_says_what_is_missing(options: list[str], said: str) -> None:
    failed = CliRunner().invoke(app, ["harness", *options])
    assert isinstance(failed.exception, ConfigError)
    assert said in str(failed.exception)


def test_without_lm_eval_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_run.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "aftertune\[lm-eval\]"'):
        harness_run.run(HarnessConfig(model="x", tasks="arc_easy"), tmp_path, Silent())


def test_tasks_are_split_at_commas() -> None:
    assert HarnessConfig(model="x", tasks="arc_easy, mmlu").tasks == ("arc_easy", "mmlu")
    with pytest.raises(ValueError, match="tasks"):
        HarnessConfig(model="x", tasks=" , ")


def test_the_block_holds_no_text_of_an_item_and_numbers_by_task(tmp_path: Path) -> None:
    for side, answers in (("base", [True] * 8), ("tuned", [False] * 6 + [True] * 2)):
        write(tmp_path / side / NAME, answers)
        write(tmp_path / side / NAME.replace("colours", "shapes"), [True] * 8)
    made = paired(tmp_path / "base", {"lora": tmp_path / "tuned"}, tmp_path / "out")
    shown = checked(block(made.about))
    assert "Question" not in json.dumps(shown)
    rows = {row[0]: row[1:] for row in shown["table"]["rows"]}
    assert list(rows) == ["lora: colours", "lora: shapes", "lora"] or list(rows) == [
        "lora: colours", "lora: shapes", "lora: all"
    ]  # fmt: skip
    assert (rows["lora: colours"][0], rows["lora: colours"][3]) == ("8", "6")
    assert shown["picture"]["rows"][0]["estimate"] == -37.5  # points: 6 of 16


@pytest.mark.parametrize("change", [{"filtered_resps": 5}, {"arguments": "x"}, {"doc": None}])
def test_odd_fields_of_an_item_break_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "base.jsonl"
    path.write_text("\n".join(json.dumps(sample(n, True) | change) for n in range(6)))
    made = paired(path, {"same": path}, tmp_path / "out")
    assert made.about["found"]["models"]["same"]["compared"]["counts"]["kept right"] == 6


def test_bytes_that_are_no_text_are_said(tmp_path: Path) -> None:
    path = tmp_path / "base.jsonl"
    path.write_bytes(b'{"doc_id": "\xe9"}\n')
    with pytest.raises(InputError, match=r"line 1 of .* is not JSON"):
        paired(path, {"same": path}, tmp_path / "out")
