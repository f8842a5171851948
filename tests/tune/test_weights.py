"""Weights from the three kinds of file, and what is refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aftertune.errors import InputError
from aftertune.tune import weights

ROWS = [("a", 0), ("b", 3), ("b", 4)]


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"a": 0, "b": 0.5}')
    (tmp_path / "list.json").write_text(
        '[{"row_id": "a", "weight": 0}, {"row_id": "b", "weight": 0.5}]'
    )
    (tmp_path / "ids.csv").write_text("\ufeffrow_id,weight\na,0\nb,0.5\n", encoding="utf-8")
    (tmp_path / "places.csv").write_text("row_index,weight\n0,0\n3,0.5\n4,0.5\n")
    pq.write_table(
        pa.table({"row_index": [0, 3, 4], "weight": [0.0, 0.5, 0.5]}), tmp_path / "p.parquet"
    )
    for path in tmp_path.iterdir():
        assert weights.per_row(weights.read(path), ROWS) == {0: 0.0, 3: 0.5, 4: 0.5}


def test_rows_that_are_not_named_weigh_one(tmp_path: Path) -> None:
    assert weights.per_row({}, ROWS) == {0: 1.0, 3: 1.0, 4: 1.0}
    assert weights.per_row({}, []) == {}
    (tmp_path / "w.json").write_text("{}")
    with pytest.raises(InputError, match="holds no weight"):
        weights.read(tmp_path / "w.json")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("w.json", '{"a": -1}', "0 or more"),
        ("w.json", '{"a": NaN}', "0 or more"),
        ("w.json", "{", "not valid json"),
        ("w.json", "3", "neither"),
        ("w.json", "[[1]]", "entry 1"),
        ("w.csv", "row,weight\na,1\n", "entry 1: give row_id"),
        ("w.csv", "row_id,weight\na,1\na,2\n", "two weights"),
        ("w.parquet", "no", "not valid parquet"),
        ("w.txt", "", ".json, .jsonl, .csv or .parquet"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        weights.read(tmp_path / name)


def test_a_missing_file_and_an_unknown_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        weights.read(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"1 rows .* the first is z"):
        weights.per_row({"z": 1.0}, ROWS)
