"""Verdicts and ratings that exist: ours, just-eval's, and what belongs to no answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import InputError
from aftertune.judge import people, recorded
from aftertune.judge.calls import Responses
from aftertune.judge.config import JudgeConfig
from aftertune.judge.run import prepare, run
from aftertune.judge.verdicts import why_unscored
from aftertune.progress import Silent
from made_answers import answer, answers

ASPECTS = ("helpfulness", "depth")


@pytest.fixture
def responses() -> Responses:
    return {"x": [answer(n, "x") for n in (1, 2)], "y": [answer(n, "y") for n in (1, 2)]}


def file_of(folder: Path, records: list[Any], name: str = "verdicts.jsonl") -> str:
    (folder / name).write_text("\n".join(map(json.dumps, records)))
    return str(folder / name)


def just_eval(number: int, model: str, **values: Any) -> dict[str, Any]:
    said = {
        "helpfulness": {"reason": "Useful.", "score": "5"},
        "depth": {"reason": "Flat.", "score": "2"},
    }
    return {
        "id": number, "input": f"This is item {number}.",
        "output_cand": f"Answer {number}  of {model}.\n", "generator_cand": model,
        "eval_config": {"mode": "score_multi", "gpt": "gpt-4-0314"},
        "result": json.dumps(said), "parsed_result": said,
    } | values  # fmt: skip


def test_ours(tmp_path: Path, responses: Responses) -> None:
    verdicts = [
        {"response_id": "x-1", "aspect": "depth", "score": 4, "reason": "Deep.", "judge": "J"},
        {"response_id": "x-1", "aspect": "depth", "score": 3, "judge": "J"},
        {"response_id": "x-2", "aspect": "depth", "score": "five", "judge": "J"},
        {"response_id": "y-1", "aspect": "depth", "score": None, "reason": "broken", "judge": "J"},
        {"response_id": "z-1", "aspect": "depth", "score": 4, "judge": "J"},
        {"response_id": "x-1", "aspect": "colour", "score": 4, "judge": "J"},
        {"score": 4},
    ]
    found = recorded.read(file_of(tmp_path, verdicts), responses, ASPECTS)
    assert found.judge == "J"
    assert found.aside == {
        recorded.UNKNOWN_RESPONSE: 1, recorded.OTHER_ASPECT: 1, recorded.NOT_READABLE: 1,
    }  # fmt: skip
    by = {(r["response_id"], r["aspect"], r["repeat"]): r for r in found.records}
    assert by["x-1", "depth", 0]["score"] == 4.0
    assert by["x-1", "depth", 0]["reason"] == "Deep."
    assert by["x-1", "depth", 1]["score"] == 3.0
    assert (by["x-2", "depth", 0]["score"], by["x-2", "depth", 0]["status"]) == (None, "unreadable")
    assert by["x-2", "depth", 0]["reason"] == "the score is not a number"
    assert by["y-1", "depth", 0]["reason"] == "the aspect has no score: broken"
    assert why_unscored(found.records)["unreadable: the aspect has no score"] == 1
    # every answer and aspect is accounted for
    assert by["y-2", "helpfulness", 0]["status"] == "no verdict"
    assert {(a, b) for a, b, _ in by} == {
        (f"{m}-{n}", aspect) for m in "xy" for n in (1, 2) for aspect in ASPECTS
    }


def test_pairs_are_turned_to_the_order_of_the_models(tmp_path: Path, responses: Responses) -> None:
    pair = {"aspect": "depth", "judge": "J"}
    verdicts = [
        {**pair, "response_id": "x-1", "other_response_id": "y-1", "score": 1.0},
        {**pair, "response_id": "y-1", "other_response_id": "x-1", "score": 1.0},
        {**pair, "response_id": "x-2", "other_response_id": "y-2", "score": 0.7},
    ]
    found = recorded.read(file_of(tmp_path, verdicts), responses, ASPECTS).records
    assert [(r["response_id"], r["presentation"], r["score"]) for r in found] == [
        ("x-1", "first", 1.0), ("x-1", "second", 0.0), ("x-2", "first", None),
    ]  # fmt: skip
    assert found[2]["reason"] == "the score of a pair is not 0, 0.5 or 1"


def test_just_evals_files(tmp_path: Path, responses: Responses) -> None:
    verdicts = [
        just_eval(1, "x"),
        just_eval(2, "x", output_cand="Answer 2 ... (truncated)"),
        just_eval(1, "y", parsed_result={}, result='{"helpfulness": {"score": "N/A"}, "depth": 3}'),
        just_eval(2, "y", output_cand="Something else."),
        just_eval(3, "x"),
    ]
    found = recorded.read(file_of(tmp_path, verdicts), responses, ASPECTS)
    assert found.judge == "gpt-4-0314"
    assert found.aside == {recorded.UNKNOWN_RESPONSE: 2}
    by = {(r["response_id"], r["aspect"]): (r["score"], r["reason"]) for r in found.records}
    assert by["x-1", "helpfulness"] == (5.0, "Useful.")
    assert by["x-2", "depth"] == (2.0, "Flat.")
    assert by["y-1", "helpfulness"] == (None, "the score is not a number")
    assert by["y-1", "depth"] == (3.0, None)
    # the cut answer of x is also a beginning of y's, whose text is as long a match
    assert by["y-2", "depth"] == (2.0, "Flat.")


def test_just_evals_pairs(tmp_path: Path, responses: Responses) -> None:
    said = {a: {"reason": "B is fuller.", "preference": "B"} for a in ASPECTS}
    pair = {
        "id": 1, "input": "This is item 1.", "output_A": "Answer 1 of y.",
        "output_B": "Answer 1 of x.", "eval_config": {"gpt": "g"}, "parsed_result": said,
    }  # fmt: skip
    found = recorded.read(file_of(tmp_path, [pair]), responses, ASPECTS).records
    assert len(found) == 2
    one = found[0]
    assert (one["response_id"], one["other_response_id"]) == ("x-1", "y-1")
    assert (one["presentation"], one["score"]) == ("second", 1.0)


def test_files_that_are_of_no_use(tmp_path: Path, responses: Responses) -> None:
    one = {"response_id": "x-1", "aspect": "depth", "score": 4}
    with pytest.raises(InputError, match="several judges"):
        recorded.read(
            file_of(tmp_path, [{**one, "judge": "J"}, {**one, "judge": "K"}]), responses, ASPECTS
        )
    with pytest.raises(InputError, match=r"no verdict on these answers: its answer is not"):
        recorded.read(file_of(tmp_path, [{**one, "response_id": "q"}]), responses, ASPECTS)
    with pytest.raises(InputError, match="there is no file"):
        recorded.read(str(tmp_path / "none.jsonl"), responses, ASPECTS)


def test_the_table_of_a_run_can_be_read_back(tmp_path: Path) -> None:
    given = answers(tmp_path, "x", [1, 2])
    verdicts = file_of(tmp_path, [
        {"response_id": "x-1", "aspect": "depth", "score": 4, "reason": "Deep.", "judge": "J"},
    ])  # fmt: skip
    config = JudgeConfig(verdicts=verdicts, aspects=ASPECTS)
    made = run(prepare(config, {"x": given}), tmp_path / "out", Silent())
    assert made.counts["done"] == 1
    assert made.counts["unscored"] == {f"no verdict: {recorded.NOT_RECORDED}": 3}
    assert made.about["judge"]["name"] == "J"
    part = next((made.folder / "verdicts").glob("*.parquet"))
    again = run(
        prepare(JudgeConfig(verdicts=str(part), aspects=ASPECTS), {"x": given}),
        tmp_path / "out", Silent(),
    )  # fmt: skip
    both = [
        sorted(one.table("verdicts").select(["response_id", "aspect", "score"]).to_pylist(),
               key=str)
        for one in (made, again)
    ]  # fmt: skip
    assert both[0] == both[1]


def test_ratings(tmp_path: Path, responses: Responses) -> None:
    one = {"response_id": "x-1", "aspect": "depth", "annotator": "ann", "value": 4}
    lines = [
        one, {**one, "annotator": "bob", "value": "3.5"},
        {"item_id": "y-2", "aspect": "depth", "value": 2},
        {**one, "value": None}, {**one, "value": "high"}, {**one, "value": 7},
        {**one, "value": True}, {**one, "response_id": "q"}, {**one, "aspect": "colour"},
    ]  # fmt: skip
    found = people.read(file_of(tmp_path, lines), responses, ASPECTS)
    assert found.ratings == {
        "x-1": {"depth": {"ann": 4.0, "bob": 3.5}}, "y-2": {"depth": {people.ONE_PERSON: 2.0}},
    }  # fmt: skip
    assert sorted(found.aside.values()) == [1, 1, 4]
    (tmp_path / "r.csv").write_text("response_id,aspect,annotator,value\nx-1,depth,ann,4\n")
    assert people.read(str(tmp_path / "r.csv"), responses, ASPECTS).ratings["x-1"]
    for bad, words in (([{**one, "response_id": "q"}], "not among"), ([{"a": 1}], "not among")):
        with pytest.raises(InputError, match=words):
            people.read(file_of(tmp_path, bad), responses, ASPECTS)
    with pytest.raises(InputError, match="there is no file"):
        people.read(str(tmp_path / "none.csv"), responses, ASPECTS)


def test_the_answers_to_rate_are_drawn_at_random(tmp_path: Path) -> None:
    responses = {m: [answer(n, m) for n in range(100)] for m in ("x", "y")}
    drawn = people.draw(responses, 20, seed=3)
    assert len(set(drawn)) == 40
    assert [d.removeprefix("x-") for d in drawn[:20]] == [d.removeprefix("y-") for d in drawn[20:]]
    assert drawn == people.draw(responses, 20, seed=3)
    assert drawn != people.draw(responses, 20, seed=4)
    assert people.draw(responses, 500, seed=3)[:100] != [f"x-{n}" for n in range(100)]
    # every answer is drawn about equally often: 20 of 100 in each of 300 draws
    often = [0] * 100
    for seed in range(300):
        for one in people.draw({"x": responses["x"]}, 20, seed):
            often[int(one.removeprefix("x-"))] += 1
    assert 30 < min(often) <= max(often) < 95

    people.write_form(tmp_path / "form.jsonl", responses, drawn, ASPECTS, 3)
    lines = [json.loads(line) for line in (tmp_path / "form.jsonl").read_text().splitlines()]
    assert {(one["response_id"], one["aspect"]) for one in lines} == {
        (name, aspect) for name in drawn for aspect in ASPECTS
    }
    assert {one["value"] for one in lines} == {None}
    assert lines[0]["prompt"].startswith("This is item")
    for one in lines:
        one["value"] = 3
    rated = people.read(file_of(tmp_path, lines, "rated.jsonl"), responses, ASPECTS)
    assert len(rated.ratings) == 40
