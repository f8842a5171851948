"""What `shift` is asked."""

from typing import ClassVar

from pydantic import Field

from aftertune.config import Dtype, StageConfig


class ShiftConfig(StageConfig):
    """Measure how far the tuned model's next-token distributions lie from the base's.

    Both models and the base's template enter the artefact's id by their content, so where they
    were found is only recorded. A name stands beside the numbers and changes none, and one model
    at a time gives the same numbers as both together.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {
            "base",
            "tuned",
            "name",
            "tuned_base",
            "base_template",
            "one_at_a_time",
            "device",
            "device_map",
            "trust_remote_code",
        }
    )

    base: str
    tuned: str
    name: str | None = None  # of the tuned model in reports; else the last part of `tuned`
    dtype: Dtype = "auto"
    device: str = "auto"
    # spreads models too large for one device, as transformers' own device map does
    device_map: str | dict[str, int | str] | None = None
    # What adapters stand on that do not reach their own base, where that is not `base`.
    tuned_base: str | None = None
    # The base reads the prompts under this template; None: as the tuned model read them.
    base_template: str | None = None
    lin2024: bool = False  # the truncated values of Lin et al. too, in a table of their own
    one_at_a_time: bool = False  # each model passes alone, hidden states go to disk
    top_k: int = Field(5, ge=1, le=100)
    batch_tokens: int = Field(2048, ge=1)  # tokens of a batch, padding included
    part_tokens: int = Field(2000, ge=1)  # response tokens of a part: what a kill can lose
    rescore: bool = True  # in float32, where the shift is not well above its dtype's floor
    noise_responses: int = Field(8, ge=0)  # drawn for the noise floor; at most one in ten, but 2
    noise_tokens: int = Field(24, ge=1)  # of each of them, from its start
    noise_cached_tokens: int = Field(4, ge=1)  # as above, one by one with a cache: slow
    seed: int = Field(0, ge=0)
    trust_remote_code: bool = False
