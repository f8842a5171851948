"""Tables of where the shift is, by hand."""

from typing import Any

from aftertune.report.places import tables


def estimate(value: float | None, low: float = 0.0, high: float = 0.0) -> dict[str, Any]:
    return {"estimate": value, "low": low, "high": high, "n": 9, "reason": "no values"}


def where(kind_kl: float, equal: float | None) -> dict[str, Any]:
    beginning = {
        "difference": estimate(0.4, 0.3, 0.5),
        "at_equal_entropy": {"difference": estimate(equal, 0.1, 0.3)},
    }
    name = {"kl": estimate(kind_kl, 0.05, 0.15), "share_of_tokens": estimate(0.25)}
    group = {"value": "math", "kl": {"per_token": estimate(0.2, 0.1, 0.3)}}
    return {
        "kinds": [{"kind": "name", **name}],
        "tags": {"task_types": [group]},
        "sentence_start": beginning,
        "response_start": beginning,
    }


def test_tables_by_hand() -> None:
    models = [
        {"name": "a", "where": where(0.1, 0.2)},
        {"name": "b", "where": where(0.1, None) | {"kinds": [], "tags": {}}},
        {"name": "old", "where": None},
    ]
    beginnings, kinds, tag = tables(models)
    assert beginnings["columns"] == ["what is compared", "a", "b"]
    assert beginnings["rows"][0][1] == "0.400 [0.300, 0.500]"
    assert beginnings["rows"][1][1:] == ["0.200 [0.100, 0.300]", "no values"]
    assert kinds["rows"] == [["name", "0.100 [0.050, 0.150], 25.0% of tokens", "–"]]
    assert tag["title"] == "Does it depend on task types?"
    assert tag["rows"] == [["math", "0.200 [0.100, 0.300]", "–"]]


def test_nothing_measured_is_no_table() -> None:
    assert tables([{"name": "a", "where": None}]) == []
    assert tables([]) == []
