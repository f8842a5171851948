"""Several processes: what launchers say, who takes what, meeting, and one that stops."""

import json
import os
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune import parallel
from aftertune.artefact import open_artefact
from aftertune.parallel import Group, ProcessesError, devices_of, launched
from launching import by_hand, ended_well, program, torchrun


def test_what_launchers_say() -> None:
    assert launched({}) == Group(0, 1)
    assert launched({"RANK": "0", "WORLD_SIZE": "1"}) == Group(0, 1)
    assert launched({"RANK": "2", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}) == Group(2, 3)
    # accelerate with one process that was meant to be one
    assert launched({"ACCELERATE_MIXED_PRECISION": "no"}) == Group(0, 1)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        # as set by `accelerate launch --cpu --num_processes 2`, which starts one
        (
            {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True",
             "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
            "told to start several processes and started one",
        ),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, "by MPI"),
        ({"WORLD_SIZE": "2"}, "RANK is not set where WORLD_SIZE is 2"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is 2 where WORLD_SIZE is 2"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "not both numbers"),
    ],
)  # fmt: skip
def test_launchers_that_contradict_themselves(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ProcessesError, match=said) as caught:
        launched(environ)
    assert "torchrun" in str(caught.value)


def test_a_number_of_processes_is_asserted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    parallel.expect(1)
    with pytest.raises(ProcessesError, match="2 processes were asked for and 1 started"):
        parallel.expect(2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    parallel.expect(3)
    assert not parallel.is_first()
    with pytest.raises(ProcessesError, match="2 processes were asked for and 3 started"):
        parallel.expect(2)


@given(st.integers(1, 9), st.lists(st.integers(0, 10**6), unique=True))
def test_every_part_falls_to_exactly_one_process(size: int, parts: list[int]) -> None:
    taken = [part for rank in range(size) for part in Group(rank, size).mine(parts)]
    assert sorted(taken) == sorted(parts)


def test_who_takes_what_does_not_depend_on_what_is_left() -> None:
    assert Group(1, 2).mine([0, 1, 2, 3]) == [1, 3]
    assert Group(1, 2).mine([2, 3]) == [3]
    assert Group(1, 2).mine([]) == []


def test_devices_are_dealt_out_in_equal_shares() -> None:
    assert [devices_of("0123", rank, 2) for rank in range(2)] == [["0", "1"], ["2", "3"]]
    assert [devices_of("012", rank, 2) for rank in range(2)] == [["0"], ["1"]]
    assert [devices_of("5", rank, 2) for rank in range(2)] == [["5"], ["5"]]
    assert devices_of("", 0, 2) == []


def test_alone_nothing_is_waited_for() -> None:
    assert parallel.group() == Group(0, 1)
    assert parallel.gather("here", 3) == [3]
    assert parallel.share("here", {"a": None}) == {"a": None}
    with parallel.process_0_first("here"):
        pass


MEETING = """
import json, os, sys
import torch
from aftertune import parallel

here = parallel.group()
parallel._BUCKET = 3
tensors = [torch.tensor([1.0, 2.0]) * (here.rank + 1), torch.full((2, 2), float(here.rank)),
           torch.tensor([here.rank + 5]), torch.tensor(0.1 if here.rank else 0.2)]
transposed = torch.arange(6.0).reshape(2, 3).T  # not contiguous
tensors.append(transposed)
parallel.add(tensors)
order = []
with parallel.process_0_first("first"):
    mark = f"{sys.argv[1]}/mark"
    seen = os.path.exists(mark)
    open(mark, "a").close()
said = {
    "rank": here.rank, "size": here.size,
    "gathered": parallel.gather("values", ["é", here.rank] * (here.rank + 1)),
    "shared": parallel.share("one", f"from {here.rank}"),
    "sums": [tensor.tolist() for tensor in tensors],
    "seen": seen,
}
try:
    parallel.gather("here" if here.first else "there")
except parallel.ProcessesError as error:
    said["elsewhere"] = str(error)
with open(f"{sys.argv[1]}/{here.rank}.json", "w") as out:
    json.dump(said, out)
"""


def test_two_processes_meet(tmp_path: Path) -> None:
    ended_well(torchrun([program(tmp_path, MEETING), tmp_path]))
    said = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [(one["rank"], one["size"]) for one in said] == [(0, 2), (1, 2)]
    for one in said:
        assert one["gathered"] == [["é", 0], ["é", 1, "é", 1]]
        assert one["shared"] == "from 0"
        pair, square, whole, scalar, transposed = one["sums"]
        assert pair == [3.0, 6.0]  # 1 + 2, 2 + 4
        assert square == [[1.0, 1.0], [1.0, 1.0]]
        assert whole == [11]
        assert scalar == pytest.approx(0.3)
        assert transposed == [[0.0, 6.0], [2.0, 8.0], [4.0, 10.0]]
    assert said[0]["sums"] == said[1]["sums"]
    assert [one["seen"] for one in said] == [False, True]
    assert said[0]["elsewhere"].startswith("process 1 is at `there` while process 0 is at `here`")
    assert said[1]["elsewhere"].startswith("process 0 is at `here` while process 1 is at `there`")


TOY = """
import os, signal, sys, time
from pathlib import Path
from aftertune import artefact, parallel, schema
from aftertune.config import StageConfig
from aftertune.errors import UserError

class ToyConfig(StageConfig):
    seed: int = 0

def table(step):
    return schema.from_rows("loss", [{"step": step, "epoch": 0.5, "loss_nats": 1 / (step + 1),
        "grad_norm": None, "learning_rate": 1e-4, "n_trained_tokens": 3, "n_tokens": 9}])

def made(out, seed, environment):
    given = artefact.Input("source", "abc", "abc", "a.json")
    plan = artefact.Plan("toy", 1, {}, ToyConfig(seed=seed), (given,), environment)
    if found := artefact.find(out, plan):
        print("found", found.id)
        return found
    with artefact.draft(out, plan) as draft:
        for step in draft.mine(range(5)):
            if draft.has(step, ["loss"]):
                continue
            if str(step) == os.environ.get("KILLED_AT"):
                os.kill(os.getpid(), signal.SIGKILL)
            draft.write(step, {"loss": table(step)})
        print("wrote", sorted(draft._wrote))
        artefact.write_durably(draft.folder / "note.txt", lambda path: path.write_text("é"))
        if seed == 1 and (finished := draft.meet()):
            return finished
        return draft.finish({"done": 5}, {"by": parallel.group().rank})

try:
    threads = int(os.environ.get("THREADS", "1"))
    for seed in map(int, os.environ.get("SEEDS", "0").split()):
        result = made(Path(sys.argv[1]), seed, {"threads": threads})
        print("made", result.id, result.about["by"])
except UserError as error:
    print("error:", error)
    sys.exit(2)
"""


def test_two_processes_make_one_artefact(tmp_path: Path) -> None:
    out = tmp_path / "out"
    # seed 0 ends in finish, seed 1 in meet; then both are found
    seeds = {"SEEDS": "0 1 0 1"}
    said = by_hand([program(tmp_path, TOY), out], [seeds] * 2)
    assert [status for status, _ in said] == [0, 0], said
    assert by_hand([program(tmp_path, TOY), tmp_path / "alone"], [seeds])[0][0] == 0
    folders = list(out.glob("toy-*"))
    assert len(folders) == 2
    for rank, (_, text) in enumerate(said):
        own = [f"loss/part-{step:05d}.parquet" for step in range(rank, 5, 2)]
        assert text.count(f"wrote {own}") == 2
        for folder in folders:
            assert text.count(f"made {folder.name} 0") == 2
            assert text.count(f"found {folder.name}") == 1
    for folder in folders:
        made = open_artefact(folder)
        assert made.table("loss")["step"].to_pylist() == [0, 1, 2, 3, 4]
        assert list(made.manifest["files"]) == ["note.txt"]
        for part in folder.rglob("*.parquet"):
            other = tmp_path / "alone" / folder.name / "loss" / part.name
            assert part.read_bytes() == other.read_bytes()
    assert not list(out.rglob("*.tmp"))


def test_processes_that_differ_are_stopped(tmp_path: Path) -> None:
    threads = by_hand([program(tmp_path, TOY), tmp_path / "a"], [{}, {"THREADS": "2"}])
    for status, text in threads:
        assert status == 2
        assert "threads is 2 for process 1 and 1 for process 0" in text
    seeds = by_hand([program(tmp_path, TOY), tmp_path / "b"], [{}, {"SEEDS": "1"}])
    for status, text in seeds:
        assert status == 2
        assert "process 1 asks for toy-" in text
    assert not list(tmp_path.glob("*/toy-*"))


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_others_and_the_run_goes_on_later(
    tmp_path: Path, killed: int
) -> None:
    environments: list[dict[str, str]] = [{}, {}]
    environments[killed] = {"KILLED_AT": str(2 + killed)}
    said = by_hand([program(tmp_path, TOY), tmp_path / "out"], environments)
    assert said[killed][0] == -signal.SIGKILL
    status, text = said[1 - killed]
    assert status == 2
    assert "another process of this run has stopped" in text
    (folder,) = (tmp_path / "out").glob("toy-*")
    kept = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert f"part-{killed:05d}.parquet" in kept
    assert f"part-{2 + killed:05d}.parquet" not in kept
    again = by_hand([program(tmp_path, TOY), tmp_path / "out"], [{}, {}])
    assert [status for status, _ in again] == [0, 0], again
    assert pq.read_table(folder / "loss")["step"].to_pylist() == [0, 1, 2, 3, 4]
    for name, changed in kept.items():
        assert (folder / "loss" / name).stat().st_mtime_ns == changed


def test_a_folder_that_is_not_shared_is_noticed(tmp_path: Path) -> None:
    text = TOY.replace("Path(sys.argv[1])", 'Path(sys.argv[1]) / os.environ["RANK"]')
    said = by_hand([program(tmp_path, text), tmp_path], [{}, {}])
    assert said[1][0] == 2
    assert "give --out a folder that all machines share" in said[1][1]
    assert said[0][0] == 2


HANGING = """
import os, sys
from datetime import timedelta
from aftertune import parallel

here = parallel.group()
parallel.gather("here")  # with the usual patience: one of them may start seconds later
parallel._control.cache_clear()
parallel.PATIENCE = timedelta(seconds=4)
parallel._control()
if here.first:
    try:
        parallel.gather("there")
    except parallel.ProcessesError as error:
        print("error:", error)
    open(sys.argv[1], "w").close()  # lets the other go on
else:
    open(sys.argv[1]).close()  # hangs until then
"""


@pytest.mark.skipif(os.name != "posix", reason="a named pipe")
def test_nobody_waits_for_ever_for_one_that_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    said = by_hand([program(tmp_path, HANGING), tmp_path / "pipe"], [{}, {}])
    assert [status for status, _ in said] == [0, 0], said
    assert "another process of this run has stopped or cannot be reached" in said[0][1]
