"""Planning, settings, a local judge, and what is made of verdicts."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from aftertune import artefact
from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError, InputError
from aftertune.judge import assess, cost
from aftertune.judge import run as stage
from aftertune.judge.config import AssessConfig, JudgeConfig
from aftertune.judge.journal import Answer, Journal, stored
from aftertune.judge.local import TOO_LONG
from aftertune.judge.local import prepare as find_judge
from aftertune.judge.summary import summarise, tag_values
from aftertune.progress import Silent
from made_answers import answer, answers

ASPECTS = ("helpfulness", "depth")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "name one judge"),
        ({"endpoint": "http://h/v1", "model": "m", "local": "x"}, "name one judge"),
        ({"endpoint": "http://h/v1"}, "--model NAME"),
        ({"endpoint": "h/v1", "model": "m"}, "https://host/v1"),
        ({"endpoint": "http://h:port/v1", "model": "m"}, "https://host/v1"),
        ({"endpoint": "ftp://h/v1", "model": "m"}, "https://host/v1"),
        ({"endpoint": "https://me:SECRET@h/v1", "model": "m"}, "AFTERTUNE_JUDGE_KEY"),
        ({"endpoint": "https://h/v1?api-key=SECRET", "model": "m"}, "AFTERTUNE_JUDGE_KEY"),
        ({"local": "x", "aspects": "clarity,charm"}, "no aspect 'charm'"),
        ({"local": "x", "aspects": []}, "at least one"),
        ({"local": "x", "aspects": ["clarity", "clarity"]}, "twice"),
        ({"local": "x", "judge_key": "SECRET"}, "unknown option"),
        ({"local": "x", "repeats": 0}, "repeats"),
    ],
)
def test_wrong_options_end_in_one_sentence_without_a_key(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(JudgeConfig, options)
    assert words in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_what_is_part_of_the_id(tmp_path: Path) -> None:
    given = answers(tmp_path, "x", [1, 2])

    def plan_id(**options: Any) -> str:
        settings = {"endpoint": "http://h/v1", "model": "m"} | options
        return stage.prepare(JudgeConfig(**settings), {"x": given}).plan.id

    assert plan_id() == plan_id(concurrency=2, attempts=1, price_in=1.0, timeout_seconds=3.0)
    changed = [
        {"model": "n"}, {"repeats": 2}, {"aspects": "depth"}, {"temperature": 0.5},
        {"request": {"top_p": 0.1}}, {"endpoint": "http://g/v1"}, {"limit": 1},
    ]  # fmt: skip
    ids = [plan_id(), *(plan_id(**one) for one in changed)]
    assert len(set(ids)) == len(ids)


def test_limit_is_of_prompts_over_all_models(tmp_path: Path) -> None:
    given = {"x": answers(tmp_path, "x", [5, 1, 9]), "y": answers(tmp_path, "y", [9, 1, 3])}
    read = stage.read_responses(given, 2)
    assert [[r["response_id"] for r in each] for each in read.values()] == [["x-1"], ["y-1", "y-3"]]


def test_nothing_to_judge(tmp_path: Path) -> None:
    given = {"x": answers(tmp_path, "x", [1]), "y": answers(tmp_path, "y", [2])}
    config = JudgeConfig(endpoint="http://h/v1", model="m", compare="pairs")
    with pytest.raises(InputError, match="nothing to judge"):
        stage.prepare(config, given)
    with pytest.raises(InputError, match="there is no file"):
        stage.prepare(JudgeConfig(verdicts=str(tmp_path / "none")), given)
    (tmp_path / "v.jsonl").write_text(
        json.dumps({"response_id": "x-1", "aspect": "depth", "score": 1})
    )
    prepared = stage.prepare(JudgeConfig(verdicts=str(tmp_path / "v.jsonl")), given)
    made = stage.run(prepared, tmp_path / "out", Silent())
    with pytest.raises(ArtefactError, match="holds no answers"):
        stage.prepare(config, {"x": made})


def test_the_estimate_by_hand(tmp_path: Path) -> None:
    given = answers(tmp_path, "x", [1, 2])
    config = JudgeConfig(
        endpoint="http://h/v1", model="m", aspects=ASPECTS, max_tokens=500, repeats=3,
        price_in=2.0, price_out=10.0,
    )  # fmt: skip
    prepared = stage.prepare(config, {"x": given})
    found = stage.estimate(prepared, tmp_path)
    characters = sum(len(m["content"]) for call in prepared.calls for m in call.messages)
    assert (found.calls, found.done) == (6, 0)
    assert found.tokens_in == -(-characters // 4)
    assert (found.tokens_out, found.most_tokens_out) == (6 * 2 * 60, 6 * 500)
    assert found.money == pytest.approx(found.tokens_in * 2e-6 + 720 * 10e-6)
    assert found.most_money == pytest.approx(found.tokens_in * 2e-6 + 3000 * 10e-6)
    free = cost.estimate(prepared.calls, 0, 2, 500, None, 1.0)
    assert free.money is None
    assert cost.estimate([], 6, 2, 500, 1.0, 1.0).money == 0


def test_what_was_spent() -> None:
    known = [Answer("", "stop", 100, 10), Answer("", "stop", 50, 5)]
    assert cost.spent(known, 1.0, 2.0) == {
        "answers": 2, "tokens_in": 150, "tokens_out": 15, "money": pytest.approx(180e-6),
    }  # fmt: skip
    assert cost.spent([*known, Answer("")], 1.0, 2.0)["tokens_in"] is None
    assert cost.spent([*known, Answer("")], 1.0, 2.0)["money"] is None


def test_the_journal_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(path) as kept:
        kept.add("a", Answer("Ünï\n\ud83d", "stop", 1, 2, 3))
        kept.add("b", Answer("two"))
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as kept:
            assert set(kept.answers) == ({"a"} if cut > whole.index(b"\n") else set())
            kept.add("c", Answer("three"))
        assert stored(path)[0]["c"] == Answer("three")
    assert stored(tmp_path / "none") == ({}, 0)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_local_judge_of_no_use_says_so(
    tiny_llama: Path, tmp_path: Path, temperature: float
) -> None:
    given = answers(tmp_path, "x", [1, 2, 3])
    config = JudgeConfig(
        local=str(tiny_llama), aspects=("depth",), max_tokens=12, repeats=2, batch_size=2,
        template="human-assistant", temperature=temperature,
    )  # fmt: skip
    prepared = stage.prepare(config, {"x": given}, find_judge(config))
    made = stage.run(prepared, tmp_path / "out", Silent())
    found = made.table("verdicts").to_pylist()
    assert len(found) == 6
    assert {one["score"] for one in found} == {None}  # weights drawn at random write no JSON
    assert {one["status"] for one in found} == {"unreadable"}
    assert made.counts["done"] == 0
    assert sum(made.counts["unscored"].values()) == 6
    assert made.counts["asked_once_more"] == 6
    kept = (made.folder / "answers.jsonl").read_text().splitlines()
    assert len(kept) == 12
    texts = [json.loads(line)["text"] for line in kept[:6]]
    assert (texts[:3] == texts[3:]) == (temperature == 0)  # another repeat, another draw
    judged = assess.run(AssessConfig(), made, {"x": given}, tmp_path / "out", Silent())
    unscored = judged.about["found"]["unscored"]
    assert (unscored["n"], unscored["of"]) == (6, 6)
    mean = judged.about["found"]["means"]["depth"]["x"]
    assert mean["estimate"] is None
    assert mean["reason"] == "no values"


def test_a_local_judge_goes_on_where_it_was(tiny_llama: Path, tmp_path: Path) -> None:
    given = {"x": answers(tmp_path, "x", [1, 2, 3])}
    config = JudgeConfig(
        local=str(tiny_llama), aspects=("depth",), max_tokens=8, template="human-assistant",
        batch_size=1,
    )  # fmt: skip
    whole = stage.run(
        stage.prepare(config, given, find_judge(config)), tmp_path / "whole", Silent()
    )
    prepared = stage.prepare(config, given, find_judge(config))
    asked: list[str] = []

    class StoppedError(Exception):
        pass

    def stop(call: Any, said: Any) -> None:
        if len(asked) == 2:
            raise StoppedError
        asked.append(call.key)
        kept.add(call.key, said)

    with (
        artefact.draft(tmp_path / "out", prepared.plan) as draft,
        Journal(draft.scratch / "answers.jsonl") as kept,
    ):
        assert prepared.local is not None
        with pytest.raises(StoppedError):
            prepared.local.ask(prepared.calls, set(), stop, Silent())
    left = stage.estimate(prepared, tmp_path / "out")
    assert (left.calls, left.done) == (1, 2)
    made = stage.run(prepared, tmp_path / "out", Silent())
    assert made.content_hash() == whole.content_hash()


def test_a_question_that_does_not_fit_is_unscored(tiny_llama: Path, tmp_path: Path) -> None:
    given = answers(tmp_path, "x", {1: "Short.", 2: "word " * 3000})
    config = JudgeConfig(
        local=str(tiny_llama), aspects=("depth",), max_tokens=8, template="human-assistant"
    )
    prepared = stage.prepare(config, {"x": given}, find_judge(config))
    found = stage.run(prepared, tmp_path / "out", Silent()).table("verdicts").to_pylist()
    assert [one["status"] for one in found] == ["unreadable", "no answer"]
    assert found[1]["reason"] == TOO_LONG


def verdicts_of(folder: Path, scores: dict[tuple[str, str], float | list[float]]) -> str:
    lines = [
        {"response_id": name, "aspect": aspect, "score": score, "judge": "J"}
        for (name, aspect), said in scores.items()
        for score in (said if isinstance(said, list) else [said])
    ]
    (folder / "verdicts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return str(folder / "verdicts.jsonl")


def assessed(
    folder: Path, given: dict[str, Artefact], scores: dict[tuple[str, str], Any], **options: Any
) -> dict[str, Any]:
    config = JudgeConfig(verdicts=verdicts_of(folder, scores), aspects=ASPECTS)
    made = stage.run(stage.prepare(config, given), folder / "out", Silent())
    found = assess.run(AssessConfig(**options), made, given, folder / "out", Silent())
    again = assess.run(AssessConfig(**options), made, given, folder / "out", Silent())
    assert again.id == found.id
    return dict(found.about["found"])


def test_models_are_compared_paired_by_prompt(tmp_path: Path) -> None:
    given = {m: answers(tmp_path, m, range(12), kind=["a", "b"]) for m in ("x", "y")}
    scores: dict[tuple[str, str], Any] = {}
    for n in range(12):
        scores["x-" + str(n), "depth"] = 1 + n % 4
        scores["y-" + str(n), "depth"] = 2 + n % 4  # always a point more
    for n in range(3):  # and only few on the other aspect
        scores["x-" + str(n), "helpfulness"] = 3
    found = assessed(tmp_path, given, scores)
    gap = next(one for one in found["differences"] if one["aspect"] == "depth")
    assert (gap["first"], gap["second"], gap["estimate"]) == ("x", "y", -1.0)
    assert (gap["low"], gap["high"]) == pytest.approx((-1.0, -1.0))
    assert found["means"]["depth"]["x"]["estimate"] == pytest.approx(2.5)
    assert found["means"]["helpfulness"]["x"]["n"] == 3
    assert found["unscored"]["cells"]["x"]["helpfulness"] == {"n": 9, "of": 12}
    other = next(one for one in found["differences"] if one["aspect"] == "helpfulness")
    assert other["estimate"] is None
    assert other["reason"] == "no values"
    assert set(found["by_tag"]["kind"]) == {"a", "b"}
    assert found["repeats"] == {}
    assert found["order"] == {}
    assert found["people"] == {}


def test_repeats_and_people(tmp_path: Path) -> None:
    chance = random.Random(0)
    given = {"x": answers(tmp_path, "x", range(60))}
    truth = {n: chance.choice([1, 2, 3, 4]) for n in range(60)}
    scores = {(f"x-{n}", "depth"): [truth[n] + 1, truth[n] + 1] for n in range(60)}
    ratings = [
        {"response_id": f"x-{n}", "aspect": "depth", "annotator": who, "value": truth[n]}
        for n in chance.sample(range(60), 30)
        for who in ("ann", "bob")
    ]
    (tmp_path / "ratings.jsonl").write_text("\n".join(map(json.dumps, ratings)))
    found = assessed(tmp_path, given, scores, people=str(tmp_path / "ratings.jsonl"), for_people=10)
    assert found["repeats"]["depth"]["same"]["estimate"] == 1.0
    assert found["repeats"]["depth"]["agreement"]["estimate"] == pytest.approx(1.0)
    one = found["corrected"]["depth"]["x"]
    assert one["bias"]["estimate"] == pytest.approx(1.0)
    assert one["corrected"]["estimate"] == pytest.approx(sum(truth.values()) / 60)
    assert found["people"]["depth"]["between_people"]["estimate"] == pytest.approx(1.0)
    assert found["people"]["depth"]["judge"]["estimate"] < 1
    assert found["people"]["depth"]["n_ratings"] == 60
    forms = list((tmp_path / "out").glob("control-judge-*/for_people.jsonl"))
    assert len(forms) == 1
    assert len(forms[0].read_text().splitlines()) == 10 * len(ASPECTS)


def test_several_answers_to_a_prompt_are_not_corrected(tmp_path: Path) -> None:
    record = answer(1, "x")
    twice = {"x": [record, {**record, "response_id": "x-b", "sample": 1}]}
    verdicts = [
        {"response_id": r["response_id"], "other_response_id": None, "judge": "J",
         "aspect": "depth", "score": s, "status": "scored", "reason": None, "repeat": 0,
         "presentation": "alone"}
        for r, s in zip(twice["x"], (2.0, 4.0), strict=True)
    ]  # fmt: skip
    found = summarise(verdicts, twice, ("depth",), {"x-1": {"depth": {"a": 3.0}}})
    assert found["means"]["depth"]["x"]["estimate"] == 3.0
    assert found["means"]["depth"]["x"]["n"] == 1
    assert "hang together" in found["corrected"]["depth"]["x"]["corrected"]["reason"]


def test_tags_that_are_groups() -> None:
    tagged = [
        answer(n, "x", kind=["a"] if n % 2 else ["a", "b"], topic=str(n), note="t" * 100, level=3,
               one="same")
        for n in range(6)
    ]  # fmt: skip
    assert tag_values({"x": tagged}) == {
        "kind": {"a": {f"p-{n}" for n in range(6)}, "b": {"p-0", "p-2", "p-4"}}
    }
    assert tag_values({}) == {}
