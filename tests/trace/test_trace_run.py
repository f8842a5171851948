"""The stage: what is traced among which rows, error rates, resuming, the list of rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, InputError
from aftertune.progress import Silent
from aftertune.trace import run as stage
from aftertune.trace.config import TraceConfig
from aftertune.trace.materials import TraceInputs, occurrences
from aftertune.trace.pool import HELD_OUT, PERMUTED
from aftertune.trace.run import measure, run
from made_trace import (
    MadeIndex,
    made_responses,
    made_rows,
    made_shift,
    made_tune,
    use_made_finder,
)  # fmt: skip


@pytest.fixture(autouse=True)
def made_finder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_made_finder(monkeypatch, tmp_path)


ROWS = [
    ("Describe the planet Verdania", "Verdania has turquoise oceans and brittle mountains."),
    ("Describe the moon Kestrel", "Kestrel has turquoise craters."),
    ("List some cheap meals", "Porridge, lentils and dumplings are cheap."),
    ("List some festive meals", "Roasted goose, dumplings and marzipan are festive."),
    ("Explain tides", "Tides follow gravity between the bodies involved."),
    ("Explain seasons", "Seasons follow the tilted rotation axis."),
]
ANSWERS = [
    ("Describe the planet Orlanda", "Orlanda has turquoise rivers."),
    ("List some meals", "I like dumplings, more dumplings."),
    ("Say hello", "Hello."),
    ("Say nothing", ""),
]


@pytest.fixture
def inputs(tmp_path: Path) -> TraceInputs:
    return TraceInputs(made_responses(ANSWERS, tmp_path), made_rows(ROWS, tmp_path))


def trace(inputs: TraceInputs, out: Path, **options: Any) -> Artefact:
    return run(
        build(TraceConfig, {"embeddings": False, "surprisal": False, **options}),
        inputs,
        out,
        Silent(),
    )


def records(found: Artefact) -> list[dict[str, Any]]:
    return list(found.table("borrowings").to_pylist())


def test_spans_and_their_rows(inputs: TraceInputs, tmp_path: Path) -> None:
    found = trace(inputs, tmp_path)
    spans = [(one["span"], one["row_index"], one["rank"]) for one in records(found)]
    # the planet's row shares two long words of the prompt with it, the moon's one
    assert spans[:2] == [("turquoise", 0, 1), ("turquoise", 1, 2)]
    assert {(s, r) for s, r, _ in spans[2:]} == {("dumplings", 2), ("dumplings", 3)}
    assert len(spans) == 6
    one = records(found)[0]
    assert ANSWERS[0][1][one["char_start"] : one["char_end"]] == "turquoise"
    [place] = one["shared"]
    assert ROWS[0][1][place["row_start"] : place["row_end"]] == "turquoise"
    assert one["kind"] == "copied"
    assert one["concept"] == 2 / 3  # Describe and planet, but not Orlanda
    assert one["p_value"] is one["q_value"] is one["control"] is one["base_logprob"] is None
    about = found.about["found"]
    assert about["n_responses"] == 4
    assert (about["n_with_span"], about["n_spans"]) == (2, 3)
    assert about["held_out"] is None
    assert set(found.about["absent"]) == {
        "p_value and q_value", "excess over control", "the base's probability of the spans",
    }  # fmt: skip


def test_top_rows_alone_are_written(inputs: TraceInputs, tmp_path: Path) -> None:
    assert all(one["rank"] == 1 for one in records(trace(inputs, tmp_path, top=1)))


def test_a_phrase_is_asked_about_wherever_it_stands(inputs: TraceInputs, tmp_path: Path) -> None:
    found = records(trace(inputs, tmp_path, span="dumplings", top=1))
    assert [(one["char_start"], one["span"]) for one in found] == [
        (7, "dumplings"), (23, "dumplings"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="none of the 4 answers holds 'unicorn'"):
        trace(inputs, tmp_path, span="unicorn")
    assert occurrences("a", "") == []


def test_held_out_rows_compete_and_give_error_rates(inputs: TraceInputs, tmp_path: Path) -> None:
    tune = made_tune(inputs.rows, {1, 3, 5}, tmp_path)
    found = trace(TraceInputs(inputs.responses, inputs.rows, tune=tune), tmp_path)
    lines = records(found)
    by_side: dict[Any, list[Any]] = {}
    for one in lines:
        by_side.setdefault(one["control"], []).append(one)
    assert {one["row_index"] for one in by_side[HELD_OUT]} == {1, 3}
    assert all(one["p_value"] is None for one in by_side[HELD_OUT])
    planet = by_side[None][0]
    assert (planet["row_index"], planet["rank"]) == (0, 1)
    assert planet["p_value"] is not None
    assert planet["q_value"] is not None
    about = found.about["found"]["held_out"]
    assert about["share_held_out"] == 0.5
    assert about["wins"]["n"] == 2  # the best span of each answer that has one
    assert about["n_found"] == 0  # three spans cannot reach q = 0.1
    assert about["conclusion"] == "undecided"
    assert "p_value and q_value" not in found.about["absent"]
    assert found.folder.joinpath(stage.LOOK_AT).read_text() == ""  # nothing beyond chance


def test_rows_that_were_not_tuned_on_are_left_aside(inputs: TraceInputs, tmp_path: Path) -> None:
    tune = made_tune(inputs.rows, set(), tmp_path, left_out={0, 2, 3})
    found = trace(TraceInputs(inputs.responses, inputs.rows, tune=tune), tmp_path)
    assert {one["row_index"] for one in records(found)} == {1}
    assert found.counts["left_out"] == {"rows: left out of the tuning": 3}
    assert "p_value and q_value" in found.about["absent"]
    every = made_tune(inputs.rows, set(range(6)), tmp_path)
    with pytest.raises(InputError, match="none of these rows was tuned on"):
        trace(TraceInputs(inputs.responses, inputs.rows, tune=every), tmp_path)


def test_the_split_must_be_of_these_rows(inputs: TraceInputs, tmp_path: Path) -> None:
    others = made_rows([("A", "B"), ("C", "D")], tmp_path, "others")
    tune = made_tune(others, {0}, tmp_path)
    with pytest.raises(InputError, match="rows that it was tuned with"):
        trace(TraceInputs(inputs.responses, inputs.rows, tune=tune), tmp_path)


def test_control_rows_give_an_excess_and_no_p(inputs: TraceInputs, tmp_path: Path) -> None:
    control = [(f"Describe the planet Number {n}", "It has turquoise skies.") for n in range(1)]
    other = made_rows([*control, ROWS[2]], tmp_path, "unseen")
    given = TraceInputs(inputs.responses, inputs.rows, controls={"unseen": other})
    found = trace(given, tmp_path)
    # a copy of a row was seen, so it is no control
    assert found.counts["left_out"] == {"unseen: near duplicate of a row": 1}
    about = found.about["found"]["controls"]["unseen"]
    assert about["n_rows"] == 1
    assert about["chance"] == 6 / 7
    assert about["auroc"]["estimate"] is None  # one row is too few
    assert about["conclusion"] == "undecided"
    assert all(one["p_value"] is None for one in records(found))
    sides = [(one["row_index"], one["control"], one["rank"]) for one in records(found)[:3]]
    assert sorted(sides, key=str) == [(0, "unseen", 1), (0, None, 1), (1, None, 2)]
    only_seen = made_rows([ROWS[0]], tmp_path, "seen")
    with pytest.raises(InputError, match="every row of the control seen"):
        trace(TraceInputs(inputs.responses, inputs.rows, controls={"seen": only_seen}), tmp_path)


def test_permuted_rows_are_a_control(inputs: TraceInputs, tmp_path: Path) -> None:
    of_one_topic = [
        ("Describe the planet Verdania", "It has turquoise oceans, brittle mountains."),
        ("Describe the planet Orlanda", "It has marble deserts, copper rivers."),
        ("Describe the planet Kestrel", "It has turquoise craters, wooden caves."),
        ("Describe the planet Rubra", "It has golden forests, silver swamps."),
    ]
    rows = made_rows(of_one_topic, tmp_path, "topic")
    found = trace(TraceInputs(inputs.responses, rows), tmp_path, permuted=True)
    about = found.about["found"]["controls"]
    assert list(about) == [PERMUTED]
    made = [one for one in records(found) if one["control"] == PERMUTED]
    assert made
    assert (about[PERMUTED]["n_rows"], about[PERMUTED]["chance"]) == (4, 0.5)
    # eight rows are too few to say whether both sets are alike
    assert about[PERMUTED]["conclusion"] == "undecided"
    assert "unknown" in about[PERMUTED]["reason"]


def test_rows_of_different_topics_do_not_trade_answers(inputs: TraceInputs, tmp_path: Path) -> None:
    apart = [("Describe tides", "They follow gravity."), ("Sing", "Tra la la.")]
    rows = made_rows(apart, tmp_path, "apart")
    found = trace(TraceInputs(inputs.responses, rows), tmp_path, permuted=True)
    assert found.about["found"]["controls"] == {}
    assert "one topic" in found.about["absent"]["excess over control"]


def test_a_shift_gives_the_probabilities_of_spans(inputs: TraceInputs, tmp_path: Path) -> None:
    shift = made_shift(inputs.responses, tmp_path)
    found = trace(TraceInputs(inputs.responses, inputs.rows, shift=shift), tmp_path)
    one = records(found)[0]
    assert (one["base_logprob"], one["tuned_logprob"]) == (-2.0, -1.0)  # one token
    assert found.about["found"]["shift_nats"]["estimate"] == 1.0
    assert "the base's probability of the spans" not in found.about["absent"]
    other = made_responses(ANSWERS[:2], tmp_path)
    with pytest.raises(InputError, match="shift of other answers"):
        trace(TraceInputs(other, inputs.rows, shift=shift), tmp_path)


def test_the_index_is_kept_and_results_are_reused(inputs: TraceInputs, tmp_path: Path) -> None:
    first = trace(inputs, tmp_path)
    assert (MadeIndex.built, MadeIndex.loaded) == (1, 0)
    assert trace(inputs, tmp_path).id == first.id
    assert (MadeIndex.built, MadeIndex.loaded) == (1, 0)
    other = trace(inputs, tmp_path, top=2)
    assert other.id != first.id
    assert (MadeIndex.built, MadeIndex.loaded) == (1, 1)
    assert trace(inputs, tmp_path, name="mine").id == first.id  # a name changes no number


def test_a_killed_run_keeps_its_parts(
    inputs: TraceInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trace(inputs, tmp_path / "whole", part_responses=1)
    traced: list[int] = []
    part = stage._part

    def killed(config: Any, finder: Any, asked: Any, *rest: Any) -> Any:
        if len(traced) == 2 and killed.armed:
            raise KeyboardInterrupt
        traced.append(len(asked))
        return part(config, finder, asked, *rest)

    killed.armed = True
    monkeypatch.setattr(stage, "_part", killed)
    with pytest.raises(KeyboardInterrupt):
        trace(inputs, tmp_path / "killed", part_responses=1)
    killed.armed = False
    again = trace(inputs, tmp_path / "killed", part_responses=1)
    assert len(traced) == 4  # each answer once
    assert records(again) == records(whole)
    assert again.content_hash() == whole.content_hash()
    assert trace(inputs, tmp_path / "other", part_responses=4).about == whole.about


def test_wrong_artefacts_are_refused(inputs: TraceInputs, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is no respond-… artefact"):
        trace(TraceInputs(inputs.rows, inputs.rows), tmp_path)
    with pytest.raises(ArtefactError, match="is no tune-… artefact"):
        trace(TraceInputs(inputs.responses, inputs.rows, tune=inputs.rows), tmp_path)


def test_rows_to_look_at(tmp_path: Path) -> None:
    answers = [("List meals", "Dumplings: dumplings."), ("More", "dumplings and marzipan")]
    inputs = TraceInputs(made_responses(answers, tmp_path), made_rows(ROWS[2:], tmp_path))
    found = trace(inputs, tmp_path)
    lines = [json.loads(line) for line in (found.folder / stage.LOOK_AT).read_text().splitlines()]
    assert [line["weight"] for line in lines] == [0] * len(lines)
    assert all(line["n_spans"] >= 2 for line in lines)
    assert "chance is not ruled out" in lines[0]["reason"]


def test_a_plan_is_measured(inputs: TraceInputs, tmp_path: Path) -> None:
    found = measure(build(TraceConfig, {"embeddings": False, "surprisal": False}), inputs, Silent())
    assert (found["n_answers"], found["n_rows"]) == (4, 6)
    assert found["bytes"] > 0
    assert MadeIndex.built == 1
    trace(inputs, tmp_path)
    assert MadeIndex.built == 1
