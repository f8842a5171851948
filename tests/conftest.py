"""Tiny models, built once per test run; the shared data, where it is; no test races a clock."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes of two threads each fight for two cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# what a terminal or a CI service asks for: colours and moving bars in what tests read
for _name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS", "TTY_COMPATIBLE",
              "TTY_INTERACTIVE", "COLUMNS", "TERMINAL_WIDTH"):  # fmt: skip
    os.environ.pop(_name, None)

import pytest
from hypothesis import settings

from tiny_models import save_model

# an example may take as long as a busy machine needs; a test that hangs, pytest's own limit ends
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def tiny_llama_other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shape and tokenizer with other weights."""
    return save_model("llama", tmp_path_factory.mktemp("tiny-llama-other"), seed=1)


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("gpt2", tmp_path_factory.mktemp("tiny-gpt2"))


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("qwen", tmp_path_factory.mktemp("tiny-qwen"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the project; tests that need it are skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not beside this project")
    return folder
