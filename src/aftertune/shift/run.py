"""The stage `shift`: both models read the same responses; tables `tokens` and `noise_floor`.

Every response is teacher-forced through the base and the tuned model in the same kind of pass:
the bodies once per padded batch, the heads over a few positions at a time. The noise floor is
measured first. Where a shift in 16 bits turns out not to be well above it, everything is scored
in float32 instead. Several processes take parts.
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

from aftertune import artefact, parallel, schema
from aftertune.artefact import Artefact, Draft, Plan
from aftertune.errors import InputError
from aftertune.models.precision import (
    Decided,
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.score import Head
from aftertune.models.tuning_facts import tuning_facts
from aftertune.progress import Progress
from aftertune.shift import batches, tokens
from aftertune.shift.base_prompts import BaseTemplate, base_template
from aftertune.shift.bodies import room_for
from aftertune.shift.compat import note
from aftertune.shift.compat_summary import summarise_compat
from aftertune.shift.config import ShiftConfig
from aftertune.shift.groups import prompts_of
from aftertune.shift.inputs import Models, find_models
from aftertune.shift.pair import SIDES, Item, Which, measured
from aftertune.shift.places import where
from aftertune.shift.precision import precision
from aftertune.shift.prepare import Chosen, Measured, Ready, prepare
from aftertune.shift.summary import summarise, summarise_floor
from aftertune.text.spans import pieces

VERSION = 3  # where the shift is: over prompts, with the most frequent words

OTHER_TEXT = "its token ids do not decode to its text"
NOT_NUMBERS = "a model's logits for it are not numbers"

_SUMMARISED = [name for name in schema.TOKENS.names if name not in ("base_top", "tuned_top")]


def run(config: ShiftConfig, responses: Artefact, out: Path, progress: Progress) -> Artefact:
    """The shift of `config.tuned` from `config.base` on the artefact `responses`.

    An adapter on that base is scored against the same weights with the adapter off. With
    `lin2024` the table `lin2024_top30` stands beside `tokens`. Responses that cannot be scored are
    counted by reason. Raises UserError, also when none can be.
    """
    models = find_models(config, progress)
    device = choose_device(config.device)
    resolved = config.resolve(
        name=config.name or Path(config.tuned).name,
        dtype=_dtype(config, models, device),
        device=str(device),
    )
    template = base_template(config, models)
    inputs = (
        responses.as_input("responses"),
        models.base_identity.as_input("base"),
        models.tuned_identity.as_input("tuned"),
        *([template.as_input()] if template else []),
    )
    recorded = environment(device, parallel.group().size)
    plan = Plan("shift", VERSION, config.given(), resolved, inputs, recorded)
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        _warn(config, template, responses, progress)
        with parallel.process_0_first("the noise floor is measured"):
            ready, chosen, settled = prepare(draft, resolved, models, responses, template, progress)
        _score_all(draft, resolved, ready, chosen.items, progress)
        if finished := draft.meet():
            return finished
        counts = _counts(draft, ready, chosen)
        _write_pieces(draft, ready)
        about = _about(draft, models, ready, chosen, settled, responses, template)
        return draft.finish(counts, about)


def _warn(
    config: ShiftConfig, template: BaseTemplate | None, responses: Artefact, progress: Progress
) -> None:
    """What must be known of the options before their numbers are read."""
    if config.lin2024:
        progress.warn(note())
    if template and not template.stops_alike(responses.about.get("stop_ids")):
        progress.warn(
            f"under the base's template {template.template.name} answers do not end on the tokens "
            "on which the responses ended, or these are not known: the shift of stop tokens is "
            "the template's."
        )


def _dtype(config: ShiftConfig, models: Models, device: torch.device) -> Decided:
    sizes = [parameter_count(ref) for ref in (models.base, models.tuned)]
    return choose_dtype(config.dtype, device, max(sizes), "score", stored_dtype(models.tuned))


def _score_all(
    draft: Draft, config: ShiftConfig, ready: Ready, items: Sequence[Item], progress: Progress
) -> None:
    """Write every part of this process that is not there yet."""
    lengths = [item.length for item in items]
    scored = [len(item.response) for item in items]
    plan = batches.plan(lengths, scored, config.batch_tokens, config.part_tokens)
    mine = draft.mine(range(len(plan)))
    missing = [index for index in mine if not draft.has(index, _tables(config))]
    parts = {
        f"{index:05d}": [[items[place] for place in batch] for batch in plan[index]]
        for index in missing
    }
    ready.bodies.fill(parts)
    heads = ready.bodies.heads()
    total, left = (
        sum(lengths[place] for index in some for batch in plan[index] for place in batch)
        for some in (mine, missing)
    )
    label = f"{config.name}: tokens read by both models"
    with progress.task(label, total, total - left) as task:
        for index, (part, chosen) in zip(missing, parts.items(), strict=True):
            found = {name: [schema.TABLES[name].empty_table()] for name in _tables(config)}
            for number, batch in enumerate(chosen):
                for name, tables in _score_batch(config, ready, heads, part, number, batch).items():
                    found[name] += tables
                task.advance(sum(item.length for item in batch))
            draft.write(index, {name: pa.concat_tables(tables) for name, tables in found.items()})


def _tables(config: ShiftConfig) -> list[str]:
    return ["tokens", "lin2024_top30"] if config.lin2024 else ["tokens"]


def _score_batch(
    config: ShiftConfig, ready: Ready, heads: dict[Which, Head], part: str, number: int,
    items: Sequence[Item],
) -> dict[str, list[pa.Table]]:  # fmt: skip
    """Tables of the responses that can be scored; `_why_unscored` says why of the others."""
    states = ready.bodies.states(part, number, items)
    with room_for(len(items), ready.bodies.device):
        metrics = measured(states, heads, items, ready.common, config.top_k, config.lin2024)
    found: dict[str, list[pa.Table]] = {name: [] for name in _tables(config)}
    for item, one in zip(items, metrics, strict=True):
        if one["kl_tuned_base_nats"].isnan().any():
            continue
        try:
            placed = tokens.placed(
                ready.bodies.tokenizer, item.response_id, item.response, item.text, item.stopped
            )
        except InputError:
            continue
        found["tokens"].append(tokens.table(placed, one))
        if config.lin2024:
            found["lin2024_top30"].append(tokens.lin2024_table(placed, one))
    return found


def _why_unscored(ready: Ready, item: Item) -> str:
    try:
        tokens.placed(ready.bodies.tokenizer, "", item.response, item.text, item.stopped)
    except InputError:
        return OTHER_TEXT
    return NOT_NUMBERS


def _counts(draft: Draft, ready: Ready, chosen: Chosen) -> dict[str, Any]:
    """What is on disk, also by an earlier run and by other processes, and what is not."""
    table = _written(draft, "tokens", ["response_id", "base_rank_of_tuned_argmax"])
    done = set(table.column("response_id").to_pylist())
    missing = [item for item in chosen.items if item.response_id not in done]
    reasons = Counter(_why_unscored(ready, item) for item in missing)
    return {
        "done": len(done),
        "skipped": chosen.skipped,
        "unscored": dict(sorted(reasons.items())),
        "tokens": table.num_rows,
        "without_rank": {"argmax outside the common vocabulary":
                         table.column("base_rank_of_tuned_argmax").null_count},
    }  # fmt: skip


def _about(
    draft: Draft, models: Models, ready: Ready, chosen: Chosen, settled: Measured,
    responses: Artefact, template: BaseTemplate | None,
) -> dict[str, Any]:  # fmt: skip
    config = draft.plan.resolved
    assert isinstance(config, ShiftConfig)
    table, answers = _written(draft, "tokens", _SUMMARISED), responses.table("responses")
    prompt_of, refs = prompts_of(answers), {"base": models.base, "tuned": models.tuned}
    identities = {"base": models.base_identity, "tuned": models.tuned_identity}
    facts = {which: ready.bodies.facts(which) for which in SIDES}
    compat = _written(draft, "lin2024_top30") if config.lin2024 else None
    return {
        "name": config.name,
        "models": {
            which: {**identities[which].describe(), "facts": facts[which]} for which in SIDES
        },
        "shared_weights": models.share_weights,
        "tuning": tuning_facts(models.tuned),
        "dtype": settled.dtype,
        "precision": {
            which: precision(refs[which], facts[which], settled.dtype) for which in SIDES
        },
        "rescored_in_fp32": settled.rescored is not None,
        "rescored": settled.rescored,
        "vocabulary": ready.vocab.describe(),
        "noise": summarise_floor(_written(draft, "noise_floor"), settled.dtype, settled.absent),
        "summary": summarise(table, config.seed, prompt_of),
        "where": where(table, answers, config.seed),
        "lin2024": None if compat is None else summarise_compat(compat, config.seed, prompt_of),
        "text": {"responses": responses.id, "models": _text_models(responses)},
        "template": responses.about.get("template"),
        "base_template": {**template.describe(), "notes": chosen.notes} if template else None,
        "same_stop": template.stops_alike(responses.about.get("stop_ids")) if template else True,
    }


def _write_pieces(draft: Draft, ready: Ready) -> None:
    """`pieces.json`: the piece of every preferred token, so that no reader needs a tokenizer."""
    found: set[int] = set()
    for name in ("base_top", "tuned_top"):
        entries = _written(draft, "tokens", [name]).column(name).combine_chunks().flatten()
        found.update(entries.field("token_id").unique().to_pylist())
    ids = sorted(found)
    known = dict(zip(map(str, ids), pieces(ready.bodies.tokenizer, ids), strict=True))
    text = json.dumps(known, ensure_ascii=False)
    artefact.write_durably(draft.folder / "pieces.json", partial(_write_text, text))


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _text_models(responses: Artefact) -> list[str]:
    """Whose responses were scored: no KL is without the text that it was taken on."""
    return sorted(set(responses.table("responses").column("model").to_pylist()))


def _written(draft: Draft, table: str, columns: list[str] | None = None) -> pa.Table:
    paths = sorted((draft.folder / table).glob("part-*.parquet"))
    return pa.concat_tables(pq.read_table(path, columns=columns) for path in paths)
