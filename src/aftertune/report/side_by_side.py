"""The answers of all models to the same prompts: which are shown, and what of each (pure)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aftertune.report import answers
from aftertune.report.config import ReportConfig
from aftertune.report.model_tables import ModelTables
from aftertune.report.shown import is_byte_level, piece_text, visible

LABEL = 90  # characters of a prompt in the list of prompts


def texts(given: ModelTables) -> answers.Text:
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


def prompts_of(models: Sequence[ModelTables]) -> list[str]:
    """Every prompt that a model answered, in the order of their source."""
    first: dict[str, int] = {}
    for given in models:
        ids, places = (given.responses.column(c).to_pylist() for c in ("prompt_id", "row_index"))
        for prompt_id, place in sorted(zip(ids, places, strict=True), key=lambda pair: pair[1]):
            first.setdefault(prompt_id, place)
    return sorted(first, key=lambda prompt_id: first[prompt_id])


def section(
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
        text = texts(given)
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
