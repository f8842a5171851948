"""What `trace` is asked."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from aftertune.config import StageConfig


class TraceConfig(StageConfig):
    """Find which rows answers borrowed from.

    Answers, rows, shift and controls enter the artefact's id by their content. Every kind of
    candidate can be switched off, and is then neither looked for nor shown.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str | None = None  # of the tuned model in reports; else the answers' own
    span: str | None = Field(None, min_length=1)  # ask about this phrase, wherever it stands
    top: int = Field(5, ge=1, le=50)  # rows written for a span
    max_spans: int = Field(12, ge=1)  # of an answer
    words: bool = True  # rare words that answer and row share
    exact: bool = True  # the same run of words or characters
    pieces: bool = True  # word pieces and fuzzy matches
    bm25: bool = True
    embeddings: bool = True
    surprisal: bool = True  # how much the answer surprises a model that has not seen the rows
    influence_base: bool = False  # rank by the influence that rows have on spans in the base
    # rank by what rows add to spans over so many tunings on halves of them
    influence_halves: int | None = Field(None, ge=8, le=64, multiple_of=2)
    q: float = Field(0.10, gt=0, lt=1)  # false discovery rate at which a span counts as found
    permuted: bool = False  # a control of the rows' own answers behind other prompts
    part_responses: int = Field(64, ge=1)  # responses of a part: what a kill can lose
    seed: int = Field(0, ge=0)  # of permuted rows, halves, the classifier's folds, the bootstrap

    @model_validator(mode="after")
    def _one_influence(self) -> Self:
        if self.influence_base and self.influence_halves:
            raise ValueError("influence_base and influence_halves fill one column; give one")
        return self

    @property
    def influence(self) -> bool:
        """Whether a model or tunings rank the rows, too."""
        return self.influence_base or self.influence_halves is not None
