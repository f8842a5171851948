"""How far people agree, with each other and with themselves (pure)."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from aftertune.stats import agreement as stats
from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import Interval, absent, bootstrap_mean
from aftertune.stats.ratings import are_numbers
from aftertune.stats.span_agreement import SpanAgreement, marked, span_agreement
from aftertune.study.config import OVERALL
from aftertune.study.rated import Rated, bounds, by_aspect, pair_of, table, tokens, values

Found = dict[str, Any]
Entry = tuple[Hashable, Hashable, Hashable]  # item, rater, value
COHEN_RATERS = 6  # of more, the pairs would fill pages


@dataclass(frozen=True)
class Drawing:
    """How intervals are drawn."""

    seed: int = 0
    draws: int = 2000
    level: float = 0.95


def of_ratings(
    ratings: Sequence[Entry], drawing: Drawing, scale: Sequence[Hashable] | None = None
) -> Found:
    """Every coefficient of one aspect's ratings.

    {n_items, n_rated_twice, n_raters, n_ratings, percent, fleiss, ac1, nominal, ordinal, interval
    (Krippendorff's alpha), cohen: [{raters, ...}]}; coefficients as intervals over items, absent
    with their reason where the values have no order, or no distance. scale: the values that could
    be chosen, which only AC1 needs.
    """
    rows = table(ratings)
    raters = list(dict.fromkeys(rater for _, rater, _ in ratings))
    how = {"seed": drawing.seed, "draws": drawing.draws, "level": drawing.level}
    used = list(dict.fromkeys(value for _, _, value in ratings))
    numbers = are_numbers(used)
    no_order = absent("the values have no order")
    seen = [sum(value is not None for value in row) for row in rows]
    return {
        "n_items": len(rows),
        "n_rated_twice": sum(n >= 2 for n in seen),
        "n_raters": len(raters),
        "n_ratings": sum(seen),
        "percent": stats.percent_agreement(rows, **how).as_json(),  # type: ignore[arg-type]
        "fleiss": stats.fleiss_kappa(rows, **how).as_json(),  # type: ignore[arg-type]
        "ac1": stats.gwet_ac1(rows, scale, **how).as_json(),  # type: ignore[arg-type]
        "nominal": _alpha(rows, "nominal", how).as_json(),
        "ordinal": (_alpha(rows, "ordinal", how) if numbers else no_order).as_json(),
        "interval": (_alpha(rows, "interval", how) if numbers else no_order).as_json(),
        "cohen": _cohen(rows, raters, how),
    }


def between(
    ratings: Sequence[Rated], scales: Mapping[str, Sequence[Any]], drawing: Drawing
) -> Found:
    """aspect -> `of_ratings` of different people."""
    return {
        aspect: of_ratings(entries, drawing, scales.get(aspect))
        for aspect, entries in by_aspect(ratings).items()
    }


def itself(main: Sequence[Rated], repeats: Sequence[Rated], drawing: Drawing) -> Found:
    """aspect -> `of_ratings` where the two raters are one person, first and again.

    For spans also `spans`: F1 of the two marks. Empty without a repeat whose original is rated.
    """
    before = {(one.item_id, one.person): one for one in main}
    entries: dict[str, list[Entry]] = defaultdict(list)
    marks = []
    for again in repeats:
        first = before.get((again.original, again.person))
        if first is None:
            continue
        name = again.original, again.person
        then, now = values(first), values(again)
        for aspect in then.keys() & now.keys():
            entries[aspect] += [(name, "first", then[aspect]), (name, "again", now[aspect])]
        if again.kind == "spans":
            marks.append([_marks(first), _marks(again)])
    found: Found = {aspect: of_ratings(some, drawing) for aspect, some in sorted(entries.items())}
    if marks:
        found["spans"] = _as_json(span_agreement(marks, drawing.seed, drawing.draws, drawing.level))
    return found


def of_spans(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """Token F1 of different people's spans, beside chance; intervals over answers."""
    by_item: dict[str, list[Rated]] = defaultdict(list)
    for one in ratings:
        by_item[one.item_id].append(one)
    marks = [[_marks(one) for one in some] for some in by_item.values()]
    return _as_json(span_agreement(marks, drawing.seed, drawing.draws, drawing.level))


def order_effect(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """aspect -> share of decisions for the answer shown first, ties as half: 0.5 without an effect.

    Intervals over prompts, a prompt counting once.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in ratings:
        for aspect, value in values(one).items():
            score = float(value)  # type: ignore[arg-type]  # of the model first by name
            shown_first = one.models[1 if one.swapped else 0] == pair_of(one)[0]
            found[aspect][one.prompt_id].append(score if shown_first else 1 - score)
    return {
        aspect: _mean_of(prompts, drawing, "prompt").as_json()
        for aspect, prompts in sorted(found.items(), key=lambda one: one[0] != OVERALL)
    }


def causes(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """Do people who marked the same place name the same cause? {kind, row}.

    Of each {n_rated_twice (places), percent (the mean over places of the share of pairs of people
    that agree)}. kind: row, none or unsure. row: which row, among people who name one. Intervals
    over answers: what one answer's places have in common is no new evidence.
    """
    kinds: dict[str, list[float]] = defaultdict(list)  # answer -> share of agreeing pairs
    rows: dict[str, list[float]] = defaultdict(list)
    for (item, _), spans in places(ratings).items():
        told = [span["cause"] for span in spans.values() if span.get("cause")]
        named = [cause["row_id"] for cause in told if cause["kind"] == "row"]
        for said, into in (([cause["kind"] for cause in told], kinds), (named, rows)):
            pairs = list(combinations(said, 2))
            if pairs:
                into[item].append(sum(a == b for a, b in pairs) / len(pairs))
    return {"kind": _alike(kinds, drawing), "row": _alike(rows, drawing)}


def _alike(shares: Mapping[str, Sequence[float]], drawing: Drawing) -> Found:
    """The mean of all shares, its interval over answers."""
    found = [share for some in shares.values() for share in some]
    if not found:
        percent = absent(stats.NO_PAIR)
    elif min(found) == max(found):  # no resample would differ
        percent = _mean_of(shares, drawing, "answer")
    else:
        sums, counts = [sum(some) for some in shares.values()], list(map(len, shares.values()))
        percent = bootstrap_mean(sums, counts, drawing.seed, drawing.draws, drawing.level)
    return {"n_rated_twice": len(found), "percent": percent.as_json()}


def places(ratings: Sequence[Rated]) -> dict[tuple[str, int], dict[str, Mapping[str, Any]]]:
    """(item, number of the place) -> person -> the longest span that the person marked there.

    Spans of one answer that overlap, directly or through others, mark one place.
    """
    by_item: dict[str, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for one in ratings:
        by_item[one.item_id] += [(one.person, span) for span in one.answer["spans"]]
    found: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for item, spans in by_item.items():
        number, end = -1, -1
        for person, span in sorted(spans, key=lambda one: (one[1]["start"], one[1]["end"])):
            if span["start"] >= end:
                number += 1
            end = max(end, span["end"])
            here = found.setdefault((item, number), {})
            if person not in here or _length(span) > _length(here[person]):
                here[person] = span
    return found


def _length(span: Mapping[str, Any]) -> int:
    return int(span["end"]) - int(span["start"])


def _marks(one: Rated) -> Any:
    return marked(tokens(one.text), bounds(one))


def _mean_of(groups: Mapping[str, Sequence[float]], drawing: Drawing, of: str) -> Interval:
    means = [sum(some) / len(some) for some in groups.values()]
    return bounded_mean(means, drawing.seed, drawing.draws, drawing.level, of)


def _alpha(rows: list[list[Hashable | None]], scale: Any, how: Mapping[str, Any]) -> Interval:
    return stats.krippendorff_alpha(rows, scale, **how)


def _cohen(
    rows: list[list[Hashable | None]], raters: Sequence[Hashable], how: Mapping[str, Any]
) -> list[Found]:
    """Cohen's kappa of every two raters who share an item; none of more than COHEN_RATERS."""
    if len(raters) > COHEN_RATERS:
        return []
    kappa: Callable[..., Interval] = stats.cohen_kappa
    found = []
    for a, b in combinations(range(len(raters)), 2):
        both = [[row[a], row[b]] for row in rows if row[a] is not None and row[b] is not None]
        if both:
            pair = [str(raters[a]), str(raters[b])]
            found.append({"raters": pair, **kappa(both, **how).as_json()})
    return found


def _as_json(found: SpanAgreement) -> Found:
    return {
        "f1": found.f1.as_json(),
        "chance": found.chance.as_json(),
        "difference": found.difference.as_json(),
        "n_unmarked": found.n_unmarked,
    }
