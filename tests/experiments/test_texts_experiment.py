"""The table model x text on tiny models: whose texts, references, templates that differ."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from aftertune import artefact, schema
from aftertune.artefact import Plan, open_artefact
from aftertune.experiments import materials
from aftertune.experiments.texts import BASE, REFERENCES, run
from aftertune.progress import Silent
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.texts import block
from aftertune.respond import config as answers_stage
from made_pair import QUESTIONS, pair
from tiny_models import save_model

ASKED = [
    {"instruction": text, "reference": f"It is a city from {n}."}
    for n, text in enumerate(QUESTIONS)
]


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("third"), seed=2)


def test_every_model_on_every_text(
    tiny_llama: Path, tiny_llama_other: Path, third: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one", ASKED)
    two = pair(tiny_llama, third, tmp_path, "two", ASKED)
    made = run([one, two], tmp_path, Silent())
    found = made.about["found"]
    assert made.about["absent"] == {}
    assert {model: set(cells) for model, cells in found["cells"].items()} == {
        model: {"one", "two", BASE, REFERENCES} for model in ("one", "two")
    }
    assert found["n_prompts"] == len(ASKED)
    # the base's own answers: the base's argmax is its token everywhere, the tuned model's is not
    inputs = {given["name"]: given["place"] for given in made.manifest["inputs"]}
    tokens = open_artefact(Path(inputs[f"one on {BASE}"])).to_pandas("tokens")
    assert (tokens["base_rank"] == 1).all()
    assert not (tokens["tuned_rank"] == 1).all()
    assert found["texts"]["one"]["n_answers"] == len(ASKED)
    shown = checked(block(made.about))
    assert len(shown["table"]["rows"]) == 8
    assert run([one, two], tmp_path, Silent()).id == made.id


def test_references_are_answers_to_the_same_prompt_ids(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one", ASKED)
    made = run([one], tmp_path, Silent())
    inputs = {given["name"]: given["place"] for given in made.manifest["inputs"]}
    given = open_artefact(Path(inputs[f"{REFERENCES} for one"])).to_pandas("responses")
    own = one.responses.to_pandas("responses").set_index("prompt_id")
    assert sorted(given["response"].str.strip()) == sorted(a["reference"] for a in ASKED)
    for record in given.to_dict("records"):
        theirs = own.loc[record["prompt_id"]]
        assert list(record["prompt_token_ids"]) == list(theirs["prompt_token_ids"])


def test_references_from_a_file_and_from_nowhere(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one")
    absent = run([one], tmp_path, Silent()).about["absent"]
    assert "--references" in absent[REFERENCES]
    file = tmp_path / "given.jsonl"
    answers = [{"instruction": text, "output": "A city."} for text in QUESTIONS]
    file.write_text("\n".join(map(json.dumps, answers)))
    made = run([one], tmp_path, Silent(), str(file))
    assert REFERENCES in made.about["found"]["cells"]["one"]
    file.write_text(json.dumps(answers[0]))
    made = run([one], tmp_path, Silent(), str(file))
    assert "1 of the 6 prompts" in made.about["absent"][REFERENCES]
    assert made.about["found"]["n_prompts"] == len(QUESTIONS)


def test_a_model_that_was_asked_otherwise_does_not_read_a_text(
    tiny_llama: Path, tiny_llama_other: Path, third: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one")
    two = pair(tiny_llama, third, tmp_path, "two", template="chat")
    about = run([one, two], tmp_path, Silent()).about
    assert set(about["found"]["cells"]["one"]) == {"one", f"{BASE} (human-assistant)"}
    assert set(about["found"]["cells"]["two"]) == {"two", f"{BASE} (chat)"}
    assert "asked under the template chat" in about["absent"]["one on two"]
    checked(block(about))


def test_references_that_were_asked_otherwise_are_absent_with_both_templates(
    tiny_llama: Path, tiny_llama_other: Path, third: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one")
    other = pair(tiny_llama, third, tmp_path, "other", template="chat").responses
    made = run([one], tmp_path, Silent(), str(other.folder))
    assert made.about["absent"][REFERENCES] == (
        "the references were asked under chat, and one under human-assistant; give them as a file"
    )
    assert REFERENCES not in made.about["found"]["cells"]["one"]
    alike = pair(tiny_llama, third, tmp_path, "alike").responses
    made = run([one], tmp_path, Silent(), str(alike.folder))
    assert REFERENCES in made.about["found"]["cells"]["one"]
    assert one.prompts is not None
    made = run([one], tmp_path, Silent(), str(one.prompts.folder))
    assert "prompts artefact" in made.about["absent"][REFERENCES]


def test_answers_of_nothing_but_a_stop_token_are_not_counted(
    tiny_llama: Path, tiny_llama_other: Path, third: Path, tmp_path: Path
) -> None:
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one")
    answers = pair(tiny_llama, third, tmp_path, "other").responses
    stop = answers.about["stop_ids"][0]
    records = [
        {**row, "response_token_ids": [stop], "finish_reason": "stop"} if i > 1 else row
        for i, row in enumerate(answers.table("responses").to_pylist())
    ]
    config = answers_stage.RespondConfig(model="x", name="empty", max_new_tokens=1)
    plan = Plan("respond", 1, answers.config, config, (answers.as_input("of"),))
    with artefact.draft(tmp_path, plan) as draft:
        draft.write(0, {"responses": schema.from_rows("responses", records)})
        empty = draft.finish({"done": len(records)}, answers.about)
    made = run([one], tmp_path, Silent(), str(empty.folder))
    assert "it answers 2 of the 6 prompts" in made.about["absent"][REFERENCES]
    assert made.about["found"]["n_prompts"] > 2


def test_two_templates_in_files_of_one_name_are_two_texts(
    tiny_llama: Path, tiny_llama_other: Path, third: Path, tmp_path: Path
) -> None:
    files = []
    for place, end in (("a", "A:"), ("b", "B:")):
        (tmp_path / place).mkdir()
        files.append(tmp_path / place / "mine.jinja")
        files[-1].write_text("{{ messages[0]['content'] }} " + end)
    one = pair(tiny_llama, tiny_llama_other, tmp_path, "one", template=str(files[0]))
    two = pair(tiny_llama, third, tmp_path, "two", template=str(files[1]))
    cells = run([one, two], tmp_path, Silent()).about["found"]["cells"]
    texts = [next(text for text in cells[name] if text != name) for name in ("one", "two")]
    sha256 = [of.responses.about["template"]["sha256"][:8] for of in (one, two)]
    assert texts == [f"{BASE} (mine.jinja {start})" for start in sha256]


def test_prompts_and_templates_where_only_answers_are_given(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    one = replace(pair(tiny_llama, tiny_llama_other, tmp_path, template="chat"), prompts=None)
    ids = one.responses.to_pandas("responses")["prompt_id"].tolist()
    assert materials.prompts_of(one, tmp_path).to_pandas("prompts")["prompt_id"].tolist() == ids
    some = materials.prompts_of(one, tmp_path, ids[1:3]).to_pandas("prompts")
    assert some["prompt_id"].tolist() == ids[1:3]
    assert materials.template_for_base(one, tmp_path) == "chat"
    file = materials.text_file("template.jinja", "{{ messages[0].content }}", tmp_path)
    assert file.read_text() == "{{ messages[0].content }}"
    assert materials.text_file("template.jinja", "{{ messages[0].content }}", tmp_path) == file


def test_a_base_without_the_tuned_chat_template_is_asked_with_it(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tuned"
    shutil.copytree(tiny_llama_other, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = tokenizer.chat_template.replace("assistant", "helper")
    tokenizer.save_pretrained(folder)
    one = pair(tiny_llama, folder, tmp_path, "one", template="chat")
    made = run([one], tmp_path, Silent())
    inputs = {given["name"]: given["place"] for given in made.manifest["inputs"]}
    base = open_artefact(Path(inputs[f"{BASE} for one"]))
    assert base.about["template"]["sha256"] == one.responses.about["template"]["sha256"]
    ids = [
        artefact.to_pandas("responses").set_index("prompt_id")["prompt_token_ids"].map(list)
        for artefact in (base, one.responses)
    ]
    assert ids[0].sort_index().equals(ids[1].sort_index())
