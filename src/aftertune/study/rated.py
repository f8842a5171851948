"""Ratings as they are analysed: one record each, with the models named and the order undone (pure).

Of a person's ratings of an item the latest counts that was not withdrawn. The pilot taught people
what is asked, and a repeat tests the person: neither enters results or the agreement of people.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.study.config import OVERALL, Kind

ANNOTATOR, ADJUDICATOR = "annotator", "adjudicator"
SCORES = {"first": 1.0, "tie": 0.5, "second": 0.0}
OUTCOME, WRONG = "outcome", "whether anything is wrong"

# a word, a sign, or a letter of a script that writes no spaces between words
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]"
)


@dataclass(frozen=True)
class Rated:
    """One rating. answer: as in `answers.py`, its sides in the order of `models`.

    original: the item that it speaks of, which for a repeat is the item repeated. text: of the only
    answer, for spans. swapped: the answers stood the other way round than in `models`.
    """

    item_id: str
    original: str
    person: str
    role: str
    kind: Kind
    answer: Mapping[str, Any]
    models: tuple[str, ...]
    response_ids: tuple[str, ...]
    prompt_id: str
    text: str = ""
    pilot: bool = False
    swapped: bool = False
    batch: int = 1
    sequence: int = 0
    seconds: float | None = None
    received: str | None = None
    note: str | None = None
    withdrawn: bool = False

    @property
    def is_repeat(self) -> bool:
        return self.item_id != self.original


@dataclass(frozen=True)
class Split:
    """Ratings by what they are for; withdrawn ones are in none."""

    main: list[Rated]  # of annotators
    pilot: list[Rated]
    repeats: list[Rated]
    adjudicated: list[Rated]
    n_withdrawn: int

    @property
    def final(self) -> list[Rated]:
        """What results rest on: the adjudicator's rating where there is one, else everybody's."""
        settled = {one.item_id for one in self.adjudicated}
        return [one for one in self.main if one.item_id not in settled] + self.adjudicated


def split(rated: Iterable[Rated]) -> Split:
    """The latest rating of every person and item, by purpose."""
    latest: dict[tuple[str, str], Rated] = {}
    n_withdrawn = 0
    for one in rated:
        if one.withdrawn:
            n_withdrawn += 1
            continue
        key = one.person, one.item_id
        if key not in latest or latest[key].sequence < one.sequence:
            latest[key] = one
    kept = sorted(latest.values(), key=lambda one: (one.item_id, one.person))
    plain = [one for one in kept if not one.pilot and not one.is_repeat]
    return Split(
        main=[one for one in plain if one.role == ANNOTATOR],
        pilot=[one for one in kept if one.pilot and one.role == ANNOTATOR],
        repeats=[one for one in kept if one.is_repeat and one.role == ANNOTATOR],
        adjudicated=[one for one in plain if one.role == ADJUDICATOR],
        n_withdrawn=n_withdrawn,
    )


def values(one: Rated) -> dict[str, Hashable]:
    """aspect -> what was said, as it is compared between people.

    pairs: 1, 0.5 or 0 for the model that comes first by name. aspects: 1 to 5. outcomes: the class.
    spans: whether anything was marked (1 or 0).
    """
    if one.kind == "pairs":
        turn = one.models[0] > one.models[1]
        said = {OVERALL: one.answer[OVERALL], **one.answer.get("aspects", {})}
        return {name: 1 - SCORES[v] if turn else SCORES[v] for name, v in said.items()}
    if one.kind == "aspects":
        return {name: float(v) for name, v in one.answer["scores"].items()}
    if one.kind == "outcomes":
        return {OUTCOME: one.answer["outcome"]}
    return {WRONG: float(bool(one.answer["spans"]))}


def pair_of(one: Rated) -> tuple[str, str]:
    """The two models compared, by name: what `values` of pairs are about."""
    first, second = sorted(one.models)
    return first, second


def table(
    ratings: Sequence[tuple[Hashable, Hashable, Hashable]],
) -> list[list[Hashable | None]]:
    """[items, raters] from (item, rater, value), each pair once."""
    raters = list(dict.fromkeys(rater for _, rater, _ in ratings))
    rows: dict[Hashable, dict[Hashable, Hashable]] = defaultdict(dict)
    for item, rater, value in ratings:
        rows[item][rater] = value
    return [[row.get(rater) for rater in raters] for row in rows.values()]


def by_aspect(ratings: Sequence[Rated]) -> dict[str, list[tuple[str, str, Hashable]]]:
    """aspect -> (item, person, value)."""
    found: dict[str, list[tuple[str, str, Hashable]]] = defaultdict(list)
    for one in ratings:
        for aspect, value in values(one).items():
            found[aspect].append((one.item_id, one.person, value))
    return dict(found)


def tokens(text: str) -> list[tuple[int, int]]:
    """Characters [start, end) of the text's words and signs, over which spans are compared.

    >>> tokens("It’s 3 km."), tokens("東京 は")
    ([(0, 2), (2, 3), (3, 4), (5, 6), (7, 9), (9, 10)], [(0, 1), (1, 2), (3, 4)])
    """
    return [match.span() for match in _TOKEN.finditer(text)]


def bounds(one: Rated) -> list[tuple[int, int]]:
    """Characters [start, end) of the spans that were marked."""
    return [(span["start"], span["end"]) for span in one.answer["spans"]]
