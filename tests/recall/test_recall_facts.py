"""Facts at the door, from every kind of source."""

import json
import zipfile
from pathlib import Path

import pytest

from aftertune.errors import InputError
from aftertune.recall.config import FactsConfig
from aftertune.recall.facts import BadFact, Fact, from_mmlu, from_record, gathered
from aftertune.recall.sources import POCKET, read


def test_a_record_with_everything() -> None:
    record = {
        "id": "x", "question": " Who? ", "answer": "Ann", "aliases": "Anna; Annie",
        "distractors": ["Bo", "bo", "Cy"], "tags": {"kind": "person"}, "hard": True,
    }  # fmt: skip
    fact = from_record(record, 3)
    assert isinstance(fact, Fact)
    assert (fact.id, fact.row_index, fact.question) == ("x", 3, "Who?")
    assert fact.right == ["Ann", "Anna", "Annie"]
    assert fact.distractors == ("Bo", "Cy")
    assert fact.tags == {"kind": "person", "hard": "true"}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("text", "no object"),
        ({"answer": "x"}, "no question"),
        ({"question": "x"}, "no answer"),
        ({"question": "x", "answer": "?!"}, "without a letter"),
        ({"question": "x", "answer": "y", "distractors": {"a": 1}}, "no list"),
        ({"question": "x", "answer": "two", "distractors": ["2"]}, "is a right answer"),
    ],
)
def test_what_is_no_fact(record: object, why: str) -> None:
    found = from_record(record, 0)
    assert isinstance(found, BadFact)
    assert why in found.reason


def test_the_same_content_has_the_same_id_and_is_kept_once() -> None:
    one, two = (from_record({"question": "Q?", "answer": "a1"}, n) for n in (0, 1))
    other = from_record({"question": "Q?", "answer": "a2"}, 2)
    facts, aside = gathered([one, two, other], None, 0)
    assert [fact.row_index for fact in facts] == [0, 2]
    assert [bad.row_index for bad in aside] == [1]


def test_a_drawn_sample_keeps_the_order_and_depends_on_the_seed() -> None:
    all_ = [from_record({"question": f"Q{n}?", "answer": f"a{n}"}, n) for n in range(50)]
    drawn = [[fact.row_index for fact in gathered(all_, 10, seed)[0]] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == sorted(drawn[0])
    assert len(drawn[0]) == 10
    assert len(gathered(all_, 99, 0)[0]) == 50


@pytest.mark.parametrize(
    ("cells", "good"),
    [
        (["Q?", "w", "x", "y", "z", "C"], True),
        (["Q?", "w", "x", "y", "z", "E"], False),
        (["Q?", "w", "x", "y", "A"], False),
        (["Q?", "w", "w", "w", "z", "A"], False),
    ],
)
def test_a_row_of_mmlu(cells: list[str], good: bool) -> None:
    found = from_mmlu(cells, "law", 0)
    assert isinstance(found, Fact) == good
    if isinstance(found, Fact):
        assert (found.answer, found.distractors) == ("y", ("w", "x", "z"))
        assert found.tags == {"subject": "law"}


def test_files(tmp_path: Path) -> None:
    lines = [{"question": "A?", "answer": "1"}, {"question": "B?"}]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{bad\n")
    found = read(FactsConfig(source=str(tmp_path / "f.jsonl")))
    assert [fact.question for fact in found.facts] == ["A?"]
    assert sum(found.aside.values()) == 2
    (tmp_path / "f.csv").write_text("\ufeffquestion,answer,distractors\nA?,1,2;3\n", "utf-8")
    assert read(FactsConfig(source=str(tmp_path / "f.csv"))).facts[0].distractors == ("2", "3")
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("data/test/law_test.csv", '"Q, one?",w,x,y,z,B\nbroken\n')
        archive.writestr("data/dev/law_dev.csv", "Q2?,w,x,y,z,B\n")
    found = read(FactsConfig(source=str(tmp_path / "m.zip")))
    assert [(fact.question, fact.answer) for fact in found.facts] == [("Q, one?", "x")]
    assert len(found.aside) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.jsonl", None, "no file"),
        ("empty.jsonl", b'{"question": "A?"}', "holds no fact"),
        ("bad.zip", b"PK\x03\x04 no archive", "is damaged"),
        ("other.zip", b"", "holds no *_test.csv"),
    ],
)
def test_sources_that_cannot_be_used(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if name == "other.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "x")
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(FactsConfig(source=str(path)))
    assert words in str(caught.value)


def test_the_packaged_facts() -> None:
    found = read(FactsConfig(source=POCKET))
    assert len(found.facts) >= 120
    assert found.aside == {}
    assert all(fact.distractors for fact in found.facts)


def test_truthfulqa_and_mmlu_as_published(shared_data: Path) -> None:
    found = read(FactsConfig(source=str(shared_data / "facts" / "truthfulqa.csv")))
    assert len(found.facts) + sum(found.aside.values()) == 817
    assert len(found.facts) > 800
    assert found.facts[0].answer == "The watermelon seeds pass through your digestive system"
    assert found.facts[0].tags["category"] == "Misconceptions"
    drawn = read(FactsConfig(source=str(shared_data / "facts" / "mmlu.zip"), limit=40, seed=1))
    assert len(drawn.facts) == 40
    assert all(len(fact.distractors) == 3 for fact in drawn.facts)


def test_a_text_that_fills_any_context_is_set_aside() -> None:
    long = "word " * 5000
    for record in ({"question": long, "answer": "b"}, {"question": "q", "answer": long},
                   {"question": "q", "answer": "b", "distractors": ["c", long]}):  # fmt: skip
        found = from_record(record, 0)
        assert isinstance(found, BadFact)
        assert "more than 20,000 characters" in found.reason


def test_what_is_set_aside_is_part_of_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text('{"question": "A?", "answer": "b"}\n')
    first = read(FactsConfig(source=str(path)))
    path.write_text('{"question": "A?", "answer": "b"}\n{"question": "B?", "answer": ""}\n')
    second = read(FactsConfig(source=str(path)))
    assert (first.facts, first.aside) == (second.facts, {})
    assert second.aside == {"has no answer": 1}
    assert first.input.id != second.input.id  # or a finished answer would hide what is aside now
