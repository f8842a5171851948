"""What proof by tuning again is asked, apart from the experiments, which load torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aftertune.config import Dtype, StageConfig
from aftertune.errors import InputError
from aftertune.experiments.findings import ControlConfig
from aftertune.trace.families import first_to_look_at

WAYS = ("mask", "swap", "rephrase")
Way = Literal["mask", "swap", "rephrase"]
Place = Annotated[int, Field(ge=0)]


class Accused(BaseModel):
    """A span, characters [start, end) of a response, and the rows (row_index) that it is accused of
    borrowing from, best first."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    response_id: str
    char_start: Place
    char_end: Place
    rows: tuple[Place, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_characters(self) -> Self:
        if self.char_end <= self.char_start:
            raise ValueError("char_end must lie behind char_start")
        if len(set(self.rows)) < len(self.rows):
            raise ValueError("rows name a row twice")
        return self


class _TuningsConfig(ControlConfig):
    """What mask, swap and crossed halves have in common."""

    recorded_only: ClassVar[frozenset[str]] = ControlConfig.recorded_only | {
        "tuned", "base", "device", "trust_remote_code",
    }  # fmt: skip

    tuned: str
    base: str | None = None  # where it is not where the tuning had it
    accused: tuple[Accused, ...] = Field(min_length=1)
    most_rows: int = Field(5, ge=1)  # of a span that are accused, the best
    dtype: Dtype = "float32"  # in which spans are scored
    device: str = "auto"
    trust_remote_code: bool = False

    def named(self) -> Self:
        """With a name: the last part of the model's, where none was given."""
        return self if self.name else self.resolve(name=Path(self.tuned).name)


class VerifyConfig(_TuningsConfig):
    """Proof on request: does the span go when its rows do?"""

    recorded_only: ClassVar[frozenset[str]] = _TuningsConfig.recorded_only | {
        "rephrasings", "endpoint",
    }  # fmt: skip

    way: Way = "swap"
    seeds: int = Field(3, ge=2)  # fresh shuffle seeds
    confirm: bool = False  # mask, with further seeds, what swap proposes
    share: float = Field(0.25, gt=0, le=0.5)  # of all rows that one masking run may lose
    rephrasings: Path | None = None  # JSON Lines: response_id or prompt, rephrasings, keeps
    endpoint: str | None = None  # OpenAI-compatible, where there is no file
    endpoint_model: str | None = None
    per_prompt: int = Field(3, ge=1)  # rephrasings that an endpoint is asked for

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.way == "mask" or self.confirm) and self.seeds < 3:
            raise ValueError("masking needs 3 shuffle seeds or more")
        if self.confirm and self.way != "swap":
            raise ValueError("only what swap proposes can be confirmed")
        if self.way == "rephrase" and (self.rephrasings is None) == (self.endpoint is None):
            raise ValueError("way rephrase needs a file of rephrasings or an endpoint")
        if (self.endpoint is None) != (self.endpoint_model is None):
            raise ValueError("endpoint and endpoint_model go together")
        return self


class CrossedConfig(_TuningsConfig):
    """Crossed halves: tunings on random halves of the rows."""

    n: int = Field(16, ge=8, le=128, multiple_of=2)  # tunings


class InfluenceConfig(_TuningsConfig):
    """What a small step that unlearns a row does to a span."""

    matched: int = Field(5, ge=1)  # rows that each row is compared with
    layers: int | None = Field(None, ge=1)  # parameters of the last blocks alone


class ProofConfig(StageConfig):
    """Which proofs are asked of a trace. Spans are taken in the order in which to look at them."""

    verify: Way | None = None
    confirm: bool = False
    crossed: int | None = Field(None, ge=16, le=64, multiple_of=2)  # tunings on random halves
    influence: bool = False
    tuned: str | None = None  # whose settings tunings repeat; else --tuned-rows, or who answered
    base: str | None = None  # where it is not where the tuning had it
    verify_spans: int = Field(20, ge=1)
    verify_rows: int = Field(5, ge=1)  # of a span that are accused, the best
    verify_seeds: int = Field(3, ge=2)
    rephrasings: Path | None = None
    endpoint: str | None = None
    endpoint_model: str | None = None
    seed: int = Field(0, ge=0)
    device: str = "auto"
    trust_remote_code: bool = False

    @property
    def asks(self) -> bool:
        """Whether any proof is asked for."""
        return self.verify is not None or self.crossed is not None or self.influence

    @property
    def tunes(self) -> bool:
        """Whether any of it needs the tuning: its rows, its base and its settings."""
        return self.verify in ("mask", "swap") or self.crossed is not None or self.influence

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.confirm and self.verify != "swap":
            raise ValueError("--confirm masks what swap proposed; add --verify swap")
        if (self.verify == "mask" or self.confirm) and self.verify_seeds < 3:
            raise ValueError("masking needs 3 shuffle seeds or more; raise --verify-seeds")
        if self.verify == "rephrase":
            if (self.rephrasings is None) == (self.endpoint is None):
                raise ValueError(
                    "--verify rephrase needs --rephrasings FILE, or --endpoint URL with "
                    "--endpoint-model NAME"
                )
        elif self.rephrasings or self.endpoint:
            raise ValueError("--rephrasings and --endpoint belong to --verify rephrase")
        if (self.endpoint is None) != (self.endpoint_model is None):
            raise ValueError("--endpoint and --endpoint-model go together")
        if not self.asks and (self.tuned or self.base):
            raise ValueError("--tuned and --base belong to --verify, --crossed or --influence")
        return self


def from_borrowings(borrowings: Sequence[Mapping[str, Any]]) -> list[Accused]:
    """Records of a table `borrowings` as one entry per span, in the order in which to look at them.

    Rows of controls are left out: nothing was tuned on them.
    """
    spans: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
    for one in borrowings:
        if one.get("control") is not None:
            continue
        key = (one["response_id"], one["char_start"], one["char_end"])
        spans.setdefault(key, []).append(one)
    for members in spans.values():
        members.sort(key=lambda one: one["rank"])
    order = sorted(spans, key=lambda key: first_to_look_at(spans[key][0]))
    return [
        Accused(
            response_id=key[0], char_start=key[1], char_end=key[2],
            rows=tuple(dict.fromkeys(one["row_index"] for one in spans[key])),
        )
        for key in order
    ]  # fmt: skip


def read_accused(path: Path) -> list[Accused]:
    """A JSON list of {response_id, char_start, char_end, rows}; InputError names the entry."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON; write a list of spans there.") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} holds no list of spans; write at least one.")
    found = []
    for number, entry in enumerate(entries, start=1):
        try:
            found.append(Accused.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the entry"
            raise InputError(
                f"{path}, entry {number}: {where}: {first['msg']}; give response_id, char_start, "
                "char_end and rows."
            ) from error
    return found
