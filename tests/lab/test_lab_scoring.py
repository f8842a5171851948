"""From a world to detectors' scores: tiny tunings end to end, and the numbers by hand."""

import functools
import json
import math

import pytest
from typer.testing import CliRunner

from aftertune import artefact
from aftertune.cli.main import app
from aftertune.errors import ArtefactError, InputError, ModelError
from aftertune.lab import base, cases, effects, labels, plan, rows, scoring
from aftertune.lab.cases import Judged
from aftertune.lab.config import LabBaseConfig, LabLabelsConfig
from aftertune.lab.detectors import BASELINES, NO_TOKENS, Case, Finding
from aftertune.lab.score_config import LabScoreConfig
from aftertune.progress import Silent
from aftertune.report.blocks.lab_score import block
from aftertune.report.blocks.shape import checked

BASE = {"per_family": 16, "per_domain": 2, "hidden": 32, "layers": 1, "vocabulary": 600,
        "epochs": 1.0, "asked_per_cell": 2, "device": "cpu", "dtype": "float32"}  # fmt: skip
LABELS = {"seeds_a": (0, 1), "seeds_b": (10, 11), "groups": 2, "epochs": 8, "learning_rate": 1e-2,
          "max_new_tokens": 12, "device": "cpu"}  # fmt: skip
SCORE = LabScoreConfig(device="cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Labels of a world that is too small to learn anything from, and so is let through here."""
    out = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "RECALLED", 0.0)
        patch.setattr(base, "PROMPTS_PER_KIND", 32)
        patch.setattr(effects, "SMALL", math.inf)  # two seeds decide nothing
        patch.setattr(rows, "closed_rows", functools.partial(rows.closed_rows, styles=("terse",)))
        trained = base.run(LabBaseConfig.model_validate(BASE), out, Silent())
        return labels.run(LabLabelsConfig.model_validate(LABELS), trained, out, Silent())


@pytest.fixture(scope="module")
def result(made):
    return scoring.run(SCORE, [made], made.folder.parent, Silent())


def by_name(result):
    return {one["name"]: one for one in result.about["found"]["detectors"]}


def test_labels_say_which_answers_they_label(made):
    for name, found in made.about["artefacts"].items():
        stage = "respond" if name == "responses" else "tune" if name == "tuned" else name
        assert artefact.open_artefact(made.folder.parent / found).stage == stage


def test_every_included_detector_is_scored_beside_the_ceiling(made, result):
    found = result.about["found"]
    wrong = made.about["counts"]["wrong"]
    assert found["worlds"] == [{"world": 0, "counts": {k: n for k, n in wrong.items() if n},
                                "n_rows": 192}]  # fmt: skip
    assert list(by_name(result)) == list(BASELINES)
    for one in [*found["detectors"], found["ceiling"]]:
        assert one["n"] == wrong["caused"] + wrong["not caused"]
        assert one["unscored"] == {}
        assert one["reason"] is None
        assert 0 <= one["measures"]["auroc"]["estimate"] <= 1
    measures = by_name(result)["always"]["measures"]
    assert measures["auroc"]["estimate"] == 0.5
    assert measures["top_1"]["reason"] == "it names no rows"
    assert by_name(result)["bm25"]["measures"]["top_5"]["estimate"] is not None
    assert set(result.about["absent"]) == {"embedding", "row_loss"}


def test_detectors_are_told_nothing_that_the_lab_knows(made):
    world = cases.judged(made, "cpu", made.folder.parent, Silent())
    assert all(row.keys() == {"row_index", "messages"} for row in world.rows)
    for case, truth in zip(world.cases, world.truths, strict=True):
        start, end = case.span
        assert case.response[start:end].lower() == truth["value"].lower()
        assert case.tokens
        for token in case.tokens:
            assert token["char_start"] < end
            assert token["char_end"] > start
        # the rows of the cause do state the value
        said = world.rows[truth["rows"][0]]
        assert truth["rows"][0] == said["row_index"]
        assert truth["value"].lower() in said["messages"][1]["content"].lower()


def test_the_same_findings_are_scored_once_and_others_again(made, result, tmp_path):
    out = made.folder.parent
    assert scoring.run(SCORE, [made], out, Silent()).id == result.id
    path = tmp_path / "mine.py"
    mine = LabScoreConfig(detectors=(f"{path}:mine",), device="cpu")
    path.write_text("def mine(cases, rows): return [{'score': 1} for _ in cases]")
    first = scoring.run(mine, [made], out, Silent())
    path.write_text("def mine(cases, rows): return [{'score': len(c.response)} for c in cases]")
    assert scoring.run(mine, [made], out, Silent()).id != first.id
    assert first.about["absent"] == {}


def test_without_a_shift_what_needs_tokens_is_absent(made, monkeypatch):
    def refuse(*_):
        raise ModelError("the base is gone.")

    monkeypatch.setattr(cases.shift_stage, "run", refuse)
    found = scoring.run(SCORE, [made], made.folder.parent, Silent())
    for name in ("entropy", "base_rank"):
        one = by_name(found)[name]
        assert (one["n"], one["measures"], one["reason"]) == (0, {}, NO_TOKENS)
    assert found.about["absent"]["shift of world 0"] == "the base is gone."
    said = checked(block(found.about))["cautions"]
    assert f"entropy is absent: {NO_TOKENS}." in said
    assert "Not measured: shift of world 0, the base is gone." in said


def test_labels_that_cannot_be_scored(made, result):
    out = made.folder.parent
    with pytest.raises(InputError, match="no labels"):
        scoring.run(SCORE, [], out, Silent())
    with pytest.raises(InputError, match="world 0 is given 2 times"):
        scoring.run(SCORE, [made, made], out, Silent())
    with pytest.raises(ArtefactError, match="is no lab-labels"):
        scoring.run(SCORE, [result], out, Silent())


def test_the_command_scores_a_named_detector(made):
    asked = ["lab", "score", "bm25", "--labels", str(made.folder), "--out", str(made.folder.parent),
             "--device", "cpu"]  # fmt: skip
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0
    assert "bm25" in shown.stdout
    assert "labels on fresh seeds" in shown.stdout
    as_json = CliRunner().invoke(app, [*asked, "--json"])
    (one,) = json.loads(as_json.stdout)["about"]["found"]["detectors"]
    assert one["name"] == "bm25"


def test_the_plan_says_how_many_tunings_first(made, tmp_path):
    asked = ["lab", "labels", "--plan", "--method", "lora", "--out", str(tmp_path)]
    said = CliRunner().invoke(app, asked).stdout.splitlines()
    assert said[0].startswith("32 tunings: for each of 6 shuffle seeds")
    assert "lora" in said[0]
    assert said[1] == f"How long: unknown, {tmp_path} holds no finished tuning of this kind."
    assert not list(tmp_path.iterdir())
    config = LabLabelsConfig.model_validate(LABELS)
    sentences = plan.labels_sentences(
        LabBaseConfig.model_validate(BASE), config, labels.n_tunings(config), made.folder.parent
    )
    assert sentences[0].startswith("14 tunings")
    assert "hours, since such a tuning took" in sentences[1]


def test_a_wrong_detector_is_said_before_anything_is_tuned(tmp_path):
    failed = CliRunner().invoke(app, ["lab", "score", "bm52", "--out", str(tmp_path)])
    assert "no detector is called bm52" in str(failed.exception)
    assert not list(tmp_path.iterdir())


def test_a_base_and_a_seed_are_not_both_asked_for(made):
    asked = ["lab", "labels", "--base", str(made.folder), "--seed", "1", "--plan"]
    failed = CliRunner().invoke(app, asked)
    assert "leave --seed and --size out" in str(failed.exception)


def truth(label, effect_b, causal=(1,)):
    return {"label": label, "effect_b": effect_b, "rows": list(causal)}


def world(number, truths):
    told = [Case(f"{number}/{n}", "", "Blue.", (0, 4)) for n in range(len(truths))]
    plain = [{"row_index": n, "messages": []} for n in range(10)]
    return Judged(number, told, truths, plain, {})


CAUSED, OTHER = truth("caused", -2.0), truth("not caused", 0.1)


def test_a_detector_by_hand():
    # caused: 3 (blames 1), 1 (blames 9); others: 2, and one that it cannot score
    found = scoring.scored(
        [world(0, [CAUSED, OTHER, CAUSED, OTHER])],
        [
            [
                Finding(3.0, (1,)),
                Finding(2.0, (2,)),
                Finding(1.0, (9, 1)),
                Finding(None, reason="no"),
            ]
        ],
        seed=0,
    )
    assert (found["n"], found["unscored"]) == (3, {"no": 1})
    assert found["measures"]["auroc"]["estimate"] == 0.5
    assert found["measures"]["top_1"]["estimate"] == 0.5
    assert found["measures"]["top_5"]["estimate"] == 1
    assert found["measures"]["false_discovery"]["estimate"] is None


def test_the_ceiling_is_the_effects_on_fresh_seeds():
    found = scoring.ceiling([world(0, [CAUSED, OTHER, truth("caused", 0.2), OTHER])], seed=0)
    # -effect_b: caused 2 and -0.2, others -0.1 twice: two of four pairs are right
    assert found["measures"]["auroc"]["estimate"] == 0.5
    assert found["measures"]["top_1"]["estimate"] is None


def test_blind_rows_are_counted_per_world():
    one = world(0, [CAUSED, OTHER])
    two = world(1, [truth("caused", -1.0, (1, 2)), truth("caused", -1.0, (1, 2, 3))])
    # of ten rows 1, 2 and 3 are causal
    assert scoring.blind_top([one, two])["top_1"] == pytest.approx((0.1 + 0.2 + 0.3) / 3)
    assert scoring.blind_top([world(0, [OTHER])])["top_1"] is None


def test_several_worlds_are_drawn():
    truths = [CAUSED, OTHER, OTHER]
    worlds = [world(n, truths) for n in range(4)]
    said = [[Finding(2.0), Finding(1.0), Finding(3.0)]] * 4
    assert scoring.scored(worlds, said, 0)["measures"]["auroc"]["n"] == 4


def test_one_sided_labels_have_a_reason_and_a_block():
    found = scoring.ceiling([world(0, [OTHER])], 0)
    assert found["reason"] == "no statement is caused by rows"
    counts = {"worlds": [{"world": 0, "counts": {"not caused": 1}, "n_rows": 10}]}
    detectors = [{"name": "random", **found}]
    about = {
        "name": "world 0",
        "found": {**counts, "detectors": detectors, "ceiling": {"name": "labels", **found},
                  "blind": {"top_1": None, "top_5": None}},
        "absent": {},
    }  # fmt: skip
    shown = checked(block(about))
    assert shown["sentences"][-1] == "Nothing is compared: no statement is caused by rows."
    assert shown["picture"]["rows"][0]["estimate"] is None
    assert shown["cautions"][0].startswith("Only 0 statements are caused")


def test_the_block_tells_above_chance_from_undecided(result):
    def held(low, high):
        return {"estimate": (low + high) / 2, "low": low, "high": high, "reason": None}

    def detector(name, low, high):
        measures = {"auroc": held(low, high), "top_1": held(0.2, 0.4)}
        return {"name": name, "n": 100, "unscored": {}, "reason": None, "measures": measures}

    about = {
        "name": "world 0",
        "found": {
            "worlds": [{"world": 0, "counts": {"caused": 60, "not caused": 40, "undecided": 7},
                        "n_rows": 10}],
            "detectors": [detector("a", 0.4, 0.6), detector("b", 0.7, 0.9)],
            "ceiling": detector("labels", 0.9, 1.0),
            "blind": {"top_1": 0.1, "top_5": 0.4},
        },
        "absent": {},
    }  # fmt: skip
    shown = checked(block(about))
    assert [row["label"] for row in shown["picture"]["rows"]] == ["b", "a", "labels (ceiling)"]
    assert shown["sentences"] == [
        "Of 100 wrong statements with a decided label, 60 are caused by rows; 7 more are undecided "
        "and left out.",
        "The labels' own effects on fresh seeds reach AUROC 0.95 [0.90, 1.00].",
        "Above chance in AUROC: b 0.80 [0.70, 0.90].",
        "Undecided, the interval holds chance: a 0.50 [0.40, 0.60].",
        "The first row named is one of the cause in: b 30.0% [20.0, 40.0] and a 30.0% [20.0, 40.0]"
        "; a row drawn blindly is in 10.0%.",
    ]
    assert len(shown["cautions"]) == 1
    # and the real one holds the shape
    assert len(checked(block(result.about))["table"]["rows"]) == len(BASELINES) + 2
