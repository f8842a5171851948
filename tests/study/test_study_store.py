"""A study as a file: what is founded, what is kept, what counts."""

import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.errors import InputError
from aftertune.study import tokens
from aftertune.study.agreement_so_far import agreement, disagreements
from aftertune.study.answers import Rating, as_stored, checked
from aftertune.study.founding import create
from aftertune.study.store import Person, Store, open_store
from aftertune.study.writer import Writer, connect
from made_study_store import ROWS, answer, make, rating

PEOPLE = {name: Person(name, name, "annotator", True) for name in ("a0", "a1")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    make(tmp_path / "study.sqlite", kind="pairs", n=3)
    opened = open_store(tmp_path / "study.sqlite")
    yield opened
    opened.close()


def save(store: Store, k: int, person: str = "a0", **changed: Any) -> str:
    body = rating(store.kind, k, **changed)
    store.save(PEOPLE[person], Rating(**body))
    return str(body["rating_id"])


def test_a_new_study_has_everything_but_ratings(store: Store) -> None:
    assert store.settings["name"] == "A study of pairs"
    assert [one["item_id"] for one in store.items()] == ["i0", "i1", "i2"]
    assert store.items()[0]["hidden"] == {"models": ["secret-model"]}
    assert [(one.person_id, one.role) for one in store.people()] == [
        ("a0", "annotator"), ("a1", "annotator"), ("o", "organiser"), ("j", "adjudicator"),
    ]  # fmt: skip
    assert store.ratings() == store.current_ratings() == []
    assert [one["done"] for one in store.progress()] == [0, 0]
    assert len(store.assignments()) == 6
    assert store.item("none") is None
    assert store.rating_of("a0", "i0") is None


def test_the_newest_that_was_not_withdrawn_counts(store: Store) -> None:
    first = save(store, 0, answer=answer("pairs", 0))
    second = save(store, 0, answer=answer("pairs", 1))
    other = save(store, 0, "a1")
    assert [one["rating_id"] for one in store.current_ratings()] == [second, other]
    assert [one["sequence"] for one in store.ratings()] == [1, 2, 3]
    assert [one["swapped"] for one in store.ratings()] == [0, 0, 1]
    store.withdraw_later(PEOPLE["a0"], second).result()
    assert [one["rating_id"] for one in store.current_ratings()] == [first, other]
    store.withdraw_later(PEOPLE["a0"], first).result()
    assert [one["rating_id"] for one in store.current_ratings()] == [other]
    assert len(store.ratings("i0")) == 3
    assert store.next_item("a0") == "i0"


def test_the_next_item_is_the_first_without_a_rating(store: Store) -> None:
    for k in (0, 2):
        save(store, k)
    assert store.next_item("a0") == "i1"
    assert store.next_item("a1") == "i0"
    save(store, 1)
    assert store.next_item("a0") is None
    assert store.next_item("nobody") is None


def test_sending_again_changes_nothing(store: Store) -> None:
    body = Rating(**rating("pairs", 0))
    first, again = store.save(PEOPLE["a0"], body), store.save(PEOPLE["a0"], body)
    assert (first.again, again.again) == (False, True)
    assert first.sequence == again.sequence == 1
    assert len(store.ratings()) == 1


def test_many_threads_lose_nothing(store: Store) -> None:
    bodies = [Rating(**rating("pairs", k % 3)) for k in range(200)]
    with ThreadPoolExecutor(16) as pool:
        saved = list(pool.map(lambda body: store.save(PEOPLE["a0"], body), bodies * 2))
    assert sorted(one.sequence for one in saved if not one.again) == list(range(1, 201))
    assert {one["rating_id"] for one in store.ratings()} == {body.rating_id for body in bodies}


def test_everything_is_there_after_closing_as_one_file(tmp_path: Path, store: Store) -> None:
    name = save(store, 1, note="שלום 🙂\u202e")
    store.close()
    assert [one.name for one in tmp_path.iterdir()] == ["study.sqlite"]
    again = open_store(tmp_path / "study.sqlite")
    assert [(one["rating_id"], one["note"]) for one in again.ratings()] == [
        (name, "שלום 🙂\u202e")
    ]  # fmt: skip
    again.close()


def test_commits_are_synced_and_written_ahead(store: Store) -> None:
    connection = connect(store.path)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    connection.close()


def test_a_change_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "x.sqlite")
    writer.submit(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")).result()

    def change(n: int) -> Any:
        def run(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO t VALUES (?)", (n,))
            if n % 3 == 0:
                raise InputError(f"{n}")
            return n

        return run

    futures = [writer.submit(change(n)) for n in range(30)]
    failed = [n for n, future in enumerate(futures) if future.exception() is not None]
    writer.close()
    connection = connect(tmp_path / "x.sqlite")
    found = [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]
    connection.close()
    assert failed == list(range(0, 30, 3))
    assert found == [n for n in range(30) if n % 3]


def test_who_is_no_longer_active_has_no_token(tmp_path: Path) -> None:
    found = make(tmp_path / "study.sqlite")
    connection = connect(tmp_path / "study.sqlite")
    connection.execute("UPDATE person SET active = 0 WHERE person_id = 'a1'")
    connection.close()
    store = open_store(tmp_path / "study.sqlite")
    person = store.person_of(tokens.hashed(found["a0"]))
    assert person is not None
    assert person.person_id == "a0"
    assert store.person_of(tokens.hashed(found["a1"])) is None
    new = tokens.new()
    store.replace_token("a0", tokens.hashed(new))
    assert store.person_of(tokens.hashed(found["a0"])) is None
    assert store.person_of(tokens.hashed(new)) == person
    with pytest.raises(InputError, match="no person 'x'"):
        store.replace_token("x", "y")
    store.close()


def test_tokens_are_long_different_and_not_on_disk(tmp_path: Path) -> None:
    found = make(tmp_path / "study.sqlite")
    assert all(len(token) == 43 for token in found.values())  # 32 bytes in base 64
    assert len(set(found.values())) == len(found)
    raw = (tmp_path / "study.sqlite").read_bytes()
    assert not any(token.encode() in raw for token in found.values())


def test_rows_are_found_by_their_words(tmp_path: Path) -> None:
    make(tmp_path / "study.sqlite", kind="spans")
    store = open_store(tmp_path / "study.sqlite")
    assert [row["row_id"] for row in store.search_rows("RIVÉR")] == ["row-1"]
    assert len(store.search_rows("tell", 3)) == 3
    assert store.search_rows("…") == []
    assert store.row("row-1") == ROWS[1]
    assert store.row("row-9") is None
    store.close()


@pytest.mark.parametrize("content", [b"", b"not a study", b"SQLite format 3\x00" + b"x" * 200])
def test_what_is_no_study_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sqlite"
    with pytest.raises(InputError, match="there is no study"):
        open_store(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a study"):
        open_store(path)
    assert path.read_bytes() == content


def test_a_damaged_study_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    make(path)
    content = bytearray(path.read_bytes())
    content[4096::2] = b"\xab" * len(content[4096::2])  # all but the page that says what it is
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        open_store(path)


def test_a_study_is_never_overwritten_nor_half(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    lonely = {"person_id": "a", "item_id": "none", "batch": 1, "position": 0}
    with pytest.raises(InputError, match="do not fit together"):
        create(path, {"name": "x", "kind": "pairs"}, [], [], [lonely])
    assert not path.exists()
    make(path)
    with pytest.raises(InputError, match="exists"):
        make(path)


def test_answers_of_two_sides_turn_and_turn_back() -> None:
    said = {"overall": "first", "aspects": {"clarity": "second", "depth": "tie"}}
    turned = {"overall": "second", "aspects": {"clarity": "first", "depth": "tie"}}
    assert as_stored("pairs", said, True) == turned
    assert as_stored("pairs", turned, True) == said
    assert as_stored("pairs", said, False) == said
    assert as_stored("aspects", {"scores": {"clarity": 1}}, True) == {"scores": {"clarity": 1}}


@given(st.text(min_size=1, max_size=40), st.data())
def test_a_span_is_kept_exactly_where_its_text_stands(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    other = data.draw(st.text(max_size=5))
    span = {"start": start, "end": end, "text": text[start:end], "label": "not_useful"}
    found = checked("spans", {"spans": [span]}, [text])
    assert found.model_dump()["spans"] == [span | {"cause": None}]
    if other != text[start:end]:
        with pytest.raises(InputError, match="does not hold"):
            checked("spans", {"spans": [span | {"text": other}]}, [text])


def said(person: str, item: str, given_answer: dict[str, Any], swapped: int = 0) -> dict[str, Any]:
    return {"person_id": person, "item_id": item, "answer": given_answer, "swapped": swapped}


def test_agreement_so_far_by_hand() -> None:
    def one(overall: str) -> dict[str, Any]:
        return {"overall": overall, "aspects": {}}

    ratings = [
        said("a", "i", one("first")), said("b", "i", one("second"), swapped=1),  # the same answer
        said("a", "j", one("first")), said("b", "j", one("first"), swapped=1),  # opposite ones
        said("a", "k", one("tie")), said("b", "k", one("first")),
        said("a", "l", one("tie")),
    ]  # fmt: skip
    percent = agreement("pairs", ratings, {})[0]
    assert percent["aspect"] == "overall"
    assert percent["interval"]["estimate"] == pytest.approx(1 / 3)
    found = [(one.item_id, one.distance) for one in disagreements("pairs", ratings, {})]
    assert found == [("j", 1.0), ("k", 0.5)]
    assert agreement("pairs", [], {}) == disagreements("pairs", [], {}) == []


def test_where_marks_and_scores_are_apart() -> None:
    def mark(*bounds: tuple[int, int]) -> dict[str, Any]:
        return {"spans": [{"start": a, "end": b} for a, b in bounds]}

    texts = {"i": "one two three four", "j": "one two three four", "k": "one two"}
    ratings = [
        said("a", "i", mark((0, 7))), said("b", "i", mark((0, 3))),  # F1 = 2 / 3: near enough
        said("a", "j", mark((0, 3))), said("b", "j", mark((4, 18))),  # F1 = 0
        said("a", "k", mark()), said("b", "k", mark((0, 3))),
    ]  # fmt: skip
    found = disagreements("spans", ratings, texts)
    assert [(one.item_id, one.distance) for one in found] == [("j", 1.0), ("k", 1.0)]
    f1 = next(
        one for one in agreement("spans", ratings, texts) if one["measure"].startswith("F1 of")
    )
    assert f1["interval"]["estimate"] == pytest.approx(2 / 8)  # 2 x 1 of 3 + 4 + 1 marked words

    said_of = {("a", "i"): (1, 3), ("b", "i"): (3, 2), ("a", "j"): (1, 3), ("b", "j"): (2, 4)}
    scores = [
        said(person, item, {"scores": dict(zip("xy", both, strict=True))})
        for (person, item), both in said_of.items()
    ]
    far = disagreements("aspects", scores, {})
    assert [(one.item_id, one.about, one.distance) for one in far] == [("i", "x", 0.5)]


def test_an_id_is_not_reused_between_people(store: Store) -> None:
    body = Rating(**rating("pairs", 0, rating_id=str(uuid.uuid4())))
    store.save(PEOPLE["a0"], body)
    with pytest.raises(InputError, match="another rating"):
        store.save(PEOPLE["a1"], body)
    with pytest.raises(InputError, match="no rating"):
        store.withdraw_later(PEOPLE["a1"], body.rating_id).result()
