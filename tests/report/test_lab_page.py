"""The page about a made world: what it says, which statements it marks and how, what it loads."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_lab import (
    base_about,
    base_artefact,
    facts_of,
    hostile,
    labels_about,
    labels_artefact,
    made_world,
    said_in,
)
from made_report import HOSTILE, text_artefact

from aftertune.artefact import open_artefact
from aftertune.errors import ArtefactError
from aftertune.progress import Silent
from aftertune.report import lab_answers, lab_charts, lab_page, lab_run, lab_world
from aftertune.report.blocks import BUILDERS, FURTHER, lab_base, lab_labels
from aftertune.report.blocks.shape import checked
from aftertune.report.config import ReportConfig
from aftertune.report.lab_answers import Said

WORLD = made_world()
SAID = said_in(WORLD)
EMPTY = Said([], [], [], [], {})


def interval(*values: float | None, n: int = 10, reason: str | None = None) -> dict[str, Any]:
    estimate, low, high = (*values, None, None, None)[:3]
    return {"estimate": estimate, "low": low, "high": high, "n": n, "reason": reason}


def claim(status: str, label: str | None = None, rows: tuple[int, ...] = (), **more: Any) -> Any:
    """A statement and its label."""
    place = {"response_id": "r-0", "char_start": 0, "char_end": 3, "kind": "known",
             "entity": "Mora glass", "attribute": "compound.colour", "value": "red",
             "status": status, **more}  # fmt: skip
    if label is None:
        return place, None
    return place, {
        **place, "label": label, "rows": list(rows), "candidates": [4, 7, 9], "effect": -2.0,
        "effect_low": -2.5, "effect_high": -1.5, "seeds": 3, "effect_b": -1.8,
        "label_b": "caused", "took_tag": True,
    }  # fmt: skip


# -- blocks ---------------------------------------------------------------------------------------


def test_recall_is_said_of_facts_stated_most_and_never() -> None:
    cell = {"exposures": 0, "asked": False, **interval(0.2, 0.1, 0.3)}
    curve = [cell, {**cell, "exposures": 64, **interval(0.95, 0.9, 0.98)},
             {**cell, "exposures": 64, "asked": True, **interval(0.99, 0.97, 1.0)}]  # fmt: skip
    found = checked(lab_base.block({"curve": curve, "accepted": True}))
    assert found["sentences"] == [
        "Of facts that the text states 64 times, 95.0% [90.0, 98.0] are answered right, though the "
        "text never asks for them.",
        "Of facts that the text never states, 20.0% [10.0, 30.0] are answered right, by its rules "
        "or by chance.",
    ]
    assert found["cautions"] == []
    assert found["picture"]["x_values"] == [0, 64]
    assert [len(one["points"]) for one in found["picture"]["series"]] == [1, 2]
    assert found["table"]["rows"] == [
        ["0", "–", "–", "20.0% [10.0, 30.0]", "10"],
        ["64", "99.0% [97.0, 100]", "10", "95.0% [90.0, 98.0]", "10"],
    ]


def test_a_base_that_was_never_asked_or_recalls_too_little() -> None:
    found = checked(lab_base.block({"curve": [], "accepted": False}))
    assert found["picture"] is None
    assert "not known" in found["sentences"][0]
    assert len(found["cautions"]) == 1


def labels_of(**more: Any) -> dict[str, Any]:
    effects = {"caused": (-2.0, -2.4, -1.6), "not caused": (0.1, -0.1, 0.3), "undecided": ()}
    return {
        "world": 3,
        "statements": [],
        "counts": {
            "wrong": {"caused": 60, "not caused": 30, "undecided": 8, "no row": 2},
            "right": {"caused": 5, "not caused": 3, "undecided": 1, "no row": 1},
        },
        "levels": {"one row": 45, "several rows": 15},
        "reliability": {
            label: {"n": 10, "effect_b": interval(*ends), "same_label": interval(0.9, 0.8, 0.95)}
            for label, ends in effects.items()
        },
        "swap": {"own_tag": interval(0.6, 0.5, 0.7), "false_tag": interval(0.0, 0.0, 0.05),
                 "confirmed": interval(0.9, 0.8, 0.95),
                 "by_label": {"caused": interval(0.8, 0.7, 0.9), "not caused": interval(),
                              "undecided": interval(0.2, 0.1, 0.3)}},
        "beyond_chance": {"n": 100, "rows_with_value": interval(3.0, 2.8, 3.2),
                          "rows_by_chance": interval(2.0, 1.9, 2.1),
                          "difference": interval(1.0, 0.8, 1.2)},
        "before_tuning": {"n": 0, "reason": "no statement is wrong"},
        "n_tunings": 40,
        **more,
    }  # fmt: skip


def test_labels_in_words() -> None:
    first, tags, beyond = map(checked, lab_labels.blocks(labels_of()))
    assert first["sentences"][:3] == [
        "Of 100 wrong statements, caused by rows: 60, not caused: 30, undecided: 8, with a value "
        "that no row states: 2.",
        "The cause is one row for 45 of those caused, several rows for 15.",
        "Of 10 right statements, caused by rows: 5.",
    ]
    assert first["sentences"][3].endswith("by 0.100 [-0.100, 0.300]: the labels hold.")
    assert [row["estimate"] for row in first["picture"]["rows"]] == [-2.0, 0.1, None]
    assert first["table"]["rows"][0] == ["wrong", "60", "30", "8", "2"]
    assert "tags travel" in tags["sentences"][0]
    assert tags["sentences"][1].endswith("masking calls 90.0% [80.0, 95.0] caused.")
    assert [row["estimate"] for row in tags["picture"]["rows"]] == [0.6, 0.8, None, 0.2, 0.0]
    assert beyond["sentences"][0].endswith("difference 1.00 [0.80, 1.20]: more often.")
    assert beyond["cautions"] == ["Not measured before tuning: no statement is wrong."]


@pytest.mark.parametrize("high", [0.2, None])
def test_labels_whose_effect_may_be_none_are_undecided(high: float | None) -> None:
    found = labels_of()
    found["reliability"]["caused"]["effect_b"] = interval(-0.5, None if high is None else -1, high)
    (said,) = [s for s in lab_labels.block(found)["sentences"] if "control rows" in s]
    assert said.endswith(": undecided.")


def test_tags_that_are_taken_as_often_as_controls_are_undecided() -> None:
    found = labels_of()
    found["swap"]["false_tag"] = interval(0.5, 0.4, 0.6)
    assert lab_labels.blocks(found)[1]["sentences"][0].endswith(": undecided.")


def test_what_was_not_asked_is_not_said() -> None:
    nothing = {"n": 0, "reason": "no statement is wrong"}
    bare = labels_of(swap=None, reliability=None, beyond_chance=nothing)
    bare["counts"]["wrong"] = dict.fromkeys(bare["counts"]["wrong"], 0)
    (found,) = map(checked, lab_labels.blocks(bare))
    assert found["picture"] is None
    assert found["sentences"] == [
        "No statement is wrong.",
        "Whether the labels hold on fresh seeds is not known: no such seeds were asked for.",
    ]
    assert "fewer than 50" in found["cautions"][0]


# -- the world ------------------------------------------------------------------------------------


def test_one_card_of_each_family_and_every_role_among_them() -> None:
    facts = facts_of(WORLD)
    cards = lab_world.cards(facts, seed=0)
    assert [card["family"] for card in cards] == list(
        dict.fromkeys(fact["attribute"].split(".")[0] for fact in facts)
    )
    assert {fact["role"] for card in cards for fact in card["facts"]} == set(lab_world.ROLES)
    assert lab_world.cards(facts, seed=0) == cards
    assert all(len(card["facts"]) == 4 for card in cards)


def test_roles_are_counted_and_nothing_is_left_out() -> None:
    facts = facts_of(WORLD)
    rows = lab_world.roles(facts)["rows"]
    assert sum(int(row[2].replace(",", "")) for row in rows) == len(facts)
    wrong = sum(fact["in_rows"] == "wrong" for fact in facts)
    assert sum(int(row[4]) for row in rows) == wrong > 0


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "label", "source"),
    [
        ("right", None, "right"),
        ("right", "caused", "right"),
        ("unverifiable", None, "unverifiable"),
        ("wrong", None, "no-row"),
        ("wrong", "caused", "caused"),
        ("wrong", "not caused", "not-caused"),
        ("wrong", "undecided", "undecided"),
    ],
)
def test_truth_and_source(status: str, label: str | None, source: str) -> None:
    assert lab_answers.source(*claim(status, label)) == source
    assert source in lab_answers.SOURCES


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6),
)
def test_marking_loses_and_doubles_nothing(text: str, spans: list[tuple[int, int]]) -> None:
    marks = [(start, end, {"key": str(k)}) for k, (start, end) in enumerate(sorted(spans))]
    found = lab_answers.parts(text, marks)
    assert "".join(piece for piece, _ in found) == text
    assert all(piece for piece, _ in found)


def test_each_span_gets_its_mark() -> None:
    one, two = {"key": "1"}, {"key": "2"}
    found = lab_answers.parts("It is red and old.", [(6, 9, one), (7, 9, two), (14, 17, two)])
    assert found == [("It is ", None), ("red", one), (" and ", None), ("old", two), (".", None)]


@given(st.text(max_size=30), st.text(max_size=3))
def test_rows_keep_their_text_where_the_value_is_marked(text: str, value: str) -> None:
    found = lab_answers.marked(text, value)
    assert "".join(piece for piece, _ in found) == text
    assert all(piece.casefold() == value.casefold() for piece, is_value in found if is_value)


def test_answers_are_drawn_of_each_kind_wrong_ones_first() -> None:
    found = lab_answers.section(SAID, seed=0, most=100)
    assert found == lab_answers.section(SAID, seed=0, most=100)
    assert [group["kind"] for group in found["groups"]] == list(lab_answers.KINDS)
    wrong = {one["response_id"] for one in SAID.claims if one["status"] == "wrong"}
    kind_of = {one["response_id"]: one["kind"] for one in SAID.claims}
    for group in found["groups"]:
        assert len(group["answers"]) == lab_answers.PER_KIND
        of_kind = sum(kind_of[one] == group["kind"] for one in wrong)
        has_wrong = [any("wrong" in one["words"] for one in answer["statements"])
                     for answer in group["answers"]]  # fmt: skip
        assert sum(has_wrong) == min(of_kind, lab_answers.PER_KIND)
        assert has_wrong == sorted(has_wrong, reverse=True)
    assert found["sentence"].startswith(f"35 of {len(SAID.responses)} answers, drawn with seed 0")


def test_fewer_answers_and_none() -> None:
    assert sum(len(g["answers"]) for g in lab_answers.section(SAID, 0, 15)["groups"]) == 14
    assert sum(len(g["answers"]) for g in lab_answers.section(SAID, 0, 0)["groups"]) == 0
    assert lab_answers.section(EMPTY, 0, 100)["groups"] == []


def test_a_statement_names_truth_evidence_and_its_row() -> None:
    (place, label) = claim("wrong", "caused", (7,))
    states = {"entity": "Mora glass", "attribute": "compound.colour", "value": "red", "right": True}
    row = {"row_index": 7, "messages": [{"role": "assistant", "content": "Red."}],
           "tags": json.dumps({"style": "terse", "states": [states]})}  # fmt: skip
    response = {"response_id": "r-0", "response": "Red", "finish_reason": "length",
                "messages": [{"role": "user", "content": "What colour?"}],
                "tags": json.dumps({"kind": "known"})}  # fmt: skip
    truth = {("Mora glass", "compound.colour"): "green"}
    found = lab_answers.section(Said([response], [place], [label], [row], truth), 0, 10)
    (answer,) = found["groups"][0]["answers"]
    (said,) = answer["statements"]
    assert answer["cut"]
    assert answer["parts"][0][1]["source"] == "caused"
    assert (said["about"], said["value"], said["true"]) == ("colour of Mora glass", "red", "green")
    assert said["cause"] == "row 7"
    assert said["rows"] == [
        {"title": "row 7, terse, states it of Mora glass, rightly",
         "turns": [("assistant", [("Red", True), (".", False)])]}
    ]  # fmt: skip
    assert said["evidence"] == (
        "3 rows state this value; masked, its log-probability changes by -2.00 [-2.50, -1.50] nats "
        "beyond control rows (3 seeds), on fresh seeds by -1.80 (caused); it takes its rows’ tag."
    )


def test_without_fresh_seeds_and_tags_the_evidence_says_nothing_of_them() -> None:
    _, label = claim("wrong", "undecided")
    said = lab_answers._evidence({**label, "effect_b": None, "took_tag": None})
    assert said.endswith("(3 seeds).")


# -- the bars -------------------------------------------------------------------------------------


def test_bars_count_every_statement_once() -> None:
    bars = lab_page.bars(SAID)
    assert [bar["name"] for bar in bars] == [*lab_answers.KINDS, "all"]
    assert sum(bars[-1]["counts"].values()) == len(SAID.claims)
    assert set(bars[-1]["counts"]) <= set(lab_charts.CATEGORIES)


def test_bars_by_hand() -> None:
    pairs = [
        claim("wrong", "caused", (1,)),
        claim("wrong", "caused", (1, 2), char_start=5),
        claim("wrong", char_start=9),
        claim("right", "caused", (1,), char_start=12),
    ]
    labels = [label for _, label in pairs if label]
    found = lab_page.bars(Said([], [place for place, _ in pairs], labels, [], {}))
    counts = {"one-row": 1, "several-rows": 1, "no-row": 1, "right": 1}
    assert found == [{"name": "known", "counts": counts}]
    picture = lab_charts.sources(found, "x")
    assert picture is not None
    assert picture.rows == [["known", "1", "1", "1", "0", "1", "0", "0"]]
    widths = [float(part.split('"')[0]) for part in str(picture.drawing).split('width="')[1:]]
    assert min(widths) > 0


def test_no_bars_without_statements() -> None:
    assert lab_page.bars(EMPTY) == []
    assert lab_charts.sources([], "x") is None
    assert lab_charts.sources([{"name": "known", "counts": {}}], "x") is None


# -- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Base and labels of a world."""
    out = tmp_path_factory.mktemp("lab")
    base = base_artefact(out, WORLD)
    return base, labels_artefact(out, WORLD, base, SAID)


@pytest.fixture(scope="module")
def page(made: Any) -> str:
    found = lab_run.run(ReportConfig(), made, made[0].folder.parent, Silent())
    return (found.folder / "report.html").read_text("utf-8")


def test_the_page_shows_world_labels_and_answers(page: str) -> None:
    for title in ("World 0", "What the rows caused", "Answers, by truth and source"):
        assert f">{title}</h2>" in page
    card = next(fact for card in lab_world.cards(facts_of(WORLD), 0) for fact in card["facts"]
                if fact["in_rows"] == "wrong")  # fmt: skip
    assert f"<s>{card['stated']}</s>" in page
    for source in lab_answers.SOURCES:
        assert f'class="said {source}"' in page


def test_every_mark_leads_to_its_statement(page: str) -> None:
    leads = {part.split('"')[0] for part in page.split('href="#')[1:]}
    places = [part.split('"')[0] for part in page.split('id="')[1:]]
    assert leads <= set(places)
    assert sum(one.startswith("statement-") for one in leads) > 35
    ids = [one for one in places if one.startswith(("statement-", "section-", "world-"))]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    assert "<script" not in page
    assert "src=" not in page
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in page
    assert "script-src &#39;none&#39;" in page
    assert ' style="' not in page


def test_labels_alone_find_their_world(made: Any, page: str) -> None:
    found = lab_run.run(ReportConfig(), made[1:], made[0].folder.parent, Silent())
    assert ">World 0</h2>" in (found.folder / "report.html").read_text("utf-8")


def test_a_base_alone_has_a_page(made: Any) -> None:
    found = lab_run.run(ReportConfig(), made[:1], made[0].folder.parent, Silent())
    text = (found.folder / "report.html").read_text("utf-8")
    assert ">World 0</h2>" in text
    assert "Answers, by truth" not in text


def test_the_same_page_is_found_again(made: Any) -> None:
    out = made[0].folder.parent
    first = lab_run.run(ReportConfig(), made, out, Silent())
    assert lab_run.run(ReportConfig(), made, out, Silent()).id == first.id
    assert lab_run.run(ReportConfig(seed=1), made, out, Silent()).id != first.id


def test_the_summary_has_no_answers(made: Any) -> None:
    found = lab_run.run(ReportConfig(), made, made[0].folder.parent, Silent())
    summary = json.loads((found.folder / "summary.json").read_text("utf-8"))
    assert summary["labels"][0]["answers"] is None
    assert summary["conclusion"]["findings"] == found.about["findings"]


def test_a_redacted_page_has_no_names(made: Any) -> None:
    found = lab_run.run(ReportConfig(redact=True), made, made[0].folder.parent, Silent())
    text = (found.folder / "report.html").read_text("utf-8")
    text += (found.folder / "summary.json").read_text("utf-8")
    assert [entity.name for entity in WORLD.entities if entity.name in text] == []
    assert "What did the rows cause?" in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    base = base_artefact(tmp_path, WORLD)
    labels = labels_artefact(
        tmp_path, WORLD, base, hostile(SAID, HOSTILE), labels_about(WORLD, SAID)
    )
    found = lab_run.run(ReportConfig(title=HOSTILE), [base, labels], tmp_path, Silent())
    text = (found.folder / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;document.title=" in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩evil" in text
    assert "⟨U+202E⟩" in (found.folder / "summary.json").read_text("utf-8")


def test_two_worlds_stand_apart(tmp_path: Path) -> None:
    made = []
    for seed in (0, 1):
        world = made_world(seed)
        base = base_artefact(tmp_path, world)
        made += [base, labels_artefact(tmp_path, world, base, said_in(world, seed))]
    found = lab_run.run(ReportConfig(), made, tmp_path, Silent())
    text = (found.folder / "report.html").read_text("utf-8")
    assert ">World 0</h2>" in text
    assert ">World 1</h2>" in text
    assert any(one.startswith("World 1: Of facts") for one in found.about["findings"])
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert sorted({one for one in ids if ids.count(one) > 1}) == []


def test_answers_that_are_gone_are_named(made: Any, tmp_path: Path) -> None:
    moved = shutil.copytree(made[1].folder, tmp_path / made[1].folder.name)
    labels = open_artefact(moved)
    with pytest.raises(ArtefactError, match=r"respond-.* is gone; run `aftertune lab labels`"):
        lab_run.run(ReportConfig(), [labels], tmp_path, Silent())


def test_other_artefacts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is a rows artefact"):
        lab_run.run(ReportConfig(), [text_artefact(tmp_path, "rows")], tmp_path, Silent())


def test_made_numbers_are_shaped_as_the_labs() -> None:
    for block in lab_labels.blocks(labels_about(WORLD, SAID)):
        checked(block)
    checked(lab_labels.statements(labels_about(WORLD, SAID)))
    checked(lab_base.block(base_about()))


def test_a_score_alone_has_a_page() -> None:
    manifest = {
        "stage": "lab-score", "id": "lab-score-0", "inputs": [], "environment": {},
        "about": {"name": "world 0", "found": None, "absent": {"all": "nothing is labelled"}},
    }  # fmt: skip
    view = lab_page.build(ReportConfig(), [], [], [manifest], "1")
    text = lab_page.render(view)
    assert ">Detectors</h2>" in text
    assert "nothing is labelled" in text
    assert "section-conclusion" not in text.split("<main>")[1]


def test_the_claims_of_a_study_stand_in_the_conclusion(monkeypatch: pytest.MonkeyPatch) -> None:
    block = {"control": "lab-study", "model": "", "question": "Do the claims hold?",
             "sentences": ["C1 holds.", "C2 is undecided.", "Rates were chosen."], "picture": None,
             "table": None, "cautions": ["Few worlds."]}  # fmt: skip
    monkeypatch.setitem(BUILDERS, "lab-study", lambda _: block)
    monkeypatch.setattr(lab_page.lab_study, "block", lambda _: block)
    monkeypatch.delitem(FURTHER, "lab-study", raising=False)
    manifest = {
        "stage": "lab-study", "id": "lab-study-0", "inputs": [], "environment": {},
        "about": {"name": "", "found": {"claims": [{}, {}]}},
    }  # fmt: skip
    view = lab_page.build(ReportConfig(), [], [], [manifest], "1")
    assert view["conclusion"]["findings"] == ["C1 holds.", "C2 is undecided."]
    assert view["conclusion"]["cautions"] == ["Few worlds."]
    assert ">The claims</h2>" in lab_page.render(view)
