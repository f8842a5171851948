"""Influence of accused rows on their spans, beside that of matched rows: one step, no tuning.

It ranks candidates by the tuned model alone (`trace/influence.py`); `verify` proves.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.controls import removal
from aftertune.data import templates
from aftertune.data.render import render_row
from aftertune.experiments import retune
from aftertune.experiments import tunings as again
from aftertune.experiments.accused import Case, cases
from aftertune.experiments.findings import keep
from aftertune.experiments.tunings import Tunings
from aftertune.experiments.verify_config import InfluenceConfig
from aftertune.models.load import Loaded
from aftertune.progress import Progress
from aftertune.trace.influence import Influence, Scored, Suspect, influences

VERSION = 1


def run(
    config: InfluenceConfig, responses: Artefact, out: Path, progress: Progress,
    rows: Artefact | None = None, trace: Artefact | None = None,
) -> Artefact:  # fmt: skip
    """The artefact `control-influence`: in `about["found"]["cases"]`, per span its rows with
    `influence` (nats per unit of step, above 0 where the row holds the span up), `own` and
    `matched`. trace: in which the spans were found, where one was.

    Raises InputError for a checkpoint that was tuned elsewhere: which rows it learnt from, under
    which template, is not known.
    """
    config = config.named()
    trust = config.trust_remote_code
    tunings = again.of(
        config.tuned, config.base, rows, out, progress, config.name, config.device, trust
    )
    inputs = {"responses": responses, "tune": tunings.tune, "rows": tunings.rows}
    inputs |= {"trace": trace} if trace else {}

    def compute() -> tuple[dict[str, Any], dict[str, Any]]:
        loaded = tunings.load(tunings.tune, config.dtype)
        made = cases(config.accused, responses, loaded.tokenizer, config.most_rows, tunings)
        found = _found(config, made, tunings, loaded)
        records = [
            {**case.as_json(), "rows": [_as_json(one) for one in ones]}
            for case, ones in zip(made, found, strict=True)
        ]
        return {"cases": records}, {"done": len(records), "skipped": {}, "unscored": {}}

    return keep("influence", VERSION, config, inputs, out, compute)


def _found(
    config: InfluenceConfig, made: Sequence[Case], tunings: Tunings, loaded: Loaded
) -> list[list[Influence]]:
    suspects = []
    for case, near in zip(made, tunings.nearness([case.prompt for case in made]), strict=True):
        matched = {row: _matched(config, row, case, near, tunings) for row in case.rows}
        suspects.append(Suspect(_span(case), matched))
    wanted = {row for one in suspects for row in one.matched}
    wanted |= {row for one in suspects for many in one.matched.values() for row in many}
    return influences(loaded, suspects, _rendered(tunings, loaded, wanted), config.layers)


def _matched(
    config: InfluenceConfig, row: int, case: Case, near: dict[int, float], tunings: Tunings
) -> list[int]:
    """Rows that the span has nothing to do with, as long as the row and as near to the prompt."""
    free = set(tunings.trained) - case.group - tunings.saying(case.span)
    found: list[int] = []
    for _ in range(config.matched):
        left = free - set(found)
        found += removal.matched([row], left, tunings.lengths, near, config.seed) or []
    return found


def _span(case: Case) -> Scored:
    said = case.said
    before = len(said.prompt) + said.first
    ids = (*said.prompt, *said.response[: said.end])
    return Scored(ids, tuple(place >= before for place in range(len(ids))))


def _rendered(tunings: Tunings, loaded: Loaded, wanted: set[int]) -> dict[int, Scored]:
    """The rows as they were trained on."""
    tune = tunings.tune
    template = templates.get(retune.template_of(tune), loaded.tokenizer)
    found = {}
    for row in tunings.table:
        if row["row_index"] in wanted:
            one = render_row(
                row["messages"], row["tools"], template, loaded.tokenizer,
                tune.config["max_length"], tune.config["train_on"], json.loads(row["tags"]),
            )  # fmt: skip
            found[row["row_index"]] = Scored(one.ids, one.loss_mask)
    return found


def _as_json(one: Influence) -> dict[str, Any]:
    return {
        "row_index": one.row_index,
        "influence": one.value,
        "own": one.own,
        "matched": list(one.matched),
    }
