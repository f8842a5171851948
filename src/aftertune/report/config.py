"""What a reader may choose about the page."""

from typing import ClassVar

from pydantic import Field

from aftertune.config import StageConfig


class ReportConfig(StageConfig):
    """`redact` leaves every text of rows, prompts and answers out of the page and its data."""

    recorded_only: ClassVar[frozenset[str]] = frozenset()

    title: str = Field("What tuning changed", min_length=1, max_length=200)
    redact: bool = False
    # prompts whose answers are on the page, spread evenly over all of them
    max_answers: int = Field(100, ge=0)
    # fewer are shown where their answers would make the page larger than this
    max_answer_bytes: int = Field(2_500_000, ge=0)
    n_frequent: int = Field(25, ge=1)  # most frequent tokens listed, per model and category
    seed: int = 0  # of the bootstrap
