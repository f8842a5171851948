"""How well a classifier tells two sets of rows apart by their words (pure).

A control is a fair one only where its rows look like the rows: a set of other topics is beaten by
any rows of the right topic, whether or not anything was borrowed from them.
"""

import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse, special, stats

from aftertune.stats.intervals import LEVEL, Interval

FAR = 0.6  # an area above which a control is called unlike the rows
FEATURES = 2**14  # words are hashed into so many
FOLDS = 5
MOST_ROWS = 2000  # of each set that the classifier sees
PENALTY = 1.0  # of the squared weights, against the sum of the losses

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def auroc(
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]],
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """How well rows of two sets are told apart by their words: AUROC with an interval (DeLong).

    first, second: the words of each row; groups: of the rows of both, in this order, such as share
    texts and so must stand in one fold. 0.5: not at all; 1: always. Logistic regression with an L2
    penalty on the square roots of hashed counts, each row of length 1, over 5 folds, on at most
    2,000 drawn rows of each set. Without two rows of both in every fold it is absent with a reason.
    """
    owners = list(range(len(first) + len(second))) if groups is None else list(groups)
    if len(owners) != len(first) + len(second):
        raise ValueError(f"{len(owners)} groups for {len(first) + len(second)} rows")
    generator = np.random.default_rng(seed)
    kept = np.concatenate(
        [
            start + np.sort(generator.permutation(n)[:MOST_ROWS])
            for start, n in ((0, len(first)), (len(first), len(second)))
        ]
    ).astype(np.int64)
    texts = [*first, *second]
    features = hashed([texts[place] for place in kept])
    label = kept >= len(first)
    fold = _folds([owners[place] for place in kept], generator)
    return _cross_validated(features, label, fold)


def auroc_of(first: npt.ArrayLike, second: npt.ArrayLike) -> Interval:
    """How often a value of the second set [m] lies above one of the first [n], ties half (DeLong).

    Absent with a reason where a set has fewer than two.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(one), len(other)) < 2:
        n = len(one) + len(other)
        return Interval(None, None, None, n, reason="fewer than two rows of a set")
    label = np.arange(len(one) + len(other)) >= len(one)
    return _delong([_placements(np.concatenate([one, other]), label)])


@dataclass(frozen=True)
class _Placed:
    """Of each row of a fold: against which share of the other set's rows it is on its side."""

    first: Floats
    second: Floats


def _cross_validated(
    features: sparse.csr_array, label: Bools, fold: npt.NDArray[np.int64]
) -> Interval:
    counts = [(int((~label[fold == k]).sum()), int(label[fold == k].sum())) for k in range(FOLDS)]
    if min(min(pair) for pair in counts) < 2:
        reason = f"fewer than two rows of a set in one of {FOLDS} folds"
        return Interval(None, None, None, len(label), reason=reason)
    placed = []
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        weights = fit(features[np.flatnonzero(train)], label[train])
        placed.append(_placements(features[np.flatnonzero(test)] @ weights, label[test]))
    return _delong(placed)


def hashed(texts: Sequence[Sequence[str]]) -> sparse.csr_array:
    """[texts, FEATURES]: square roots of counts of hashed words, each row of length 1 (or 0)."""
    rows, columns = [], []
    for row, words in enumerate(texts):
        for word in words:
            rows.append(row)
            columns.append(zlib.crc32(word.encode("utf-8", "surrogatepass")) % FEATURES)
    ones = np.ones(len(rows))
    counts = sparse.csr_array((ones, (rows, columns)), shape=(len(texts), FEATURES))
    counts.sum_duplicates()
    counts.data = np.sqrt(counts.data)
    norm = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    scale = sparse.diags_array(1 / np.where(norm > 0, norm, 1.0))
    return sparse.csr_array(scale @ counts)


def fit(features: sparse.csr_array, label: Bools) -> Floats:
    """Weights [F] of the logistic regression, both sets weighing alike; the offset, which AUROC
    does not see, is left in the model and out of the result."""
    sign = np.where(label, 1.0, -1.0)
    weight = np.where(label, 0.5 / label.mean(), 0.5 / (~label).mean())
    turned = features.T.tocsr()

    def loss(x: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ x[:-1] + x[-1])
        slope = -weight * sign * special.expit(-margin)
        value = weight @ np.logaddexp(0, -margin) + PENALTY / 2 * (x[:-1] @ x[:-1])
        return float(value), np.append(turned @ slope + PENALTY * x[:-1], slope.sum())

    found = optimize.minimize(
        loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 200}
    )
    weights: Floats = found.x[:-1]
    return weights


def _folds(owners: Sequence[Hashable], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """A fold for each row; rows of one owner share it, and folds are as large as that allows."""
    numbers = {name: place for place, name in enumerate(dict.fromkeys(owners))}
    of = np.asarray([numbers[name] for name in owners], np.int64)
    order = generator.permutation(len(numbers))
    fold: npt.NDArray[np.int64] = (np.argsort(order, kind="stable") % FOLDS)[of]
    return fold


def _placements(scores: Floats, label: Bools) -> _Placed:
    """Of rows of the first set the share of the second that scores higher, ties half; and so on."""
    first, second = scores[~label], scores[label]
    above = (second[:, None] > first[None, :]) + 0.5 * (second[:, None] == first[None, :])
    return _Placed(above.mean(0), above.mean(1))


def _delong(placed: Sequence[_Placed]) -> Interval:
    """The mean of the folds' areas (DeLong, DeLong and Clarke-Pearson, 1988)."""
    areas = [float(one.first.mean()) for one in placed]
    variance = (
        sum(
            one.first.var(ddof=1) / len(one.first) + one.second.var(ddof=1) / len(one.second)
            for one in placed
        )
        / len(placed) ** 2
    )
    estimate = float(np.mean(areas))
    half = float(stats.norm.ppf(0.5 + LEVEL / 2) * np.sqrt(variance))
    n = sum(len(one.first) + len(one.second) for one in placed)
    method = "DeLong, within folds"
    return Interval(
        estimate, max(0.0, estimate - half), min(1.0, estimate + half), n, method=method
    )
