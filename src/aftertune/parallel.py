"""Several processes on one artefact, as torchrun or accelerate start them.

All run the same program on the same files, and all see the same OUT folder. They do different
things only where a stage hands out parts: a process takes the parts whose number, divided by how
many processes there are, leaves its own. So who computes what never changes a value. What is not
handed out all compute and process 0 writes. They meet over torch.distributed (gloo); where one
has stopped, the others end with one sentence instead of waiting for it.

How many there are is read from the launcher's variables. torch is imported only for several.
"""

import atexit
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aftertune.errors import InternalError, UserError

if TYPE_CHECKING:
    from torch import Tensor

# A process that was killed is noticed at once, by its closed connections; this is for one that
# hangs, or whose machine is gone. So much longer may one work, too, before it meets the others.
PATIENCE = timedelta(hours=2)

_BUCKET = 2**24  # numbers summed in one message
_MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_HOW = "start it with torchrun --nproc_per_node N -m aftertune"


class ProcessesError(UserError):
    """The processes of one run do not fit together, or one of them has stopped."""


@dataclass(frozen=True)
class Group:
    """This process among those of its run: `rank` from 0, `size` of them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is process 0, which writes what all compute."""
        return self.rank == 0

    def mine(self, numbers: Iterable[int]) -> list[int]:
        """Those of `numbers` that fall to this process; each falls to exactly one."""
        return [number for number in numbers if number % self.size == self.rank]


def launched(environ: Mapping[str, str]) -> Group:
    """What the launcher's variables say; raises ProcessesError where they contradict themselves.

    `accelerate launch --cpu --num_processes 2` starts one process without a word: it sets an
    address to meet at, as for several, but no WORLD_SIZE.
    """
    if "WORLD_SIZE" not in environ:
        if "ACCELERATE_MIXED_PRECISION" in environ and "MASTER_PORT" in environ:
            raise ProcessesError(
                "accelerate was told to start several processes and started one; say accelerate "
                f"launch --multi_gpu --num_processes N (on CPUs too), or {_HOW}."
            )
        if any(int(environ.get(name, "1")) > 1 for name in _MPI_SIZES):
            raise ProcessesError(f"several processes were started by MPI; {_HOW}.")
        return Group()
    try:
        rank, size = int(environ.get("RANK", "0")), int(environ["WORLD_SIZE"])
    except ValueError as error:
        raise ProcessesError(f"RANK and WORLD_SIZE are not both numbers; {_HOW}.") from error
    if not 0 <= rank < size or (size > 1 and "RANK" not in environ):
        raise ProcessesError(
            f"RANK is {environ.get('RANK', 'not set')} where WORLD_SIZE is {size}; {_HOW}."
        )
    return Group(rank, size)


def expect(processes: int) -> None:
    """Raise ProcessesError unless exactly so many processes were started."""
    size = launched(os.environ).size
    if size != processes:
        raise ProcessesError(
            f"{processes} processes were asked for and {size} started; "
            f"{_HOW.replace('N', str(processes), 1)}."
        )


def is_first() -> bool:
    """Whether this process is the one that talks, by its RANK alone; nothing is checked."""
    return os.environ.get("RANK", "0") == "0"


@cache
def group() -> Group:
    """This process's place; the first call joins the others, and waits until all are there."""
    found = launched(os.environ)
    if found.size > 1:
        _join(found)
    return found


def gather(what: str, value: Any = None) -> list[Any]:
    """The `value` (JSON) of every process, by rank, in every process.

    Waits for all of them. Raises ProcessesError when one has stopped, or is elsewhere in the
    program than at `what`.
    """
    if group().size == 1:
        return [value]
    met = [json.loads(text) for text in _exchange(json.dumps([what, value]).encode())]
    elsewhere = [(rank, word) for rank, (word, _) in enumerate(met) if word != what]
    if elsewhere:
        rank, word = elsewhere[0]
        raise ProcessesError(
            f"process {rank} is at `{word}` while process {group().rank} is at `{what}`; start all "
            "of them with the same command."
        )
    return [value for _, value in met]


def share(what: str, value: Any) -> Any:
    """Process 0's `value` (JSON) in every process; what the others give is not looked at."""
    return gather(what, value if group().first else None)[0]


@contextmanager
def process_0_first(what: str) -> Iterator[None]:
    """Process 0 goes through the block alone, then all others do and find what it has left."""
    if not group().first:
        gather(what)
    yield
    if group().first:
        gather(what)


def add(tensors: Sequence["Tensor"]) -> None:
    """Replace each tensor by its sum over all processes, the same bits in every one of them.

    Every process gives tensors of the same shapes, in the same order.
    """
    if group().size == 1:
        return
    import torch  # noqa: PLC0415 - only where there are several processes

    distributed, control = _control()
    for bucket in _buckets(tensors):
        joined = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
        with _peers():
            distributed.all_reduce(joined, group=control if joined.device.type == "cpu" else None)
        pieces = torch.split(joined, [tensor.numel() for tensor in bucket])
        for tensor, piece in zip(bucket, pieces, strict=True):
            tensor.detach().copy_(piece.view_as(tensor))


def devices_of(devices: Sequence[str], local_rank: int, local_size: int) -> list[str]:
    """The devices of one of the processes on a machine: equal shares, in order; where there are
    fewer devices than processes, one that it shares with others."""
    if len(devices) < local_size:
        return [devices[local_rank % len(devices)]] if devices else []
    each = len(devices) // local_size
    return list(devices[local_rank * each : (local_rank + 1) * each])


def _join(found: Group) -> None:
    import torch  # noqa: PLC0415 - only where there are several processes
    from torch import distributed  # noqa: PLC0415

    _take_devices(torch)
    with _peers():
        if not distributed.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            distributed.init_process_group(backend, timeout=PATIENCE)
            atexit.register(_leave)
    if distributed.get_world_size() != found.size or distributed.get_rank() != found.rank:
        raise ProcessesError(
            f"WORLD_SIZE is {found.size} and torch.distributed has "
            f"{distributed.get_world_size()} processes; {_HOW}."
        )
    _control()


def _leave() -> None:
    """End gloo's threads before the interpreter ends: one still running then aborts the process."""
    from torch import distributed  # noqa: PLC0415 - only where there are several processes

    _control.cache_clear()
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _take_devices(torch: Any) -> None:
    """Show this process its own share of the machine's CUDA devices, so that `cuda` is another
    one in each. Without effect once CUDA was used, so this comes first."""
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if local_size == 1 or torch.cuda.is_initialized():
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(n) for n in range(torch.cuda.device_count())]
    if len(names) > 1:
        mine = devices_of(names, int(os.environ.get("LOCAL_RANK", "0")), local_size)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(mine)


@cache
def _control() -> tuple[Any, Any]:
    """torch.distributed, and a gloo group of its own for what is no gradient on a GPU."""
    from torch import distributed  # noqa: PLC0415 - only where there are several processes

    if not distributed.is_initialized():
        raise InternalError("group() was not called before others were to be met")
    with _peers():
        return distributed, distributed.new_group(backend="gloo", timeout=PATIENCE)


def _exchange(sent: bytes) -> list[bytes]:
    """What every process sent, by rank."""
    import torch  # noqa: PLC0415 - only where there are several processes

    distributed, control = _control()
    sizes = [torch.zeros(1, dtype=torch.long) for _ in range(group().size)]
    with _peers():
        distributed.all_gather(sizes, torch.tensor([len(sent)]), group=control)
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(sent)] = torch.frombuffer(bytearray(sent), dtype=torch.uint8)
        found = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(found, padded, group=control)
    return [bytes(one[: int(size)].tolist()) for one, size in zip(found, sizes, strict=True)]


def _buckets(tensors: Sequence["Tensor"]) -> Iterator[list["Tensor"]]:
    """Neighbours of one kind together, at most _BUCKET numbers or one tensor."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and (
            (tensor.dtype, tensor.device) != (bucket[0].dtype, bucket[0].device)
            or sum(one.numel() for one in bucket) + tensor.numel() > _BUCKET
        ):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def _peers() -> Iterator[None]:
    """A process that is gone is one sentence, not torch's account of its sockets."""
    try:
        yield
    except RuntimeError as error:  # torch.distributed's own errors are all of this kind
        raise ProcessesError(
            "another process of this run has stopped or cannot be reached; see what it said, then "
            "run the same command again, which continues."
        ) from error
