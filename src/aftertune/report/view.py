"""From the artefacts' tables and manifests to everything that the page shows (pure).

The result is one plain dict of JSON values; nothing in it needs to be computed again. Statistics
come from `shift.summary` and `stats.intervals`; here they are only chosen, paired and named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aftertune.report import answers, comparison, how, places, rows, sentences
from aftertune.report.config import ReportConfig
from aftertune.report.facts import model_facts
from aftertune.report.shown import is_byte_level, piece_text, visible

CATEGORIES = ("unshifted", "marginal", "shifted")
LOSS_POINTS = 150  # of a curve; longer ones are averaged over neighbouring steps
LABEL = 90  # characters of a prompt in the list of prompts

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class ModelTables:
    """One tuned model: manifests and tables. `pieces`: token id -> the vocabulary's piece."""

    name: str
    shift: Manifest
    tokens: pa.Table
    respond: Manifest
    responses: pa.Table
    tune: Manifest | None = None
    loss: pa.Table | None = None
    pieces: Mapping[int, str] | None = None


def build(
    config: ReportConfig,
    models: Sequence[ModelTables],
    version: str,
    rows_manifest: Manifest | None = None,
    prompts_manifest: Manifest | None = None,
    overlap: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything on the page. Texts are absent where `config.redact` is set."""
    shown = [model(config, given, style) for style, given in enumerate(models)]
    compared = comparison.pairs(models, shown, config.seed)
    prompts = _prompts(models)
    manifests = [
        (f"{kind} {given.name}", manifest)
        for given in models
        for kind, manifest in (
            ("shift", given.shift),
            ("respond", given.respond),
            ("tune", given.tune),
        )
        if manifest
    ]
    others = {
        name: manifest
        for name, manifest in (("rows", rows_manifest), ("prompts", prompts_manifest))
        if manifest
    }
    found = {
        "title": config.title,
        "version": version,
        "redacted": config.redact,
        "subtitle": _subtitle(shown, len(prompts)),
        "conclusion": {
            "findings": sentences.findings(shown, compared),
            "cautions": sentences.cautions(shown, compared),
        },
        "models": shown,
        "pairs": compared,
        "table": comparison.table(shown),
        "places": places.tables(shown),
        "n_frequent": config.n_frequent,
        "n_prompts": len(prompts),
        "answers": None if config.redact else _answers(config, models, prompts),
        "rows": rows.section(rows_manifest, prompts_manifest, overlap),
        "how": {
            "definitions": how.definitions(),
            "inputs": how.inputs(manifests, others, config.redact),
            "versions": how.versions([m for _, m in manifests]),
        },
    }
    return {name: _visible(value) for name, value in found.items()}


def model(config: ReportConfig, given: ModelTables, style: int) -> dict[str, Any]:
    """One model's facts and numbers."""
    about = given.shift["about"]
    summary, noise = about["summary"], about["noise"]
    kl = summary["kl_tuned_base_nats"]
    n_answers = given.responses.num_rows
    return {
        "name": given.name,
        "style": style,
        **model_facts(given.shift, given.respond, given.tune),
        "kl": kl["per_token"],
        "kl_per_answer": kl["per_response"],
        "base_prob": summary["base_prob_of_tuned_argmax"]["per_token"],
        "base_rank": summary["base_rank_of_tuned_argmax"]["per_token"],
        "shares": {name: summary["categories"][name]["share"] for name in CATEGORIES},
        "floor": noise["floor_nats"],
        "floor_kind": noise["floor_kind"],
        "along": summary["along"],
        "where": _where(about.get("where"), config.redact),
        "sentence_start": summary["sentence_start"]["first"],
        "sentence_rest": summary["sentence_start"]["rest"],
        "frequent": None
        if config.redact
        else _frequent(summary["frequent"], given, config.n_frequent),
        "n_answers": n_answers,
        "n_scored": summary["n_responses"],
        "n_tokens": summary["n_tokens"],
        "mean_length": summary["n_tokens"] / summary["n_responses"]
        if summary["n_responses"]
        else None,
        "finish": _counted(given.responses.column("finish_reason")),
        "n_encoded": _counted(given.responses.column("ids_from")).get("encoded", 0),
        "n_empty": sum(not text.strip() for text in given.responses.column("response").to_pylist()),
        "unscored": {**given.shift["counts"]["skipped"], **given.shift["counts"]["unscored"]},
        "n_rows": given.tune["counts"].get("done") if given.tune else None,
        "n_steps": given.tune["about"].get("steps") if given.tune else None,
        "loss": [] if given.loss is None else _curve(given.loss),
    }


def _where(found: Mapping[str, Any] | None, redact: bool) -> Mapping[str, Any] | None:
    """Where the shift is; a redacted page has no tags, because their values are texts."""
    return {**found, "tags": {}, "tags_left_out": {}} if found and redact else found


def _visible(value: Any) -> Any:
    """Every text made visible, also names and places that a user or a file gave."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(name)): _visible(inner) for name, inner in value.items()}
    return [_visible(inner) for inner in value] if isinstance(value, list | tuple) else value


def _subtitle(models: Sequence[Mapping[str, Any]], n_prompts: int) -> str:
    bases = list(dict.fromkeys(m["base"] for m in models))
    n = len(models)
    return (
        f"{n} tuned model{'s' if n != 1 else ''} against "
        f"{', '.join(bases) or 'no base'}, on {n_prompts:,} prompt{'s' if n_prompts != 1 else ''}."
    )


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counted = column.value_counts().to_pylist()
    return {
        entry["values"]: entry["counts"]
        for entry in sorted(counted, key=lambda e: str(e["values"]))
    }


def _curve(loss: pa.Table) -> list[tuple[float, float]]:
    """(epoch, loss) of at most LOSS_POINTS points; a point is the mean over its steps."""
    epoch = loss.column("epoch").to_numpy()
    value = loss.column("loss_nats").to_numpy()
    blocks = min(len(value), LOSS_POINTS)
    edges = [len(value) * k // blocks for k in range(blocks + 1)] if blocks else [0]
    return [
        (float(epoch[a:b].mean()), float(value[a:b].mean()))
        for a, b in pairwise(edges)
        if np.isfinite(value[a:b]).all()
    ]


def _frequent(found: Mapping[str, Any], given: ModelTables, limit: int) -> dict[str, Any]:
    text = _texts(given)
    return {
        name: [
            (text(entry["token_id"]), entry["n"], entry["n_all"]) for entry in found[name][:limit]
        ]
        for name in CATEGORIES[1:]
    }


def _texts(given: ModelTables) -> answers.Text:
    """Token id -> how its piece is shown; `#id` where nobody kept the piece."""
    ids = given.tokens.column("token_id").to_pylist()
    known = dict(given.pieces or {}) | dict(
        zip(ids, given.tokens.column("token").to_pylist(), strict=True)
    )
    byte_level = is_byte_level(known.values())
    shown: dict[int, str] = {}

    def text(token_id: int) -> str:
        if token_id not in shown:
            piece = known.get(token_id)
            shown[token_id] = f"#{token_id}" if piece is None else piece_text(piece, byte_level)
        return shown[token_id]

    return text


def _prompts(models: Sequence[ModelTables]) -> list[str]:
    """Every prompt that a model answered, in the order of their source."""
    first: dict[str, int] = {}
    for given in models:
        ids, places = (given.responses.column(c).to_pylist() for c in ("prompt_id", "row_index"))
        for prompt_id, place in sorted(zip(ids, places, strict=True), key=lambda pair: pair[1]):
            first.setdefault(prompt_id, place)
    return sorted(first, key=lambda prompt_id: first[prompt_id])


def _answers(
    config: ReportConfig, models: Sequence[ModelTables], prompts: Sequence[str]
) -> dict[str, Any]:
    """As many prompts, evenly spread, as the limits of the config allow; at least one."""
    n = min(config.max_answers, len(prompts))
    while True:
        chosen = [prompts[place] for place in answers.spread(len(prompts), n)]
        data = _encoded(models, chosen)
        size = len(json.dumps(data, ensure_ascii=False).encode())
        if n <= 1 or size <= config.max_answer_bytes:
            return data
        n = max(1, min(n - 1, int(n * config.max_answer_bytes / size)))


def _encoded(models: Sequence[ModelTables], prompts: Sequence[str]) -> dict[str, Any]:
    pieces = answers.Pieces()
    shown: list[dict[str, Any]] = [
        {"label": "", "turns": [], "answers": [None] * len(models)} for _ in prompts
    ]
    place_of = {prompt_id: place for place, prompt_id in enumerate(prompts)}
    for number, given in enumerate(models):
        text = _texts(given)
        records = _first_samples(given.responses, prompts)
        tokens = _tokens_of(given.tokens, [record["response_id"] for record in records])
        for record in records:
            prompt = shown[place_of[record["prompt_id"]]]
            prompt["turns"] = prompt["turns"] or [_turn(m) for m in record["messages"]]
            prompt["answers"][number] = answers.encode(
                record, tokens.get(record["response_id"], []), text, pieces
            )
    for place, prompt in enumerate(shown):
        prompt["label"] = f"{place + 1}. {_label(prompt['turns'])}"
    names = [{"name": given.name, "style": style} for style, given in enumerate(models)]
    return {"models": names, "prompts": shown, "pieces": pieces.strings()}


def _first_samples(responses: pa.Table, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """One answer per prompt, the first sample of its first occurrence."""
    kept = responses.filter(pc.is_in(responses.column("prompt_id"), pa.array(prompts, pa.string())))
    kept = kept.sort_by([("row_index", "ascending"), ("sample", "ascending")])
    columns = ["response_id", "prompt_id", "messages", "response", "finish_reason"]
    first: dict[str, dict[str, Any]] = {}
    for record in kept.select(columns).to_pylist():
        first.setdefault(record["prompt_id"], record)
    return list(first.values())


def _tokens_of(tokens: pa.Table, response_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    wanted = pa.array(response_ids, pa.string())
    kept = tokens.filter(pc.is_in(tokens.column("response_id"), wanted)).sort_by("position")
    found: dict[str, list[dict[str, Any]]] = {}
    for record in kept.to_pylist():
        found.setdefault(record["response_id"], []).append(record)
    return found


def _turn(message: Mapping[str, Any]) -> tuple[str, str]:
    content = [message["content"], message.get("tool_calls")]
    return visible(message["role"]), visible("\n".join(part for part in content if part))


def _label(turns: Sequence[tuple[str, str]]) -> str:
    words = " ".join(turns[-1][1].split()) if turns else ""
    return words if len(words) <= LABEL else words[: LABEL - 1].rstrip() + "…"
