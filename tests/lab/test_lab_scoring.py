"""From labels to detectors' scores: a tiny tuning with labels made by hand, end to end."""

import json
import shutil

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from aftertune import artefact, schema
from aftertune.cli.main import app
from aftertune.config import StageConfig
from aftertune.errors import ArtefactError, InputError, ModelError
from aftertune.inputs import read_prompts, read_rows
from aftertune.lab import cases, plan, scoring
from aftertune.lab.base import TEMPLATE
from aftertune.lab.command_detector import BASELINES
from aftertune.lab.config import LabBaseConfig, LabLabelsConfig, Recipe
from aftertune.lab.detectors import LOSS, NO_LOSS, NO_TOKENS
from aftertune.lab.score_config import LabScoreConfig
from aftertune.lab.tuning import answered, tuned
from aftertune.progress import Silent
from aftertune.report.blocks.lab_score import block
from aftertune.report.blocks.shape import checked
from aftertune.search import embeddings
from tiny_models import save_model

SCORE = LabScoreConfig(device="cpu")
RECIPE = Recipe("full", 1e-3, 1, 8, "cpu")
N = 24
NAMES = ("amber", "birch", "cedar", "dune", "ember", "fern", "gorse", "hazel")


class _World(StageConfig):
    seed: int = 0


def _written(path, records):
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def _row(name):
    return {"messages": [{"role": "user", "content": f"Where is the {name} house?"},
                         {"role": "assistant", "content": f"It is in {name} street."}],
            "states": []}  # fmt: skip


def _base(out, number):
    """What detectors need of a `lab-base`: a model, and how it is asked."""
    plan = artefact.Plan("lab-base", 1, {}, _World(seed=number), ())
    with artefact.draft(out, plan) as draft:
        save_model("llama", draft.folder / "model", seed=number)
        (draft.folder / "qa.jinja").write_text(TEMPLATE)
        return draft.finish({"done": 1, "skipped": {}, "unscored": {}}, {})


def _label(response, place, causal):
    """The first word of an answer as a wrong statement; each third is caused by a row."""
    caused = place % 3 == 0
    text = response["response"].strip() or response["response"]
    start = response["response"].index(text)
    return {
        "response_id": response["response_id"], "kind": "neighbour", "char_start": start,
        "char_end": start + 1, "entity": "x", "attribute": "y", "value": text[:1],
        "status": "wrong" if place < N - 2 else "right", "candidates": [causal],
        "rows": [causal] if caused else [], "level": "one row" if caused else None,
        "label": "caused" if caused else "undecided" if place == 1 else "not caused",
        "effect": -1.0, "effect_low": -2.0, "effect_high": -0.5, "control_effect": 0.0, "seeds": 3,
        "rows_b": [causal] if caused else [], "label_b": "caused",
        "effect_b": -1.0 if caused else 0.0, "took_tag": None,
        "took_control_tag": None, "tag_gain": None,
    }  # fmt: skip


def _labels(base, out, number):
    rows = read_rows(str(_written(out / "rows.jsonl", map(_row, NAMES))), out, Silent())
    asked = [{"instruction": f"Where is {NAMES[place % 8]} house {place}?"} for place in range(N)]
    prompts = read_prompts(str(_written(out / "prompts.jsonl", asked)), None, out, Silent())
    model = tuned(base, rows, RECIPE, 0, out, Silent())
    answers = answered(model.folder / "model", prompts, base, "cpu", out, Silent())
    said = answers.table("responses").to_pylist()
    made = [_label(one, one["row_index"], one["row_index"] % 8) for one in said]
    plan = artefact.Plan("lab-labels", 2, {}, _World(seed=number), (base.as_input("base"),))
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"lab_labels": schema.from_rows("lab_labels", made)})
        about = {
            "world": number,
            "artefacts": {"rows": rows.id, "prompts": prompts.id, "tuned": model.id,
                          "responses": answers.id},
        }  # fmt: skip
        return draft.finish({"done": len(made), "skipped": {}, "unscored": {}}, about)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Labels of two worlds; embeddings of an own kind, so that no model of others is needed."""
    out = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "MODULE", "no_such_module_here")
        yield [_labels(_base(out, number), out, number) for number in (0, 1)]


@pytest.fixture(scope="module")
def result(made):
    return scoring.run(SCORE, made, made[0].folder.parent, Silent())


def by_name(result):
    return {one["name"]: one for one in result.about["found"]["detectors"]}


def test_every_included_detector_is_scored_beside_the_ceiling(result):
    found = result.about["found"]
    # of 22 wrong statements one is undecided; a third of the others is caused
    counts = {"caused": 8, "not caused": 13, "undecided": 1}
    assert found["worlds"] == [{"world": w, "counts": counts, "n_rows": 8} for w in (0, 1)]
    assert set(by_name(result)) == set(BASELINES)
    for name, one in by_name(result).items():
        if name != "embedding":
            assert (one["n"], one["unscored"], one["reason"]) == (42, {}, None)
            assert 0 <= one["measures"]["auroc"]["estimate"] <= 1
    assert found["ceiling"]["measures"]["auroc"]["estimate"] == 1
    assert found["ceiling"]["measures"]["top_1_one_row"]["estimate"] == 1
    measures = by_name(result)["always"]["measures"]
    assert measures["auroc"]["estimate"] == 0.5
    assert measures["top_1"]["reason"] == "it names no rows"
    # the row of a house is the one with its name
    assert by_name(result)["bm25"]["measures"]["top_1"]["estimate"] == 1
    assert result.about["absent"] == {}
    assert "pip install" in by_name(result)["embedding"]["reason"]
    shown = checked(block(result.about))
    assert len(shown["table"]["rows"]) == len(BASELINES) + 2
    assert any(said.startswith("embedding is absent") for said in shown["cautions"])


def test_detectors_are_told_nothing_that_the_lab_knows(made):
    world = cases.judged(made[0], "cpu", made[0].folder.parent, Silent())
    assert all(row.keys() == {"row_index", "messages", LOSS} for row in world.rows)
    assert all(row[LOSS] > 0 for row in world.rows)
    for case, truth in zip(world.cases, world.truths, strict=True):
        start, end = case.span
        assert case.response[start:end] == truth["value"]
        assert case.prompt.startswith("Where is")
        assert case.tokens
        for token in case.tokens:
            assert token["char_start"] < end
            assert token["char_end"] > start


def test_the_same_findings_are_scored_once_and_others_again(made, result, tmp_path):
    out = made[0].folder.parent
    assert scoring.run(SCORE, made, out, Silent()).id == result.id
    path = tmp_path / "mine.py"
    mine = LabScoreConfig(detectors=(f"{path}:mine",), device="cpu")
    path.write_text("def mine(cases, rows): return [{'score': 1} for _ in cases]")
    first = scoring.run(mine, made, out, Silent())
    path.write_text("def mine(cases, rows): return [{'score': len(c.response)} for c in cases]")
    assert scoring.run(mine, made, out, Silent()).id != first.id
    # beside one's own detector all included ones run, which it must beat
    assert set(by_name(first)) == {*BASELINES, f"{path}:mine"}
    against = by_name(first)[f"{path}:mine"]["against"]["auroc"]
    assert against["best_baseline"] in BASELINES
    assert against["to_ceiling"]["estimate"] == -0.5


def test_without_models_what_needs_them_is_absent(made, monkeypatch):
    def refuse(*_, **__):
        raise ModelError("the base is gone.")

    monkeypatch.setattr(cases.shift_stage, "run", refuse)
    monkeypatch.setattr(cases, "load", refuse)
    found = scoring.run(SCORE, made[:1], made[0].folder.parent, Silent())
    for name, reason in (("entropy", NO_TOKENS), ("base_rank", NO_TOKENS), ("row_loss", NO_LOSS)):
        one = by_name(found)[name]
        assert (one["n"], one["measures"], one["reason"]) == (0, {}, reason)
    assert found.about["absent"] == {
        "shift of world 0": "the base is gone.",
        "loss of the rows of world 0": "the base is gone.",
    }
    said = checked(block(found.about))["cautions"]
    assert f"entropy is absent: {NO_TOKENS}." in said
    assert "Not measured: shift of world 0, the base is gone." in said


def test_labels_that_cannot_be_scored(made, result):
    out = made[0].folder.parent
    with pytest.raises(InputError, match="no labels"):
        scoring.run(SCORE, [], out, Silent())
    with pytest.raises(InputError, match="world 0 is given 2 times"):
        scoring.run(SCORE, [made[0], made[0]], out, Silent())
    with pytest.raises(ArtefactError, match="is no lab-labels"):
        scoring.run(SCORE, [result], out, Silent())


def test_labels_of_an_earlier_version_are_refused_at_the_door(made, monkeypatch):
    old = artefact.Artefact(made[0].folder, made[0].manifest)
    table = made[0].table("lab_labels").drop_columns(["rows_b"])
    monkeypatch.setattr(old, "table", lambda name: table)
    with pytest.raises(ArtefactError, match=r"lacks the column rows_b; delete it and run `after"):
        cases.check([old])
    nameless = {**made[0].manifest, "about": {"world": 0}}
    with pytest.raises(ArtefactError, match="lacks the name of its rows"):
        cases.check([artefact.Artefact(made[0].folder, nameless)])
    empty = {**made[0].manifest, "tables": {}}
    with pytest.raises(ArtefactError, match="lacks the column"):
        cases.check([artefact.Artefact(made[0].folder, empty)])


def test_labels_without_a_decided_statement_are_refused(made, monkeypatch):
    table = made[0].table("lab_labels")
    undecided = pa.array(["undecided"] * table.num_rows)
    other = table.set_column(table.schema.get_field_index("label"), "label", undecided)
    one = artefact.Artefact(made[0].folder, made[0].manifest)
    monkeypatch.setattr(one, "table", lambda name: other)
    with pytest.raises(InputError, match="no wrong statement with a decided label"):
        scoring.run(SCORE, [one], made[0].folder.parent, Silent())


def test_labels_whose_answers_are_gone_say_so(made, tmp_path):
    moved = shutil.copytree(made[0].folder, tmp_path / made[0].id)
    with pytest.raises(ArtefactError):
        scoring.run(SCORE, [artefact.open_artefact(moved)], tmp_path, Silent())


def test_the_command_scores_a_named_detector(made):
    given = [word for one in made for word in ("--labels", str(one.folder))]
    out = str(made[0].folder.parent)
    asked = ["lab", "score", "bm25", *given, "--out", out, "--device", "cpu"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0
    assert "bm25" in shown.stdout
    assert "labels on fresh seeds" in shown.stdout
    as_json = CliRunner().invoke(app, [*asked, "--json"])
    (one,) = json.loads(as_json.stdout)["about"]["found"]["detectors"]
    assert one["name"] == "bm25"


def test_the_plan_says_how_many_tunings_first(tmp_path):
    asked = ["lab", "labels", "--plan", "--method", "lora", "--out", str(tmp_path)]
    said = CliRunner().invoke(app, asked).stdout.splitlines()
    # innocuous; six seeds with all rows, four groups, five runs of single rows; tags, on three
    assert said[0].startswith(f"{1 + 6 * (1 + 4 + 5) + 2 * 3} tunings")
    assert "lora" in said[0]
    assert said[1] == f"How long: unknown, {tmp_path} holds no finished tuning of this kind."
    assert not list(tmp_path.iterdir())
    sentences = plan.labels_sentences(LabBaseConfig(), LabLabelsConfig(groups=2), tmp_path)
    assert sentences[0].startswith(f"{1 + 6 * (1 + 2 + 5) + 2 * 3} tunings")


def test_a_wrong_detector_is_said_before_anything_is_tuned(tmp_path):
    failed = CliRunner().invoke(app, ["lab", "score", "bm52", "--out", str(tmp_path)])
    assert "no detector is called bm52" in str(failed.exception)
    assert not list(tmp_path.iterdir())


def test_a_base_and_a_seed_are_not_both_asked_for(made):
    asked = ["lab", "labels", "--base", str(made[0].folder), "--seed", "1", "--plan"]
    failed = CliRunner().invoke(app, asked)
    assert "leave --seed and --size out" in str(failed.exception)
