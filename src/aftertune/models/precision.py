"""Where a model runs and in which dtype, decided before anything is loaded."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gguf
import torch

from aftertune import artefact
from aftertune.config import Dtype
from aftertune.errors import ConfigError, ModelError
from aftertune.models import embedded
from aftertune.models.reference import ModelRef, local

Purpose = Literal["score", "generate", "train"]
Decided = Literal["float32", "bfloat16", "float16"]

# Below this many parameters a CPU scores in float32: 2.5 times slower than bfloat16 there, and
# without its noise floor of 0.001 to 0.002 nats, under which a short LoRA run can hide.
FLOAT32_BELOW = 1_000_000_000

_STORED: dict[str, Decided] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def choose_device(device: str = "auto") -> torch.device:
    """The device to run on: "auto" is the first CUDA device, else the CPU.

    Raises ConfigError when the device that was asked for is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"the device {device} cannot be used here; leave --device out or say --device cpu."
        ) from error
    return chosen


def has_fast_bfloat16(device: torch.device | str) -> bool:
    """Whether the device multiplies bfloat16 in hardware, rather than emulating it."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return True
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.10 and later
    return bool(capabilities.get("bf16"))  # how ARM calls it


def choose_dtype(
    dtype: Dtype,
    device: torch.device | str,
    parameters: int,
    purpose: Purpose = "score",
    stored: Decided | None = None,
) -> Decided:
    """The dtype to load in ("score", "generate") or to compute in ("train"); "auto" decides.

    `parameters` is `parameter_count`; `stored` is the checkpoint's own dtype (`stored_dtype`).
    A CPU takes float32 for models under FLOAT32_BELOW, and where it has no fast bfloat16.
    """
    if dtype != "auto":
        return dtype
    on_cpu = torch.device(device).type == "cpu"
    if on_cpu and purpose != "train" and parameters < FLOAT32_BELOW:
        return "float32"
    if on_cpu:
        return "bfloat16" if has_fast_bfloat16(device) else "float32"
    if stored == "float16" and purpose != "train":
        return "float16"
    if has_fast_bfloat16(device):
        return "bfloat16"
    return "float32" if purpose == "train" else "float16"


def parameter_count(ref: ModelRef) -> int:
    """Parameters as stored, an adapter's own and its base's, read from headers alone.

    Tied weights are stored once and counted once. Of quantised checkpoints the stored elements
    are counted, which may hold two parameters each.
    """
    return sum(math.prod(shape) for _, shape in _tensors(ref))


def stored_dtype(ref: ModelRef) -> Decided | None:
    """The dtype that most of the model's (or adapter's base's) parameters are stored in."""
    elements: Counter[str] = Counter()
    for kind, shape in _tensors(_base(ref)):
        elements[kind] += math.prod(shape)
    return _STORED.get(elements.most_common(1)[0][0]) if elements else None


def environment(device: torch.device | str, processes: int = 1) -> dict[str, Any]:
    """What a manifest records of the machine: device, threads, processes, instruction set."""
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return artefact.environment(
        device=device.type,
        device_name=name,
        threads=torch.get_num_threads(),
        processes=processes,
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
    )


def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """name -> {dtype, shape, data_offsets} without reading weights; raises ModelError."""
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if not 0 < size <= path.stat().st_size - 8:
                raise ValueError("header does not fit")
            header = json.loads(stream.read(size))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if 8 + size + end != path.stat().st_size:
            raise ValueError("truncated")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged or cut off; download or copy it again.") from error
    return dict(header)


def _base(ref: ModelRef) -> ModelRef:
    return ref.base if ref.kind == "adapter" and ref.base else ref


def _tensors(ref: ModelRef) -> Iterator[tuple[str, list[int]]]:
    """(stored dtype, shape) of every tensor; an adapter's base first."""
    ref = local(ref)
    if ref.kind == "adapter" and ref.base is not None:
        yield from _tensors(ref.base)
    path = embedded.folder(ref) if ref.kind == "embedded" else ref.path
    assert path is not None
    if path.is_file():
        for tensor in gguf.GGUFReader(path).tensors:
            yield tensor.tensor_type.name, [int(size) for size in tensor.shape]
        return
    for file in sorted(path.glob("*.safetensors")):
        if not file.name.startswith("consolidated"):
            for entry in safetensors_header(file).values():
                yield entry["dtype"], entry["shape"]
