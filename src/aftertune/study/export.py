"""`study export`: what people said, as files that other programs read.

Parquet and JSON Lines hold every value as it is. In CSV a text that a spreadsheet would take for a
formula has an apostrophe in front, since answers and notes are other people's text.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from aftertune import schema
from aftertune.artefact import write_durably
from aftertune.errors import InputError
from aftertune.study import label_studio, tables
from aftertune.study.collected import Collected
from aftertune.study.rated import Rated

TASKS, CONFIG = "label-studio-tasks.json", "label-studio-config.xml"
PEOPLE = "people.jsonl"
TABLES: Mapping[str, Callable[[Sequence[Rated]], list[dict[str, Any]]]] = {
    "ratings": tables.ratings,
    "spans": tables.spans,
    "causes": tables.causes,
}
# also their wide forms, which some spreadsheets read alike; tab and line breaks open a cell anew
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def run(study: Collected, folder: Path, withdrawn: bool = False) -> dict[str, int]:
    """Write ratings, spans and causes as `.parquet`, `.jsonl` and `.csv` into `folder`.

    withdrawn: also ratings that were taken back or changed later. Gives how many records each table
    has; spans and causes only of a study of spans. A study of aspects also gives `people.jsonl`,
    for `judge --people`. Files of an earlier export are replaced.
    """
    kept = [one for one in study.rated if withdrawn or not one.withdrawn]
    if not withdrawn:
        kept = _latest(kept)
    _make(folder)
    counts = {}
    for name, records_of in TABLES.items():
        if name != "ratings" and study.kind != "spans":
            continue
        records = records_of(kept)
        table = schema.from_rows(name, [dict(one) for one in records])
        columns = schema.TABLES[name].names
        write_durably(folder / f"{name}.parquet", partial(pq.write_table, table))
        write_durably(folder / f"{name}.jsonl", partial(_write_lines, records))
        write_durably(folder / f"{name}.csv", partial(_write_csv, records, columns))
        counts[name] = len(records)
    if study.kind == "aspects":
        people = tables.for_judge(study.rated)
        write_durably(folder / PEOPLE, partial(_write_lines, people))
        counts["for_a_judge"] = len(people)
    return counts


def for_label_studio(study: Collected, folder: Path) -> int:
    """Write the study's items as tasks and a labelling config; gives how many tasks."""
    _make(folder)
    tasks = label_studio.tasks(study.items)
    text = json.dumps(tasks, ensure_ascii=False, indent=1)
    xml = label_studio.config(study.kind, study.aspects)
    for name, written in ((TASKS, text), (CONFIG, xml)):
        write_durably(folder / name, partial(_write_text, written))
    return len(tasks)


def safe_cell(value: Any) -> Any:
    """A value of a CSV cell that no spreadsheet computes; numbers stay numbers.

    >>> safe_cell("=1+1"), safe_cell(" -x"), safe_cell(-1.5), safe_cell("plain"), safe_cell(None)
    ("'=1+1", "' -x", -1.5, 'plain', None)
    """
    if not isinstance(value, str):
        return value
    return (
        f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value
    )


def _latest(rated: Sequence[Rated]) -> list[Rated]:
    """Of a person and an item the newest rating."""
    newest: dict[tuple[str, str], Rated] = {}
    for one in rated:
        key = one.person, one.item_id
        if key not in newest or newest[key].sequence < one.sequence:
            newest[key] = one
    return sorted(newest.values(), key=lambda one: one.sequence)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be used ({error.strerror}); give another.") from error


def _write_lines(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    lines = [json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in records]
    _write_text("".join(lines), path)


def _write_csv(records: Sequence[Mapping[str, Any]], columns: Sequence[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([safe_cell(one[column]) for column in columns] for one in records)


def _write_text(text: str, path: Path) -> None:
    path.write_bytes(text.encode("utf-8"))  # no newline translation
