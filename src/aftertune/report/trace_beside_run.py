"""The stage `report` on traces of several tunings: their artefacts in, one HTML file out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.progress import Progress
from aftertune.report.config import ReportConfig
from aftertune.report.run import DATA, PAGE
from aftertune.report.trace_beside_page import build, render
from aftertune.trace.beside import beside
from aftertune.trace.checked_spans import Proof
from aftertune.trace.comparable import Side

VERSION = 1
_EVERY = ("responses", "rows", "tune")  # inputs that each trace has of its own, or is asked about


@dataclass(frozen=True)
class Traced:
    """A trace, what went into it, and the proofs that were made of it."""

    trace: Artefact
    responses: Artefact
    tune: Artefact | None
    proofs: Sequence[Artefact]

    def named(self, place: int) -> dict[str, Artefact]:
        """All of them under names that keep the order of the traces."""
        given = {"trace": self.trace, "responses": self.responses, "tune": self.tune}
        given |= {f"proof {one.id}": one for one in self.proofs}
        return {f"{place} {name}": one for name, one in given.items() if one is not None}


def run(config: ReportConfig, traced: Sequence[Traced], out: Path, progress: Progress) -> Artefact:
    """Write `report.html` and `summary.json` (what the page shows; `beside` holds the numbers).

    Raises InputError for fewer than two traces, or one that is given twice.
    """
    inputs = tuple(
        one.as_input(name)
        for place, of in enumerate(traced)
        for name, one in of.named(place).items()
    )
    plan = Plan("report", VERSION, config.given(), config, inputs)
    if found := artefact.find(out, plan):
        return found
    with progress.task("report", 2) as task:
        made = beside([_side(one) for one in traced], config.seed)
        task.advance()
        manifests = [one.trace.manifest for one in traced]
        view = build(config, made, manifests, metadata.version("aftertune"))
        page = render(view)
        shown = json.dumps(view, ensure_ascii=False, indent=1, allow_nan=False)
        task.advance()
    with artefact.draft(out, plan) as draft:
        for name, text in ((PAGE, page), (DATA, shown)):
            artefact.write_durably(draft.folder / name, _writer(text))
        cautions = [said for one in view["blocks"] for said in one["cautions"]]
        about = {"findings": view["findings"], "cautions": cautions, "page": PAGE}
        return draft.finish({"done": len(traced), "skipped": {}, "unscored": {}}, about)


def _side(one: Traced) -> Side:
    trace, tune = one.trace, one.tune
    given: Mapping[str, str] = {of["name"]: of["id"] for of in trace.manifest["inputs"]}
    # a shift is of a model's own answers, so only that there is one can be alike
    evidence = {
        (name, "" if name == "shift" else of) for name, of in given.items() if name not in _EVERY
    }
    base = [of["id"] for of in tune.manifest["inputs"] if of["name"] == "base"] if tune else []
    columns = ["response_id", "prompt_id"]
    return Side(
        trace_id=trace.id,
        about=trace.about,
        config=trace.config,
        borrowings=trace.table("borrowings").to_pylist(),
        responses=one.responses.table("responses").select(columns).to_pylist(),
        rows_id=given["rows"],
        version=trace.manifest["stage_version"],
        evidence=frozenset(evidence),
        answered=one.responses.config,
        tuning=tune.config if tune else None,
        split=tune.table("split").to_pylist() if tune else None,
        base_id=base[0] if base else None,
        proofs=[Proof(of.id, of.config, of.about) for of in one.proofs],
    )


def _writer(text: str) -> Any:
    return lambda path: path.write_bytes(text.encode("utf-8"))  # no newline translation: hashes
