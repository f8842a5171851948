"""`recall`: from a base, tuned models and facts to one page, by calling the stages in turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.artefact import MANIFEST, Artefact, open_artefact
from aftertune.config import build
from aftertune.errors import ArtefactError, ConfigError
from aftertune.inputs import read_rows
from aftertune.lab.base import world_in
from aftertune.lab.wording import question
from aftertune.models.common_dtype import common_dtype
from aftertune.progress import Progress
from aftertune.recall import compare, novelty, sources
from aftertune.recall import run as stage
from aftertune.recall.config import CompareConfig, FactsConfig, RecallConfig
from aftertune.recall.sources import Facts
from aftertune.report import recall_run
from aftertune.report.config import ReportConfig

MOST_DISTRACTORS = 7  # of a fact of a made world


@dataclass(frozen=True)
class Beside:
    """What else goes in: rows, texts, shifts by model, verdicts."""

    data: str | None = None
    texts: tuple[Path, ...] = ()
    shifts: Mapping[str, Path] | None = None
    judged: Path | None = None


@dataclass(frozen=True)
class RecallResult:
    """The artefacts: what each model answered, the comparison, and the page."""

    base: Artefact
    tuned: Mapping[str, Artefact]
    comparison: Artefact
    page: Artefact

    @property
    def report_path(self) -> Path:
        return self.page.folder / "report.html"


def read_facts(config: FactsConfig) -> Facts:
    """Facts of a file, the package, or a `lab-base` artefact; raises UserError."""
    folder = Path(config.source)
    if not (folder / MANIFEST).exists():
        return sources.read(config)
    base = open_artefact(folder)
    if base.stage != "lab-base":
        raise ArtefactError(
            f"{folder} is a {base.stage} artefact; give facts as a file or a lab-base artefact."
        )
    return sources.of_records(lab_records(base), config)


def lab_records(base: Artefact) -> list[dict[str, Any]]:
    """Facts of a made world: each in its first wording, with other values of its attribute.

    Values of open facts are true and stated nowhere in the base's text; tags say so.
    """
    world = world_in(base)
    records = []
    for number, place in enumerate(world.placed):
        fact = place.fact
        others = [v for v in world.domains[fact.attribute] if v != fact.value]
        start = number % max(1, len(others))
        own = world.by_name[fact.value].own if fact.value in world.by_name else None
        records.append({
            "id": fact.id,
            "question": question(fact, 0),
            "answer": fact.value,
            "aliases": [own] if own else [],
            "distractors": [*others[start:], *others[:start]][:MOST_DISTRACTORS],
            "tags": {"exposures": str(place.exposures), "in rows": place.in_rows,
                     "role": place.role, "attribute": fact.attribute},
        })  # fmt: skip
    return records


def run(
    facts: Facts, asked: RecallConfig, comparing: CompareConfig, tuned: Mapping[str, str],
    beside: Beside, out: Path, progress: Progress, redact: bool = False,
) -> RecallResult:  # fmt: skip
    """Ask the base (`asked.model`) and each tuned model, compare them, write the page.

    `asked.template` is of the tuned models alone: the base is asked with the plain text.
    """
    if not tuned:
        raise ConfigError("no tuned model is given; add --tuned NAME=PATH.")
    if "base" in tuned:
        raise ConfigError("--tuned base=...: this name is the base's; choose another one.")
    for name in beside.shifts or {}:
        if name not in tuned:
            raise ConfigError(
                f"--shift names {name}, which is no --tuned model; these are: {', '.join(tuned)}."
            )
    shifts = {name: open_artefact(path) for name, path in (beside.shifts or {}).items()}
    judged = open_artefact(beside.judged) if beside.judged else None
    dtype = common_dtype(tuned.values(), asked.model, asked.dtype)
    of_base = asked.resolve(name="base", classify=True, template=None, dtype=dtype)
    base = stage.run(of_base, facts, beside.texts, out, progress)
    models = {}
    for name, model in tuned.items():
        config = asked.resolve(name=name, model=model, base=asked.model, dtype=dtype)
        models[name] = stage.run(config, facts, beside.texts, out, progress)
    new = None
    if beside.data:
        rows = read_rows(beside.data, out, progress)
        new = novelty.run(of_base, rows, out, progress)
    made = compare.run(comparing, base, models, shifts, judged, new, out, progress)
    shown = build(ReportConfig, {"redact": redact or None})
    page = recall_run.run(shown, made, out, progress)
    return RecallResult(base, models, made, page)
