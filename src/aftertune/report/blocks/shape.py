"""The shape of a block: what a control hands to the page, checked before it is drawn (pure)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from aftertune.errors import InternalError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Estimate(_Part):
    """As `stats.intervals` writes intervals; what else it writes is not drawn."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    estimate: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None


class Row(_Estimate):
    """One row of a picture of intervals; without an estimate, `reason` says why."""

    label: str
    reason: str | None = None


class ReferenceLine(_Part):
    """What the rows are to be seen against: a noise floor, 0, a margin."""

    at: FiniteFloat
    label: str


class Intervals(_Part):
    """A dot with its interval per row."""

    kind: Literal["intervals"]
    x_label: str
    rows: list[Row]
    line: ReferenceLine | None = None


class Point(_Estimate):
    """One place of a series; without an estimate it is left out of the line."""

    x: FiniteFloat


class Series(_Part):
    name: str
    points: list[Point]


class Curve(_Part):
    """Named lines with their intervals; `x_values` are the values that are labelled."""

    kind: Literal["curve"]
    x_label: str
    y_label: str
    x_values: list[FiniteFloat]
    log_x: bool
    series: list[Series]


class Panel(_Part):
    """One small picture: a row per name of the whole, in that order."""

    title: str
    rows: list[Row]


class Panels(_Part):
    """Small multiples over one axis: what `names` share stands in each of them."""

    kind: Literal["panels"]
    x_label: str
    x_values: list[FiniteFloat] | None = None  # the axis; None: what the values reach
    names: list[str]
    panels: list[Panel]


class Spot(_Part):
    """One name between two axes, with an interval along each of them."""

    name: str
    x: _Estimate
    y: _Estimate


class Scatter(_Part):
    """Names between two axes; one that lacks a value is not drawn."""

    kind: Literal["scatter"]
    x_label: str
    y_label: str
    spots: list[Spot]


class Table(_Part):
    columns: list[str]
    rows: list[list[str]]


class Block(_Part):
    """One control of one model: its question, what was found, a picture, a table, cautions.

    It holds no text of rows, prompts or answers: a redacted page shows it whole.
    """

    control: str
    model: str
    question: str
    sentences: list[str]
    picture: Annotated[Intervals | Curve | Panels | Scatter, Field(discriminator="kind")] | None
    table: Table | None
    cautions: list[str]


def checked(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block with every field that may be left out; InternalError where it has another shape."""
    try:
        return Block.model_validate(block).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InternalError(f"a control's block is wrong at {place}: {first['msg']}") from error
