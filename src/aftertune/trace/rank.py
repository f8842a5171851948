"""One score per span and row (pure): from ranks within the response's own candidates, and from the
lengths of the rows."""

from collections.abc import Collection, Mapping

import numpy as np
from scipy.stats import rankdata

from aftertune.trace.reading import Floats, Ints

# What the logarithm of a rank counts. Fitted on the cases of bench/trace_cases.json that are marked
# "fit" (probability of the true row among the candidates) and rounded. Three are not from there:
# `concept` was raised after 300 generated cases, in which a rare run of a row with a near prompt
# stands somewhere in an answer; the last two, of a span with a row among all of them, were set by
# hand, and WITHIN_SPAN too. `bm25` and `embedding_answer` added nothing beside the others: they are
# shown and count nothing.
WEIGHTS: Mapping[str, float] = {
    "rarity": 0.45,
    "rarest": 0.8,
    "nearness": 0.4,
    "exact": 0.6,
    "pieces": 0.2,
    "concept": 0.4,
    "embedding_prompt": 0.35,
    "embedding_both": 0.15,
    "span_rarity": 0.8,
    "shift_nats": 0.5,
}
WITHIN_SPAN = 2.0  # what the rank of `span_rarity` among the rows of one span counts
# What the logarithm of a row's length counts against it. Not fitted: a row of twice the words holds
# a given rare word about twice as often by chance. On the cases 0.85 to 1.2 are as good.
LENGTH = 1.0
SHORT_ROW = 20  # words of a row's answer; a shorter one counts as of so many


def by_ranks(
    evidence: Mapping[str, Floats],
    without: Collection[str] = (),
    weights: Mapping[str, float] = WEIGHTS,
) -> Floats:
    """[n]: scores of n candidates, 0 for one that is first in everything, else below.

    evidence: one value per candidate and kind, higher is more. Equal values share their mean
    rank, so a kind that tells nothing moves nobody. weights: what the logarithm of a rank counts;
    `weights.fitted` has those of made worlds.
    """
    kinds = [name for name in weights if name in evidence and name not in without]
    n = len(next(iter(evidence.values()), ()))
    scores = np.zeros(n)
    for name in kinds:
        scores -= weights[name] * log_ranks(evidence[name])
    return scores


def log_ranks(values: Floats) -> Floats:
    """[n]: the logarithm of each value's rank, 0 for the largest; equal ones share their mean."""
    found: Floats = np.log(rankdata(-values, method="average"))
    return found


def within_spans(rarity: Floats, without: Collection[str] = ()) -> Floats:
    """[S, n]: what a row's share of a span counts against that of other rows, 0 for the largest.

    rarity: `span_rarity` of each span with each row. It decides between rows that are near by all
    else, and gives each of two sources in one answer its own span.
    """
    if "span_rarity" in without:
        return np.zeros_like(rarity)
    scores: Floats = -WITHIN_SPAN * np.log(rankdata(-rarity, method="average", axis=1))
    return scores


def by_length(words: Ints, without: Collection[str] = ()) -> Floats:
    """[n]: what the lengths of rows' answers count against them, 0 for short ones, else below.

    words: of each answer. It is the same in every response and for every row of one length, so
    held-out rows and rows that were tuned on stay comparable.
    """
    if "length" in without:
        return np.zeros(len(words))
    scores: Floats = -LENGTH * np.log(np.maximum(words / SHORT_ROW, 1.0))
    return scores


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
