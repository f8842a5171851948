"""Scores with influence in the base: ranks within a span and among spans, blind to the side."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aftertune.config import build
from aftertune.progress import Silent
from aftertune.schema import EVIDENCE
from aftertune.trace.config import TraceConfig
from aftertune.trace.influenced import MOST, rescored
from aftertune.trace.materials import TraceInputs
from aftertune.trace.run import run
from aftertune.trace.weights import fitted
from made_trace import made_responses, made_rows, made_tune, use_made_finder


def record(row: int, influence: float | None, **known: Any) -> dict[str, Any]:
    return {**dict.fromkeys(EVIDENCE), "row_index": row, "influence": influence, "score": 0.0,
            "control": None, "base_logprob": None, **known}  # fmt: skip


def test_rows_by_influence_and_spans_by_that_of_their_best() -> None:
    spans = {
        ("a", 0, 4): [record(1, 0.1), record(2, 0.9)],
        ("b", 0, 4): [record(3, 2.0), record(4, None), record(5, 0.5)],
    }
    found = rescored(spans)
    assert [one["row_index"] for one in found["a", 0, 4]] == [2, 1]
    assert [one["row_index"] for one in found["b", 0, 4]] == [3, 5, 4]  # unknown is the least
    within, among = fitted("influence"), fitted("influence_spans")
    best, next_, last = (one["score"] for one in found["b", 0, 4])
    assert best == 0.0  # first among the two spans
    assert next_ == pytest.approx(-within["influence_base"] * np.log(2))
    assert last == pytest.approx(-within["influence_base"] * np.log(3))
    assert found["a", 0, 4][0]["score"] == pytest.approx(-among["influence_base"] * np.log(2))
    assert spans["a", 0, 4][0]["score"] == 0.0  # what was given is as it was
    assert rescored({}) == {}


def test_the_side_of_a_row_changes_no_score() -> None:
    generator = np.random.default_rng(0)

    def made(sides: Any) -> Any:
        return {
            ("a", n, n + 1): [
                record(
                    n * 4 + k, float(values[n, k]), bm25=float(values[k, n]), control=sides[n, k]
                )
                for k in range(4)
            ]
            for n in range(4)
        }

    values = generator.normal(size=(4, 4))
    held = np.where(generator.random((4, 4)) < 0.5, "held-out rows", None)
    one, other = rescored(made(held)), rescored(made(np.full((4, 4), None)))
    for key in one:
        assert [x["score"] for x in one[key]] == [x["score"] for x in other[key]]
        assert [x["row_index"] for x in one[key]] == [x["row_index"] for x in other[key]]


def test_a_trace_ranks_by_what_the_judge_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_made_finder(monkeypatch, tmp_path)
    rows = [(f"Describe the planet number {n}", "It has turquoise oceans.") for n in range(12)]
    inputs = TraceInputs(
        made_responses([("Describe the planet", "It is turquoise.")], tmp_path),
        given := made_rows(rows, tmp_path), tune=made_tune(given, {1, 3, 5, 7}, tmp_path),
    )  # fmt: skip
    asked: list[int] = []

    def judge(records: Any) -> list[float | None]:
        asked.extend(one["row_index"] for one in records)
        return [float(one["row_index"]) for one in records]

    config = build(TraceConfig, {"embeddings": False, "influence_base": True, "top": 3})
    found = run(config, inputs, tmp_path, Silent(), judge)
    records = found.table("borrowings").to_pylist()
    assert len(asked) == MOST
    trained = [one["row_index"] for one in records if one["control"] is None]
    assert trained == sorted((row for row in asked if row not in {1, 3, 5, 7}), reverse=True)[:3]
    held = [one["row_index"] for one in records if one["control"] is not None]
    assert held == [max(row for row in asked if row in {1, 3, 5, 7})]
    assert [one["influence"] for one in records if one["control"] is None] == trained
    assert len(asked) == MOST  # found again without asking
    run(config, inputs, tmp_path, Silent(), judge)
    assert len(asked) == MOST
    assert run(build(TraceConfig, {"embeddings": False, "top": 3}), inputs, tmp_path,
               Silent()).id != found.id  # fmt: skip
