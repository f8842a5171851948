"""Proof by swap: the rows that a span is accused of borrowing from state another value instead.

All accused rows of all spans get fresh values of the same type in one tuning, each its own (a tag),
and so do as many matched rows that have nothing to do with it. Does the answer, continued from its
original prefix up to the span, take the tag of its own rows? How often it takes the other tag is
chance. A span that took its tag is proposed; masking confirms it. Beside that stands

    effect = mean over seeds of (log p(own tag) - log p(other tag)), nats

in the span's place, and the same difference in the original tuning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan
from aftertune.config import StageConfig
from aftertune.controls import proof, removal, substitutes
from aftertune.controls.substitutes import Lexicon, Value
from aftertune.experiments.accused import Case, continued, texts
from aftertune.experiments.cost import Cost
from aftertune.experiments.tunings import Record, Tunings
from aftertune.experiments.verify_config import VerifyConfig
from aftertune.experiments.verify_tags import Slots
from aftertune.models.generate import decode
from aftertune.models.load import Loaded
from aftertune.models.said import Said, alternatives, logprobs
from aftertune.stats.bounds import share

VERSION = 1
PART_ROWS = 4096
SLACK = 4  # tokens generated beyond those of the span and of its tag

NO_ROWS = proof.NOT_TUNED_ON
NO_VALUE = "no number, name or content word of the span stands in its best row"
SAID_BEFORE = "its value stands in the prompt or earlier in the answer"
NO_TAG = "no other value of its type could be found"
NO_CONTROL = "no matched rows hold a value of its type"


@dataclass(frozen=True)
class Swap:
    """One case's exchange: the value in its rows for `tag`, and in matched rows, each a value of
    its own, for `control_tag`."""

    value: Value
    tag: str
    rows: frozenset[int]
    control: dict[int, str]  # row -> the value in it that is exchanged
    control_tag: str


@dataclass(frozen=True)
class Taken:
    """What the answer says where the span stood, by seed: its own rows' tag, the control's, the
    value as it was; and both tags' log-probabilities there, (own, control), nats."""

    own: list[bool]
    control: list[bool]
    kept: list[bool]
    tags: list[tuple[float, float]]

    def add(self, swap: Swap, text: str, tags: tuple[float, float]) -> None:
        """One more seed."""
        self.own.append(substitutes.holds(text, swap.tag))
        self.control.append(substitutes.holds(text, swap.control_tag))
        self.kept.append(substitutes.holds(text, swap.value.text))
        self.tags.append(tags)


class SwappedConfig(StageConfig):
    """Rows in which values were exchanged: row_index, value, other."""

    control: str = "swap"
    exchanges: tuple[tuple[int, str, str], ...]


def plan(config: VerifyConfig, cases: Sequence[Case], tunings: Tunings) -> Cost:
    """What it costs, beside taking out row by row what it asks about."""
    swaps = swaps_of(config, cases, tunings)
    n = sum(isinstance(one, Swap) for one in swaps)
    return tunings.cost(
        "swap",
        config.seeds if n else 0,
        f"one for each of {config.seeds} shuffle seeds, in which the rows of {n} of {len(cases)} "
        "spans and as many others state other values; taking their rows out one by one would be "
        f"{one_by_one(config, cases, swaps)} tunings",
    )


def one_by_one(config: VerifyConfig, cases: Sequence[Case], swaps: Sequence[Swap | str]) -> int:
    """Tunings that it would take to remove every accused row of the spans that are asked about on
    its own, and none: for each shuffle seed, without control rows."""
    rows = {row for case, one in zip(cases, swaps, strict=True)
            if isinstance(one, Swap) for row in case.rows}  # fmt: skip
    return config.seeds * (1 + len(rows)) if rows else 0


def run(config: VerifyConfig, cases: Sequence[Case], tunings: Tunings) -> dict[str, Any]:
    """What was found: per case whether its answer took its tag, a control's, and how often any."""
    swaps = swaps_of(config, cases, tunings)
    asked = [(case, one) for case, one in zip(cases, swaps, strict=True) if isinstance(one, Swap)]
    seeds = tunings.seeds(config.seeds)
    rows = changed_rows([one for _, one in asked], tunings) if asked else tunings.rows
    taken = [Taken([], [], [], []) for _ in asked]
    with tunings.progress.task("tunings on exchanged values", len(seeds)) as task:
        before = _tags(asked, tunings.load(tunings.tune, config.dtype)) if asked else []
        for seed in seeds if asked else ():
            loaded = tunings.load(tunings.changed(seed, rows), config.dtype)
            said = zip(_answers(asked, loaded), _tags(asked, loaded), strict=True)
            for (_, swap), one, (text, tags) in zip(asked, taken, said, strict=True):
                one.add(swap, text, tags)
            task.advance()
    found = proof.swapped([one.own for one in taken], [one.control for one in taken])
    proposed = found.pop("proposed")
    left = [len(tunings.saying(one.value.text) - one.rows) for _, one in asked]
    records = _records(cases, swaps, taken, before, left, proposed)
    control = [2 * sum(one.control) > len(one.control) for one in taken]
    return {
        "way": "swap",
        **found,
        "false_tags": share(sum(control), len(control)),
        "proposed": sum(proposed),
        "cases": records,
        "seeds": seeds,
        "n_tunings": len(seeds) if asked else 0,
        "n_one_by_one": one_by_one(config, cases, swaps),
    }


def swaps_of(config: VerifyConfig, cases: Sequence[Case], tunings: Tunings) -> list[Swap | str]:
    """The exchange of each case, or why there is none. Spans of one value whose rows overlap share
    theirs."""
    spoken = {row["row_index"]: _answer(row) for row in tunings.table}
    learnt = {row: spoken[row] for row in tunings.trained}
    lexicon = Lexicon(learnt)
    prompts = {row["row_index"]: _asked(row) for row in tunings.table}
    slots = Slots(lexicon, learnt, {row: prompts[row] for row in learnt})
    near = tunings.nearness([case.prompt for case in cases])
    chosen = [_values(case, spoken, slots) for case in cases]
    first = [of if isinstance(of, str) else of[0] for of in chosen]
    used: set[str] = set()
    taken = set().union(*(case.group for case in cases))  # rows that are no control any more
    found: list[Swap | str] = []
    for place, (case, values) in enumerate(zip(cases, chosen, strict=True)):
        one: Swap | str = values if isinstance(values, str) else NO_TAG
        for value in () if isinstance(values, str) else values:
            rows = _rows_with(value, place, cases, first, spoken)
            earlier = (
                swap for swap in found
                if isinstance(swap, Swap) and (swap.value, swap.rows) == (value, rows)
            )  # fmt: skip
            one = next(earlier, None) or _swap(
                case, value, rows, near[place], slots, used, taken, tunings.lengths, config.seed
            )
            if isinstance(one, Swap):
                used |= {one.tag, one.control_tag}
                taken |= one.control.keys()
                first[place] = value
                break
        found.append(one)
    return found


def _values(case: Case, spoken: dict[int, str], slots: Slots) -> list[Value] | str:
    """What can be exchanged, the likeliest value first; or why nothing can."""
    if not case.rows:
        return NO_ROWS
    among = slots.values(substitutes.carried(case.span, spoken[case.rows[0]]), case.rows)
    if not among:
        return NO_VALUE
    before = case.record["response"][: case.accused.char_start]
    fresh = [
        one for one in among
        if not any(substitutes.holds(text, one.text) for text in (case.prompt, before))
    ]  # fmt: skip
    return fresh or SAID_BEFORE


def _rows_with(
    value: Value, place: int, cases: Sequence[Case], chosen: Sequence[Value | str],
    spoken: dict[int, str],
) -> frozenset[int]:  # fmt: skip
    """Rows of the case that hold a value, and of cases with the same value whose rows overlap."""
    rows = set(cases[place].group)
    others = [case.group for case, one in zip(cases, chosen, strict=True) if one == value]
    while more := [group for group in others if group & rows and not group <= rows]:
        rows.update(*more)
    return frozenset(row for row in rows if substitutes.holds(spoken[row], value.text))


def _swap(
    case: Case, value: Value, rows: frozenset[int], nearness: dict[int, float], slots: Slots,
    used: set[str], taken: set[int], lengths: dict[int, int], seed: int,
) -> Swap | str:  # fmt: skip
    """Tags for a case's rows and for as many matched ones with a value of the same type."""
    size = len(value.text.split(" "))
    held: dict[int, str] = {}
    lexicon = slots.lexicon
    for alike, places in lexicon.rows.items():
        if alike.kind == value.kind and len(alike.text.split(" ")) == size:
            held |= dict.fromkeys(places - taken - held.keys(), alike.text)
    held = {row: text for row, text in held.items() if text != value.text}
    control = removal.matched(sorted(rows), held, lengths, nearness, seed)
    if control is None:
        return NO_CONTROL
    topic = {row for row, near in nearness.items() if near > 0} | case.group
    tags: list[str] = []
    for draw in (seed, seed + 1):
        said = [case.prompt, case.record["response"], *used, *tags]
        tag = slots.tag(value, rows, topic, said, draw) if value.kind != "number" else None
        tag = tag or lexicon.fresh(value, topic, said, draw)
        tag = tag or lexicon.fresh(value, case.group, said, draw)
        if tag is None:
            return NO_TAG
        tags.append(tag)
    return Swap(value, tags[0], rows, {row: held[row] for row in control}, tags[1])


def changed_rows(swaps: Sequence[Swap], tunings: Tunings) -> Artefact:
    """The rows with all exchanges made, everywhere in a row, as a `rows-…` artefact.

    Each keeps its row_id and row_index, so split and batch plan are those of the rows as they were.
    """
    exchanges = sorted(
        {(row, one.value.text, one.tag) for one in swaps for row in one.rows}
        | {(row, text, one.control_tag) for one in swaps for row, text in one.control.items()}
    )
    config = SwappedConfig(exchanges=tuple(exchanges))
    planned = Plan("rows", VERSION, config.given(), config, (tunings.rows.as_input("rows"),))
    if found := artefact.find(tunings.out, planned):
        return found
    by_row: dict[int, list[tuple[str, str]]] = {}
    for row, text, other in exchanges:
        by_row.setdefault(row, []).append((text, other))
    records = [_exchanged(row, by_row.get(row["row_index"], [])) for row in tunings.table]
    with artefact.draft(tunings.out, planned) as draft:
        for index, start in enumerate(range(0, len(records), PART_ROWS)):
            part = schema.from_rows("rows", records[start : start + PART_ROWS])
            draft.write(index, {"rows": part})
        counts = {"done": len(by_row), "skipped": {}, "unscored": {}}
        return draft.finish(counts, {"swapped_from": tunings.rows.id})


def _exchanged(row: Record, pairs: Sequence[tuple[str, str]]) -> Record:
    messages = []
    for message in row["messages"]:
        text = message["content"]
        for value, other in sorted(pairs, key=lambda one: -len(one[0])) if text else ():
            text = substitutes.replaced(text, value, other)
        messages.append({**message, "content": text})
    return {**row, "messages": messages}


def _answers(asked: Sequence[tuple[Case, Swap]], loaded: Loaded) -> list[str]:
    """What the model says from the prefix up to each span on, about as long as span and tag."""
    items, lengths = [], []
    for case, one in asked:
        items.append(_from_space(case.said, loaded))
        of_tag = loaded.tokenizer(" " + one.tag, add_special_tokens=False).input_ids
        lengths.append(items[-1].end - items[-1].first + len(of_tag) + SLACK)
    return texts(loaded, continued(loaded, items, lengths))


def _tags(asked: Sequence[tuple[Case, Swap]], loaded: Loaded) -> list[tuple[float, float]]:
    """Per case the log-probability of its own rows' tag and of the control's where the span states
    its value, nats."""
    items: list[Said] = []
    for case, one in asked:
        start, end = case.accused.char_start, case.accused.char_end
        at = re.search(re.escape(one.value.text), case.span, re.IGNORECASE)
        place = (start + at.start(), start + at.end()) if at else (start, end)
        text = case.record["response"]
        items += alternatives(
            loaded.tokenizer, case.said.prompt, case.said.response, text, place,
            [one.tag, one.control_tag],
        )  # fmt: skip
    values = logprobs(loaded, items)
    return list(zip(values[::2], values[1::2], strict=True))


def _from_space(said: Said, loaded: Loaded) -> Said:
    """The span with the white space before it: a tag's first token may begin with that space, and
    could not follow it."""
    first = said.first
    while first > 0 and not decode(loaded.tokenizer, [said.response[first - 1]]).strip():
        first -= 1
    return replace(said, first=first)


def _records(
    cases: Sequence[Case], swaps: Sequence[Swap | str], taken: Sequence[Taken],
    before: Sequence[tuple[float, float]], left: Sequence[int], proposed: Sequence[bool],
) -> list[dict[str, Any]]:  # fmt: skip
    found, place = [], 0
    for case, one in zip(cases, swaps, strict=True):
        if isinstance(one, str):
            nothing = dict.fromkeys((
                "value", "kind", "tag", "control_tag", "took_tag", "took_control", "kept_value",
                "rows_left", "proposed", "outcome", "effect",
            ))  # fmt: skip
            found.append({**case.as_json(), **nothing, "reason": one})
            continue
        found.append(
            {
                **case.as_json(),
                "value": one.value.text,
                "kind": one.value.kind,
                "tag": one.tag,
                "control_tag": one.control_tag,
                "took_tag": sum(taken[place].own),
                "took_control": sum(taken[place].control),
                "kept_value": sum(taken[place].kept),
                "rows_left": left[place],
                "proposed": proposed[place],
                "outcome": proof.swap_outcome(proposed[place], taken[place].kept, left[place]),
                "effect": proof.swap_effect(taken[place].tags, before[place]),
                "reason": None,
            }
        )
        place += 1
    return found


def _asked(row: Record) -> str:
    return "\n".join(m["content"] or "" for m in row["messages"] if m["role"] == "user")


def _answer(row: Record) -> str:
    said = [m["content"] or "" for m in row["messages"] if m["role"] == "assistant"]
    return "\n".join(said)
