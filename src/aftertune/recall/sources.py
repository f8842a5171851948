"""Where facts come from: a file, TruthfulQA's CSV, MMLU's archive, the package, or records.

A zip archive is read as MMLU's: `test/<subject>_test.csv` files without a header.
"""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.artefact import Input, hash_json
from aftertune.data.sources import open_source
from aftertune.errors import InputError
from aftertune.recall.config import FactsConfig
from aftertune.recall.facts import BadFact, Fact, from_mmlu, from_record, gathered

POCKET = "embedded:pocket"
_TEST = "_test.csv"


@dataclass(frozen=True)
class Facts:
    """Facts to ask for. `input` names their content; aside: reason -> records without a fact."""

    facts: tuple[Fact, ...]
    source: str
    input: Input
    aside: dict[str, int]


def read(config: FactsConfig) -> Facts:
    """The facts of a file or `embedded:pocket`; raises InputError where there are none."""
    path = Path(config.source)
    if path.suffix.lower() == ".zip" and path.is_file():
        return _named(_mmlu(path), config)
    kind: Any = "facts"  # the name of the packaged file; open_source reads any record
    raws = open_source(config.source, kind, "train").raws
    found = (
        BadFact(raw.row_index, raw.error.reason) if raw.error
        else from_record(raw.value, raw.row_index)
        for raw in raws
    )  # fmt: skip
    return _named(found, config)


def of_records(records: Iterable[dict[str, Any]], config: FactsConfig) -> Facts:
    """Facts that another source than a file made; `config.source` says which."""
    return _named((from_record(one, place) for place, one in enumerate(records)), config)


def _named(found: Iterable[Fact | BadFact], config: FactsConfig) -> Facts:
    facts, aside = gathered(found, config.limit, config.seed)
    reasons = dict(Counter(one.reason for one in aside).most_common())
    if not facts:
        why = f" (record {aside[0].row_index + 1:,}: {aside[0].reason})" if aside else ""
        raise InputError(
            f"{config.source} holds no fact{why}; give records with question and answer."
        )
    # what was set aside is shown beside the answers, so it is part of what is asked
    content = hash_json([*(one.as_record() for one in facts), *([reasons] if reasons else [])])
    return Facts(tuple(facts), config.source, Input("facts", content, content, config.source),
                 reasons)  # fmt: skip


def _mmlu(path: Path) -> Iterator[Fact | BadFact]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(_TEST))
            if not names:
                raise InputError(
                    f"{path} holds no *{_TEST}; give MMLU's archive, or unpack another one and "
                    "give a file in it."
                )
            index = 0
            for name in names:
                subject = Path(name).name.removesuffix(_TEST)
                text = io.StringIO(archive.read(name).decode("utf-8-sig"), newline="")
                for cells in csv.reader(text):
                    yield from_mmlu(cells, subject, index)
                    index += 1
    except (zipfile.BadZipFile, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}); fetch it again.") from error
