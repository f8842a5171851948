"""Only what was written to its end is gone on from."""

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from aftertune.tune import checkpoints


def checkpoint(root: Path, step: int, seal: bool = True) -> Path:
    folder = root / f"checkpoint-{step}"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * 100)
    (folder / "inner" / "state").write_bytes(b"y" * 10)
    if seal:
        checkpoints.seal(folder)
    return folder


def test_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    checkpoints.keep_newest(tmp_path)


def test_the_newest_is_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        checkpoint(tmp_path, step)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-100"
    (tmp_path / "other").mkdir()
    checkpoints.keep_newest(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-10", "checkpoint-100", "other"]  # fmt: skip


def test_a_partial_checkpoint_is_removed(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 4)
    unsealed = checkpoint(tmp_path, 8, seal=False)
    short = checkpoint(tmp_path, 12)
    (short / "weights").write_bytes(b"x" * 99)
    missing = checkpoint(tmp_path, 16)
    (missing / "inner" / "state").unlink()
    torn = checkpoint(tmp_path, 20)
    (torn / checkpoints.MARKER).write_text("{")
    assert checkpoints.newest(tmp_path) == whole
    assert not any(folder.exists() for folder in (unsealed, short, missing, torn))


@pytest.mark.parametrize(
    "error",
    [
        # as torch 2.13 and safetensors say it, on a file system of 3 MB
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
    ],
)
def test_a_full_disk_is_called_one(tmp_path: Path, error: Exception) -> None:
    full = pytest.raises(OSError, match=str(tmp_path))
    with full as found, checkpoints.full_disk_as_oserror(tmp_path):
        raise error
    assert found.value.errno == errno.ENOSPC
    with pytest.raises(RuntimeError, match="other"), checkpoints.full_disk_as_oserror(tmp_path):
        raise RuntimeError("some other error")
