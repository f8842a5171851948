"""Everything that an analysis finds, and what is still missing (pure)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.study import agreement, beside, marked, results, times
from aftertune.study.agreement import Drawing, Entry
from aftertune.study.answers import OUTCOMES
from aftertune.study.config import OVERALL, Kind
from aftertune.study.rated import OUTCOME, WRONG, Rated, split

Found = dict[str, Any]
Record = Mapping[str, Any]


def of_study(
    rated: Sequence[Rated],
    kind: Kind,
    aspects: Sequence[str],
    asked: Mapping[str, int],
    drawing: Drawing,
    verdicts: Sequence[Record] | None = None,
    borrowings: Sequence[Record] | None = None,
    q: float | None = None,
) -> Found:
    """What the ratings of a study show, as JSON values; works on a study that is not finished.

    asked: {ratings, items, people, pilot, repeats}: what was dealt out. See `agreement`, `results`,
    `marked`, `times` and `beside` for the parts.
    """
    parts = split(rated)
    final = parts.final
    scales = _scales(kind, aspects)
    found: Found = {
        "kind": kind,
        "aspects": list(scales),
        "counts": _counts(rated, asked),
        "agreement": agreement.between(parts.main, scales, drawing),
        "pilot": agreement.between(parts.pilot, scales, drawing),
        "itself": agreement.itself(parts.main, parts.repeats, drawing),
        "spans": agreement.of_spans(parts.main, drawing) if kind == "spans" else None,
        "same_cause": agreement.causes(parts.main, drawing) if kind == "spans" else None,
        "order": agreement.order_effect(parts.main, drawing) if kind == "pairs" else None,
        "preferences": results.preferences(final, drawing) if kind == "pairs" else None,
        "means": results.means(final, drawing) if kind == "aspects" else None,
        "outcomes": results.outcomes(final, drawing) if kind == "outcomes" else None,
        "marks": marked.marks(final, drawing) if kind == "spans" else None,
        "causes": marked.causes(final, drawing) if kind == "spans" else None,
        "seconds": times.seconds(parts.main, drawing),
        "judge": None if verdicts is None else beside.judge(parts.main, verdicts, drawing),
        "tracer": beside.tracer(parts.main, borrowings, q, drawing)
        if borrowings is not None and kind == "spans" else None,
    }  # fmt: skip
    return found


def of_file(ratings: Sequence[Entry], aspect: str, drawing: Drawing) -> Found:
    """The agreement of ratings that did not come from a study: {aspects, counts, agreement}."""
    items = {item for item, _, _ in ratings}
    return {
        "kind": "file",
        "aspects": [aspect],
        "counts": {
            "ratings": len(ratings),
            "items": len(items),
            "people": len({rater for _, rater, _ in ratings}),
        },
        "agreement": {aspect: agreement.of_ratings(ratings, drawing)},
    }


def _scales(kind: Kind, aspects: Sequence[str]) -> dict[str, Sequence[Any]]:
    """aspect -> the values that could be chosen."""
    if kind == "pairs":
        return dict.fromkeys((OVERALL, *aspects), (0.0, 0.5, 1.0))
    if kind == "aspects":
        return dict.fromkeys(aspects, (1.0, 2.0, 3.0, 4.0, 5.0))
    return {OUTCOME: tuple(OUTCOMES)} if kind == "outcomes" else {WRONG: (0.0, 1.0)}


def _counts(rated: Sequence[Rated], asked: Mapping[str, int]) -> Found:
    parts = split(rated)
    per_item = Counter(one.item_id for one in parts.main)
    dealt = len(parts.main) + len(parts.pilot) + len(parts.repeats)
    return {
        "ratings": len(parts.main),
        "pilot": len(parts.pilot),
        "repeats": len(parts.repeats),
        "adjudicated": len(parts.adjudicated),
        "withdrawn": parts.n_withdrawn,
        "items": len(per_item),
        "people": len({one.person for one in parts.main}),
        "asked_ratings": asked["ratings"],
        "asked_items": asked["items"],
        "asked_people": asked["people"],
        "missing": max(0, asked["ratings"] - dealt),
    }
