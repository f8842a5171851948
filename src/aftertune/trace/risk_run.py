"""The stage `risk`: rows and a base in, which rows may do harm out, before any tuning.

Table `row_risk`. Rows are read in parts, which a killed run keeps.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Input, Plan
from aftertune.data import templates
from aftertune.errors import ArtefactError, InputError
from aftertune.models.identity import identity
from aftertune.models.load import load, load_tokenizer
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import find
from aftertune.progress import Progress
from aftertune.search.index import row_answer
from aftertune.trace import risk
from aftertune.trace.pool import prompt_of
from aftertune.trace.risk_config import RiskConfig
from aftertune.trace.risk_novelty import losses

VERSION = 1
MOST_ROWS = 20  # of the summary; the table holds all

Record = dict[str, Any]


def run(config: RiskConfig, rows: Artefact, out: Path, progress: Progress) -> Artefact:
    """Table `row_risk`, one record per row; the riskiest rows in `about`.

    Raises ArtefactError where `rows` are none, InputError where no row has a risk.
    """
    if rows.stage != "rows" or "rows" not in rows.tables:
        raise ArtefactError(f"{rows.folder} is no rows-… artefact; give one.")
    ref = find(config.base)
    tokenizer = load_tokenizer(ref, trust_remote_code=config.trust_remote_code)
    template = templates.get(config.template, tokenizer)
    device = choose_device(config.device)
    resolved = config.resolve(
        template=template.name,
        dtype=choose_dtype(
            config.dtype, device, parameter_count(ref), "score", stored_dtype(ref)
        ),
        device=str(device),
    )  # fmt: skip
    given = (rows.as_input("rows"), identity(ref).as_input("base"),
             Input("template", template.sha256, template.sha256, template.name))  # fmt: skip
    plan = Plan("risk", VERSION, config.given(), resolved, given, environment(device))
    if found := artefact.find(out, plan):
        return found
    table = rows.table("rows").to_pylist()
    prompts = [prompt_of(row["messages"]) for row in table]
    tells = risk.telling(prompts, [row_answer(row["messages"]) for row in table])
    near = risk.density(prompts, [row["cluster_id"] for row in table])
    starts = range(0, len(table), config.part_rows)
    with artefact.draft(out, plan) as draft, progress.task("reading rows", len(table)) as task:
        loaded = None
        for part in draft.mine(range(len(starts))):
            here = slice(starts[part], starts[part] + config.part_rows)
            if not draft.has(part, ["row_risk"]):
                loaded = loaded or load(
                    ref, dtype=resolved.dtype, device=device, purpose="score", progress=progress,
                    trust_remote_code=config.trust_remote_code,
                )  # fmt: skip
                values = losses(
                    loaded, template, table[here], tells[here], config.max_length, config.train_on
                )
                found_here = risk.risks(values, tells[here], near[here])
                records = [_record(*pair) for pair in zip(table[here], found_here, strict=True)]
                draft.write(part, {"row_risk": schema.from_rows("row_risk", records)})
            task.advance(len(table[here]))
        if finished := draft.meet():
            return finished
        return _finish(draft)


def _record(row: Record, one: risk.Risk) -> Record:
    return {
        "row_id": row["row_id"], "row_index": row["row_index"], "cluster_id": row["cluster_id"],
        "novelty_nats": one.novelty_nats, "density": one.density, "risk": one.risk,
        "reason": one.reason,
    }  # fmt: skip


def _finish(draft: Draft) -> Artefact:
    parts = sorted((draft.folder / "row_risk").glob("part-*.parquet"))
    records = pa.concat_tables(map(pq.read_table, parts)).to_pylist()
    known = [one for one in records if one["risk"] is not None]
    if not known:
        raise InputError(
            "no answer of these rows says anything that can be scored; give rows with answers of "
            "more than function words."
        )
    known.sort(key=lambda one: (-one["risk"], -one["novelty_nats"], one["row_index"]))
    unscored: dict[str, int] = {}
    for one in records:
        if one["risk"] is None:
            unscored[one["reason"]] = unscored.get(one["reason"], 0) + 1
    about = {
        "control": "risk",
        "name": "",
        "found": {
            "n_rows": len(records),
            "n_scored": len(known),
            "novelty_nats": _quartiles([one["novelty_nats"] for one in known]),
            "density": _quartiles([one["density"] for one in known]),
            "rows": [
                {part: one[part] for part in ("row_index", "novelty_nats", "density", "risk")}
                for one in known[:MOST_ROWS]
            ],
        },
        "absent": {},
    }
    return draft.finish({"done": len(known), "skipped": {}, "unscored": unscored}, about)


def _quartiles(values: list[float]) -> list[float]:
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]
