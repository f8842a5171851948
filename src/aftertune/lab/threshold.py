"""The score from which on a statement is called caused, never chosen on the judged world (pure)."""

import numpy as np

from aftertune.lab.over_worlds import Array, Flags, Places

ONE_WORLD = "a threshold is chosen on other worlds, and there is only one world"


def best_f1(caused: Flags, score: Array) -> float:
    """The threshold t at which "score >= t" has the highest F1, of equals the highest t.

    F1 = 2 x caused and taken / (caused + taken). NaN where nothing is caused. caused, score [N].
    """
    if not caused.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    sorted_scores = score[order]
    last = np.append(np.flatnonzero(np.diff(sorted_scores)), len(score) - 1)
    hits = np.cumsum(caused[order])[last]
    f1 = 2 * hits / (last + 1 + caused.sum())
    return float(sorted_scores[last[np.argmax(f1)]])


def left_out(caused: Flags, score: Array, world: Places) -> Array:
    """Per statement [N] the threshold that is best on the statements of all other worlds; NaN
    where those hold none that is caused."""
    found = np.full(len(score), np.nan)
    for own in np.unique(world):
        others = world != own
        found[~others] = best_f1(caused[others], score[others])
    return found
