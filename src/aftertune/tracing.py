"""`trace`: from answers and rows to the rows that answers borrowed from, and their page."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune import schema
from aftertune.artefact import MANIFEST, Artefact, open_artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError
from aftertune.experiments import proofs
from aftertune.experiments.base_influence import InBase
from aftertune.experiments.cost import Cost, total
from aftertune.experiments.halves_influence import InHalves
from aftertune.experiments.verify_config import ProofConfig
from aftertune.inputs import input_of, model_name, read_responses, read_rows
from aftertune.progress import Progress, Silent
from aftertune.report import trace_run as page_stage
from aftertune.report.config import ReportConfig
from aftertune.report.run import PAGE
from aftertune.report.trace_proof import filled
from aftertune.trace import run as stage
from aftertune.trace.config import TraceConfig
from aftertune.trace.materials import TraceInputs

PERMUTED = "permuted"  # --control permuted
_PROOFS = ("control-influence", "control-verify", "control-crossed-halves")  # on the page

Begin = Callable[[Sequence[Cost]], None]  # may refuse, before anything is tuned


@dataclass(frozen=True)
class TraceResult:
    """The artefact of a trace, what went into it, its page, and the proofs that were made of it."""

    artefact: Artefact
    inputs: TraceInputs
    page: Artefact
    proofs: tuple[Artefact, ...] = ()

    @property
    def borrowings(self) -> Any:
        """The table as a pandas DataFrame, with what proofs found."""
        table = self.artefact.table("borrowings")
        if not self.proofs:
            return table.to_pandas()
        found = filled(table.to_pylist(), [one.about for one in self.proofs])
        return schema.from_rows("borrowings", found).to_pandas()

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
    fields of TraceConfig and of ProofConfig (verify="swap", confirm=True, crossed=16, ...), which
    tunes again without asking: `plan` says what that costs. Raises UserError with one sentence
    where an input cannot be used.
    """
    speaking = progress or Silent()
    config, proof, inputs = _asked(
        responses, data, shift, tuned_rows, control, Path(out), speaking, options
    )
    return run(config, inputs, Path(out), speaking, redact, proof)


def _asked(
    responses: str | Path | None, data: str | Path | None, shift: str | Path | None,
    tuned_rows: str | Path | None, control: Sequence[str | Path], out: Path, progress: Progress,
    options: dict[str, Any],
) -> tuple[TraceConfig, ProofConfig, TraceInputs]:  # fmt: skip
    controls = [str(one) for one in control]
    of_proof = {name: options.pop(name) for name in list(options)
                if name in ProofConfig.model_fields and name != "seed"}  # fmt: skip
    config = build(TraceConfig, {**options, "permuted": PERMUTED in controls or None})
    proof = build(ProofConfig, {**of_proof, "seed": config.seed})
    inputs = read(
        *(None if one is None else str(one) for one in (responses, data, shift, tuned_rows)),
        controls=controls, out=out, progress=progress,
    )  # fmt: skip
    return config, proof, inputs


def run(
    config: TraceConfig, inputs: TraceInputs, out: Path, progress: Progress, redact: bool = False,
    proof: ProofConfig | None = None, begin: Begin | None = None,
) -> TraceResult:  # fmt: skip
    """The trace that `config` asks for, the proof that is asked of it, and its page; artefacts go
    to `out`. begin: hears what proof costs before anything is tuned, and may raise."""
    asked = build(ReportConfig, {"redact": redact or None, "title": None})
    if config.influence_halves and stage.made(config, inputs, out) is None:
        costs = [_in_halves(config, inputs, out, progress, proof).cost()]
        say(costs, out, progress)
        if begin:
            begin(costs)
    if proof is None or not proof.asks:
        found = _traced(config, inputs, out, progress, proof)
    else:
        who = proofs.subject(proof, inputs.responses, inputs.rows, inputs.tune)
        proofs.check(proof, who, out, progress)
        found = _traced(config, inputs, out, progress, proof)
        costs = proofs.plan(proof, found, who, out, progress)
        say(costs, out, progress)
        if begin:
            begin(costs)
        proofs.run(proof, found, who, out, progress)
    made = proofs_of(found, out)
    page = page_stage.run(asked, found, inputs, out, progress, made)
    return TraceResult(found, inputs, page, tuple(made))


def plan(
    config: TraceConfig, inputs: TraceInputs, out: Path, progress: Progress, proof: ProofConfig
) -> list[Cost]:
    """What the proof would cost. The trace says which spans it is about, so it is made, and kept
    for the run; nothing is tuned. Where tunings on halves have to rank rows first, only these are
    planned."""
    if config.influence_halves and stage.made(config, inputs, out) is None:
        if proof.asks:
            progress.say("What proof costs is known when tunings on halves have ranked the rows.")
        return [_in_halves(config, inputs, out, progress, proof).cost()]
    who = proofs.subject(proof, inputs.responses, inputs.rows, inputs.tune)
    proofs.check(proof, who, out, progress)
    found = _traced(config, inputs, out, progress, proof)
    return proofs.plan(proof, found, who, out, progress)


def _traced(
    config: TraceConfig, inputs: TraceInputs, out: Path, progress: Progress,
    proof: ProofConfig | None,
) -> Artefact:  # fmt: skip
    """The trace; with influence in the base by the model that the tuning began with, with influence
    in halves by tuning again."""
    if config.influence_halves:
        _ranked_by("--influence-halves", config, inputs, proof)
        if found := stage.made(config, inputs, out):
            return found
        judge = _in_halves(config, inputs, out, progress, proof)
        return stage.run(config, inputs, out, progress, judge)
    if not config.influence_base:
        return stage.run(config, inputs, out, progress)
    tune, proof = _ranked_by("--influence-base", config, inputs, proof)
    in_base = InBase(
        tune, inputs.rows, inputs.responses, progress, base=proof.base, device=proof.device,
        trust_remote_code=proof.trust_remote_code,
    )  # fmt: skip
    return stage.run(config, inputs, out, progress, in_base)


def _in_halves(
    config: TraceConfig, inputs: TraceInputs, out: Path, progress: Progress,
    proof: ProofConfig | None,
) -> InHalves:  # fmt: skip
    assert config.influence_halves is not None, "the caller has looked"
    tune, proof = _ranked_by("--influence-halves", config, inputs, proof)
    return InHalves(
        tune, inputs.rows, inputs.responses, config.influence_halves, config.seed, out, progress,
        base=proof.base, device=proof.device, trust_remote_code=proof.trust_remote_code,
    )  # fmt: skip


def _ranked_by(
    option: str, config: TraceConfig, inputs: TraceInputs, proof: ProofConfig | None
) -> tuple[Artefact, ProofConfig]:
    """The tuning whose rows are ranked. Raises ConfigError where they cannot be."""
    if proof and proof.influence:
        raise ConfigError(f"--influence and {option} fill the same column; give one.")
    if inputs.tune is None:
        raise ConfigError(f"{option} needs to know base and rows; add --tuned-rows TUNE.")
    if inputs.controls or config.permuted:
        raise ConfigError(f"{option} ranks the rows of the tuning alone; leave --control out.")
    return inputs.tune, proof or build(ProofConfig, {})


def say(costs: Sequence[Cost], out: Path, progress: Progress) -> None:
    """Every proof's cost, and what they take together."""
    for one in costs:
        progress.say(one.sentence())
    if whole := total(costs, str(out)):
        progress.say(whole)
    if not costs:
        progress.say("No span leads to a row, so there is nothing to prove.")


def proofs_of(found: Artefact, out: Path) -> list[Artefact]:
    """The finished proofs in `out` that were made of this trace, in the order of the page."""
    made = []
    for name in _PROOFS:
        for path in sorted(out.glob(f"{name}-*/{MANIFEST}")):
            given = json.loads(path.read_text(encoding="utf-8"))["inputs"]
            if any((one["name"], one["id"]) == ("trace", found.id) for one in given):
                made.append(open_artefact(path.parent))
    return made


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
    if responses is None:
        assert shifted is not None, "looked at above"
        answers = input_of(shifted, "responses")
    else:
        answers = read_responses(
            responses, model_name(Path(responses).stem), None, None, "auto", None, out, progress,
            limit, format,
        )  # fmt: skip
    if data is None:
        assert tuned is not None, "looked at above"
        rows = input_of(tuned, "rows")
    else:
        rows = read_rows(data, out, progress)
    unseen = {
        name: read_rows(source, out, progress) for name, source in control_names(controls).items()
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
    made = proofs_of(found, found.folder.parent)
    return page_stage.run(asked, found, inputs_of(found), out, progress, made)


def _opened(place: str, stage_name: str, option: str) -> Artefact:
    found = open_artefact(Path(place))
    if found.stage != stage_name:
        raise ArtefactError(f"{option} {place}: it is a {found.stage} artefact; give a "
                            f"{stage_name}-… artefact.")  # fmt: skip
    return found
