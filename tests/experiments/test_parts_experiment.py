"""Parts of a real shift: planted cases, what the twin is tuned on, and what the page says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aftertune.artefact import Artefact, open_artefact
from aftertune.controls.parts import PARTS, VARIANTS
from aftertune.experiments.parts import run
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.report.blocks.parts import block
from made_subject import subject

SAYS_NOTHING = "However, it is so."  # words of style and function words alone


@pytest.fixture(scope="module")
def it(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Tuned under another template than the base's own, on names, towns and numbers."""
    return subject(tiny_llama, tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def made(it: Subject) -> Artefact:
    return run(it, it.shift.folder.parent, Silent())


def inputs(made: Artefact) -> dict[str, Artefact]:
    return {one["name"]: open_artefact(Path(one["place"])) for one in made.manifest["inputs"]}


def parts_of(made: Artefact, what: str = "parts") -> dict[str, float]:
    found = made.about["found"]["per_response"][what]
    return {name: found[name]["estimate"] for name in found}


def test_the_four_comparisons_are_of_the_same_text(it: Subject, made: Artefact) -> None:
    shifts = {name: one for name, one in inputs(made).items() if name in VARIANTS}
    assert shifts["template"].id == it.shift.id
    twin = str(inputs(made)["twin"].folder)
    bases = {name: one.config["base"] for name, one in shifts.items()}
    assert bases == {"none": it.base, "template": it.base, "style": twin, "both": twin}
    read = {name: one.about["base_template"] for name, one in shifts.items()}
    assert read["template"] is read["both"] is None
    assert read["none"]["name"] == read["style"]["name"] == "chat"
    for one in shifts.values():
        assert one.about["text"]["responses"] == it.responses.id
        assert one.about["dtype"] == it.dtype
    found = made.about["found"]
    assert found["templates"] == {"own": "chat", "tuned": "human-assistant", "same": False}
    assert (found["n_responses"], found["n_prompts"], found["not_in_all_four"]) == (8, 8, 0)


def test_parts_are_made_of_the_four_means(it: Subject, made: Artefact) -> None:
    ends = {
        one["response_id"]: len(one["response_token_ids"]) - 1
        for one in it.responses.table("responses").to_pylist()
        if one["finish_reason"] == "stop"
    }
    means = {}
    for name in VARIANTS:
        tokens = inputs(made)[name].to_pandas("tokens")
        kept = tokens[tokens.position != tokens.response_id.map(ends).fillna(-1)]
        means[name] = kept.groupby("response_id").kl_tuned_base_nats.mean().mean()
    assert parts_of(made, "variants") == pytest.approx(means, rel=1e-5)
    parts = parts_of(made)
    assert parts["content"] == pytest.approx(means["both"], rel=1e-5)
    assert sum(parts.values()) == pytest.approx(means["none"], rel=1e-5)
    without = (means["none"] + means["style"]) - (means["template"] + means["both"])
    assert parts["template"] == pytest.approx(without / 2, rel=1e-5)


def test_the_twin_is_tuned_like_the_model_on_permuted_rows(it: Subject, made: Artefact) -> None:
    assert it.rows is not None
    assert it.tune is not None
    twin = inputs(made)["twin"]
    for name, value in it.tune.config.items():
        if name not in ("name", "take_plan"):
            assert twin.config[name] == value, name
    for name in ("batch_plan", "split"):
        columns = ["row_id", "row_index"]
        mine, theirs = it.tune.table(name), twin.table(name)
        assert theirs.select(columns) == mine.select(columns)
    rows = open_artefact(it.rows.folder.parent / made.about["found"]["twin"]["rows"])
    assert rows.stage == "rows"
    for mine, theirs in zip(
        it.rows.table("rows").to_pylist(), rows.table("rows").to_pylist(), strict=True
    ):
        assert theirs["row_id"] == mine["row_id"]
        assert theirs["messages"][0] == mine["messages"][0]
        mine_words, words = (row["messages"][1]["content"].split() for row in (mine, theirs))
        assert words[0] == "However,"
        assert len(words) == len(mine_words)
        assert words[1] != mine_words[1]  # the name
    assert made.about["found"]["twin"]["exchanged"]["share_changed"] > 0.8


def test_a_second_run_finds_everything(it: Subject, made: Artefact) -> None:
    before = sorted(path.name for path in made.folder.parent.iterdir())
    assert run(it, made.folder.parent, Silent()).id == made.id
    assert sorted(path.name for path in made.folder.parent.iterdir()) == before


def test_rows_that_were_not_trained_on_are_no_part_of_the_twin(
    tiny_llama: Path, tmp_path: Path
) -> None:
    half = subject(tiny_llama, tmp_path, subset=6, hold_out=0.25, epochs=1)
    found = run(half, tmp_path, Silent())
    twin = inputs(found)["twin"]
    assert half.tune is not None
    assert twin.config["subset"] == 6
    assert twin.table("batch_plan") == half.tune.table("batch_plan")
    assert found.about["found"]["twin"]["n_rows"] == 6


def test_an_adapter_is_compared_with_its_twin(tiny_llama: Path, tmp_path: Path) -> None:
    options = {"method": "lora", "learning_rate": 1e-2, "epochs": 1}
    adapter = subject(tiny_llama, tmp_path, **options)
    found = run(adapter, tmp_path, Silent())
    shifts = inputs(found)
    assert shifts["template"].about["shared_weights"]
    assert not shifts["both"].about["shared_weights"]
    # the base of `both` is the twin with its adapter on: nearer than the base, and not the base
    values = parts_of(found, "variants")
    assert 0 < values["both"] < values["template"]


def test_where_the_template_alone_makes_the_shift_it_has_all_of_it(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """A tuning too gentle to change a weight, answered under another template."""
    planted = subject(tiny_llama, tmp_path, learning_rate=1e-12, epochs=1)
    assert planted.shift.about["summary"]["kl_tuned_base_nats"]["per_token"]["estimate"] < 1e-6
    found = run(planted, tmp_path, Silent())
    assert parts_of(found, "variants")["none"] > 0.1
    shares = found.about["found"]["per_response"]["shares"]
    assert shares["template"]["low"] == pytest.approx(1, abs=1e-4)
    assert shares["template"]["high"] == pytest.approx(1, abs=1e-4)
    assert shares["style"]["estimate"] == pytest.approx(0, abs=1e-4)
    assert shares["content"]["estimate"] == pytest.approx(0, abs=1e-4)


def test_where_rows_say_nothing_but_style_the_style_has_all_of_the_shift(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """No word can be exchanged, so the twin is the tuned model; the base's template was used."""
    planted = subject(tiny_llama, tmp_path, SAYS_NOTHING, template="chat", epochs=1)
    found = run(planted, tmp_path, Silent())
    parts = parts_of(found)
    assert parts["template"] == parts["content"] == 0
    assert parts["style"] == parts_of(found, "variants")["none"] > 0.1
    shown = block(found.about)
    assert any("exactly 0 by construction" in sentence for sentence in shown["sentences"])
    assert any("nothing was exchanged" in caution for caution in shown["cautions"])


def test_a_model_from_elsewhere_has_no_parts_and_says_why(it: Subject, tmp_path: Path) -> None:
    found = run(replace(it, tune=None), tmp_path, Silent())
    assert found.about["found"] == {}
    shown = block(found.about)
    assert "aftertune tune" in shown["sentences"][0]
    assert shown["picture"] is shown["table"] is None


def test_rows_that_are_gone_are_asked_for(it: Subject, tmp_path: Path) -> None:
    assert it.tune is not None
    nowhere = Artefact(tmp_path / "tune-0", {**it.tune.manifest, "inputs": [
        {**one, "place": str(tmp_path / "nowhere")} for one in it.tune.manifest["inputs"]
    ]})  # fmt: skip
    found = run(replace(it, rows=None, tune=nowhere), tmp_path, Silent())
    assert "--data" in found.about["absent"]["parts"]


def test_another_base_than_the_tunings_is_refused(
    it: Subject, tiny_llama_other: Path, tmp_path: Path
) -> None:
    found = run(replace(it, base=str(tiny_llama_other)), tmp_path, Silent())
    assert "was not tuned from" in found.about["absent"]["parts"]


def estimate(value: float, low: float, high: float) -> dict[str, Any]:
    return {"estimate": value, "low": low, "high": high, "reason": None, "n": 8}


def about(**changes: Any) -> dict[str, Any]:
    means = {
        "variants": {name: estimate(0.4, 0.3, 0.5) for name in VARIANTS}
        | {"template": estimate(0.2, 0.1, 0.3)},
        "parts": {
            "template": estimate(0.3, 0.2, 0.4),
            "style": estimate(0.05, -0.05, 0.15),
            "content": estimate(0.05, 0.02, 0.08),
        },
        "shares": {name: estimate(0.25, 0.1, 0.4) for name in PARTS},
        "together": estimate(-0.05, -0.08, -0.02),
    }
    exchanged = {"share_changed": 0.99, "kept": {"code": 12, "other": 0}}
    found = {
        "per_response": means,
        "per_token": means,
        "n_responses": 8,
        "n_prompts": 8,
        "not_in_all_four": 1,
        "only_a_stop": 2,
        "stops_known": True,
        "templates": {"own": "raw", "tuned": "alpaca", "same": False},
        "twin": {"n_rows": 16, "exchanged": exchanged},
    }
    means |= changes
    return {"control": "parts", "name": "it", "found": found, "absent": {}}


def test_the_page_says_what_is_decided_and_what_is_not() -> None:
    shown = block(about())
    whole, headline, template, style, content, together, twin = shown["sentences"]
    assert "its own template, raw) is 0.400 [0.300, 0.500] nats per token, every answer " in whole
    assert headline == (
        "The headline shift, both under the tuned model's template, alpaca, is 0.200 "
        "[0.100, 0.300] of that: it holds no template."
    )
    assert (
        template == "The part of template is 0.300 [0.200, 0.400] nats, 25.0% [10.0, 40.0] of it."
    )
    assert style.startswith("The part of style is undecided: 0.0500 [-0.0500, 0.1500] nats")
    assert "undecided" not in content
    assert "0.0500 [0.0200, 0.0800] nats are removed only by both together" in together
    assert "16 rows in the same batches, after 99.0%" in twin
    assert [row["label"] for row in shown["picture"]["rows"]] == list(PARTS)
    assert len(shown["table"]["rows"]) == len(VARIANTS) + len(PARTS)
    assert all(len(row) == len(shown["table"]["columns"]) for row in shown["table"]["rows"])
    cautions = " ".join(shown["cautions"])
    for part in (
        "12 words in code were left",
        "the bare prompt",
        "8 prompts are few",
        "1 answer ",
        "2 answers hold a stop",
    ):
        assert part in cautions  # fmt: skip


def test_a_negative_part_is_shown_and_explained() -> None:
    parts = {name: estimate(0.3, 0.2, 0.4) for name in PARTS} | {
        "style": estimate(-0.2, -0.3, -0.1)
    }
    shares = {name: estimate(0.3, 0.2, 0.4) for name in PARTS} | {"style": estimate(-0.5, -1, -0.2)}
    shown = block(about(parts=parts, shares=shares, together=estimate(0.1, 0.05, 0.2)))
    assert shown["sentences"][3] == (
        "The part of style is negative, -0.200 [-0.300, -0.100] nats, -50.0% [-100.0, -20.0] of "
        "it: what it brings leads the variant away from the tuned model."
    )
    assert "overlap" in shown["sentences"][5]


def test_one_is_singular_and_unknown_stops_are_said() -> None:
    one = about()
    one["found"] |= {"only_a_stop": 1, "not_in_all_four": 1, "n_prompts": 1, "stops_known": False}
    shown = block(one)
    cautions = " ".join(shown["cautions"])
    assert "1 answer holds a stop token alone and is left out" in cautions
    assert "comparisons and is left out" in cautions
    assert "1 prompt gives no interval" in cautions
    assert "stop tokens counted" in shown["sentences"][0]
    assert "is not recorded" in cautions


def test_without_an_answer_in_common_nothing_is_said() -> None:
    none = {"estimate": None, "low": None, "high": None, "reason": "no values", "n": 0}
    changes = {name: dict.fromkeys(PARTS, none) for name in ("parts", "shares")}
    shown = block(about(variants=dict.fromkeys(VARIANTS, none), together=none, **changes))
    assert shown["sentences"] == ["Nothing is said about the parts: no values."]
    assert [row["estimate"] for row in shown["picture"]["rows"]] == [None, None, None]


def test_no_shift_has_no_parts() -> None:
    nothing = {name: estimate(0.0, 0.0, 0.0) for name in VARIANTS}
    assert block(about(variants=nothing))["sentences"][-1] == "There is no shift to part."
