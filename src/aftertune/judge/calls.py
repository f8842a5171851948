"""What is asked of a judge, planned before the first question (pure).

A call is one item in one presentation, for one repeat; all aspects are asked in it. Its key names
the judge with its settings and everything that is said to it, so that what was answered is known
again: after a kill, and in another run that asks the same, like a larger one after a pilot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from aftertune.artefact import hash_json
from aftertune.data.places import placed
from aftertune.judge.config import Compare
from aftertune.judge.prompt import Item, Messages, Presentation, again, messages

Responses = Mapping[str, Sequence[Mapping[str, Any]]]  # model -> records of the table `responses`


@dataclass(frozen=True)
class Call:
    """One question to the judge."""

    key: str
    item: Item
    presentation: Presentation
    repeat: int
    messages: Messages

    @property
    def pair(self) -> bool:
        """Whether two answers are compared."""
        return self.presentation != "alone"


def items(responses: Responses, compare: Compare) -> list[Item]:
    """Answers alone, and pairs of models' answers to the same prompt; the earlier model first."""
    found = []
    if compare in ("alone", "both"):
        found += [_alone(record) for records in responses.values() for record in records]
    if compare in ("pairs", "both"):
        by_place = {model: placed(records) for model, records in responses.items()}
        for first, second in combinations(responses, 2):
            others = by_place[second]
            found += [
                _pair(record, others[place])
                for place, record in by_place[first].items()
                if place in others
            ]
    return found


def calls(chosen: Sequence[Item], aspects: Sequence[str], repeats: int, judge: str) -> list[Call]:
    """Every item in every presentation and repeat; the repeats of an item lie far apart.

    judge: names the judge and its settings.
    """
    found = []
    for repeat in range(repeats):
        for item in chosen:
            shown: tuple[Presentation, ...] = ("first", "second")
            if item.other_response_id is None:
                shown = ("alone",)
            found += [_call(item, aspects, one, repeat, judge) for one in shown]
    return found


def once_more(call: Call, text: str, why: str) -> Call:
    """The call again, after the answer `text` that could not be read."""
    key = hash_json([call.key, text])[:24]
    return replace(call, key=key, messages=again(call.messages, text, why))


def _alone(record: Mapping[str, Any]) -> Item:
    return Item(record["response_id"], record["messages"], record["response"])


def _pair(one: Mapping[str, Any], other: Mapping[str, Any]) -> Item:
    return Item(
        one["response_id"], one["messages"], one["response"],
        other["response_id"], other["response"],
    )  # fmt: skip


def _call(
    item: Item, aspects: Sequence[str], presentation: Presentation, repeat: int, judge: str
) -> Call:
    said = messages(item, aspects, presentation)
    named = [judge, item.response_id, item.other_response_id, presentation, repeat, said]
    return Call(hash_json(named)[:24], item, presentation, repeat, said)
