"""How well the tracer names the rows that caused a wrong span, beside baselines and labels (pure).

The unit is a pair of a wrong span that rows caused and a row that was retrieved for it; the row
either belongs to the causal set or does not. Every score is made of ranks within the span, so
pairs of one world can be pooled. Weights are fitted on all other worlds. The ceiling is what the
labels of fresh seeds say of the same pairs: the place of the row in their causal set.

Spans that no row caused are no part of this; they are scored apart, span by span.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aftertune.lab.over_worlds import NO_GAP, UNBOUNDED, fieller, t_interval
from aftertune.lab.score import auroc, average_precision
from aftertune.stats.intervals import Interval, absent
from aftertune.trace.rank import WITHOUT_EMBEDDINGS, by_ranks
from aftertune.trace.weights import RIDGE, features, fit

TOP = (1, 5)
MEASURES = ("auroc", "average_precision", "top_1", "top_5")
PRESENT, CEILING = "weights of `trace`", "labels on fresh seeds"
SETS = ("text", "tokens", "influence")

Record = dict[str, Any]
Floats = np.ndarray
Spans = Sequence[Record]  # of one world; see `trace_lab.spans_of_world`


def caused(spans: Spans) -> list[Record]:
    """Spans that rows caused and for which some row was retrieved."""
    return [one for one in spans if one["label"] == "caused" and one["rows"]]


def stacked(spans: Spans, kinds: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """features [P, K], whether the row is causal [P], number of its span [P]."""
    span = np.concatenate([np.full(len(one["rows"]), n) for n, one in enumerate(spans)])
    evidence = {
        kind: np.concatenate([np.array(one["evidence"][kind], float) for one in spans])
        for kind in kinds
    }
    causal = np.concatenate([np.isin(one["rows"], one["causal"]) for one in spans])
    return features(evidence, kinds, span.astype(np.int64)), causal, span


def weights_from(worlds: Sequence[Spans], kinds: Sequence[str]) -> dict[str, float]:
    """Fitted on the caused spans of these worlds."""
    parts = [stacked(caused(one), kinds) for one in worlds if caused(one)]
    x, y = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    return dict(zip(kinds, fit(x, y, RIDGE).tolist(), strict=True))


def ranked(spans: Spans, weights: Mapping[str, float]) -> list[Floats]:
    """Per caused span the scores of its rows."""
    return [
        by_ranks(
            {kind: np.array(values, float) for kind, values in one["evidence"].items()},
            weights,
        )
        for one in caused(spans)
    ]


def named(spans: Spans, detector: str) -> list[Floats]:
    """The same of a baseline or of the ceiling, which name rows, best first."""
    return [
        np.array([
            -np.log1p(one["named"][detector].index(row))
            if row in one["named"][detector] else -np.log1p(1_000)
            for row in one["rows"]
        ])
        for one in caused(spans)
    ]  # fmt: skip


def of_world(spans: Spans, scores: Sequence[Floats]) -> dict[str, float]:
    """MEASURES of one world; of all caused spans, rows that were not retrieved being missed."""
    its = caused(spans)
    truth = np.concatenate([np.isin(one["rows"], one["causal"]) for one in its])
    values = np.concatenate(scores)
    found = {
        "auroc": float(auroc(truth, values)),
        "average_precision": float(average_precision(truth, values)),
    }
    total = sum(one["label"] == "caused" for one in spans)
    for k in TOP:
        hits = [_hit(one, score, k) for one, score in zip(its, scores, strict=True)]
        found[f"top_{k}"] = sum(hits) / total
    return found


def _hit(span: Record, scores: Floats, k: int) -> bool:
    """Whether a causal row is among the first k; equal scores in the order of retrieval, but what
    was never named is no hit."""
    order = np.argsort(-scores, kind="stable")[:k]
    least = -np.log1p(999.5) if scores.min() <= -np.log1p(1_000) else -np.inf
    return any(span["rows"][at] in span["causal"] and scores[at] > least for at in order.tolist())


def table(
    worlds: Mapping[int, Spans], score: Callable[[int], Sequence[Floats]]
) -> dict[str, list[float]]:
    """measure -> its value in each world. score: of a world."""
    rows = [of_world(spans, score(world)) for world, spans in worlds.items()]
    return {name: [row[name] for row in rows] for name in MEASURES}


def left_out(
    worlds: Mapping[int, Spans], kinds: Sequence[str], family: str | None = None
) -> dict[str, list[float]]:
    """Each world by weights of the others; with `family` measured on that family of entities,
    and fitted without it."""

    def score(world: int) -> list[Floats]:
        others = [_without(spans, family) for name, spans in worlds.items() if name != world]
        return ranked(of[world], weights_from(others, kinds))

    of = {name: _only(spans, family) for name, spans in worlds.items()}
    return table({name: spans for name, spans in of.items() if caused(spans)}, score)


def _without(spans: Spans, family: str | None) -> Spans:
    return [one for one in spans if one["family"] != family]


def _only(spans: Spans, family: str | None) -> Spans:
    return [one for one in spans if family in (None, one["family"])]


def intervals(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Mean over worlds, with its interval, and the worlds' own values."""
    return {
        name: {**t_interval(np.array(of), (0.0, 1.0)).as_json(), "worlds": list(of)}
        for name, of in values.items()
    }


def compared(
    mine: Mapping[str, Sequence[float]], best: Mapping[str, Sequence[float]],
    ceiling: Mapping[str, Sequence[float]],
) -> dict[str, Any]:  # fmt: skip
    """Per measure the share of the gap between the best baseline and the ceiling that is closed,
    and of what the ceiling reaches; paired by world."""
    found = {}
    for name in MEASURES:
        own, low, high = (np.array(one[name], float) for one in (mine, best, ceiling))
        found[name] = {
            "gap": t_interval(high - low).as_json(),
            "gap_closed": _share(own - low, high - low).as_json(),
            "of_ceiling": _share(own, high).as_json(),
            "to_best": t_interval(own - low).as_json(),
        }
    return found


def _share(top: Floats, bottom: Floats) -> Interval:
    whole = t_interval(bottom, UNBOUNDED)
    if whole.low is None or whole.low <= 0:
        return absent(NO_GAP, whole.n)
    return fieller(top, bottom)


def ablation(worlds: Mapping[int, Spans], kinds: Sequence[str]) -> dict[str, Any]:
    """Per kind: the measures of it alone, and what is lost without it (paired by world)."""
    whole = left_out(worlds, kinds)
    found = {}
    for kind in kinds:
        rest = left_out(worlds, [one for one in kinds if one != kind])
        alone = table(worlds, lambda world, of=kind: ranked(worlds[world], {of: 1.0}))
        found[kind] = {
            "alone": intervals(alone),
            "adds": {
                name: t_interval(np.array(whole[name]) - np.array(rest[name])).as_json()
                for name in MEASURES
            },
        }
    return found


def present(worlds: Mapping[int, Spans]) -> dict[str, list[float]]:
    """With the weights that `trace` has."""
    return table(worlds, lambda world: ranked(worlds[world], WITHOUT_EMBEDDINGS))


def spans_apart(worlds: Mapping[int, Spans], kinds: Sequence[str]) -> dict[str, list[float]]:
    """Caused spans against those that no row caused: by ranks among the spans of a world, weights
    of the other worlds. {auroc, average_precision, share (of caused spans)}, one value a world."""
    found: dict[str, list[float]] = {"auroc": [], "average_precision": [], "share": []}
    for world, spans in worlds.items():
        weights = span_weights([one for name, one in worlds.items() if name != world], kinds)
        its = decided(spans)
        scores = by_ranks(span_columns(its, kinds), weights)
        truth = np.array([one["label"] == "caused" for one in its])
        found["auroc"].append(float(auroc(truth, scores)))
        found["average_precision"].append(float(average_precision(truth, scores)))
        found["share"].append(float(truth.mean()))
    return found


def span_weights(worlds: Sequence[Spans], kinds: Sequence[str]) -> dict[str, float]:
    """Fitted on caused spans and those that no row caused."""
    xs, ys = [], []
    for spans in worlds:
        its = decided(spans)
        one = np.zeros(len(its), np.int64)
        xs.append(features(span_columns(its, kinds), kinds, one))
        ys.append([span["label"] == "caused" for span in its])
    return dict(
        zip(kinds, fit(np.concatenate(xs), np.concatenate(ys), RIDGE).tolist(), strict=True)
    )


def decided(spans: Spans) -> list[Record]:
    """With a label, a retrieved row and tokens."""
    return [one for one in spans if one["label"] != "undecided" and one["rows"] and one["span"]]


def span_columns(spans: Spans, kinds: Sequence[str]) -> dict[str, Floats]:
    """[S] per kind."""
    return {kind: np.array([one["span"].get(kind, 0.0) for one in spans], float) for kind in kinds}
