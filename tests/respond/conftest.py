"""Prompts as an artefact, without a file that a test would have to write itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.data.config import PromptsConfig
from aftertune.data.run import run_prompts
from aftertune.progress import Silent

MakePrompts = Callable[[list[dict[str, Any]]], Artefact]


@pytest.fixture
def make_prompts(tmp_path: Path) -> MakePrompts:
    def make(values: list[dict[str, Any]]) -> Artefact:
        file = tmp_path / f"prompts-{len(list(tmp_path.iterdir()))}.jsonl"
        file.write_text("\n".join(json.dumps(value) for value in values))
        return run_prompts(build(PromptsConfig, {"source": str(file)}), tmp_path / "in", Silent())

    return make
