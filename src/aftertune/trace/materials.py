"""What goes into a trace: answers, the spans asked of them, and the pool of rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aftertune.artefact import Artefact
from aftertune.errors import ArtefactError, InputError
from aftertune.progress import Progress
from aftertune.trace import pool as pools
from aftertune.trace.config import TraceConfig
from aftertune.trace.pool import Pooled

Record = dict[str, Any]
Asked = tuple[Record, list[tuple[int, int] | None]]  # a response, and the spans asked of it


@dataclass(frozen=True)
class TraceInputs:
    """responses: from `respond`. shift: of these responses. tune: whose split says which rows were
    tuned on. controls: name -> rows that the model never saw."""

    responses: Artefact
    rows: Artefact
    shift: Artefact | None = None
    tune: Artefact | None = None
    controls: Mapping[str, Artefact] = field(default_factory=dict)

    def named(self) -> dict[str, Artefact]:
        """All of them under the names that the manifest gives them."""
        given = {"responses": self.responses, "rows": self.rows, "shift": self.shift,
                 "tune": self.tune}  # fmt: skip
        found = {name: one for name, one in given.items() if one is not None}
        return {**found, **{f"control {name}": one for name, one in self.controls.items()}}


@dataclass(frozen=True)
class Materials:
    """responses: records with response_id, model, messages and response. pool: in its own order.

    left_out: rows that are in no side, by reason. split_known: whether the tuning's own split said
    which rows it used.
    """

    responses: list[Record]
    pool: list[Pooled]
    left_out: dict[str, int]
    split_known: bool

    @property
    def share_held_out(self) -> float | None:
        """Of the clusters, those that were held out; None where none was."""
        found = pools.clusters(self.pool)
        held = found.get(pools.HELD_OUT, 0)
        return held / (held + found[None]) if held else None

    def chance(self, control: str) -> float:
        """Of the clusters of the rows tuned on and of a control, the share of the former."""
        found = pools.clusters(self.pool)
        return found[None] / (found[None] + found[control])

    @property
    def controls(self) -> list[str]:
        """Names of the controls other than held-out rows, in order."""
        names = dict.fromkeys(row.control for row in self.pool)
        return sorted(name for name in names if name not in (None, pools.HELD_OUT))


def prepare(config: TraceConfig, inputs: TraceInputs, progress: Progress) -> Materials:
    """Answers and the pool of rows, with what was left out and why."""
    rows = inputs.rows.table("rows").to_pylist()
    split = inputs.tune.table("split").to_pylist() if inputs.tune else None
    pool, others = pools.split_rows(rows, split)
    if not any(row.control is None for row in pool):
        raise InputError("none of these rows was tuned on; give --data the rows of the tuning.")
    left_out = {f"rows: {reason}": n for reason, n in others.items()}
    known = list(pool)
    for name, control in inputs.controls.items():
        unseen, reasons = pools.unseen(name, control.table("rows").to_pylist(), known)
        if not unseen:
            raise InputError(
                f"every row of the control {name} is a near duplicate of a row; give rows that the "
                "model never saw."
            )
        pool += unseen
        left_out |= {f"{name}: {reason}": n for reason, n in reasons.items()}
    if config.permuted:
        pool += pools.permuted(known, config.seed)
    for what, n in left_out.items():
        progress.say(f"{n:,} left aside ({what})")
    columns = ["response_id", "model", "messages", "response"]
    responses = inputs.responses.table("responses").select(columns).to_pylist()
    return Materials(responses, pools.ordered(pool), left_out, inputs.tune is not None)


def check(inputs: TraceInputs) -> None:
    """Raises InputError or ArtefactError where the inputs do not belong together."""
    wanted = {"responses": ("respond", "responses"), "rows": ("rows", "rows"),
              "shift": ("shift", "tokens"), "tune": ("tune", "split")}  # fmt: skip
    for name, given in inputs.named().items():
        stage, table = wanted.get(name, ("rows", "rows"))
        if given.stage != stage or table not in given.tables:
            raise ArtefactError(f"{given.folder} is no {stage}-… artefact; give one.")
    if inputs.shift:
        of = {one["name"]: one["id"] for one in inputs.shift.manifest["inputs"]}
        if of.get("responses") != inputs.responses.id:
            raise InputError(
                f"{inputs.shift.folder} is the shift of other answers; give the one that was "
                f"measured on {inputs.responses.id}."
            )
    for name in (pools.HELD_OUT, pools.PERMUTED):
        if name in inputs.controls:
            raise InputError(f"a control cannot be called {name}; rename its file.")


def answers(config: TraceConfig, inputs: TraceInputs) -> list[Asked]:
    """The responses that are traced; with `config.span` those that hold it, at every occurrence."""
    columns = ["response_id", "messages", "response"]
    records = inputs.responses.table("responses").select(columns).to_pylist()
    if config.span is None:
        return [(record, [None]) for record in records]
    asked = [(record, occurrences(config.span, record["response"])) for record in records]
    found: list[Asked] = [(record, list(spans)) for record, spans in asked if spans]
    if not found:
        raise InputError(
            f"none of the {len(records):,} answers holds {config.span[:80]!r}; give --span "
            "words as they stand in an answer, upper and lower case as there."
        )
    return found


def occurrences(phrase: str, text: str) -> list[tuple[int, int]]:
    """Every place of a phrase in a text, [start, end), without overlaps.

    >>> occurrences("aa", "aaaa b aa")
    [(0, 2), (2, 4), (7, 9)]
    """
    found, at = [], text.find(phrase)
    while at >= 0:
        found.append((at, at + len(phrase)))
        at = text.find(phrase, at + len(phrase))
    return found
