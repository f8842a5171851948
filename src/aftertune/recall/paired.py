"""The same items answered by base and tuned: what was lost, gained and kept (pure).

Pairing takes the items' difficulty out: only items that the two answer differently speak of a
change. McNemar's exact test (Psychometrika 12, 1947; the binomial form) asks whether more of these
were lost than gained; the interval of the change is a bootstrap over items.

A change that was not found is no proof that there is none. "Nothing lost" is said only where the
whole 90% interval lies within the margin (two one-sided tests, `stats.equivalence`) and there are
so many items that a change as large as the margin would have been found 80 times in 100; otherwise
it is undecided, and `needed` says how many items would decide.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any, Literal

import numpy as np
from scipy import stats

from aftertune.stats.bounds import bounded_mean
from aftertune.stats.detectable import POWER
from aftertune.stats.equivalence import EQUIVALENCE_LEVEL
from aftertune.stats.intervals import DRAWS, LEVEL, Interval

FEWEST = 6  # items, all in one direction, for an exact McNemar p below 0.05: 2 / 2^6
MARGIN = 0.05  # share of the items: what is small enough to be called none
LEAST_OF_TAG = 5  # items below which a tag's value is not judged
MOST_VALUES = 20  # values above which a tag names items rather than groups

_Z_LEVEL, _Z_POWER = (float(stats.norm.ppf(one)) for one in ((1 + LEVEL) / 2, POWER))

Outcome = Literal["lost", "gained", "kept right", "kept wrong"]
OUTCOMES: tuple[Outcome, ...] = ("lost", "gained", "kept right", "kept wrong")
Verdict = Literal["lost", "gained", "nothing lost", "undecided"]


@dataclass(frozen=True)
class Pair:
    """One item, whether each model answers it right, and the groups that it belongs to."""

    item: str
    base: bool
    tuned: bool
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """What became of the item."""
        if self.base == self.tuned:
            return "kept right" if self.base else "kept wrong"
        return "lost" if self.base else "gained"


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p of McNemar's exact test: `lost` of lost + gained under a fair coin.

    1 where nothing differs. mcnemar(5, 0) = 2 / 2^5 = 0.0625.
    """
    if lost + gained == 0:
        return 1.0
    return float(stats.binomtest(lost, lost + gained, 0.5).pvalue)


def compare(pairs: Sequence[Pair], seed: int = 0, margin: float = MARGIN) -> dict[str, Any]:
    """The four-way table of `pairs` and what it says, as JSON values.

    counts: per outcome. base, tuned: shares right, `change` tuned minus base, each with its 95%
    interval over items; p: McNemar. detectable: the smallest change that so many items would have
    shown 80 times in 100; needed: items in all that would decide, None where there is no such
    number. verdict: as the module says; undecided without pairs.
    """
    base = np.array([one.base for one in pairs], np.float64)
    tuned = np.array([one.tuned for one in pairs], np.float64)
    counts = {outcome: sum(one.outcome == outcome for one in pairs) for outcome in OUTCOMES}
    change = _change(tuned - base, seed, LEVEL)
    p = mcnemar(counts["lost"], counts["gained"])
    differ = counts["lost"] + counts["gained"]
    return {
        "n": len(pairs),
        "counts": counts,
        "base": bounded_mean(base, seed, DRAWS, LEVEL).as_json(),
        "tuned": bounded_mean(tuned, seed, DRAWS, LEVEL).as_json(),
        "change": change.as_json(),
        "p": p if pairs else None,
        "detectable": detectable(len(pairs), differ),
        "power": POWER,
        "needed": _needed(len(pairs), differ, change.estimate, margin),
        "margin": margin,
        "verdict": verdict(tuned - base, p, seed, margin),
    }


def verdict(changes: np.ndarray, p: float, seed: int, margin: float) -> Verdict:
    """What may be said of the mean of `changes` [n] in -1, 0, 1, with McNemar's p."""
    if len(changes) == 0:
        return "undecided"
    mean = float(changes.mean())
    if p < 1 - LEVEL and mean != 0:
        return "lost" if mean < 0 else "gained"
    if len(changes) < items_for(margin, np.count_nonzero(changes) / len(changes)):
        return "undecided"
    narrow = _change(changes, seed, EQUIVALENCE_LEVEL)
    if narrow.low is None or narrow.high is None:
        return "undecided"
    return "nothing lost" if -margin < narrow.low and narrow.high < margin else "undecided"


def by_tag(
    pairs: Sequence[Pair], seed: int = 0, margin: float = MARGIN
) -> dict[str, dict[str, dict[str, Any]]]:
    """tag -> value -> `compare` of its items, with `p_holm`: p over all that are shown here.

    Left out: values with fewer than 5 items, and tags with one such value or more than 20 values.
    """
    groups: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for one in pairs:
        for tag, value in one.tags.items():
            groups[tag][value].append(one)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for tag, values in sorted(groups.items()):
        enough = {v: its for v, its in sorted(values.items()) if len(its) >= LEAST_OF_TAG}
        if len(values) <= MOST_VALUES and len(enough) >= 2:
            found[tag] = {value: compare(its, seed, margin) for value, its in enough.items()}
    shown = [judged for values in found.values() for judged in values.values()]
    corrected = holm([judged["p"] for judged in shown])
    for judged, p in zip(shown, corrected, strict=True):
        judged["p_holm"] = p
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


def _change(changes: np.ndarray, seed: int, level: float) -> Interval:
    """Where nothing differs a bootstrap has no width, and the exact bound stands instead."""
    return bounded_mean(changes, seed, DRAWS, level, ends=(-1.0, 1.0))


def items_for(change: float, differ: float) -> int:
    """Items with which McNemar's test finds a change of this share 80 times in 100.

    differ: share of items that the two answer differently, at least `change`. With z the quantiles
    of 97.5% and 80%: (z_a sqrt(differ) + z_b sqrt(differ - change^2))^2 / change^2 (Connor,
    Biometrics 43, 1987), and as many as the exact test needs.

    >>> items_for(0.05, 0.0), items_for(0.05, 0.2), items_for(1.0, 0.0)
    (155, 626, 6)
    """
    spread = max(differ, change)
    seen = _Z_LEVEL * sqrt(spread) + _Z_POWER * sqrt(spread - change**2)
    return ceil(max((seen / change) ** 2, FEWEST / change))


def detectable(n: int, differ: int) -> float | None:
    """The smallest change that `n` items show 80 times in 100, where `differ` of them are answered
    differently; None where not even a change of all of them is."""
    if n < FEWEST:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if items_for(middle, differ / n) <= n else (middle, high)
    return high


def _needed(n: int, differ: int, estimate: float | None, margin: float) -> int | None:
    """For a change of `margin`; where there are as many and it is undecided, the change found lies
    between none and the margin, and it is for the farther one of these."""
    if estimate is None:
        return None
    planned = items_for(margin, differ / n)
    if n < planned:
        return planned
    size = min(abs(estimate), 1.0)
    total = items_for(max(size, abs(margin - size)), differ / n)
    return total if total > n else None
