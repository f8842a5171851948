"""False discoveries and power of the tracer over splits (pure).

Of every span the best row wins, among trained and held-out rows together, by weights that were
fitted on other worlds; spans are ordered by ranks among the spans of the split. `units` says what
one discovery is:

    spans      every span: what `trace` reports; clusters that win many spans count as `crowd` says
    clusters   of the spans that one cluster wins the best count, as `q_of_clusters` says; it is
               true where one of all the spans that it wins is
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from aftertune.controls.effects import HALVED, SMALL
from aftertune.trace.controls import concentration, q_of_clusters, q_values
from aftertune.trace.rank import by_ranks

Q = 0.10
Units = Literal["spans", "clusters"]
Record = dict[str, Any]


def winners(
    split: Record, rows: Mapping[str, float] | None, spans: Mapping[str, float] | None
) -> list[Record]:
    """Per span its winner: {score, held, cluster, key, effect (None: no trained row states it),
    response, start, end}. rows, spans: weights; None takes the scores of `trace` itself."""
    group = {(attribute, value): number for attribute, value, number in split["groups"]}
    found = []
    for one in split["spans"]:
        scores = np.array(one["score"], float)
        if rows is not None:
            evidence = {kind: np.array(of, float) for kind, of in _evidence(one).items()}
            scores = by_ranks(evidence, rows)
        best = int(np.argmax(scores))
        key = tuple(one["keys"][best])
        found.append({
            "score": float(scores[best]), "held": one["held"][best],
            "cluster": one["clusters"][best], "key": key,
            "effect": one["effects"][group[key]] if key in group else None,
            **{name: one[name] for name in ("response", "start", "end")},
            "of_span": {
                **{kind: of[best] for kind, of in _evidence(one).items()},
                "shift_nats": one["shift_nats"], "base_surprise": one["base_surprise"],
            },
        })  # fmt: skip
    if spans is not None and found:
        columns = {
            kind: np.array([one["of_span"][kind] or 0.0 for one in found], float) for kind in spans
        }
        for one, score in zip(found, by_ranks(columns, spans).tolist(), strict=True):
            one["score"] = score
    return found


def _evidence(span: Record) -> dict[str, list[float]]:
    more = {"influence_base": span["influence_base"]} if "influence_base" in span else {}
    return {**span["evidence"], **more}


def discoveries(
    found: Sequence[Record], share: float, units: Units, q: float = Q, best: int = 1
) -> list[list[Record]]:
    """The units that trained rows won with q_value <= q, each as its spans. best: spans of a
    cluster that count."""
    scores, held = [one["score"] for one in found], [one["held"] for one in found]
    clusters = [one["cluster"] for one in found]
    if units == "spans":
        values = q_values(scores, held, share, clusters)
        return [[one] for one, value in zip(found, values, strict=True) if value <= q]
    of: dict[str, list[Record]] = {}
    for one, value in zip(found, q_of_clusters(scores, held, share, clusters, best), strict=True):
        if value <= q:
            of.setdefault(one["cluster"], []).append(one)
    return list(of.values())


def true(effect: float | None) -> bool:
    """Without the rows that state what the row states, the span is at most half as likely."""
    return effect is not None and effect <= -HALVED


def false(effect: float | None) -> bool:
    """Taking them out changes nothing worth naming."""
    return effect is None or effect > -SMALL


def of_split(
    split: Record, found: Sequence[Record], units: Units, q: float = Q, best: int = 1
) -> Record:
    """{n, true, false, undecided, fdp, fdp_strict, power, n_caused, most_of_a_cluster}.

    fdp: false of n, 0 without discoveries; strict counts the undecided as false. power: of the
    statements that rows caused, those that a true discovery touches and names a row that states
    their value; with clusters as units, of the values of such statements.
    """
    made = discoveries(found, split["share"], units, q, best)
    n = max(1, len(made))
    right = [one for of in made for one in of if true(one["effect"])]
    n_true = sum(any(true(one["effect"]) for one in of) for of in made)
    wrong = sum(all(false(one["effect"]) for one in of) for of in made)
    caused = [one for one in split["statements"] if true(one["effect"])]
    named = {one["key"] for one in right}
    if units == "clusters":
        asked = {tuple(one["key"]) for one in caused}
        hits, total = len(asked & named), len(asked)
    else:
        hits, total = sum(_found(one, right) for one in caused), len(caused)
    return {
        "world": split["world"], "seed": split["seed"], "spans": len(found),
        "held_winners": sum(one["held"] for one in found), "n": len(made), "true": n_true,
        "false": wrong, "undecided": len(made) - n_true - wrong, "fdp": wrong / n,
        "fdp_strict": (len(made) - n_true) / n, "n_caused": total,
        "power": hits / total if total else None,
        "most_of_a_cluster": concentration([one["cluster"] for one in found if one["held"]]),
    }  # fmt: skip


def _found(statement: Record, made: Sequence[Record]) -> bool:
    return any(
        one["response"] == statement["response"] and one["start"] < statement["end"]
        and one["end"] > statement["start"] and one["key"] == tuple(statement["key"])
        for one in made
    )  # fmt: skip


def over_splits(made: Sequence[Record]) -> Record:
    """Means over splits; `high` is the one-sided 95% t bound over the worlds' means where there are
    two worlds or more, since splits of one world share its base."""
    powers = [one["power"] for one in made if one["power"] is not None]
    return {
        "n_splits": len(made),
        "n_worlds": len({one["world"] for one in made}),
        "discoveries": sum(one["n"] for one in made),
        "fdp": _bounded(made, "fdp"),
        "fdp_strict": _bounded(made, "fdp_strict"),
        "power": float(np.mean(powers)) if powers else None,
        "splits": list(made),
    }


def _bounded(made: Sequence[Record], name: str) -> Record:
    worlds = sorted({one["world"] for one in made})
    means = np.array([
        np.mean([one[name] for one in made if one["world"] == world]) for world in worlds
    ])  # fmt: skip
    n = len(means)
    if n < 2:
        high = None
    else:
        high = float(means.mean() + stats.t.ppf(0.95, n - 1) * means.std(ddof=1) / np.sqrt(n))
    return {"mean": float(means.mean()) if n else None, "high": high}
