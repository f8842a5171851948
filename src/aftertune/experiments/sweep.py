"""The sweep: is it the method or the learning rate, and does the shift grow with the rows?

Every tuning, its answers and its shift are ordinary artefacts: what an earlier command made is
found again, and a killed sweep goes on where it was. The order matters: first the pilots, then the
margin from them, written to disk, then what is judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.config import Dtype, Method, build
from aftertune.controls.sweep import Cell, by_prompt, findings, stacked
from aftertune.errors import ConfigError, InputError
from aftertune.experiments import sweep_margin
from aftertune.experiments.sweep_config import (
    Run,
    SweepConfig,
    check_sizes,
    judged,
    judged_seeds,
    pilots,
    plan_sentences,
    sizes,
    tune_options,
    why_no_pilots,
)
from aftertune.experiments.sweep_margin import MarginConfig, margin_of
from aftertune.inputs import read_prompts, read_rows
from aftertune.models.identity import identity
from aftertune.models.reference import resolve
from aftertune.progress import Progress
from aftertune.report.blocks.sweep import block
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig
from aftertune.stats.seeds import scope
from aftertune.tune import run as tune_stage
from aftertune.tune.config import TuneConfig

VERSION = 1

_COLUMNS = ["response_id", "kl_tuned_base_nats", "category"]


@dataclass(frozen=True)
class Measured:
    """One tuning, its answers, and its shift from the base on them."""

    run: Run
    tune: Artefact
    responses: Artefact
    shift: Artefact


def run(config: SweepConfig, out: Path, progress: Progress) -> Artefact:
    """The sweep that `config` asks for: an artefact of stage "sweep" with findings in `about`.

    Raises ConfigError where a size is more than there are rows, and what the stages raise.
    """
    rows = read_rows(config.data, out, progress)
    prompts = read_prompts(config.prompts, config.limit, out, progress)
    _check(config, rows)
    for sentence in plan_sentences(config):
        progress.say(sentence)
    dtype = _dtype(config)
    first = _measure_all(pilots(config), config, dtype, rows, prompts, out, progress)
    margin = _margin(config, first, rows, prompts, out, progress)
    found = _measure_all(judged(config), config, dtype, rows, prompts, out, progress)
    inputs = [one.shift.as_input(one.run.name) for one in found]
    inputs += [margin.as_input("margin")] if margin else []
    plan = Plan("sweep", VERSION, config.given(), config.resolve(dtype=dtype), tuple(inputs))
    if done := artefact.find(out, plan):
        return done
    with artefact.draft(out, plan) as draft:
        about = _about(config, found, first, margin, prompts)
        _warn(about, progress)
        return draft.finish({"done": len(found), "skipped": {}, "unscored": {}}, about)


def _check(config: SweepConfig, rows: Artefact) -> None:
    """Before anything runs: options of the tunings, and whether every size can be what it says."""
    tuning = build(TuneConfig, tune_options(config, judged(config)[0]))
    there = int(rows.counts["done"])
    check_sizes(config, there)
    largest = max(size or there for size in sizes(config))
    if config.steps and config.steps * tuning.batch_size < largest:
        raise ConfigError(
            f"{config.steps} steps of {tuning.batch_size} rows do not reach {largest:,} rows; "
            "raise --steps or --batch-size, or tune on fewer."
        )


def _dtype(config: SweepConfig) -> Dtype:
    """One dtype for all cells; adapters beside whole checkpoints are scored in float32, as in
    `models.common_dtype`."""
    mixed = config.dtype == "auto" and len(config.methods) == 2
    return "float32" if mixed else config.dtype


def _measure_all(
    runs: Sequence[Run], config: SweepConfig, dtype: Dtype, rows: Artefact, prompts: Artefact,
    out: Path, progress: Progress,
) -> list[Measured]:  # fmt: skip
    found = []
    for number, one in enumerate(runs, start=1):
        progress.say(f"{one.name}: {number} of {len(runs)}")
        found.append(_measure(one, config, dtype, rows, prompts, out, progress))
    return found


def _measure(
    one: Run, config: SweepConfig, dtype: Dtype, rows: Artefact, prompts: Artefact, out: Path,
    progress: Progress,
) -> Measured:  # fmt: skip
    """Tune, answer, score; each of them is found where it was done before."""
    tune = tune_stage.run(build(TuneConfig, tune_options(config, one)), rows, out, progress)
    if config.steps and tune.about["steps"] < config.steps:
        raise InputError(
            f"{one.name} has too few usable rows for {config.steps} steps; lower --steps."
        )
    shared = {
        "base": config.base,
        "name": one.name,
        "dtype": dtype,
        "device": config.device,
        "trust_remote_code": config.trust_remote_code,
    }
    model = str(tune.folder)
    answering = {**shared, "model": model, "max_new_tokens": config.max_new_tokens}
    responses = respond_stage.run(build(RespondConfig, answering), prompts, out, progress)
    # one table needs one dtype: what is not float32 stays what it is
    scoring = {**shared, "tuned": model, "rescore": dtype in ("auto", "float32")}
    shift = shift_stage.run(build(ShiftConfig, scoring), responses, out, progress)
    return Measured(one, tune, responses, shift)


def _margin(
    config: SweepConfig, first: Sequence[Measured], rows: Artefact, prompts: Artefact, out: Path,
    progress: Progress,
) -> Artefact | None:  # fmt: skip
    """The margin's artefact, where there is a trend to judge."""
    if len(sizes(config)) < 2:
        return None
    base = identity(resolve(config.base))
    inputs = [base.as_input("base"), rows.as_input("rows"), prompts.as_input("prompts")]
    if config.margin is not None:
        asked = MarginConfig(given_nats=config.margin)
        made = sweep_margin.fix(asked, inputs, None, out)
    else:
        asked = _asked_margin(config, first)
        inputs += [one.shift.as_input(one.run.name) for one in first]
        both = _by_method(first, prompts) if first else None
        made = sweep_margin.fix(asked, inputs, both, out)
    margin = margin_of(made)
    if margin:
        progress.say(f"margin: {margin.value:.4g} nats per token ({margin.rule}).")
    else:
        progress.warn(f"no margin: {made.about['reason']}; no trend will be called flat.")
    return made


def _asked_margin(config: SweepConfig, first: Sequence[Measured]) -> MarginConfig:
    if not first:
        return MarginConfig(absent=why_no_pilots(config))
    return MarginConfig(
        share_of_gap=sweep_margin.SHARE,
        pilots=tuple(one.run.name for one in first),
        learning_rate=first[0].run.learning_rate,
        size=first[0].run.size,
    )


def _by_method(first: Sequence[Measured], prompts: Artefact) -> tuple[Any, Any]:
    ids = _prompt_ids(prompts)

    def of(method: Method) -> dict[str, Any]:
        return stacked([_values(one, ids) for one in first if one.run.method == method])

    return of("full"), of("lora")


def _values(one: Measured, prompts: Sequence[str]) -> dict[str, Any]:
    answers = one.responses.table("responses")
    ids, asked = (answers.column(name).to_pylist() for name in ("response_id", "prompt_id"))
    tokens = pa.concat_tables(part.select(_COLUMNS) for part in one.shift.parts("tokens"))
    return by_prompt(tokens, dict(zip(ids, asked, strict=True)), prompts)


def _prompt_ids(prompts: Artefact) -> list[str]:
    """Each once: a prompt that is asked twice is no second witness."""
    return list(dict.fromkeys(prompts.table("prompts").column("prompt_id").to_pylist()))


def _about(
    config: SweepConfig, found: Sequence[Measured], first: Sequence[Measured],
    margin: Artefact | None, prompts: Artefact,
) -> dict[str, Any]:  # fmt: skip
    """Findings, and of every tuning where its numbers come from."""
    ids = _prompt_ids(prompts)
    members: dict[tuple[Method, float, int | None], list[Measured]] = {}
    for one in found:
        members.setdefault(one.run[:3], []).append(one)
    cells = [Cell(*key, stacked([_values(one, ids) for one in of])) for key, of in members.items()]
    result = findings(cells, margin_of(margin) if margin else None)
    for cell, of in zip(result["cells"], members.values(), strict=True):
        cell["runs"] = [_facts(one) for one in of]
    shifts = {one.shift.id for one in found}
    before = margin.about["measured_before"] if margin else []
    return {
        "control": "sweep",
        "name": config.base,
        "found": {
            **result,
            "n_prompts": len(ids),
            "seeds": judged_seeds(config),
            "speaks_of": scope(config.seeds),
            "steps": config.steps,
            "noise_floor_nats": _floor(found),
            "dtypes": sorted({one.shift.about["dtype"] for one in found}),
            "margin": margin.about["margin"] if margin else None,
            "gap": margin.about["gap"] if margin else None,
            "pilots": [_facts(one) | {"name": one.run.name} for one in first],
            "measured_before_margin": sorted(shifts & set(before)),
        },
        "absent": _absent(config, margin),
    }


def _absent(config: SweepConfig, margin: Artefact | None) -> dict[str, str]:
    absent = {}
    if len(sizes(config)) < 2:
        absent["trends"] = "one size was tuned on; give several --sizes"
    elif margin and margin.about["margin"] is None:
        absent["margin"] = str(margin.about["reason"])
    if len(config.methods) < 2:
        absent["methods"] = f"only {config.methods[0]} was tuned; give --methods full,lora"
    elif not set(config.rates("full")) & set(config.rates("lora")):
        absent["methods"] = "no learning rate was tried with both methods"
    return absent


def _facts(one: Measured) -> dict[str, Any]:
    return {
        "seed": one.run.seed,
        "tune": one.tune.id,
        "responses": one.responses.id,
        "shift": one.shift.id,
        "rows": one.tune.counts["done"],
        "steps": one.tune.about["steps"],
    }


def _floor(found: Sequence[Measured]) -> float | None:
    """The largest noise floor of all: what any of the means has to stand above."""
    floors = [one.shift.about["noise"]["floor_nats"] for one in found]
    return max((floor for floor in floors if floor is not None), default=None)


def _warn(about: Mapping[str, Any], progress: Progress) -> None:
    for caution in block(about)["cautions"]:
        progress.warn(caution)
