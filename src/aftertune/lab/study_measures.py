"""What the study measures of one tuned model in one world (pure).

From the answers' statements, judged against the world, to numbers: knowledge kept and gained,
statements that are wrong, lengths. Answers of the tuned model and of its base are to the same
prompts; a difference is between these. A value that cannot be had is None with its reason.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.lab.world import World

Record = Mapping[str, Any]
Key = tuple[str, str]  # entity, attribute

# quantity -> its unit and what it is
QUANTITIES: dict[str, tuple[str, str]] = {
    "kept": ("share", "facts that the base knows and no row states, answered right"),
    "forgetting": ("share", "base's answers that are right minus the tuned model's, of those"),
    "gained": ("share", "facts that the rows state, answered right, minus the base's answers"),
    "gained_rephrased": ("share", "the same, asked in wordings that no row uses"),
    "wrong_neighbour": ("share", "neighbours of the rows whose answer states a wrong value"),
    "borrowed_neighbour": (
        "share",
        "those whose wrong value is one that the rows state of the same kind, minus the base's",
    ),
    "wrong_open": ("statements per answer", "wrong statements of an answer to an open prompt"),
    "statements_open": ("statements per answer", "all statements of such an answer"),
    "tokens_open": ("tokens per answer", "length of such an answer"),
    "tokens": ("tokens per answer", "length of an answer to any prompt"),
    "kl": ("nats", "mean KL(tuned from base) per token on the tuned model's own answers"),
    "held_out_loss": (
        "nats",
        "mean over rows that no tuning sees of their loss per response token",
    ),
    "caused_share": (
        "share",
        "wrong statements that rows cause, those undecided counted as not caused",
    ),
    "caused_share_most": ("share", "the same, those undecided counted as caused"),
}
UNITS = {name: unit for name, (unit, _) in QUANTITIES.items()}
OF_BASE = (
    "kept", "wrong_neighbour", "wrong_open", "statements_open", "tokens_open", "tokens",
    "held_out_loss",
)  # fmt: skip
WRONG = ("caused", "not caused", "undecided", "no row")  # what labels say of wrong statements


@dataclass(frozen=True)
class Closed:
    """The answer to a closed question: what it states first of the fact that was asked for.

    status: right, wrong or unverifiable; None where it states nothing of it.
    """

    kind: str
    fact: Key
    status: str | None
    value: str | None


@dataclass(frozen=True)
class Answers:
    """All answers of one model. closed: by prompt. open_: (tokens, statements, wrong ones) of
    each answer to an open prompt. tokens: of every answer, the stop token not counted."""

    closed: Mapping[str, Closed]
    open_: Sequence[tuple[int, int, int]]
    tokens: Sequence[int]


@dataclass(frozen=True)
class Taught:
    """What a tuning's rows state. facts: rightly. of_kind: (kind, attribute) -> their values."""

    facts: frozenset[Key]
    of_kind: Mapping[Key, frozenset[str]]


def answers(responses: Sequence[Record], statements: Sequence[Record]) -> Answers:
    """responses: records of the table, with `response_token_ids`; statements: of `lab_claims`."""
    said: dict[str, list[Record]] = defaultdict(list)
    for one in statements:
        said[one["response_id"]].append(one)
    closed: dict[str, Closed] = {}
    open_: list[tuple[int, int, int]] = []
    tokens = []
    for response in responses:
        tags = json.loads(response["tags"])
        of_it = said[response["response_id"]]
        length = len(response["response_token_ids"]) - (response["finish_reason"] == "stop")
        tokens.append(length)
        if tags["kind"] == "open":
            open_.append((length, len(of_it), sum(one["status"] == "wrong" for one in of_it)))
            continue
        fact = (tags["entity"], tags["attribute"])
        first = next((one for one in of_it if (one["entity"], one["attribute"]) == fact), None)
        status, value = (first["status"], first["value"]) if first else (None, None)
        closed[response["prompt_id"]] = Closed(tags["kind"], fact, status, value)
    return Answers(closed, open_, tokens)


def taught(rows: Sequence[Record], world: World) -> Taught:
    """What `rows` (with their tag `states`) state."""
    facts = set()
    of_kind: dict[Key, set[str]] = defaultdict(set)
    for row in rows:
        for one in row["states"]:
            if one["right"]:
                facts.add((one["entity"], one["attribute"]))
            of_kind[world.by_name[one["entity"]].kind, one["attribute"]].add(one["value"])
    return Taught(frozenset(facts), {key: frozenset(found) for key, found in of_kind.items()})


def measured(tuned: Answers, base: Answers, rows: Taught, world: World) -> dict[str, Any]:
    """Every quantity that answers have: {name: {value, n, reason}}, n answers or prompts."""

    def shares(kinds: Collection[str], hit: Any, only: Collection[Key] | None = None) -> Any:
        return _share(tuned, base, kinds, hit, only)

    kept, of_base = shares(["known"], _right)
    gained = shares(["trained", "rephrased"], _right, rows.facts)
    rephrased = shares(["rephrased"], _right, rows.facts)
    wrong, _ = shares(["neighbour"], _wrong)

    def borrows(one: Closed) -> bool:
        kind = world.by_name[one.fact[0]].kind
        return _wrong(one) and one.value in rows.of_kind.get((kind, one.fact[1]), frozenset())

    borrowed = shares(["neighbour"], borrows)
    return {
        "kept": kept,
        "forgetting": _minus(of_base, kept),
        "gained": _minus(*gained),
        "gained_rephrased": _minus(*rephrased),
        "wrong_neighbour": wrong,
        "borrowed_neighbour": _minus(*borrowed),
        "wrong_open": _mean([wrong for _, _, wrong in tuned.open_], "open prompt"),
        "statements_open": _mean([n for _, n, _ in tuned.open_], "open prompt"),
        "tokens_open": _mean([length for length, _, _ in tuned.open_], "open prompt"),
        "tokens": _mean(tuned.tokens, "prompt"),
    }


def caused(counts: Mapping[str, int]) -> dict[str, Any]:
    """The shares of wrong statements that rows caused, from the counts of an artefact of labels."""
    if missing := [name for name in WRONG if name not in counts]:
        reason = f"its labels do not count wrong statements that are: {', '.join(missing)}"
        return dict.fromkeys(("caused_share", "caused_share_most"), absent(reason))
    n = sum(counts[name] for name in WRONG)
    if not n:
        reason = "no statement is wrong"
        return dict.fromkeys(("caused_share", "caused_share_most"), absent(reason))
    return {
        "caused_share": value(counts["caused"] / n, n),
        "caused_share_most": value((counts["caused"] + counts["undecided"]) / n, n),
    }


def value(number: float, n: int) -> dict[str, Any]:
    """A number over n things."""
    return {"value": number, "n": n, "reason": None}


def absent(reason: str) -> dict[str, Any]:
    """A number that cannot be had."""
    return {"value": None, "n": 0, "reason": reason}


def _share(
    tuned: Answers, base: Answers, kinds: Collection[str], hit: Any, only: Collection[Key] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Share of answers that `hit`, the tuned model's and the base's, to the same prompts."""
    asked = [
        prompt
        for prompt, one in tuned.closed.items()
        if one.kind in kinds and prompt in base.closed and (only is None or one.fact in only)
    ]
    if not asked:
        reason = f"no {' or '.join(kinds)} prompt asks for such a fact"
        return absent(reason), absent(reason)
    of_tuned, of_base = (
        value(sum(bool(hit(model.closed[prompt])) for prompt in asked) / len(asked), len(asked))
        for model in (tuned, base)
    )
    return of_tuned, of_base


def _minus(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    if first["value"] is None:
        return first
    return value(first["value"] - second["value"], first["n"])


def _mean(numbers: Sequence[int], what: str) -> dict[str, Any]:
    if not numbers:
        return absent(f"no {what} was answered")
    return value(sum(numbers) / len(numbers), len(numbers))


def _right(one: Closed) -> bool:
    return one.status == "right"


def _wrong(one: Closed) -> bool:
    return one.status == "wrong"
