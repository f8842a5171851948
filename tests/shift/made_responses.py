"""Artefacts of responses made for a tokenizer and a model, without the respond stage."""

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune import artefact, schema
from aftertune.config import StageConfig

PROMPTS = [
    "Who wrote the play?",
    "Name the capital of the country.",
    "How do I boil an egg? Put it into boiling water for seven minutes.",
    "日本語 and emoji 🙂",
    "The largest planet",
]


class MadeConfig(StageConfig):
    seed: int = 0


def greedy(folder, n_tokens, prompts=PROMPTS):
    """The model's own greedy answers as records of the table; lengths differ from 1 to n_tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    records = []
    for place, text in enumerate(prompts):
        prompt = tokenizer(text, add_special_tokens=False).input_ids
        wanted = max(1, n_tokens - 3 * place)
        ids = list(prompt)
        with torch.no_grad():
            for _ in range(wanted):
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        records.append(record(tokenizer, f"r{place}", prompt, ids[len(prompt) :]))
    return records


def record(tokenizer, response_id, prompt, response, text=None, finish_reason="length"):
    if text is None and response is not None:
        text = tokenizer.decode(
            response, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    return {
        "response_id": response_id,
        "prompt_id": f"p-{response_id}",
        "row_index": 0,
        "sample": 0,
        "model": "made",
        "messages": [],
        "response": text or "",
        "prompt_token_ids": prompt,
        "response_token_ids": response,
        "finish_reason": finish_reason,
        "ids_from": "generated",
        "tags": "{}",
    }


def made(out, records, seed=0):
    """`records` as a finished artefact in `out`."""
    given = artefact.Input("made", artefact.hash_json(records), "0" * 64, "made")
    plan = artefact.Plan("respond", 1, {}, MadeConfig(seed=seed), (given,))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"responses": schema.from_rows("responses", records)})
        return draft.finish({"done": len(records)}, {"template": {"name": "raw"}})
