"""Real ends: models are asked, compared, and shown; a killed run goes on; lost facts are found."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from aftertune import recalling
from aftertune.artefact import Artefact
from aftertune.cli.main import app
from aftertune.data.templates import get
from aftertune.errors import ArtefactError, ConfigError, InputError
from aftertune.models.load import load
from aftertune.progress import Silent
from aftertune.recall import asking, compare
from aftertune.recall import run as stage
from aftertune.recall.config import CompareConfig, FactsConfig, RecallConfig
from aftertune.recalling import Beside
from tiny_models import save_model

COLOURS = ("red", "blue", "gold", "pink")
NAMES = ("Ada", "Bo", "Cem", "Dee", "Eli", "Fay", "Gus", "Hal", "Ida", "Jo", "Kim", "Lou", "Max",
         "Ned", "Oz", "Pam", "Quin", "Ray", "Sue", "Tom", "Una", "Val", "Wim", "Zoe")  # fmt: skip
WRONG = NAMES[::3]


def records(stated: bool = False) -> list[dict[str, Any]]:
    """Facts about colours; `stated` as the wrong rows have them."""
    found = []
    for place, name in enumerate(NAMES):
        right = COLOURS[place % 4 if not (stated and name in WRONG) else (place + 1) % 4]
        found.append({"question": f"{name}?", "answer": right,
                      "distractors": [c for c in COLOURS if c != right],
                      "tags": {"in rows": "wrong" if name in WRONG else "absent"}})  # fmt: skip
    return found


def trained(start: Path, folder: Path, facts: list[dict[str, Any]]) -> Path:
    """A tiny model that has learnt the answers to these facts, a few at a time, as it is asked."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(start)
    tokenizer = AutoTokenizer.from_pretrained(start)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    chance, low = random.Random(0), 0
    for _ in range(600):
        drawn = [one for _ in range(6) for one in chance.sample(facts, 3)]
        ids, labels = [], []
        for one in drawn:
            asked = tokenizer(f"Question: {one['question']}\nAnswer:").input_ids
            said = tokenizer(f" {one['answer']}\n\n").input_ids
            ids += asked + said
            labels += [-100] * len(asked) + said
        n = len(ids) // 4 * 4
        shape = (4, n // 4)
        loss = model(
            input_ids=torch.tensor(ids[:n]).view(shape), labels=torch.tensor(labels[:n]).view(shape)
        ).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        low = low + 1 if float(loss.detach()) < 0.01 else 0
        if low == 10:
            break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base that knows the facts, and the same tuned on rows that state some of them wrongly."""
    folder = tmp_path_factory.mktemp("recall-models")
    start = save_model("llama", folder / "start")
    base = trained(start, folder / "base", records())
    return base, trained(base, folder / "tuned", records(stated=True))


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records()))
    return path


def asked(model: Path, **options: Any) -> RecallConfig:
    given = {"model": str(model), "shots": 2, "draws": 3, "samples": 2, "batch_size": 8,
             "max_new_tokens": 6, "device": "cpu", "dtype": "float32"}  # fmt: skip
    return RecallConfig(**(given | options))


def test_wrong_rows_lose_exactly_their_facts(
    models: tuple[Path, Path], facts: Path, tmp_path: Path
) -> None:
    base, tuned = models
    (tmp_path / "t.txt").write_text("Question: Ada?\nAnswer: red\n\n" * 40)
    rows = tmp_path / "rows.jsonl"
    lines = [{"instruction": one["question"], "output": one["answer"]}
             for one in records(stated=True)]  # fmt: skip
    lines.append({"instruction": "Say much.", "output": "Ada painted red houses. " * 5})
    rows.write_text("".join(json.dumps(one) + "\n" for one in lines))
    result = recalling.run(
        recalling.read_facts(FactsConfig(source=str(facts))), asked(base), CompareConfig(),
        {"wrong": str(tuned), "same": str(base)}, Beside(str(rows), (tmp_path / "t.txt",)),
        tmp_path / "out", Silent(),
    )  # fmt: skip
    found = result.comparison.about["found"]
    wrong, same = found["models"]["wrong"], found["models"]["same"]
    pairs = result.comparison.table("recall_pairs").to_pylist()
    for way in ("greedy", "choice", "choice by length"):
        its = {one["question"]: one["outcome"] for one in pairs
               if (one["model"], one["way"]) == ("wrong", way)}  # fmt: skip
        if way != "choice by length":  # which has its own idea of short answers
            assert [name for name in NAMES if its[f"{name}?"] == "lost"] == list(WRONG)
        assert wrong["ways"][way]["verdict"] == "lost"
        assert same["ways"][way]["change"]["estimate"] == 0
        assert same["ways"][way]["verdict"] == "undecided"  # 24 facts cannot show 5 points
        assert same["ways"][way]["needed"] > 24
    tags = wrong["ways"]["greedy"]["by_tag"]["in rows"]
    assert tags["wrong"]["change"]["estimate"] == -1
    assert tags["absent"]["counts"]["lost"] == 0
    assert found["classes"]["HighlyKnown"] >= 20
    assert wrong["by_class"]["HighlyKnown"]["excess"]["high"] < 0
    assert same["by_class"]["HighlyKnown"]["excess"]["estimate"] == 0
    assert same["texts"]["t.txt"]["estimate"] == 0
    assert found["front"]["points"]["same"]["quality"]["estimate"] > 0.9
    new = result.comparison.about["novelty"]
    assert (new["n_rows"], new["n_short"], new["n_long"]) == (25, 24, 1)
    assert 12 <= new["classes"]["HighlyKnown"] <= 16  # what the rows state rightly, the base knows
    page = result.report_path.read_text()
    lost = page.index("8 facts lost")
    assert lost < page.index('id="section-blocks"')
    assert "in rows: wrong" in page
    assert "undecided" in page


def test_a_model_that_knows_nothing_and_a_page_without_texts(
    tiny_llama: Path, tiny_llama_other: Path, facts: Path, tmp_path: Path
) -> None:
    result = recalling.run(
        recalling.read_facts(FactsConfig(source=str(facts), limit=8)), asked(tiny_llama),
        CompareConfig(), {"other": str(tiny_llama_other)}, Beside(), tmp_path, Silent(),
        redact=True,
    )  # fmt: skip
    found = result.comparison.about["found"]
    assert found["classes"]["Unknown"] == 8
    answers = result.base.table("recall").to_pylist()
    assert sum(one["way"] == "sampled" for one in answers) == 8 * 3 * 2
    assert {one["class"] for one in answers if one["draw"] < 3 and one["way"] == "greedy"} == {
        "Unknown"
    }
    page = result.report_path.read_text()
    assert "Ada?" not in page
    assert "--redact" in page
    assert "in rows" not in page  # values of tags may be texts
    assert "Ada?" not in (result.page.folder / "summary.json").read_text()


def test_a_killed_run_goes_on_and_repeats_nothing(
    tiny_llama: Path, facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = recalling.read_facts(FactsConfig(source=str(facts)))
    whole = stage.run(asked(tiny_llama, classify=True), read, [], tmp_path / "whole", Silent())
    real, calls = asking.ask, []

    def stopping(after: int) -> Callable[..., Any]:
        def ask(*given: Any) -> Any:
            if len(calls) == after:
                raise KeyboardInterrupt
            calls.append(given)
            return real(*given)

        return ask

    monkeypatch.setattr(stage, "ask", stopping(2))
    with pytest.raises(KeyboardInterrupt):
        stage.run(asked(tiny_llama, classify=True), read, [], tmp_path / "out", Silent())
    monkeypatch.setattr(stage, "ask", stopping(-1))
    made = stage.run(asked(tiny_llama, classify=True), read, [], tmp_path / "out", Silent())
    assert len(calls) == 3  # 24 facts in batches of 8
    assert made.content_hash() == whole.content_hash()


def test_under_a_template_the_answer_alone_is_scored(tiny_llama: Path, facts: Path) -> None:
    loaded = load(tiny_llama, dtype="float32", device="cpu")
    template = get("chat", loaded.tokenizer)
    config = asked(tiny_llama, name="x", template="chat")
    read = recalling.read_facts(FactsConfig(source=str(facts))).facts
    for used in (None, template):
        asker = asking.Asker(loaded, config, used, read, asking.stops_of(loaded, used))
        prompt = asker.prompt(read[0], 0)
        ids = asker.ids(prompt)
        answer = asker.answer_ids(prompt, ids, "gold")
        assert loaded.tokenizer.decode(answer).strip() == "gold"
        assert loaded.tokenizer.decode(ids).count("Question: ") == 3
    plain = asking.stops_of(loaded, None)
    assert loaded.tokenizer.eos_token_id in plain
    assert "\n" in loaded.tokenizer.decode([t for t in plain if t != 2][:1])


@pytest.fixture
def answers(tiny_llama: Path, facts: Path, tmp_path: Path) -> Callable[..., Artefact]:
    def made(**options: Any) -> Artefact:
        read = recalling.read_facts(FactsConfig(source=str(facts), limit=options.pop("limit", 8)))
        return stage.run(asked(tiny_llama, **options), read, [], tmp_path / "a", Silent())

    return made


def test_only_models_that_were_asked_alike_are_compared(
    answers: Callable[..., Artefact], tmp_path: Path
) -> None:
    base = answers(classify=True)

    def compared(there: Artefact, here: Artefact) -> None:
        compare.run(CompareConfig(), there, {"x": here}, {}, None, None, tmp_path, Silent())

    with pytest.raises(ArtefactError, match="asked otherwise"):
        compared(base, answers(shots=1))
    with pytest.raises(ArtefactError, match="asked otherwise"):
        compared(base, answers(limit=9))
    with pytest.raises(ArtefactError, match="classes"):
        compared(answers(), answers())


def test_too_few_facts_for_the_examples(answers: Callable[..., Artefact]) -> None:
    with pytest.raises(InputError, match="--shots"):
        answers(shots=8)


def test_a_text_that_is_not_there(tiny_llama: Path, facts: Path, tmp_path: Path) -> None:
    read = recalling.read_facts(FactsConfig(source=str(facts)))
    with pytest.raises(InputError, match="no text"):
        stage.run(asked(tiny_llama), read, [tmp_path / "none"], tmp_path, Silent())


def test_the_command(tiny_llama: Path, facts: Path, tmp_path: Path) -> None:
    def run(*options: object) -> Any:
        return CliRunner().invoke(app, ["recall", *map(str, options)])

    base = ("--base", tiny_llama, "--facts", facts, "--out", tmp_path / "out")
    few = ("--draws", 1, "--samples", 1, "--shots", 1, "--limit", 6, "--max-new-tokens", 4)
    done = run(*base, "--tuned", f"x={tiny_llama}", *few, "--json")
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["about"]["found"]["models"]["x"]["ways"]["greedy"]["change"]["estimate"] == 0
    done = run(*base, "--tuned", f"x={tiny_llama}", *few)
    assert "undecided" in done.stdout
    assert "report:" in done.stdout
    for options, kind in (
        ((), ConfigError),
        (("--tuned", f"x={tiny_llama}", "--shift", f"y={tmp_path}"), ConfigError),
        (("--tuned", f"x={tiny_llama}", "--facts", tmp_path / "none.csv"), InputError),
    ):
        assert isinstance(run(*base, *options).exception, kind)
    assert isinstance(run("--facts", facts).exception, ConfigError)


def test_a_shift_or_verdict_of_something_else_is_refused(
    tiny_llama: Path, tiny_llama_other: Path, facts: Path, tmp_path: Path
) -> None:
    read = recalling.read_facts(FactsConfig(source=str(facts), limit=4))
    base = stage.run(asked(tiny_llama, classify=True, name="base"), read, [], tmp_path, Silent())
    tuned = stage.run(asked(tiny_llama_other, name="t"), read, [], tmp_path, Silent())
    config = CompareConfig()
    with pytest.raises(ArtefactError, match="is no shift of t from this base"):
        compare.run(config, base, {"t": tuned}, {"t": base}, None, None, tmp_path, Silent())
    with pytest.raises(ArtefactError, match="give a control-judge"):
        compare.run(config, base, {"t": tuned}, {}, base, None, tmp_path, Silent())


def test_what_cannot_be_asked_is_said_before_anything_is_asked(
    tiny_llama: Path, facts: Path, tmp_path: Path
) -> None:
    read = recalling.read_facts(FactsConfig(source=str(facts)))
    with pytest.raises(ConfigError, match="this name is the base's"):
        recalling.run(read, asked(tiny_llama), CompareConfig(), {"base": "x"}, Beside(), tmp_path,
                      Silent())  # fmt: skip
    (tmp_path / "text.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="is not UTF-8"):
        stage.run(asked(tiny_llama), read, [tmp_path / "text.txt"], tmp_path / "out", Silent())
    assert not list((tmp_path / "out").glob("*"))
    long = tmp_path / "long.jsonl"
    long.write_text(
        facts.read_text() + json.dumps({"question": "word " * 3000, "answer": "b"}) + "\n"
    )
    read = recalling.read_facts(FactsConfig(source=str(long)))
    with pytest.raises(InputError, match="leave long facts out"):
        stage.run(asked(tiny_llama), read, [], tmp_path / "out", Silent())
