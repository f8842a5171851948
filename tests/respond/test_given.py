"""Answers that exist: matched, checked, encoded once, or set aside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.data.templates import get
from aftertune.errors import ArtefactError, ConfigError, InputError
from aftertune.progress import Silent
from aftertune.respond.answers import GivenAnswer
from aftertune.respond.config import GivenConfig, RespondConfig
from aftertune.respond.encoding import Encoder, encoded
from aftertune.respond.given import prompt_id, run_given
from aftertune.respond.run import run

MakePrompts = Callable[[list[dict[str, Any]]], Artefact]

STOP = 2  # <|im_end|> of the tiny tokenizers


def take(
    values: list[Any] | Path, out: Path, prompts: Artefact | None = None, **options: Any
) -> Artefact:
    if isinstance(values, list):
        file = out / "answers.jsonl"
        file.write_text("\n".join(json.dumps(value) for value in values))
    else:
        file = values
    options = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
    return run_given(build(GivenConfig, {"source": str(file), **options}), prompts, out, Silent())


def records(answers: Artefact) -> list[dict[str, Any]]:
    return list(answers.table("responses").to_pylist())


def test_texts_alone(tmp_path: Path) -> None:
    answers = take([{"instruction": "Add.", "input": "1, 2", "output": "3", "id": 7}], tmp_path)
    [record] = records(answers)
    assert record["response"] == "3"
    assert record["prompt_token_ids"] is record["response_token_ids"] is None
    assert (record["ids_from"], record["finish_reason"]) == ("text", "given")
    assert (record["model"], record["row_index"], record["sample"]) == ("answers", 0, 0)
    assert json.loads(record["tags"]) == {"id": 7, "alpaca_input": "1, 2"}
    assert answers.stage == "respond"
    assert answers.about["template"] is None


def test_encoded_once_with_the_template(tiny_llama: Path, tmp_path: Path) -> None:
    values = [
        {"instruction": "Hi", "output": " Hello"},
        {"instruction": "Hi", "output": "Hello", "finish_reason": "stop"},
        {"instruction": "Hi", "output": "Hel", "finish_reason": "length"},
        {"instruction": "Hi", "output": ""},
    ]
    answers = take(values, tmp_path, model=tiny_llama)
    open_, stopped, cut, empty = records(answers)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(open_["prompt_token_ids"]) == prompt
    assert open_["response_token_ids"] == tokenizer.encode(" Hello", add_special_tokens=False)
    assert (open_["response"], open_["finish_reason"]) == (" Hello", "given")
    # the stop token stands only where the file says that it stopped
    hello = tokenizer.encode("Hello", add_special_tokens=False)
    assert stopped["response_token_ids"] == [*hello, STOP]
    assert stopped["response"] == "Hello"
    assert STOP not in cut["response_token_ids"]
    assert empty["response_token_ids"] == []
    assert {r["ids_from"] for r in records(answers)} == {"encoded"}
    assert answers.counts["ids_from"] == {"encoded": 4}
    assert answers.counts["finish_reasons"] == {"given": 2, "length": 1, "stop": 1}
    assert answers.counts["empty"] == 1


def test_white_space_that_the_template_writes_before_an_answer(tiny_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    after_colon = Encoder(tokenizer, get("human-assistant", tokenizer))
    on_a_line = Encoder(tokenizer, get("alpaca", tokenizer))
    assert (after_colon.lead, on_a_line.lead) == (" ", "")
    assert encoded(GivenAnswer("It is"), after_colon).text == " It is"
    assert encoded(GivenAnswer("\nIt is"), after_colon).text == "\nIt is"
    assert encoded(GivenAnswer("It is"), on_a_line).text == "It is"
    assert encoded(GivenAnswer(""), after_colon) == GivenAnswer("", [])


def test_a_text_that_the_tokenizer_does_not_give_back_has_no_ids(
    tiny_llama: Path, tmp_path: Path
) -> None:
    values = [{"prompt": "a", "output": "x<|im_end|>y"}, {"prompt": "b", "output": "fine"}]
    answers = take(values, tmp_path, model=tiny_llama)
    lost, fine = records(answers)
    assert lost["response"] == "x<|im_end|>y"
    assert (lost["ids_from"], lost["response_token_ids"]) == ("text", None)
    assert fine["ids_from"] == "encoded"
    assert answers.counts["unscored"] == {"the tokenizer does not give the text back": 1}


def test_generated_answers_come_back_with_their_ids(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    prompts = make_prompts([{"instruction": f"Number {n}?"} for n in range(6)])
    asked = {"model": str(tiny_llama), "max_new_tokens": 10, "temperature": 1.0, "n": 2}
    made = run(build(RespondConfig, asked), prompts, tmp_path, Silent())
    values = [
        {
            "messages": r["messages"],
            "response": r["response"].strip(),  # as clients trim it
            "prompt_token_ids": r["prompt_token_ids"],
            "response_token_ids": r["response_token_ids"],
            "finish_reason": r["finish_reason"],
        }
        for r in records(made)
    ]
    taken = take(values, tmp_path, model=tiny_llama)
    assert taken.counts["ids_from"] == {"file": 12}
    names = ("prompt_id", "response", "prompt_token_ids", "response_token_ids", "finish_reason")
    assert [[r[n] for n in names] for r in records(taken)] == [
        [r[n] for n in names] for r in records(made)
    ]


def test_token_ids_are_checked(tiny_llama: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    ids = tokenizer.encode("a poet", add_special_tokens=False)
    good = {"prompt": "Who?", "prompt_token_ids": [1, 50], "response_token_ids": [*ids, STOP]}
    values = [
        {**good, "text": "a poet"},
        good,  # the text is what the ids say
        {**good, "text": "a boat"},
        {**good, "response_token_ids": [*ids, 400]},
        {**good, "prompt_token_ids": [400]},
        {"prompt": "Who?", "text": "a poet", "response_token_ids": ids},  # the prompt is rendered
    ]
    answers = take(values, tmp_path, model=tiny_llama)
    first, second, rendered = records(answers)
    assert first["response"] == second["response"] == "a poet"
    assert first["prompt_token_ids"] == [1, 50]
    assert first["response_token_ids"] == [*ids, STOP]
    assert tokenizer.decode(rendered["prompt_token_ids"]).startswith("<|im_start|>user\nWho?")
    assert rendered["ids_from"] == "file"
    # the stop token among the ids says how an answer ended
    assert [r["finish_reason"] for r in (first, second, rendered)] == ["stop", "stop", "given"]
    reasons = [r["reason"] for r in answers.table("set_aside").to_pylist()]
    assert "do not decode to the text ('a poet' is not 'a boat')" in reasons[0]
    assert reasons[1:] == ["a token id that the tokenizer does not have (400, and it has 400)"] * 2
    # without a model ids cannot be checked, and are not kept
    bare = take(values[:2], tmp_path)
    assert [r["ids_from"] for r in records(bare)] == ["text"]
    assert bare.counts["skipped"] == {"an answer has token ids only": 1}


def test_bad_records_are_set_aside_with_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text('{"prompt": "a", "output": "b"}\n\n{"prompt": "a"}\n{"prompt": "a", "outp')
    answers = take(file, tmp_path)
    assert answers.counts["done"] == 1
    aside = answers.table("set_aside").to_pylist()
    assert [(r["row_index"], r["line"]) for r in aside] == [(1, 3), (2, 4)]
    assert aside[0]["reason"].startswith("no answer (")
    assert aside[1]["reason"].startswith("not JSON")
    assert aside[1]["raw"] == '{"prompt": "a", "outp'
    assert list(answers.counts["skipped"].values()) == [1, 1]


def test_answers_are_matched_with_prompts(make_prompts: MakePrompts, tmp_path: Path) -> None:
    asked = [
        {"instruction": "One?", "topic": "numbers"},
        {"instruction": "Two?"},
        {"instruction": "One?"},
    ]
    prompts = make_prompts(asked)
    values = [{"instruction": t, "output": t} for t in ("Two?", "One?", "Three?", "One?")]
    answers = take(values, tmp_path, prompts)
    # equal prompts are given out in their order
    assert [(r["response"], r["row_index"]) for r in records(answers)] == [
        ("Two?", 1), ("One?", 0), ("One?", 2),
    ]  # fmt: skip
    assert json.loads(records(answers)[1]["tags"]) == {"topic": "numbers"}
    assert answers.counts["skipped"] == {"its prompt is not among the prompts": 1}
    ids = prompts.table("prompts")["prompt_id"].to_pylist()
    assert [r["prompt_id"] for r in records(answers)] == [ids[1], ids[0], ids[2]]
    with pytest.raises(InputError, match="not among the prompts"):
        take([{"instruction": "Three?", "output": "x"}], tmp_path, prompts)
    with pytest.raises(ArtefactError, match="holds no prompts"):
        take(values, tmp_path, answers)


def test_prompt_ids_are_those_of_the_prompts_stage(make_prompts: MakePrompts) -> None:
    prompts = make_prompts([{"instruction": "Add.", "input": "1"}, {"turns": ["a", "b"]}])
    for prompt in prompts.table("prompts").to_pylist():
        assert prompt_id(prompt["messages"], prompt["tools"]) == prompt["prompt_id"]


def test_the_same_file_is_taken_once(tiny_llama: Path, tmp_path: Path) -> None:
    values = [{"prompt": "a", "output": "b"}]
    first = take(values, tmp_path, model=tiny_llama)
    assert take(values, tmp_path, model=tiny_llama).id == first.id
    assert take(values, tmp_path, model=tiny_llama, template="raw").id != first.id
    assert take([{"prompt": "a", "output": "c"}], tmp_path, model=tiny_llama).id != first.id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "a"}', "no usable answer: 1 of 1 records were set aside for `no answer`"),
        ("[]", "holds no answers"),
        ("", "is empty"),
        ('[{"prompt": "a", "output": "b"}, {"pro', "breaks off at line 1"),
    ],
)
def test_files_without_answers(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        take(file, tmp_path)


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        take(tmp_path / "nowhere.json", tmp_path)
    with pytest.raises(ConfigError, match="format"):
        build(GivenConfig, {"source": "x.json", "format": "yaml"})


SHARED = [
    ("just_eval/Llama-2-7b-chat-hf.json", 800, 800),
    ("just_eval/Mistral-7B-Instruct-v0.1.json", 800, 800),
    ("just_eval/gpt-3.5-turbo-0301.json", 800, 800),
    ("just_eval/vicuna-7b-v1.5.json", 800, 800),
    ("alpaca_eval/alpaca-7b.json", 805, 805),
    ("alpaca_eval/llama-2-7b-chat-hf.json", 805, 805),
    ("alpaca_eval/phi-2-dpo.json", 805, 805),
    ("alpaca_eval/phi-2-sft.json", 805, 805),
    ("alpaca_eval/phi-2.json", 803, 803),
    ("alpaca_eval/text_davinci_003.json", 805, 805),
    ("self_instruct/davinci-self-instruct_predictions.jsonl", 252, 252),
    ("self_instruct/davinci_predictions.jsonl", 252, 252),
    ("self_instruct/text-davinci-001_predictions.jsonl", 252, 252),
    ("self_instruct/text-davinci-003_predictions.jsonl", 252, 252),
    ("lima_oe/lima_oe.outputs-temp0.llama-2-base.jsonl", 50, 50),
    ("lima_oe/lima_oe.outputs-temp0.llama-2-chat.jsonl", 50, 50),
    ("lima_oe/lima_oe.outputs-temp0.llama-2-icl.jsonl", 50, 50),
    ("lima_oe/lima_oe.outputs.mistral-base.jsonl", 50, 250),
    ("lima_oe/lima_oe.outputs.mistral-instruct.jsonl", 50, 250),
]


@pytest.mark.parametrize(("name", "n_prompts", "n_answers"), SHARED)
def test_shared_outputs(
    name: str, n_prompts: int, n_answers: int, shared_data: Path, tmp_path: Path
) -> None:
    answers = take(shared_data / "outputs" / name, tmp_path)
    assert answers.counts["done"] == n_answers
    assert answers.counts["skipped"] == {}
    table = records(answers)
    assert len({r["row_index"] for r in table}) == n_prompts
    assert len({r["response_id"] for r in table}) == n_answers
    assert max(r["sample"] for r in table) == n_answers // n_prompts - 1


def test_every_shared_file_of_answers_is_in_the_list(shared_data: Path) -> None:
    found = {
        str(p.relative_to(shared_data / "outputs"))
        for p in (shared_data / "outputs").rglob("*.json*")
    }
    # the one other file holds the prompts of lima_oe and no answers
    assert found - {name for name, _, _ in SHARED} == {"lima_oe/lima_oe.instances.jsonl"}


def test_shared_answers_belong_to_shared_prompts(
    shared_data: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    from aftertune.data.config import PromptsConfig
    from aftertune.data.run import run_prompts

    source = shared_data / "prompts" / "just_eval_800.jsonl"
    prompts = run_prompts(build(PromptsConfig, {"source": str(source)}), tmp_path, Silent())
    file = shared_data / "outputs" / "just_eval" / "Mistral-7B-Instruct-v0.1.json"
    answers = take(file, tmp_path, prompts, model=tiny_llama, limit=100)
    assert answers.counts["done"] == 100
    assert answers.counts["ids_from"] == {"encoded": 100}
    assert [r["row_index"] for r in records(answers)] == list(range(100))
