"""A user's mistake ends in one sentence that says what to do, exit code 2, and no traceback."""

import errno
import json
import os
import shutil
import subprocess
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


def one_sentence(result: tuple[int, str, str], *words: str) -> None:
    status, _, err = result
    assert status == 2, err
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if "error:" in line]
    assert len(errors) == 1, err
    for word in words:
        assert word in err, err


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"instruction": "Who are you?"}) + "\n")
    return file


def test_wrong_path(run: Run, tmp_path: Path) -> None:
    one_sentence(run("rows", "--data", tmp_path / "absent.json", "--out", tmp_path), "absent.json")


def test_unknown_format(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"colour": "red", "size": 3}]))
    one_sentence(run("rows", "--data", file, "--out", tmp_path), "colour", "size")
    one_sentence(
        run("rows", "--data", file, "--out", tmp_path, "--format", "odd"), "format", "alpaca"
    )


def test_empty_file(run: Run, tmp_path: Path) -> None:
    for name in ("a.json", "a.jsonl", "a.csv"):
        (tmp_path / name).write_text("")
        one_sentence(run("rows", "--data", tmp_path / name, "--out", tmp_path), name, "empty")


def test_truncated_json(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('[{"instruction": "a", "output": "b"}, {"instruction": "c", "out')
    one_sentence(run("rows", "--data", file, "--out", tmp_path), "a.json")


def test_ten_megabytes_in_one_row_are_set_aside(run: Run, tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "x" * 10_000_000}, {"instruction": "b", "output": "c"}]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    status, out, _ = run("rows", "--data", file, "--out", tmp_path, "--json")
    assert status == 0
    counts = json.loads(out)["rows"]["counts"]
    assert counts["done"] == 1
    assert sum(counts["skipped"].values()) == 1
    one_sentence(run("rows", "--data", file, "--out", tmp_path / "o", "--strict"), "a.jsonl")


def test_a_csv_with_a_byte_order_mark_just_loads(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("﻿instruction,input,output\nSay hi,,hi\n", encoding="utf-8")
    status, out, _ = run("rows", "--data", file, "--out", tmp_path, "--json")
    assert status == 0
    assert json.loads(out)["rows"]["counts"]["done"] == 1


def test_tokenizers_that_disagree(
    run: Run, tmp_path: Path, tiny_llama: Path, prompts: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_llama, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = [piece for piece, number in vocabulary.items() if number in (50, 51)]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    result = run("audit", "--base", tiny_llama, "--tuned", f"odd={other}", "--prompts", prompts,
                 "--out", tmp_path / "out", "--max-new-tokens", "4")  # fmt: skip
    one_sentence(result, "50")


def test_models_that_are_none(run: Run, tmp_path: Path, tiny_llama: Path, prompts: Path) -> None:
    ask = ["--prompts", prompts, "--out", tmp_path / "out"]
    one_sentence(run("audit", "--base", tiny_llama, *ask), "--tuned")
    one_sentence(run("audit", "--base", tiny_llama, "--tuned", "x=./absent", *ask), "absent")
    one_sentence(run("audit", "--tuned", f"x={tiny_llama}", *ask), "--base")
    one_sentence(
        run("audit", "--base", "embedded:odd", "--tuned", f"x={tiny_llama}", *ask), "embedded:"
    )
    twice = ["--tuned", f"x={tiny_llama}", "--tuned", f"x={tiny_llama}"]
    one_sentence(run("audit", "--base", tiny_llama, *twice, *ask), "twice")


def test_out_is_a_file(run: Run, tmp_path: Path, prompts: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    one_sentence(run("rows", "--prompts", prompts, "--out", file), "is a file")


def test_unknown_options_end_with_2(run: Run) -> None:
    assert run("rows", "--colour", "red")[0] == 2
    assert run("paint")[0] == 2


def test_a_full_disk_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prompts: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "part"))

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    one_sentence(run("rows", "--prompts", prompts, "--out", tmp_path / "out"), "disk is full")
    monkeypatch.undo()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting needs root")
def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file system of 64 kB: one sentence, and the same command succeeds once there is space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        rows = [{"instruction": f"{n}", "output": os.urandom(400).hex()} for n in range(400)]
        file = tmp_path / "rows.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)))
        command = [sys.executable, "-m", "aftertune.cli.main", "rows", "--data", str(file), "--out",
                   str(disk)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "disk is full" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_json_goes_to_standard_output_and_progress_does_not(
    run: Run, tmp_path: Path, prompts: Path
) -> None:
    status, out, _ = run("rows", "--prompts", prompts, "--out", tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["prompts"]["counts"]["done"] == 1


def test_options_that_only_the_command_has_may_stand_in_the_file(
    run: Run, tmp_path: Path, tiny_llama: Path, tiny_llama_other: Path, prompts: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"base: {tiny_llama}\ntuned:\n  other: {tiny_llama_other}\nprompts: {prompts}\n"
        "max-new-tokens: 4\n"
    )
    for command in ("audit", "respond"):
        status, out, err = run(command, "--config", file, "--out", tmp_path / "out", "--json")
        assert status == 0, err
        assert json.loads(out)
    file.write_text(f"base: {tiny_llama}\ntuned: [1]\nprompts: {prompts}\n")
    one_sentence(run("audit", "--config", file, "--out", tmp_path / "out"), "tuned in")


def test_responses_are_for_models_that_exist(
    run: Run, tmp_path: Path, tiny_llama: Path, tiny_llama_other: Path
) -> None:
    given = tmp_path / "given.json"
    given.write_text(json.dumps([{"instruction": f"{n}?", "output": f"{n}."} for n in range(5)]))
    models = ["--base", tiny_llama, "--tuned", f"t={tiny_llama_other}", "--out", tmp_path / "out"]
    one_sentence(run("respond", *models, "--responses", f"zzz={given}"), "zzz", "t.")
    one_sentence(run("audit", *models, "--responses", f"zzz={given}"), "zzz")
    # with one tuned model the name may be left out, and the limit holds for given answers too
    status, out, err = run("audit", *models, "--responses", given, "--limit", 2, "--json")
    assert status == 0, err
    assert json.loads(out)["summary"]["t"]["n_responses"] == 2


def test_an_adapter_whose_base_is_gone_stands_on_the_given_one(
    run: Run, tmp_path: Path, tiny_llama: Path, tiny_qwen: Path, prompts: Path
) -> None:
    """And one whose base is there answers and is measured on that one, whatever --base says."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter_config.json"
    ask = ["--tuned", f"x={tmp_path / 'adapter'}", "--prompts", prompts, "--out", tmp_path / "out",
           "--max-new-tokens", 4, "--json"]  # fmt: skip
    for recorded, base, shared in ((tiny_llama, tiny_qwen, False), ("/nope", tiny_llama, True)):
        settings.write_text(
            json.dumps(
                {**json.loads(settings.read_text()), "base_model_name_or_path": str(recorded)}
            )
        )
        status, out, err = run("audit", "--base", base, *ask)
        assert status == 0, err
        folder = Path(json.loads(out)["artefacts"]["x"]["shift"])
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["about"]["shared_weights"] is shared
        from aftertune.artefact import open_artefact

        tokens = open_artefact(folder).to_pandas("tokens")
        assert tokens["is_tuned_argmax"].all()  # its own greedy answers, on the same weights
