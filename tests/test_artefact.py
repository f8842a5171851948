"""The artefact format: names, parts, continuation, damage."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune import artefact, schema
from aftertune.config import StageConfig
from aftertune.errors import ArtefactError, DamagedPart, InternalError


class ToyConfig(StageConfig):
    seed: int = 0
    device: str = "auto"


def plan(
    content: str = "abc", environment: dict[str, Any] | None = None, **options: Any
) -> artefact.Plan:
    config = ToyConfig(**options)
    source = artefact.Input(
        "source", artefact.hash_json(content), artefact.hash_json(content), "a.json"
    )
    return artefact.Plan("toy", 1, config.given(), config, (source,), environment or {"threads": 2})


def loss_table(step: int) -> pa.Table:
    record = {"step": step, "epoch": 0.5, "loss_nats": 1.0 / step, "grad_norm": None,
              "learning_rate": 1e-4, "n_trained_tokens": 3, "n_tokens": 9}  # fmt: skip
    return schema.from_rows("loss", [record])


def write_all(out: Path, the_plan: artefact.Plan, steps: int = 3) -> artefact.Artefact:
    with artefact.draft(out, the_plan) as draft:
        for step in range(1, steps + 1):
            if not draft.has(step, ["loss"]):
                draft.write(step, {"loss": loss_table(step)})
        return draft.finish({"done": steps}, {"note": "é"})


def test_id_follows_content_and_numbers_only() -> None:
    assert plan().id == plan(device="cuda").id
    assert plan().id != plan(seed=1).id
    assert plan().id != plan(content="abd").id
    assert plan().id == plan(environment={"threads": 64}).id


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    made = write_all(tmp_path, plan())
    assert artefact.find(tmp_path, plan(seed=1)) is None
    found = artefact.find(tmp_path, plan())
    assert found is not None
    assert found.id == made.id
    assert found.table("loss").num_rows == 3
    assert [part.num_rows for part in found.parts("loss")] == [1, 1, 1]
    assert found.about == {"note": "é"}
    assert list(found.to_pandas("loss")["step"]) == [1, 2, 3]
    assert found.content_hash() == made.content_hash()
    with pytest.raises(ArtefactError, match="has no table `tokens`"):
        found.table("tokens")


def test_an_artefact_of_no_parts_has_no_tables(tmp_path: Path) -> None:
    with artefact.draft(tmp_path, plan()) as draft:
        empty = draft.finish({"done": 0})
    assert empty.tables == []


def test_interrupted_run_continues_and_equals_the_undisturbed_one(tmp_path: Path) -> None:
    whole = write_all(tmp_path / "whole", plan())
    with artefact.draft(tmp_path / "cut", plan()) as draft:
        draft.write(1, {"loss": loss_table(1)})
    with artefact.draft(tmp_path / "cut", plan()) as draft:
        assert draft.has(1, ["loss"])
        assert not draft.has(2, ["loss"])
        assert draft.restarted is None
    cut = write_all(tmp_path / "cut", plan())
    left, right = dict(whole.manifest), dict(cut.manifest)
    assert left.pop("seconds") >= 0
    assert right.pop("seconds") >= 0
    assert left == right
    for part in whole.manifest["tables"]["loss"]:
        assert (whole.folder / part["file"]).read_bytes() == (
            cut.folder / part["file"]
        ).read_bytes()


def test_another_environment_starts_again(tmp_path: Path) -> None:
    with artefact.draft(tmp_path, plan(environment={"threads": 2})) as draft:
        draft.write(1, {"loss": loss_table(1)})
    with artefact.draft(tmp_path, plan(environment={"threads": 1})) as draft:
        assert draft.restarted == "threads was 2 and is now 1"
        assert not draft.has(1, ["loss"])


def test_half_written_parts_and_scratch_are_not_results(tmp_path: Path) -> None:
    with artefact.draft(tmp_path, plan()) as draft:
        draft.write(1, {"loss": loss_table(1)})
        (draft.scratch / "checkpoint").write_text("x")
        (draft.folder / "loss" / "part-00002.parquet.tmp").write_bytes(b"PAR1")
        (draft.folder / "loss" / "part-00003.parquet").write_bytes(b"PAR1 cut short")
    with artefact.draft(tmp_path, plan()) as draft:
        assert not draft.has(2, ["loss"])
        assert not draft.has(3, ["loss"])  # a file that cannot be read is written again
        assert (draft.scratch / "checkpoint").exists()
    made = write_all(tmp_path, plan())
    assert [p["file"] for p in made.manifest["tables"]["loss"]] == [
        f"loss/part-0000{i}.parquet" for i in (1, 2, 3)
    ]
    assert not (made.folder / "work").exists()
    assert not (made.folder / "draft.json").exists()
    assert made.manifest["files"] == {}


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_part_is_named(tmp_path: Path, harm: str) -> None:
    made = write_all(tmp_path, plan())
    part = made.folder / "loss" / "part-00002.parquet"
    data = part.read_bytes()
    if harm == "flip":
        part.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    elif harm == "cut":
        part.write_bytes(data[:-10])
    else:
        part.unlink()
    with pytest.raises(DamagedPart, match=r"part-00002\.parquet is (damaged|missing)"):
        artefact.find(tmp_path, plan())


def test_folders_that_are_no_artefact(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is not an artefact"):
        artefact.open_artefact(tmp_path)
    with artefact.draft(tmp_path, plan()):
        pass
    with pytest.raises(ArtefactError, match="is unfinished"):
        artefact.open_artefact(tmp_path / plan().id)
    (tmp_path / plan().id / "manifest.json").write_text("{")
    with pytest.raises(DamagedPart, match=r"manifest\.json is damaged"):
        artefact.open_artefact(tmp_path / plan().id)
    (tmp_path / plan().id / "manifest.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(ArtefactError, match="format version 99"):
        artefact.open_artefact(tmp_path / plan().id)


@pytest.mark.parametrize("harm", ["number", "missing"])
def test_an_edited_manifest_is_damaged(tmp_path: Path, harm: str) -> None:
    """Numbers in a manifest are results too: an edited one must not pass for a measured one."""
    path = write_all(tmp_path, plan()).folder / "manifest.json"
    manifest = json.loads(path.read_text())
    if harm == "number":
        manifest["counts"]["done"] = 30
    else:
        del manifest["tables"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedPart, match=r"manifest\.json is damaged"):
        artefact.find(tmp_path, plan())


def test_an_out_that_no_system_takes(tmp_path: Path) -> None:
    for out in (tmp_path / ("x" * 300), Path("/proc/none")):
        with pytest.raises(ArtefactError, match="give --out another folder"):
            write_all(out, plan())
        if out.name.startswith("x"):
            with pytest.raises(ArtefactError, match="give --out another folder"):
                artefact.find(out, plan())


def test_out_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(ArtefactError, match="is a file"), artefact.draft(tmp_path / "out", plan()):
        pass


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with (
        artefact.draft(tmp_path, plan()),
        pytest.raises(ArtefactError, match="another process is writing"),
        artefact.draft(tmp_path, plan()),
    ):
        pass


def test_schema_refuses_what_it_does_not_promise() -> None:
    with pytest.raises(InternalError, match="lacks or adds"):
        schema.from_rows("loss", [{"step": 1}])
    record = {**loss_table(1).to_pylist()[0], "loss_nats": None}
    with pytest.raises(InternalError, match="null in column"):
        schema.from_rows("loss", [record])
    with pytest.raises(InternalError, match="columns"):
        schema.checked("loss", pa.table({"step": [1]}))
    assert schema.from_rows("loss", []).schema == schema.LOSS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON)
def test_json_hash_is_of_the_value_not_its_spelling(value: Any) -> None:
    again = json.loads(json.dumps(value))
    assert artefact.hash_json(value) == artefact.hash_json(again)


WRITER = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_artefact import plan, loss_table
from aftertune import artefact
if artefact.find(Path(sys.argv[1]), plan()):
    sys.exit()  # on a busy machine the kill may come after the end
with artefact.draft(Path(sys.argv[1]), plan()) as draft:
    for step in range(1, 41):
        if not draft.has(step, ["loss"]):
            draft.write(step, {{"loss": loss_table(step)}})
            print(step, flush=True)
    draft.finish({{"done": 40}}, {{"note": "é"}})
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Every kill leaves whole parts only; no step is computed after its part was finished."""
    script = tmp_path / "writer.py"
    script.write_text(textwrap.dedent(WRITER.format(tests=str(Path(__file__).parent))))
    out = tmp_path / "out"
    computed: list[int] = []
    for delay in (0.005, 0.02, 0.03, 0.011, None):
        with subprocess.Popen(
            [sys.executable, str(script), str(out)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            if delay is not None:
                first = process.stdout.readline()  # kill only once it works
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
                computed += [int(line) for line in (first + process.stdout.read()).split()]
            else:
                computed += [int(line) for line in process.stdout.read().split()]
                assert process.wait() == 0
    whole = write_all(tmp_path / "whole", plan(), steps=40)
    cut = artefact.find(out, plan())
    assert cut is not None
    assert cut.manifest["tables"] == whole.manifest["tables"]
    # a step's line may be lost between rename and print, never printed twice
    assert sorted(set(computed)) == sorted(computed)


def test_parquet_is_what_others_read(tmp_path: Path) -> None:
    made = write_all(tmp_path, plan())
    table = pq.read_table(made.folder / "loss")
    assert table.num_rows == 3
