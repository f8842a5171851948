"""`trace`: from answers and rows to the rows that answers borrowed from, and their page."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune import auditing
from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError
from aftertune.progress import Progress, Silent
from aftertune.report import trace_run as page_stage
from aftertune.report.config import ReportConfig
from aftertune.report.run import PAGE
from aftertune.trace import run as stage
from aftertune.trace.config import TraceConfig
from aftertune.trace.materials import TraceInputs

PERMUTED = "permuted"  # --control permuted


@dataclass(frozen=True)
class TraceResult:
    """The artefact of a trace, what went into it, and its page."""

    artefact: Artefact
    inputs: TraceInputs
    page: Artefact

    @property
    def borrowings(self) -> Any:
        """The table as a pandas DataFrame."""
        return self.artefact.to_pandas("borrowings")

    @property
    def found(self) -> dict[str, Any]:
        """What was found as a whole, with intervals."""
        return dict(self.artefact.about["found"])

    @property
    def look_at(self) -> Path:
        """The list of rows to look at, which `tune --weights` takes to drop them."""
        return self.artefact.folder / stage.LOOK_AT

    @property
    def report_path(self) -> Path:
        return self.page.folder / PAGE

    def report(self, path: str | Path) -> Path:
        """Copy the page to `path`."""
        return Path(shutil.copyfile(self.report_path, path))


def trace(
    *,
    responses: str | Path | None = None,
    data: str | Path | None = None,
    shift: str | Path | None = None,
    tuned_rows: str | Path | None = None,
    control: Sequence[str | Path] = (),
    out: str | Path = "out",
    progress: Progress | None = None,
    redact: bool = False,
    **options: Any,
) -> TraceResult:
    """Find which rows answers borrowed from, and write the page about it.

    responses: a `respond-…` artefact or a file with instruction and response; with `shift` they are
    known. data: rows; with `tuned_rows`, the `tune-…` artefact whose hold-out is the control, they
    are known. control: files of rows that the model never saw, or "permuted". Other options are the
    fields of TraceConfig. Raises UserError with one sentence where an input cannot be used.
    """
    controls = [str(one) for one in control]
    config = build(TraceConfig, {**options, "permuted": PERMUTED in controls or None})
    speaking = progress or Silent()
    inputs = read(
        *(None if one is None else str(one) for one in (responses, data, shift, tuned_rows)),
        controls=controls, out=Path(out), progress=speaking,
    )  # fmt: skip
    return run(config, inputs, Path(out), speaking, redact)


def run(
    config: TraceConfig, inputs: TraceInputs, out: Path, progress: Progress, redact: bool = False
) -> TraceResult:
    """The trace that `config` asks for, and its page; artefacts go to `out`."""
    found = stage.run(config, inputs, out, progress)
    asked = build(ReportConfig, {"redact": redact or None, "title": None})
    return TraceResult(found, inputs, page_stage.run(asked, found, inputs, out, progress))


def read(
    responses: str | None, data: str | None, shift: str | None, tuned_rows: str | None, *,
    controls: Sequence[str], out: Path, progress: Progress, limit: int | None = None,
    format: str | None = None,
) -> TraceInputs:  # fmt: skip
    """The inputs of a trace, from what a user says they are."""
    shifted = _opened(shift, "shift", "--shift") if shift else None
    tuned = _opened(tuned_rows, "tune", "--tuned-rows") if tuned_rows else None
    if responses is None and shifted is None:
        raise ConfigError("no answers are given; add --responses ANSWERS.")
    if data is None and tuned is None:
        raise ConfigError("no rows are given; add --data ROWS.")
    answers = (
        auditing.read_responses(
            responses, auditing.model_name(Path(responses).stem), None, None, "auto", None, out,
            progress, limit, format,
        )
        if responses is not None
        else input_of(shifted, "responses")
    )  # fmt: skip
    rows = auditing.read_rows(data, out, progress) if data is not None else input_of(tuned, "rows")
    unseen = {
        name: auditing.read_rows(source, out, progress)
        for name, source in control_names(controls).items()
    }
    return TraceInputs(answers, rows, shifted, tuned, unseen)


def control_names(sources: Sequence[str]) -> dict[str, str]:
    """name -> source of the rows that a user gives as controls, without "permuted".

    >>> control_names(["a/dolly.json", "permuted", "b/dolly.json"])
    {'dolly': 'a/dolly.json', 'dolly-2': 'b/dolly.json'}
    """
    named: dict[str, str] = {}
    for source in sources:
        if source == PERMUTED:
            continue
        stem = re.sub(r"[^\w.-]+", "-", Path(source).stem) or "rows"
        taken = sum(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", name) is not None for name in named)
        named[stem if not taken else f"{stem}-{taken + 1}"] = source
    return named


def input_of(found: Artefact | None, name: str) -> Artefact:
    """An artefact that another one was made from: where it stood then, or beside it now."""
    assert found is not None
    place = next(Path(one["place"]) for one in found.manifest["inputs"] if one["name"] == name)
    beside = found.folder.resolve().parent / place.name
    return open_artefact(beside if beside.exists() else place)


def inputs_of(found: Artefact) -> TraceInputs:
    """The inputs of a finished trace, for its page."""
    names = [one["name"] for one in found.manifest["inputs"]]
    prefix = "control "
    return TraceInputs(
        responses=input_of(found, "responses"),
        rows=input_of(found, "rows"),
        shift=input_of(found, "shift") if "shift" in names else None,
        tune=input_of(found, "tune") if "tune" in names else None,
        controls={
            name.removeprefix(prefix): input_of(found, name)
            for name in names
            if name.startswith(prefix)
        },
    )


def page(
    folder: Path, out: Path, progress: Progress, title: str | None = None, redact: bool = False
) -> Artefact:
    """The page of a finished `trace-…` artefact alone."""
    found = _opened(str(folder), "trace", "report")
    asked = build(ReportConfig, {"title": title, "redact": redact or None})
    return page_stage.run(asked, found, inputs_of(found), out, progress)


def _opened(place: str, stage_name: str, option: str) -> Artefact:
    found = open_artefact(Path(place))
    if found.stage != stage_name:
        raise ArtefactError(f"{option} {place}: it is a {found.stage} artefact; give a "
                            f"{stage_name}-… artefact.")  # fmt: skip
    return found
