"""Starts Python programs as several processes of one run, as torchrun does and by hand."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
SECONDS = 240  # no process waits longer; a hang fails the test
_TORCHRUN = ["-m", "torch.distributed.run", "--standalone"]


def torchrun(arguments: Sequence[object], processes: int = 2) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc_per_node 2 ARGUMENTS`, to its end."""
    command = [sys.executable, *_TORCHRUN, "--nproc_per_node", str(processes)]
    return subprocess.run(
        [*command, *map(str, arguments)], env={**os.environ, **ENVIRONMENT}, text=True,
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def by_hand(
    arguments: Sequence[object], environments: Sequence[Mapping[str, str]]
) -> list[tuple[int, str]]:
    """One process per entry of `environments`, without a launcher that ends all when one fails:
    exit status and what each said."""
    with held_port() as port:
        shared = {**os.environ, **ENVIRONMENT, "MASTER_ADDR": "127.0.0.1",
                  "MASTER_PORT": str(port), "WORLD_SIZE": str(len(environments))}  # fmt: skip
        started = [
            subprocess.Popen(
                [sys.executable, *map(str, arguments)], env={**shared, "RANK": str(rank), **own},
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for rank, own in enumerate(environments)
        ]  # fmt: skip
        try:
            return [(one.wait(SECONDS), one.stdout.read() if one.stdout else "") for one in started]
        finally:
            for one in started:
                one.kill()


@contextmanager
def held_port() -> Iterator[int]:
    """A port of this machine that nobody is given by chance until the block ends.

    Nothing listens there: a connection is refused until a server that is told the number, and
    sets SO_REUSEADDR as servers do, listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def ended_well(done: subprocess.CompletedProcess[str]) -> None:
    """Fails with what the processes said, which says more than an exit status."""
    assert done.returncode == 0, done.stdout + done.stderr


def program(folder: Path, text: str) -> Path:
    """`text` as a Python file in `folder`."""
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    return path
