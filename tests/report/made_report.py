"""Made-up but consistent artefacts: what tune, respond and shift would leave on disk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict

from aftertune import artefact, schema
from aftertune.artefact import Artefact
from aftertune.config import StageConfig
from aftertune.report.run import ReportModel
from aftertune.shift.summary import summarise, summarise_floor

LEXICON = (
    "The a of to and is in it that was for on are as with by this from at an which one you "
    "largest planet Jupiter system solar because however typically several following answer "
    "capital city water boil minutes first second written year play poet small town known "
    "gravity light plants energy process Yes Here steps add salt then heat slowly until soft"
)
WORDS = LEXICON.split()
STOP = "<|im_end|>"
PIECES = [STOP, ".", "Ċ", *(f"Ġ{word}" for word in WORDS)]
TEXTS = ["", ".", "\n", *(f" {word}" for word in WORDS)]
HOSTILE = (
    '<script>document.title="owned"</script><img src="https://example.org/x" '
    'onerror="document.title=\'owned\'"> </script> & "quotes" שלום עולם مرحبا 👩‍🚀🙂 '
    "\u202eevil\u2066 \x07 \u2028 é <!-- "
)
CATEGORIES = ("unshifted", "marginal", "shifted")


class AnyConfig(StageConfig):
    """Stands in for another stage's config."""

    model_config = ConfigDict(extra="allow", frozen=True)


def write(
    out: Path,
    stage: str,
    tables: dict[str, pa.Table],
    config: dict[str, Any] | None = None,
    counts: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    key: str = "",
    files: dict[str, str] | None = None,
) -> Artefact:
    """A finished artefact of any stage; its id depends on `key` and the config."""
    source = artefact.Input("made-up", key, key, f"{out}/tune-0123456789abcdef/model")
    plan = artefact.Plan(stage, 1, {}, AnyConfig(**(config or {})), (source,))
    with artefact.draft(out, plan) as draft:
        draft.write(0, tables)
        for file, text in (files or {}).items():
            (draft.folder / file).write_text(text, encoding="utf-8")
        return draft.finish(counts or {"done": 1, "skipped": {}, "unscored": {}}, about)


def message(role: str, content: str) -> dict[str, Any]:
    return {
        "role": role,
        "content": content,
        "thinking": None,
        "tool_calls": None,
        "tool_call_id": None,
        "name": None,
    }


def response_record(
    prompt: int,
    model: str,
    text: str,
    ids: Sequence[int] = (),
    finish: str = "stop",
    question: str | None = None,
) -> dict[str, Any]:
    return {
        "response_id": f"r-{model}-{prompt}",
        "prompt_id": f"p{prompt}",
        "row_index": prompt,
        "sample": 0,
        "model": model,
        "messages": [
            message("user", question or f"Question {prompt}: which is the largest planet?")
        ],
        "response": text,
        "prompt_token_ids": [3, 4],
        "response_token_ids": list(ids),
        "finish_reason": finish,
        "ids_from": "generated",
        "tags": "{}",
    }


def token_record(response_id: str, position: int, **values: Any) -> dict[str, Any]:
    """A token that did not shift at all, with what `values` change."""
    same = [{"token_id": 3, "prob": 0.9}, {"token_id": 4, "prob": 0.05}]
    record = {
        "response_id": response_id,
        "position": position,
        "token_id": 3,
        "token": "ĠThe",
        "char_start": 0,
        "char_end": 4,
        "sentence": 0,
        "position_in_sentence": position,
        "base_logprob": -0.1,
        "tuned_logprob": -0.1,
        "base_rank": 1,
        "tuned_rank": 1,
        "rank_ties": 0,
        "is_tuned_argmax": True,
        "tuned_argmax": 3,
        "base_rank_of_tuned_argmax": 1,
        "base_prob_of_tuned_argmax": 0.9,
        "kl_tuned_base_nats": 0.0,
        "kl_base_tuned_nats": 0.0,
        "js_nats": 0.0,
        "base_entropy_nats": 0.4,
        "tuned_entropy_nats": 0.4,
        "category": "unshifted",
        "base_top": same,
        "tuned_top": same,
        "base_mass_outside_common": 0.0,
        "tuned_mass_outside_common": 0.0,
    }
    unknown = values.keys() - record.keys()
    assert not unknown, unknown
    return record | values


def random_answer(
    rng: np.random.Generator, response_id: str, n: int, strength: float
) -> tuple[str, list[int], list[dict[str, Any]]]:
    """n tokens, the last one the stop token, and their records; more shift at the beginning."""
    text, ids, records = "", [], []
    sentence = place = 0
    for position in range(n):
        token = 0 if position == n - 1 else int(rng.integers(3, len(PIECES)))
        if token and place > 8 and rng.random() < 0.25:
            token = 1 if rng.random() < 0.8 else 2
        pull = strength * (1.0 + 4.0 * np.exp(-position / 6)) * (1.6 if place == 0 else 1.0)
        kl = float(rng.gamma(0.4, pull / 0.4))
        rank = 1 if kl < 0.35 else int(rng.integers(2, 4)) if kl < 0.9 else int(rng.integers(4, 60))
        others = [int(t) for t in rng.choice(np.arange(3, len(PIECES)), 5, replace=False)]
        tuned_ids = [token, *[t for t in others if t != token][:4]]
        base_ids = (
            tuned_ids
            if rank == 1
            else [*others[: rank - 1], token, *others[rank:]]
            if rank <= 3
            else others
        )[:5]
        probs = np.sort(rng.dirichlet(np.full(6, 0.5)))[::-1][:5]
        start, text = len(text), text + TEXTS[token]
        ids.append(token)
        records.append(
            token_record(
                response_id,
                position,
                token_id=token,
                token=PIECES[token],
                char_start=start,
                char_end=len(text),
                sentence=sentence,
                position_in_sentence=place,
                tuned_argmax=token,
                base_logprob=float(np.log(probs[0] / (rank**1.5))),
                tuned_logprob=float(np.log(probs[0])),
                base_rank=rank,
                base_rank_of_tuned_argmax=rank,
                base_prob_of_tuned_argmax=float(probs[0] / rank**1.5),
                kl_tuned_base_nats=kl,
                kl_base_tuned_nats=kl * 0.9,
                js_nats=min(kl / 4, 0.69),
                category=CATEGORIES[0 if rank == 1 else 1 if rank <= 3 else 2],
                base_top=[
                    {"token_id": t, "prob": float(p)} for t, p in zip(base_ids, probs, strict=False)
                ],
                tuned_top=[
                    {"token_id": t, "prob": float(p)}
                    for t, p in zip(tuned_ids, probs, strict=False)
                ],
            )
        )
        place += 1
        if token in (1, 2):
            sentence, place = sentence + 1, 0
    return text, ids, records


def model_artefacts(
    out: Path,
    name: str,
    answers: list[tuple[dict[str, Any], list[dict[str, Any]]]],
    *,
    method: str | None = "full",
    rate: float | None = 5e-5,
    floor: float = 0.0003,
    tuned_here: bool = True,
    note: str | None = None,
    stability: dict[str, Any] | None = None,
    dtype: str = "float32",
    pieces: list[str] | None = PIECES,
    shift_config: dict[str, Any] | None = None,
    shift_about: dict[str, Any] | None = None,
) -> ReportModel:
    """Artefacts of one model from (response record, its token records)."""
    responses = schema.from_rows("responses", [response for response, _ in answers])
    tokens = schema.from_rows("tokens", [token for _, records in answers for token in records])
    noise = schema.from_rows(
        "noise_floor",
        [
            {
                "kind": "cached",
                "model": "tuned",
                "response_id": "x",
                "position": k,
                "kl_nats": floor * (k + 1) / 2,
                "argmax_differs": False,
            }
            for k in range(3)
        ],
    )
    tuning = {"method": method, "learning_rate": rate, "epochs": 3, "batch_size": 8}
    about = {
        "name": name,
        "text": {"responses": "x", "models": [name]},
        "models": {
            "base": {"id": "b", "spec": "embedded:some-base", "facts": {"note": note}},
            "tuned": {
                "id": name,
                "spec": f"{out}/tune-0123456789abcdef/model",
                "facts": {"adapter": {"rank": 8} if method == "lora" else None},
            },
        },
        "tuning": tuning if tuned_here else None,
        "dtype": dtype,
        "summary": summarise(tokens),
        "noise": summarise_floor(noise, dtype, {}),
        **(shift_about or {}),
    }
    shift = write(
        out,
        "shift",
        {"tokens": tokens, "noise_floor": noise},
        {"tuned": name, "base": "b", "trust_remote_code": False, **(shift_config or {})},
        about=about,
        key=name,
        counts={"done": len(answers), "skipped": {}, "unscored": {}},
        files={"pieces.json": json.dumps(dict(enumerate(pieces)))} if pieces else {},
    )
    respond = write(
        out,
        "respond",
        {"responses": responses},
        {"temperature": None, "max_new_tokens": 96},
        about={"stability": stability or {"checked": False}},
        key=name,
    )
    tune = None
    if tuned_here:
        loss = schema.from_rows(
            "loss",
            [
                {
                    "step": k + 1,
                    "epoch": (k + 1) / 20,
                    "loss_nats": 1.4
                    + 1.2 * float(np.exp(-k * (rate or 1e-5) * 600))
                    + 0.12 * float(np.sin(k * 1.7)),
                    "grad_norm": 1.0,
                    "learning_rate": rate or 0.0,
                    "n_trained_tokens": 300,
                    "n_tokens": 700,
                }
                for k in range(60)
            ],
        )
        tune = write(
            out,
            "tune",
            {"loss": loss},
            tuning | {"lora_rank": 8},
            {"done": 160, "skipped": {}},
            {"steps": 60},
            key=name,
        )
    return ReportModel(name, shift, respond, tune)


def random_model(
    out: Path,
    name: str,
    n_prompts: int,
    n_tokens: int,
    strength: float,
    seed: int,
    first_prompt: int = 0,
    **options: Any,
) -> ReportModel:
    rng = np.random.default_rng(seed)
    answers = []
    for prompt in range(first_prompt, first_prompt + n_prompts):
        length = max(3, int(n_tokens * rng.uniform(0.8, 1.2)))
        text, ids, tokens = random_answer(rng, f"r-{name}-{prompt}", length, strength)
        answers.append(
            (response_record(prompt, name, text, ids, "stop" if prompt % 7 else "length"), tokens)
        )
    return model_artefacts(out, name, answers, **options)


NOTE = (
    "Some-Base-Instruct, rounded to 4 bits (GGUF Q4_1) and dequantised; it is already an assistant."
)
CENSUS = {
    "items": 168,
    "set_aside": {"no messages": {"count": 2, "examples": []}},
    "unsupported": 0,
    "exact_duplicates": {"count": 1, "items": 2, "examples": [{"row_indices": [3, 17]}]},
    "near_duplicates": {"count": 0, "items": 0, "examples": []},
    "conflicting_duplicates": {"count": 1, "items": 2, "examples": [{"row_indices": [5, 9]}]},
    "system_prompts": {"count": 0, "examples": []},
    "several_turns": {"count": 4, "examples": [1]},
    "tool_calls": {"count": 0, "examples": []},
    "thinking": {"count": 0, "examples": []},
    "prompt_words": {},
    "empty_responses": 1,
    "response_words": {"min": 2, "p25": 20, "median": 41, "p75": 88, "p95": 150, "max": 240},
}
OVERLAP = {"prompts": 32, "exact": 1, "near": 2, "matches": []}


def text_artefact(out: Path, kind: str) -> Artefact:
    identity = "row_id" if kind == "rows" else "prompt_id"
    table = schema.from_rows(
        kind,
        [
            {
                identity: "x",
                "row_index": 0,
                "line": None,
                "messages": [message("user", "Hello?")],
                "tools": None,
                "cluster_id": "c",
                "duplicate_of": None,
                "tags": "{}",
            }
        ],
    )
    about = {"source": "embedded:pocket", "format": "alpaca", "census": CENSUS}
    return write(out, kind, {kind: table}, about=about, key=kind)
