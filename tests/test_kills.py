"""Killed at random moments over all the stages: nothing is lost, nothing is done twice."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals and fork")]

KILLS = 20


class Zygote:
    """A process that has imported everything and forks a child per command."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("zygote.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, arguments: list[str], kill_after: float | None = None) -> tuple[int, float]:
        """Exit status of one command, negative when it was killed, and the processor time it took.

        `kill_after` is processor time too: a busy machine kills at the same places of the work.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([arguments, kill_after]) + "\n")
        self.process.stdin.flush()
        status, seconds = json.loads(self.process.stdout.readline())
        return status, seconds


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    assert zygote.process.stdin
    zygote.process.stdin.close()
    zygote.process.wait()


def commands(base: Path, folder: Path, out: Path) -> list[list[str]]:
    """Every stage of the spine, in the order in which they depend on each other."""
    tune = ["tune", "--base", str(base), "--data", str(folder / "rows.jsonl"), "--out", str(out),
            "--epochs", "2", "--batch-size", "4", "--learning-rate", "1e-3", "--max-length", "96",
            "--checkpoint-seconds", "0"]  # fmt: skip
    audit = ["audit", "--base", str(base), "--prompts", str(folder / "prompts.jsonl"),
             "--data", str(folder / "rows.jsonl"), "--out", str(out), "--max-new-tokens", "24",
             "--batch-size", "4"]  # fmt: skip
    return [[*tune, "--method", "full"], [*tune, "--method", "lora"], audit]


def with_models(command: list[str], out: Path) -> list[str]:
    """The audit's arguments with the two tuned models that stand under `out`."""
    if command[0] != "audit":
        return command
    found = {}
    for manifest in sorted(out.glob("tune-*/manifest.json")):
        config = json.loads(manifest.read_text())["config"]["resolved"]
        found[config["method"]] = manifest.parent
    tuned = [f"--tuned={name}={found[name]}" for name in ("full", "lora")]
    return [*command, *tuned]


def contents(out: Path) -> dict[str, Any]:
    """Every finished artefact: its tables' bytes and its manifest without what may differ."""
    result: dict[str, Any] = {}
    for manifest in sorted(out.glob("*/manifest.json")):
        value = json.loads(manifest.read_text())
        value.pop("seconds")
        value.pop("sha256")  # of the manifest itself, in which the two OUT folders stand
        for given in value["inputs"]:
            given["place"] = Path(given["place"]).name  # the two runs have two OUT folders
        text = json.dumps(value, sort_keys=True).replace(str(out), "OUT")
        parts = {
            str(path.relative_to(out)): path.read_bytes()
            for path in sorted(manifest.parent.rglob("*.parquet"))
        }
        result[value["id"]] = (text, parts)
    return result


def test_kills_at_random_moments_over_the_stages(
    zygote: Zygote, tiny_llama: Path, tmp_path: Path
) -> None:
    rows = [
        {"instruction": f"Say {n} in words, please.", "output": f"It is {n}. " * (1 + n % 5)}
        for n in range(24)
    ]
    prompts = [{"instruction": f"What comes after {n}?"} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, prompts)))
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"

    seconds = []
    for command in commands(tiny_llama, tmp_path, quiet):
        status, taken = zygote.run(with_models(command, quiet))
        assert status == 0
        seconds.append(taken)

    chance = random.Random(0)
    kills = 0
    for number, command in enumerate(commands(tiny_llama, tmp_path, killed)):
        for _ in range(KILLS // 3 + (number == 2) * (KILLS % 3)):
            arguments = with_models(command, killed)
            moment = chance.uniform(0.02, seconds[number] * 0.5)
            status, _ = zygote.run(arguments, kill_after=moment)
            kills += status == -signal.SIGPROF
            assert status in (0, -signal.SIGPROF)
        assert zygote.run(with_models(command, killed))[0] == 0

    assert kills >= KILLS // 2, "most commands ended before they could be killed"
    undisturbed, interrupted = contents(quiet), contents(killed)
    assert undisturbed.keys() == interrupted.keys()
    for artefact in undisturbed:
        assert undisturbed[artefact][1] == interrupted[artefact][1], artefact
        assert undisturbed[artefact][0] == interrupted[artefact][0], artefact
    for folder in killed.glob("respond-*"):
        answers = pq.read_table(folder / "responses")["response_id"].to_pylist()
        assert len(answers) == len(set(answers)) == len(prompts)
