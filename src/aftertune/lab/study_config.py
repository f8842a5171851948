"""What `lab study` is asked: the worlds, the curves that choose rates, and the cells it judges."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aftertune.config import Method, StageConfig
from aftertune.lab.config import LabBaseConfig, Size
from aftertune.tune.config import Positive, Rate

# closed: one fact each. filtered: of these, what the base knows. long, simplified: lists and their
# twins with the first item alone.
RowSet = Literal["closed", "filtered", "long", "simplified"]


class Cell(BaseModel):
    """One tuning of every world, at its method's chosen rate and the judged shuffle seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    method: Method
    rows: RowSet = "closed"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the rows
    lora_rank: Positive | None = None  # else the study's
    neftune_alpha: Rate | None = None


CELLS = (
    Cell(name="full", method="full"),
    Cell(name="lora", method="lora"),
    Cell(name="full-half", method="full", share=0.5),
    Cell(name="lora-half", method="lora", share=0.5),
    Cell(name="lora-rank-2", method="lora", lora_rank=2),
    Cell(name="full-long", method="full", rows="long"),
    Cell(name="full-simplified", method="full", rows="simplified"),
    Cell(name="full-filtered", method="full", rows="filtered"),
    # alpha 5, the smallest of Jain et al., "NEFTune", arXiv 2310.05914
    Cell(name="full-neftune", method="full", neftune_alpha=5.0),
)


class LabStudyConfig(StageConfig):
    """The paper's claims over several made worlds.

    Worlds and claims enter the artefact's id by their content: the bases and the claims are inputs.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device", "seeds", "size", "claims"})

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)  # of the worlds
    size: Size = "small"
    claims: Path | None = None  # else those of the package
    rates_full: tuple[Rate, ...] = (1e-4, 3e-4, 1e-3, 3e-3)
    rates_lora: tuple[Rate, ...] = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    lora_rank: Positive = 8  # alpha is twice the rank, whatever the rank
    choosing_seed: int = 100  # shuffle seed of the curves, by which rates are chosen
    judged_seed: int = 0  # shuffle seed of the cells
    cells: tuple[Cell, ...] = CELLS
    epochs: Positive = 3
    batch_size: Positive = 16
    reserved: Annotated[float, Field(gt=0, lt=1)] = 0.1  # of the entities in rows: never tuned on
    max_new_tokens: Positive = 128
    device: str = "auto"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds names each world once, and one at least")
        for name in ("rates_full", "rates_lora"):
            rates = getattr(self, name)
            if not rates or len(set(rates)) < len(rates):
                raise ValueError(f"{name} names each rate once, and one at least")
        names = [cell.name for cell in self.cells]
        if not names or len(set(names)) < len(names):
            raise ValueError("cells need names of their own, and one cell at least")
        if self.choosing_seed == self.judged_seed:
            raise ValueError("choosing_seed and judged_seed must differ, or rates are judged "
                             "on what chose them")  # fmt: skip
        return self

    def rates(self, method: Method) -> list[float]:
        """The rates of a method from low to high."""
        return sorted(self.rates_full if method == "full" else self.rates_lora)


def base_configs(config: LabStudyConfig) -> list[LabBaseConfig]:
    """The bases of a study's worlds."""
    shared = {"size": config.size, "device": config.device}
    return [LabBaseConfig.model_validate({"seed": seed, **shared}) for seed in config.seeds]
