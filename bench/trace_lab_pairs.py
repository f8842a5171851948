"""Wrong spans of a labelled world with the rows that were retrieved for them and all evidence."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact
from aftertune.data import templates
from aftertune.data.render import render_row
from aftertune.lab import base as base_stage
from aftertune.lab.cases import _base, _beside, judged
from aftertune.lab.detectors import MOST_BLAMED, PURE
from aftertune.lab.trace_detector import evidence_of, retrieved, span_evidence
from aftertune.models.load import load
from aftertune.models.said import said as said_of
from aftertune.progress import Progress
from aftertune.trace.influence import Scored, Suspect, influences
from trace_lab_measures import CEILING

BASELINES = ("bm25", "longest_common_span", "row_loss", "random")
INFLUENCE = "influence_base"

Record = dict[str, Any]


def spans_of_world(labels: Artefact, out: Path, progress: Progress) -> list[Record]:
    """Wrong spans with a decided label: {label, family, causal, rows (retrieved), evidence (kind ->
    one value a row), span (kind -> value), named (detector -> rows, best first)}. Kept in OUT."""
    kept = out / f"trace-lab-{labels.id}.json"
    if not kept.exists():
        world = judged(labels, "cpu", out, progress)
        pairs = retrieved(world.cases, world.rows)
        known = influence(labels, world.truths, [[one.row_index for one in of] for of in pairs])
        keep(kept, records(world, pairs, known))
    found: list[Record] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def records(world: Any, pairs: Sequence[Any], known: Sequence[dict[int, float]]) -> list[Record]:
    """The same from what was found. known: per span the influence of its rows."""
    said = {name: PURE[name](world.cases, world.rows) for name in BASELINES}
    found = []
    for place, (case, truth, of) in enumerate(zip(world.cases, world.truths, pairs, strict=True)):
        evidence = {kind: of_kind.tolist() for kind, of_kind in evidence_of(of, world.rows).items()}
        if of:
            evidence[INFLUENCE] = [known[place][one.row_index] for one in of]
        span = {}
        if of and case.tokens:
            best = {kind: max(values) for kind, values in evidence.items()}
            span = span_evidence(case, best)
        found.append({
            "label": truth["label"], "kind": truth["kind"], "causal": truth["rows"],
            "family": truth["attribute"].partition(".")[0],
            "rows": [one.row_index for one in of], "evidence": evidence, "span": span,
            "named": {
                **{name: list(one[place].rows[:MOST_BLAMED]) for name, one in said.items()},
                CEILING: truth["rows_b"] or [],
            },
        })  # fmt: skip
    return found


def influence(
    labels: Artefact, truths: Sequence[Record], rows: Sequence[Sequence[int]]
) -> list[dict[int, float]]:
    """Per span: row -> how much a small step that unlearns it would lower the log-probability of
    the span in the base, nats per unit of step. The base has seen no row, so rows that were
    held out and rows that were not are judged alike."""
    made, base = labels.about["artefacts"], _base(labels)
    by_id = {
        one["response_id"]: one
        for one in _beside(labels, made["responses"]).table("responses").to_pylist()
    }
    places = [(by_id[one["response_id"]], one["char_start"], one["char_end"]) for one in truths]
    tune = _beside(labels, made["tuned"])
    table = _beside(labels, made["rows"]).table("rows").to_pylist()
    return influence_of(base, tune, table, places, rows)


def influence_of(
    base: Artefact, tune: Artefact, table: Sequence[Record],
    places: Sequence[tuple[Record, int, int]], rows: Sequence[Sequence[int]],
    layers: int | None = None,
) -> list[dict[int, float]]:  # fmt: skip
    """places: a response and the characters [start, end) of a span; rows: those to judge."""
    folder = base_stage.model_folder(base)
    loaded = load(folder, dtype="float32", device="cpu")
    form = templates.get(str(tune.folder / "template.jinja"), loaded.tokenizer)
    wanted = {row for of in rows for row in of}
    scored = {}
    for row in table:
        if row["row_index"] in wanted:
            one = render_row(
                row["messages"], row["tools"], form, loaded.tokenizer, tune.config["max_length"],
                tags=json.loads(row["tags"]),
            )  # fmt: skip
            scored[row["row_index"]] = Scored(tuple(one.ids), tuple(map(bool, one.loss_mask)))
    suspects = [
        Suspect(_scored(loaded.tokenizer, *place), dict.fromkeys(of, ()))
        for place, of in zip(places, rows, strict=True)
    ]
    found = influences(loaded, suspects, scored, layers)
    return [{one.row_index: -one.own for one in of} for of in found]


def _scored(tokenizer: Any, record: Record, start: int, end: int) -> Scored:
    ids = record["response_token_ids"]
    ids = ids[:-1] if record["finish_reason"] == "stop" else ids
    said = said_of(tokenizer, record["prompt_token_ids"], ids, record["response"], (start, end))
    assert said is not None, "a span has characters"
    first = len(said.prompt) + said.first
    whole = (*said.prompt, *said.response[: said.end])
    return Scored(whole, tuple(place >= first for place in range(len(whole))))


def keep(path: Path, value: Any) -> None:
    """Whole or not at all."""
    text = json.dumps(value, indent=1) + "\n"
    artefact.write_durably(path, lambda place: place.write_text(text, encoding="utf-8"))
