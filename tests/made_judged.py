"""Made worlds of judged statements, for tests: no text, no model."""

import numpy as np

from aftertune.lab.cases import Judged
from aftertune.lab.detectors import Case, Finding

ROWS = 20


def truth(label, effect_b=None, rows=(1,), rows_b=None, level="one row"):
    caused = label == "caused"
    return {
        "label": label,
        "rows": list(rows) if caused else [],
        "level": level if caused else None,
        "effect_b": effect_b,
        "rows_b": list(rows if rows_b is None else rows_b) if caused else [],
    }


def world(number, truths, n_rows=10):
    told = [Case(f"{number}/{n}", "", "Blue.", (0, 4)) for n in range(len(truths))]
    plain = [{"row_index": n, "messages": []} for n in range(n_rows)]
    counts = {label: sum(t["label"] == label for t in truths) for label in ("caused", "not caused")}
    return Judged(number, told, truths, plain, counts)


def planted(n_worlds=5, n=60, seed=0):
    """Worlds of statements, and a noise of each: [world][statement] of normal values.

    A third is caused, by one row of its own; on the seeds B the effect is 3 nats with noise of 1.
    """
    generator = np.random.default_rng(seed)
    worlds = []
    for number in range(n_worlds):
        truths = []
        for place in range(n):
            caused = place % 3 == 0
            noise = generator.normal()
            row = place % ROWS
            truths.append(
                truth("caused", noise - 3, [row]) if caused else truth("not caused", noise)
            )
        worlds.append(world(number, truths, ROWS))
    return worlds


def detector(worlds, strength, seed, right=0.5, **more):
    """Scores that are `strength` higher where caused; the right row first in a share of `right`."""
    generator = np.random.default_rng(seed)
    found = []
    for one in worlds:
        said = []
        for t in one.truths:
            caused = t["label"] == "caused"
            value = generator.normal() + strength * caused
            row = t["rows"][0] if caused and generator.random() < right else ROWS - 1
            said.append(Finding(float(value), (row,), **more))
        found.append(said)
    return found
