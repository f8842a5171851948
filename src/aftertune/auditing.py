"""`audit`: from checkpoints and prompts to one report, by calling the stages one after the other.

What tuning did to each tuned model is asked with the same prompts, the same base and the same
settings; every stage reuses what an earlier run finished. Stages that load torch are imported when
their turn comes, so that a wrong input is said at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from aftertune import reporting
from aftertune.artefact import MANIFEST, Artefact, open_artefact
from aftertune.audit_result import AuditedModel, AuditResult
from aftertune.config import Dtype, StageConfig, build
from aftertune.errors import ConfigError, ModelError
from aftertune.experiments.controls_config import ControlsConfig, chosen
from aftertune.experiments.subject import Subject
from aftertune.inputs import model_name, read_prompts, read_responses, read_rows, tune_artefact
from aftertune.models.common_dtype import common_dtype
from aftertune.models.reference import resolve
from aftertune.progress import Progress, Silent
from aftertune.report.run import ReportModel
from aftertune.respond.config import RespondConfig
from aftertune.shift.config import ShiftConfig


class AuditConfig(StageConfig):
    """What an audit is asked; the same words as the command's options."""

    base: str
    tuned: dict[str, str]  # name -> model
    prompts: str | None = None
    data: str | None = None
    # name -> answers that exist (artefact folder or file)
    responses: dict[str, str] = Field(default_factory=dict)
    limit: int | None = None  # the first N prompts
    template: str = "auto"
    max_new_tokens: int = 256
    batch_size: int = 16
    seed: int = 0
    dtype: Dtype = "auto"
    device: str = "auto"
    title: str | None = None
    redact: bool = False
    trust_remote_code: bool = False
    controls: tuple[str, ...] = ()  # by name, or all
    control: str | None = None  # rows that no model saw
    references: str | None = None  # answers to compare with, for the control texts
    unrounded_base: str | None = None  # what the base was before it was rounded

    @field_validator("controls", mode="before")
    @classmethod
    def _are_known(cls, value: object) -> object:
        return chosen(value)


def audit(
    *,
    base: str | Path,
    tuned: str | Path | Mapping[str, str | Path],
    prompts: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "out",
    progress: Progress | None = None,
    **options: Any,
) -> AuditResult:
    """Answer `prompts` with every tuned model, measure the shift from `base`, write the report.

    `tuned` is one model or a mapping from names to models; a model is a hub id, a folder, a PEFT
    adapter, a `tune-…` artefact or `embedded:…`. Other options are the fields of AuditConfig.
    Raises UserError with one sentence where an input cannot be used.
    """
    models = {"": tuned} if isinstance(tuned, str | Path) else dict(tuned)
    given = {
        "base": str(base),
        "tuned": {name or model_name(str(path)): str(path) for name, path in models.items()},
        "prompts": None if prompts is None else str(prompts),
        "data": None if data is None else str(data),
        **options,
    }
    return run(build(AuditConfig, given), Path(out), progress or Silent())


def run(config: AuditConfig, out: Path, progress: Progress) -> AuditResult:
    """The audit that `config` asks for; artefacts go to `out`."""
    _check(config)
    prompts = read_prompts(config.prompts, config.limit, out, progress) if config.prompts else None
    rows = read_rows(config.data, out, progress) if config.data else None
    dtype = common_dtype(config.tuned.values(), config.base, config.dtype)
    models = {}
    for name in config.tuned:
        responses = _responses(config, name, dtype, prompts, out, progress)
        shift = _shift(config, name, dtype, responses, out, progress)
        models[name] = AuditedModel(name, responses, shift)
    shown = [
        ReportModel(name, model.shift, model.responses, tune_artefact(config.tuned[name]))
        for name, model in models.items()
    ]
    controls = _controls(config, models, prompts, rows, out, progress) if config.controls else {}
    made = [one for each in controls.values() for one in each]
    page = reporting.page(shown, rows, prompts, made, config.title, config.redact, out, progress)
    return AuditResult(models, prompts, rows, page, controls)


def _check(config: AuditConfig) -> None:
    if not config.tuned:
        raise ConfigError("no tuned model is given; add --tuned NAME=PATH.")
    unknown = set(config.responses) - set(config.tuned)
    if unknown:
        raise ConfigError(
            f"--responses names {sorted(unknown)[0]}, which is no --tuned model; "
            f"these are: {', '.join(config.tuned)}."
        )
    if not config.prompts and set(config.tuned) - set(config.responses):
        raise ConfigError("no prompts are given; add --prompts FILE (or --responses NAME=FILE).")
    _check_for_controls(config)


def _check_for_controls(config: AuditConfig) -> None:
    """What only the controls need is looked at before anything is computed."""
    if config.unrounded_base is not None:
        try:
            resolve(config.unrounded_base)
        except ModelError as error:
            raise ConfigError(f"--unrounded-base: {error}") from error
    if config.references is None:
        return
    place = Path(config.references)
    if not place.exists():
        raise ConfigError(
            f"--references: there is no {place}; give a file of answers or a respond-… artefact."
        )
    if (place / MANIFEST).exists():
        stage = open_artefact(place, verify=False).stage
        if stage != "respond":
            raise ConfigError(
                f"--references: {place} is a {stage} artefact; give a file of answers or a "
                "respond-… artefact."
            )


def _responses(
    config: AuditConfig, name: str, dtype: Dtype, prompts: Artefact | None, out: Path,
    progress: Progress,
) -> Artefact:  # fmt: skip
    from aftertune.respond import run as respond_stage

    model = config.tuned[name]
    if name in config.responses:
        return read_responses(
            config.responses[name], name, model, config.base, config.template, prompts, out,
            progress, config.limit, trust_remote_code=config.trust_remote_code,
        )  # fmt: skip
    asked = {
        "model": model,
        "base": config.base,
        "name": name,
        "template": config.template,
        "max_new_tokens": config.max_new_tokens,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "dtype": dtype,
        "device": config.device,
        "trust_remote_code": config.trust_remote_code,
    }
    assert prompts is not None, "checked by _check"
    return respond_stage.run(build(RespondConfig, asked), prompts, out, progress)


def _shift(
    config: AuditConfig, name: str, dtype: Dtype, responses: Artefact, out: Path, progress: Progress
) -> Artefact:
    from aftertune.shift import run as shift_stage

    asked = {
        "base": config.base,
        "tuned": config.tuned[name],
        "name": name,
        "dtype": dtype,
        "device": config.device,
        "seed": config.seed,
        "trust_remote_code": config.trust_remote_code,
    }
    return shift_stage.run(build(ShiftConfig, asked), responses, out, progress)


def _controls(
    config: AuditConfig, models: Mapping[str, AuditedModel], prompts: Artefact | None,
    rows: Artefact | None, out: Path, progress: Progress,
) -> dict[str, list[Artefact]]:  # fmt: skip
    from aftertune.experiments import controls

    unseen = read_rows(config.control, out, progress) if config.control else None
    subjects = [
        Subject(
            name=name, base=config.base, tuned=config.tuned[name], responses=model.responses,
            shift=model.shift, prompts=prompts, rows=rows, control_rows=unseen,
            tune=tune_artefact(config.tuned[name]), seed=config.seed, batch_size=config.batch_size,
            device=config.device, trust_remote_code=config.trust_remote_code,
        )
        for name, model in models.items()
    ]  # fmt: skip
    asked = ControlsConfig(
        which=config.controls, references=config.references, unrounded_base=config.unrounded_base
    )
    return controls.run(asked, subjects, out, progress)
