"""The stages `rows` and `prompts` as artefacts, and every set of the shared data."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.data import run
from aftertune.data.config import PromptsConfig, RowsConfig
from aftertune.errors import ConfigError, InputError
from aftertune.progress import Silent

GOOD = {"instruction": "What is it?", "input": "", "output": "It is a test.", "topic": "é"}


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(path: Path, out: Path, **options: Any) -> Artefact:
    return run.run_rows(RowsConfig(source=str(path), **options), out, Silent())


def test_a_row_as_it_is_stored(tmp_path: Path) -> None:
    made = rows_of(lines(tmp_path / "a.jsonl", [GOOD]), tmp_path)
    (row,) = made.table("rows").to_pylist()
    assert [(m["role"], m["content"]) for m in row["messages"]] == [
        ("user", "What is it?"), ("assistant", "It is a test.")
    ]  # fmt: skip
    assert (row["row_index"], row["line"], row["duplicate_of"]) == (0, 1, None)
    assert row["row_id"].startswith("r-")
    assert row["cluster_id"] == row["row_id"].replace("r-", "c-")
    assert json.loads(row["tags"]) == {"topic": "é"}
    assert made.stage == "rows"
    assert made.config["format"] == "alpaca"  # resolved
    assert made.counts == {"done": 1, "skipped": {}, "unscored": {}}
    assert made.table("set_aside").num_rows == 0
    assert open_artefact(made.folder).id == made.id  # every hash agrees


def test_bad_rows_are_set_aside_with_line_and_reason(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [GOOD, {**GOOD, "output": ""}, "x", {**GOOD, "output": ""}])
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"instruction": "cut of')
    progress = Silent()
    made = run.run_rows(RowsConfig(source=str(path)), tmp_path, progress)
    assert made.counts["done"] == 1
    assert made.counts["skipped"] == {"empty response": 2, "not an object": 1, "not JSON": 1}
    aside = made.table("set_aside").to_pylist()
    assert [(bad["row_index"], bad["line"]) for bad in aside] == [(1, 2), (2, 3), (3, 4), (4, 5)]
    assert aside[1]["reason"] == "not an object (it is text)"
    assert aside[1]["raw"] == '"x"'
    assert aside[3]["reason"].startswith("not JSON (Unterminated string")
    assert made.about["census"]["empty_responses"] == 2
    assert "2 rows set aside: empty response" in progress.warnings[0]


def test_a_bad_row_of_a_folder_names_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    lines(folder / "a.jsonl", [GOOD])
    lines(folder / "b.jsonl", [GOOD, {}])
    made = rows_of(folder, tmp_path)
    (bad,) = made.table("set_aside").to_pylist()
    assert bad["reason"] == "b.jsonl: missing field: instruction"
    assert (bad["row_index"], bad["line"]) == (2, 2)
    assert made.counts["skipped"] == {"missing field: instruction": 1}
    assert made.table("rows")["duplicate_of"].to_pylist() == [None, 0]


def test_strict_stops_at_the_first_bad_row(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [GOOD, {**GOOD, "output": ""}])
    sentence = r"a\.jsonl, line 2: empty response.*--strict"
    with pytest.raises(InputError, match=sentence):
        rows_of(path, tmp_path, strict=True)
    assert not list(tmp_path.glob("rows-*"))
    lenient = rows_of(path, tmp_path)
    with pytest.raises(InputError, match=sentence):  # also where the answer is there already
        rows_of(path, tmp_path, strict=True)
    good = lines(tmp_path / "b.jsonl", [GOOD])
    assert rows_of(good, tmp_path, strict=True).id == rows_of(good, tmp_path).id != lenient.id


def test_no_good_row_at_all_is_an_error(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{**GOOD, "output": ""}] * 2 + [{**GOOD, "output": 1}])
    with pytest.raises(InputError, match=r"no usable row: 2 of 3 .*`empty response`, .*line 1"):
        rows_of(path, tmp_path)
    path.write_text('{"a":\n{"b":\n', encoding="utf-8")
    with pytest.raises(InputError, match="2 of 2 were set aside for `not JSON`"):
        rows_of(path, tmp_path)
    for name, text in (("e.json", "[]"), ("e.csv", "instruction,output\n")):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="holds no rows"):
            rows_of(path, tmp_path)


def test_a_format_that_is_unknown_or_wrong(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"foo": 1}])
    with pytest.raises(InputError, match=r"a\.jsonl: cannot tell the format.*\(foo\)"):
        rows_of(path, tmp_path)
    with pytest.raises(InputError, match=r"no usable row: .*missing field: messages"):
        rows_of(path, tmp_path, format="messages")
    for wrong in ("alpacca", "turns"):
        with pytest.raises(ConfigError, match="format"):
            build(RowsConfig, {"source": "x", "format": wrong})
    assert build(PromptsConfig, {"source": "x", "format": "turns"}).format == "turns"


def test_the_id_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    one = rows_of(lines(tmp_path / "a.jsonl", [GOOD]), tmp_path)
    before = one.folder.joinpath("manifest.json").read_bytes()
    moved = rows_of(lines(tmp_path / "b.jsonl", [GOOD]), tmp_path)
    assert moved.id == one.id
    assert moved.folder.joinpath("manifest.json").read_bytes() == before  # reused, not rewritten
    assert rows_of(lines(tmp_path / "a.jsonl", [GOOD, GOOD]), tmp_path).id != one.id
    assert rows_of(tmp_path / "a.jsonl", tmp_path, limit=1).id != one.id


def test_ids_are_of_the_conversation_alone(tmp_path: Path) -> None:
    other = {**GOOD, "topic": "z"}
    conflict = {**GOOD, "output": "It is not."}
    made = rows_of(lines(tmp_path / "a.jsonl", [GOOD, other, conflict, GOOD]), tmp_path)
    table = made.table("rows").to_pydict()
    assert table["row_id"][0] == table["row_id"][1] == table["row_id"][3] != table["row_id"][2]
    assert table["duplicate_of"] == [None, 0, None, 0]
    assert table["row_index"] == [0, 1, 2, 3]
    counted = made.about["census"]
    assert counted["exact_duplicates"]["items"] == 3
    assert counted["conflicting_duplicates"]["items"] == 4


def test_limit_takes_the_first_good_rows(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{}, GOOD, {**GOOD, "output": "b"}, GOOD])
    made = rows_of(path, tmp_path, limit=2, format="alpaca")
    assert made.table("rows")["row_index"].to_pylist() == [1, 2]
    assert made.table("set_aside").num_rows == 1


def test_every_item_has_its_own_place(tmp_path: Path) -> None:
    seed = {"instruction": "do", "instances": [{"output": "a"}, {"output": "b"}]}
    made = rows_of(lines(tmp_path / "a.jsonl", [seed, {"instruction": "x"}, seed]), tmp_path)
    table = made.table("rows").to_pydict()
    assert (table["row_index"], table["line"]) == ([0, 1, 3, 4], [1, 1, 3, 3])
    assert [json.loads(tags)["instance"] for tags in table["tags"]] == [0, 1, 0, 1]
    assert table["duplicate_of"] == [None, None, 0, 1]
    assert made.table("set_aside")["row_index"].to_pylist() == [2]


def test_parts_are_planned_and_a_rerun_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PART_ROWS", 2)
    path = lines(tmp_path / "a.jsonl", [{**GOOD, "output": str(i)} for i in range(5)])
    one, other = (rows_of(path, tmp_path / out) for out in ("one", "other"))
    assert [part["rows"] for part in one.manifest["tables"]["rows"]] == [2, 2, 1]
    assert [part["rows"] for part in one.manifest["tables"]["set_aside"]] == [0]
    assert one.content_hash() == other.content_hash()


def test_prompts(tmp_path: Path) -> None:
    progress = Silent()
    path = lines(tmp_path / "a.jsonl", [{"turns": ["What is it?", "And then?"], "category": "x"}])
    made = run.run_prompts(PromptsConfig(source=str(path)), tmp_path, progress)
    (row,) = made.table("prompts").to_pylist()
    assert [m["content"] for m in row["messages"]] == ["What is it?"]
    assert json.loads(row["tags"]) == {"category": "x", "turns": ["And then?"]}
    assert row["prompt_id"].startswith("p-")
    assert "not asked" in progress.warnings[0]
    rows = rows_of(lines(tmp_path / "b.jsonl", [GOOD]), tmp_path)
    assert run.overlap(rows, made)["exact"] == 1


def test_a_csv_with_a_byte_order_mark_just_loads(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("instruction,output\nWhat?,This.\n", encoding="utf-8-sig")
    assert rows_of(path, tmp_path, strict=True).counts["done"] == 1


SHARED_ROWS = [
    ("alpaca_18k.json", "alpaca", 18_659, 10, 0),  # 10 of 18,669 have an empty output
    ("alpaca_1k_longest.json", "sharegpt", 1000, 0, 0),
    ("alpaca_1k_longest_refined.json", "sharegpt", 1000, 0, 0),
    ("alpaca_gpt4_demo.json", "alpaca", 999, 0, 14),
    ("dolly_3k.json", "dolly", 2996, 0, 15),
    ("lima.json", "lima", 1029, 0, 0),
    ("self_instruct_seed_tasks.jsonl", "self-instruct", 175, 0, 0),
]


@pytest.mark.parametrize(("name", "format", "good", "bad", "repeated"), SHARED_ROWS)
def test_every_shared_set_of_rows_loads(
    shared_data: Path, tmp_path: Path, name: str, format: str, good: int, bad: int, repeated: int
) -> None:
    made = rows_of(shared_data / "it" / name, tmp_path)
    assert made.about["format"] == format
    assert (made.counts["done"], sum(made.counts["skipped"].values())) == (good, bad)
    table = made.table("rows")
    assert len(set(table["row_index"].to_pylist())) == good
    # a key is what is asked: equal keys are exact or conflicting duplicates
    keys = Counter(json.dumps(messages[:-1]) for messages in table["messages"].to_pylist())
    assert good - len(keys) == repeated
    if name == "lima.json":
        assert made.about["census"]["several_turns"]["count"] == 29


SHARED_PROMPTS = [
    ("just_eval_800.jsonl", "prompt", 800, 0),
    ("koala.jsonl", "prompt", 180, 0),
    ("mt_bench.question.jsonl", "turns", 80, 80),
    ("self_instruct_user_oriented.jsonl", "self-instruct", 252, 0),
    ("vicuna_bench.question.jsonl", "turns", 80, 0),
    ("wizardlm.jsonl", "prompt", 218, 0),
]


@pytest.mark.parametrize(("name", "format", "good", "later"), SHARED_PROMPTS)
def test_every_shared_set_of_prompts_loads(
    shared_data: Path, tmp_path: Path, name: str, format: str, good: int, later: int
) -> None:
    config = PromptsConfig(source=str(shared_data / "prompts" / name))
    made = run.run_prompts(config, tmp_path, Silent())
    assert made.about["format"] == format
    assert (made.counts["done"], made.counts["skipped"]) == (good, {})
    assert made.about["census"]["later_turns_not_asked"]["turns"] == later


def test_a_real_csv_with_a_byte_order_mark(shared_data: Path, tmp_path: Path) -> None:
    config = PromptsConfig(source=str(shared_data / "facts" / "truthfulqa.csv"))
    assert run.run_prompts(config, tmp_path, Silent()).counts["done"] == 817
