"""How long rating took (pure)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from aftertune.stats.bounds import resampled
from aftertune.stats.intervals import Interval, absent, resamples
from aftertune.study.agreement import Drawing
from aftertune.study.over_prompts import unless_alike
from aftertune.study.rated import Rated

Found = dict[str, Any]


def seconds(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """{item: median seconds of an item, total_hours, batches: {batch: median}}; over items."""
    timed = [one for one in ratings if one.seconds is not None]
    batches = sorted({one.batch for one in timed})
    return {
        "item": _median(timed, drawing).as_json(),
        "total_hours": sum(one.seconds or 0.0 for one in timed) / 3600,
        "untimed": len(ratings) - len(timed),
        "batches": {
            str(batch): _median([o for o in timed if o.batch == batch], drawing).as_json()
            for batch in batches
        },
    }


def _median(some: Sequence[Rated], drawing: Drawing) -> Interval:
    """The median over items of an item's mean seconds; intervals over items."""
    by_item: dict[str, list[float]] = defaultdict(list)
    for one in some:
        by_item[one.item_id].append(float(one.seconds or 0.0))
    if not by_item:
        return absent("no times")
    found = np.sort([float(np.mean(times)) for times in by_item.values()])
    n = len(found)
    drawn = [
        found[(np.cumsum(w, 1) >= n / 2).argmax(1)]
        for w in resamples(n, drawing.seed, drawing.draws)
    ]
    together = np.concatenate(drawn or [np.empty(0)])
    return unless_alike(resampled(float(np.median(found)), together, n, drawing.level))
