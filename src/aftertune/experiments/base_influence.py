"""Influence of rows on spans in the base, which has seen none of them; for ranking, in a trace.

    influence = change of log p(span) by a small step of unit length that learns the row, nats

Over the parameters of the last block: one gradient for each span and each row, held together.
"""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from aftertune.artefact import Artefact
from aftertune.data import templates
from aftertune.data.render import render_row
from aftertune.experiments import retune
from aftertune.experiments.accused import check_scorable, said_of
from aftertune.models.load import Loaded, load
from aftertune.models.reference import find
from aftertune.progress import Progress
from aftertune.trace.influence import Scored, Suspect, influences

LAYERS = 1

Record = dict[str, Any]
Judge = Callable[[Sequence[Record]], list[float | None]]


class InBase:
    """Judges records of `borrowings`; the base is loaded when it is first asked."""

    def __init__(
        self, tune: Artefact, rows: Artefact, responses: Artefact, progress: Progress, *,
        base: str | None = None, device: str = "auto", trust_remote_code: bool = False,
    ) -> None:  # fmt: skip
        """Raises InputError where the answers have no token ids."""
        check_scorable(responses)
        self.tune, self.rows, self.responses, self.progress = tune, rows, responses, progress
        self.base = base or str(tune.config["base"])
        self.device, self.trust = device, trust_remote_code

    def __call__(self, records: Sequence[Record]) -> list[float | None]:
        """The influence of each record's row on its span, nats; None for rows of other files, and
        for rows of which nothing is trained on."""
        spans: dict[tuple[str, int, int], list[int]] = {}
        for one in records:
            if one["row_index"] in self._table and self._is_of_rows(one):
                key = (one["response_id"], one["char_start"], one["char_end"])
                spans.setdefault(key, []).append(one["row_index"])
        rows = {row: self._row(row) for of in spans.values() for row in of}
        scored = {row: one for row, one in rows.items() if one is not None}
        suspects = [
            Suspect(self._span(*key), {row: () for row in of if row in scored})
            for key, of in spans.items()
        ]
        found = influences(self._loaded, suspects, scored, LAYERS)
        known = {
            (*key, one.row_index): -one.own
            for key, of in zip(spans, found, strict=True)
            for one in of
        }
        return [
            known.get((one["response_id"], one["char_start"], one["char_end"], one["row_index"]))
            if self._is_of_rows(one) else None
            for one in records
        ]  # fmt: skip

    def _is_of_rows(self, one: Record) -> bool:
        return one["control"] in (None, "held-out rows")

    @cached_property
    def _loaded(self) -> Loaded:
        model = find(self.base)
        self.progress.say(f"influence in the base, {self.base}")
        return load(model, dtype="float32", device=self.device, trust_remote_code=self.trust)

    @cached_property
    def _table(self) -> dict[int, Record]:
        return {row["row_index"]: row for row in self.rows.table("rows").to_pylist()}

    @cached_property
    def _said(self) -> dict[str, Record]:
        table = self.responses.table("responses").to_pylist()
        return {one["response_id"]: one for one in table}

    def _row(self, row_index: int) -> Scored | None:
        row, tokenizer, tune = self._table[row_index], self._loaded.tokenizer, self.tune
        one = render_row(
            row["messages"], row["tools"], self._template, tokenizer, tune.config["max_length"],
            tune.config["train_on"], json.loads(row["tags"]),
        )  # fmt: skip
        mask = tuple(map(bool, one.loss_mask))
        return Scored(tuple(one.ids), mask) if any(mask[1:]) else None

    @cached_property
    def _template(self) -> templates.Template:
        return templates.get(retune.template_of(self.tune), self._loaded.tokenizer)

    def _span(self, response_id: str, start: int, end: int) -> Scored:
        one = said_of(self._said[response_id], (start, end), self._loaded.tokenizer)
        first = len(one.prompt) + one.first
        whole = (*one.prompt, *one.response[: one.end])
        return Scored(whole, tuple(place >= first for place in range(len(whole))))
