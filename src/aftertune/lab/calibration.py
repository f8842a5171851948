"""Do probabilities come true? (pure numpy)

    brier            mean of (probability - outcome)^2; 0 is perfect
    expected error   mean over bins of |mean probability - share that came true|, weighted by size

Bins hold about as many statements each, and equal probabilities stay in one bin. Even perfect
probabilities have an expected error above 0 in a finite sample, so what they would have is drawn
and stands beside it.

Scores that are no probabilities are turned into some by isotonic regression on the other worlds:
the only rising step function that fits best; it asks nothing of the scores but their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from aftertune.lab.over_worlds import Array, Flags, Places

BINS = 10
LEAST_IN_BIN = 5
DRAWS = 1000
HIGH = 0.95  # quantile of what perfect probabilities would have

ONE_WORLD = "its scores are no probabilities, and there is no other world to calibrate them on"


@dataclass(frozen=True)
class Bin:
    """n statements, the mean of their probabilities, the share of them that came true."""

    n: int
    said: float
    found: float


@dataclass(frozen=True)
class Perfect:
    """The expected error that perfect probabilities would have: mean and 95% quantile."""

    mean: float
    high: float


def reliability(caused: Flags, probability: Array) -> list[Bin]:
    """The bins from low to high probability. caused, probability [N]; none for no statements."""
    order = np.argsort(probability, kind="stable")
    p, c = probability[order], caused[order]
    return [
        Bin(end - start, float(p[start:end].mean()), float(c[start:end].mean()))
        for start, end in _edges(p)
    ]


def expected_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error, a probability; NaN without statements."""
    n = sum(one.n for one in bins)
    return sum(one.n * abs(one.said - one.found) for one in bins) / n if n else float("nan")


def perfect(probability: Array, seed: int) -> Perfect:
    """The expected error where every outcome is drawn from its probability."""
    p = np.sort(probability)
    edges = _edges(p)
    starts = [start for start, _ in edges]
    true = np.random.default_rng(seed).random((DRAWS, len(p))) < p
    apart = np.abs(np.add.reduceat(true - p, starts, axis=1)).sum(1) / len(p)
    return Perfect(float(apart.mean()), float(np.quantile(apart, HIGH)))


def isotonic(caused: Flags, score: Array, asked: Array) -> Array:
    """Probabilities of the scores `asked` [M], fitted to the statements caused, score [N].

    Between two scores of the fit it is a straight line, outside them constant.
    """
    knots, place, times = np.unique(score, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=caused) / times
    fitted = isotonic_regression(shares, weights=times).x
    return np.interp(asked, knots, fitted)


def left_out(caused: Flags, score: Array, world: Places) -> Array:
    """Per statement [N] its probability as fitted on all other worlds; there must be two."""
    found = np.full(len(score), np.nan)
    for own in np.unique(world):
        others = world != own
        found[~others] = isotonic(caused[others], score[others], score[~others])
    return found


def _edges(p: Array) -> list[tuple[int, int]]:
    """[start, end) of every bin of the sorted probabilities."""
    if not len(p):
        return []
    least = max(LEAST_IN_BIN, len(p) / BINS)
    found, start = [], 0
    for end in [*(np.flatnonzero(np.diff(p)) + 1).tolist(), len(p)]:
        if end - start >= least or end == len(p):
            found.append((start, int(end)))
            start = int(end)
    if len(found) > 1 and found[-1][1] - found[-1][0] < LEAST_IN_BIN:
        found[-2:] = [(found[-2][0], found[-1][1])]  # a rest of a few joins the bin before it
    return found
