"""What a study asks of people, of whom, and how often; and what is made of their ratings."""

from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from aftertune.config import StageConfig

Kind = Literal["pairs", "spans", "outcomes", "aspects"]
# the five dimensions that the paper's judge and its preference study look at
ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
OVERALL = "overall"


class StudyConfig(StageConfig):
    """A study: its kind of question, its people, and how items are dealt out.

    The paper's own: 4 annotators, 800 items, a pilot of 50, two batches each, two authors who
    looked again.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset({"guidelines", "feedback"})

    kind: Kind
    aspects: tuple[str, ...] = ASPECTS  # of pairs and aspects
    annotators: tuple[str, ...] = ("annotator 1", "annotator 2")  # names, or how many
    organisers: tuple[str, ...] = ("organiser",)
    adjudicators: tuple[str, ...] = ()  # who look again where annotators differ
    overlap: int = Field(2, ge=1)  # annotators of each item
    batch_size: int = Field(50, ge=1)
    pilot: int = Field(10, ge=0)  # items that everybody rates first
    repeats: int = Field(5, ge=0)  # items that each annotator gets a second time
    sample: int | None = Field(None, ge=1)  # prompts, drawn at random
    seed: int = Field(0, ge=0)
    guidelines: str | None = None  # a file of one's own
    feedback: str | None = None  # what the pilot's items should have been called, and why

    @field_validator("annotators", "organisers", "adjudicators", mode="before")
    @classmethod
    def _are_people(cls, value: object, info: object) -> object:
        name = str(getattr(info, "field_name", "annotators")).removesuffix("s")
        if isinstance(value, bool):
            raise ValueError("give names with commas between, or how many")
        if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()):
            n = int(value)
            return tuple(f"{name} {k}" if n > 1 else name for k in range(1, n + 1))
        return _names(value)

    @field_validator("aspects", mode="before")
    @classmethod
    def _are_words(cls, value: object) -> object:
        return _names(value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        people = [*self.annotators, *self.organisers, *self.adjudicators]
        if not self.annotators:
            raise ValueError("a study needs at least one annotator")
        if not self.organisers:
            raise ValueError("a study needs an organiser, who sees its progress")
        if len(set(people)) != len(people):
            raise ValueError("two people have one name; give each their own")
        if self.overlap > len(self.annotators):
            raise ValueError(
                f"an item cannot have {self.overlap} annotators of {len(self.annotators)}; lower "
                "--overlap or name more annotators"
            )
        if not self.aspects:
            raise ValueError("name at least one aspect")
        if OVERALL in self.aspects:
            raise ValueError("`overall` is always asked of pairs; leave it out of the aspects")
        return self


class AnalyzeConfig(StageConfig):
    """What is made of ratings. Files enter the artefact's id by their content."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"study", "ratings", "judge", "trace"})

    study: str | None = None  # a folder of `study create`
    ratings: str | None = None  # a table that did not come from it: item, rater, value
    judge: str | None = None  # a judge-… artefact
    trace: str | None = None  # a trace-… artefact
    aspect: str | None = None  # of ratings in a file: what they are called
    seed: int = Field(0, ge=0)
    draws: int = Field(2000, ge=100)
    level: float = Field(0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.study is None) == (self.ratings is None):
            raise ValueError("name a study's folder, or --ratings FILE")
        return self


def _names(value: object) -> object:
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list | tuple):
        return value
    names = tuple(" ".join(str(one).split()) for one in found)
    names = tuple(one for one in names if one)
    if len(set(names)) != len(names):
        raise ValueError("a name is given twice")
    return names
