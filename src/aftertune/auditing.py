"""`audit`: from checkpoints and prompts to one report, by calling the stages one after the other.

What tuning did to each tuned model is asked with the same prompts, the same base and the same
settings; every stage reuses what an earlier run finished.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field, field_validator

from aftertune.artefact import Artefact, open_artefact
from aftertune.config import Dtype, StageConfig, build
from aftertune.errors import ConfigError, ModelError
from aftertune.experiments.controls_config import ControlsConfig, chosen
from aftertune.progress import Progress, Silent

if TYPE_CHECKING:
    from aftertune.report.figures import Figure


class AuditConfig(StageConfig):
    """What an audit is asked; the same words as the command's options."""

    base: str
    tuned: dict[str, str]  # name -> model
    prompts: str | None = None
    data: str | None = None
    responses: dict[str, str] = Field(
        default_factory=dict
    )  # name -> answers that exist (artefact folder or file)
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


@dataclass(frozen=True)
class AuditedModel:
    """What was measured of one tuned model."""

    name: str
    responses: Artefact
    shift: Artefact


@dataclass(frozen=True)
class Tables:
    """One table over several artefacts, with a column `model` in front."""

    name: str
    parts: Mapping[str, Artefact]

    def to_arrow(self) -> pa.Table:
        """All models' rows, one after the other."""
        return pa.concat_tables(
            _named(artefact.table(self.name), model) for model, artefact in self.parts.items()
        )

    def to_pandas(self) -> Any:
        """The same as a pandas DataFrame."""
        return self.to_arrow().to_pandas()


@dataclass(frozen=True)
class AuditResult:
    """The artefacts of an audit; open any of their tables with pandas, Polars or DuckDB."""

    models: Mapping[str, AuditedModel]
    prompts: Artefact | None
    rows: Artefact | None
    page: Artefact
    controls: Mapping[str, Sequence[Artefact]] = field(default_factory=dict)  # by name

    @property
    def shift(self) -> Tables:
        """The `tokens` tables of all tuned models."""
        return Tables("tokens", {name: model.shift for name, model in self.models.items()})

    @property
    def responses(self) -> Tables:
        """The `responses` tables of all tuned models."""
        return Tables("responses", {name: model.responses for name, model in self.models.items()})

    @property
    def summary(self) -> dict[str, Any]:
        """Per tuned model the headline numbers with their intervals."""
        return {name: model.shift.about["summary"] for name, model in self.models.items()}

    def report(self, path: str | Path) -> Path:
        """Copy the page to `path`."""
        return Path(shutil.copyfile(self.report_path, path))

    @property
    def report_path(self) -> Path:
        return self.page.folder / "report.html"

    @property
    def figures(self) -> dict[str, "Figure"]:
        """Every picture of the page by name; each shows itself in a notebook and can be saved."""
        from aftertune.report.figures import figures_of
        from aftertune.report.run import shown

        return figures_of(shown(self.page))

    def _repr_html_(self) -> str:
        """Findings and headline table, for a notebook."""
        from aftertune.report import notebook
        from aftertune.report.run import shown

        return notebook.html(shown(self.page), str(self.report_path))


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
    # the stages import torch; `import aftertune` must not
    from aftertune.report import run as report_stage

    _check(config)
    prompts = read_prompts(config.prompts, config.limit, out, progress) if config.prompts else None
    rows = read_rows(config.data, out, progress) if config.data else None
    dtype = common_dtype(config)
    models = {}
    for name in config.tuned:
        responses = _responses(config, name, dtype, prompts, out, progress)
        shift = _shift(config, name, dtype, responses, out, progress)
        models[name] = AuditedModel(name, responses, shift)
    shown = [
        report_stage.ReportModel(
            name, model.shift, model.responses, tune_artefact(config.tuned[name])
        )
        for name, model in models.items()
    ]
    controls = _controls(config, models, prompts, rows, out, progress) if config.controls else {}
    made = [one for each in controls.values() for one in each]
    page = _page(shown, rows, prompts, made, config.title, config.redact, out, progress)
    return AuditResult(models, prompts, rows, page, controls)


def read_rows(source: str, out: Path, progress: Progress, **options: Any) -> Artefact:
    """Rows from a file, a hub id or a finished `rows-…` artefact."""
    from aftertune.data import run as data_stage
    from aftertune.data.config import RowsConfig

    if (Path(source) / "manifest.json").exists():
        return open_artefact(Path(source))
    return data_stage.run_rows(build(RowsConfig, {"source": source, **options}), out, progress)


def read_prompts(
    source: str, limit: int | None, out: Path, progress: Progress, **options: Any
) -> Artefact:
    """Prompts from a file, a hub id or a finished `prompts-…` artefact."""
    from aftertune.data import run as data_stage
    from aftertune.data.config import PromptsConfig

    if (Path(source) / "manifest.json").exists():
        return open_artefact(Path(source))
    given = {"source": source, "limit": limit, **options}
    return data_stage.run_prompts(build(PromptsConfig, given), out, progress)


def read_responses(
    source: str, name: str, model: str | None, base: str | None, template: str,
    prompts: Artefact | None, out: Path, progress: Progress, limit: int | None = None,
    format: str | None = None, trust_remote_code: bool = False,
) -> Artefact:  # fmt: skip
    """Answers that exist: a `respond-…` artefact, or a file encoded with the model's tokenizer."""
    from aftertune.respond import given as given_stage
    from aftertune.respond.config import GivenConfig

    if (Path(source) / "manifest.json").exists():
        return open_artefact(Path(source))
    asked = {
        "source": source, "name": name, "model": model, "base": base, "template": template,
        "limit": limit, "format": format, "trust_remote_code": trust_remote_code or None,
    }  # fmt: skip
    return given_stage.run_given(build(GivenConfig, asked), prompts, out, progress)


def report_on(
    shifts: Sequence[Path], data: str | None, prompts: str | None, out: Path, progress: Progress,
    title: str | None = None, redact: bool = False,
) -> Artefact:  # fmt: skip
    """The page about `shift-…` artefacts, and the `control-…` artefacts that are among them; or
    about a made world, where all are artefacts of the lab; or about traces, one or side by side.

    Their answers must stand where they did, or beside.
    """
    from aftertune.report import lab_run
    from aftertune.report import run as report_stage
    from aftertune.report.config import ReportConfig

    made = [open_artefact(folder) for folder in shifts]
    if made and all(one.stage in lab_run.STAGES for one in made):
        if data or prompts:
            raise ConfigError("a made world has its own rows; leave --data and --prompts out.")
        asked = build(ReportConfig, {"title": title, "redact": redact or None})
        return lab_run.run(asked, made, out, progress)
    if len(made) == 1 and made[0].stage == "control-study":
        if data or prompts:
            raise ConfigError("a study has its own answers; leave --data and --prompts out.")
        from aftertune.report import study_run

        asked = build(ReportConfig, {"title": title, "redact": redact or None})
        return study_run.run(asked, made[0], out)
    if made and all(one.stage == "trace" for one in made):
        if data or prompts:
            raise ConfigError("a trace has its own rows; leave --data and --prompts out.")
        from aftertune import tracing

        if len(made) == 1:
            return tracing.page(shifts[0], out, progress, title, redact)
        return _beside(made, out, progress, title, redact)
    models, controls = [], []
    for folder, shift in zip(shifts, made, strict=True):
        if shift.stage.startswith("control-") or shift.stage in ("sweep", "lab-score", "trace"):
            controls.append(shift)
            continue
        if shift.stage != "shift":
            raise ConfigError(
                f"{folder} is a {shift.stage} artefact; give shift-… and control-… artefacts, or "
                "artefacts of the lab alone."
            )
        places = {given["name"]: Path(given["place"]) for given in shift.manifest["inputs"]}
        responses = open_artefact(_moved(places["responses"], folder))
        name, model = shift.config["name"], shift.config["tuned"]
        models.append(report_stage.ReportModel(name, shift, responses, tune_artefact(model)))
    rows = read_rows(data, out, progress) if data else None
    loaded = read_prompts(prompts, None, out, progress) if prompts else None
    return _page(models, rows, loaded, controls, title, redact, out, progress)


def _beside(
    traces: Sequence[Artefact], out: Path, progress: Progress, title: str | None, redact: bool
) -> Artefact:
    """The page of several traces side by side, with the proofs that stand beside each."""
    from aftertune import tracing
    from aftertune.report import trace_beside_run as stage
    from aftertune.report.config import ReportConfig

    traced = []
    for one in traces:
        given = tracing.inputs_of(one)
        proofs = tracing.proofs_of(one, one.folder.parent)
        traced.append(stage.Traced(one, given.responses, given.tune, proofs))
    asked = build(ReportConfig, {"title": title, "redact": redact or None})
    return stage.run(asked, traced, out, progress)


def tune_artefact(model: str) -> Artefact | None:
    """The `tune-…` artefact that a model lies in, if it was tuned here."""
    folder = Path(model)
    for place in (folder, folder.parent):
        if (place / "manifest.json").exists():
            found = open_artefact(place, verify=False)
            return found if found.stage == "tune" else None
    return None


def model_name(model: str) -> str:
    """A short name for a model that was given none."""
    name = model.split(":")[-1].rstrip("/").split("/")[-1]
    return re.sub(r"[^\w.-]+", "-", name) or "tuned"


def common_dtype(config: AuditConfig) -> Dtype:
    """One dtype for all models that stand in one table.

    A merged adapter differs from the same adapter unmerged by 0.001 nats in bf16, so adapters
    beside whole checkpoints are scored in float32 unless the user says otherwise.
    """
    from aftertune.models.reference import resolve

    kinds = {resolve(model, config.base).kind == "adapter" for model in config.tuned.values()}
    return "float32" if config.dtype == "auto" and len(kinds) == 2 else config.dtype


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
    from aftertune.models.reference import resolve

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
    if (place / "manifest.json").exists():
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
    from aftertune.respond.config import RespondConfig

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
    from aftertune.shift.config import ShiftConfig

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
    from aftertune.experiments.subject import Subject

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


def _page(
    models: list[Any], rows: Artefact | None, prompts: Artefact | None,
    controls: Sequence[Artefact], title: str | None, redact: bool, out: Path, progress: Progress,
) -> Artefact:  # fmt: skip
    from aftertune.data import run as data_stage
    from aftertune.report import run as report_stage
    from aftertune.report.config import ReportConfig

    overlap = data_stage.overlap(rows, prompts) if rows and prompts else None
    inputs = report_stage.ReportInputs(models, rows, prompts, overlap, controls)
    asked = build(ReportConfig, {"title": title, "redact": redact or None})
    return report_stage.run(asked, inputs, out, progress)


def _moved(place: Path, neighbour: Path) -> Path:
    """Where an artefact stands now: as recorded, or beside `neighbour` if the folder was moved."""
    beside = neighbour.resolve().parent / place.name
    return beside if beside.exists() else place


def _named(table: pa.Table, model: str) -> pa.Table:
    if "model" in table.schema.names:
        return table
    return table.add_column(0, "model", pa.array([model] * table.num_rows, pa.string()))
