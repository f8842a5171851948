"""From what was found for each span to the table `borrowings`, and what it says as a whole (pure).

Rows of a span are ranked on each side apart, the rows tuned on and each control's, from 1; scores
are comparable across sides because all were searched together.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from aftertune.stats.intervals import Interval
from aftertune.trace import controls
from aftertune.trace.pool import HELD_OUT

Record = dict[str, Any]
Span = tuple[str, int, int]  # response_id, char_start, char_end


def spans_of(records: Iterable[Record]) -> dict[Span, list[Record]]:
    """Records of `borrowings` by their span, in their order."""
    found: dict[Span, list[Record]] = {}
    for record in records:
        key = (record["response_id"], record["char_start"], record["char_end"])
        found.setdefault(key, []).append(record)
    return found


def ranked(records: Sequence[Record], top: int) -> list[Record]:
    """One span's records, best first: the first `top` of the rows tuned on and the best of each
    control, with their ranks on their own side."""
    place: Counter[str | None] = Counter()
    kept = []
    for record in records:
        place[record["control"]] += 1
        if place[record["control"]] <= (top if record["control"] is None else 1):
            kept.append({**record, "rank": place[record["control"]]})
    return kept


def contest(spans: Mapping[Span, Sequence[Record]], control: str) -> dict[Span, Record]:
    """The best row of each span among those tuned on and a control's, whichever came first."""
    found = {}
    for key, records in spans.items():
        won = next((one for one in records if one["control"] in (None, control)), None)
        if won is not None:
            found[key] = won
    return found


def error_rates(
    spans: Mapping[Span, list[Record]], share: float
) -> list[tuple[Span, float, float]]:
    """(span, p, q) of each span that a row tuned on won against the held-out ones.

    share: of the clusters that were held out.
    """
    won = contest(spans, HELD_OUT)
    scores = [one["score"] for one in won.values()]
    held = [one["control"] == HELD_OUT for one in won.values()]
    clusters = [one["cluster_id"] for one in won.values()]
    p = controls.p_values(scores, held, clusters)
    q = controls.q_values(scores, held, share, clusters)
    return [
        (key, float(p[place]), float(q[place])) for place, key in enumerate(won) if not held[place]
    ]


def row_error_rates(
    spans: Mapping[Span, Sequence[Record]], share: float, best: int = 1
) -> dict[str, float]:
    """cluster_id -> q of each cluster tuned on that wins a span: of rows, not of spans.

    share: of the clusters that were held out. best: spans of a cluster that count.
    """
    won = list(contest(spans, HELD_OUT).values())
    clusters = [one["cluster_id"] for one in won]
    held = [one["control"] == HELD_OUT for one in won]
    q = controls.q_of_clusters([one["score"] for one in won], held, share, clusters, best)
    return {
        name: float(value) for name, value, lost in zip(clusters, q, held, strict=True) if not lost
    }


def best_of_answers(won: Mapping[Span, Record]) -> dict[str, Record]:
    """response_id -> the record of its span whose winner scores highest."""
    best: dict[str, Record] = {}
    for (response_id, *_), one in won.items():
        if response_id not in best or one["score"] > best[response_id]["score"]:
            best[response_id] = one
    return best


def versus_control(
    spans: Mapping[Span, list[Record]], control: str, chance: float,
    auroc: Interval | None = None, among: Container[int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`controls.excess` of the rows tuned on over a control's, in the best span of each answer:
    the one whose best row, of whichever side, scores highest. Of all spans of an answer few are
    borrowed even where every answer borrows, and the others go to either side as chance has it.

    among: row_index of the rows tuned on that have a counterpart in the control. Spans whose best
    row is another one are then no contest: neither side can have them.
    """
    won = {
        key: one
        for key, one in contest(spans, control).items()
        if among is None or one["control"] is not None or one["row_index"] in among
    }
    best = best_of_answers(won)
    return controls.excess(
        [one["control"] is None for one in best.values()],
        list(best),
        [one["cluster_id"] for one in best.values()],
        chance,
        auroc,
    )


def versus_held_out(
    spans: Mapping[Span, list[Record]], share: float, q: float, seed: int, best: int = 1
) -> dict[str, Any]:
    """What the held-out rows say of the run as a whole.

    Returns {wins (of the rows tuned on, see controls.excess), n_found (spans with q_value <= q),
    found (their share, an interval over responses), lowest_q, n_rows_found (rows, near duplicates
    as one, by a q of rows), lowest_q_of_rows, q, share_held_out, most_of_a_cluster (spans that one
    held-out cluster wins), conclusion}.
    """
    wins = versus_control(spans, HELD_OUT, 1 - share)
    won = contest(spans, HELD_OUT)
    of_rows = row_error_rates(spans, share, best).values()
    n_rows = sum(value <= q for value in of_rows)
    values = [one["q_value"] for one in won.values()]
    found = [value is not None and value <= q for value in values]
    clusters = [one["cluster_id"] for one in won.values() if one["control"] == HELD_OUT]
    return {
        "wins": wins,
        "n_found": sum(found),
        "found": controls.over_responses(found, [key[0] for key in won], seed).as_json(),
        "lowest_q": min((value for value in values if value is not None), default=None),
        "n_rows_found": n_rows,
        "lowest_q_of_rows": min(of_rows, default=None),
        "q": q,
        "share_held_out": share,
        "most_of_a_cluster": controls.concentration(clusters),
        "conclusion": controls.BEYOND if any(found) or n_rows else wins["conclusion"],
    }
