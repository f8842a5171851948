"""What `shift` is asked."""

from typing import ClassVar

from pydantic import Field

from aftertune.config import Dtype, StageConfig


class ShiftConfig(StageConfig):
    """Measure how far the tuned model's next-token distributions lie from the base's.

    Both models enter the artefact's id by their content, so where they were found is only
    recorded. A name stands beside the numbers and changes none.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"base", "tuned", "name", "device", "trust_remote_code"}
    )

    base: str
    tuned: str
    name: str | None = None  # of the tuned model in reports; else the last part of `tuned`
    dtype: Dtype = "auto"
    device: str = "auto"
    top_k: int = Field(5, ge=1, le=100)
    batch_tokens: int = Field(2048, ge=1)  # tokens of a batch, padding included
    part_tokens: int = Field(2000, ge=1)  # response tokens of a part: what a kill can lose
    rescore: bool = True  # in float32, where the shift is not well above its dtype's floor
    noise_responses: int = Field(8, ge=0)  # drawn for the noise floor; at most one in ten, but 2
    noise_tokens: int = Field(24, ge=1)  # of each of them, from its start
    noise_cached_tokens: int = Field(4, ge=1)  # as above, one by one with a cache: slow
    seed: int = Field(0, ge=0)
    trust_remote_code: bool = False
