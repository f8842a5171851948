"""The stage `respond`: a model answers prompts, batch by batch, into the table `responses`.

Prompts are rendered and batches planned before the first answer; a part of the table is a batch.
Several processes take parts.
The ids of an answer are those that the model produced, the stop token among them.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from aftertune import artefact, parallel, schema
from aftertune.artefact import Artefact, Draft, Plan
from aftertune.data.render import stop_ids
from aftertune.data.templates import Template
from aftertune.errors import InputError, ModelError
from aftertune.models.generate import Settings, decode, generate
from aftertune.models.identity import identity
from aftertune.models.load import Loaded, load, load_tokenizer
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import ModelRef, find
from aftertune.progress import Progress
from aftertune.respond import batches, compare
from aftertune.respond.config import RespondConfig
from aftertune.respond.prompts import (
    Aside,
    Asked,
    count_reasons,
    describe_template,
    questions,
    read_prefixes,
    records_of,
    short_name,
    tell,
    template_for,
    template_input,
)

VERSION = 1


def run(config: RespondConfig, prompts: Artefact, out: Path, progress: Progress) -> Artefact:
    """Answer the prompts of the artefact `prompts` with `config.model`: table `responses`.

    Prompts that the template refuses, or that leave no room for `max_new_tokens`, stand in the
    table `set_aside` with the reason. Raises UserError, also when no prompt can be answered.
    """
    records = records_of(prompts)[: config.limit]
    ref = find(config.model, config.base)
    tokenizer = load_tokenizer(ref, trust_remote_code=config.trust_remote_code)
    template = template_for(config.template, ref, tokenizer)
    prefixes, prefix_input = read_prefixes(config.prefix) if config.prefix else ({}, None)
    device = choose_device(config.device)
    resolved = _resolved(config, ref, template, device)
    inputs = [prompts.as_input("prompts"), identity(ref).as_input("model")]
    inputs += [template_input(template), *([prefix_input] if prefix_input else [])]
    recorded = environment(device, parallel.group().size)
    plan = Plan("respond", VERSION, config.given(), resolved, tuple(inputs), recorded)
    if found := artefact.find(out, plan):
        return found
    loaded = load(
        ref, dtype=resolved.dtype, device=device, purpose="generate", progress=progress,
        trust_remote_code=config.trust_remote_code, device_map=config.device_map,
    )  # fmt: skip
    posed = questions(records, prefixes, template, loaded, resolved.max_new_tokens)
    tell(posed.aside, posed.notes, len(records), progress)
    if not posed.asked:
        reason = posed.aside[0].reason if posed.aside else "there are none"
        raise InputError(f"none of the {len(records):,} prompts can be answered: {reason}.")
    stops = stop_ids(template, tokenizer)
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        if not draft.has(0, ["set_aside"]):
            aside = [one.as_record() for one in posed.aside]
            draft.write(0, {"set_aside": schema.from_rows("set_aside", aside)})
        _answer_all(draft, resolved, loaded, posed.asked, stops, progress)
        if finished := draft.meet():
            return finished
        table = _written(draft)
        about = {
            "model": {**loaded.identity.describe(), "facts": loaded.facts},
            "template": describe_template(template, posed.notes),
            "stop_ids": stops,
            "settings": vars(_settings(resolved)),
            "n_prefixes": sum(bool(one.prefix) for one in posed.asked),
            "stability": _stability(table, resolved, loaded, posed.asked, stops, progress),
        }
        return draft.finish(_counts(table, posed.aside), about)


def _resolved(
    config: RespondConfig, ref: ModelRef, template: Template, device: torch.device
) -> RespondConfig:
    parameters, stored = parameter_count(ref), stored_dtype(ref)
    return config.resolve(
        name=config.name or short_name(config.model),
        template=template.name,
        dtype=choose_dtype(config.dtype, device, parameters, "generate", stored),
        device=str(device),
    )


def _settings(config: RespondConfig) -> Settings:
    return Settings(config.max_new_tokens, config.temperature, config.top_p, config.top_k)


def _answer_all(
    draft: Draft,
    config: RespondConfig,
    loaded: Loaded,
    asked: Sequence[Asked],
    stops: list[int],
    progress: Progress,
) -> None:
    """Write every batch of this process that is not there yet."""
    lengths = [len(one.ids) + len(one.prefix) for one in asked]
    plan = batches.plan(lengths, config.n, config.batch_size)
    mine = draft.mine(range(len(plan)))
    missing = [i for i in mine if not draft.has(i, ["responses"])]
    total, left = (sum(len(plan[i]) for i in parts) for parts in (mine, missing))
    with progress.task(f"{config.name} answers", total, total - left) as task:
        for index in missing:
            batch = [(asked[prompt], sample) for prompt, sample in plan[index]]
            records = _answer(batch, draft.plan.id, config, loaded, stops)
            draft.write(index, {"responses": schema.from_rows("responses", records)})
            task.advance(len(batch))


def _written(draft: Draft) -> pa.Table:
    """All answers, those of earlier runs and of other processes too."""
    parts = sorted((draft.folder / "responses").glob("part-*.parquet"))
    return pa.concat_tables(map(pq.read_table, parts))


def _answer(
    batch: Sequence[tuple[Asked, int]],
    plan_id: str,
    config: RespondConfig,
    loaded: Loaded,
    stops: list[int],
) -> list[dict[str, Any]]:
    seeds = None
    if config.temperature is not None:
        seeds = [
            batches.sample_seed(config.seed, one.record["prompt_id"], one.record["row_index"], n)
            for one, n in batch
        ]
    try:
        answers = generate(
            loaded.plain, [one.ids for one, _ in batch], stops, _settings(config),
            [one.prefix for one, _ in batch], seeds,
        )  # fmt: skip
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{config.model} has no memory to answer {len(batch)} prompts at once on "
            f"{loaded.device}; lower --batch-size."
        ) from error
    records = []
    for (one, sample), answer in zip(batch, answers, strict=True):
        ids = [*one.prefix, *answer.ids]
        place = [plan_id, one.record["prompt_id"], one.record["row_index"], sample]
        shown = ids[:-1] if answer.finish_reason == "stop" else ids
        records.append(
            {
                "response_id": f"a-{artefact.hash_json(place)[:16]}",
                "prompt_id": one.record["prompt_id"],
                "row_index": one.record["row_index"],
                "sample": sample,
                "model": config.name,
                "messages": one.record["messages"],
                "response": decode(loaded.tokenizer, shown),
                "prompt_token_ids": one.ids,
                "response_token_ids": ids,
                "finish_reason": answer.finish_reason,
                "ids_from": "generated",
                "tags": one.record["tags"],
            }
        )
    return records


def _stability(
    table: pa.Table,
    config: RespondConfig,
    loaded: Loaded,
    asked: Sequence[Asked],
    stops: list[int],
    progress: Progress,
) -> dict[str, Any]:
    """What other batches would have changed; see respond/compare.py."""
    if config.dtype == "float32":
        return compare.unchecked(config.dtype, "in float32 the batch does not change an answer")
    if config.temperature is not None:
        return compare.unchecked(config.dtype, "sampled answers are not compared")
    by_place = {one.record["row_index"]: one for one in asked}
    written = table.select(["response_id", "row_index", "response_token_ids"])
    written = written.sort_by("row_index").to_pylist()
    chosen = [written[place] for place in compare.choose(len(written), config.seed)]
    answers = []
    for record in chosen:
        one = by_place[record["row_index"]]
        new = record["response_token_ids"][len(one.prefix) :]
        answers.append(compare.Answer(record["response_id"], one.ids, one.prefix, new))
    return compare.stability(
        loaded.plain, answers, stops, _settings(config), config.batch_size, progress
    )


def _counts(table: pa.Table, aside: Sequence[Aside]) -> dict[str, Any]:
    """Answers by how they ended, prompts set aside by reason, tokens of the answers."""
    ids = table.column("response_token_ids").to_pylist()
    ends = Counter(table.column("finish_reason").to_pylist())
    return {
        "done": table.num_rows,
        "skipped": count_reasons(aside),
        "unscored": {},
        "finish_reasons": dict(sorted(ends.items())),
        "tokens": sum(map(len, ids)),
        "empty": sum(not text.strip() for text in table.column("response").to_pylist()),
    }
