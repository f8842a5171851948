"""lm-evaluation-harness itself, on a task made of local files: its answers and ours agree."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import InputError
from aftertune.models.choices import choose_way
from aftertune.models.load import load
from aftertune.progress import Silent
from aftertune.recall import harness_pairs, harness_run
from aftertune.recall.asking import Asker, ask, stops_of
from aftertune.recall.config import FactsConfig, RecallConfig
from aftertune.recall.harness import Item
from aftertune.recall.harness_config import HarnessConfig, HarnessPairsConfig
from aftertune.recall.sources import read

pytest.importorskip("lm_eval", reason="lm-eval is not installed (the extra `harness`)")

N = 40
NATS = 1e-3
METRICS = {"choice": "acc", "choice by length": "acc_norm"}


def pocket_facts(n: int = N) -> Any:
    return read(FactsConfig(source="embedded:pocket", limit=n))


def asker(model: str | Path, shots: int, facts: Any) -> Asker:
    loaded = load(model, dtype="float32")
    config = RecallConfig(
        model=str(model), name="ours", shots=shots, draws=1, max_new_tokens=1, dtype="float32"
    )
    return Asker(loaded, config, None, facts.facts, stops_of(loaded, None))


def write_task(folder: Path, ours: Asker, facts: Any) -> Path:
    """A multiple-choice task of the very prompts that our side asks; the first choice is right."""
    folder.mkdir()
    docs = [
        {
            "prompt": ours.prompt(fact, ours.config.draws),
            "question": fact.question,
            "choices": [fact.answer, *fact.distractors],
        }
        for fact in facts.facts
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in docs))
    (folder / "facts.yaml").write_text(
        "task: local_facts\n"
        "dataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {folder / 'docs.jsonl'}}}}}\n"
        "test_split: test\n"
        "output_type: multiple_choice\n"
        'doc_to_text: "{{prompt}}"\n'
        'doc_to_choice: "{{choices}}"\n'
        "doc_to_target: 0\n"
        "metric_list: [{metric: acc}, {metric: acc_norm}]\n"
    )
    return folder


def harness_on(model: str | Path, tasks: Path, out: Path, **options: Any) -> Any:
    config = HarnessConfig(
        model=str(model), tasks="local_facts", include=str(tasks), dtype="float32", **options
    )
    return harness_run.run(config, out, Silent())


def items_of(made: Any, metric: str) -> list[Item]:
    return harness_pairs.read(harness_pairs.sample_files(made.folder), metric, None)


def assert_agree(model: str | Path, shots: int, tmp_path: Path) -> None:
    """Every item right or wrong alike, by both metrics, and its log-probability the same."""
    facts = pocket_facts()
    ours = asker(model, shots, facts)
    made = harness_on(model, write_task(tmp_path / "tasks", ours, facts), tmp_path / "out")
    records = ask(ours, facts.facts)
    for way, metric in METRICS.items():
        mine = {one["fact_id"]: one for one in records if one["way"] == way}
        theirs = items_of(made, metric)
        assert len(theirs) == len(mine) == N
        for fact, item in zip(facts.facts, theirs, strict=True):
            one = mine[fact.id]
            assert item.question == fact.question
            assert item.logprobs is not None
            assert one["logprob"] == pytest.approx(item.logprobs[0], abs=NATS)
            assert one["correct"] == item.right
        assert 0 < sum(one.right is True for one in theirs) < N  # else agreement says nothing


@pytest.mark.parametrize("shots", [0, 3])
def test_our_answers_and_the_harnesss_agree_item_by_item(
    tiny_llama: Path, shots: int, tmp_path: Path
) -> None:
    assert_agree(tiny_llama, shots, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shots", [0, 3])
def test_they_agree_on_the_embedded_model(shots: int, tmp_path: Path) -> None:
    assert_agree("embedded:smollm2-135m", shots, tmp_path)


def test_base_and_tuned_are_run_and_paired(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    facts = pocket_facts()
    tasks = write_task(tmp_path / "tasks", asker(tiny_llama, 0, facts), facts)
    base = harness_on(tiny_llama, tasks, tmp_path / "out")
    other = harness_on(tiny_llama_other, tasks, tmp_path / "out")
    assert base.id != other.id
    assert harness_on(tiny_llama, tasks, tmp_path / "out").id == base.id
    assert harness_on(tiny_llama, tasks, tmp_path / "out", limit=5).counts["done"] == 5
    made = harness_pairs.run(
        HarnessPairsConfig(), base.folder, {"same": base.folder, "other": other.folder},
        tmp_path / "out", Silent(),
    )  # fmt: skip
    found = made.about["found"]["models"]
    assert {name: one["asked_alike"] for name, one in found.items()} == {
        "same": True, "other": True
    }  # fmt: skip
    assert found["same"]["compared"]["counts"]["lost"] == 0
    assert found["other"]["compared"]["counts"]["lost"] > 0
    assert found["other"]["compared"]["n"] == N


def test_a_task_edited_in_place_is_another_question(tiny_llama: Path, tmp_path: Path) -> None:
    facts = pocket_facts(6)
    tasks = write_task(tmp_path / "tasks", asker(tiny_llama, 0, facts), facts)
    first = harness_on(tiny_llama, tasks, tmp_path / "out")
    docs = (tasks / "docs.jsonl").read_text().splitlines()
    (tasks / "docs.jsonl").write_text("\n".join(docs[:3]) + "\n")
    second = harness_on(tiny_llama, tasks, tmp_path / "out")
    assert (first.counts["done"], second.counts["done"]) == (6, 3)


def test_our_scoring_on_what_the_harness_asked(tiny_gpt2: Path, tmp_path: Path) -> None:
    """All choices, not the right one alone, on a second family; and by the tree."""
    facts = pocket_facts()
    ours = asker(tiny_gpt2, 2, facts)
    made = harness_on(tiny_gpt2, write_task(tmp_path / "tasks", ours, facts), tmp_path / "out")
    from aftertune.models.choices import Question, score_answers

    questions = []
    for fact in facts.facts:
        prompt = ours.prompt(fact, ours.config.draws)
        ids = ours.ids(prompt)
        texts = [fact.answer, *fact.distractors]
        questions.append(Question(ids, [ours.answer_ids(prompt, ids, text) for text in texts]))
    way = choose_way(ours.loaded, questions)
    assert way.name == "tree"
    scores = score_answers(ours.loaded, questions, max_tokens=2000, progress=Silent(), way=way)
    theirs = [one.logprobs for one in items_of(made, "acc")]
    wanted = [value for values in theirs for value in values or ()]
    assert [one.logprob_nats for one in chain(*scores)] == pytest.approx(wanted, abs=NATS)


def test_what_the_harness_cannot_run_ends_in_one_sentence(tiny_llama: Path, tmp_path: Path) -> None:
    facts = pocket_facts(3)
    tasks = write_task(tmp_path / "tasks", asker(tiny_llama, 0, facts), facts)
    config = HarnessConfig(model=str(tiny_llama), tasks="no_such_task", include=str(tasks))
    with pytest.raises(InputError, match="knows no task no_such_task"):
        harness_run.run(config, tmp_path / "out", Silent())
    (tasks / "docs.jsonl").write_text("not JSON")
    with pytest.raises(InputError, match="could not run the task local_facts"):
        harness_on(tiny_llama, tasks, tmp_path / "out")
    with pytest.raises(InputError, match="no folder"):
        harness_on(tiny_llama, tmp_path / "nowhere", tmp_path / "out")
