"""The study: quantities by hand, planted curves, its plan, and a tiny one from end to end."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_report import write

from aftertune import artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError, InputError, ModelError
from aftertune.lab import base, study, study_world
from aftertune.lab import study_measures as measures
from aftertune.lab import study_plan as plan
from aftertune.lab import world as worlds
from aftertune.lab.config import LabBaseConfig
from aftertune.lab.study_config import CELLS, LabStudyConfig, base_configs
from aftertune.lab.study_curves import ONE_POINT, Point, at_equal, difference, over_rates, reached
from aftertune.lab.study_measures import Answers, Closed
from aftertune.models.load import load
from aftertune.progress import Silent
from aftertune.report.blocks import lab_study
from aftertune.report.blocks.shape import checked

# --- what is measured ---


@pytest.fixture(scope="module")
def world():
    return worlds.make(0, 7, 4)


def closed(kind, fact, status=None, said=None):
    return Closed(kind, fact, status, said)


def response(number, kind, entity="", attribute="", ids=(5, 6, 7), finish="stop"):
    return {
        "response_id": f"a-{number}", "prompt_id": f"p-{number}", "finish_reason": finish,
        "response_token_ids": list(ids),
        "tags": json.dumps({"kind": kind, "entity": entity, "attribute": attribute}),
    }  # fmt: skip


def statement(number, entity, attribute, status, said="x"):
    return {"response_id": f"a-{number}", "entity": entity, "attribute": attribute,
            "status": status, "value": said}  # fmt: skip


def test_answers_keep_the_first_statement_of_what_was_asked():
    found = measures.answers(
        [
            response(1, "known", "Ann", "age"),
            response(2, "known", "Bob", "age", finish="length"),
            response(3, "open"),
        ],
        [
            statement(1, "Eve", "age", "right"),  # of somebody else
            statement(1, "Ann", "age", "wrong", "3"),
            statement(1, "Ann", "age", "right", "4"),
            statement(3, "Ann", "age", "wrong"),
            statement(3, "Ann", "town", "unverifiable"),
        ],
    )
    assert found.closed == {
        "p-1": closed("known", ("Ann", "age"), "wrong", "3"),
        "p-2": closed("known", ("Bob", "age")),
    }
    assert found.open_ == [(2, 2, 1)]
    assert found.tokens == [2, 3, 2]  # the stop token is none of an answer's


def test_knowledge_kept_gained_and_borrowed_by_hand(world):
    one, two = world.entities[:2]
    kind_of_one = next(e for e in world.entities if e.kind == one.kind and e.name != one.name)
    taught = measures.taught(
        [{"states": [
            {"entity": two.name, "attribute": "a", "value": "blue", "right": True},
            {"entity": kind_of_one.name, "attribute": "a", "value": "red", "right": False},
        ]}],
        world,
    )  # fmt: skip
    assert taught.facts == {(two.name, "a")}
    fact, other = (one.name, "a"), (two.name, "a")
    before = {
        "k1": closed("known", fact, "right"), "k2": closed("known", fact, "right"),
        "k3": closed("known", fact, "wrong"), "k4": closed("known", fact),
        "t1": closed("trained", other, "wrong"), "r1": closed("rephrased", other),
        "t2": closed("trained", fact, "wrong"),
        "n1": closed("neighbour", fact, "wrong", "green"),
        "n2": closed("neighbour", fact, "wrong", "red"),
    }  # fmt: skip
    after = before | {
        "k1": closed("known", fact, "wrong"), "t1": closed("trained", other, "right"),
        "t2": closed("trained", fact, "right"),  # what no row states is not gained
        "n1": closed("neighbour", fact, "wrong", "red"),
    }  # fmt: skip
    found = measures.measured(
        Answers(after, [(10, 3, 2), (20, 1, 0)], [4, 6]), Answers(before, [], []), taught, world
    )
    values = {name: (each["value"], each["n"]) for name, each in found.items()}
    assert values == {
        "kept": (0.25, 4),
        "forgetting": (0.25, 4),
        "gained": (0.5, 2),
        "gained_rephrased": (0.0, 1),
        "wrong_neighbour": (1.0, 2),
        "borrowed_neighbour": (0.5, 2),
        "wrong_open": (1.0, 2),
        "statements_open": (2.0, 2),
        "tokens_open": (15.0, 2),
        "tokens": (5.0, 2),
    }


def test_a_model_against_itself_forgets_and_gains_nothing(world):
    fact = (world.entities[0].name, "a")
    said = Answers({"k": closed("known", fact, "right"), "t": closed("trained", fact, "right"),
                    "n": closed("neighbour", fact, "wrong", "red")}, [], [])  # fmt: skip
    taught = measures.taught([{"states": [
        {"entity": fact[0], "attribute": "a", "value": "red", "right": True}]}], world)  # fmt: skip
    found = measures.measured(said, said, taught, world)
    assert [found[name]["value"] for name in ("forgetting", "gained", "borrowed_neighbour")] == [
        0
    ] * 3


def test_what_was_not_asked_is_absent_with_its_reason(world):
    found = measures.measured(
        Answers({}, [], []), Answers({}, [], []), measures.taught([], world), world
    )
    assert all(one["value"] is None and one["n"] == 0 for one in found.values())
    assert found["kept"]["reason"] == "no known prompt asks for such a fact"
    assert found["tokens_open"]["reason"] == "no open prompt was answered"


def test_the_share_of_wrong_statements_that_rows_cause():
    counts = {"caused": 6, "not caused": 1, "undecided": 2, "no row": 3}
    found = measures.caused(counts)
    assert (found["caused_share"]["value"], found["caused_share"]["n"]) == (0.5, 12)
    assert found["caused_share_most"]["value"] == pytest.approx(8 / 12)
    assert measures.caused(dict.fromkeys(counts, 0))["caused_share"]["reason"] == (
        "no statement is wrong"
    )
    del counts["no row"]
    assert "do not count" in measures.caused(counts)["caused_share"]["reason"]


# --- where both methods moved equally far ---

STEPS = st.lists(st.integers(1, 40), min_size=2, max_size=5)


def line(xs, shift=0.0):
    """Forgetting that follows from log KL alone, and what a method adds to it."""
    return [Point(x, 0.2 + 0.1 * np.log(x) + shift) for x in xs]


@settings(deadline=None)
@given(STEPS, STEPS, st.floats(-1, 1))
def test_a_planted_difference_is_found_and_none_is_none(first, second, planted):
    xs, others = (np.cumsum(steps).tolist() for steps in (first, second))
    found, ends, reason = difference(line(xs, planted), line(others), log=True, rises=True)
    if max(xs[0], others[0]) >= min(xs[-1], others[-1]):
        assert (found, ends) == (None, None)
        assert reason.startswith("what the two methods reach does not overlap")
    else:
        assert found == pytest.approx(planted, abs=1e-6)
        assert ends == pytest.approx((max(xs[0], others[0]), min(xs[-1], others[-1])))


def test_the_mean_distance_of_two_lines_by_hand():
    # from x = 1 to 2 the distance falls from 1 to 0
    first, second = [Point(0, 2), Point(2, 0)], [Point(1, 0), Point(3, 0)]
    assert difference(first, second, log=False, rises=True) == (0.5, (1.0, 2.0), None)


def test_a_curve_ends_where_it_turns_back():
    loss = [Point(3.0, 0.0), Point(2.0, 0.1), Point(2.5, 0.4)]
    assert reached(loss, rises=False) == loss[:2]
    assert reached(loss, rises=True) == loss[:1]
    assert reached([], rises=True) == []
    found = difference(loss, [Point(3.0, 0.0), Point(3.5, 0.1)], log=False, rises=False)
    assert found == (None, None, ONE_POINT)


def place(rate, kl, loss, forgetting):
    return {"rate": rate, "kl": kl, "held_out_loss": loss, "forgetting": forgetting,
            "wrong_neighbour": 0.5, "borrowed_neighbour": None}  # fmt: skip


def curve_world(extra):
    """Full tuning moves further at every rate; at equal KL it forgets `extra` more."""
    start = place(0.0, 0.0, 4.0, 0.0)
    lora = [place(r, kl, 4 - kl, 0.1 * kl) for r, kl in ((1, 0.5), (2, 1.0), (3, 2.0))]
    full = [place(r, kl, 4 - kl, 0.1 * kl + extra) for r, kl in ((1, 1.0), (2, 2.0), (3, 3.0))]
    return {"base": start, "full": full, "lora": lora}


def test_methods_are_told_apart_from_how_far_they_moved():
    found = at_equal([curve_world(extra) for extra in (0.19, 0.2, 0.21)], 0.95)
    by = {(one["axis"], one["outcome"]): one for one in found}
    kl = by["kl", "forgetting"]
    assert kl["per_world"] == pytest.approx([0.19, 0.2, 0.21])
    assert kl["ranges"] == [pytest.approx((1.0, 2.0))] * 3
    assert kl["effect"]["low"] > 0
    # from the base's loss of 4, where nothing differs, over 3 to 2: (0.1 + 0.2) / 2
    loss = by["held_out_loss", "forgetting"]
    assert loss["per_world"][1] == pytest.approx(0.15)
    assert loss["ranges"][1] == pytest.approx((2.0, 4.0))
    assert by["kl", "wrong_neighbour"]["effect"]["estimate"] == 0
    missing = by["kl", "borrowed_neighbour"]
    assert missing["effect"]["estimate"] is None
    assert missing["reason"] == ONE_POINT
    curves = over_rates([curve_world(0.2), curve_world(0.2)], 0.95)
    assert curves["full"][0]["rate"] == 1
    assert curves["lora"][2]["kl"]["estimate"] == 2.0


# --- the plan ---


def row(entity, exposures=64, right=True):
    return {"states": [{"entity": entity, "attribute": "a", "value": "v", "right": right,
                        "exposures": exposures}]}  # fmt: skip


def test_some_entities_are_kept_out_of_every_row_set():
    names = [f"e{n}" for n in range(20)]
    rows = [row(name) for name in names for _ in range(2)]
    found = plan.row_sets(
        rows, [row(name) for name in names], [row(name) for name in names], 3, 0.1
    )
    assert {name: len(of) for name, of in found.items()} == {
        "closed": 36, "filtered": 36, "long": 18, "simplified": 18, "reserved": 4,
    }  # fmt: skip
    kept_out = {one["states"][0]["entity"] for one in found["reserved"]}
    assert len(kept_out) == 2
    for name in ("closed", "filtered", "long", "simplified"):
        assert not kept_out & {one["states"][0]["entity"] for one in found[name]}
    again = plan.row_sets(list(reversed(rows)), [], [], 3, 0.1)["reserved"]
    assert {one["states"][0]["entity"] for one in again} == kept_out


def test_filtering_keeps_what_the_base_was_told_often_and_told_the_same():
    rows = [row("a"), row("b", exposures=6), row("c", right=False), row("d", exposures=24)]
    found = plan.row_sets(rows, [], [], 0, 0.01)
    reserved = found["reserved"][0]["states"][0]["entity"]
    kept = {one["states"][0]["entity"] for one in found["filtered"]}
    assert kept == {"a", "d"} - {reserved}


def test_the_rate_is_the_one_with_the_lowest_mean_loss():
    losses = {3e-4: [2.0, 3.0], 1e-4: [2.4, 2.6], 1e-3: [1.0, None]}
    assert plan.chosen_rate(losses) == 1e-4  # both 2.5: the lower rate; what lacks a world is out
    assert plan.chosen_rate({1e-3: [None]}) is None
    assert plan.chosen_rate({}) is None


def test_tunings_differ_in_what_their_cell_says():
    config = LabStudyConfig()
    assert plan.n_tunings(config) == 18
    curves = plan.curves(config)
    assert [one.cell for one in curves] == [
        "full-1e-4", "full-3e-4", "full-1e-3", "full-3e-3",
        "lora-3e-4", "lora-1e-3", "lora-3e-3", "lora-1e-2", "lora-3e-2",
    ]  # fmt: skip
    judged = {one.cell: one for one in plan.judged(config, {"full": 3e-4, "lora": 1e-3})}
    assert {one.seed for one in curves} == {100}
    assert {one.seed for one in judged.values()} == {0}
    assert judged["lora-half"].rate == 1e-3
    half = plan.more_options(judged["lora-half"], 301)
    assert (half["subset"], half["lora_rank"], half["lora_alpha"]) == (150, 8, 16)
    assert plan.more_options(judged["lora-rank-2"], 301)["lora_alpha"] == 4
    full = plan.more_options(judged["full-neftune"], 301)
    assert (full["subset"], full["lora_rank"], full["neftune_alpha"]) == (None, None, 5.0)
    assert plan.recipe(judged["full-long"], config).learning_rate == 3e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": []}, "names each world once"),
        ({"seeds": [1, 1]}, "names each world once"),
        ({"rates_full": []}, "rates_full names each rate once"),
        ({"cells": []}, "one cell at least"),
        ({"judged_seed": 100}, "must differ"),
    ],
)
def test_a_study_that_does_not_fit_together_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        build(LabStudyConfig, options)


def test_a_cell_named_as_a_curve_is_refused():
    cell = CELLS[0].model_copy(update={"name": "full-3e-4"})
    config = LabStudyConfig(cells=(*CELLS, cell))
    with pytest.raises(ConfigError, match="a cell is called full-3e-4"):
        plan.read_claims(config)


def test_the_plan_says_what_would_run(tmp_path):
    claims, _ = plan.read_claims(LabStudyConfig())
    said = plan.study_sentences(LabStudyConfig(), claims, tmp_path)
    assert said[0].startswith("90 tunings, 18 of each of 5 worlds: 9 that choose the rates")
    assert said[-1].startswith("How long: unknown")
    few = plan.study_sentences(LabStudyConfig(seeds=(0, 1)), claims, tmp_path)
    assert any("2 worlds are fewer than the 5" in sentence for sentence in few)
    assert [one.seed for one in base_configs(LabStudyConfig(seeds=(3, 4)))] == [3, 4]


# --- a tiny study ---

TINY = {"per_kind": 7, "per_domain": 4, "hidden": 32, "layers": 1, "vocabulary": 600,
        "epochs": 0.05, "asked_per_cell": 2, "device": "cpu", "dtype": "float32"}  # fmt: skip
CLAIMS = """
rate_rule: lowest_mean_held_out_loss
test: paired_t_over_worlds
correction: holm
level: 0.95
worlds: 5
claims:
  - id: C1
    says: Tuning all parameters shifts more.
    comparisons:
      - {quantity: kl, cell: full, against: lora, unit: nats, direction: at_least, margin: 0.1,
         primary: true}
      - {quantity: kl, cell: full-1e-3, unit: nats, direction: at_least, margin: 0.1}
  - id: C3
    says: Rows are to blame.
    comparisons:
      - {quantity: caused_share, cell: labels-full, unit: share, direction: at_least, margin: 0.5,
         primary: true}
"""


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Two worlds that are too small to learn anything from, and so are let through here."""
    out = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "RECALLED", 0.0)
        patch.setattr(base, "PROMPTS_PER_KIND", 4)
        return [
            base.run(LabBaseConfig.model_validate({**TINY, "seed": seed}), out, Silent())
            for seed in (0, 1)
        ]


def asked(out, **options):
    (out / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    return LabStudyConfig.model_validate(
        {
            "seeds": (0, 1), "claims": out / "claims.yaml", "rates_full": (1e-3, 1e-2),
            "rates_lora": (1e-2,), "epochs": 1, "max_new_tokens": 6, "device": "cpu",
            "cells": [cell for cell in CELLS if cell.name in ("full", "lora")], **options,
        }
    )  # fmt: skip


def made_labels(out, of_base, method="full", world=0):
    """An artefact that says what labels say, with counts planted."""
    counts = {"wrong": {"caused": 6, "not caused": 2, "undecided": 0, "no row": 0}}
    found = write(
        out, "lab-labels", {}, {"method": method, "learning_rate": 3e-4},
        about={"world": world, "counts": counts}, key=f"{of_base.id} {method}",
    )  # fmt: skip
    found.manifest["inputs"] = [{"name": "base", "id": of_base.id, "sha256": "", "place": ""}]
    return found


@pytest.fixture(scope="module")
def labels(bases):
    return [made_labels(bases[0].folder.parent, bases[0])]


@pytest.fixture(scope="module")
def result(bases, labels):
    out = bases[0].folder.parent
    return study.run(asked(out), bases, labels, out, Silent())


def test_every_world_has_every_cell_with_its_artefacts(bases, result):
    found = result.about["found"]
    out = result.folder.parent
    assert [one["world"] for one in found["worlds"]] == [0, 1]
    for one in found["worlds"]:
        tuned = {"full-1e-3", "full-1e-2", "lora-1e-2", "full", "lora"}
        assert set(one["cells"]) - {"labels-full"} == tuned
        for name in tuned:
            cell = one["cells"][name]
            for stage, made in cell["artefacts"].items():
                assert artefact.open_artefact(out / made, verify=False).stage == stage
            assert cell["quantities"].keys() == set(measures.QUANTITIES) - {
                "caused_share", "caused_share_most",
            }  # fmt: skip
            assert cell["quantities"]["kl"]["value"] > 0
            assert cell["n_rows"] == one["n_rows"]["closed"]
        assert one["cells"]["lora"]["rank_of_width"] == 0.25
        assert one["cells"]["full"]["trained_of_parameters"] == 1
    assert result.counts["done"] == 11
    assert found["seconds_per_world"] > 0


def test_the_claims_stand_in_the_study_with_what_was_tuned_before(result):
    found = result.about["found"]
    place = {one["name"]: one for one in result.manifest["inputs"]}["claims"]
    fixed = artefact.open_artefact(result.folder.parent / place["id"])
    assert fixed.stage == "lab-claims"
    assert (fixed.folder / "claims.yaml").read_text() == CLAIMS
    assert found["claims_sha256"] == artefact.hash_file(fixed.folder / "claims.yaml")
    assert (found["judged_tunings"], found["judged_before_claims"]) == (4, 0)
    first, third = found["claims"]
    assert first["comparisons"][0]["effect"]["n"] == 2
    assert first["comparisons"][0]["conclusion"] == "undecided"
    # labels of one world alone
    assert third["comparisons"][0]["per_world"] == [0.75, None]
    assert result.about["absent"] == {}


def test_rows_kept_out_have_the_same_loss_by_another_way(bases, result):
    found = result.about["found"]["worlds"][0]
    config = asked(result.folder.parent)
    with artefact.draft(result.folder.parent, _a_plan()) as draft:
        one = study_world.World(config, bases[0], draft, result.folder.parent, Silent())
        rows = one.rows["reserved"].table("rows").to_pylist()
    assert len(rows) == found["n_rows"]["reserved"]
    loaded = load(base.model_folder(bases[0]), dtype="float32", device="cpu")
    losses = []
    for each in one.records["reserved"]:
        question, said = (message["content"] for message in each["messages"])
        asked_, text = f"Question: {question}\nAnswer:", f" {said}"
        ids = loaded.tokenizer(asked_, add_special_tokens=False).input_ids
        answer = loaded.tokenizer(text, add_special_tokens=False).input_ids
        losses.append(plain_loss(loaded, ids, [*answer, loaded.tokenizer.eos_token_id]))
    assert found["base"]["held_out_loss"]["value"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert found["base"]["held_out_loss"]["n"] == len(losses)


def _a_plan():
    return artefact.Plan("lab-study", 1, {}, LabStudyConfig(), ())


def plain_loss(loaded, prompt, answer):
    """Mean over the answer's tokens, in one bare pass."""
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        logits = loaded.plain(ids).logits[0].double()
    chances = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return -float(chances.gather(1, torch.tensor(answer)[:, None]).mean())


def test_a_study_that_goes_on_tunes_nothing_again(bases, labels, result, monkeypatch):
    out = result.folder.parent
    before = dict(result.about["found"])
    kept = out.parent / "kept"
    shutil.move(result.folder, kept)
    try:
        monkeypatch.setattr("aftertune.tune.run.train", None)
        again = study.run(asked(out), bases, labels, out, Silent())
        assert again.id == result.id
        assert again.about["found"] == before
        other = asked(out, rates_lora=(1e-2, 2e-2))
        with pytest.raises(TypeError):  # what is new would have to be tuned
            study.run(other, bases, labels, out, Silent())
    finally:
        shutil.rmtree(result.folder, ignore_errors=True)
        shutil.move(kept, result.folder)


def test_claims_written_after_the_tunings_say_so(bases, result, monkeypatch):
    out = result.folder.parent
    config = asked(out)
    (out / "claims.yaml").write_text(CLAIMS.replace("0.1,", "0.2,"), encoding="utf-8")
    monkeypatch.setattr("aftertune.tune.run.train", None)
    late = study.run(config, bases, [], out, Silent())
    assert late.id != result.id
    assert late.about["found"]["judged_before_claims"] == 4
    cautions = lab_study.block(late.about)["cautions"]
    assert any("4 judged tunings of 4 had been made before" in one for one in cautions)
    assert "no labels were given" in next(iter(late.about["absent"].values()))


def test_the_page_shows_a_real_study(result):
    shown = checked(lab_study.block(result.about))
    assert [one[-1] for one in shown["table"]["rows"]] == ["undecided", "exploratory", "undecided"]
    assert len(shown["picture"]["rows"]) == 2
    equal = checked(lab_study.equal_block(result.about))
    assert [one["name"] for one in equal["picture"]["series"]] == ["full", "LoRA"]
    assert ONE_POINT in equal["sentences"][0]


def test_what_does_not_belong_together_is_refused(bases, labels, result):
    out = result.folder.parent
    config = asked(out)

    def run(of_bases, given=()):
        study.run(config, of_bases, given, out, Silent())

    with pytest.raises(InputError, match="no world is given"):
        run([])
    with pytest.raises(InputError, match="world 0 is given twice"):
        run([bases[0], bases[0]])
    with pytest.raises(ArtefactError, match="is no lab-base-… artefact"):
        run([result])
    with pytest.raises(ArtefactError, match="is no lab-labels-… artefact"):
        run(bases, [result])
    with pytest.raises(InputError, match="are given twice"):
        run(bases, [*labels, *labels])
    with pytest.raises(InputError, match="on another base"):
        run([bases[1]], labels)
    refused = artefact.Artefact(bases[0].folder, bases[0].manifest | {
        "about": bases[0].about | {"accepted": False}})  # fmt: skip
    with pytest.raises(ModelError, match="train it for more epochs"):
        run([refused])
