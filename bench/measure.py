"""What the benchmarks share: the machine in words, this process's memory, children."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """What a result says of the machine that it was taken on."""
    return {
        "processor": processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }


def processor() -> str:
    """The processor's name as the system says it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} logical cores"
    except OSError:
        pass
    return platform.processor() or "unknown"


def child(script: str, what: dict[str, Any], threads: int) -> dict[str, Any]:
    """`script --child WHAT` in a process of its own: the JSON that it prints last."""
    print(f"measuring {json.dumps(what)} ...", file=sys.stderr, flush=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, script, "--child", json.dumps(what)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def resident_mb() -> float | None:
    """Memory of this process now, in MB; None where the system does not say."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Let `peak_mb` begin again at what is held now, where the system can."""
    if _RESET.exists():
        _RESET.write_text("5")


def peak_mb() -> float | None:
    """The most memory of this process since `forget_peak`, in MB; None where it is not known."""
    return _status("VmHWM")


def _status(name: str) -> float | None:
    if not _RESET.exists():
        return None
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
