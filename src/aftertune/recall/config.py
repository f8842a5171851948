"""What `recall` is asked: how facts are posed to a model, and what is made of the answers."""

from typing import ClassVar

from pydantic import Field

from aftertune.config import Dtype, StageConfig


class FactsConfig(StageConfig):
    """Which facts of a source are asked. The content of the source enters ids by its hash."""

    source: str
    limit: int | None = Field(None, ge=1)  # so many, drawn with the seed
    seed: int = Field(0, ge=0)


class RecallConfig(StageConfig):
    """Ask one model for facts.

    Few-shot examples are drawn `2 * draws` times. The first half classifies facts, and is asked of
    the base alone (`classify`); the second half compares models. The base is asked both halves, so
    that its own change from half to half is known.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device", "trust_remote_code"})

    model: str
    base: str | None = None  # of an adapter
    name: str | None = None
    classify: bool = False
    shots: int = Field(4, ge=0)  # examples in a prompt, from other facts
    draws: int = Field(5, ge=1)  # prompts of each half
    samples: int = Field(4, ge=1)  # sampled answers to a prompt, where no greedy one is right
    temperature: float = Field(0.5, gt=0)  # of these
    max_new_tokens: int = Field(16, ge=1)
    max_answer_words: int = Field(8, ge=1)  # longer answers are chosen, not said
    template: str | None = None  # None: the plain text of the examples, alike for all models
    batch_size: int = Field(32, ge=1)  # facts of a part, and prompts answered together
    seed: int = Field(0, ge=0)  # of the examples and samples
    dtype: Dtype = "auto"
    device: str = "auto"
    trust_remote_code: bool = False


class CompareConfig(StageConfig):
    """What is made of the answers of base and tuned models."""

    margin: float = Field(0.05, gt=0, lt=1)  # share of facts: less is called nothing
    seed: int = Field(0, ge=0)  # of the bootstrap
