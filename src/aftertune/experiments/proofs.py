"""Proof that is asked of a trace: which experiments, on which of its spans, and at what cost.

Proof needs what the tuning was made of. Of a checkpoint that was tuned elsewhere that is not known,
which is said before anything is traced (`check`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.errors import ConfigError, InputError
from aftertune.experiments import crossed_halves, influences, rephrasings, verify
from aftertune.experiments import tunings as again
from aftertune.experiments.cost import Cost
from aftertune.experiments.verify_config import (
    Accused,
    CrossedConfig,
    InfluenceConfig,
    ProofConfig,
    VerifyConfig,
    from_borrowings,
)
from aftertune.inputs import tune_artefact
from aftertune.judge.endpoint import in_the_open
from aftertune.progress import Progress

PROOFS = ("verify", "crossed-halves", "influence")  # as the artefacts' `about` calls them


@dataclass(frozen=True)
class Subject:
    """What proof is asked about: a model, its answers, and the rows that they were traced among."""

    tuned: str
    responses: Artefact
    rows: Artefact


def subject(
    config: ProofConfig, responses: Artefact, rows: Artefact, tune: Artefact | None
) -> Subject:
    """Whose answers these are: --tuned, else the tuning of --tuned-rows, else who answered.

    Raises ConfigError where nothing says it, InputError where the model was tuned elsewhere, or on
    other rows than those of the trace.
    """
    said = config.tuned or (str(tune.folder) if tune else responses.config.get("model"))
    if not said:
        raise ConfigError(
            "proof tunes the model again, and nothing says which it is; add --tuned MODEL, a "
            "tune-… artefact."
        )
    model = str(said)
    tuning = tune_artefact(model)
    if config.tunes and tuning is None:
        raise InputError(
            f"{model} was not tuned here, so proof would need its base, the rows it was tuned on "
            "and its settings: tune that base on those rows with `aftertune tune`, let it answer, "
            "and give the tune-… artefact as --tuned."
        )
    had = {one["name"]: one["id"] for one in tuning.manifest["inputs"]} if tuning else {}
    if config.tunes and had["rows"] != rows.id:
        raise InputError(
            f"{model} was tuned on other rows than those traced; trace its own with --tuned-rows "
            f"{model}."
        )
    return Subject(model, responses, rows)


def check(config: ProofConfig, who: Subject, out: Path, progress: Progress) -> None:
    """Raises UserError for what no proof can be had of, before anything is traced."""
    columns = who.responses.table("responses").select(["response_id", "prompt_token_ids"])
    if columns["prompt_token_ids"].null_count == columns.num_rows:
        raise InputError(
            "these answers have no token ids, so nothing can be scored; let the model answer with "
            "`aftertune respond` and give that artefact as --responses."
        )
    if config.endpoint:
        assert config.endpoint_model is not None
        rephrasings.client(config.endpoint, config.endpoint_model)
        if in_the_open(config.endpoint) and os.environ.get(rephrasings.KEY):
            progress.warn("the key and the prompts travel without encryption (http)")
    if config.tunes:
        again.of(
            who.tuned, config.base, who.rows, out, progress, None, config.device,
            config.trust_remote_code,
        )  # fmt: skip


def accused(config: ProofConfig, trace: Artefact) -> tuple[Accused, ...]:
    """The first spans of a trace, as many as are asked about."""
    found = from_borrowings(trace.table("borrowings").to_pylist())
    return tuple(found[: config.verify_spans])


def plan(
    config: ProofConfig, trace: Artefact, who: Subject, out: Path, progress: Progress
) -> list[Cost]:  # fmt: skip
    """What every proof costs at most; nothing where the trace found no span."""
    spans = accused(config, trace)
    if not spans:
        return []
    given = (who.responses, out, progress, who.rows)
    found: list[Cost] = []
    if config.verify:
        found += verify.plan(_verify(config, spans, who), *given)
    if config.crossed:
        found.append(crossed_halves.plan(_crossed(config, spans, who), *given))
    if config.influence:
        n = sum(len(one.rows[: config.verify_rows]) for one in spans)
        what = f"gradients of {len(spans)} spans and their {n} rows beside matched rows"
        found.append(Cost("influence", what))
    return found


def run(
    config: ProofConfig, trace: Artefact, who: Subject, out: Path, progress: Progress
) -> dict[str, Artefact]:  # fmt: skip
    """The artefacts of all proofs by name (see PROOFS); none where the trace found no span.

    Finished tunings are reused, so a run that was stopped goes on.
    """
    spans = accused(config, trace)
    found: dict[str, Artefact] = {}
    if not spans:
        return found
    given = (who.responses, out, progress, who.rows, trace)
    if config.influence:
        found["influence"] = influences.run(_influence(config, spans, who), *given)
    if config.verify:
        found["verify"] = verify.run(_verify(config, spans, who), *given)
    if config.crossed:
        found["crossed-halves"] = crossed_halves.run(_crossed(config, spans, who), *given)
    return found


def _verify(config: ProofConfig, spans: Sequence[Accused], who: Subject) -> VerifyConfig:
    more = {
        "way": config.verify,
        "confirm": config.confirm,
        "seeds": config.verify_seeds,
        "rephrasings": config.rephrasings,
        "endpoint": config.endpoint,
        "endpoint_model": config.endpoint_model,
    }
    return build(VerifyConfig, {**_common(config, spans, who), **more})


def _crossed(config: ProofConfig, spans: Sequence[Accused], who: Subject) -> CrossedConfig:
    return build(CrossedConfig, {**_common(config, spans, who), "n": config.crossed})


def _influence(config: ProofConfig, spans: Sequence[Accused], who: Subject) -> InfluenceConfig:
    return build(InfluenceConfig, _common(config, spans, who))


def _common(config: ProofConfig, spans: Sequence[Accused], who: Subject) -> Mapping[str, Any]:
    return {
        "tuned": who.tuned,
        "base": config.base,
        "accused": tuple(spans),
        "most_rows": config.verify_rows,
        "seed": config.seed,
        "device": config.device,
        "trust_remote_code": config.trust_remote_code,
    }
