"""What `trace` is asked."""

from typing import ClassVar

from pydantic import Field

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
    influence_base: bool = False  # rank by the influence that rows have on spans in the base
    q: float = Field(0.10, gt=0, lt=1)  # false discovery rate at which a span counts as found
    permuted: bool = False  # a control of the rows' own answers behind other prompts
    part_responses: int = Field(256, ge=1)  # responses of a part: what a kill can lose
    seed: int = Field(0, ge=0)  # of the permuted rows, the classifier's folds and the bootstrap
