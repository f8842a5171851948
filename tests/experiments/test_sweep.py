"""The sweep from rows to findings on a tiny model: its grid, its order, and what it reuses."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aftertune.artefact import Artefact, open_artefact
from aftertune.cli import main as command_line
from aftertune.config import build
from aftertune.errors import ConfigError, UserError
from aftertune.experiments import sweep
from aftertune.experiments.sweep_config import (
    Run,
    SweepConfig,
    check_plan,
    judged,
    pilots,
    plan_sentences,
    tune_options,
    why_no_pilots,
)
from aftertune.experiments.sweep_margin import MarginConfig, fix, margin_of
from aftertune.inputs import read_rows
from aftertune.progress import Silent
from aftertune.report.blocks.sweep import block, size_block

NAMED = {"base": "a", "data": "b", "prompts": "c"}


def config_of(**options: Any) -> SweepConfig:
    return build(SweepConfig, {**NAMED, **options})


def test_the_grid_is_methods_by_rates_by_sizes_by_seeds() -> None:
    config = config_of(
        learning_rates_full=[1e-5, 5e-5, 2e-4], learning_rates_lora=[5e-5, 2e-4],
        sizes=[1000, 100], seeds=3,
    )  # fmt: skip
    runs = judged(config)
    assert len(runs) == len(set(runs)) == (3 + 2) * 2 * 3
    assert {run.seed for run in runs} == {0, 1, 2}
    assert runs[0] == Run("full", 1e-5, 100, 0)
    assert runs[0].name == "full-1e-5-100-rows-seed-0"


def test_pilots_have_other_seeds_and_the_first_rate_of_both_methods() -> None:
    config = config_of(
        learning_rates_full=[1e-5, 2e-4, 5e-5], learning_rates_lora=[5e-5, 2e-4], sizes=[100, 1000],
        pilot_seeds=2,
    )  # fmt: skip
    assert pilots(config) == [
        Run("full", 2e-4, 100, 5), Run("lora", 2e-4, 100, 5),
        Run("full", 2e-4, 100, 6), Run("lora", 2e-4, 100, 6),
    ]  # fmt: skip
    assert not set(pilots(config)) & set(judged(config))
    apart = config_of(learning_rates_full=[1e-5], learning_rates_lora=[1e-3], sizes=[1, 2])
    assert pilots(apart) == []  # their gap would be one of rates
    assert "no learning rate was tried with both methods; give --margin" in why_no_pilots(apart)
    assert "no learning rate was tried with both" in plan_sentences(apart)[-1]


@pytest.mark.parametrize(
    "options", [{"sizes": [100]}, {"sizes": [1, 2], "margin": 0.1}, {},
                {"sizes": [1, 2], "methods": ["lora"]}],
)  # fmt: skip
def test_no_pilots_where_no_margin_has_to_be_found(options: dict[str, Any]) -> None:
    assert pilots(config_of(learning_rates=[1e-4], **options)) == []


def test_a_seed_decides_everything_that_is_drawn() -> None:
    config = config_of(learning_rates=[1e-4], batch_size=8, epochs=3)
    asked = tune_options(config, Run("lora", 1e-4, 160, 4))
    assert [asked[name] for name in ("seed", "shuffle_seed", "subset_seed")] == [4, 4, 4]
    assert (asked["subset"], asked["epochs"], asked["batch_size"]) == (160, 3, 8)
    fixed = tune_options(config_of(learning_rates=[1e-4], steps=60), Run("full", 1e-4, 160, 0))
    assert (fixed["max_steps"], fixed["epochs"]) == (60, 60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no learning rate is given for full"),
        ({"learning_rates_full": [1e-5]}, "no learning rate is given for lora"),
        ({"learning_rates": [1e-5, 1e-5]}, "given twice"),
        ({"learning_rates": [1e-5], "methods": ["full", "full"]}, "at most once"),
        ({"learning_rates": [1e-5], "methods": []}, "one at least"),
        ({"learning_rates": [1e-5], "methods": ["sft"]}, "full"),
        ({"learning_rates": [-1.0]}, "greater than 0"),
        ({"learning_rates": [1e-5], "sizes": [5, 5]}, "once"),
        ({"learning_rates": [1e-5], "steps": 5, "epochs": 1}, "leave epochs out"),
        ({"learning_rates": [1e-5], "margin": 0.0}, "margin"),
        (
            {"learning_rates": [1e-5], "learning_rates_lora": [1e-4], "methods": ["full"]},
            "methods leaves it out",
        ),
    ],
)
def test_what_cannot_be_swept_ends_in_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        config_of(**options)
    assert str(raised.value).count("\n") == 0


def test_the_plan_says_how_many_tunings() -> None:
    said = plan_sentences(config_of(learning_rates=[5e-5, 2e-4], sizes=[100, 1000]))
    assert said[0].startswith("44 tunings: 40 with seeds 0, 1, 2, 3, 4")
    assert "4 with seeds 5, 6" in said[0]
    assert said[1].startswith("22 of them tune all parameters")
    alone = plan_sentences(config_of(learning_rates=[5e-5], methods=["lora"], sizes=[1, 2]))
    assert "--margin" in alone[-1]


class Told(Silent):
    """Keeps what was said too."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """24 rows and 6 prompts."""
    folder = tmp_path_factory.mktemp("sweep-files")
    words = ["a", "city", "is", "in", "the", "country", "of", "poets", "and", "it", "was", "seven"]
    chance = random.Random(0)
    rows = [
        {"instruction": f"{' '.join(chance.choices(words, k=5))} {number}?",
         "output": " ".join(chance.choices(words, k=4 + number % 5))}
        for number in range(24)
    ]  # fmt: skip
    prompts = [{"instruction": f"Name the {word} of the country."} for word in words[:6]]
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "prompts.json").write_text(json.dumps(prompts))
    return {"data": str(folder / "rows.json"), "prompts": str(folder / "prompts.json")}


def tiny(base: Path, files: dict[str, str], **options: Any) -> SweepConfig:
    given = {
        "base": str(base), **files, "learning_rates": [1e-3], "seeds": 1, "pilot_seeds": 1,
        "batch_size": 4, "micro_batch_tokens": 256, "max_new_tokens": 8, **options,
    }  # fmt: skip
    return build(SweepConfig, given)


@pytest.fixture(scope="module")
def swept(
    tiny_llama: Path, files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Artefact, Told, SweepConfig]:
    """Two methods, two sizes, one seed, and one pilot of each method."""
    progress = Told()
    config = tiny(tiny_llama, files, sizes=[8, 16], steps=4)
    made = sweep.run(config, tmp_path_factory.mktemp("sweep"), progress)
    return made, progress, config


Swept = tuple[Artefact, Told, SweepConfig]


def test_the_result_names_every_tuning_and_where_its_numbers_come_from(swept: Swept) -> None:
    made, _, _ = swept
    found = made.about["found"]
    assert made.stage == "sweep"
    assert [(c["method"], c["learning_rate"], c["size"]) for c in found["cells"]] == [
        ("full", 1e-3, 8), ("lora", 1e-3, 8), ("full", 1e-3, 16), ("lora", 1e-3, 16),
    ]  # fmt: skip
    for cell in found["cells"]:
        (facts,) = cell["runs"]
        shift = open_artefact(made.folder.parent / facts["shift"])
        theirs = shift.about["summary"]["kl_tuned_base_nats"]
        assert cell["kl_per_token"]["estimate"] == pytest.approx(theirs["per_token"]["estimate"])
        # the same interval, but for the order in which prompts are drawn
        low, high = (theirs["per_response"][end] for end in ("low", "high"))
        assert cell["kl_per_response"]["low"] == pytest.approx(low, abs=0.1 * (high - low))
        assert cell["kl_per_response"]["high"] == pytest.approx(high, abs=0.1 * (high - low))
        shares = shift.about["summary"]["categories"]
        assert cell["shifted"]["estimate"] == pytest.approx(shares["shifted"]["share"]["estimate"])
        assert (facts["rows"], facts["steps"]) == (cell["size"], 4)
        assert cell["kl_per_token"]["speaks_of"] == "models"
    assert found["dtypes"] == ["float32"]


def test_smaller_sets_lie_in_larger_ones_and_methods_share_their_batches(swept: Swept) -> None:
    made, _, _ = swept

    def rows(number: int) -> set[str]:
        facts = made.about["found"]["cells"][number]["runs"][0]
        table = open_artefact(made.folder.parent / facts["tune"]).table("split").to_pylist()
        return {row["row_id"] for row in table if row["part"] == "train"}

    assert rows(0) == rows(1) < rows(2) == rows(3)
    assert (len(rows(0)), len(rows(2))) == (8, 16)


def test_the_margin_is_written_after_the_pilots_and_before_what_it_judges(swept: Swept) -> None:
    made, told, _ = swept
    names = [line.split(":")[0] for line in told.said if ": 1 of" in line or line[:6] == "margin"]
    assert names == ["full-1e-3-8-rows-seed-1", "margin", "full-1e-3-8-rows-seed-0"]
    (folder,) = made.folder.parent.glob("margin-*")
    fixed = open_artefact(folder)
    written = json.loads((folder / "margin.json").read_text())
    assert written["measured_before"] == []
    assert written["margin"]["value"] == pytest.approx(0.1 * abs(written["gap"]["estimate"]))
    assert "seed-1" in written["margin"]["source"]
    assert "seed-0" not in written["margin"]["source"]
    (named,) = [given for given in made.manifest["inputs"] if given["name"] == "margin"]
    assert (named["id"], named["sha256"]) == (fixed.id, fixed.content_hash())
    assert made.about["found"]["margin"] == written["margin"]
    assert all(one["margin"] == written["margin"] for one in made.about["found"]["trends"])


def test_a_second_run_finds_everything(swept: Swept) -> None:
    made, _, config = swept
    before = {path: path.stat().st_mtime_ns for path in made.folder.parent.glob("*/manifest.json")}
    again = sweep.run(config, made.folder.parent, Silent())
    assert again.id == made.id
    after = {path: path.stat().st_mtime_ns for path in made.folder.parent.glob("*/manifest.json")}
    assert after == before


def test_it_warns_of_one_rate_and_of_few_seeds(swept: Swept) -> None:
    made, told, _ = swept
    assert any("Only one learning rate was tried with full" in line for line in told.warnings)
    assert any("Fewer than 5 seeds" in line for line in told.warnings)
    assert block(made.about)["cautions"] == told.warnings
    assert size_block(made.about)["picture"]["x_values"] == [8.0, 16.0]  # type: ignore[index]


def test_a_margin_given_by_the_user_needs_no_pilots_and_admits_what_was_there_before(
    swept: Swept, tiny_llama: Path, files: dict[str, str]
) -> None:
    made, _, config = swept
    again = sweep.run(config.resolve(margin=0.5), made.folder.parent, Silent())
    found = again.about["found"]
    assert again.id != made.id
    assert found["margin"]["value"] == 0.5
    assert found["pilots"] == []
    assert len(found["measured_before_margin"]) == 4
    assert any("before the margin was fixed" in c for c in block(again.about)["cautions"])


def test_sizes_that_cannot_be_reached_are_said_before_anything_runs(
    tiny_llama: Path, files: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"25 rows, and .* has 24"):
        sweep.run(tiny(tiny_llama, files, sizes=[8, 25]), tmp_path, Silent())
    with pytest.raises(ConfigError, match="3 steps of 4 rows do not reach 16 rows"):
        sweep.run(tiny(tiny_llama, files, sizes=[8, 16], steps=3), tmp_path, Silent())
    with pytest.raises(ConfigError, match="do not reach 24 rows"):
        sweep.run(tiny(tiny_llama, files, steps=5), tmp_path, Silent())
    assert not list(tmp_path.glob("tune-*"))


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["aftertune", *map(str, arguments)])
    try:
        command_line.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_reuses_what_tune_made(
    tiny_llama: Path, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tuning = ["--epochs", 1, "--batch-size", 8, "--base", tiny_llama, "--data", files["data"]]
    where = ["--out", tmp_path, "--json"]
    for method, rate in [("full", "1e-4"), ("lora", "1e-3")]:
        made = ["--method", method, "--learning-rate", rate, "--subset", 12, "--name", "mine"]
        assert command(monkeypatch, "tune", *tuning, *made, *where) == 0
    tunes = {path.name for path in tmp_path.glob("tune-*")}
    capsys.readouterr()
    asked = ["--learning-rates-full", "1e-4", "--learning-rates-lora", "1e-3", "--sizes", "12",
             "--seeds", 1, "--prompts", files["prompts"], "--limit", 4,
             "--max-new-tokens", 6]  # fmt: skip
    assert command(monkeypatch, "sweep", *tuning, *asked, *where) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {path.name for path in tmp_path.glob("tune-*")} == tunes
    assert {c["runs"][0]["tune"] for c in shown["about"]["found"]["cells"]} == tunes
    assert shown["about"]["found"]["n_prompts"] == 4
    assert shown["about"]["absent"]["trends"].startswith("one size")
    assert not list(tmp_path.glob("margin-*"))
    assert command(monkeypatch, "sweep", *tuning, *asked, "--out", tmp_path) == 0
    assert "Is it the method or the rate?" in capsys.readouterr().out


def test_plan_runs_nothing(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked = ["--base", "x", "--data", files["data"], "--prompts", files["prompts"], "--plan",
             "--learning-rates", "5e-5,2e-4", "--out", tmp_path / "out"]  # fmt: skip
    assert command(monkeypatch, "sweep", *asked) == 0
    assert capsys.readouterr().out.startswith("20 tunings: 20 with seeds 0, 1, 2, 3, 4")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"base": "/no/such/model"}, "no such folder"),
        ({"data": "nowhere.json"}, "there is no file or folder nowhere.json"),
        ({"prompts": "nowhere.json"}, "there is no file or folder nowhere.json"),
        ({"sizes": [12, 99]}, "asks for 99 rows"),
    ],
)
def test_a_plan_that_cannot_run_is_refused(
    tiny_llama: Path, files: dict[str, str], tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    rows = read_rows(files["data"], tmp_path, Silent())
    given = {"base": str(tiny_llama), **files, "data": str(rows.folder), "learning_rates": [1e-4],
             "sizes": [12, 24]}  # fmt: skip
    assert check_plan(build(SweepConfig, given)) == []
    with pytest.raises(UserError, match=words):
        check_plan(build(SweepConfig, {**given, **changed}))


def test_a_plan_says_what_it_did_not_check(files: dict[str, str]) -> None:
    given = {**files, "base": "org/model", "prompts": "org/texts", "learning_rates": [1e-4],
             "sizes": [12]}  # fmt: skip
    said = check_plan(build(SweepConfig, given))
    assert [sentence.split(": ")[0] for sentence in said] == ["Not checked"] * 3
    assert "12 rows" in said[-1]


def test_a_margin_needs_a_gap_that_is_decided(tmp_path: Path) -> None:
    def margin(lora: list[float]) -> Artefact:
        def pilot(kl: list[float]) -> dict[str, Any]:
            return {"kl": np.array([kl]), "tokens": np.ones((1, len(kl)))}

        asked = MarginConfig(share_of_gap=0.1, pilots=(str(lora),), learning_rate=2e-4, size=1000)
        return fix(asked, [], (pilot([1.0, 1.1, 0.9, 1.0]), pilot(lora)), tmp_path)

    open_ = margin([1.5, 0.5, 1.6, 0.4])
    assert margin_of(open_) is None
    assert "the pilots' gap is undecided" in open_.about["reason"]
    clear = margin_of(margin([0.5, 0.6, 0.4, 0.5]))
    assert clear is not None
    assert clear.value == pytest.approx(0.05)
    assert "both at the learning rate 0.0002 on 1,000 rows" in clear.rule


def test_numbers_that_are_none_end_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "sweep", "--learning-rates", "5e-5;2e-4") == 2
    assert "with commas between" in " ".join(capsys.readouterr().err.split())
