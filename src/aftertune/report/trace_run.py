"""The stage `report` on a trace: its artefact and what went into it in, one HTML file out."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.errors import ArtefactError
from aftertune.progress import Progress
from aftertune.report.config import ReportConfig
from aftertune.report.run import DATA, PAGE, PIECES
from aftertune.report.trace_page import build, render, without_texts
from aftertune.report.trace_proof import facts, filled
from aftertune.report.trace_spans import Traced

VERSION = 4  # surprise of what is shared
_OF_TOKENS = ["response_id", "token_id", "token", "char_start", "char_end", "kl_tuned_base_nats",
              "base_top", "tuned_top"]  # fmt: skip


class Inputs(Protocol):
    """What the trace was made from."""

    @property
    def responses(self) -> Artefact: ...
    @property
    def rows(self) -> Artefact: ...
    @property
    def shift(self) -> Artefact | None: ...


def run(
    config: ReportConfig, trace: Artefact, inputs: Inputs, out: Path, progress: Progress,
    proofs: Sequence[Artefact] = (),
) -> Artefact:  # fmt: skip
    """Write `report.html` and `summary.json` (what the page shows, without answers and rows).

    proofs: made of this trace. Raises ArtefactError where the inputs are not those of the trace.
    """
    known = {one["name"]: one["id"] for one in trace.manifest["inputs"]}
    given = {"responses": inputs.responses, "rows": inputs.rows}
    given |= {"shift": inputs.shift} if inputs.shift else {}
    for name, one in given.items():
        if known.get(name) != one.id:
            raise ArtefactError(f"{one.folder} did not go into {trace.folder}; give what did.")
    read = tuple(one.as_input(name) for name, one in {"trace": trace, **given}.items())
    read += tuple(one.as_input(f"proof {one.id}") for one in proofs)
    plan = Plan("report", VERSION, config.given(), config, read)
    if found := artefact.find(out, plan):
        return found
    with progress.task("report", 2) as task:
        source = str(inputs.rows.about.get("source", ""))
        proved = [one.about for one in proofs]
        traced = _traced(trace, inputs, proved)
        version = metadata.version("aftertune")
        view = build(config, trace.manifest, traced, source, version, proved)
        task.advance()
        page = render(view)
        shown = json.dumps(without_texts(view), ensure_ascii=False, indent=1, allow_nan=False)
        task.advance()
    with artefact.draft(out, plan) as draft:
        for name, text in ((PAGE, page), (DATA, shown)):
            artefact.write_durably(draft.folder / name, _writer(text))
        counts = {"done": view["n_answers"], "skipped": {}, "unscored": {}}
        about = {"findings": [one["sentence"] for one in view["findings"]],
                 "cautions": view["block"]["cautions"], "page": PAGE}  # fmt: skip
        return draft.finish(counts, about)


def _traced(trace: Artefact, inputs: Inputs, proved: Sequence[dict[str, Any]]) -> Traced:
    borrowings = filled(trace.table("borrowings").to_pylist(), proved)
    named = {one["row_index"] for one in borrowings if one["control"] is None}
    spoken = sorted({one["response_id"] for one in borrowings})
    responses = inputs.responses.table("responses").select(["response_id", "messages", "response"])
    rows = inputs.rows.table("rows").select(["row_index", "messages"])
    rows = rows.filter(pc.is_in(rows["row_index"], pa.array(sorted(named), pa.int64())))
    return Traced(
        borrowings=borrowings,
        responses={one["response_id"]: one for one in responses.to_pylist()},
        rows={one["row_index"]: one for one in rows.to_pylist()},
        held_out=trace.about["found"]["held_out"] is not None,
        q=trace.config["q"],
        tokens=_tokens(inputs.shift, spoken) if inputs.shift else {},
        pieces=_pieces(inputs.shift) if inputs.shift else {},
        proved=facts(proved),
    )


def _tokens(shift: Artefact, responses: list[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    wanted = pa.array(responses, pa.string())
    for part in shift.parts("tokens"):
        kept = part.filter(pc.is_in(part["response_id"], wanted)).select(_OF_TOKENS)
        for token in kept.to_pylist():
            found.setdefault(token["response_id"], []).append(token)
    return found


def _pieces(shift: Artefact) -> dict[int, str]:
    kept = json.loads((shift.folder / PIECES).read_text("utf-8"))
    return {int(token_id): piece for token_id, piece in kept.items()}


def _writer(text: str) -> Any:
    return lambda path: path.write_bytes(text.encode("utf-8"))  # no newline translation: hashes
