"""Rows that a model never saw, matched one to one with the rows that it was tuned on (pure).

A row may only be paired with one whose answer is about as long (`near_in_length`) and, where both
sides carry a topic, has the same topic. Among those the nearest prompt is taken, by the inner
product of centred TF-IDF vectors of its words, idf = ln((1 + n) / (1 + df)) + 1 over both sides.
Centred, since rows of everyday words are near to all others: picked again and again, they would
make control rows poorer in words than the rows that were seen (Suzuki et al., "Centering
Similarity Measures to Reduce Hubs", 2013). Pairs are made greedily, the nearest of all first, and
no row is used twice; equals are taken in the seed's order.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

CANDIDATES = 50  # nearest rows that are looked at together; further ones when these are taken
LENGTH_SHARE = 0.2  # by which answers of a pair may differ, of the longer one
LENGTH_WORDS = 2  # and by which any may

_CELLS = 2**23  # similarities held at once
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Texts:
    """What matching looks at: of every row the words of its prompt and of its answer.

    topics: one per row, or None where the rows carry none.
    """

    prompts: Sequence[Sequence[str]]
    answers: Sequence[Sequence[str]]
    topics: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if len(self.prompts) != len(self.answers):
            raise ValueError("prompts and answers must be of the same rows")
        if self.topics is not None and len(self.topics) != len(self.prompts):
            raise ValueError("there must be one topic per row")

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Words of each answer."""
        return np.asarray([len(answer) for answer in self.answers], np.int64)


@dataclass(frozen=True)
class Matched:
    """Pairs: row seen[i] goes with control[i], whose prompts have this cosine; sorted by `seen`."""

    seen: npt.NDArray[np.int64]
    control: npt.NDArray[np.int64]
    cosine: npt.NDArray[np.float64]


def match(seen: Texts, control: Texts, seed: int = 0) -> Matched:
    """As many pairs as there are; rows without a counterpart that is left are in none."""
    vectors = tfidf([*seen.prompts, *control.prompts])
    a, b = vectors[: len(seen.prompts)], vectors[len(seen.prompts) :]
    generator = np.random.default_rng(seed)
    found: list[tuple[int, int]] = []
    for block in _blocks(seen, control):
        rows, others = (generator.permutation(side) for side in block)
        pairs = _greedy(a[rows], b[others], seen.lengths[rows], control.lengths[others])
        found += [(int(rows[i]), int(others[j])) for i, j in pairs]
    places = np.asarray(sorted(found), np.int64).reshape(-1, 2)
    first, second = places[:, 0], places[:, 1]
    cosine = np.asarray(a[first].multiply(b[second]).sum(axis=1), np.float64).ravel()
    return Matched(first, second, cosine)


def near_in_length(
    some: npt.NDArray[np.int64], others: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """[some, others]: whether two answers are about as long, from their numbers of words."""
    a, b = some[:, None], others[None, :]
    near: npt.NDArray[np.bool_] = abs(a - b) <= np.maximum(
        LENGTH_WORDS, LENGTH_SHARE * np.maximum(a, b)
    )
    return near


def tfidf(texts: Sequence[Sequence[str]]) -> sparse.csr_array:
    """[texts, words] of length 1 each; a text without words is all 0."""
    numbers: dict[str, int] = {}
    rows, columns, counts = [], [], []
    for row, text in enumerate(texts):
        for word, count in Counter(text).items():
            rows.append(row)
            columns.append(numbers.setdefault(word, len(numbers)))
            counts.append(count)
    held_by = np.bincount(columns, minlength=len(numbers)) if columns else np.zeros(0)
    idf = np.log((1 + len(texts)) / (1 + held_by)) + 1
    places = (np.asarray(rows, np.int64), np.asarray(columns, np.int64))
    weights = np.asarray(counts, np.float64) * idf[places[1]]
    norm = np.sqrt(np.bincount(places[0], weights**2, minlength=len(texts)))
    unit = (weights / norm[places[0]]).astype(np.float32)
    return sparse.csr_array((unit, places), shape=(len(texts), max(1, len(numbers))))


def balance(seen: Texts, control: Texts, matched: Matched, seed: int = 0) -> dict[str, Any]:
    """How alike both sides are, before and after: {before, after, unmatched, by_topic}.

    before, after: {seen, control: {rows, words, distinct_words} of the answers, mean_cosine};
    before, a row goes with one drawn at random. unmatched: {seen, control}: rows in no pair.
    """
    n, n_control = len(seen.prompts), len(control.prompts)
    before: dict[str, Any] = {"seen": _counted(seen.answers), "control": _counted(control.answers)}
    before["mean_cosine"] = None
    if n and n_control:
        vectors = tfidf([*seen.prompts, *control.prompts])
        drawn = n + np.random.default_rng(seed).integers(0, n_control, n)
        before["mean_cosine"] = float(vectors[:n].multiply(vectors[drawn]).sum() / n)
    return {
        "before": before,
        "after": {
            "seen": _counted([seen.answers[i] for i in matched.seen]),
            "control": _counted([control.answers[i] for i in matched.control]),
            "mean_cosine": float(matched.cosine.mean()) if len(matched.cosine) else None,
        },
        "unmatched": {"seen": n - len(matched.seen), "control": n_control - len(matched.seen)},
        "by_topic": seen.topics is not None and control.topics is not None,
    }


def _counted(answers: Sequence[Sequence[str]]) -> dict[str, int]:
    return {
        "rows": len(answers),
        "words": sum(map(len, answers)),
        "distinct_words": len({word for answer in answers for word in answer}),
    }


def _blocks(seen: Texts, control: Texts) -> list[tuple[list[int], list[int]]]:
    """Rows that may be paired at all: of one topic, or all where a side has none."""
    if seen.topics is None or control.topics is None:
        every = list(range(len(seen.prompts))), list(range(len(control.prompts)))
        return [every] if every[0] and every[1] else []
    places: dict[str, tuple[list[int], list[int]]] = {}
    for side, topics in enumerate((seen.topics, control.topics)):
        for place, topic in enumerate(topics):
            places.setdefault(topic, ([], []))[side].append(place)
    return [both for both in places.values() if both[0] and both[1]]


def _greedy(
    a: sparse.csr_array, b: sparse.csr_array, a_words: npt.NDArray[np.int64],
    b_words: npt.NDArray[np.int64],
) -> list[tuple[int, int]]:  # fmt: skip
    """Pairs (row of a, row of b), the nearest first.

    Only the nearest CANDIDATES of a row are listed; rows whose candidates all went to others are
    looked at again among what is left, until no pair is possible.
    """
    found: list[tuple[int, int]] = []
    total = np.asarray(a.sum(axis=0) + b.sum(axis=0), np.float32).ravel()
    mean = total / np.float32(a.shape[0] + b.shape[0])
    rows, others = np.arange(a.shape[0]), np.arange(b.shape[0])
    while len(rows) and len(others):
        nearness, i, j = _candidates(a[rows], b[others], mean, a_words[rows], b_words[others])
        free_row, free_other = np.ones(len(rows), bool), np.ones(len(others), bool)
        for place in np.argsort(-nearness, kind="stable"):
            if free_row[i[place]] and free_other[j[place]]:
                free_row[i[place]] = free_other[j[place]] = False
                found.append((int(rows[i[place]]), int(others[j[place]])))
        had_some = np.zeros(len(rows), bool)
        had_some[i] = True
        rows, others = rows[free_row & had_some], others[free_other]
    return found


def _candidates(
    a: sparse.csr_array, b: sparse.csr_array, mean: Floats, a_words: npt.NDArray[np.int64],
    b_words: npt.NDArray[np.int64],
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # fmt: skip
    """Of every row of a the nearest rows of b of about its length: nearness, row of a, row of b.

    nearness: (x - mean) . (y - mean) but for the constant mean . mean.
    """
    found, rows, others = [], [], []
    kept = min(CANDIDATES, b.shape[0])
    chunk = max(1, _CELLS // b.shape[0])
    turned, to_mean = b.T.tocsr(), b @ mean
    for start in range(0, a.shape[0], chunk):
        part = a[start : start + chunk]
        near = (part @ turned).toarray() - (part @ mean)[:, None] - to_mean
        near[~near_in_length(a_words[start : start + chunk], b_words)] = -np.inf
        best = np.argpartition(-near, kept - 1, axis=1)[:, :kept]
        nearness = np.take_along_axis(near, best, axis=1)
        row, place = np.nonzero(np.isfinite(nearness))
        found.append(nearness[row, place])
        rows.append(row + start)
        others.append(best[row, place])
    return np.concatenate(found), np.concatenate(rows), np.concatenate(others)
