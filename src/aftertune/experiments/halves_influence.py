"""Influence of rows on spans by tunings on random halves of all rows; for ranking, in a trace.

    influence = mean of log p(span) over the tunings that learn from the row's cluster
                - mean over those that do not, nats

The halves are drawn among all rows, those that were held out from the tuning that answered too, so
nothing in them tells one side from the other. Clusters are what stayed together when rows were held
out. Every tuning shuffles otherwise.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.artefact import Artefact
from aftertune.controls.halves import added, halves
from aftertune.errors import InputError
from aftertune.experiments import tunings as again
from aftertune.experiments.accused import check_scorable, said_of
from aftertune.experiments.cost import Cost
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import find
from aftertune.models.said import Said, logprobs
from aftertune.progress import Progress

HELD_OUT = "held-out rows"

Record = dict[str, Any]
Span = tuple[str, int, int]  # response_id, characters [start, end)


class InHalves:
    """Judges records of `borrowings`; the tunings are made when it is first asked."""

    def __init__(
        self, tune: Artefact, rows: Artefact, responses: Artefact, n: int, seed: int, out: Path,
        progress: Progress, *, base: str | None = None, device: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:  # fmt: skip
        """Raises InputError where the answers have no token ids, or there are no halves."""
        check_scorable(responses)
        self.responses, self.n, self.seed, self.progress = responses, n, seed, progress
        self.device, self.trust = device, trust_remote_code
        self.tunings = again.of(
            str(tune.folder), base, rows, out, progress, None, device, trust_remote_code
        )
        self.clusters = self.tunings.split_clusters
        if len(self.clusters) < 2:
            raise InputError(
                "the rows are all near duplicates of one another, so there are no halves; give "
                "rows that differ."
            )

    def cost(self) -> Cost:
        """What the tunings take: the steps of all rows, each with about half of them."""
        what = "each on a random half of all rows, those held out too, to rank the rows of spans"
        every, chosen = self.tunings.rows_per_plan
        return self.tunings.cost("influence in halves", self.n, what, every / chosen)

    def __call__(self, records: Sequence[Record]) -> list[float | None]:
        """The influence of each record's row on its span, nats; None for rows of other files."""
        names = sorted(self.clusters)
        held = halves([len(self.clusters[name]) for name in names], self.n, self.seed)
        column = {name: place for place, name in enumerate(names)}
        spans: dict[Span, dict[str, None]] = {}
        for one in records:
            if one["control"] in (None, HELD_OUT):
                spans.setdefault(_span(one), {})[one["cluster_id"]] = None
        if not spans:
            return [None] * len(records)
        y = self._logprobs(
            names,
            held,
            [
                said_of(self._records[name], (start, end), self._tokenizer)
                for name, start, end in spans
            ],
        )
        known: dict[tuple[Span, str], float] = {}
        for place, (key, of) in enumerate(spans.items()):
            theirs = [name for name in of if name in column]
            values = added(y[:, place], held[:, [column[name] for name in theirs]])
            known |= {(key, name): float(v) for name, v in zip(theirs, values, strict=True)}
        return [known.get((_span(one), one["cluster_id"])) for one in records]

    def _logprobs(
        self, names: Sequence[str], held: npt.NDArray[np.bool_], items: Sequence[Said]
    ) -> npt.NDArray[np.float64]:
        """[tuning, span], nats."""
        found = []
        with self.progress.task("tunings on halves", self.n) as task:
            for seed, half in zip(self.tunings.seeds(self.n), held, strict=True):
                kept = [name for name, inside in zip(names, half, strict=True) if inside]
                rows = {row for name in kept for row in self.clusters[name]}
                loaded = self.tunings.load(self.tunings.of_all(seed, rows), "float32")
                found.append(logprobs(loaded, items))
                del loaded  # before the next one comes
                task.advance()
        return np.asarray(found, np.float64)

    @cached_property
    def _records(self) -> dict[str, Record]:
        table = self.responses.table("responses").to_pylist()
        return {one["response_id"]: one for one in table}

    @cached_property
    def _tokenizer(self) -> Any:
        source = self.tunings.source
        return load_tokenizer(
            find(str(source.tune.folder), source.base), trust_remote_code=self.trust
        )


def _span(record: Record) -> Span:
    return record["response_id"], record["char_start"], record["char_end"]
