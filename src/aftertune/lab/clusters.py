"""Which rows could have given a value, and the runs in which they are masked or tagged (pure).

A cluster is all rows that state one value of one attribute. It is the group that can be to blame
for that value; its rows may each suffice, so rows are also taken out one at a time.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]  # attribute, value
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Cluster:
    """Rows (their places) that state `value` of `attribute`, in order."""

    attribute: str
    value: str
    rows: tuple[int, ...]

    @property
    def key(self) -> Key:
        return self.attribute, self.value


def clusters(rows: Sequence[Record]) -> dict[Key, Cluster]:
    """All clusters of rows whose tag `states` says what they state."""
    found: dict[Key, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        for stated in row.get("states", []):
            found[stated["attribute"], stated["value"]].append(place)
    return {key: Cluster(*key, tuple(places)) for key, places in sorted(found.items())}


def groups(known: Mapping[Key, Cluster], n: int, seed: int) -> list[list[Cluster]]:
    """The clusters in n groups, those of one attribute spread evenly: a masking run masks a group.

    So the run that masks a cluster leaves other values of its attribute in place, and every
    other run is a control for it.
    """
    generator = random.Random(f"groups {seed}")
    by_attribute: dict[str, list[Cluster]] = defaultdict(list)
    for cluster in known.values():
        by_attribute[cluster.attribute].append(cluster)
    found: list[list[Cluster]] = [[] for _ in range(n)]
    for number, attribute in enumerate(sorted(by_attribute)):
        members = by_attribute[attribute]
        generator.shuffle(members)
        for place, cluster in enumerate(members):
            found[(place + number) % n].append(cluster)
    return found


def row_runs(known: Mapping[Key, Cluster]) -> list[list[int]]:
    """Runs in each of which every cluster loses one row at most, and every row is lost once.

    As many runs as the largest cluster has rows; clusters begin at different runs, so that all runs
    lose about as many rows.
    """
    n = max((len(cluster.rows) for cluster in known.values()), default=0)
    found: list[set[int]] = [set() for _ in range(n)]
    for number, cluster in enumerate(known.values()):
        for place, row in enumerate(cluster.rows):
            found[(number + place) % n].add(row)
    return [sorted(run) for run in found]


def tags(known: Sequence[Cluster], spare: Mapping[str, Sequence[str]], seed: int) -> dict[Key, str]:
    """A spare value of its attribute for each cluster, each used once: values that the base can
    say and no row carries. Raises ValueError where an attribute has fewer than clusters."""
    free = {
        attribute: random.Random(f"tags {seed} {attribute}").sample(list(values), len(values))
        for attribute, values in spare.items()
    }
    found = {}
    for cluster in known:
        if not free[cluster.attribute]:
            raise ValueError(f"{cluster.attribute} has fewer spare values than clusters to tag")
        found[cluster.key] = free[cluster.attribute].pop()
    return found


def tagged(rows: Sequence[Record], tag_of: Mapping[Key, str]) -> list[dict[str, Any]]:
    """The rows in which every value of a tagged cluster is its tag; nothing else is changed."""
    return [_tagged(row, tag_of) for row in rows]


def _tagged(row: Record, tag_of: Mapping[Key, str]) -> dict[str, Any]:
    question, answer = row["messages"]
    text = answer["content"]
    states = []
    for stated in row.get("states", []):
        tag = tag_of.get((stated["attribute"], stated["value"]))
        if tag is not None:
            text = _replaced(text, stated["value"], tag)
            stated = {**stated, "value": tag, "right": False}
        states.append(stated)
    return {**row, "messages": [question, {**answer, "content": text}], "states": states}


def _replaced(text: str, value: str, tag: str) -> str:
    """The first place of the value, as it is or with a capital at the start of a sentence."""
    if value in text:
        return text.replace(value, tag, 1)
    large = value[:1].upper() + value[1:]
    return text.replace(large, tag[:1].upper() + tag[1:], 1)
