"""Fixtures of the report's tests; the made-up artefacts come from made_report.py."""

import pytest
from made_report import NOTE, OVERLAP, random_model, text_artefact

from aftertune.report.blocks import BUILDERS
from aftertune.report.run import ReportInputs


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    """Three models on the same 32 prompts, about 96 tokens an answer, like the demo's."""
    out = tmp_path_factory.mktemp("demo")
    unstable = {
        "checked": True,
        "dtype": "bfloat16",
        "n_answers": 8,
        "n_differ": 3,
        "n_below_noise": 3,
        "margin_max": 0.061,
        "noise_max": 0.215,
    }
    models = [
        random_model(out, "full-5e-5", 32, 96, 0.14, 0, note=NOTE, stability=unstable),
        random_model(out, "lora-5e-5", 32, 96, 0.017, 1, method="lora", note=NOTE),
        random_model(out, "lora-2e-4", 32, 96, 0.106, 2, method="lora", rate=2e-4, note=NOTE),
    ]
    return ReportInputs(models, text_artefact(out, "rows"), text_artefact(out, "prompts"), OVERLAP)


@pytest.fixture
def made_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report knows a control `made`, whose artefact holds its block (`control_artefact`)."""
    monkeypatch.setitem(BUILDERS, "made", lambda about: about["block"])
