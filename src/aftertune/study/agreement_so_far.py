"""While a study runs: how far its people agree so far, and where they do not (pure).

For the organiser's page, so with few draws; `study analyze` says it with care. Ratings are the
store's: mappings with item_id, person_id, answer (as shown) and swapped. Only items that count are
to be given: neither the pilot nor repeats.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from aftertune.stats.agreement import krippendorff_alpha, percent_agreement
from aftertune.stats.ratings import by_rater
from aftertune.stats.span_agreement import Marks, marked, span_agreement
from aftertune.study.answers import as_stored
from aftertune.study.config import OVERALL, Kind
from aftertune.study.rated import tokens

Record = Mapping[str, Any]
DRAWS = 200  # of intervals that are looked at, not published
FAR = 2  # points of an aspect, from which on two people disagree
SHARED = 0.5  # token F1 of two people's marks, below which they disagree
MARKED = "whether anything is wrong"


@dataclass(frozen=True)
class Disagreement:
    """An item of which people say different things. distance: from 0 to 1, 1 the farthest."""

    item_id: str
    distance: float
    about: str


def agreement(kind: Kind, ratings: Sequence[Record], texts: Mapping[str, str]) -> list[Record]:
    """[{aspect, measure, interval}]: percent agreement and Krippendorff's alpha per aspect.

    alpha is ordinal for scores and nominal for the rest. For spans also token F1. texts: item ->
    its first answer. Empty without ratings.
    """
    entries: dict[str, list[tuple[str, str, Hashable]]] = defaultdict(list)
    for one in ratings:
        for aspect, value in said(kind, one).items():
            entries[aspect].append((one["item_id"], one["person_id"], value))
    found = []
    for aspect, some in entries.items():
        table = by_rater(*zip(*some, strict=True))
        alpha = krippendorff_alpha(
            table, "ordinal" if kind == "aspects" else "nominal", draws=DRAWS
        )
        percent = percent_agreement(table, draws=DRAWS)
        found.append(_line(aspect, "share of pairs of people that agree", percent.as_json()))
        found.append(_line(aspect, "Krippendorff's alpha", alpha.as_json()))
    if kind == "spans" and ratings:
        marks = [[_marks(one, texts) for one in some] for some in _by_item(ratings).values()]
        f1 = span_agreement(marks, draws=DRAWS)
        found.append(_line("marked words", "F1 of two people's marks", f1.f1.as_json()))
        found.append(_line("marked words", "F1 by chance", f1.chance.as_json()))
    return found


def disagreements(
    kind: Kind, ratings: Sequence[Record], texts: Mapping[str, str]
) -> list[Disagreement]:
    """Items whose people disagree, the farthest first.

    pairs: overall sides differ. outcomes: classes differ. aspects: a score by FAR or more. spans:
    token F1 below SHARED, or one person marked something and another nothing.
    """
    found = []
    for item_id, some in _by_item(ratings).items():
        distance, about = 0.0, ""
        for a, b in combinations(some, 2):
            apart, what = _distance(kind, a, b, texts)
            if apart > distance:
                distance, about = apart, what
        if distance:
            found.append(Disagreement(item_id, distance, about))
    return sorted(found, key=lambda one: (-one.distance, one.item_id))


def said(kind: Kind, one: Record) -> dict[str, Hashable]:
    """aspect -> what was said, with sides as stored, so that people can be compared."""
    answer = as_stored(kind, one["answer"], bool(one["swapped"]))
    if kind == "pairs":
        return {OVERALL: answer[OVERALL], **answer["aspects"]}
    if kind == "aspects":
        return dict(answer["scores"])
    if kind == "outcomes":
        return {"outcome": answer["outcome"]}
    return {MARKED: bool(answer["spans"])}


def _distance(kind: Kind, a: Record, b: Record, texts: Mapping[str, str]) -> tuple[float, str]:
    """0 where the two do not disagree, and about what they do."""
    first, second = said(kind, a), said(kind, b)
    if kind == "pairs":
        return _sides(str(first[OVERALL]), str(second[OVERALL])), OVERALL
    if kind == "outcomes":
        return float(first != second), "outcome"
    if kind == "aspects":
        scores = a["answer"]["scores"], b["answer"]["scores"]
        apart, aspect = max((abs(scores[0][name] - scores[1][name]), name) for name in scores[0])
        return (apart / 4 if apart >= FAR else 0.0), aspect
    if first != second:
        return 1.0, MARKED
    one, other = _marks(a, texts), _marks(b, texts)
    size = int(one.sum() + other.sum())
    f1 = 2 * int((one & other).sum()) / size if size else 1.0
    return (1 - f1 if f1 < SHARED else 0.0), "marked words"


def _sides(first: str, second: str) -> float:
    if first == second:
        return 0.0
    return 0.5 if "tie" in (first, second) else 1.0


def _marks(one: Record, texts: Mapping[str, str]) -> Marks:
    spans = [(span["start"], span["end"]) for span in one["answer"]["spans"]]
    return marked(tokens(texts[one["item_id"]]), spans)


def _by_item(ratings: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for one in ratings:
        found[one["item_id"]].append(one)
    return found


def _line(aspect: str, measure: str, interval: Record) -> Record:
    return {"aspect": aspect, "measure": measure, "interval": interval}
