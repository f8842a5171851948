"""Made-up artefacts of answers, for what reads answers and needs no model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Input, Plan
from aftertune.respond.config import GivenConfig


def answer(number: int, model: str, text: str | None = None, **tags: Any) -> dict[str, Any]:
    """The record of one answer to the prompt `item <number>.`"""
    message = {"role": "user", "content": f"This is item {number}.", "thinking": None,
               "tool_calls": None, "tool_call_id": None, "name": None}  # fmt: skip
    return {
        "response_id": f"{model}-{number}",
        "prompt_id": f"p-{number}",
        "row_index": number,
        "sample": 0,
        "model": model,
        "messages": [message],
        "response": f"Answer {number} of {model}." if text is None else text,
        "prompt_token_ids": None,
        "response_token_ids": None,
        "finish_reason": "given",
        "ids_from": "text",
        "tags": json.dumps(tags),
    }


def answers(
    out: Path, model: str, numbers: Sequence[int] | Mapping[int, str], **tags: Any
) -> Artefact:
    """An artefact of the stage `respond` with one answer to each of these prompts."""
    texts = dict(numbers) if isinstance(numbers, Mapping) else dict.fromkeys(numbers)
    records = [answer(number, model, text, **tags) for number, text in texts.items()]
    name = artefact.hash_json([model, records])
    config = GivenConfig(source="made", name=model)
    plan = Plan("respond", 1, {}, config, (Input("made", name, name, "made"),), {})
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"responses": schema.from_rows("responses", records)})
        return draft.finish({"done": len(records)}, {})
