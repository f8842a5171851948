"""Scores with the influence that a row has on a span, known from the base or from tunings on halves
of all rows (pure).

The base has seen no row, and halves are drawn among all of them, so rows that were held out and
rows that were not are judged alike, and p and q stay what they are. With influence in the base,
rows of a span go by ranks of all evidence with the weights that were fitted on made worlds beside
it (`weights.py`, "influence"); by halves they go by influence alone, which is then the better
evidence by far. Among spans the winners, of whichever side, go by ranks of what is known of them
("influence_spans", OF_HALVES):

    score(span, row) = score(span) + score of the row in it - that of its best row
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aftertune.schema import EVIDENCE
from aftertune.trace.rank import by_ranks
from aftertune.trace.reading import Floats
from aftertune.trace.weights import fitted
from aftertune.trace.winners import Span

MOST = 10  # rows of a span, of both sides together, whose influence is asked
COLUMN, WEIGHT = "influence", "influence_base"  # in the table, and in the weights
# What the logarithm of a rank among the winners counts. Set by hand on 12 splits of made worlds:
# anything from 0.25 to 1 beside 1 is as good (`bench/trace_lab.py`).
OF_HALVES = {WEIGHT: 1.0, "shift_nats": 0.5, "base_surprise": 0.5}
BEST_SPANS = 5  # of a cluster that count for its q where influence is by halves

Record = dict[str, Any]


def rescored(spans: Mapping[Span, Sequence[Record]]) -> dict[Span, list[Record]]:
    """The same spans, each with its rows best first and their scores.

    spans: records of `borrowings` with `influence`, nats; None, where it could not be had, counts
    as the least.
    """
    return _rescored(spans, fitted("influence"), fitted("influence_spans"))


def by_halves(spans: Mapping[Span, Sequence[Record]]) -> dict[Span, list[Record]]:
    """As `rescored`, where influence is what a row's cluster adds over tunings on halves. Of equal
    ones the row that other evidence puts first is the better."""
    return _rescored(spans, {WEIGHT: 1.0}, OF_HALVES)


def _rescored(
    spans: Mapping[Span, Sequence[Record]], of_row: Mapping[str, float],
    of_winner: Mapping[str, float],
) -> dict[Span, list[Record]]:  # fmt: skip
    keys = list(spans)
    within = [by_ranks(_columns(spans[key]), of_row) for key in keys]
    winners = [spans[key][int(np.argmax(of))] for key, of in zip(keys, within, strict=True)]
    of_spans = by_ranks(_columns(winners), of_winner)
    found = {}
    for key, of_rows, of_span in zip(keys, within, of_spans.tolist(), strict=True):
        order = np.argsort(-of_rows, kind="stable").tolist()
        found[key] = [
            {**spans[key][at], "score": float(of_span + of_rows[at] - of_rows.max())}
            for at in order
        ]
    return found


def _columns(records: Sequence[Record]) -> dict[str, Floats]:
    """[n] per kind of evidence that all of them have."""
    found = {
        kind: np.array([one[kind] for one in records], float)
        for kind in EVIDENCE
        if kind != COLUMN and all(one[kind] is not None for one in records)
    }
    least = [-np.inf if one[COLUMN] is None else one[COLUMN] for one in records]
    found[WEIGHT] = np.array(least, float)
    if all(one["base_logprob"] is not None for one in records):
        found["base_surprise"] = -np.array([one["base_logprob"] for one in records], float)
    return found
