"""One trace and what went into it, and whether two can be subtracted (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aftertune.trace.checked_spans import Proof

NO_TUNING = "its trace does not say what it was tuned on; trace it with --tuned-rows TUNE"

# Settings of a tuning in which two models may differ: they are what is compared, or only recorded.
_COMPARED = (
    "name", "base", "method", "preset", "learning_rate", "lora_rank", "lora_alpha", "lora_dropout",
    "target_modules", "dora", "quantize", "weights", "take_plan", "template", "checkpoint_seconds",
    "device", "trust_remote_code", "seed", "hold_out", "hold_out_seed", "hold_out_by", "subset",
    "subset_seed", "token_budget", "micro_batch_tokens", "gradient_checkpointing", "save_dtype",
)  # fmt: skip
_OF_ANSWERS = ("max_new_tokens", "temperature", "top_p", "top_k", "prefix", "n")
_OF_TRACE = ("name", "seed", "part_responses")  # in which two traces may differ

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """One trace and what went into it.

    about, config, version: of the trace and its stage. borrowings: its table. responses: records
    with response_id and prompt_id. evidence: names of the inputs that change what is found (a
    shift, controls), with the id of those that are the same for every model. answered: how, the
    resolved config of `respond`. tuning, split: config and table of the `tune` artefact, None where
    the trace had none. base_id: of its base. proofs: made of this trace.
    """

    trace_id: str
    about: Record
    config: Record
    borrowings: Sequence[dict[str, Any]]
    responses: Sequence[Record]
    rows_id: str
    version: int = 0
    evidence: frozenset[tuple[str, str]] = frozenset()
    answered: Record = field(default_factory=dict)
    tuning: Record | None = None
    split: Sequence[Record] | None = None
    base_id: str | None = None
    proofs: Sequence[Proof] = ()


def why_not(first: Side, second: Side, n_common: int) -> str | None:
    """Why two traces cannot be subtracted; None where they can. n_common: prompts of both."""
    for side in (first, second):
        if side.tuning is None or side.split is None:
            return f"of {side.about['name'] or side.trace_id}, {NO_TUNING}"
    if first.rows_id != second.rows_id:
        return "they were traced among other rows"
    if first.base_id != second.base_id:
        return "they were tuned from other bases"
    if _parts(first) != _parts(second):
        return "other rows were tuned on or held out; give both tunings one split (--take-plan)"
    if first.version != second.version:
        return "they were traced by two versions of the stage; trace both again"
    if first.evidence != second.evidence:
        names = sorted({name for name, _ in first.evidence ^ second.evidence})
        return f"one was traced with what the other was not ({', '.join(names)})"
    other = sorted(
        name
        for name in set(first.config) | set(second.config)
        if name not in _OF_TRACE and first.config.get(name) != second.config.get(name)
    )
    if other:
        return f"they were traced with other settings ({', '.join(other)})"
    return None if n_common else "they were asked other prompts"


def _parts(side: Side) -> set[tuple[Any, ...]]:
    names = ("row_id", "row_index", "part", "weight")
    return {tuple(one[name] for name in names) for one in side.split or ()}


def unlike(first: Side, second: Side) -> list[str]:
    """Settings other than method and rate that differ, and may be what made a difference."""
    one, other = first.tuning or {}, second.tuning or {}
    names = [name for name in one if name in other and name not in _COMPARED]
    found = [name for name in names if one[name] != other[name]]
    return found + [
        name for name in _OF_ANSWERS if first.answered.get(name) != second.answered.get(name)
    ]  # fmt: skip
