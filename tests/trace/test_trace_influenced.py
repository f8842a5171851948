"""Scores with influence in the base: ranks within a span and among spans, blind to the side."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aftertune.config import build
from aftertune.errors import ConfigError
from aftertune.progress import Silent
from aftertune.schema import EVIDENCE
from aftertune.trace.config import TraceConfig
from aftertune.trace.influenced import MOST, OF_HALVES, by_halves, rescored
from aftertune.trace.materials import TraceInputs
from aftertune.trace.run import made, run
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


def test_by_halves_rows_go_by_what_they_add_alone() -> None:
    spans = {
        ("a", 0, 4): [record(1, 0.1, bm25=9.0), record(2, 0.9, bm25=1.0), record(6, 0.9)],
        ("b", 0, 4): [record(3, 2.0), record(4, None)],
    }
    found = by_halves(spans)
    # of equal ones the one that stood in front
    assert [one["row_index"] for one in found["a", 0, 4]] == [2, 6, 1]
    assert [one["score"] for one in found["b", 0, 4]] == pytest.approx([0.0, -np.log(2)])
    # second among the spans, and 1 and 2 share their rank in it
    assert [one["score"] for one in found["a", 0, 4]] == pytest.approx(
        [-np.log(2), -np.log(2), -np.log(2) - np.log(3) + np.log(1.5)]
    )
    known = {"shift_nats": 1.0, "base_logprob": -3.0}
    more = {
        ("a", 0, 4): [record(1, 0.1, **known)],
        ("b", 0, 4): [record(3, 2.0, **{**known, "shift_nats": 0.5})],
    }
    scores = {key: of[0]["score"] for key, of in by_halves(more).items()}
    # the base finds both as unlikely: they share ranks 1 and 2
    shared = -OF_HALVES["base_surprise"] * np.log(1.5)
    assert scores["a", 0, 4] == pytest.approx(shared - np.log(2))
    assert scores["b", 0, 4] == pytest.approx(shared - OF_HALVES["shift_nats"] * np.log(2))


def test_the_side_of_a_row_changes_no_score() -> None:
    generator = np.random.default_rng(0)

    def given(sides: Any) -> Any:
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
    for way in (rescored, by_halves):
        one, other = way(given(held)), way(given(np.full((4, 4), None)))
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

    config = build(
        TraceConfig, {"embeddings": False, "surprisal": False, "influence_base": True, "top": 3}
    )
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
    without = build(TraceConfig, {"embeddings": False, "surprisal": False, "top": 3})
    assert run(without, inputs, tmp_path, Silent()).id != found.id


def test_tunings_on_halves_judge_all_parts_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_made_finder(monkeypatch, tmp_path)
    rows = [(f"Describe the planet number {n}", "It has turquoise oceans.") for n in range(12)]
    said = [("Describe the planet", f"It is turquoise {n}.") for n in range(5)]
    inputs = TraceInputs(
        made_responses(said, tmp_path), given := made_rows(rows, tmp_path),
        tune=made_tune(given, {1, 3, 5, 7}, tmp_path),
    )  # fmt: skip
    asked: list[int] = []

    def judge(records: Any) -> list[float | None]:
        asked.append(len({one["response_id"] for one in records}))
        return [float(one["row_index"]) for one in records]

    options = {"embeddings": False, "surprisal": False, "influence_halves": 8, "part_responses": 2}
    config = build(TraceConfig, options)
    assert made(config, inputs, tmp_path) is None
    found = run(config, inputs, tmp_path, Silent(), judge)
    assert asked == [5]
    assert made(config, inputs, tmp_path).id == found.id
    with pytest.raises(ConfigError, match="fill one column"):
        build(TraceConfig, {**options, "influence_base": True})
    with pytest.raises(ConfigError, match="multiple of 2"):
        build(TraceConfig, {**options, "influence_halves": 9})
