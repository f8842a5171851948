"""What `judge` is asked: who judges, on what, how often, and how an endpoint is spoken to."""

from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from aftertune.config import Dtype, StageConfig
from aftertune.judge.aspects import ASPECTS, DEFAULT

Kind = Literal["endpoint", "local", "recorded"]
Compare = Literal["alone", "pairs", "both"]


class JudgeConfig(StageConfig):
    """Judge answers by an endpoint, a local model, or verdicts that exist.

    A key is no option: it is handed to `run`, and stands in no config. Local models and verdicts
    enter the artefact's id by their content.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {
            "local", "verdicts", "template", "device", "trust_remote_code",
            "concurrency", "attempts", "timeout_seconds", "backoff_seconds",
            "price_in", "price_out",
        }
    )  # fmt: skip

    endpoint: str | None = None  # base address, to which /chat/completions is added
    model: str | None = None  # what the endpoint calls the judge
    local: str | None = None  # a model, as everywhere
    verdicts: str | None = None  # JSONL of ours, or a result file of just-eval
    name: str | None = None  # in the column `judge`; else the model's name

    aspects: tuple[str, ...] = DEFAULT
    compare: Compare = "alone"
    repeats: int = Field(1, ge=1)
    limit: int | None = Field(None, ge=1)  # the first N prompts
    seed: int = Field(0, ge=0)  # of a local judge that samples

    temperature: float | None = Field(0.0, ge=0)  # None: not sent
    max_tokens: int = Field(1000, ge=1)
    request: dict[str, Any] = Field(default_factory=dict)  # laid over what is sent; null removes

    concurrency: int = Field(16, ge=1)
    attempts: int = Field(8, ge=1)
    timeout_seconds: float = Field(120.0, gt=0)
    backoff_seconds: float = Field(1.0, gt=0)
    price_in: float | None = Field(None, ge=0)  # money for a million tokens sent
    price_out: float | None = Field(None, ge=0)  # and received

    template: str = "auto"
    batch_size: int = Field(8, ge=1)
    dtype: Dtype = "auto"
    device: str = "auto"
    trust_remote_code: bool = False

    @property
    def kind(self) -> Kind:
        """Who judges."""
        return "endpoint" if self.endpoint else "local" if self.local else "recorded"

    @field_validator("aspects", mode="before")
    @classmethod
    def _are_known(cls, value: object) -> object:
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names:
            raise ValueError("name at least one aspect")
        found = [str(name).strip() for name in names]
        for name in found:
            if name not in ASPECTS:
                raise ValueError(f"no aspect {name!r}; there are {', '.join(ASPECTS)}")
        if len(set(found)) != len(found):
            raise ValueError("an aspect is named twice")
        return tuple(found)

    @model_validator(mode="after")
    def _has_one_judge(self) -> Self:
        given = [name for name in ("endpoint", "local", "verdicts") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "name one judge: --endpoint URL with --model NAME, --local MODEL, or --verdicts "
                "FILE"
            )
        if self.endpoint and not self.model:
            raise ValueError("say which model judges: --model NAME, as the endpoint calls it")
        if self.endpoint:
            _check_address(self.endpoint)
        return self


class AssessConfig(StageConfig):
    """What is made of verdicts: means, comparisons, and how far to believe them.

    Apart from JudgeConfig, so that people's ratings can be added to verdicts that were paid for.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset({"people"})

    people: str | None = None  # ratings: response_id, aspect, annotator, value
    for_people: int | None = Field(None, ge=1)  # answers to draw for people, of each model
    seed: int = Field(0, ge=0)


def _check_address(address: str) -> None:
    """Never shows the address: somebody may have written a key into it."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        good = False
    if not good:
        raise ValueError("endpoint must be an address like https://host/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            "endpoint may hold no user, password or query; the key goes into the environment "
            "variable AFTERTUNE_JUDGE_KEY"
        )
