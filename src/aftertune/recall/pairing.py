"""From two models' answers to the same facts to pairs, by way of asking (pure).

Of several draws, a fact counts as right where more than half of the answers are. Both models are
compared on the second half of the draws, on which no class rests.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.recall.facts import Fact
from aftertune.recall.paired import Pair

WAYS = ("greedy", "choice", "choice by length")

Record = Mapping[str, Any]  # of the table `recall`


@dataclass(frozen=True)
class Known:
    """How one fact was answered in one way: share of the draws that are right, and what was said
    most often (the first of those said equally often)."""

    share: float
    answer: str

    @property
    def right(self) -> bool:
        """Whether more than half of the answers are right."""
        return self.share > 0.5


def known(records: Sequence[Record], way: str, draws: range) -> dict[str, Known]:
    """fact_id -> how it was answered, in `way`, over those of `draws` that it was asked in."""
    of_fact: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        if one["way"] == way and one["draw"] in draws:
            of_fact[one["fact_id"]].append(one)
    found = {}
    for name, its in of_fact.items():
        right = [one["correct"] for one in its]
        # an answer that agrees with the verdict, so that a list of lost facts reads right
        verdict = sum(right) * 2 > len(right)
        said = Counter(one["answer"] for one in its if one["correct"] == verdict)
        found[name] = Known(sum(right) / len(right), said.most_common(1)[0][0])
    return found


def classes(records: Sequence[Record]) -> dict[str, str]:
    """fact_id -> its class in the model that these answers are of."""
    return {one["fact_id"]: one["class"] for one in records if one["class"] is not None}


def pairs(
    base: Mapping[str, Known], tuned: Mapping[str, Known], facts: Sequence[Fact],
    of_class: Mapping[str, str],
) -> list[Pair]:  # fmt: skip
    """The facts that both were asked, in their order; the class is one of the tags."""
    found = []
    for fact in facts:
        if fact.id in base and fact.id in tuned:
            tags = dict(fact.tags)
            if fact.id in of_class:
                tags["class"] = of_class[fact.id]
            found.append(Pair(fact.id, base[fact.id].right, tuned[fact.id].right, tags))
    return found
