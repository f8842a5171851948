"""How often tracing names the true row first, beside its baselines: cases, measures, controls.

A case is an instruction and an answer that holds something of a row of a real set; which row, the
case says. `trace.py` runs this.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from aftertune.lab.detectors import Case as LabCase
from aftertune.lab.detectors import bm25
from aftertune.models.hashes import cache_dir
from aftertune.search.index import RowIndex, content_id
from aftertune.trace.finder import Answer, Finder, Settings
from aftertune.trace.reading import Nats

CASES = Path(__file__).parent / "trace_cases.json"
DATA = CASES.parent.parent.parent / "shared" / "data"
FIRST, AMONG = 1, 5
ABSENT = 10_000  # rank of a row that is not named at all
_ENDS = re.compile(r"[.!?:](?=\s|$)")

Rows = Sequence[Mapping[str, Any]]
Ranks = dict[str, int]  # case id -> best rank of a true row
Reads = Mapping[tuple[str, str], tuple[Nats, ...]]  # (instruction, answer) -> as a model read it


@dataclass(frozen=True)
class Case:
    """One answer that borrows; rows: places in the set `set` that are right; writer: o wrote the
    tracer too, the others apart from it."""

    id: str
    writer: str
    split: str
    set: str
    rows: tuple[int, ...]
    borrowed: tuple[str, ...]
    instruction: str
    answer: str
    unchanged: str | None  # the answer before something was put in, where it is someone else's


def read_cases(path: Path, data: Path) -> list[Case]:
    """The cases, with the answers that stand in the shared data filled in."""
    answers: dict[str, Any] = {}
    return [_case(one, data, answers) for one in json.loads(path.read_text())["cases"]]


def _case(one: dict[str, Any], data: Path, answers: dict[str, Any]) -> Case:
    instruction, answer, unchanged = one.get("instruction"), one.get("answer"), None
    if "answer_of" in one:
        name, place = one["answer_of"]
        if name not in answers:
            answers[name] = json.loads((data / f"outputs/just_eval/{name}.json").read_text())
        its = answers[name][place]
        instruction, answer = its["instruction"], its["output"]
        unchanged = answer
        for old, new in one.get("replace", []):
            assert answer.count(old) == 1, one["id"]
            answer = answer.replace(old, new)
        if "insert" in one:
            answer = _inserted(answer, *one["insert"])
    return Case(
        one["id"], one["writer"], one["split"], one["set"], tuple(one["rows"]),
        tuple(one["borrowed"]), instruction, answer, unchanged,
    )  # fmt: skip


def _inserted(answer: str, share: float, text: str) -> str:
    ends = [match.end() for match in _ENDS.finditer(answer)] or [len(answer)]
    at = min(ends, key=lambda end: abs(end - share * len(answer)))
    return f"{answer[:at]} {text}{answer[at:]}"


def rows_of(name: str, data: Path) -> list[dict[str, Any]]:
    """Rows of one set as `RowIndex` takes them."""
    records = json.loads((data / f"it/{name}.json").read_text())
    return [row(k, *_asked_said(one)) for k, one in enumerate(records)]


def row(index: int, asked: str, said: str) -> dict[str, Any]:
    """A row of one turn."""
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"row_index": index, "messages": messages}


def _asked_said(one: Mapping[str, Any]) -> tuple[str, str]:
    if "conversations" in one:
        asked, said = one["conversations"]
        return asked["value"], said["value"]
    given = f"\n{one['input']}" if one.get("input") else ""
    return one["instruction"] + given, one["output"]


def measured(cases: Sequence[Case], ranks: Ranks) -> dict[str, Any]:
    """Shares first and among five, by split, with exact 95% intervals (Clopper and Pearson)."""
    found: dict[str, Any] = {}
    for split in sorted({case.split for case in cases}):
        its = np.array([ranks[case.id] for case in cases if case.split == split])
        found[split] = {"n": len(its)}
        for name, most in (("first", FIRST), ("among_five", AMONG)):
            share = binomtest(int((its <= most).sum()), len(its))
            interval = share.proportion_ci(0.95)
            found[split][name] = round(float(share.statistic), 3)
            found[split][f"{name}_95"] = [round(interval.low, 3), round(interval.high, 3)]
    return found


def asked_of(case: Case, reads: Reads, answer: str | None = None) -> Answer:
    """The case, or its prompt with another answer, as the finder takes it."""
    said = case.answer if answer is None else answer
    return Answer(
        case.id, case.instruction, said, surprisal=reads.get((case.instruction, said), ())
    )


def of_finder(
    cases: Sequence[Case], indexes: Mapping[str, RowIndex], settings: Settings, reads: Reads
) -> tuple[Ranks, dict[str, float], dict[str, bool]]:
    """Ranks of the true rows, the best score of each case, and whether the first span of the true
    row touches what was borrowed (only where that stands in the answer as it is in the row)."""
    finders = {name: Finder(index, settings) for name, index in indexes.items()}
    ranks, scores, touched = {}, {}, {}
    for case in cases:
        found = finders[case.set].trace(asked_of(case, reads))
        named = list(dict.fromkeys(one.row_index for one in found))
        ranks[case.id] = _rank(named, case.rows)
        scores[case.id] = found[0].score if found else float("-inf")
        places = [case.answer.lower().find(text.lower()) for text in case.borrowed]
        spans = [(p, p + len(t)) for p, t in zip(places, case.borrowed, strict=True) if p >= 0]
        first = next((one for one in found if one.row_index in case.rows), None)
        if spans:
            touched[case.id] = first is not None and any(
                first.char_start < end and first.char_end > start for start, end in spans
            )
    return ranks, scores, touched


def of_bm25(cases: Sequence[Case], rows: Mapping[str, Rows]) -> Ranks:
    """The baseline: BM25 of instruction and answer over whole rows."""
    ranks = {}
    for name in rows:
        its = [case for case in cases if case.set == name]
        asked = [LabCase(case.id, case.instruction, case.answer, (0, 0)) for case in its]
        for case, found in zip(its, bm25(asked, rows[name]), strict=True):
            ranks[case.id] = _rank(list(found.rows), case.rows)
    return ranks


def of_embeddings(cases: Sequence[Case], indexes: Mapping[str, RowIndex]) -> Ranks:
    """The other baseline: cosine of instruction and answer with whole rows."""
    ranks = {}
    for case in cases:
        index = indexes[case.set]
        assert index.embedder is not None
        assert index.row_vectors is not None
        vector = index.embedder([f"{case.instruction} {case.answer}"])[0]
        order = np.argsort(-(index.row_vectors @ vector), kind="stable")
        ranks[case.id] = _rank(order.tolist(), case.rows)
    return ranks


def _rank(named: Sequence[int], right: Sequence[int]) -> int:
    places = [named.index(row) + 1 for row in right if row in named]
    return min(places, default=ABSENT)


def controls(
    cases: Sequence[Case],
    indexes: Mapping[str, RowIndex],
    scores: Mapping[str, float],
    reads: Reads,
) -> dict[str, Any]:
    """Best scores of the cases beside those of the same answers traced in the other sets, which
    they have nothing of, and of the answers before something was put in, in their own set."""
    finders = {name: Finder(index) for name, index in indexes.items()}
    foreign = {
        case.id: max(
            _best(finders[name], asked_of(case, reads)) for name in indexes if name != case.set
        )
        for case in cases
    }
    unchanged = {
        case.id: _best(finders[case.set], asked_of(case, reads, case.unchanged))
        for case in cases
        if case.unchanged is not None
    }
    return {
        name: {
            "n": len(other),
            "auroc": round(_auroc([scores[key] for key in other], list(other.values())), 3),
            "own_quartiles": _quartiles([scores[key] for key in other]),
            "quartiles": _quartiles(list(other.values())),
        }
        for name, other in (("foreign_rows", foreign), ("answer_before", unchanged))
    }


def _best(finder: Finder, asked: Answer) -> float:
    found = finder.trace(asked)
    return found[0].score if found else float("-inf")


def _auroc(above: Sequence[float], below: Sequence[float]) -> float:
    a, b = np.array(above)[:, None], np.array(below)
    return float(((a > b) + 0.5 * (a == b)).mean())


def _quartiles(values: Sequence[float]) -> list[float | None]:
    found = np.quantile(np.array(values), [0.25, 0.5, 0.75], method="nearest")
    return [round(float(value), 2) if np.isfinite(value) else None for value in found]


def ablation(
    cases: Sequence[Case],
    indexes: Mapping[str, RowIndex],
    reads: Reads,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """What each feature adds: the shares without it, candidates and weights left as they are."""
    weights = Finder(next(iter(indexes.values()))).weights
    found = {}
    for kind in weights:
        say(f"without {kind}")
        ranks, _, _ = of_finder(cases, indexes, Settings(without=(kind,)), reads)
        found[kind] = measured(cases, ranks)
    return found


def read_answers(cases: Sequence[Case]) -> tuple[Reads, dict[str, Any]]:
    """Every answer, and those before something was put in, as the embedded model reads them; and
    how long one took."""
    from aftertune.trace.surprisal import of_answers  # noqa: PLC0415 - torch only where asked for

    said = {(case.instruction, text) for case in cases for text in (case.answer, case.unchanged)}
    asked = [(prompt, text) for prompt, text in sorted(said, key=str) if text is not None]
    of_answers(asked[:1])  # the model is loaded
    start = time.perf_counter()
    say(f"reading {len(asked)} answers")
    reads = dict(zip(asked, of_answers(asked), strict=True))
    seconds = time.perf_counter() - start
    return reads, {
        "answers": len(asked),
        "tokens": sum(map(len, reads.values())),
        "seconds_each": round(seconds / len(asked), 3),
    }


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def indexes_of(
    rows: dict[str, list[dict[str, Any]]], embeddings: bool
) -> tuple[dict[str, RowIndex], dict[str, Any]]:
    """Indexes, kept by content in the user's cache where they hold embeddings."""
    if not embeddings:
        return {name: RowIndex.build(its) for name, its in rows.items()}, {}
    from aftertune.search.embeddings import minilm  # noqa: PLC0415 - torch only where asked for

    known: dict[tuple[str, ...], Any] = {}

    def remembered(texts: Sequence[str]) -> Any:
        if tuple(texts) not in known:
            known[tuple(texts)] = minilm(texts)
        return known[tuple(texts)]

    indexes, seconds = {}, {}
    for name, its in rows.items():
        path = cache_dir() / "search" / f"{content_id(its)}-embedded.npz"
        if not path.exists():
            start = time.perf_counter()
            path.parent.mkdir(parents=True, exist_ok=True)
            RowIndex.build(its, embedder=minilm).save(path)
            seconds[name] = round(time.perf_counter() - start, 1)
        indexes[name] = replace(RowIndex.load(path), embedder=remembered)
    return indexes, seconds
