"""Answers and shifts by two real processes: byte for byte those of one; killed; gone on with."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from aftertune.artefact import open_artefact
from launching import by_hand, ended_well, program, torchrun

SCORE = """
import os, signal, sys
from pathlib import Path
from aftertune import artefact
from aftertune.data.config import PromptsConfig
from aftertune.data.run import run_prompts
from aftertune.errors import UserError
from aftertune.progress import Silent
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run as respond
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run as shift

base, adapter, other, prompts, out = sys.argv[1:]
out, calls, write = Path(out), 0, artefact.Draft.write

def counted(draft, index, tables):
    global calls
    calls += os.environ.get("KILLED_IN") in tables
    if str(calls) == os.environ.get("KILLED_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
    write(draft, index, tables)

artefact.Draft.write = counted
try:
    asked = run_prompts(PromptsConfig(source=prompts), out, Silent())
    options = {"model": adapter, "max_new_tokens": 12, "batch_size": 4, "template": "raw"}
    answers = respond(RespondConfig(**options), asked, out, Silent())
    print("made", answers.folder)
    for tuned in (adapter, other):
        config = ShiftConfig(
            base=base, tuned=tuned, part_tokens=40, batch_tokens=128, one_at_a_time=tuned == other
        )
        print("made", shift(config, answers, out, Silent()).folder)
except UserError as error:
    print("error:", error)
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter on the base that moves it far."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    asked = [{"instruction": "What comes after " + "one and " * (n % 5) + f"{n}?"}
             for n in range(20)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, asked)))
    return path


def tables_of(out: Path) -> dict[str, bytes]:
    """Every part of every table of every finished artefact."""
    folders = [manifest.parent for manifest in out.glob("*/manifest.json")]
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*.parquet")
    }


@pytest.fixture(scope="module")
def alone(
    tiny_llama: Path, tiny_llama_other: Path, adapter: Path, prompts: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """What one process makes: answers of the adapter; its shift, with both models in memory; and
    another model's, one at a time."""
    folder = tmp_path_factory.mktemp("alone")
    models = [tiny_llama, adapter, tiny_llama_other]
    command = [program(folder, SCORE), *models, prompts, folder / "out"]
    ((status, said),) = by_hand(command, [{}])
    assert status == 0, said
    return folder / "out"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize(("table", "killed"), [("tokens", 1), ("responses", 0)])
def test_killed_and_gone_on_with_the_tables_are_those_of_one_process(
    alone: Path, tiny_llama: Path, tiny_llama_other: Path, adapter: Path, prompts: Path,
    tmp_path: Path, table: str, killed: int,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    models = [tiny_llama, adapter, tiny_llama_other]
    command = [program(tmp_path, SCORE), *models, prompts, out]
    environments: list[dict[str, str]] = [{}, {}]
    environments[killed] = {"KILLED_IN": table, "KILLED_AT": "2"}
    said = by_hand(command, environments)
    assert said[killed][0] == -signal.SIGKILL
    assert said[1 - killed][0] == 2, said
    assert "another process of this run has stopped" in said[1 - killed][1]
    kept = {path: path.stat().st_mtime_ns for path in out.glob(f"*/{table}/*.parquet")}
    assert any(f"part-{killed:05d}" in path.name for path in kept)
    assert not any(f"part-{2 + killed:05d}" in path.name for path in kept)

    again = by_hand(command, [{}, {}])
    assert [status for status, _ in again] == [0, 0], again
    assert again[0][1] == again[1][1]  # both have the same artefacts
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())
    two = tables_of(out)
    assert two == tables_of(alone)
    assert sum("/tokens/" in name for name in two) >= 8
    assert sum("/responses/" in name for name in two) == 5
    for manifest in out.glob("*/manifest.json"):
        made = open_artefact(manifest.parent)
        one = open_artefact(alone / manifest.parent.name)
        assert made.counts == one.counts
        assert made.about.get("summary") == one.about.get("summary")
        if made.stage in ("respond", "shift"):
            assert made.manifest["environment"]["processes"] == 2


def test_an_audit_by_torchrun_is_the_audit_of_one_process(
    tiny_llama: Path, tiny_llama_other: Path, prompts: Path, tmp_path: Path
) -> None:
    def audit(out: Path, *asserted: str) -> list[object]:
        return ["-m", "aftertune", *asserted, "audit", "--base", tiny_llama,
                "--tuned", f"other={tiny_llama_other}", "--prompts", prompts, "--out", out,
                "--max-new-tokens", "8", "--batch-size", "4"]  # fmt: skip

    ((status, said),) = by_hand(audit(tmp_path / "one"), [{}])
    assert status == 0, said
    done = torchrun(audit(tmp_path / "two", "--processes", "2"))
    ended_well(done)
    assert tables_of(tmp_path / "two") == tables_of(tmp_path / "one") != {}
    assert done.stdout.count("report.html") == 1  # process 0 alone shows the result
    assert done.stderr.count("other answers: 12 to do") == 1, done.stderr
    (page,) = (tmp_path / "two").glob("report-*/report.html")
    assert page.read_text().startswith("<!")
    refused = torchrun(audit(tmp_path / "three", "--processes", "3"))
    assert refused.returncode != 0
    assert "3 processes were asked for and 2 started" in " ".join(refused.stderr.split())
    assert not (tmp_path / "three").exists()
