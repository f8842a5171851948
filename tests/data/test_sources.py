"""Sources: every kind of file loads, and what cannot be read says why in one sentence."""

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.artefact import hash_file
from aftertune.data import sources
from aftertune.data.raw import MAX_CHARACTERS, Raw, plain
from aftertune.data.sources import open_source
from aftertune.errors import InputError

ANSWER = 'Größe 🙂\nzwei, "drei"'
ROWS = [{"instruction": f"q{i}", "output": ANSWER} for i in range(3)]


def read(path: Path | str, split: str = "train") -> list[Raw]:
    return list(open_source(str(path), "rows", split).raws)


def values(path: Path | str, split: str = "train") -> list[Any]:
    found = read(path, split)
    assert [raw.error for raw in found] == [None] * len(found)
    assert [raw.row_index for raw in found] == list(range(len(found)))
    return [raw.value for raw in found]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",", bom: bool = False) -> Path:
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["a.json", "a.odd", "noending"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_json(tmp_path: Path, name: str, indent: int | None, bom: str) -> None:
    path = write(tmp_path / name, bom + json.dumps(ROWS, indent=indent))
    assert values(path) == ROWS


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.odd"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "\ufeff\n" + as_lines(ROWS).replace("\n", "\r\n\n"))
    assert values(path) == ROWS
    assert [raw.line for raw in read(path)] == [2, 4, 6]


def test_a_json_list_knows_its_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps(ROWS, indent=1))
    assert [raw.line for raw in read(path)] == [2, 6, 10]


def test_json_list_in_a_jsonl_file(tmp_path: Path) -> None:
    assert values(write(tmp_path / "a.jsonl", json.dumps(ROWS, indent=1))) == ROWS


def test_an_object_around_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"version": 1, "data": ROWS}))
    assert values(path) == ROWS
    path = write(tmp_path / "b.json", json.dumps({"train": ROWS, "test": ROWS[:1]}))
    assert (values(path), values(path, "test")) == (ROWS, ROWS[:1])
    with pytest.raises(InputError, match=r"several lists \(train, test\).*--split"):
        read(path, "dev")
    path = write(tmp_path / "c.json", json.dumps(ROWS[0], indent=1))
    assert values(path) == ROWS[:1]


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"),
                                                 ("a.odd", ","), ("a.odd", "\t")])  # fmt: skip
@pytest.mark.parametrize("bom", [False, True])
def test_csv(tmp_path: Path, name: str, delimiter: str, bom: bool) -> None:
    path = as_csv(tmp_path / name, ROWS, delimiter, bom)
    assert values(path) == ROWS
    assert [raw.line for raw in read(path)] == [2, 4, 6]  # each answer has two lines


@pytest.mark.parametrize("name", ["a.parquet", "a.odd"])
def test_parquet(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
    assert values(tmp_path / name) == ROWS
    assert read(tmp_path / name)[0].line is None


def test_gzip(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "a.odd"):
        assert values(write(tmp_path / name, gzip.compress(as_lines(ROWS).encode()))) == ROWS


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", as_lines(ROWS[1:]))
    write(tmp_path / "a.json", json.dumps(ROWS[:1]))
    write(tmp_path / "README.md", "not data")
    write(tmp_path / ".hidden.json", "[]")
    source = open_source(str(tmp_path), "rows", "train")
    assert [given.name for given in source.inputs] == ["source/a.json", "source/b.jsonl"]
    assert source.inputs[0].sha256 == hash_file(tmp_path / "a.json")
    raws = list(source.raws)
    assert [raw.value for raw in raws] == ROWS
    assert [(raw.row_index, raw.line, raw.file) for raw in raws] == [
        (0, 1, "a.json"), (1, 1, "b.jsonl"), (2, 2, "b.jsonl")
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["rows", "prompts"])
def test_the_texts_of_the_package(kind: Any) -> None:
    source = open_source("embedded:pocket", kind, "train")
    assert source.inputs[0].place == "embedded:pocket"
    assert all(isinstance(raw.value, dict) for raw in source.raws)


GZIPPED = gzip.compress(as_lines(ROWS).encode(), mtime=0)  # the same bytes in every process
LISTED = json.dumps(ROWS, indent=1)
PARQUET = b"PAR1" + b"\0" * 40
WRONG: list[tuple[str, str | bytes, str]] = [
    ("a.json", "", "is empty"),
    ("a.jsonl", " \n\n", "is empty"),
    ("a.csv", "", "is empty"),
    ("a.json", LISTED[:-20], r"breaks off at line 12 column \d+ .*after 2 whole rows"),
    ("a.json", LISTED[:-2], r"breaks off at line 13 .*after 3 whole rows"),
    ("a.json", '[{"a": 1} {"a": 2}]', "is not JSON at line 1 column 11 .*after 1 whole rows"),
    ("a.json", '[{"a": 1}] x', "is not JSON at line 1 column 12"),
    ("a.json", '{"data": [{"a": 1}', "breaks off at line 1"),
    ("a.json", "instruction,output", "is not JSON: it begins with 'instruction,output'"),
    ("a.json", "[" * 100_000, "nested too deeply"),
    ("a.json", '[{"a": ' + "9" * 5000 + "}]", "is not JSON"),
    ("a.json", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file; give .json"),
    ("a.txt", b"\0\1\2", "is a binary file"),
    ("a.json", LISTED.encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    ("a.zip", b"PK\x03\x04...", "is a zip archive; unpack it"),
    ("a.txt", "just words\n", "cannot tell what kind of file .*; give .json, .jsonl"),
    ("a.parquet", "no table", "is not a Parquet file"),
    ("a.parquet", PARQUET, "is a damaged Parquet file"),
    ("a.csv", 'a,b\n1,2\n3,"4\n5,6\n', "breaks off: a quote opened in the row at line 3"),
    ("a.csv", "a,b,a\n1,2,3\n", "two columns named 'a'"),
    ("a.jsonl.gz", GZIPPED[:-12], "is damaged: its gzip data breaks off"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), WRONG)
def test_wrong_files_say_so_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=sentence) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    "source", ["nowhere.json", "./no/where", "no/such/folder", "data/rows.jsonl", "", "~/none"]
)
def test_a_wrong_path(source: str) -> None:
    with pytest.raises(InputError, match=r"there is no file or folder|holds no file"):
        read(source if source else "/dev/null/x")


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b", "~nosuchuser/a.json"])
def test_what_cannot_be_a_path(source: str) -> None:
    with pytest.raises(InputError, match="check the path") as error:
        read(source)
    assert len(str(error.value)) < 300


def test_folders_without_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no file that ends in \.json"):
        read(tmp_path)
    write(tmp_path / "manifest.json", "{}")
    with pytest.raises(InputError, match="one that a program wrote"):
        read(tmp_path)
    with pytest.raises(InputError, match="embedded:pocket"):
        read("embedded:atlas")


def test_a_bad_line_is_one_bad_row(tmp_path: Path) -> None:
    lines = [b'{"a": 1}', b'{"a": ', b'{"a": "\\ud800"}', b'{"a": "\xe9"}', b'{"a": 2}', b'{"a": 1']
    raws = read(write(tmp_path / "a.jsonl", b"\n".join(lines)))
    assert [raw.value for raw in raws] == [{"a": 1}, None, None, None, {"a": 2}, None]
    assert [str(raw.error) for raw in raws if raw.error] == [
        "not JSON (Expecting value at column 6)",
        "a lone surrogate, which is no character",
        "bytes that are not UTF-8",
        "not JSON (Expecting ',' delimiter at column 8)",
    ]
    assert (raws[1].line, raws[1].row_index, raws[1].raw) == (2, 1, '{"a":')


def test_json_lines_with_a_bad_first_line_in_a_json_file(tmp_path: Path) -> None:
    raws = read(write(tmp_path / "a.json", '{"a": \n' + as_lines(ROWS)))
    assert [raw.error is None for raw in raws] == [False, True, True, True]


def test_a_bad_byte_in_a_list_is_one_bad_row(tmp_path: Path) -> None:
    raws = read(write(tmp_path / "a.json", b'[{"a": "\xe9"},\n{"a": "\\u0000"}]'))
    assert str(raws[0].error) == "bytes that are not UTF-8"
    assert raws[1].value == {"a": "\0"}  # NUL is a character like others


def test_what_json_lacks_becomes_null(tmp_path: Path) -> None:
    text = '[{"a": NaN, "b": [Infinity, 1.5], "c": {"d": -Infinity}}]'
    (value,) = values(write(tmp_path / "a.json", text))
    assert value == {"a": None, "b": [None, 1.5], "c": {"d": None}}
    pq.write_table(pa.table({"a": [b"\0\1"], "b": [float("nan")]}), tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == [{"a": "<2 bytes>", "b": None}]


def test_csv_rows_of_the_wrong_width(tmp_path: Path) -> None:
    raws = read(write(tmp_path / "a.csv", 'a,b\n1,2\n\n3\n4,"5" 6\n7,8\n'))
    assert [raw.value for raw in raws] == [{"a": "1", "b": "2"}, None, None, {"a": "7", "b": "8"}]
    assert str(raws[1].error) == "wrong number of fields (1 where the header has 2)"
    assert raws[2].error is not None
    assert raws[2].error.reason == "not CSV"
    assert [raw.line for raw in raws] == [2, 4, 5, 6]


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_ten_megabytes_in_one_row_are_set_aside(tmp_path: Path, kind: str) -> None:
    rows = [{"a": "x", "b": "y"}, {"a": "x" * 10_000_000, "b": "y"}, {"a": "z", "b": "y"}]
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        as_csv(path, rows)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write(path, json.dumps(rows) if kind == "json" else as_lines(rows))
    raws = read(path)
    assert [raw.value for raw in raws] == [rows[0], None, rows[2]]
    size = len(json.dumps(rows[1]))
    assert str(raws[1].error) == f"longer than 2,000,000 characters (it has {size:,} characters)"
    assert len(raws[1].raw) == 2000


def test_a_line_beyond_the_buffer_is_skipped_to_its_end(tmp_path: Path) -> None:
    long = b'{"a": "' + b"x" * (8 * MAX_CHARACTERS + 5) + b'"}'
    raws = read(write(tmp_path / "a.jsonl", b'{"a": 1}\n' + long + b'\n{"a": 2}\n'))
    assert [raw.value for raw in raws] == [{"a": 1}, None, {"a": 2}]
    assert f"{len(long) + 1:,} bytes" in str(raws[1].error)
    assert [raw.line for raw in raws] == [1, 2, 3]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.text("xyz", min_size=1, max_size=3), JSON), min_size=1))
def test_json_comes_back_from_every_spelling(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("json")
    expected = [plain(row) for row in rows]
    assert values(write(folder / "a.json", json.dumps(rows))) == expected
    assert values(write(folder / "b.json", json.dumps(rows, indent=3))) == expected
    assert values(write(folder / "c.jsonl", as_lines(rows))) == expected


def test_a_hub_id_goes_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(source: str, split: str, revision: str | None) -> Any:
        asked.append((source, split, revision))
        return iter([{"a": 1}, {"a": float("nan")}])

    monkeypatch.setattr(
        sources, "importlib", SimpleNamespace(import_module=lambda name: SimpleNamespace(load=load))
    )
    source = open_source("some/name:subset", "rows", "test", "abc")
    assert [raw.value for raw in source.raws] == [{"a": 1}, {"a": None}]
    assert asked == [("some/name:subset", "test", "abc")]
    again = open_source("some/name", "rows", "train")
    assert again.inputs[0].id == source.inputs[0].id  # of the content, not of the name


def test_the_hub_reader_reads_a_real_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real `datasets`, over a folder, since tests have no network."""
    from aftertune.data import sources_hub

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "train.jsonl", as_lines(ROWS))
    assert list(sources_hub.load(str(folder), "train", None)) == ROWS
    with pytest.raises(InputError, match=r"no data set .*\(split dev\) could be loaded"):
        sources_hub.load(str(folder), "dev", None)


def test_reading_a_file_does_not_import_the_hub_or_torch() -> None:
    code = (
        "import sys; import aftertune.data.run; "
        "print([m for m in ('datasets', 'torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
