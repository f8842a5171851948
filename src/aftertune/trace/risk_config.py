"""What `risk` is asked."""

from typing import ClassVar, Literal

from pydantic import Field

from aftertune.config import Dtype, StageConfig


class RiskConfig(StageConfig):
    """Rank rows by what they may do to a base, before it is tuned on them.

    The base and the template enter the artefact's id by their content.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"base", "template", "device", "trust_remote_code"}
    )

    base: str
    template: str = "auto"  # as it will be tuned
    max_length: int = Field(1024, ge=2)  # tokens of a row that are read
    train_on: Literal["all", "last"] = "all"  # answers of a row
    dtype: Dtype = "auto"
    device: str = "auto"
    part_rows: int = Field(256, ge=1)  # rows of a part: what a kill can lose
    trust_remote_code: bool = False
