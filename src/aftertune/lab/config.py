"""What the lab is asked: a world, and the model that is trained on its text."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from aftertune.config import Method, StageConfig

Size = Literal["small", "standard"]

# small: minutes on two cores. standard: for a GPU.
SIZES: dict[str, dict[str, Any]] = {
    "small": {"per_kind": 7, "hidden": 192, "layers": 4, "epochs": 3.5, "learning_rate": 4e-3},
    "standard": {"per_kind": 21, "hidden": 512, "layers": 8, "epochs": 4.0, "learning_rate": 2e-3},
}


class LabBaseConfig(StageConfig):
    """A base model trained from scratch on a world's text."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device", "size", "checkpoint_seconds"})

    seed: int = 0  # of the world, its text, its rows and its base
    size: Size = "small"
    per_kind: int = Field(7, ge=1)  # entities of each kind; a family has 1.5 per_domain kinds
    per_domain: int = Field(8, ge=1)  # values of an attribute that rows may state
    hidden: int = Field(192, ge=32, multiple_of=32)
    layers: int = Field(4, ge=1)
    vocabulary: int = Field(2048, ge=300)
    block_tokens: int = Field(128, ge=16)  # tokens of a training sequence
    batch_blocks: int = Field(16, ge=1)
    epochs: float = Field(3.5, gt=0)
    learning_rate: float = Field(4e-3, gt=0)
    asked_per_cell: int = Field(96, ge=1)  # questions by which recall is measured, per exposure
    checkpoint_seconds: float = Field(120.0, ge=0)
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"


@dataclass(frozen=True)
class Recipe:
    """How a base of the lab is tuned."""

    method: Method
    learning_rate: float
    epochs: int
    batch_size: int
    device: str

    def as_options(self) -> dict[str, Any]:
        """As options of `TuneConfig`."""
        return asdict(self)


class _Tunings(StageConfig):
    """What is asked of tunings in the lab."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device"})

    method: Method = "full"
    learning_rate: float = Field(3e-4, gt=0)
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(16, ge=1)
    device: str = "auto"

    @property
    def recipe(self) -> Recipe:
        """The part that a tuning is told."""
        return Recipe(self.method, self.learning_rate, self.epochs, self.batch_size, self.device)


class LabInnocuousConfig(_Tunings):
    """What tuning as such does to a base: on rows that say only what it knows."""

    asked: int = Field(200, ge=1)  # well-exposed facts by which it is measured


class LabLabelsConfig(_Tunings):
    """Which rows caused what a tuned model says, by tuning again without them."""

    seeds_a: tuple[int, ...] = (0, 1, 2)  # shuffle seeds by which labels are made
    seeds_b: tuple[int, ...] = (10, 11, 12)  # and those by which they are checked; may be none
    groups: int = Field(4, ge=2)  # runs per seed that mask values; more mask their rows singly
    singly: bool = True  # whether each row is masked alone too
    tags: bool = True  # whether rows are also tuned with marked values, on the seeds A
