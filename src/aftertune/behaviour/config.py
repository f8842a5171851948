"""What `behaviour` is asked: which answers, which rows, which prompts may be refused."""

from typing import ClassVar

from pydantic import Field

from aftertune.config import StageConfig


class BehaviourConfig(StageConfig):
    """Look at answers with written rules. Lists, own checks and the tokenizer enter the artefact's
    id by their content.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"harmless", "deserve", "checks", "tokenizer"}
    )

    harmless: str | None = None  # prompts not to be refused: a file, or TAG=VALUE
    deserve: str | None = None  # prompts that deserve a refusal: a file, or TAG=VALUE
    checks: dict[str, str] = Field(default_factory=dict)  # name -> regex, or FILE.py:function
    tokenizer: str | None = None  # counts the tokens of answers and rows, alike for all
    verbatim_words: int = Field(20, ge=5)  # words in a row that make a verbatim run
    limit: int | None = Field(None, ge=1)  # the first N answers of each model


class CompareConfig(StageConfig):
    """How models are compared."""

    base: str | None = None  # the name of the base's answers; else the first
    seed: int = Field(0, ge=0)  # of the bootstrap
