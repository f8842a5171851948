"""The stage: what stands in the table, what is set aside, and what a kill leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError, InputError
from aftertune.progress import Silent
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run

MakePrompts = Callable[[list[dict[str, Any]]], Artefact]
QUESTIONS = [{"instruction": "What is " + "very " * (n % 7) + f"number {n}?"} for n in range(12)]


def respond(model: Path, prompts: Artefact, out: Path, **options: Any) -> Artefact:
    given = {"model": str(model), "max_new_tokens": 12, "batch_size": 5, **options}
    return run(build(RespondConfig, given), prompts, out, Silent())


def by_prompt(answers: Artefact) -> dict[tuple[int, int], dict[str, Any]]:
    return {(r["row_index"], r["sample"]): r for r in answers.table("responses").to_pylist()}


def test_the_table(tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path) -> None:
    prompts = make_prompts(QUESTIONS)
    answers = respond(tiny_llama, prompts, tmp_path, name="mine")
    records = answers.table("responses").to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    assert len(records) == answers.counts["done"] == 12
    assert len({r["response_id"] for r in records}) == 12
    asked = {p["row_index"]: p for p in prompts.table("prompts").to_pylist()}
    for record in records:
        prompt = asked[record["row_index"]]
        assert record["prompt_id"] == prompt["prompt_id"]
        assert record["messages"] == prompt["messages"]
        text = prompt["messages"][0]["content"]
        rendered = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        assert tokenizer.decode(record["prompt_token_ids"]) == rendered
        ids = record["response_token_ids"]
        stopped = ids[-1] == tokenizer.eos_token_id
        assert record["finish_reason"] == ("stop" if stopped else "length")
        assert stopped or len(ids) == 12
        assert record["response"] == tokenizer.decode(ids, skip_special_tokens=True)
        assert (record["model"], record["ids_from"], record["sample"]) == ("mine", "generated", 0)
    assert sum(answers.counts["finish_reasons"].values()) == 12
    assert answers.counts["tokens"] == sum(len(r["response_token_ids"]) for r in records)
    assert answers.counts["skipped"] == {}
    assert answers.about["stop_ids"] == [tokenizer.eos_token_id]
    assert answers.about["template"]["name"] == "chat"
    assert answers.about["stability"]["checked"] is False
    assert [given["name"] for given in answers.manifest["inputs"]] == [
        "prompts", "model", "template",
    ]  # fmt: skip


@pytest.mark.parametrize("fixture", ["tiny_llama", "tiny_gpt2", "tiny_qwen"])
def test_float32_answers_do_not_depend_on_batches_or_order(
    fixture: str, make_prompts: MakePrompts, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(fixture)
    one = respond(model, make_prompts(QUESTIONS), tmp_path, batch_size=1)
    turned = make_prompts(QUESTIONS[::-1])
    five = respond(model, turned, tmp_path, batch_size=5)
    assert one.config["dtype"] == five.config["dtype"] == "float32"
    assert one.id != five.id
    first = {p: r["response_token_ids"] for (p, _), r in by_prompt(one).items()}
    second = {11 - p: r["response_token_ids"] for (p, _), r in by_prompt(five).items()}
    assert first == second
    assert len({tuple(ids) for ids in first.values()}) > 6


def test_the_second_run_reuses_the_first(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    prompts = make_prompts(QUESTIONS[:3])
    first = respond(tiny_llama, prompts, tmp_path)
    written = (first.folder / "manifest.json").stat().st_mtime_ns
    # where it runs and how the model is spelt is no other question
    again = respond(tiny_llama / ".", prompts, tmp_path, device="cpu", name=tiny_llama.name)
    assert again.id == first.id
    assert (again.folder / "manifest.json").stat().st_mtime_ns == written
    assert respond(tiny_llama, prompts, tmp_path, max_new_tokens=11).id != first.id


def test_samples(tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path) -> None:
    prompts = make_prompts(QUESTIONS[:4])
    sampled = {"temperature": 1.0, "n": 3, "seed": 7}
    three = by_prompt(respond(tiny_llama, prompts, tmp_path, batch_size=5, **sampled))
    other = by_prompt(respond(tiny_llama, prompts, tmp_path, batch_size=2, **sampled))
    reseeded = by_prompt(respond(tiny_llama, prompts, tmp_path, **{**sampled, "seed": 8}))
    assert sorted(three) == [(p, s) for p in range(4) for s in range(3)]
    ids = {key: tuple(r["response_token_ids"]) for key, r in three.items()}
    assert len(set(ids.values())) == 12
    assert ids == {key: tuple(r["response_token_ids"]) for key, r in other.items()}
    assert all(tuple(r["response_token_ids"]) != ids[key] for key, r in reseeded.items())


def test_a_prefix_is_continued(tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path) -> None:
    prompts = make_prompts(QUESTIONS[:5])
    whole = by_prompt(respond(tiny_llama, prompts, tmp_path))
    chosen = next(r for r in whole.values() if len(r["response_token_ids"]) == 12)
    prefix = chosen["response_token_ids"][:4]
    file = tmp_path / "prefixes.jsonl"
    file.write_text(json.dumps({"prompt_id": chosen["prompt_id"], "prefix_token_ids": prefix}))
    answers = respond(tiny_llama, prompts, tmp_path, prefix=str(file), max_new_tokens=8)
    going_on = by_prompt(answers)
    assert going_on[chosen["row_index"], 0]["response_token_ids"] == chosen["response_token_ids"]
    assert going_on[chosen["row_index"], 0]["response"] == chosen["response"]
    assert answers.about["n_prefixes"] == 1
    for key, record in going_on.items():
        if key[0] != chosen["row_index"]:
            full = whole[key]["response_token_ids"]
            assert record["response_token_ids"] == full[:8]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"prompt_id": "p-1", "prefix_token_ids": [1]}', "none of the prefixes belongs"),
        ('{"prompt_id": "p-1", "prefix_token_ids": ["a"]}', "line 1 must hold prompt_id"),
        ('{"prompt_id": "p-1", "prefix_token_ids": []}\n' * 2, "line 2 gives p-1 a second prefix"),
        ("{", "line 1"),
        ('{"prompt_id": "ID", "prefix_token_ids": [400]}', "the model knows ids below 400"),
    ],
)
def test_wrong_prefixes(
    lines: str, said: str, tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    prompts = make_prompts(QUESTIONS[:1])
    file = tmp_path / "prefixes.jsonl"
    file.write_text(lines.replace("ID", prompts.table("prompts")["prompt_id"][0].as_py()))
    with pytest.raises(InputError, match=said):
        respond(tiny_llama, prompts, tmp_path, prefix=str(file))
    with pytest.raises(InputError, match="there is no file"):
        respond(tiny_llama, prompts, tmp_path, prefix="nowhere.jsonl")


def test_only_the_last_turn_is_answered(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    turns = [("system", "Be kind."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    answers = respond(tiny_llama, make_prompts([{"messages": messages}]), tmp_path)
    [record] = answers.table("responses").to_pylist()
    text = AutoTokenizer.from_pretrained(tiny_llama).decode(record["prompt_token_ids"])
    assert text == "".join(
        f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns
    ) + ("<|im_start|>assistant\n")
    assert [m["content"] for m in record["messages"]] == [content for _, content in turns]


def test_alpaca_sets_the_input_apart(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    prompts = make_prompts([{"instruction": "Add.", "input": "1 and 2"}])
    answers = respond(tiny_llama, prompts, tmp_path, template="alpaca")
    [record] = answers.table("responses").to_pylist()
    text = AutoTokenizer.from_pretrained(tiny_llama).decode(record["prompt_token_ids"])
    assert "### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:" in text


def test_prompts_that_do_not_fit_are_set_aside(
    tiny_gpt2: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    # 2,048 positions, and a word is a token at least
    long = {"instruction": "no " * 2040}
    prompts = make_prompts([{"instruction": "Hi"}, long])
    answers = respond(tiny_gpt2, prompts, tmp_path)
    assert [r["row_index"] for r in answers.table("responses").to_pylist()] == [0]
    [aside] = answers.table("set_aside").to_pylist()
    assert aside["row_index"] == 1
    assert "do not fit into the model's context" in aside["reason"]
    assert "12 of them new, in 2,048" in aside["reason"]
    assert list(answers.counts["skipped"].values()) == [1]
    with pytest.raises(InputError, match="none of the 1 prompts can be answered: prompt and"):
        respond(tiny_gpt2, make_prompts([long]), tmp_path)


def test_bfloat16_is_compared_with_other_batches(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    answers = respond(tiny_llama, make_prompts(QUESTIONS), tmp_path, dtype="bfloat16")
    said = answers.about["stability"]
    assert said["checked"]
    assert (said["n_answers"], said["batch_size"], said["other_batch_size"]) == (8, 5, 1)
    assert said["n_below_noise"] <= said["n_differ"] == len(said["differences"]) <= 8
    sampled = respond(
        tiny_llama, make_prompts(QUESTIONS), tmp_path, dtype="bfloat16", temperature=1.0
    )
    assert sampled.about["stability"]["checked"] is False


def test_mistakes_in_options_and_inputs(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    for options, said in [
        ({"n": 2}, "several answers need a temperature"),
        ({"top_p": 0.5}, "top_p needs a temperature"),
        ({"temperature": 0}, "greater than 0"),
    ]:
        with pytest.raises(ConfigError, match=said):
            build(RespondConfig, {"model": "m", **options})
    prompts = make_prompts(QUESTIONS[:1])
    answers = respond(tiny_llama, prompts, tmp_path, limit=1)
    with pytest.raises(ArtefactError, match="holds no prompts"):
        respond(tiny_llama, answers, tmp_path)


def test_greedy_follows_the_model_not_its_generation_config(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.generation_config.update(do_sample=True, repetition_penalty=9.0, temperature=3.0)
    model.save_pretrained(tmp_path / "own")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "own")
    prompts = make_prompts(QUESTIONS[:4])
    plain = by_prompt(respond(tiny_llama, prompts, tmp_path))
    own = by_prompt(respond(tmp_path / "own", prompts, tmp_path))
    assert {k: r["response"] for k, r in own.items()} == {
        k: r["response"] for k, r in plain.items()
    }


def test_an_adapter_answers_as_its_merged_checkpoint(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), config)
    adapted.save_pretrained(tmp_path / "adapter")
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "merged")
    prompts = make_prompts(QUESTIONS[:6])
    adapter = respond(tmp_path / "adapter", prompts, tmp_path, base=str(tiny_llama))
    merged = respond(tmp_path / "merged", prompts, tmp_path)
    base = respond(tiny_llama, prompts, tmp_path)
    texts = [[r["response"] for r in by_prompt(a).values()] for a in (adapter, merged, base)]
    assert texts[0] == texts[1] != texts[2]
    assert adapter.about["model"]["facts"]["adapter"]["rank"] == 4


@pytest.mark.slow
def test_a_real_model(make_prompts: MakePrompts, tmp_path: Path) -> None:
    prompts = make_prompts(QUESTIONS[:6])
    model = Path("embedded:smollm2-135m")
    one = by_prompt(respond(model, prompts, tmp_path, max_new_tokens=24, batch_size=1))
    six = by_prompt(respond(model, prompts, tmp_path, max_new_tokens=24, batch_size=6))
    assert {k: r["response"] for k, r in one.items()} == {k: r["response"] for k, r in six.items()}
    rounded = respond(model, prompts, tmp_path, max_new_tokens=24, batch_size=6, dtype="bfloat16")
    said = rounded.about["stability"]
    assert said["checked"]
    assert said["n_below_noise"] == said["n_differ"]


CHILD = """
import os, signal, sys
import torch
from pathlib import Path
from aftertune.artefact import open_artefact
from aftertune.config import build
from aftertune.progress import Silent
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run

model, prompts, out, threads, kill_at = sys.argv[1:]
torch.set_num_threads(int(threads))
rename, seen = os.replace, 0
def killed(source, target):
    global seen
    seen += Path(target).parent.name == "responses"
    if seen == int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)  # the part is written but not in its place
    rename(source, target)
os.replace = killed
asked = {"model": model, "max_new_tokens": 12, "batch_size": 2, "temperature": 0.8, "n": 2}
run(build(RespondConfig, asked), open_artefact(Path(prompts)), Path(out), Silent())
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_run_goes_on_where_it_was(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    prompts = make_prompts(QUESTIONS)
    options = {"batch_size": 2, "temperature": 0.8, "n": 2}
    quiet = respond(tiny_llama, prompts, tmp_path / "quiet", **options)
    arguments = [str(tiny_llama), str(prompts.folder), str(tmp_path / "killed")]
    arguments += [str(torch.get_num_threads()), "5"]
    child = subprocess.run([sys.executable, "-c", CHILD, *arguments], check=False)
    assert child.returncode == -signal.SIGKILL

    folder = tmp_path / "killed" / quiet.id
    with pytest.raises(ArtefactError, match="unfinished"):
        open_artefact(folder)
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "responses").glob("*.parquet")}
    assert sorted(before) == [f"part-{i:05d}.parquet" for i in range(4)]

    resumed = respond(tiny_llama, prompts, tmp_path / "killed", **options)
    after = {p.name: p.stat().st_mtime_ns for p in (folder / "responses").iterdir()}
    assert len(after) == 12
    assert before.items() <= after.items()  # what was finished is not done again
    for path in sorted(quiet.folder.rglob("*.parquet")):
        assert path.read_bytes() == (folder / path.relative_to(quiet.folder)).read_bytes()
    ours, theirs = resumed.manifest, quiet.manifest
    ours.pop("seconds"), theirs.pop("seconds")
    assert ours == theirs
