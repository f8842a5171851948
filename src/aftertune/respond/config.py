"""What `respond` is asked: to answer prompts with a model, or to take answers that exist."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from aftertune.config import Dtype, StageConfig
from aftertune.data.config import Format


class RespondConfig(StageConfig):
    """Answer prompts with a model. Greedy unless a temperature is given.

    The model, the template and the prefixes enter the artefact's id by their content, so where
    they were found is only recorded.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"model", "base", "template", "prefix", "device", "device_map", "trust_remote_code"}
    )

    model: str
    base: str | None = None  # what an adapter stands on, where the adapter does not say
    name: str | None = None  # in the column `model`; else the last part of the model's name
    template: str = "auto"
    max_new_tokens: int = Field(256, ge=1)
    temperature: float | None = Field(None, gt=0)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)
    n: int = Field(1, ge=1)  # answers to each prompt
    seed: int = Field(0, ge=0)
    batch_size: int = Field(16, ge=1)
    dtype: Dtype = "auto"
    device: str = "auto"
    device_map: str | dict[str, int | str] | None = None  # spreads a model too large for one device
    prefix: str | None = None  # JSONL or Parquet: prompt_id, prefix_token_ids
    limit: int | None = Field(None, ge=1)  # the first N prompts
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _sampling_is_asked_for(self) -> Self:
        if self.temperature is None:
            for option in ("top_p", "top_k"):
                if getattr(self, option) is not None:
                    raise ValueError(f"{option} needs a temperature, greedy decoding ignores it")
            if self.n > 1:
                raise ValueError("several answers need a temperature, greedy ones are all alike")
        return self


class GivenConfig(StageConfig):
    """Take answers that exist.

    `model` is whose tokenizer reads or makes the token ids; without one the answers keep no ids.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"source", "model", "base", "template", "trust_remote_code"}
    )

    source: str  # JSON or JSONL, a folder of such files, or a hub id
    name: str | None = None  # in the column `model`; else the file's name
    model: str | None = None
    base: str | None = None
    template: str = "auto"
    format: Format = "auto"  # how prompts are spelt
    limit: int | None = Field(None, ge=1)  # the first N records
    trust_remote_code: bool = False
