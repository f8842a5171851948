"""What a sweep is asked, and which tunings that makes (no torch: the plan is shown without it).

A sweep tunes one base by methods x learning rates x sizes x seeds. A seed decides everything drawn
at random in a tuning: which rows, their order, and the adapter's first weights. Within a seed a
smaller set of rows lies in a larger one, and every method and rate sees the same rows in the same
order, so that runs of one seed are compared in pairs.
"""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from aftertune.artefact import MANIFEST, open_artefact
from aftertune.config import Dtype, Method, StageConfig
from aftertune.errors import ConfigError, InputError
from aftertune.models.reference import resolve
from aftertune.report.numbers import rate
from aftertune.tune.config import Positive, Rate

# Options of a tuning that are passed on as they were given.
_TUNE_OPTIONS = (
    "preset", "epochs", "batch_size", "micro_batch_tokens", "max_length", "schedule",
    "warmup_ratio", "lora_rank", "lora_alpha", "template",
)  # fmt: skip


class SweepConfig(StageConfig):
    """Tune with several methods, rates, sizes and seeds; ask all of them the same prompts.

    Base, rows, prompts and template enter the artefact's id through the shifts that it rests on.
    """

    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"base", "data", "prompts", "template", "device", "trust_remote_code"}
    )

    base: str
    data: str
    prompts: str
    limit: Positive | None = None  # the first N prompts
    methods: list[Method] = Field(["full", "lora"])
    learning_rates: list[Rate] | None = None  # of every method
    learning_rates_full: list[Rate] | None = None  # in place of learning_rates
    learning_rates_lora: list[Rate] | None = None
    sizes: list[Positive] | None = None  # rows; without: all of them
    seeds: Positive = 5  # 0, 1, ...: what is judged
    pilot_seeds: Positive = 2  # the next ones: what the default margin is taken from
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # nats per token
    steps: Positive | None = None  # as many optimiser steps at every size

    # of each tuning, as in TuneConfig; what is absent has the default there
    preset: Literal["paper", "alpaca"] | None = None
    epochs: Positive | None = None
    batch_size: Positive | None = None  # rows per optimiser step
    micro_batch_tokens: Positive | None = None
    max_length: Positive | None = None
    schedule: Literal["cosine", "linear", "constant"] | None = None
    warmup_ratio: float | None = None
    lora_rank: Positive | None = None
    lora_alpha: Positive | None = None
    template: str | None = None

    # of the answers and of the scoring
    max_new_tokens: Positive = 256
    dtype: Dtype = "auto"
    device: str = "auto"
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError("methods names each of full and lora at most once, and one at least")
        for method in self.methods:
            rates = self.rates(method)
            if not rates:
                raise ValueError(
                    f"no learning rate is given for {method}; add --learning-rates or "
                    f"--learning-rates-{method}"
                )
            if len(set(rates)) < len(rates):
                raise ValueError(f"a learning rate of {method} is given twice")
        for method in ("full", "lora"):
            if method not in self.methods and getattr(self, f"learning_rates_{method}"):
                raise ValueError(f"learning_rates_{method} is given, but methods leaves it out")
        if self.sizes is not None and (not self.sizes or len(set(self.sizes)) < len(self.sizes)):
            raise ValueError("sizes names each number of rows once")
        if self.steps and self.epochs:
            raise ValueError("steps says how long to tune, so leave epochs out")
        return self

    def rates(self, method: Method) -> list[float]:
        """The learning rates of one method, in the order given."""
        own = self.learning_rates_full if method == "full" else self.learning_rates_lora
        return own or self.learning_rates or []


class Run(NamedTuple):
    """One tuning of a sweep; size None means all rows."""

    method: Method
    learning_rate: float
    size: int | None
    seed: int

    @property
    def name(self) -> str:
        """What progress and the column `model` call it: full-5e-5-160-rows-seed-0."""
        rows = "all" if self.size is None else str(self.size)
        return f"{self.method}-{rate(self.learning_rate)}-{rows}-rows-seed-{self.seed}"


def sizes(config: SweepConfig) -> list[int | None]:
    """From the smallest; [None] where all rows are taken."""
    return [None] if config.sizes is None else list[int | None](sorted(config.sizes))


def judged_seeds(config: SweepConfig) -> list[int]:
    """The seeds that findings speak of."""
    return list(range(config.seeds))


def judged(config: SweepConfig) -> list[Run]:
    """The tunings that findings rest on, seed by seed."""
    return [
        Run(method, learning_rate, size, seed)
        for seed in judged_seeds(config)
        for size in sizes(config)
        for method in config.methods
        for learning_rate in sorted(config.rates(method))
    ]


def pilots(config: SweepConfig) -> list[Run]:
    """The tunings that the default margin is taken from: both methods at the smallest size.

    None where there is no trend to judge, where the margin was given, or where `why_no_pilots`.
    Their rate is the first one given that both methods have: between two rates, a gap would be
    one of rates.
    """
    if len(sizes(config)) < 2 or config.margin is not None or why_no_pilots(config):
        return []
    methods: list[Method] = ["full", "lora"]
    return [
        Run(method, _shared_rates(config)[0], sizes(config)[0], config.seeds + number)
        for number in range(config.pilot_seeds)
        for method in methods
    ]


def why_no_pilots(config: SweepConfig) -> str | None:
    """Why no default margin can be had from this grid; None where it can."""
    if len(config.methods) < 2:
        return "the default margin needs pilot tunings of both methods; give --margin"
    if not _shared_rates(config):
        return "no learning rate was tried with both methods; give --margin"
    return None


def _shared_rates(config: SweepConfig) -> list[float]:
    return [one for one in config.rates("full") if one in config.rates("lora")]


def tune_options(config: SweepConfig, one: Run) -> dict[str, Any]:
    """Options of TuneConfig for one tuning; None where nothing was said.

    A fixed number of steps ends the plan early, so as many epochs as steps always suffice.
    """
    passed_on = {name: getattr(config, name) for name in _TUNE_OPTIONS}
    return {
        **passed_on,
        "base": config.base,
        "name": one.name,
        "method": one.method,
        "learning_rate": one.learning_rate,
        "subset": one.size,
        "seed": one.seed,
        "shuffle_seed": one.seed,
        "subset_seed": one.seed,
        "max_steps": config.steps,
        "epochs": config.steps or config.epochs,
        "device": config.device,
        "trust_remote_code": config.trust_remote_code,
    }


def plan_sentences(config: SweepConfig) -> list[str]:
    """What would run, for the user to read before it does."""
    runs, first = judged(config), pilots(config)
    seeds = judged_seeds(config)
    rates = "; ".join(
        f"{method} at {', '.join(map(rate, sorted(config.rates(method))))}"
        for method in config.methods
    )
    rows = ", ".join("all" if size is None else f"{size:,}" for size in sizes(config))
    full = sum(one.method == "full" for one in [*runs, *first])
    judging = f"{len(runs)} with seeds {_listed(seeds)} ({rates}; rows: {rows})"
    if config.steps:
        judging += f", each of {config.steps} steps"
    piloting = ""
    if first:
        own = _listed([one.seed for one in first])
        piloting = f", and before them {len(first)} with seeds {own}, which the margin comes from"
    said = [
        f"{len(runs) + len(first)} tunings: {judging}{piloting}.",
        f"{full} of them tune all parameters, and each keeps a whole checkpoint in OUT.",
    ]
    if len(sizes(config)) > 1 and config.margin is None and not first:
        said.append(f"No margin: {why_no_pilots(config)}; without one no trend is called flat.")
    return said


def check_sizes(config: SweepConfig, there: int) -> None:
    """Raises ConfigError where a size is more than the rows that are `there`."""
    largest = max(size or there for size in sizes(config))
    if largest > there:
        raise ConfigError(
            f"--sizes asks for {largest:,} rows, and {config.data} has {there:,}; ask for fewer."
        )


def check_plan(config: SweepConfig) -> list[str]:
    """What was not checked; nothing is fetched, computed or written.

    Raises UserError where the base is none, rows or prompts are not there, or a size is more than
    a rows artefact holds.
    """
    unchecked = []
    if resolve(config.base).kind == "hub":
        unchecked.append(f"Not checked: whether the hub has {config.base}.")
    unchecked += [
        f"Not checked: whether the hub has {source}."
        for source in (config.data, config.prompts)
        if not _is_there(source)
    ]
    if (Path(config.data) / MANIFEST).exists():
        check_sizes(config, int(open_artefact(Path(config.data)).counts["done"]))
    elif config.sizes:
        unchecked.append(f"Not checked: whether {config.data} has {max(config.sizes):,} rows.")
    return unchecked


def _is_there(source: str) -> bool:
    """False for what only the hub can have; raises InputError for a file that is not there."""
    if source.startswith("embedded:") or Path(source).expanduser().exists():
        return True
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) and not Path(source).suffix:
        return False
    raise InputError(f"there is no file or folder {source}; check the path.")


def _listed(seeds: list[int]) -> str:
    return ", ".join(str(seed) for seed in dict.fromkeys(seeds))
