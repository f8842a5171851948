"""`report`: from finished artefacts to the page about them, whichever they are."""

from collections.abc import Sequence
from pathlib import Path

from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.data import run as data_stage
from aftertune.errors import ConfigError
from aftertune.inputs import input_of, read_prompts, read_rows, tune_artefact
from aftertune.progress import Progress
from aftertune.report import lab_run, study_run, trace_beside_run
from aftertune.report import run as report_stage
from aftertune.report.config import ReportConfig
from aftertune.report.run import ReportInputs, ReportModel


def report_on(
    shifts: Sequence[Path], data: str | None, prompts: str | None, out: Path, progress: Progress,
    title: str | None = None, redact: bool = False,
) -> Artefact:  # fmt: skip
    """The page about `shift-…` artefacts, and the `control-…` artefacts that are among them; or
    about a made world, where all are artefacts of the lab; or about traces, one or side by side.

    Their answers must stand where they did, or beside.
    """
    made = [open_artefact(folder) for folder in shifts]
    stages = {one.stage for one in made}
    if stages and stages.issubset(lab_run.STAGES):
        _nothing_beside("a made world has its own rows", data, prompts)
        return lab_run.run(_asked(title, redact), made, out, progress)
    if stages == {"control-study"} and len(made) == 1:
        _nothing_beside("a study has its own answers", data, prompts)
        return study_run.run(_asked(title, redact), made[0], out)
    if stages == {"trace"}:
        _nothing_beside("a trace has its own rows", data, prompts)
        return _of_traces(made, out, progress, title, redact)
    models, controls = [], []
    for shift in made:
        if shift.stage.startswith("control-") or shift.stage in ("sweep", "lab-score", "trace"):
            controls.append(shift)
            continue
        if shift.stage != "shift":
            raise ConfigError(
                f"{shift.folder} is a {shift.stage} artefact; give shift-… and control-… "
                "artefacts, or artefacts of the lab alone."
            )
        name, tuned = shift.config["name"], shift.config["tuned"]
        responses = input_of(shift, "responses")
        models.append(ReportModel(name, shift, responses, tune_artefact(tuned)))
    rows = read_rows(data, out, progress) if data else None
    loaded = read_prompts(prompts, None, out, progress) if prompts else None
    return page(models, rows, loaded, controls, title, redact, out, progress)


def page(
    models: Sequence[ReportModel], rows: Artefact | None, prompts: Artefact | None,
    controls: Sequence[Artefact], title: str | None, redact: bool, out: Path, progress: Progress,
) -> Artefact:  # fmt: skip
    """The page about shifts, in the order of `models`, and the controls made of them."""
    overlap = data_stage.overlap(rows, prompts) if rows and prompts else None
    inputs = ReportInputs(models, rows, prompts, overlap, controls)
    return report_stage.run(_asked(title, redact), inputs, out, progress)


def _of_traces(
    traces: Sequence[Artefact], out: Path, progress: Progress, title: str | None, redact: bool
) -> Artefact:
    """The page of one trace, or of several side by side with the proofs that stand beside each."""
    from aftertune import tracing  # noqa: PLC0415 - loads torch

    if len(traces) == 1:
        return tracing.page(traces[0].folder, out, progress, title, redact)
    traced = []
    for one in traces:
        given = tracing.inputs_of(one)
        proofs = tracing.proofs_of(one, one.folder.parent)
        traced.append(trace_beside_run.Traced(one, given.responses, given.tune, proofs))
    return trace_beside_run.run(_asked(title, redact), traced, out, progress)


def _nothing_beside(why: str, data: str | None, prompts: str | None) -> None:
    if data or prompts:
        raise ConfigError(f"{why}; leave --data and --prompts out.")


def _asked(title: str | None, redact: bool) -> ReportConfig:
    return build(ReportConfig, {"title": title, "redact": redact or None})
