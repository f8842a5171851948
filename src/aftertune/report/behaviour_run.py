"""The stage `report` on behaviour: `control-behaviour` and the answers in, one HTML file out."""

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.progress import Progress
from aftertune.report.behaviour_page import Texts, build, render, without_texts
from aftertune.report.config import ReportConfig
from aftertune.report.run import DATA, PAGE

VERSION = 1


def run(
    config: ReportConfig, control: Artefact, responses: Mapping[str, Artefact], out: Path,
    progress: Progress,
) -> Artefact:  # fmt: skip
    """Write `report.html` and `summary.json` (what the page shows, without answers)."""
    read = [control.as_input("behaviour")]
    read += [one.as_input(f"responses {name}") for name, one in responses.items()]
    plan = Plan("report", VERSION, config.given(), config, tuple(read))
    if found := artefact.find(out, plan):
        return found
    with progress.task("report", 2) as task:
        texts = {} if config.redact else _texts(control, responses)
        view = build(config, control.manifest, texts, metadata.version("aftertune"))
        task.advance()
        page = render(view)
        shown = json.dumps(without_texts(view), ensure_ascii=False, indent=1, allow_nan=False)
        task.advance()
    with artefact.draft(out, plan) as draft:
        for name, text in ((PAGE, page), (DATA, shown)):
            artefact.write_durably(draft.folder / name, _writer(text))
        counts = {"done": len(view["groups"]), "skipped": {}, "unscored": {}}
        about = {"findings": view["block"]["sentences"], "cautions": view["block"]["cautions"],
                 "page": PAGE}  # fmt: skip
        return draft.finish(counts, about)


def _texts(control: Artefact, responses: Mapping[str, Artefact]) -> Texts:
    """The answers that are examples, by response_id."""
    wanted = {
        example[key]
        for one in control.about["found"]["checks"]
        for example in one["examples"]
        for key in ("response_id", "other_response_id")
    }
    ids = pa.array(sorted(wanted), pa.string())
    found: dict[str, dict[str, Any]] = {}
    for one in responses.values():
        for part in one.parts("responses"):
            kept = part.filter(pc.is_in(part["response_id"], ids))
            for record in kept.select(["response_id", "messages", "response"]).to_pylist():
                asked = [turn["content"] or "" for turn in record["messages"]]
                found[record["response_id"]] = {"prompt": "\n\n".join(asked),
                                                "response": record["response"]}  # fmt: skip
    return found


def _writer(text: str) -> Any:
    return lambda path: path.write_bytes(text.encode("utf-8"))  # no newline translation: hashes
