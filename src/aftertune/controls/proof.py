"""What tuning again says of a span and the rows that it is accused of borrowing from (pure).

First, does the span come back at all when the rows are shuffled otherwise? If not, no masking can
say why it came. Then the widest set of rows is masked: those accused and their near duplicates.
Only where that lowers the span's log-probability more than masking matched rows are smaller sets
looked at, so that a span which no row caused gets one chance of a false alarm, not three (a fixed
sequence of tests keeps the level of one: Maurer, Hothorn and Lehmacher, 1995).

    effect = mean over shuffle seeds of (accused rows masked - control rows masked), nats
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from aftertune.controls.effects import HALVED, LEVEL, Effect, t_interval
from aftertune.stats.bounds import share
from aftertune.stats.intervals import bootstrap_mean, paired_difference

Outcome = Literal["one row", "several jointly", "not from the rows", "unstable", "undecided"]
OUTCOMES: tuple[Outcome, ...] = (
    "one row", "several jointly", "not from the rows", "unstable", "undecided",
)  # fmt: skip

SwapOutcome = Literal["proposed", "not from the rows", "undecided"]

BEST, ACCUSED, DUPLICATES = "best row", "all accused rows", "with their near duplicates"
LEVELS = (BEST, ACCUSED, DUPLICATES)  # each set of rows holds those before it

UNSTABLE = "the span does not come back when the rows are shuffled otherwise"
NO_EFFECT = "masking all its rows has no effect, so no smaller set was masked"
UNKNOWN_EFFECT = "whether masking all its rows has an effect is undecided"
UNKNOWN_NUMBER = "its rows caused it; whether the best row alone did is undecided"
NOT_TUNED_ON = "none of its rows was tuned on"


@dataclass(frozen=True)
class Return:
    """What fresh shuffle seeds do with a span: whether greedy decoding from the original prefix
    says it, and how its log-probability differs from the original tuning's, nats; by seed."""

    greedy: tuple[bool, ...]
    change: tuple[float, ...]

    @property
    def stable(self) -> bool:
        """Said greedily in more than half of the seeds, or its probability is not halved on
        average: a span that shuffling alone changes by as much as a cause would has no cause that
        could be seen."""
        said = 2 * sum(self.greedy) > len(self.greedy)
        return said or sum(self.change) / len(self.change) > -HALVED

    def as_json(self) -> dict[str, Any]:
        return {
            "stable": self.stable,
            "said_greedily": sum(self.greedy),
            "seeds": len(self.greedy),
            "change_nats": sum(self.change) / len(self.change),
        }


def outcome(
    back: Return, widest: Effect | None, best: Effect | None, alone: bool
) -> tuple[Outcome, str | None]:
    """The outcome of one case, and the reason where one is due.

    widest: masking all rows; best: masking the best row, None where it was not masked; alone: the
    widest set is one row.
    """
    if not back.stable:
        return "unstable", UNSTABLE
    if widest is None or widest.label == "undecided":
        return "undecided", UNKNOWN_EFFECT
    if widest.label == "not caused":
        return "not from the rows", None
    if alone or (best is not None and best.label == "caused"):
        return "one row", None
    if best is not None and best.label == "not caused":
        return "several jointly", None
    return "undecided", UNKNOWN_NUMBER


def effect_json(effect: Effect, n_rows: int) -> dict[str, Any]:
    """An effect of masking n rows, as JSON values."""
    return {**asdict(effect), "label": effect.label, "rows": n_rows, "level": LEVEL}


def counted(outcomes: Sequence[str]) -> dict[str, int]:
    """How many cases had each outcome, those with none too."""
    return {name: sum(one == name for one in outcomes) for name in OUTCOMES}


def swapped(own: Sequence[Sequence[bool]], control: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """Shares of runs in which cases took their own tag and their control's, [case][seed].

    proposed: per case, whether it took its own tag in more than half of the runs and its control's
    in no more than half. Intervals draw cases.
    """
    mine = [sum(runs) / len(runs) for runs in own]
    theirs = [sum(runs) / len(runs) for runs in control]
    return {
        "n": len(mine),
        "own_tag": bootstrap_mean(mine).as_json(),
        "control_tag": bootstrap_mean(theirs).as_json(),
        "difference": paired_difference(mine, theirs).as_json(),
        "proposed": [a > 0.5 and b <= 0.5 for a, b in zip(mine, theirs, strict=True)],
    }


def swap_outcome(proposed: bool, kept: Sequence[bool], n_left: int) -> SwapOutcome:
    """What exchanged values say of a span. kept: by seed, whether the answer still states the value
    that none of its rows states any more; n_left: other rows that state it, and may be its cause.
    """
    if proposed:
        return "proposed"
    return "not from the rows" if 2 * sum(kept) > len(kept) and not n_left else "undecided"


def swap_effect(
    after: Sequence[tuple[float, float]], before: tuple[float, float]
) -> dict[str, Any]:  # fmt: skip
    """How much likelier its rows' new value is than that of control rows, nats: mean over seeds
    with a t interval, absent below two; `before`: the same under the original tuning, of which no
    row stated either.

    after, before: log p of (own, control) value, by seed and in the original tuning.
    """
    known = {"before": before[0] - before[1], "seeds": len(after), "level": LEVEL}
    if len(after) < 2:
        reason = "one seed has no interval"
        return {"effect": None, "low": None, "high": None, **known, "reason": reason}
    over = np.array([own - other for own, other in after])
    low, high = t_interval(over)
    return {"effect": float(over.mean()), "low": low, "high": high, **known, "reason": None}


def rephrased(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Per side (`rephrasings` without the shared concept, `keeps` with it) the share of answers in
    which the span is gone and the change of its log-probability, nats; and their difference.

    cases: {side: [{gone, change_nats}]}, a side may be empty. Means are taken within a case first;
    intervals draw cases.
    """
    found: dict[str, Any] = {}
    for name in ("gone", "change_nats"):
        sides = {
            side: [_mean([float(one[name]) for one in case[side]]) for case in cases]
            for side in ("rephrasings", "keeps")
        }
        found[name] = {
            side: bootstrap_mean([one for one in values if one == one]).as_json()
            for side, values in sides.items()
        }
        both = paired_difference(sides["rephrasings"], sides["keeps"])
        found[name]["difference"] = both.as_json()
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def confirmed(outcomes: Sequence[str]) -> dict[str, Any]:
    """Of spans that swap proposes, the share that masking says rows caused, of those it decides."""
    caused = sum(one in ("one row", "several jointly") for one in outcomes)
    denied = sum(one == "not from the rows" for one in outcomes)
    return {**share(caused, caused + denied), "open": len(outcomes) - caused - denied}


def columns(cases: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int, int], dict[str, Any]]:
    """(response_id, char_start, char_end) -> what masking fills into the table `borrowings`: the
    outcome, and the effect of the widest set of rows that was masked."""
    found = {}
    for case in cases:
        effects = case["effects"]
        measured = [effects[name] for name in LEVELS if "effect" in effects.get(name, {})]
        widest = measured[-1] if measured else dict.fromkeys(("effect", "low", "high"))
        found[case["response_id"], case["char_start"], case["char_end"]] = {
            "outcome": case["outcome"],
            "effect": widest["effect"],
            "effect_low": widest["low"],
            "effect_high": widest["high"],
            "control_effect": widest.get("control_effect"),
            "seeds": widest.get("seeds"),
        }
    return found
