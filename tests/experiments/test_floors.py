"""Floors of a shift: another seed, a null tuning, what is absent, and what the page says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aftertune.artefact import Artefact, open_artefact
from aftertune.controls.floors import compared, of_prompts, of_responses
from aftertune.experiments.floors import NO_ANSWERS, run
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.report.blocks.floors import block
from aftertune.respond import run as respond_stage
from made_subject import subject


@pytest.fixture(scope="module")
def it(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Its base writes a sentence; what random weights write is not the same when read again."""
    options = {"epochs": 8, "learning_rate": 1e-2, "schedule": "constant"}
    talker = subject(tiny_llama, tmp_path_factory.mktemp("talker"), "It is a city.", **options)
    folder = Path(talker.tuned) / "model"
    return subject(folder, tmp_path_factory.mktemp("floors"), learning_rate=1e-2)


@pytest.fixture(scope="module")
def floors(it: Subject) -> Artefact:
    return run(it, it.shift.folder.parent, Silent())


def inputs(made: Artefact) -> dict[str, Artefact]:
    return {one["name"]: open_artefact(Path(one["place"])) for one in made.manifest["inputs"]}


def test_a_floor_beside_a_shift_by_hand() -> None:
    # prompts p (two responses) and q; "c" was not scored in both
    shift = {"a": 4.0, "b": 2.0, "d": 3.0, "c": 9.0}
    floor = {"a": 1.0, "b": 1.0, "d": 1.0}
    found = compared(shift, floor, {"a": "p", "b": "p", "d": "q", "c": "q"})
    assert (found["n"], found["n_prompts"]) == (3, 2)
    assert found["share"]["estimate"] == pytest.approx(3 / 9)
    assert found["difference"]["estimate"] == pytest.approx(3.0 - 1.0)
    # drawn: q alone (3 to 1), p alone (6 to 2)
    assert found["share"]["low"] == found["share"]["high"] == pytest.approx(1 / 3)


def test_a_floor_as_large_as_the_shift_leaves_nothing() -> None:
    values = {name: float(n) for n, name in enumerate("abcdef", start=1)}
    found = compared(values, values)
    assert found["share"]["low"] == found["share"]["high"] == 1
    assert found["difference"]["low"] == found["difference"]["high"] == 0


def test_nothing_in_common_and_a_shift_of_nought_have_no_share() -> None:
    assert compared({"a": 1.0}, {"b": 1.0})["difference"]["reason"] == "no values"
    assert compared({"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 1.0})["share"]["estimate"] is None


def test_the_same_rows_are_tuned_on_again_with_one_thing_changed(
    it: Subject, floors: Artefact
) -> None:
    assert it.tune is not None
    made = inputs(floors)
    other = open_artefact(Path(made["two_seeds"].config["base"]))
    null = open_artefact(Path(made["null"].config["tuned"]))
    assert (other.config["seed"], other.config["shuffle_seed"]) == (1, 1)
    for name, value in it.tune.config.items():
        if name not in ("name", "seed", "shuffle_seed"):
            assert other.config[name] == value, name
        if name not in ("name", "train_on"):
            assert null.config[name] == value, name
    assert set(other.to_pandas("split").row_id) == set(it.tune.to_pandas("split").row_id)
    orders = [one.table("batch_plan").column("row_index").to_pylist() for one in (it.tune, other)]
    assert orders[0] != orders[1]


def test_the_null_tuning_learns_what_the_base_says(it: Subject, floors: Artefact) -> None:
    made = inputs(floors)
    null_rows, null = made["null_rows"], open_artefact(Path(made["null"].config["tuned"]))
    assert it.rows is not None
    theirs = {row["row_index"]: row for row in it.rows.table("rows").to_pylist()}
    for row in null_rows.table("rows").to_pylist():
        assert row["row_id"] == theirs[row["row_index"]]["row_id"]
        assert row["messages"][:-1] == theirs[row["row_index"]]["messages"][:-1]
        assert row["messages"][-1]["content"] == "It is a city."
    said = floors.about["found"]["null_rows"]
    # greedy answers are likely to the model that gave them
    assert said["first_loss_nats"] == null.to_pandas("loss").loss_nats[0]
    assert said["first_loss_nats"] < 0.5 * said["first_loss_of_rows_nats"]
    assert said["n_rows"] == null_rows.counts["done"] == 16


def test_numbers_are_those_of_the_shifts(it: Subject, floors: Artefact) -> None:
    found, made = floors.about["found"], inputs(floors)
    kl = it.shift.about["summary"]["kl_tuned_base_nats"]
    assert found["headline"] == {name: kl[name] for name in ("per_response", "per_token")}
    for name in ("two_seeds", "null"):
        both = of_responses(it.shift.table("tokens")), of_responses(made[name].table("tokens"))
        assert both[0].keys() == both[1].keys()
        means = [sum(one.values()) / len(one) for one in both]
        assert found[name]["share"]["estimate"] == pytest.approx(means[1] / means[0])
        assert found[name]["difference"]["estimate"] == pytest.approx(means[0] - means[1])
        assert made[name].about["text"]["responses"] == it.responses.id
    own = made["other_seed_own"]
    assert own.about["text"]["responses"] != it.responses.id
    theirs = open_artefact(own.folder.parent / own.about["text"]["responses"])
    prompts = theirs.table("responses").to_pylist()
    prompt_of = {one["response_id"]: one["prompt_id"] for one in prompts}
    assert len(of_prompts(own.table("tokens"), prompt_of)) == found["other_seed_own"]["n"] == 8


def test_a_second_run_finds_everything(it: Subject, floors: Artefact) -> None:
    before = sorted(path.name for path in floors.folder.parent.iterdir())
    assert run(it, floors.folder.parent, Silent()).id == floors.id
    assert sorted(path.name for path in floors.folder.parent.iterdir()) == before


def test_without_prompts_other_models_are_not_asked(it: Subject, floors: Artefact) -> None:
    made = run(replace(it, prompts=None), floors.folder.parent, Silent())
    assert made.id != floors.id
    assert set(made.about["absent"]) == {"other_seed_own", "null_own"}
    assert made.about["found"]["two_seeds"] == floors.about["found"]["two_seeds"]
    shown = block(made.about)
    assert shown["picture"]["rows"][1]["estimate"] is None
    assert "--prompts" in shown["picture"]["rows"][1]["reason"]
    assert any("--prompts" in caution for caution in shown["cautions"])


def test_a_model_from_elsewhere_has_no_floors_and_says_why(it: Subject, tmp_path: Path) -> None:
    made = run(replace(it, tune=None), tmp_path, Silent())
    assert made.about["found"] == {}
    shown = block(made.about)
    assert "aftertune tune" in shown["sentences"][0]
    assert shown["picture"] is shown["table"] is None


class Muted(Artefact):
    """Answers of which none says anything."""

    def table(self, name: str) -> pa.Table:
        table = super().table(name)
        if name != "responses":
            return table
        place = table.schema.get_field_index("response")
        return table.set_column(place, "response", pa.array([" "] * table.num_rows))


def test_a_base_without_an_answer_has_no_null_tuning(
    it: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = respond_stage.run

    def muted(config: Any, *rest: Any) -> Artefact:
        answers = real(config, *rest)
        return answers if config.name != "base" else Muted(answers.folder, answers.manifest)

    monkeypatch.setattr(respond_stage, "run", muted)
    made = run(it, tmp_path, Silent())
    assert made.about["absent"] == {"null": NO_ANSWERS, "null_own": NO_ANSWERS}
    assert made.about["found"]["null_rows"]["left_out"] == 16
    assert {"two_seeds", "other_seed_own"} < made.about["found"].keys()
    shown = block(made.about)
    assert [row["estimate"] is None for row in shown["picture"]["rows"]] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert any(NO_ANSWERS in caution for caution in shown["cautions"])


def estimate(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"estimate": value, "low": low, "high": high, "reason": None if low else "too few"}


def about(**changes: Any) -> dict[str, Any]:
    means = {"per_response": estimate(0.2, 0.1, 0.3), "per_token": estimate(0.2, 0.1, 0.3)}
    beside = {"n": 8, "n_prompts": 8, "share": estimate(0.5, 0.4, 0.6)}
    clear, open_ = estimate(0.2, 0.1, 0.3), estimate(0.01, -0.1, 0.1)
    found = {
        "headline": {"per_response": estimate(0.4, 0.3, 0.5), "per_token": means["per_token"]},
        "two_seeds": {**means, **beside, "difference": clear},
        "null": {**means, **beside, "difference": open_},
        "other_seed_own": {**means, **beside, "difference": open_},
        "null_own": {**means, **beside, "difference": clear},
        "null_rows": {
            "answers_cut": 3,
            "max_new_tokens": 40,
            "n_rows": 14,
            "left_out": 2,
            "first_loss_nats": 0.5,
            "first_loss_of_rows_nats": 2.0,
        },
    }
    return {"control": "floors", "name": "it", "found": {**found, **changes}, "absent": {}}


def test_the_page_says_what_is_decided_and_what_is_not() -> None:
    shown = block(about())
    first, seeds, null, spread = shown["sentences"]
    assert "0.400 [0.300, 0.500] nats per token, every answer weighing alike" in first
    assert "by 0.200 [0.100, 0.300] nats, 50.0% [40.0, 60.0] of the shift." in seeds
    assert "undecided" not in seeds
    assert "is undecided (difference 0.0100 [-0.1000, 0.1000] nats, paired over 8 prompts)" in null
    assert "whether the two headlines differ is undecided" in spread
    assert [row["estimate"] for row in shown["picture"]["rows"]] == [0.4, 0.2, 0.2, 0.2, 0.2]
    assert shown["picture"]["line"]["at"] == 0.4
    assert "KL(tuned from base" in shown["picture"]["x_label"]
    labels = [row["label"] for row in shown["picture"]["rows"]]
    assert labels[0] == "on answers of it: it from the base"
    assert len(shown["table"]["rows"]) == 5
    assert all(len(row) == len(shown["table"]["columns"]) for row in shown["table"]["rows"])
    assert any("3 of the base's answers had not ended after 40 tokens" in c
               for c in shown["cautions"])  # fmt: skip
    assert any("2 rows got no answer" in caution for caution in shown["cautions"])


def test_without_an_interval_it_is_undecided() -> None:
    two = {**about()["found"]["two_seeds"], "difference": estimate(0.2)}
    assert "is undecided" in block(about(two_seeds=two))["sentences"][1]
