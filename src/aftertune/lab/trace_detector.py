"""The tracer as a detector of the lab: is a span caused by rows, and by which?

    trace        text alone: the prompt, the answer, the rows
    trace_models the same beside what models show: how far the span's tokens moved, the rank that
                 the base gives to what the tuned model prefers, its doubt, and the row's loss
                 under the base

Rows are ranked among those that share something telling with the span, spans among all that are
asked about in one call: every feature is a rank. The weights are those of `trace/weights.json`,
which were fitted on worlds 0 to 4; on these very worlds `lab score` flatters them, and
`bench/trace_lab.py` measures each world with weights of the others.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from aftertune.lab.detectors import (
    LOSS,
    MOST_BLAMED,
    NO_LOSS,
    NO_TOKENS,
    Case,
    Detector,
    Finding,
    Record,
)
from aftertune.search.index import RowIndex
from aftertune.trace.finder import Answer, Borrowing, Finder, Settings
from aftertune.trace.rank import by_ranks
from aftertune.trace.reading import Floats
from aftertune.trace.weights import fitted

RETRIEVED = 40  # rows that are ranked for a span, at most
NOTHING_SHARED = "no row shares anything telling with the span"
# What models show of a span, beside the evidence of its rows.
OF_SPAN = ("shift_nats", "base_rank", "doubt_nats", "base_surprise")

Weights = Mapping[str, float]


def trace(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Text alone."""
    pairs = retrieved(cases, rows)
    return findings(cases, rows, pairs, fitted("text"), fitted("text_spans"))


def trace_models(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Text, tokens and the base's loss of the rows; where these are not known, why not."""
    if any(row.get(LOSS) is None for row in rows):
        return [Finding(None, reason=NO_LOSS) for _ in cases]
    pairs = retrieved(cases, rows)
    return findings(cases, rows, pairs, fitted("tokens"), fitted("tokens_spans"), tokens=True)


TRACERS: dict[str, Detector] = {"trace": trace, "trace_models": trace_models}


def retrieved(cases: Sequence[Case], rows: Sequence[Record]) -> list[list[Borrowing]]:
    """Per case the rows that share something telling with its span, best first."""
    plain = [{"row_index": row["row_index"], "messages": row["messages"]} for row in rows]
    finder = Finder(RowIndex.build(plain), Settings(top_k=RETRIEVED, embeddings=False))
    found = []
    for case in cases:
        answer = Answer(case.group, case.prompt, case.response)
        listed = finder.trace(answer, case.span)
        found.append([one for one in listed if one.evidence["span_rarity"]])
    return found


def findings(
    cases: Sequence[Case], rows: Sequence[Record], pairs: Sequence[Sequence[Borrowing]],
    weights: Weights, of_spans: Weights, tokens: bool = False,
) -> list[Finding]:  # fmt: skip
    """Rows by `weights` among those of their span, spans by `of_spans` among all cases.

    tokens: whether spans need tokens; those without have no score. Spans that share nothing with a
    row have none either.
    """
    evidence = [evidence_of(one, rows) for one in pairs]
    orders = [np.argsort(-by_ranks(of_span, weights), kind="stable") for of_span in evidence]
    missing = [
        NO_TOKENS if tokens and not case.tokens else None if found else NOTHING_SHARED
        for case, found in zip(cases, pairs, strict=True)
    ]
    judged = [place for place, reason in enumerate(missing) if reason is None]
    spans = [
        span_evidence(cases[at], {kind: float(of.max()) for kind, of in evidence[at].items()})
        for at in judged
    ]
    kinds = spans[0] if spans else ()
    columns = {kind: np.array([one[kind] for one in spans]) for kind in kinds}
    scores = dict(zip(judged, by_ranks(columns, of_spans).tolist(), strict=True))
    return [
        Finding(None, reason=missing[at])
        if at not in scores
        else Finding(
            scores[at], tuple(one[place].row_index for place in orders[at][:MOST_BLAMED].tolist())
        )
        for at, one in enumerate(pairs)
    ]


def evidence_of(pairs: Sequence[Borrowing], rows: Sequence[Record]) -> dict[str, Floats]:
    """[n] per kind, of the rows of one span; `row_loss` where the base's loss is known."""
    kinds = [name for name in (pairs[0].evidence if pairs else ()) if name != "shift_nats"]
    found = {
        kind: np.array([one.evidence[kind] for one in pairs], float)
        for kind in kinds
        if all(one.evidence[kind] is not None for one in pairs)
    }
    losses = {row["row_index"]: row.get(LOSS) for row in rows}
    known = [losses[one.row_index] for one in pairs]
    if pairs and None not in known:
        found["row_loss"] = np.array(known, float)
    return found


def span_evidence(case: Case, best: Mapping[str, float]) -> dict[str, float]:
    """What is known of a span: the most that any row has of each kind and, with tokens, `OF_SPAN`.

    These are the mean of tuned minus base log-probability (nats a token), the largest rank that the
    base gives to what the tuned model prefers, the mean entropy of the tuned model (nats), and
    minus the base's log-probability of the span (nats).
    """
    if not case.tokens:
        return dict(best)
    shift = [one["tuned_logprob"] - one["base_logprob"] for one in case.tokens]
    ranks = [one["base_rank_of_tuned_argmax"] or 0 for one in case.tokens]
    doubt = [one["tuned_entropy_nats"] for one in case.tokens]
    surprise = -sum(one["base_logprob"] for one in case.tokens)
    values = (float(np.mean(shift)), float(max(ranks)), float(np.mean(doubt)), float(surprise))
    return {**best, **dict(zip(OF_SPAN, values, strict=True))}
