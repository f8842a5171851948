"""Loss by class, beside the base asked again (pure).

A fact is called HighlyKnown because its answers were right, some of them by luck. Asked again with
other examples, even the base answers fewer of these right, and more of the Unknown: regression to
the mean. So a tuned model seems to lose what was known best and to learn what was unknown without
having changed at all. Three shares of right answers stand beside each other per class, over its
facts: base in the first half of the draws (on which the class rests), base again in the second
half, tuned in the second half. Only tuned against base again is a change of the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aftertune.recall.classes import CLASSES
from aftertune.recall.pairing import Known
from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import DRAWS, LEVEL


def by_class(
    of_class: Mapping[str, str], first: Mapping[str, Known], again: Mapping[str, Known],
    tuned: Mapping[str, Known], seed: int = 0,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """class -> n, the three shares, and two changes with 95% intervals over facts.

    retest: base again minus base; seen: tuned minus base, the change that a single test would
    show; excess: tuned minus base again, what is left of it. Classes without a fact are left out.
    """
    found = {}
    for name in CLASSES:
        ids = [
            one
            for one, its in of_class.items()
            if its == name and one in first and one in again and one in tuned
        ]
        if ids:
            base, retold, new = (
                np.array([side[one].share for one in ids]) for side in (first, again, tuned)
            )
            found[name] = {"n": len(ids), **_changes(base, retold, new, seed)}
    return found


def _changes(base: Any, again: Any, tuned: Any, seed: int) -> dict[str, Any]:
    differences = {"retest": again - base, "seen": tuned - base, "excess": tuned - again}
    return {
        "base": float(base.mean()),
        "again": float(again.mean()),
        "tuned": float(tuned.mean()),
        **{
            name: bounded_mean(values, seed, DRAWS, LEVEL, "fact", (-1.0, 1.0)).as_json()
            for name, values in differences.items()
        },
    }


def flips(first: Mapping[str, Known], again: Mapping[str, Known]) -> dict[str, int]:
    """How many facts the base alone answers right in one half of the draws and not in the other."""
    both: Sequence[str] = [one for one in first if one in again]
    return {
        "n": len(both),
        "lost": sum(first[one].right and not again[one].right for one in both),
        "gained": sum(again[one].right and not first[one].right for one in both),
    }
