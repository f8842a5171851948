"""`study export`: what people said, as they said it, in files that other programs read."""

import csv
import json
import random
import re
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune import schema
from aftertune.study import collected, create, export
from aftertune.study.answers import LABELS, OUTCOMES
from aftertune.study.config import StudyConfig
from aftertune.study.store import open_store
from made_answers import answers
from made_raters import person, rate, rating, settle


def study(tmp_path, kind, n=6, texts=None, **more):
    models = ("a",) if kind in ("spans", "aspects") else ("a", "b")
    responses = {m: answers(tmp_path / "out", m, texts or range(n)) for m in models}
    asked = {"annotators": 2, "aspects": "depth", "pilot": 1, "repeats": 1, **more}
    return create.run(StudyConfig(kind=kind, **asked), responses, tmp_path / "s")


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_pairs_are_about_the_stored_order(tmp_path):
    """Everybody prefers model a, wherever it stood."""
    made = study(tmp_path, "pairs")

    def say(item, who, swapped, chance):
        side = "first" if item["hidden"]["models"][0] == "a" else "second"
        return {"overall": side, "aspects": {"depth": "tie"}}

    rate(made.folder, say)
    counts = export.run(collected.read(made.folder), tmp_path / "e")
    found = lines(tmp_path / "e/ratings.jsonl")
    # 1 pilot and 5 more for each of 2 people, and 1 again: 14 ratings of 2 aspects
    assert counts == {"ratings": 28}
    assert len(found) == 28
    for one in found:
        if one["aspect"] == "depth":
            assert one["value"] == 0.5
        else:
            assert one["value"] == (one["model"] == "a")
        assert one["response_id"].startswith(one["model"])
        assert one["other_model"] in {"a", "b"} - {one["model"]}
    assert {one["presentation"] for one in found} == {"first", "second"}
    assert sum(one["repeat_of"] is not None for one in found) == 4
    assert sum(one["pilot"] for one in found) == 4
    assert {one["annotator"] for one in found} == {"annotator-1", "annotator-2"}
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == [
        "ratings.csv", "ratings.jsonl", "ratings.parquet",
    ]  # fmt: skip


def test_the_three_formats_hold_the_same(tmp_path):
    made = study(tmp_path, "outcomes")
    rate(made.folder, lambda i, p, s, chance: {"outcome": chance.choice(list(OUTCOMES))})
    export.run(collected.read(made.folder), tmp_path / "e")
    table = pq.read_table(tmp_path / "e/ratings.parquet")
    assert table.schema == schema.TABLES["ratings"]
    from_lines = lines(tmp_path / "e/ratings.jsonl")
    assert sorted(table.to_pylist(), key=str) == sorted(
        ({name: one[name] for name in table.schema.names} for one in from_lines), key=str
    )
    with (tmp_path / "e/ratings.csv").open(encoding="utf-8", newline="") as stream:
        from_csv = list(csv.DictReader(stream))
    assert [one["label"] for one in from_csv] == [one["label"] for one in from_lines]
    assert [one["presentation"] for one in from_csv] == [o["presentation"] for o in from_lines]


def test_people_for_a_judge_have_no_pilot_no_repeat_and_no_adjudicator(tmp_path):
    made = study(tmp_path, "aspects", adjudicators="Ada")
    rate(made.folder, lambda i, p, s, chance: {"scores": {"depth": chance.randint(1, 5)}})
    study_now = collected.read(made.folder)
    settle(made.folder, lambda i, p, s, c: {"scores": {"depth": 1}}, [study_now.items[2].item_id])
    counts = export.run(collected.read(made.folder), tmp_path / "e", withdrawn=True)
    found = lines(tmp_path / "e/people.jsonl")
    assert counts["for_a_judge"] == len(found) == 10  # 5 items of the 6, 2 people each
    pilot = next(item for item in study_now.items if item.pilot)
    assert pilot.hidden["response_ids"][0] not in {one["response_id"] for one in found}
    assert {one["annotator"] for one in found} == {"annotator-1", "annotator-2"}
    first = {
        (one.response_ids[0], one.person): one.answer["scores"]["depth"]
        for one in study_now.rated
        if not one.pilot and not one.is_repeat
    }
    assert {(o["response_id"], o["annotator"]): o["value"] for o in found} == first


def test_spans_and_causes(tmp_path):
    text = "The 🦊 was born in 1837."
    made = study(tmp_path, "spans", texts=dict.fromkeys(range(3), text), pilot=0, repeats=0)
    spans = [
        {"start": 4, "end": 5, "text": "🦊", "label": "not_useful", "cause": None},
        {"start": 18, "end": 22, "text": "1837", "label": "not_factual",
         "cause": {"kind": "none", "row_id": None}},
    ]  # fmt: skip

    def say(item, who, swapped, chance):
        if who == "annotator-2":
            return {"spans": [], "nothing_wrong": True}
        return {"spans": spans, "nothing_wrong": False}

    rate(made.folder, say)
    counts = export.run(collected.read(made.folder), tmp_path / "e")
    assert counts == {"ratings": 6, "spans": 6, "causes": 3}
    found = lines(tmp_path / "e/spans.jsonl")
    assert all(text[one["char_start"] : one["char_end"]] == one["text"] for one in found)
    assert [(one["span"], one["label"]) for one in found[:2]] == [
        (0, "not_useful"), (1, "not_factual"),
    ]  # fmt: skip
    cause = lines(tmp_path / "e/causes.jsonl")[0]
    assert (cause["span"], cause["cause"], cause["row_id"]) == (1, "none", None)
    rated = lines(tmp_path / "e/ratings.jsonl")
    assert {(o["annotator"], o["value"], o["label"]) for o in rated} == {
        ("annotator-1", 2.0, None), ("annotator-2", 0.0, "nothing wrong"),
    }  # fmt: skip


def test_what_was_taken_back_is_left_out_unless_asked_for(tmp_path):
    made = study(tmp_path, "aspects", pilot=0, repeats=0)
    store = open_store(made.folder / collected.FILE)
    who = person(store)
    item = store.assignments(who.person_id)[0]["item_id"]
    chance = random.Random(0)
    for score in (1, 2, 3):
        told = rating(item, {"scores": {"depth": score}}, chance)
        store.save(who, told)
    store.withdraw_later(who, told.rating_id).result()
    store.close()
    read = collected.read(made.folder)
    export.run(read, tmp_path / "e")
    assert [one["value"] for one in lines(tmp_path / "e/ratings.jsonl")] == [2.0]
    export.run(read, tmp_path / "e", withdrawn=True)
    found = lines(tmp_path / "e/ratings.jsonl")
    assert [(one["value"], one["withdrawn"]) for one in found] == [
        (1.0, False), (2.0, False), (3.0, True),
    ]  # fmt: skip


def test_nothing_rated_is_an_empty_table(tmp_path):
    made = study(tmp_path, "spans")
    assert export.run(collected.read(made.folder), tmp_path / "e") == {
        "ratings": 0, "spans": 0, "causes": 0,
    }  # fmt: skip
    assert pq.read_table(tmp_path / "e/causes.parquet").num_rows == 0
    assert (tmp_path / "e/spans.csv").read_text().startswith("item_id,")


def test_a_spreadsheet_computes_nothing(tmp_path):
    text = '=HYPERLINK("http://x","y")'
    made = study(tmp_path, "spans", texts={0: text}, pilot=0, repeats=0)
    span = {"start": 0, "end": len(text), "text": text, "label": "not_factual", "cause": None}
    rate(made.folder, lambda i, p, s, c: {"spans": [span], "nothing_wrong": False})
    export.run(collected.read(made.folder), tmp_path / "e")
    with (tmp_path / "e/spans.csv").open(encoding="utf-8", newline="") as stream:
        assert {one["text"] for one in csv.DictReader(stream)} == {f"'{text}"}
    assert lines(tmp_path / "e/spans.jsonl")[0]["text"] == text


@given(st.text())
def test_safe_cells(text):
    found = export.safe_cell(text)
    assert found in (text, f"'{text}")
    assert not found.lstrip().startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("kind", ["pairs", "spans", "outcomes", "aspects"])
def test_tasks_for_label_studio(kind, tmp_path):
    made = study(tmp_path, kind, aspects='depth,"odd" <one>')
    read = collected.read(made.folder)
    n = export.for_label_studio(read, tmp_path / "e")
    tasks = json.loads((tmp_path / "e" / export.TASKS).read_text("utf-8"))
    assert n == len(tasks) == 6  # a repeat is no task
    assert all(set(task) == {"data"} for task in tasks)
    view = ElementTree.parse(tmp_path / "e" / export.CONFIG).getroot()
    assert view.tag == "View"
    texts = {one.get("name"): one.get("value") for one in view.iter("Text")}
    assert all(value[1:] in tasks[0]["data"] for value in texts.values())
    for control in ("Choices", "Labels", "Rating", "TextArea"):
        assert all(one.get("toName") in texts for one in view.iter(control))
    names = [one.get("name") for one in view.iter() if one.get("name")]
    assert len(names) == len(set(names))
    assert not re.search(r'"model|response_id', json.dumps(tasks))
    labels = [one.get("value") for one in view.iter("Label")]
    assert labels == (list(LABELS.values()) if kind == "spans" else [])
    first = next(item for item in read.items if item.item_id == tasks[0]["data"]["item_id"])
    assert tasks[0]["data"]["answer_1"] == first.shown["answers"][0]
