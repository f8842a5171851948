"""The stage `shift`: both models read the same responses; tables `tokens` and `noise_floor`.

Every response is teacher-forced through the base and the tuned model in the same kind of pass:
the bodies once per padded batch, the heads over a few positions at a time. The noise floor is
measured first. Where a shift in 16 bits turns out not to be well above it, everything is scored
in float32 instead.
"""

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Plan
from aftertune.errors import InputError, ModelError
from aftertune.models.precision import (
    Decided,
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import Identity, tuning_facts
from aftertune.progress import Progress
from aftertune.shift import batches, tokens
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import Models, find_models
from aftertune.shift.pair import Item, score
from aftertune.shift.places import where
from aftertune.shift.prepare import Measured, Ready, prepare
from aftertune.shift.summary import summarise, summarise_floor
from aftertune.text.spans import pieces

VERSION = 2  # intervals draw prompts; where the shift is

OTHER_TEXT = "its token ids do not decode to its text"
NOT_NUMBERS = "a model's logits for it are not numbers"

_SUMMARISED = [name for name in schema.TOKENS.names if name not in ("base_top", "tuned_top")]


def run(config: ShiftConfig, responses: Artefact, out: Path, progress: Progress) -> Artefact:
    """The shift of `config.tuned` from `config.base` on the artefact `responses`.

    An adapter on that base is scored against the same weights with the adapter off. Responses
    that cannot be scored are counted by reason. Raises UserError, also when none can be.
    """
    models = find_models(config, progress)
    device = choose_device(config.device)
    resolved = config.resolve(
        name=config.name or Path(config.tuned).name,
        dtype=_dtype(config, models, device),
        device=str(device),
    )
    inputs = (
        responses.as_input("responses"),
        models.base_identity.as_input("base"),
        models.tuned_identity.as_input("tuned"),
    )
    plan = Plan("shift", VERSION, config.given(), resolved, inputs, environment(device))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        ready, items, skipped, measured = prepare(draft, resolved, models, responses, progress)
        _score_all(draft, resolved, ready, items, progress)
        return _finish(draft, models, ready, measured, items, skipped, responses)


def _dtype(config: ShiftConfig, models: Models, device: torch.device) -> Decided:
    sizes = [parameter_count(ref) for ref in (models.base, models.tuned)]
    return choose_dtype(config.dtype, device, max(sizes), "score", stored_dtype(models.tuned))


def _score_all(
    draft: Draft, config: ShiftConfig, ready: Ready, items: Sequence[Item], progress: Progress
) -> None:
    """Write every part of `tokens` that is not there yet."""
    lengths = [len(item.prompt) + len(item.response) for item in items]
    scored = [len(item.response) for item in items]
    parts = batches.plan(lengths, scored, config.batch_tokens, config.part_tokens)
    work = [sum(lengths[place] for batch in part for place in batch) for part in parts]
    missing = [index for index in range(len(parts)) if not draft.has(index, ["tokens"])]
    done = sum(work) - sum(work[index] for index in missing)
    with progress.task(f"{config.name}: tokens read by both models", sum(work), done) as task:
        for index in missing:
            tables = [tokens.empty()]
            for batch in parts[index]:
                chosen = [items[place] for place in batch]
                tables += _score_batch(config, ready, chosen)
                task.advance(sum(lengths[place] for place in batch))
            draft.write(index, {"tokens": pa.concat_tables(tables)})


def _score_batch(config: ShiftConfig, ready: Ready, items: Sequence[Item]) -> list[pa.Table]:
    """Tables of the responses that can be scored; `_why_unscored` says why of the others."""
    tables = []
    try:
        metrics = score(ready.pair, ready.heads, items, ready.common, config.top_k)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"there is no memory on {ready.pair.tuned.device} to score {len(items)} responses at "
            "once; lower --batch-tokens."
        ) from error
    for item, one in zip(items, metrics, strict=True):
        if one["kl_tuned_base_nats"].isnan().any():
            continue
        try:
            placed = tokens.placed(
                ready.pair.tuned.tokenizer, item.response_id, item.response, item.text, item.stopped
            )
        except InputError:
            continue
        tables.append(tokens.table(placed, one))
    return tables


def _why_unscored(ready: Ready, item: Item) -> str:
    try:
        tokens.placed(ready.pair.tuned.tokenizer, "", item.response, item.text, item.stopped)
    except InputError:
        return OTHER_TEXT
    return NOT_NUMBERS


def _finish(
    draft: Draft, models: Models, ready: Ready, measured: Measured, items: Sequence[Item],
    skipped: dict[str, int], responses: Artefact,
) -> Artefact:  # fmt: skip
    """Counts and summary of what is on disk, also by an earlier run; then the manifest."""
    config = draft.plan.resolved
    assert isinstance(config, ShiftConfig)
    table = _written(draft, "tokens", _SUMMARISED)
    done = set(table.column("response_id").to_pylist())
    missing = Counter(_why_unscored(ready, item) for item in items if item.response_id not in done)
    counts = {
        "done": len(done),
        "skipped": skipped,
        "unscored": dict(sorted(missing.items())),
        "tokens": table.num_rows,
        "without_rank": {"argmax outside the common vocabulary":
                         table.column("base_rank_of_tuned_argmax").null_count},
    }  # fmt: skip
    _write_pieces(draft, ready)
    floor = summarise_floor(_written(draft, "noise_floor"), measured.dtype, measured.absent)
    base = ready.pair.base
    about = {
        "name": config.name,
        "models": {
            "base": _describe(models.base_identity, (base or ready.pair.tuned).facts),
            "tuned": _describe(models.tuned_identity, ready.pair.tuned.facts),
        },
        "shared_weights": base is None,
        "tuning": tuning_facts(models.tuned),
        "dtype": measured.dtype,
        "rescored_in_fp32": measured.rescored is not None,
        "rescored": measured.rescored,
        "vocabulary": ready.vocab.describe(),
        "noise": floor,
        "summary": summarise(table, config.seed, _prompt_of(responses)),
        "where": where(table, responses.table("responses"), config.seed),
        "text": {"responses": responses.id, "models": _text_models(responses)},
        "template": responses.about.get("template"),
    }
    return draft.finish(counts, about)


def _write_pieces(draft: Draft, ready: Ready) -> None:
    """`pieces.json`: the piece of every preferred token, so that no reader needs a tokenizer."""
    found: set[int] = set()
    for name in ("base_top", "tuned_top"):
        entries = _written(draft, "tokens", [name]).column(name).combine_chunks().flatten()
        found.update(entries.field("token_id").unique().to_pylist())
    ids = sorted(found)
    known = dict(zip(map(str, ids), pieces(ready.pair.tuned.tokenizer, ids), strict=True))
    text = json.dumps(known, ensure_ascii=False)
    artefact.write_durably(draft.folder / "pieces.json", partial(_write_text, text))


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _describe(identity: Identity, facts: dict[str, Any]) -> dict[str, Any]:
    return {**identity.describe(), "facts": facts}


def _prompt_of(responses: Artefact) -> dict[str, str]:
    table = responses.table("responses")
    ids, prompts = (table.column(name).to_pylist() for name in ("response_id", "prompt_id"))
    return dict(zip(ids, prompts, strict=True))


def _text_models(responses: Artefact) -> list[str]:
    """Whose responses were scored: no KL is without the text that it was taken on."""
    return sorted(set(responses.table("responses").column("model").to_pylist()))


def _written(draft: Draft, table: str, columns: list[str] | None = None) -> pa.Table:
    paths = sorted((draft.folder / table).glob("part-*.parquet"))
    return pa.concat_tables(pq.read_table(path, columns=columns) for path in paths)
