"""The hand-off on tiny models: to itself, to another, and what cannot be handed off."""

from dataclasses import replace
from pathlib import Path

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan
from aftertune.controls.handoff import GIVEN
from aftertune.experiments.handoff import (
    CONTROL,
    OTHER_PROMPT,
    SECOND,
    SHORT,
    UNKNOWN_TOKEN,
    run,
)
from aftertune.experiments.materials import MaterialConfig
from aftertune.progress import Silent
from aftertune.report.blocks.handoff import block
from aftertune.report.blocks.shape import checked
from made_pair import pair


def copied(responses: Artefact, out: Path, records: list[dict[str, object]]) -> Artefact:
    """The same artefact with other records."""
    config = MaterialConfig(name="copied")
    plan = Plan("respond", 1, responses.config, config, (responses.as_input("of"),))
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"responses": schema.from_rows("responses", records)})
        return draft.finish({"done": len(records)}, responses.about)


def test_a_model_goes_on_from_its_own_answer_as_it_did(tiny_llama: Path, tmp_path: Path) -> None:
    """Greedy in float32: no difference, whatever is given."""
    it = pair(tiny_llama, tiny_llama, tmp_path, max_new_tokens=40)
    found = run(it, tmp_path, Silent()).about["found"]
    assert found["n_prompts"] > 2
    assert [step["given"] for step in found["steps"]] == list(GIVEN)
    for step in found["steps"]:
        assert step["difference"]["estimate"] == step["difference"]["high"] == 0
        assert step["longer"]["estimate"] == 0
    assert found["chance"]["estimate"] > 0.5


def test_another_base_differs_and_a_second_run_reuses_the_first(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    it = pair(tiny_llama, tiny_llama_other, tmp_path, max_new_tokens=40)
    table = it.responses.table("responses").to_pylist()
    short = {**table[0], "response_token_ids": table[0]["response_token_ids"][:9]}
    twice = {**table[1], "response_id": "again", "sample": 1}
    records = [short, *table[1:], twice]
    # the shift is of the answers as they were; none of those that are compared was changed
    it = replace(it, responses=copied(it.responses, tmp_path, records))
    made = run(it, tmp_path, Silent())
    found = made.about["found"]
    assert found["left_out"] == {SHORT: 1, SECOND: 1}
    assert found["n_prompts"] == len(table) - 1
    assert found["steps"][0]["difference"]["estimate"] > 0.3
    assert [one["given"] for one in found["likelihood"]] == list(GIVEN)
    assert found["likelihood"][0]["less"]["estimate"] > 0.1
    assert run(it, tmp_path, Silent()).id == made.id
    checked(block(made.about))


def test_short_answers_are_absent_with_a_reason(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    made = run(pair(tiny_llama, tiny_llama_other, tmp_path), tmp_path, Silent())
    assert made.about["found"] == {}
    assert SHORT in made.about["absent"][CONTROL]
    assert "long enough" in checked(block(made.about))["sentences"][0]


def test_beginnings_and_prompts_that_the_base_reads_otherwise_are_left_out(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    it = pair(tiny_llama, tiny_llama_other, tmp_path, max_new_tokens=40)
    table = it.responses.table("responses").to_pylist()
    foreign = {**table[0], "response_token_ids": [399_999, *table[0]["response_token_ids"][1:]]}
    asked = {**table[1], "prompt_token_ids": [5, *table[1]["prompt_token_ids"]]}
    records = [foreign, asked, *table[2:]]
    it = replace(it, responses=copied(it.responses, tmp_path, records))
    found = run(it, tmp_path, Silent()).about["found"]
    assert found["left_out"] == {UNKNOWN_TOKEN: 1, OTHER_PROMPT: 1}
    assert found["n_prompts"] == len(table) - 2
