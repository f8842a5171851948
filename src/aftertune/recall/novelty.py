"""The stage `novelty`: how new each row is to the base. Table `novelty`.

Rows with a short answer get a class: examples are drawn from other such rows. All others get the
loss of their answer, in nats per token that carries content (content words, names, numbers), behind
"Question: ... Answer:". The two are not comparable, so the share that has a class is said.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan
from aftertune.data.encode import encode
from aftertune.models.identity import identity
from aftertune.models.load import load
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import find
from aftertune.models.score import Head, hidden_states
from aftertune.progress import Progress
from aftertune.recall import row_kinds
from aftertune.recall.asking import Asker, classified, stops_of
from aftertune.recall.classes import CLASSES, UNKNOWN
from aftertune.recall.config import RecallConfig
from aftertune.recall.facts import Fact
from aftertune.recall.reading import token_losses
from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import DRAWS, LEVEL, bootstrap_mean
from aftertune.text.kinds import kinds_of_tokens

VERSION = 2
READ_TOKENS = 4096  # of one pass, padding included
_READ = ["row_id", "row_index", "messages", "duplicate_of"]

Row = Mapping[str, Any]


def run(config: RecallConfig, rows: Artefact, out: Path, progress: Progress) -> Artefact:
    """How new the rows of the artefact `rows` are to `config.model`, without repeated rows."""
    ref = find(config.model, config.base)
    device = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device, parameter_count(ref), "score", stored_dtype(ref))
    resolved = config.resolve(
        dtype=dtype, device=str(device), name=config.name or Path(config.model).name,
        classify=True, template=None,
    )  # fmt: skip
    inputs = (rows.as_input("rows"), identity(ref).as_input("model"))
    plan = Plan("novelty", VERSION, config.given(), resolved, inputs, environment(device))
    if found := artefact.find(out, plan):
        return found
    records = [
        one for one in rows.table("rows").select(_READ).to_pylist() if one["duplicate_of"] is None
    ]
    asked = {
        one["row_index"]: fact
        for one in records
        if (fact := row_kinds.as_fact(one["messages"], one["row_index"],
                                      resolved.max_answer_words))
    }  # fmt: skip
    if len(asked) <= resolved.shots:
        asked = {}  # too few to show examples of
    loaded = load(ref, dtype=dtype, device=device, purpose="score", progress=progress,
                  trust_remote_code=config.trust_remote_code)  # fmt: skip
    asker = Asker(loaded, resolved, None, list(asked.values()), stops_of(loaded, None))
    size = resolved.batch_size
    batches = [records[at : at + size] for at in range(0, len(records), size)]
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        mine = draft.mine(range(len(batches)))
        missing = [index for index in mine if not draft.has(index, ["novelty"])]
        with progress.task("rows that the base knows", len(mine), len(mine) - len(missing)) as task:
            for index in missing:
                found_here = _novelty(asker, batches[index], asked)
                draft.write(index, {"novelty": schema.from_rows("novelty", found_here)})
                task.advance()
        if finished := draft.meet():
            return finished
        parts = sorted((draft.folder / "novelty").glob("part-*.parquet"))
        table = pa.concat_tables(map(pq.read_table, parts)).to_pylist() if parts else []
        counts = Counter(one["reason"] for one in table if one["reason"])
        done = {"done": len(table), "skipped": {}, "unscored": dict(counts)}
        about = {"model": loaded.identity.describe(), "source": rows.about.get("source"),
                 "found": summary(table, resolved.seed)}  # fmt: skip
        return draft.finish(done, about)


def summary(table: Sequence[Row], seed: int) -> dict[str, Any]:
    """How much of the set was new: classes of short answers, loss of the others (pure)."""
    short = [one["class"] for one in table if one["kind"] == row_kinds.SHORT]
    losses = [one for one in table if one["loss_nats_per_content_token"] is not None]
    counts = Counter(short)
    return {
        "n_rows": len(table),
        "n_short": len(short),
        "classes": {name: counts[name] for name in CLASSES if counts[name]},
        "new": bounded_mean([one == UNKNOWN for one in short], seed, DRAWS, LEVEL, "row").as_json(),
        "n_long": len(losses),
        "loss_nats_per_content_token": bootstrap_mean(
            [one["loss_nats_per_content_token"] * one["n_content_tokens"] for one in losses],
            [one["n_content_tokens"] for one in losses],
            seed,
        ).as_json(),
    }


def _novelty(
    asker: Asker, batch: Sequence[Row], asked: Mapping[int, Fact]
) -> list[dict[str, object]]:
    short = [asked[one["row_index"]] for one in batch if one["row_index"] in asked]
    of_class = {one["fact_id"]: one["class"] for one in classified(asker, short)}
    found: list[dict[str, object]] = [
        {
            "row_id": row["row_id"], "row_index": row["row_index"], "kind": row_kinds.SHORT,
            "class": of_class.get(str(row["row_index"])), "n_content_tokens": None,
            "loss_nats_per_content_token": None, "reason": None,
        }
        for row in batch
    ]  # fmt: skip
    others = [place for place, one in enumerate(found) if not one["class"]]
    read = _losses(asker, [batch[place]["messages"] for place in others])
    for place, values in zip(others, read, strict=True):
        found[place] |= values
    return found


def _losses(asker: Asker, rows: Sequence[Sequence[row_kinds.Message]]) -> list[dict[str, object]]:
    """Fields of rows that are not asked for, those of like length read together."""
    read = [_readable(asker, messages) for messages in rows]
    found: list[dict[str, object]] = [one if isinstance(one, dict) else {} for one in read]
    parts = {place: one for place, one in enumerate(read) if isinstance(one, tuple)}
    model, head = asker.loaded.model, Head.of(asker.loaded.model)
    for places in _batches({place: len(one[0]) + len(one[1]) for place, one in parts.items()}):
        states = hidden_states(
            model, [[*parts[place][0], *parts[place][1]] for place in places],
            [len(parts[place][0]) for place in places],
        )  # fmt: skip
        for place, state in zip(places, states, strict=True):
            _, ids, carries = parts[place]
            losses = token_losses(head, state, ids).double().tolist()
            counted = [loss for loss, used in zip(losses, carries, strict=True) if used]
            found[place] = {
                "kind": row_kinds.LONG,
                "n_content_tokens": len(counted),
                "loss_nats_per_content_token": sum(counted) / len(counted),
            }
    return found


def _readable(
    asker: Asker, messages: Sequence[row_kinds.Message]
) -> tuple[list[int], list[int], list[bool]] | dict[str, object]:
    """(ids of the prompt, ids of the answer, which of these carry content), or why not."""
    parts = row_kinds.before_answer(messages)
    if parts is None:
        return {"kind": row_kinds.NONE, "reason": "no answer behind a prompt"}
    before, answer = parts
    prompt = asker.ids(f"Question: {before}\nAnswer:")
    ids, spans = encode(f" {answer}", asker.tokenizer, first=False)
    room = asker.loaded.facts["context_length"]
    if room is not None and len(prompt) + len(ids) > room:
        return {"kind": row_kinds.LONG, "reason": "prompt and answer do not fit into the context"}
    carries = [kind in row_kinds.CONTENT for kind in kinds_of_tokens(f" {answer}", spans)]
    if not any(carries):
        return {"kind": row_kinds.LONG, "reason": "no token of the answer carries content"}
    return prompt, ids, carries


def _batches(lengths: Mapping[int, int]) -> list[list[int]]:
    """Places in the order of their lengths, so many together as fit into READ_TOKENS, padded."""
    found: list[list[int]] = []
    for place in sorted(lengths, key=lambda place: lengths[place]):
        if found and lengths[place] * (len(found[-1]) + 1) <= READ_TOKENS:
            found[-1].append(place)
        else:
            found.append([place])
    return found
