"""Tuning by two real processes: the weights of one, whatever the steps; one killed; resumed."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aftertune.artefact import SCRATCH, Artefact, open_artefact
from launching import by_hand, program

WEIGHTS = 1e-5  # between one process and two, in float32; 1e-7 is seen

TUNE = """
import os, signal, sys
from pathlib import Path
from aftertune import parallel
from aftertune.config import build
from aftertune.data.config import RowsConfig
from aftertune.data.run import run_rows
from aftertune.errors import UserError
from aftertune.progress import Silent
from aftertune.tune import trainer
from aftertune.tune.config import TuneConfig
from aftertune.tune.run import run

CASES = {
    "full": {"method": "full"},
    # noise follows from a micro-batch's place, so it is the same whoever computes it
    "lora": {"method": "lora", "lora_dropout": 0.1, "neftune_alpha": 5.0},
    # one micro-batch to a step: the second process has nothing to do
    "idle": {"method": "full", "micro_batch_tokens": 4096, "max_steps": 4},
}
base, rows, out, *cases = sys.argv[1:]
calls = 0
backward = trainer.backward

def counted(*arguments):
    global calls
    calls += 1
    if str(calls) == os.environ.get("KILLED_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
    return backward(*arguments)

trainer.backward = counted
try:
    for case in cases:
        calls, progress = 0, Silent()
        given = {"base": base, "dtype": "float32", "epochs": 2, "batch_size": 6, "seed": 3,
                 "micro_batch_tokens": 64, "learning_rate": 1e-3, **CASES[case],
                 "checkpoint_seconds": float(os.environ.get("CHECKPOINTS", "1000"))}
        loaded = run_rows(RowsConfig(source=rows), Path(out), progress)
        made = run(build(TuneConfig, given), loaded, Path(out), progress)
        warned = any("have nothing to do" in warning for warning in progress.warnings)
        print("made", case, made.folder, calls, warned)
except UserError as error:
    print("error:", error)
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 rows of many lengths."""
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    pairs = [{"instruction": f"Say {n}.", "output": "a city is old " * (1 + n % 7)}
             for n in range(20)]  # fmt: skip
    path.write_text(json.dumps(pairs))
    return path


def made_in(said: str) -> dict[str, tuple[Path, int, bool]]:
    """Folder, micro-batches computed, and whether idleness was warned of, by case."""
    lines = [line.split()[1:] for line in said.splitlines() if line.startswith("made ")]
    return {case: (Path(folder), int(n), warned == "True") for case, folder, n, warned in lines}


def weights(artefact: Artefact) -> dict[str, torch.Tensor]:
    (path,) = (artefact.folder / "model").glob("*.safetensors")
    return load_file(path)


def largest_difference(one: Artefact, other: Artefact) -> float:
    mine, others = weights(one), weights(other)
    assert mine.keys() == others.keys()
    return max(float((mine[name] - others[name]).abs().max()) for name in mine)


def moved(artefact: Artefact, base: Path) -> float:
    """How far the weights of a full tuning lie from their base's."""
    before = load_file(base / "model.safetensors")
    return max(float((tensor - before[name]).abs().max()) for name, tensor in
               weights(artefact).items())  # fmt: skip


@pytest.fixture(scope="module")
def both(
    tiny_llama: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[list[dict[str, tuple[Path, int, bool]]]]:
    """The cases tuned by one process and by two: what each process said."""
    folder = tmp_path_factory.mktemp("both")
    path = program(folder, TUNE)
    found = []
    for count in (1, 2):
        out = folder / f"out-{count}"
        said = by_hand([path, tiny_llama, rows, out, "full", "lora", "idle"], [{}] * count)
        assert [status for status, _ in said] == [0] * count, said
        found.append([made_in(text) for _, text in said])
    return found


@pytest.mark.parametrize("case", ["full", "lora", "idle"])
def test_two_processes_end_with_the_weights_of_one(
    both: list[list[dict[str, tuple[Path, int, bool]]]], tiny_llama: Path, case: str
) -> None:
    (alone,), (first, second) = both
    one, two = open_artefact(alone[case][0]), open_artefact(first[case][0])
    assert second[case][0] == first[case][0]
    assert one.id == two.id
    assert [one.manifest["environment"]["processes"], two.manifest["environment"]["processes"]] == [
        1,
        2,
    ]
    difference = largest_difference(one, two)
    print(f"{case}: max |dw| {difference:.1e}")
    assert difference < WEIGHTS
    if case != "lora":
        assert moved(one, tiny_llama) > 100 * WEIGHTS  # else the comparison says nothing
    for table in ("split", "batch_plan"):
        assert one.table(table).equals(two.table(table))
    losses = [made.table("loss").to_pandas() for made in (one, two)]
    for column in losses[0]:
        assert losses[0][column].to_numpy() == pytest.approx(losses[1][column].to_numpy(), rel=1e-5)
    assert one.counts == two.counts


def test_micro_batches_are_split_and_none_is_computed_twice(
    both: list[list[dict[str, tuple[Path, int, bool]]]],
) -> None:
    (alone,), (first, second) = both
    for case in ("full", "lora"):
        assert first[case][1] + second[case][1] == alone[case][1]
        assert second[case][1] >= first[case][1] // 3
        assert not first[case][2]
    assert (first["idle"][1], second["idle"][1]) == (alone["idle"][1], 0)
    assert first["idle"][2]
    assert not alone["idle"][2]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_process_ends_the_other_and_the_tuning_goes_on_later(
    both: list[list[dict[str, tuple[Path, int, bool]]]], tiny_llama: Path, rows: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    command = [program(tmp_path, TUNE), tiny_llama, rows, tmp_path / "out", "lora"]
    always = {"CHECKPOINTS": "0"}
    said = by_hand(command, [always, {**always, "KILLED_AT": "6"}])
    assert said[1][0] == -signal.SIGKILL
    assert said[0][0] == 2, said
    assert "another process of this run has stopped" in said[0][1]
    assert list((tmp_path / "out").glob(f"tune-*/{SCRATCH}/checkpoint-*/complete.json"))
    again = by_hand(command, [{}, {}])
    assert [status for status, _ in again] == [0, 0], again
    resumed, computed, _ = made_in(again[0][1])["lora"]
    _, (first, second) = both
    assert computed < max(first["lora"][1], second["lora"][1]), "it began from nothing"
    undisturbed = open_artefact(first["lora"][0])
    assert largest_difference(open_artefact(resumed), undisturbed) == 0
    assert not list(resumed.glob(SCRATCH))
