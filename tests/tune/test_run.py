"""The stage from rows to a checkpoint: tables, files, what is shared between runs, and kills."""

import json
import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from aftertune.artefact import SCRATCH, Artefact
from aftertune.config import build
from aftertune.data.config import RowsConfig
from aftertune.data.render import render_prompt, stop_ids
from aftertune.data.run import run_rows
from aftertune.data.templates import get
from aftertune.errors import ArtefactError, ConfigError, InputError, ModelError, TemplateError
from aftertune.models.generate import Settings, generate
from aftertune.models.load import load
from aftertune.progress import Silent
from aftertune.tune.config import PLAN_FIELDS, TuneConfig
from aftertune.tune.run import run

ANSWERS = [
    ("Name the capital.", "A city."),
    ("Who wrote the play?", "A poet from a small town, in 1601."),
    ("How do I boil an egg?", "Put it into boiling water for seven minutes."),
    ("Name the largest planet.", "Jupiter, and the smallest is Mercury."),
]


def rows_of(pairs: list[tuple[str, str]], folder: Path) -> Artefact:
    path = folder / "rows.json"
    path.write_text(json.dumps([{"instruction": i, "output": o} for i, o in pairs]))
    return run_rows(RowsConfig(source=str(path)), folder / "out", Silent())


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """24 rows of many lengths, each with a near twin nowhere."""
    words = "a city is in the country of poets and it was written for seven days".split()  # noqa: SIM905
    chance = random.Random(0)
    pairs = [
        (" ".join(chance.choices(words, k=6)) + f" {n}?", " ".join(chance.choices(words, k=3 + n)))
        for n in range(24)
    ]
    return rows_of(pairs, tmp_path_factory.mktemp("rows"))


def config_of(base: Path, **options: Any) -> TuneConfig:
    given = {
        "base": str(base), "method": "full", "dtype": "float32", "epochs": 2, "batch_size": 4,
        "micro_batch_tokens": 128, "learning_rate": 1e-3, **options,
    }  # fmt: skip
    return build(TuneConfig, given)


def plan_of(artefact: Artefact) -> list[dict[str, Any]]:
    return artefact.table("batch_plan").to_pylist()  # type: ignore[no-any-return]


def weights_of(artefact: Artefact) -> dict[str, torch.Tensor]:
    name = (
        "model.safetensors" if artefact.config["method"] == "full" else "adapter_model.safetensors"
    )
    return load_file(artefact.folder / "model" / name)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_leaves_a_model_its_plan_and_its_loss(
    tiny_llama: Path, rows: Artefact, tmp_path: Path, method: str
) -> None:
    progress = Silent()
    made = run(config_of(tiny_llama, method=method), rows, tmp_path, progress)
    assert made.tables == ["batch_plan", "loss", "split"]
    loss = made.to_pandas("loss")
    assert loss.step.tolist() == list(range(1, 13))
    assert loss.epoch.tolist() == pytest.approx([n / 6 for n in range(1, 13)])
    split = made.to_pandas("split")
    assert (split.part == "train").all()
    # every token of every row once per epoch
    assert loss.n_tokens.sum() == 2 * split.n_tokens.sum() == made.about["n_tokens"]
    assert loss.n_trained_tokens.sum() == 2 * split.n_trained_tokens.sum()
    assert loss.loss_nats.iloc[-3:].mean() < loss.loss_nats.iloc[:3].mean()
    assert made.counts["done"] == 24
    assert made.about["template"]["name"] == "chat"
    assert "⟦" in made.about["shown_row"]
    assert not (made.folder / SCRATCH).exists()
    assert not any(
        name.endswith((".bin", ".pt", ".pth", "README.md")) for name in made.manifest["files"]
    )

    tuned = load(made.folder)
    assert tuned.is_adapter == (method == "lora")
    ids = torch.tensor([[5, 6, 7]])
    base = load(tiny_llama)
    with torch.no_grad():
        assert not torch.equal(tuned.model(ids).logits, base.model(ids).logits)
        if method == "lora":
            assert tuned.ref.base
            assert tuned.ref.base.path == tiny_llama
            with tuned.adapter_off():
                assert torch.equal(tuned.model(ids).logits, base.model(ids).logits)
            settings = json.loads((made.folder / "model" / "adapter_config.json").read_text())
            assert settings["target_modules"] == sorted(settings["target_modules"])
            assert settings["base_model_name_or_path"] == str(tiny_llama)
            assert 0 < made.about["trained_parameters"] < made.about["parameters"]
        else:
            assert made.about["trained_parameters"] == base.facts["parameters"]
            for name in ("config.json", "generation_config.json"):
                saved = json.loads((made.folder / "model" / name).read_text())
                assert saved == json.loads((tiny_llama / name).read_text())

    assert (
        run(config_of(tiny_llama, method=method, name="again"), rows, tmp_path, progress).id
        == made.id
    )


def test_the_same_config_gives_the_same_weights(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    options = {
        "method": "lora", "dora": True, "neftune_alpha": 5.0, "dtype": "bfloat16", "max_steps": 3,
    }  # fmt: skip
    one = run(config_of(tiny_llama, **options), rows, tmp_path / "a", Silent())
    two = run(config_of(tiny_llama, **options), rows, tmp_path / "b", Silent())
    assert one.content_hash() == two.content_hash()
    other = run(config_of(tiny_llama, **options, seed=1), rows, tmp_path / "a", Silent())
    assert plan_of(other) == plan_of(one)
    assert other.content_hash() != one.content_hash()


def test_hold_out_subset_and_budget_are_kept_in_the_split(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    made = run(config_of(tiny_llama, hold_out=0.25, subset=10, epochs=1), rows, tmp_path, Silent())
    split = made.to_pandas("split")
    assert split.part.value_counts().to_dict() == {"train": 10, "left_out": 8, "held_out": 6}
    assert set(split.reason[split.part == "left_out"]) == {"not in the subset"}
    trained = set(split.row_index[split.part == "train"])
    assert {line["row_index"] for line in plan_of(made)} == trained
    assert made.counts["skipped"] == {"not in the subset": 8}

    budget = run(config_of(tiny_llama, token_budget=600, hold_out=0.25), rows, tmp_path, Silent())
    assert budget.to_pandas("loss").n_tokens.sum() <= 600
    held = budget.to_pandas("split")
    assert (held.part == "held_out").tolist() == (split.part == "held_out").tolist()

    short = run(config_of(tiny_llama, max_steps=2), rows, tmp_path, Silent())
    assert short.counts["skipped"] == {"not reached within max_steps": 16}
    assert short.to_pandas("loss").epoch.tolist() == pytest.approx([4 / 24, 8 / 24])


def test_masking_a_row_changes_its_loss_and_nothing_else(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    config = config_of(tiny_llama, max_steps=1)
    plain = run(config, rows, tmp_path, Silent())
    first = plan_of(plain)[0]["row_id"]
    weights = tmp_path / "weights.json"
    weights.write_text(json.dumps({first: 0}))
    masked = run(config.resolve(weights=weights), rows, tmp_path, Silent())
    assert masked.id != plain.id
    assert plan_of(masked) == plan_of(plain)
    assert masked.counts["masked"] == 1
    before, after = plain.to_pandas("loss"), masked.to_pandas("loss")
    assert after.n_trained_tokens.tolist() == before.n_trained_tokens.tolist()
    assert after.loss_nats[0] < before.loss_nats[0]
    weights.write_text(json.dumps({first: 1}))
    same = run(config.resolve(weights=weights), rows, tmp_path, Silent())
    assert weights_of(same).keys() == weights_of(plain).keys()
    assert all(torch.equal(weights_of(same)[name], t) for name, t in weights_of(plain).items())


def test_a_plan_is_taken_over_by_another_method(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    first = run(config_of(tiny_llama, hold_out=0.25, shuffle_seed=7), rows, tmp_path, Silent())
    options = {"method": "lora", "take_plan": first.folder}
    second = run(config_of(tiny_llama, **options), rows, tmp_path, Silent())
    for name in PLAN_FIELDS:  # what the plan was made with is what this run records
        assert second.config[name] == first.config[name]
    with pytest.raises(ConfigError, match="batch_size is 2, but the plan"):
        run(config_of(tiny_llama, **options, batch_size=2), rows, tmp_path, Silent())
    assert plan_of(second) == plan_of(first)
    assert second.table("split").select(["row_id", "part"]) == first.table("split").select(
        ["row_id", "part"]
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(InputError, match="not among these rows"):
        run(config_of(tiny_llama, **options), rows_of(ANSWERS, elsewhere), tmp_path, Silent())
    with pytest.raises(ArtefactError, match="no tune-"):
        run(config_of(tiny_llama, take_plan=rows.folder), rows, tmp_path, Silent())


def test_a_tuned_model_answers_and_stops(tiny_llama: Path, tmp_path: Path) -> None:
    rows = rows_of(ANSWERS, tmp_path)
    config = config_of(tiny_llama, epochs=40, learning_rate=5e-3, schedule="constant")
    tuned = load(run(config, rows, tmp_path, Silent()).folder)
    template = get("auto", tuned.tokenizer)
    stops = stop_ids(template, tuned.tokenizer)
    for instruction, answer in ANSWERS:
        message = {"role": "user", "content": instruction, "thinking": None, "tool_calls": None,
                   "tool_call_id": None, "name": None}  # fmt: skip
        prompt = render_prompt([message], None, template, tuned.tokenizer)
        (made,) = generate(tuned.plain, [list(prompt.ids)], stops, Settings(max_new_tokens=60))
        assert made.finish_reason == "stop"
        assert tuned.tokenizer.decode(made.ids, skip_special_tokens=True) == answer


def test_rows_over_the_length_limit_are_counted(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    progress = Silent()
    made = run(config_of(tiny_llama, max_length=60, epochs=1), rows, tmp_path, progress)
    split = made.to_pandas("split")
    assert (split.n_tokens <= 60).all()
    assert made.counts["cut_rows"] == (split.n_cut_tokens > 0).sum() > 0
    assert any("length limit" in sentence for sentence in progress.warnings)
    with pytest.raises(InputError, match="no trained token"):
        run(config_of(tiny_llama, max_length=5), rows, tmp_path, progress)


def test_a_template_that_never_stops_is_refused_before_training(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    endless = tmp_path / "endless.jinja"
    endless.write_text(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    with pytest.raises(TemplateError, match="refused"):
        run(config_of(tiny_llama, template=str(endless)), rows, tmp_path, Silent())
    assert not list(tmp_path.glob("tune-*/model"))


def test_what_cannot_be_tuned_is_one_sentence(
    tiny_llama: Path, rows: Artefact, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="all-linear"):
        run(config_of(tiny_llama, method="lora", target_modules=["nope"]), rows, tmp_path, Silent())
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="4-bit"):
            run(config_of(tiny_llama, method="lora", quantize="4bit"), rows, tmp_path, Silent())
    adapter = run(config_of(tiny_llama, method="lora", max_steps=1), rows, tmp_path, Silent())
    with pytest.raises(ModelError, match="merge it"):
        run(config_of(adapter.folder), rows, tmp_path, Silent())
    with pytest.raises(InputError, match="rows-"):
        run(config_of(tiny_llama), adapter, tmp_path, Silent())


def contents(artefact: Artefact) -> dict[str, Any]:
    """Bytes of all tables and files, and the manifest without its seconds."""
    files = {
        path.relative_to(artefact.folder).as_posix(): path.read_bytes()
        for path in sorted(artefact.folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    return {**files, "manifest": {k: v for k, v in artefact.manifest.items() if k != "seconds"}}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and forks")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_killed_at_random_moments_it_ends_as_if_undisturbed(
    tiny_llama: Path, rows: Artefact, tmp_path: Path, method: str
) -> None:
    config = config_of(tiny_llama, method=method, epochs=3, neftune_alpha=5.0, checkpoint_seconds=0)
    undisturbed = run(config, rows, tmp_path / "quiet", Silent())

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["aftertune.tune.run"])
    folder = tmp_path / "killed" / undisturbed.id
    chance = random.Random(method)
    alive = []
    for _ in range(2):
        seen = set(folder.glob(f"{SCRATCH}/checkpoint-*"))
        process = context.Process(target=run, args=(config, rows, tmp_path / "killed", Silent()))
        process.start()
        while process.is_alive() and set(folder.glob(f"{SCRATCH}/checkpoint-*")) <= seen:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.15))
        alive.append(process.is_alive())
        process.kill()
        process.join()
    assert any(alive), "the run was over before it could be killed"
    assert not (folder / "manifest.json").exists()
    assert contents(run(config, rows, tmp_path / "killed", Silent())) == contents(undisturbed)
    assert pq.read_metadata(folder / "loss" / "part-00000.parquet").num_rows == 18
