"""What `harness` is asked: which tasks, how, and what of a task's result is right."""

from typing import ClassVar

from pydantic import Field, field_validator

from aftertune.config import Dtype, StageConfig


class HarnessConfig(StageConfig):
    """Run tasks of lm-evaluation-harness on one model. A folder of tasks enters by its content."""

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"model", "base", "name", "include", "device", "trust_remote_code"}
    )

    model: str
    base: str | None = None  # of an adapter that names none
    name: str | None = None
    tasks: tuple[str, ...] = Field(min_length=1)
    include: str | None = None  # a folder of task files (YAML)
    fewshot: int | None = Field(None, ge=0)  # None: as each task says
    limit: int | None = Field(None, ge=1)  # the first N items of each task
    chat: bool = False  # prompts through the tokenizer's chat template
    batch_size: int = Field(8, ge=1)
    seed: int = Field(0, ge=0)  # of few-shot examples that are drawn
    dtype: Dtype = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    harness: str | None = None  # the version of lm-eval, decided when it runs

    @field_validator("tasks", mode="before")
    @classmethod
    def _are_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())


class HarnessPairsConfig(StageConfig):
    """What is made of two models' items; apart, so that another metric asks no model again."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"names"})

    metric: str | None = None  # None: acc, exact_match, or the first that is 0 or 1
    filter: str | None = None  # of tasks that read an answer in several ways
    margin: float = Field(0.05, gt=0, lt=1)  # a share of items that is small enough to be none
    seed: int = Field(0, ge=0)
    names: tuple[str, ...] = ()
