"""What people answer, by kind of study, and what an answer must be to be kept (pure).

Sides are as shown: `first` is the answer that stood first on this person's screen; `as_stored` puts
them in the stored order. Positions are code points of the answer. The five outcomes (figure 6 of
the paper) speak of the answer that is stored first, whichever place it had on screen.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aftertune.errors import InputError
from aftertune.study.config import Kind

Side = Literal["first", "second", "tie"]
Outcome = Literal[
    "both_right_first_better",
    "both_right_other_content",
    "both_wrong",
    "first_invented",
    "first_wrong_core",
]
# {subject} and {other}: the numbers that the answer stored first and the other have on screen
OUTCOMES: dict[Outcome, str] = {
    "both_right_first_better": "Both are right, and answer {subject} is better",
    "both_right_other_content": "Both are right, with other content",
    "both_wrong": "Both are wrong",
    "first_invented": "Answer {subject} invents something as it goes on",
    "first_wrong_core": "Answer {subject} is wrong at its core",
}
LABELS: dict[str, str] = {"not_factual": "not factual", "not_useful": "not useful"}
MOST_SPANS, LONGEST_NOTE = 500, 10_000
_OTHER: dict[str, Side] = {"first": "second", "second": "first", "tie": "tie"}


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Pairs(_Answer):
    """Which of two answers is better, overall and by aspect."""

    overall: Side
    aspects: dict[str, Side] = {}


class Cause(_Answer):
    """Which row a span comes from. row_id: of kind `row` alone."""

    kind: Literal["row", "none", "unsure"]
    row_id: str | None = None

    @model_validator(mode="after")
    def _row_is_named(self) -> Self:
        if (self.kind == "row") != (self.row_id is not None):
            raise ValueError("a cause names its row exactly where it is one")
        return self


class Span(_Answer):
    """Characters [start, end) of the answer, which are `text`. cause: None where none was asked."""

    start: int = Field(ge=0)
    end: int
    text: str
    label: Literal["not_factual", "not_useful"]
    cause: Cause | None = None

    @model_validator(mode="after")
    def _holds_text(self) -> Self:
        if self.end <= self.start:
            raise ValueError("a span holds at least one character")
        return self


class Spans(_Answer):
    """What is wrong in an answer; nothing_wrong: it was read, and nothing is."""

    spans: list[Span] = Field([], max_length=MOST_SPANS)
    nothing_wrong: bool = False

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if bool(self.spans) == self.nothing_wrong:
            raise ValueError("mark spans, or say that nothing is wrong")
        return self


class Outcomes(_Answer):
    """One of the five classes of the paper's figure 6."""

    outcome: Outcome


class Aspects(_Answer):
    """1 (bad) to 5 (good), by aspect."""

    scores: dict[str, Annotated[int, Field(ge=1, le=5)]]


Answer = Pairs | Spans | Outcomes | Aspects
MODELS: dict[Kind, type[Pairs] | type[Spans] | type[Outcomes] | type[Aspects]] = {
    "pairs": Pairs,
    "spans": Spans,
    "outcomes": Outcomes,
    "aspects": Aspects,
}


class Rating(BaseModel):
    """What a page sends. It made `rating_id`, so that sending it again is harmless."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rating_id: str = Field(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    )
    item_id: str = Field(min_length=1, max_length=200)
    answer: dict[str, Any]
    note: str = Field("", max_length=LONGEST_NOTE)
    seconds: float = Field(0.0, ge=0, le=1e7, allow_inf_nan=False)


def checked(
    kind: Kind,
    answer: Mapping[str, Any],
    texts: Sequence[str],
    aspects: Collection[str] = (),
    asks_cause: bool = False,
) -> Answer:
    """The answer as its model, complete and true to `texts` (the item's answers).

    aspects: those that the study asks for, each of which must be answered. asks_cause: every span
    needs a cause. Whether a cause's row exists is the store's to say. Raises InputError.
    """
    try:
        found = MODELS[kind].model_validate(dict(answer))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            f"the answer cannot be kept{f' ({where})' if where else ''}: {said}."
        ) from None
    if isinstance(found, Pairs):
        _are_asked(found.aspects, aspects)
    elif isinstance(found, Aspects):
        _are_asked(found.scores, aspects)
    elif isinstance(found, Spans):
        for span in found.spans:
            if texts[0][span.start : span.end] != span.text:
                raise InputError(
                    f"the span {span.start} to {span.end} does not hold the text that was sent "
                    "with it; load the page again."
                )
            if asks_cause and span.cause is None:
                raise InputError("say of every span which row is its cause, none, or unsure.")
    return found


def as_stored(kind: Kind, answer: Mapping[str, Any], swapped: bool) -> dict[str, Any]:
    """The answer with its sides in the order in which the item's answers are stored.

    >>> as_stored("pairs", {"overall": "first", "aspects": {"depth": "tie"}}, True)
    {'overall': 'second', 'aspects': {'depth': 'tie'}}
    """
    if kind != "pairs" or not swapped:
        return dict(answer)
    aspects = {name: _OTHER[side] for name, side in answer.get("aspects", {}).items()}
    return {"overall": _OTHER[answer["overall"]], "aspects": aspects}


def _are_asked(given: Collection[str], asked: Collection[str]) -> None:
    if missing := [name for name in asked if name not in given]:
        raise InputError(f"{missing[0]} is not answered.")
    if unknown := [name for name in given if name not in asked]:
        raise InputError(f"{unknown[0]!r} is not an aspect of this study.")
