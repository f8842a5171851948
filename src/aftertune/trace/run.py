"""The stage `trace`: answers and rows in, which spans were borrowed from which rows out.

The index of the rows is kept in the user's cache under its content. Answers are traced in parts,
which a killed run keeps; error rates are made of all spans together, in the end.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Input, Plan
from aftertune.errors import InternalError
from aftertune.progress import Progress, Silent, Task
from aftertune.trace import surprisal
from aftertune.trace.config import TraceConfig
from aftertune.trace.finder import Answer, Borrowing, Finder
from aftertune.trace.indexed import finder_of, with_what_is_installed
from aftertune.trace.influenced import COLUMN, MOST, by_halves, rescored
from aftertune.trace.materials import Asked, Materials, TraceInputs, answers, check, prepare
from aftertune.trace.pool import Pooled, prompt_of
from aftertune.trace.reading import Nats
from aftertune.trace.summary import look_at, summary
from aftertune.trace.winners import error_rates, ranked, spans_of

VERSION = 6  # what surprises a model that has not seen the rows counts; weights fitted anew
LOOK_AT = "rows-to-look-at.jsonl"
PART_ROWS = 65_536  # of the table
PLANNED = 8  # answers that `plan` measures

_OF_TOKENS = [
    "response_id", "position", "token_id", "token", "char_start", "char_end", "base_logprob",
    "tuned_logprob", "base_rank_of_tuned_argmax", "tuned_entropy_nats", "kl_tuned_base_nats",
    "category",
]  # fmt: skip

_SHARED = ("char_start", "char_end", "row_start", "row_end")

Record = dict[str, Any]
Judge = Callable[[Sequence[Record]], list[float | None]]


def run(
    config: TraceConfig, inputs: TraceInputs, out: Path, progress: Progress,
    judge: Judge | None = None,
) -> Artefact:  # fmt: skip
    """Table `borrowings`, file `rows-to-look-at.jsonl`; what was found as a whole in `about`.

    judge: gives the influence of each record's row on its span (nats), where `config.influence`
    asks for it; this stage loads no model.

    Raises InputError where the inputs do not belong together or hold no answer, or where
    `config.span` stands in none.
    """
    check(inputs)
    config = _installed(config, inputs, progress)
    plan = _plan(config, inputs)
    if found := artefact.find(out, plan):
        return found
    asked = answers(config, inputs)
    materials = prepare(config, inputs, progress)
    finder = finder_of(config, materials.pool, progress)
    with artefact.draft(out, plan) as draft:
        starts = range(0, len(asked), config.part_responses)
        parts = [asked[start : start + config.part_responses] for start in starts]
        mine = draft.mine(range(len(parts)))
        done = sum(len(parts[part]) for part in mine if _scratch(draft, part).exists())
        with progress.task("tracing answers", len(asked), done) as task:
            for part in mine:
                if not _scratch(draft, part).exists():
                    found_here = _part(config, finder, parts[part], inputs.shift, materials.pool,
                                       progress, task)  # fmt: skip
                    _keep(_scratch(draft, part), found_here)
        places = [_scratch(draft, part) for part in range(len(parts))]
        if config.influence:
            _judge(config, draft, mine, places, judge, progress)
            places = [_judged(draft, part) for part in range(len(parts))]
        if finished := draft.meet():
            return finished
        return _finish(draft, config, materials, places)


def made(config: TraceConfig, inputs: TraceInputs, out: Path) -> Artefact | None:
    """The finished trace of these inputs, where there is one."""
    check(inputs)
    return artefact.find(out, _plan(_installed(config, inputs, Silent()), inputs))


def _judge(
    config: TraceConfig, draft: Draft, mine: Sequence[int], places: Sequence[Path],
    judge: Judge | None, progress: Progress,
) -> None:  # fmt: skip
    """Influence of the rows of these parts: in the base each part on its own; by halves all at
    once, since every tuning has to be loaded."""
    assert judge is not None, "the caller has models where it is asked for"
    left = [part for part in mine if not _judged(draft, part).exists()]
    records = {part: json.loads(places[part].read_bytes()) for part in left}
    if left and config.influence_base:
        n = sum(map(_gradients, records.values()))
        progress.say(f"influence in the base takes {n:,} gradients, one for each span and row")
    together = [left] if config.influence_halves else [[part] for part in left]
    with progress.task("influence of rows", len(mine), len(mine) - len(left)) as task:
        for parts in together:
            values = iter(judge([one for part in parts for one in records[part]]))
            for part in parts:
                found = [{**one, COLUMN: next(values)} for one in records[part]]
                _keep(_judged(draft, part), found)
                task.advance()


def _gradients(records: Sequence[Record]) -> int:
    """Of the spans and the rows of one part, each once."""
    return len(spans_of(records)) + len({(one["control"], one["row_index"]) for one in records})


def measure(config: TraceConfig, inputs: TraceInputs, progress: Progress) -> dict[str, float | int]:
    """What a run would take, from a few answers: {n_answers, n_rows, index_seconds, seconds,
    bytes, gradients}; those of influence in the base, at most, whose time is not in it. The index
    is made and kept, so a run does not make it again."""
    check(inputs)
    config = _installed(config, inputs, progress)
    asked = answers(config, inputs)
    materials = prepare(config, inputs, progress)
    since = time.monotonic()
    finder = finder_of(config, materials.pool, progress)
    index_seconds = time.monotonic() - since
    drawn = asked[:: max(1, len(asked) // PLANNED)][:PLANNED]
    since = time.monotonic()
    with progress.task("measuring", len(drawn)) as task:
        records = _part(config, finder, drawn, inputs.shift, materials.pool, progress, task)
    share = len(asked) / max(1, len(drawn))
    return {
        "n_answers": len(asked),
        "n_rows": len(materials.pool),
        "index_seconds": index_seconds,
        "seconds": (time.monotonic() - since) * share,
        "bytes": int(len(json.dumps(records)) * share),
        "gradients": int(_gradients(records) * share) if config.influence_base else 0,
    }


def _installed(config: TraceConfig, inputs: TraceInputs, progress: Progress) -> TraceConfig:
    return with_what_is_installed(config, inputs.shift is not None, progress)


def _plan(config: TraceConfig, inputs: TraceInputs) -> Plan:
    given: tuple[Input, ...] = tuple(one.as_input(name) for name, one in inputs.named().items())
    return Plan("trace", VERSION, config.given(), config, given)


def _part(
    config: TraceConfig, finder: Finder, asked: Sequence[Asked], shift: Artefact | None,
    pool: Sequence[Pooled], progress: Progress, task: Task,
) -> list[Record]:  # fmt: skip
    """Records of `borrowings` of some responses, without error rates."""
    found: list[Record] = []
    for answer, (_, spans) in zip(_answers(config, asked, shift, progress), asked, strict=True):
        for span in spans:
            made = [_record(answer, one, pool[one.row_index]) for one in finder.trace(answer, span)]
            for records in spans_of(made).values():
                # influence judges the first rows of either side, before they are ranked
                found += records[:MOST] if config.influence else ranked(records, config.top)
        task.advance()
    return found


def _answers(
    config: TraceConfig, asked: Sequence[Asked], shift: Artefact | None, progress: Progress
) -> list[Answer]:
    """The responses with what is known of their tokens: from the shift, or read by a model."""
    names = [record["response_id"] for record, _ in asked]
    texts = [(prompt_of(record["messages"]), record["response"]) for record, _ in asked]
    tokens = _tokens(shift, names)
    its = [tokens.get(name, ()) for name in names]
    nats: list[tuple[Nats, ...]] = [()] * len(asked)
    if config.surprisal and shift is not None:
        nats = [_nats(of) for of in its]
    elif config.surprisal:
        with progress.task("reading answers", len(asked)) as task:
            nats = surprisal.of_answers(texts, task.advance)
    return [
        Answer(name, *text, of, read)
        for name, text, of, read in zip(names, texts, its, nats, strict=True)
    ]


def _nats(tokens: Sequence[Record]) -> tuple[Nats, ...]:
    """Surprisal of the tokens in the base; nothing where it is not known of all."""
    found = [(one["char_start"], one["char_end"], one["base_logprob"]) for one in tokens]
    if any(logprob is None for _, _, logprob in found):
        return ()
    return tuple((start, end, -logprob) for start, end, logprob in found)


def _tokens(shift: Artefact | None, responses: Sequence[str]) -> dict[str, tuple[Record, ...]]:
    """Tokens of these responses, in order."""
    found: dict[str, list[Record]] = {}
    if shift is None:
        return {}
    wanted = pa.array(responses, pa.string())
    for part in shift.parts("tokens"):
        kept = part.select(_OF_TOKENS).filter(pc.is_in(part["response_id"], wanted))
        for token in kept.to_pylist():
            found.setdefault(token["response_id"], []).append(token)
    return {
        name: tuple(sorted(tokens, key=lambda token: token["position"]))
        for name, tokens in found.items()
    }


def _record(answer: Answer, one: Borrowing, row: Pooled) -> Record:
    if odd := sorted(set(one.evidence) - set(schema.EVIDENCE)):
        raise InternalError(f"table borrowings has no column for the evidence {odd}")
    inside = [
        token for token in answer.tokens
        if token["char_start"] < one.char_end and token["char_end"] > one.char_start
    ]  # fmt: skip
    return {
        "response_id": answer.response_id,
        "char_start": one.char_start,
        "char_end": one.char_end,
        "span": one.span,
        "row_id": row.row_id,
        "row_index": row.row_index,
        "cluster_id": row.cluster_id,
        "rank": one.rank,
        "score": one.score,
        "kind": one.kind,
        "shared": [dict(zip(_SHARED, places, strict=True)) for places in one.shared],
        **{name: one.evidence.get(name) for name in schema.EVIDENCE},
        "base_logprob": _sum([token["base_logprob"] for token in inside]),
        "tuned_logprob": _sum([token["tuned_logprob"] for token in inside]),
        "p_value": None,
        "q_value": None,
        "control": row.control,
        "outcome": None,
        "effect": None,
        "effect_low": None,
        "effect_high": None,
        "control_effect": None,
        "seeds": None,
    }


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _scratch(draft: Draft, part: int) -> Path:
    return draft.scratch / f"part-{part:05d}.json"


def _judged(draft: Draft, part: int) -> Path:
    return draft.scratch / f"influence-{part:05d}.json"


def _keep(path: Path, records: Sequence[Record]) -> None:
    text = json.dumps(records, ensure_ascii=False, allow_nan=False)
    artefact.write_durably(path, lambda place: place.write_bytes(text.encode("utf-8", "replace")))


def _finish(
    draft: Draft, config: TraceConfig, materials: Materials, parts: Sequence[Path]
) -> Artefact:
    """Error rates over all spans, the table, the list and the summary."""
    spans = spans_of(one for path in parts for one in json.loads(path.read_bytes()))
    if config.influence:
        again = rescored(spans) if config.influence_base else by_halves(spans)
        spans = {key: ranked(of, config.top) for key, of in again.items()}
    share = materials.share_held_out
    if share is not None:
        for key, p, q in error_rates(spans, share):
            first = next(one for one in spans[key] if one["control"] is None)
            first |= {"p_value": p, "q_value": q}
    records = [record for of_span in spans.values() for record in of_span]
    for number, some in enumerate(_tables(records)):
        draft.write(number, {"borrowings": schema.from_rows("borrowings", some)})
    about = summary(config, materials, spans)
    lines = "".join(
        json.dumps(line, ensure_ascii=False) + "\n" for line in look_at(config, materials, spans)
    )
    artefact.write_durably(
        draft.folder / LOOK_AT, lambda place: place.write_bytes(lines.encode("utf-8", "replace"))
    )
    n = Counter(record["control"] or "rows" for record in records)
    done = {"done": len(materials.responses), "skipped": {}, "unscored": {}}
    found = {"left_out": materials.left_out, "spans": len(spans), "borrowings": dict(n)}
    return draft.finish({**done, **found}, about)


def _tables(records: list[Record]) -> Iterator[list[Record]]:
    """Parts of the table; an empty one of no records, so that it exists."""
    for start in range(0, max(1, len(records)), PART_ROWS):
        yield records[start : start + PART_ROWS]
