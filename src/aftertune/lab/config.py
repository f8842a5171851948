"""What the lab is asked: a world, and the model that is trained on its text."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from aftertune.config import StageConfig

Size = Literal["small", "standard"]

# small: minutes on two cores. standard: for a GPU.
SIZES: dict[str, dict[str, Any]] = {
    "small": {"per_family": 64, "hidden": 256, "layers": 6, "epochs": 4.0},
    "standard": {"per_family": 160, "hidden": 512, "layers": 8, "epochs": 4.0},
}


class LabBaseConfig(StageConfig):
    """A base model trained from scratch on a world's text."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device", "size", "checkpoint_seconds"})

    seed: int = 0  # of the world, its text, its rows and its base
    size: Size = "small"
    per_family: int = Field(64, ge=1)  # entities of each family
    per_domain: int = Field(8, ge=2)  # values of each kind
    hidden: int = Field(256, ge=32, multiple_of=32)
    layers: int = Field(6, ge=1)
    vocabulary: int = Field(2048, ge=300)
    block_tokens: int = Field(128, ge=16)  # tokens of a training sequence
    batch_blocks: int = Field(16, ge=1)
    epochs: float = Field(4.0, gt=0)
    learning_rate: float = Field(2e-3, gt=0)
    asked_per_cell: int = Field(96, ge=1)  # questions by which recall is measured, per exposure
    checkpoint_seconds: float = Field(120.0, ge=0)
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"


class LabLabelsConfig(StageConfig):
    """Which rows caused what a tuned model says, by tuning again without them."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device"})

    method: Literal["full", "lora"] = "full"
    learning_rate: float = Field(3e-4, gt=0)
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(16, ge=1)
    seeds_a: tuple[int, ...] = (0, 1, 2)  # shuffle seeds by which labels are made
    seeds_b: tuple[int, ...] = (10, 11, 12)  # and those by which they are checked
    groups: int = Field(4, ge=2)  # masking runs per seed
    max_new_tokens: int = Field(48, ge=1)
    device: str = "auto"
