"""The stages `rows` and `prompts`: a source, loaded, checked and counted once.

An item's id is made of its messages and tools alone; equal items share it and keep their own
lines, so later stages tell items apart by `row_index`. That is the item's place in the source
from 0: bad rows count, and an object that holds several items counts once for each.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact
from aftertune.data import census, formats
from aftertune.data.clusters import cluster_ids
from aftertune.data.config import Format, Kind, PromptsConfig, RowsConfig, SourceConfig
from aftertune.data.conversations import BadRow, Message
from aftertune.data.formats import Item
from aftertune.data.raw import RAW_CHARACTERS, Raw
from aftertune.data.sources import open_source
from aftertune.errors import InputError
from aftertune.progress import Progress

VERSION = 1
PART_ROWS = 4096
_HEAD = 1000  # objects among which the first 50 good ones are looked for
_SHOWN = 50

Placed = tuple[int, int | None, Item]  # row_index, line, item


def run_rows(config: RowsConfig, out: Path, progress: Progress) -> Artefact:
    """Instruction-tuning rows as tables `rows` and `set_aside`; raises InputError."""
    return _run("rows", config, out, progress)


def run_prompts(config: PromptsConfig, out: Path, progress: Progress) -> Artefact:
    """Evaluation prompts as tables `prompts` and `set_aside`; raises InputError."""
    return _run("prompts", config, out, progress)


def overlap(rows: Artefact, prompts: Artefact) -> dict[str, Any]:
    """Evaluation prompts that the rows already ask; see census.overlap."""
    return census.overlap(rows.table("rows"), prompts.table("prompts"))


def _run(kind: Kind, config: SourceConfig, out: Path, progress: Progress) -> Artefact:
    source = open_source(config.source, kind, config.split, config.revision)
    head = list(islice(source.raws, _HEAD))
    resolved = config.resolve(format=_format(head, kind, config))
    plan = artefact.Plan(kind, VERSION, config.given(), resolved, source.inputs)
    if found := artefact.find(out, plan):
        _stop_if_strict(found, config)
        return found
    with progress.task(f"loading {kind}", total=4) as task:
        items, aside = _load(chain(head, source.raws), kind, resolved)
        if not items:
            raise _nothing_good(aside, kind, config)
        task.advance(note="near duplicates")
        records = _records(items, kind)
        task.advance(note="counting")
        counted = census.census(records, [item.tags for _, _, item in items], aside, kind)
        task.advance(note="writing")
        with artefact.draft(out, plan) as draft:
            _write(draft, kind, records)
            several = len(source.inputs) > 1
            _write(draft, "set_aside", [_aside_record(bad, several) for bad in aside])
            skipped = dict(Counter(bad.reason for bad in aside).most_common())
            counts = {"done": len(items), "skipped": skipped, "unscored": {}}
            about = {"source": config.source, "format": resolved.format, "census": counted}
            finished = draft.finish(counts, about)
        task.advance()
    _tell(finished, kind, progress)
    return finished


def _format(head: list[Raw], kind: Kind, config: SourceConfig) -> Format:
    if not head:
        raise InputError(f"{config.source} holds no {kind}.")
    if config.format != "auto":
        return config.format
    values = [raw.value for raw in head if raw.error is None][:_SHOWN]
    if not values:
        raise _nothing_good([_set_aside(raw, raw.error) for raw in head if raw.error], kind, config)
    try:
        return formats.recognise(values, kind)
    except InputError as error:
        raise InputError(f"{config.source}: {error}") from error


def _load(
    raws: Iterable[Raw], kind: Kind, config: SourceConfig
) -> tuple[list[Placed], list[census.SetAside]]:
    parse = formats.parse_row if kind == "rows" else formats.parse_prompt
    items: list[Placed] = []
    aside: list[census.SetAside] = []
    moved = 0  # by how much objects of several items have moved the places after them
    for raw in raws:
        try:
            if raw.error is not None:
                raise raw.error
            parsed = parse(raw.value, config.format)
        except BadRow as bad:
            aside.append(_set_aside(raw, bad, moved))
            if config.strict:
                raise _strict(aside[-1], config) from bad
            continue
        items += [(raw.row_index + moved + n, raw.line, item) for n, item in enumerate(parsed)]
        moved += len(parsed) - 1
        if config.limit is not None and len(items) >= config.limit:
            return items[: config.limit], aside
    return items, aside


def _set_aside(raw: Raw, bad: BadRow, moved: int = 0) -> census.SetAside:
    text = raw.raw or json.dumps(raw.value, ensure_ascii=False)[:RAW_CHARACTERS]
    storable = text.encode("utf-8", "replace").decode()
    index = raw.row_index + moved
    return census.SetAside(bad.reason, bad.detail, index, raw.line, raw.file, storable)


def _aside_record(bad: census.SetAside, several_files: bool) -> dict[str, object]:
    where = f"{bad.file}: " if several_files else ""
    reason = where + bad.sentence()
    return {"row_index": bad.row_index, "line": bad.line, "reason": reason, "raw": bad.raw}


def _records(items: list[Placed], kind: Kind) -> list[dict[str, Any]]:
    id_column, letter = ("row_id", "r-") if kind == "rows" else ("prompt_id", "p-")
    ids = [
        letter + artefact.hash_json({"messages": item.messages, "tools": item.tools})[:16]
        for _, _, item in items
    ]
    clusters = cluster_ids(ids, [_whole_text(item.messages) for _, _, item in items])
    first: dict[str, int] = {}
    records = []
    for item_id, cluster_id, (row_index, line, item) in zip(ids, clusters, items, strict=True):
        earlier = first.setdefault(item_id, row_index)
        records.append(
            {
                id_column: item_id,
                "row_index": row_index,
                "line": line,
                "messages": item.messages,
                "tools": item.tools,
                "cluster_id": cluster_id,
                "duplicate_of": None if earlier == row_index else earlier,
                "tags": json.dumps(item.tags, ensure_ascii=False, allow_nan=False),
            }
        )
    return records


def _whole_text(messages: list[Message]) -> str:
    said = (one[part] for one in messages for part in ("thinking", "content", "tool_calls"))
    return "\n".join(text for text in said if text)


def _write(draft: artefact.Draft, table: str, records: list[dict[str, Any]]) -> None:
    for index, part in enumerate(_parts(records)):
        if not draft.has(index, [table]):
            draft.write(index, {table: schema.from_rows(table, part)})


def _parts(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Parts of PART_ROWS; one empty part of no records, so that the table exists."""
    for start in range(0, max(1, len(records)), PART_ROWS):
        yield records[start : start + PART_ROWS]


def _nothing_good(aside: list[census.SetAside], kind: Kind, config: SourceConfig) -> InputError:
    reasons = Counter(bad.reason for bad in aside)
    reason, count = reasons.most_common(1)[0]
    example = next(bad for bad in aside if bad.reason == reason)
    where = f"the first at {_where(example)}"
    return InputError(
        f"{config.source} has no usable {kind.removesuffix('s')}: {count:,} of {len(aside):,} "
        f"were set aside for `{reason}`, {where}."
    )


def _strict(bad: census.SetAside, config: SourceConfig) -> InputError:
    return InputError(
        f"{bad.file or config.source}, {_where(bad)}: {bad.sentence()}; mend it, or leave out "
        "--strict to set such rows aside."
    )


def _where(bad: census.SetAside) -> str:
    return f"line {bad.line}" if bad.line is not None else f"row {bad.row_index} (from 0)"


def _stop_if_strict(found: Artefact, config: SourceConfig) -> None:
    """An artefact may have been made without --strict: its first bad row stops as it would have."""
    if not config.strict or not found.counts["skipped"]:
        return
    first = found.table("set_aside").slice(0, 1).to_pylist()[0]
    place = first["row_index"], first["line"]
    raise _strict(census.SetAside(first["reason"], "", *place, config.source, ""), config)


def _tell(finished: Artefact, kind: Kind, progress: Progress) -> None:
    counted = finished.about["census"]
    progress.say(f"{finished.counts['done']:,} {kind}, format {finished.about['format']}")
    for reason, count in finished.counts["skipped"].items():
        progress.warn(
            f"{count:,} {kind} set aside: {reason} (table set_aside in {finished.folder})"
        )
    later = counted.get("later_turns_not_asked", {"prompts": 0, "turns": 0})
    if later["prompts"]:
        progress.warn(
            f"{later['prompts']:,} prompts have {later['turns']:,} later turns, which are not "
            "asked: only the first turn is"
        )
