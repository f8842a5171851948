"""The pictures of the controls: drawn where the numbers say, no label upon another."""

import math
import re
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_blocks import (
    curve_picture,
    interval_row,
    intervals_picture,
    made_block,
    scatter_picture,
    spot,
)
from made_report import HOSTILE

from aftertune.report.blocks.shape import checked
from aftertune.report.control_charts import numbers_of, picture, reach
from aftertune.report.lettering import width_of
from aftertune.report.lines import axis
from aftertune.report.picture import NARROW, WIDE, Picture
from aftertune.report.shown import visible

THREE = [
    interval_row("template", -0.12, -0.2, -0.05),
    interval_row("style", 0.3, 0.2, 0.4),
    interval_row("content", reason="the rows are unknown"),
]


def drawn(given: dict[str, Any] | None, style: int | None = 0) -> Picture | None:
    block = checked(made_block(picture=given))
    return picture({**block, "key": "made/m", "style": style})


def elements(found: Picture, width: float) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(str(found.drawn(width, "wide"))).iter())


def boxes(found: Picture, width: float) -> list[tuple[str, float, float, float, float]]:
    """Every label with where it stands: left, right, top, bottom."""
    boxed = []
    for element in elements(found, width):
        words = element.text or ""
        if element.tag != "text" or not words:
            continue
        small = {"tick", "axis"} & set(element.get("class", "").split())
        wide = width_of(words, 12 if small else 13)
        x, y = float(element.get("x", "")), float(element.get("y", ""))
        left = x - {"end": wide, "middle": wide / 2}.get(element.get("text-anchor", ""), 0.0)
        boxed.append((words, left, left + wide, y - 9, y + 2))
    return boxed


def assert_legible(found: Picture) -> None:
    for width in (WIDE, NARROW):
        labels = boxes(found, width)
        for words, left, right, _, _ in labels:
            assert left >= -1, words
            assert right <= width + 1, words
        for a, b in combinations(labels, 2):
            apart = a[2] <= b[1] or b[2] <= a[1] or a[4] <= b[3] or b[4] <= a[3]
            assert apart, (a[0], b[0], width)


def test_intervals_lie_on_their_axis() -> None:
    found = drawn(intervals_picture(THREE, (0.0, "no part")))
    assert found is not None
    lines = [e for e in elements(found, NARROW) if e.get("class") == "range m0"]
    # -0.2 to 0.4 lies from 22 to 308: a nat is 286 / 0.6 px
    ends = [(float(e.get("x1", "")), float(e.get("x2", ""))) for e in lines[::3]]
    assert ends[0] == pytest.approx((22.0, 93.5), abs=0.1)
    assert ends[1] == pytest.approx((212.7, 308.0), abs=0.1)
    (against, *_) = [e for e in elements(found, NARROW) if e.get("class") == "floor"]
    assert float(against.get("x1", "")) == pytest.approx(22 + 286 / 3, abs=0.1)
    assert found.rows == [
        ["template", "-0.120 [-0.200, -0.050]"],
        ["style", "0.300 [0.200, 0.400]"],
        ["content", "the rows are unknown"],
    ]
    assert_legible(found)


def test_an_absent_row_shows_its_reason_and_no_mark() -> None:
    found = drawn(intervals_picture([THREE[2]], (0.1, "noise floor")))
    assert found is not None
    said = [words for words, *_ in boxes(found, WIDE)]
    assert said == ["content", "the rows are unknown"]
    assert not [e for e in elements(found, WIDE) if "mark" in e.get("class", "")]


def test_nothing_to_draw_is_no_picture() -> None:
    assert drawn(None) is None
    assert drawn(intervals_picture([])) is None
    assert drawn(curve_picture({}, [])) is None
    assert drawn(curve_picture({"a": []}, [1.0])) is None


@pytest.mark.parametrize(
    "rows",
    [
        [interval_row(f"text of model {k}", 0.01 * k, 0.008 * k, 0.013 * k) for k in range(30)],
        [interval_row("one", 0.5)],
        [interval_row("huge", 2.5e9, 1e9, 4e9), interval_row("small", 1e-9, 0.0, 2e-9)],
        [interval_row("nothing", 0.0, 0.0, 0.0)],
        [interval_row("word " * 40, 0.1, 0.05, 0.2), interval_row("x" * 200, 0.3, 0.2, 0.4)],
        [interval_row("", reason="because " * 60), interval_row("b", 1e15, -1e15, 2e15)],
        [interval_row(visible(HOSTILE), 0.1, 0.05, 0.2), interval_row("日本語" * 30, 0.1)],
    ],
    ids=["thirty", "single", "huge", "zero", "long", "reason", "hostile"],
)
def test_odd_rows_stay_legible(rows: list[dict[str, Any]]) -> None:
    found = drawn(intervals_picture(rows, (0.001, "noise floor of the same weights")))
    assert found is not None
    assert_legible(found)
    assert "nan" not in str(found.drawing)
    assert "<script" not in str(found.drawing)


labels = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80)
values = st.floats(-1e9, 1e9, allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(labels, values, st.floats(0, 1e6)), min_size=1, max_size=12))
def test_any_rows_stay_legible(rows: list[tuple[str, float, float]]) -> None:
    found = drawn(
        intervals_picture([interval_row(label, v, v - half, v + half) for label, v, half in rows])
    )
    assert found is not None
    assert_legible(found)


CURVE = {"full": [(1e-5, 0.05, 0.04, 0.06), (1e-3, 0.5, 0.4, 0.6)], "LoRA": [(1e-4, 0.1)]}


def test_a_curve_lies_on_logarithmic_steps() -> None:
    found = drawn(curve_picture(CURVE, [1e-5, 1e-4, 1e-3], log_x=True))
    assert found is not None
    (full, lora) = [e for e in elements(found, NARROW) if e.get("class", "").startswith("series")]
    at = [float(x) for x in re.findall(r"[ML]([\d.]+) ", full.get("d", "") + lora.get("d", ""))]
    assert at[2] == pytest.approx((at[0] + at[1]) / 2, abs=0.1)  # 1e-4 is half way
    down = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", full.get("d", ""))]
    # the axis goes from 0 to 0.6 over 206 px
    assert down[0] - down[1] == pytest.approx(206 * 0.45 / 0.6, abs=0.2)
    assert {"1e-5", "1e-4", "1e-3"} <= {words for words, *_ in boxes(found, WIDE)}
    assert found.rows[0] == ["full", "1e-5", "0.0500 [0.0400, 0.0600]"]
    assert found.rows[-1] == ["LoRA", "1e-4", "0.100"]
    assert_legible(found)


def test_names_stand_at_the_ends_of_wide_drawings_only() -> None:
    found = drawn(curve_picture(CURVE, [1e-5, 1e-4, 1e-3], log_x=True))
    assert found is not None
    assert found.named
    assert {"full", "LoRA"} <= {words for words, *_ in boxes(found, WIDE)}
    assert not {"full", "LoRA"} & {words for words, *_ in boxes(found, NARROW)}
    assert [name for name, _ in found.legend] == ["full", "LoRA"]


@pytest.mark.parametrize("n", [1, 6, 30])
def test_many_series_stay_legible(n: int) -> None:
    series = {f"series {k} of models that lie together": [(1, 0.1), (9, 0.1)] for k in range(n)}
    found = drawn(curve_picture(series, [1, 9]))
    assert found is not None
    assert_legible(found)


def test_a_logarithm_of_zero_is_replaced_by_equal_steps() -> None:
    across = axis([0.0, 1.0, 20.0], "tokens", log=True)
    assert across.title == "tokens (in equal steps)"
    assert [across.place(v) for v in (0.0, 1.0, 20.0)] == pytest.approx([1 / 6, 3 / 6, 5 / 6])
    logs = axis([1.0, 10.0, 100.0], "rows", log=True)
    assert logs.place(10.0) == pytest.approx(0.5)
    assert axis([1.0, 3.0, 5.0], "rows", log=False).place(3.0) == pytest.approx(0.5)
    assert axis([7.0], "rows", log=True).place(7.0) == 0.5


def test_a_point_without_estimate_is_left_out_of_the_line() -> None:
    given = curve_picture({"a": [(1, 0.1), (2, math.inf), (3, 0.3)]}, [1, 2, 3])
    given["series"][0]["points"][1]["estimate"] = None
    found = drawn(given)
    assert found is not None
    (line,) = [e for e in elements(found, WIDE) if e.get("class", "").startswith("series")]
    assert line.get("d", "").count("L") == 1
    assert numbers_of(given)[1][1] == ["a", "2", "–"]


@given(st.lists(values, min_size=1, max_size=9))
def test_the_axis_reaches_over_all_values(found: list[float]) -> None:
    marks = reach(found)
    room = 1e-6 * max(1.0, *map(abs, found))
    assert marks[0] <= min(found) + room
    assert marks[-1] >= max(found) - room
    assert marks == sorted(set(marks))


@pytest.mark.parametrize("n", [1, 3, 6])
def test_small_multiples_share_their_axis_and_stay_legible(n: int) -> None:
    rows = [interval_row("a", 3.0, 2.5, 3.5), interval_row("b", reason="no verdict")]
    panels = [{"title": HOSTILE if k == 1 else f"aspect {k}", "rows": rows} for k in range(n)]
    given = {"kind": "panels", "x_label": "score, 1 to 5", "names": ["a", "b"], "panels": panels}
    found = drawn(given)
    assert found is not None
    assert_legible(found)
    assert [name for name, _ in found.legend] == ["a", "b"]
    marks = [one for one in elements(found, WIDE) if "mark" in one.get("class", "").split()]
    assert len(marks) == n  # b has none anywhere, and says so
    columns, table = numbers_of(given)
    assert len(table) == 2 * n
    assert all(len(row) == len(columns) for row in table)
    assert "no verdict" in table[1]


def test_panels_without_any_value_are_no_picture() -> None:
    rows = [interval_row("a", reason="no verdict")]
    given = {
        "kind": "panels",
        "x_label": "",
        "names": ["a"],
        "panels": [{"title": "x", "rows": rows}],
    }
    assert drawn(given) is None


def test_spots_lie_between_their_axes_with_an_interval_along_each() -> None:
    found = drawn(scatter_picture([
        spot("full", (0.1, 0.0, 0.2), (0.5, 0.25, 1.0)), spot("LoRA", (0.0,), (0.0,)),
        spot("unread", (None,), (0.7,)),
    ]))  # fmt: skip
    assert found is not None
    lines = [e for e in elements(found, NARROW) if e.get("class") == "range m0"]
    assert len(lines) == 2
    # 0 to 0.2 across, between 46 + 8 and 330 - 14 - 8
    across, up = ({end: float(e.get(end, "")) for end in ("x1", "x2", "y1", "y2")} for e in lines)
    assert (across["x1"], across["x2"]) == pytest.approx((54.0, NARROW - 22.0), abs=0.1)
    assert across["y1"] == across["y2"]
    assert up["x1"] == up["x2"] == pytest.approx((54.0 + NARROW - 22.0) / 2, abs=0.1)
    # 0.25 to 1 of an axis from 0 to 1 over 206 px less 8 at either end
    assert up["y1"] - up["y2"] == pytest.approx(0.75 * 190, abs=0.2)
    assert (
        len([e for e in elements(found, WIDE) if e.get("class") == "mark m1"]) == 2
    )  # and its name
    assert found.rows == [
        ["full", "0.100 [0.000, 0.200]", "0.500 [0.250, 1.000]"], ["LoRA", "0", "0"],
        ["unread", "–", "0.700"],
    ]  # fmt: skip
    assert_legible(found)


def test_spots_without_a_place_are_no_picture() -> None:
    assert drawn(scatter_picture([])) is None
    assert drawn(scatter_picture([spot("a", (None,), (1.0,)), spot("b", (1.0,), (None,))])) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(labels, values, values, st.floats(0, 1e6)), min_size=1, max_size=9))
@example([("", 0.0, 1e7, 2.0**-14)])  # ends that no label tells apart
def test_any_spots_stay_legible(spots: list[tuple[str, float, float, float]]) -> None:
    found = drawn(scatter_picture([
        spot(name, (x, x - half, x + half), (y, y - half, y + half)) for name, x, y, half in spots
    ]))  # fmt: skip
    assert found is not None
    assert_legible(found)
