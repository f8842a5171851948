"""The stage `report` on recall: a `control-recall` artefact in, one HTML file out."""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.progress import Progress
from aftertune.report.config import ReportConfig
from aftertune.report.recall_page import build, render, without_facts
from aftertune.report.run import DATA, PAGE

VERSION = 2


def run(config: ReportConfig, compared: Artefact, out: Path, progress: Progress) -> Artefact:
    """Write `report.html` and `summary.json` (what the page shows, without the facts)."""
    plan = Plan("report", VERSION, config.given(), config, (compared.as_input("recall"),))
    if found := artefact.find(out, plan):
        return found
    with progress.task("report", 1) as task:
        pairs = compared.table("recall_pairs").to_pylist()
        version = metadata.version("aftertune")
        view = build(compared.manifest, pairs, config.redact, version)
        page = render(view)
        task.advance()
    with artefact.draft(out, plan) as draft:
        shown = json.dumps(without_facts(view), ensure_ascii=False, indent=1, allow_nan=False)
        for name, text in ((PAGE, page), (DATA, shown)):
            artefact.write_durably(draft.folder / name, _writer(text))
        counts = {"done": compared.counts["done"], "skipped": {}, "unscored": {}}
        return draft.finish(counts, {"findings": view["findings"], "page": PAGE})


def _writer(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")
