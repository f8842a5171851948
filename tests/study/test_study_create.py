"""`study create`: a whole study in a folder, blind, with tokens nowhere but in the links."""

import json
import sqlite3
import stat

import pytest

from aftertune.errors import UserError
from aftertune.study import collected, create, items, tokens
from aftertune.study.config import StudyConfig
from aftertune.study.store import open_store
from made_answers import answers
from made_raters import borrowing, made_trace
from made_trace import made_rows


def config(**given):
    return StudyConfig(**{"kind": "pairs", "annotators": 3, "aspects": "depth", **given})


def shifted(out, model, places):
    """Answers whose prompts stand at other places: of prompt n at `places[n]`."""
    given = answers(out, model, list(places))
    return [{**one, "row_index": places[n]} for one, n in
            zip(given.table("responses").to_pylist(), places, strict=True)]  # fmt: skip


@pytest.fixture
def responses(tmp_path):
    return {model: answers(tmp_path / "out", model, range(12)) for model in ("one", "two")}


def test_what_a_study_holds(responses, tmp_path):
    made = create.run(config(adjudicators="Ada"), responses, tmp_path / "s", "https://host/x/")
    assert {path.name for path in made.folder.iterdir()} == {
        "study.sqlite", "links.txt", "guidelines.md",
    }  # fmt: skip
    store = open_store(made.folder / collected.FILE)
    assert [(p.person_id, p.role) for p in store.people()] == [
        ("annotator-1", "annotator"), ("annotator-2", "annotator"), ("annotator-3", "annotator"),
        ("adjudicator-1", "adjudicator"), ("organiser-1", "organiser"),
    ]  # fmt: skip
    told = (made.folder / "guidelines.md").read_text()
    assert store.settings["guidelines"] == told
    assert "depth:" in told
    assert "clarity" not in told
    # 10 of 12 are the pilot, the other 2 come to 2 of 3 people each; 3 items would allow a repeat
    assert len(store.assignments()) == 3 * 10 + 2 * 2
    assert made.notes[-1] == "0 items are repeated for each annotator, who has few."
    assert made.notes[-2].startswith("10 of the items are the pilot")
    store.close()
    read = collected.read(made.folder)
    assert read.asked == {"ratings": 34, "items": 2, "people": 3, "pilot": 10, "repeats": 0}
    assert read.models == ("one", "two")
    assert read.rated == []


def test_answers_meet_by_prompt_wherever_it_stands(tmp_path):
    """A file that lacks a prompt has all later ones one place earlier."""
    whole = shifted(tmp_path, "a", {n: n for n in range(6)})
    lacks = shifted(tmp_path, "b", {n: n - (n > 2) for n in range(6) if n != 2})
    twice = [{**whole[1], "row_index": 7, "response": "again"}]
    made = items.make({"a": [*whole, *twice], "b": lacks}, "pairs", 0)
    assert [one.hidden["prompt_id"] for one in made.items] == ["p-0", "p-1", "p-3", "p-4", "p-5"]
    assert made.without_partner == 2  # prompt 2, and prompt 1 for the second time
    assert all("again" not in one.shown["answers"] for one in made.items)


def test_tokens_are_in_the_links_alone(responses, tmp_path):
    made = create.run(config(), responses, tmp_path / "s", "https://host/x/")
    links = made.folder / "links.txt"
    assert stat.S_IMODE(links.stat().st_mode) == 0o600
    lines = [line.split("\t") for line in links.read_text().splitlines()]
    assert [tuple(line) for line in lines] == made.links
    assert len({link for _, _, link in lines}) == 4
    content = (made.folder / collected.FILE).read_bytes()
    store = open_store(made.folder / collected.FILE)
    for role, name, link in lines:
        page, _, token = link.partition("#")
        assert page == f"https://host/x/{'organise' if role == 'organiser' else 'rate'}"
        assert len(token) >= 43  # 32 bytes
        assert token.encode() not in content
        found = store.person_of(tokens.hashed(token))
        assert (found.role, found.name) == (role, name)
    store.close()


def test_annotators_cannot_tell_the_models(responses, tmp_path):
    text = {m: {k: f"Text {k}, {'long' if m == 'one' else 'short'}." for k in range(12)}
            for m in responses}  # fmt: skip
    given = {m: answers(tmp_path / "out", f"secret-{m}", text[m]) for m in responses}
    made = create.run(config(), given, tmp_path / "s")
    with sqlite3.connect(made.folder / collected.FILE) as study:
        for item_id, shown, hidden in study.execute("SELECT item_id, shown, hidden FROM item"):
            assert "secret" not in item_id + shown
            assert "secret" in hidden
            assert json.loads(hidden)["models"] in (["one", "two"], ["two", "one"])


def test_nothing_is_overwritten(responses, tmp_path):
    made = create.run(config(), responses, tmp_path / "s")
    before = (made.folder / collected.FILE).read_bytes()
    with pytest.raises(UserError, match="not empty"):
        create.run(config(seed=1), responses, tmp_path / "s")
    assert (made.folder / collected.FILE).read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not empty"):
        create.run(config(), responses, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    create.run(config(), responses, tmp_path / "empty")


def test_proposed_rows_and_rows_to_search(tmp_path):
    rows = made_rows(
        [("Who?", "Morse."), ("What?", "A telegraph."), ("When?", "In 1837.")], tmp_path
    )
    ids = [row["row_id"] for row in rows.table("rows").to_pylist()]
    given = {"m": answers(tmp_path / "out", "m", range(2))}
    found = [
        borrowing("m-0", (0, 3), ids[1], score=2.0),
        borrowing("m-0", (4, 6), ids[0], score=5.0),
        borrowing("m-0", (7, 8), ids[1], score=7.0),  # again, and stronger
        borrowing("m-0", (7, 8), "unseen", score=9.0, control="held-out"),
    ]
    trace = made_trace(found, tmp_path / "out")
    asked = config(kind="spans", pilot=0)
    made = create.run(asked, given, tmp_path / "s", trace=trace, rows=rows)
    shown = {i.hidden["response_ids"][0]: i.shown["candidates"] for i in made.design.items}
    assert shown["m-0"] == [
        {"row_id": ids[1], "instruction": "What?", "output": "A telegraph.", "score": 7.0},
        {"row_id": ids[0], "instruction": "Who?", "output": "Morse.", "score": 5.0},
    ]
    assert shown["m-1"] == []
    store = open_store(made.folder / collected.FILE)
    assert [row["row_id"] for row in store.search_rows("1837")] == [ids[2]]
    store.close()


def test_outcomes_speak_of_the_first_model(responses, tmp_path):
    made = create.run(config(kind="outcomes"), responses, tmp_path / "s")
    assert {tuple(item.hidden["models"]) for item in made.design.items} == {("one", "two")}
    swapped = [one.swapped for one in made.design.assignments]
    assert 0 < sum(swapped) < len(swapped)


def test_own_guidelines_and_feedback(responses, tmp_path):
    (tmp_path / "g.md").write_text("# Look twice\n")
    line = {"prompt": "This is item 3.", "answer": {"overall": "tie"}, "why": "They are alike."}
    (tmp_path / "f.jsonl").write_text(json.dumps(line) + "\n\n")
    asked = config(guidelines=str(tmp_path / "g.md"), feedback=str(tmp_path / "f.jsonl"), pilot=1)
    made = create.run(asked, responses, tmp_path / "s")
    read = collected.read(made.folder)
    assert read.settings["guidelines"] == "# Look twice\n"
    told = [item for item in read.items if item.feedback]
    assert [item.hidden["prompt_id"] for item in told] == ["p-3"]
    assert told[0].feedback["why"] == "They are alike."


def test_what_cannot_be_made(responses, tmp_path):
    alone = {"one": responses["one"]}
    apart = {"one": responses["one"], "b": answers(tmp_path / "out", "b", [90, 91])}
    rows = made_rows([("Who?", "Morse.")], tmp_path)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "x", "answer": {"overall": "best"}}\n')
    cases = [
        (config(), alone, {}, "at least two"),
        (config(), apart, {}, "answers to the same prompts"),
        (config(pilot=12), responses, {}, "12 items and all would be the pilot"),
        (config(), responses, {"address": "here"}, "is no address"),
        (config(kind="outcomes"), {**responses, "b": apart["b"]}, {}, "exactly two"),
        (config(), responses, {"rows": rows}, "only spans"),
        (config(kind="spans"), {"m": rows}, {}, "holds no answers"),
        (config(kind="spans"), responses, {"trace": rows}, "no trace"),
        (config(guidelines=str(tmp_path / "none.md")), responses, {}, "cannot read"),
        (config(feedback=str(bad)), responses, {}, "line 1"),
    ]
    for asked, given, more, words in cases:
        with pytest.raises(UserError, match=words) as caught:
            create.run(asked, given, tmp_path / "never", **more)
        assert str(caught.value).endswith(".")
        assert not (tmp_path / "never").exists()
    with pytest.raises(UserError, match=r"no study\.sqlite"):
        collected.read(tmp_path)
