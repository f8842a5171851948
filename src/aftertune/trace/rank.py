"""One score per span and row (pure): a weighted sum of features, which are ranks within the
response's own candidates, and lengths of the rows."""

from collections.abc import Collection, Mapping

import numpy as np
from scipy.stats import rankdata

from aftertune.trace.reading import Floats, Ints

# What each feature counts: minus the logarithm of a rank, for most. Fitted on 339 made cases, those
# of bench/trace_cases.json that are not marked "test", and rounded (`bench/trace_fit.py`, which
# also says how well weights fitted without one writer's cases do on them). Kinds that are not named
# added nothing beside these: they are shown and count nothing. Embeddings do better what words
# shared with prompt and answer as a whole can do, so without them others count. Set by hand are
# `shift_nats`, since no case has a tuned model; `within_span`, since hardly any has two sources
# (0.9 to 2 are as good); and what little `span_rarity` counts, which orders the spans of one row.
WITH_EMBEDDINGS: Mapping[str, float] = {
    "rarity": 0.25,
    "exact": 0.6,
    "embedding_prompt": 0.4,
    "embedding_answer": 0.25,
    "embedding_both": 0.5,
    "span_rarity": 0.1,
    "surprisal_nats": 0.75,
    "shift_nats": 0.5,
    "within_span": 2.0,
    "length": 0.2,
}
WITHOUT_EMBEDDINGS: Mapping[str, float] = {
    "rarity": 0.5,
    "nearness": 0.35,
    "exact": 0.5,
    "concept": 0.3,
    "bm25": 0.3,
    "span_rarity": 0.1,
    "surprisal_nats": 0.75,
    "shift_nats": 0.5,
    "within_span": 2.0,
    "length": 0.7,
}
SHORT_ROW = 20  # words of a row's answer; a shorter one counts as of so many


def by_ranks(
    evidence: Mapping[str, Floats], weights: Mapping[str, float], without: Collection[str] = ()
) -> Floats:
    """[n]: scores of n candidates, 0 for one that is first in everything, else below.

    evidence: one value per candidate and kind, higher is more. Equal values share their mean
    rank, so a kind that tells nothing moves nobody. weights: what the logarithm of a rank counts;
    `weights.fitted` has those of made worlds.
    """
    return weighted(minus_log_ranks(evidence), weights, without)


def minus_log_ranks(evidence: Mapping[str, Floats]) -> dict[str, Floats]:
    """[n] per kind: minus the logarithm of the rank among n, 0 for the largest.

    Where a value is not known (NaN) it is the mean over those that are, which moves nobody.
    """
    return {name: _known_ranks(values) for name, values in evidence.items()}


def _known_ranks(values: Floats) -> Floats:
    found: Floats = np.zeros(len(values))
    known = ~np.isnan(values)
    if known.any():
        found[known] = -log_ranks(values[known])
        found[~known] = found[known].mean()
    return found


def weighted(
    features: Mapping[str, Floats], weights: Mapping[str, float], without: Collection[str] = ()
) -> Floats:
    """[n]: sum of the features [n], each times its weight, but those of `without`."""
    scores = np.zeros(len(next(iter(features.values()), ())))
    for name, weight in weights.items():
        if name in features and name not in without:
            scores += weight * features[name]
    return scores


def log_ranks(values: Floats) -> Floats:
    """[n]: the logarithm of each value's rank, 0 for the largest; equal ones share their mean."""
    found: Floats = np.log(rankdata(-values, method="average"))
    return found


def within_spans(rarity: Floats) -> Floats:
    """[S, n]: minus the logarithm of the rank of a row's share of a span among other rows' shares.

    rarity: `span_rarity` of each span with each row. It decides between rows that are near by all
    else, and gives each of two sources in one answer its own span.
    """
    found: Floats = -np.log(rankdata(-rarity, method="average", axis=1))
    return found


def by_length(words: Ints) -> Floats:
    """[n]: minus the logarithms of the lengths of rows' answers, 0 for short ones.

    words: of each answer. It is the same in every response and for every row of one length, so
    held-out rows and rows that were tuned on stay comparable: a row of twice the words holds a
    given rare word about twice as often by chance.
    """
    found: Floats = -np.log(np.maximum(words / SHORT_ROW, 1.0))
    return found


def best_of_spans(
    span: Ints, scores: Floats, names: Ints, top_k: int, max_spans: int
) -> tuple[Ints, Ints]:
    """Pairs of span and row to show, best first, and the rank of each within its span, from 1.

    span, scores, names [P]: of each pair; equal scores go by span, then by the row's name. Kept
    are the first `top_k` rows of the `max_spans` spans whose best rows score highest.
    """
    order = np.lexsort((names, span, -scores))
    by_span = order[np.argsort(span[order], kind="stable")]
    first = np.ones(len(by_span), bool)
    first[1:] = np.diff(span[by_span]) != 0
    begins = np.maximum.accumulate(np.where(first, np.arange(len(by_span)), 0))
    rank = np.empty(len(span), np.int64)
    rank[by_span] = np.arange(len(by_span)) - begins + 1
    winners = order[rank[order] == 1][:max_spans]
    kept = order[np.isin(span[order], span[winners]) & (rank[order] <= top_k)]
    return kept, rank[kept]
