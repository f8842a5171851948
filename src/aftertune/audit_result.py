"""What an audit gives back: the artefacts of every model, their tables together, the page."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from aftertune.artefact import Artefact
from aftertune.report import notebook
from aftertune.report.figures import Figure, figures_of
from aftertune.report.run import PAGE, shown


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
        return self.page.folder / PAGE

    @property
    def figures(self) -> dict[str, Figure]:
        """Every picture of the page by name; each shows itself in a notebook and can be saved."""
        return figures_of(shown(self.page))

    def _repr_html_(self) -> str:
        """Findings and headline table, for a notebook."""
        return notebook.html(shown(self.page), str(self.report_path))


def _named(table: pa.Table, model: str) -> pa.Table:
    if "model" in table.schema.names:
        return table
    return table.add_column(0, "model", pa.array([model] * table.num_rows, pa.string()))
