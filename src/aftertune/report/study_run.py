"""The stage `report` on a study: a `control-study` artefact in, a page and paragraphs out."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.errors import ArtefactError
from aftertune.report import study_methods
from aftertune.report.config import ReportConfig
from aftertune.report.run import DATA, PAGE
from aftertune.report.study_page import build, render

VERSION = 2
METHODS = "methods.md"


def run(config: ReportConfig, study: Artefact, out: Path) -> Artefact:
    """Write `report.html`, `summary.json` (what the page shows) and `methods.md`.

    Raises ArtefactError for an artefact that is no analysis of a study.
    """
    if study.stage != "control-study":
        raise ArtefactError(f"{study.folder} is a {study.stage} artefact; give a control-study-… "
                            "artefact.")  # fmt: skip
    plan = Plan("report", VERSION, config.given(), config, (study.as_input("study"),))
    if found := artefact.find(out, plan):
        return found
    view = build(study.manifest, metadata.version("aftertune"), config.given().get("title"))
    files = {
        PAGE: render(view),
        DATA: json.dumps(view, ensure_ascii=False, indent=1, allow_nan=False),
        METHODS: study_methods.paragraphs(study.about),
    }
    with artefact.draft(out, plan) as draft:
        for name, text in files.items():
            artefact.write_durably(draft.folder / name, _writer(text))
        first = view["blocks"][0]
        about = {"findings": first["sentences"], "cautions": first["cautions"], "page": PAGE}
        return draft.finish({"done": 1, "skipped": {}, "unscored": {}}, about)


def _writer(text: str) -> Any:
    return lambda path: path.write_bytes(text.encode("utf-8"))  # no newline translation: hashes
