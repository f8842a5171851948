"""Words cut, wrapped and moved apart so that labels do not touch."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.report import control_charts, controls, facts, lettering
from aftertune.report.lettering import apart, shortened, width_of, wrapped


@pytest.mark.parametrize("module", [lettering, facts, control_charts, controls],
                         ids=lambda m: m.__name__)  # fmt: skip
def test_examples_in_docstrings(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


def test_widths_by_hand() -> None:
    assert width_of("") == 0.0
    assert width_of("ab", 10) == pytest.approx(12.6)
    assert width_of("日本", 10) == pytest.approx(21.0)
    assert width_of("e\u0301") == width_of("e")  # an accent takes no room of its own
    assert width_of("MMM") > width_of("iii")


@given(st.text(max_size=60), st.floats(20, 300))
def test_what_is_shortened_fits_and_is_the_beginning(text: str, width: float) -> None:
    found = shortened(text, width)
    assert width_of(found) <= width
    assert found == text or text.startswith(found[:-1].rstrip())


@given(st.text(max_size=120), st.floats(30, 300), st.integers(1, 4))
def test_wrapped_lines_fit_and_keep_the_order(text: str, width: float, n: int) -> None:
    lines = wrapped(text, width, n)
    assert 1 <= len(lines) <= n
    assert all(width_of(line) <= width for line in lines)
    if not any(line.endswith("…") for line in lines):
        assert " ".join(lines).split() == text.split()


@given(st.lists(st.floats(-50, 500), max_size=20), st.floats(1, 15))
def test_places_are_apart_within_bounds_and_in_order(wanted: list[float], gap: float) -> None:
    found = apart(wanted, gap, 0.0, 300.0)
    ordered = [place for _, place in sorted(zip(wanted, found, strict=True))]
    assert all(b - a >= gap - 1e-6 for a, b in zip(sorted(found), sorted(found)[1:], strict=False))
    assert all(-1e-6 <= place <= 300.0 + 1e-6 for place in found)
    assert ordered == sorted(ordered)


def test_what_is_apart_already_stays() -> None:
    assert apart([10.0, 200.0, 100.0], 15.0, 0.0, 300.0) == [10.0, 200.0, 100.0]
    assert apart([], 15.0, 0.0, 300.0) == []
