"""Crossed halves: tunings on random halves of the rows, and what each cluster adds to a span.

Rows of the other half keep their place in the batches and lose their loss. Every tuning shuffles
otherwise, so what chance does to a span is in the interval. The numbers are made in
`controls/halves.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.artefact import Artefact
from aftertune.controls.halves import Found, halves, regress
from aftertune.controls.proof import NOT_TUNED_ON
from aftertune.errors import InputError
from aftertune.experiments import tunings as again
from aftertune.experiments.accused import Case, cases
from aftertune.experiments.cost import Cost
from aftertune.experiments.findings import keep
from aftertune.experiments.tunings import Tunings
from aftertune.experiments.verify_config import CrossedConfig
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import find
from aftertune.models.said import logprobs
from aftertune.progress import Progress

VERSION = 1
PER_CLUSTER = 4  # tunings at least for each cluster of a regression

Bools = npt.NDArray[np.bool_]


def run(
    config: CrossedConfig, responses: Artefact, out: Path, progress: Progress,
    rows: Artefact | None = None, trace: Artefact | None = None,
) -> Artefact:  # fmt: skip
    """The artefact `control-crossed-halves`: in `about["found"]`, what each cluster of accused rows
    adds to each span. trace: in which the spans were found, where one was.

    Raises InputError for a checkpoint that was tuned elsewhere, or rows that are all alike.
    """
    config = config.named()
    tunings, made = _prepared(config, responses, out, progress, rows)
    inputs = {"responses": responses, "tune": tunings.tune, "rows": tunings.rows}
    inputs |= {"trace": trace} if trace else {}

    def compute() -> tuple[dict[str, Any], dict[str, Any]]:
        found = _found(config, made, tunings)
        return found, {"done": len(made), "skipped": {}, "unscored": {}}

    return keep("crossed-halves", VERSION, config, inputs, out, compute)


def plan(
    config: CrossedConfig, responses: Artefact, out: Path, progress: Progress,
    rows: Artefact | None = None,
) -> Cost:  # fmt: skip
    """What `run` would tune; nothing is tuned."""
    config = config.named()
    return _cost(config, _prepared(config, responses, out, progress, rows)[0])


def _prepared(
    config: CrossedConfig, responses: Artefact, out: Path, progress: Progress,
    rows: Artefact | None,
) -> tuple[Tunings, list[Case]]:  # fmt: skip
    trust = config.trust_remote_code
    tunings = again.of(
        config.tuned, config.base, rows, out, progress, config.name, config.device, trust
    )
    if len(tunings.clusters) < 2:
        raise InputError(
            "the rows are all near duplicates of one another, so there are no halves; give rows "
            "that differ."
        )
    tokenizer = load_tokenizer(find(config.tuned, config.base), trust_remote_code=trust)
    return tunings, cases(config.accused, responses, tokenizer, config.most_rows, tunings)


def _cost(config: CrossedConfig, tunings: Tunings) -> Cost:
    what = "each on a random half of the rows, in an order of its own"
    return tunings.cost("crossed halves", config.n, what)


def _found(config: CrossedConfig, made: Sequence[Case], tunings: Tunings) -> dict[str, Any]:
    names = sorted(tunings.clusters)
    held = halves([len(tunings.clusters[name]) for name in names], config.n, config.seed)
    said = [case.said for case in made]
    values = []
    with tunings.progress.task("tunings on halves", config.n) as task:
        for seed, half in zip(tunings.seeds(config.n), held, strict=True):
            out_of_it = [name for name, inside in zip(names, half, strict=True) if not inside]
            lost = sorted(row for name in out_of_it for row in tunings.clusters[name])
            loaded = tunings.load(tunings.masked(seed, lost), config.dtype)
            values.append(logprobs(loaded, said))
            task.advance()
    y = np.asarray(values)  # [tuning, case]
    column = {name: place for place, name in enumerate(names)}
    records = [
        _judged(case, y[:, place], held, tunings.cluster_of, column)
        for place, case in enumerate(made)
    ]
    return {
        "cases": records,
        "n_tunings": config.n,
        "n_clusters": len(names),
        "n_rows": len(tunings.trained),
    }


def _judged(
    case: Case, y: npt.NDArray[np.float64], held: Bools, cluster_of: Mapping[int, str],
    column: Mapping[str, int],
) -> dict[str, Any]:  # fmt: skip
    """One case as JSON values. Of more clusters than the tunings bear, the best are taken."""
    named = list(dict.fromkeys(cluster_of[row] for row in case.rows))
    taken = named[: max(1, len(y) // PER_CLUSTER)]
    if not taken:
        nothing: dict[str, Any] = {"clusters": [], "group": None, "redundancy": None, "n_null": 0}
        return {**case.as_json(), **nothing, "left_out": 0, "reason": NOT_TUNED_ON}
    found = regress(y, held, [column[name] for name in taken])
    return {
        **case.as_json(),
        "clusters": _clusters(case, taken, cluster_of, found),
        "group": found.group.as_json(),
        "redundancy": found.redundancy.as_json(),
        "n_null": found.n_null,
        "left_out": len(named) - len(taken),
        "reason": None,
    }


def _clusters(
    case: Case, taken: Sequence[str], cluster_of: Mapping[int, str], found: Found
) -> list[dict[str, Any]]:
    return [
        {
            "cluster_id": name,
            "rows": sorted(row for row in case.group if cluster_of[row] == name),
            **interval.as_json(),
            "p_value": p_value,
        }
        for name, interval, p_value in zip(taken, found.clusters, found.p_values, strict=True)
    ]
