"""Proof by masking: tune again without the rows that a span is accused of borrowing from.

Masked rows keep their place in the batches and lose their loss. Many spans share a tuning
(`controls/removal.py`); each is compared with a tuning in which as many matched rows are masked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.artefact import Artefact
from aftertune.controls import removal
from aftertune.controls.effects import Effect, effect
from aftertune.controls.proof import (
    ACCUSED,
    BEST,
    DUPLICATES,
    NO_EFFECT,
    NOT_TUNED_ON,
    UNSTABLE,
    Outcome,
    Return,
    counted,
    effect_json,
    outcome,
)
from aftertune.controls.removal import Removal, Run
from aftertune.experiments.accused import Case, says
from aftertune.experiments.cost import Cost
from aftertune.experiments.tunings import Tunings
from aftertune.experiments.verify_config import VerifyConfig
from aftertune.models.said import logprobs

LARGE = "its rows are more than one run may lose"
NO_CONTROL = "no rows are left to compare with"

Asked = tuple[int, frozenset[int]]  # case, rows
Floats = npt.NDArray[np.float64]


def plan(config: VerifyConfig, cases: Sequence[Case], tunings: Tunings) -> Cost:
    """What it costs at most: all spans come back and none is cleared by the first round."""
    masking = Masking(config, cases, tunings)
    rounds = [
        [(place, rows) for place, case in enumerate(cases) for rows in masking.sets(case, wide)]
        for wide in (True, False)
    ]
    n_runs = [len(masking.runs(asked)[0]) for asked in rounds]
    n = config.seeds * (1 + sum(n_runs))
    spans = "1 span" if len(cases) == 1 else f"{len(cases)} spans"
    return tunings.cost(
        "mask",
        n,
        f"for each of {config.seeds} shuffle seeds one on all rows, {n_runs[0]} that mask all rows "
        f"of {spans} or their controls, and at most {n_runs[1]} that mask fewer",
    )


def run(
    config: VerifyConfig, cases: Sequence[Case], tunings: Tunings, used: int = 0
) -> dict[str, Any]:
    """What was found: every case with its outcome and effects, and the outcomes counted.

    used: shuffle seeds that are left out, since the cases were chosen by them.
    """
    masking = Masking(config, cases, tunings, used)
    back = masking.returns()
    wide = {
        place: rows
        for place, case in enumerate(cases)
        if back[place].stable
        for rows in masking.sets(case, wide=True)
    }
    first = masking.effects(list(wide.items()))
    deeper = [
        (place, rows)
        for place, rows in wide.items()
        if isinstance(found := first[place, rows], Effect) and found.label == "caused"
        for rows in masking.sets(cases[place], wide=False)
    ]
    effects = first | masking.effects(deeper)
    judged = [
        _judged(case, back[place], masking, place, effects) for place, case in enumerate(cases)
    ]
    return {
        "way": "mask",
        "cases": judged,
        "counts": counted([one["outcome"] for one in judged]),
        "seeds": masking.seeds,
        "n_rows": len(tunings.trained),
        "n_tunings": len(masking.made),
    }


class Masking:
    """Tunings that mask rows of these cases, and what each does to the spans."""

    def __init__(
        self, config: VerifyConfig, cases: Sequence[Case], tunings: Tunings, used: int = 0
    ) -> None:
        self.config, self.cases, self.tunings = config, cases, tunings
        self.seeds = tunings.seeds(config.seeds, used)
        self.made: set[str] = set()
        self.most = removal.largest(len(tunings.trained), config.share)
        self.baseline = np.zeros((len(self.seeds), len(cases)))
        self.keep = [self._keep(case) for case in cases]
        self.near = tunings.nearness([case.prompt for case in cases])

    def _keep(self, case: Case) -> frozenset[int]:
        """The case's rows, and others that say the span, unless too many do to tell anything."""
        saying = self.tunings.saying(case.span)
        return case.group | saying if len(saying) <= self.most else case.group

    def levels(self, case: Case) -> dict[str, frozenset[int]]:
        """Sets of rows to mask, from the smallest to the widest, each named and none twice."""
        found: dict[str, frozenset[int]] = {}
        for name, rows in ((BEST, frozenset(case.rows[:1])), (ACCUSED, frozenset(case.rows)),
                           (DUPLICATES, case.group)):  # fmt: skip
            if rows and rows not in found.values():
                found[name] = rows
        return found

    def sets(self, case: Case, wide: bool) -> list[frozenset[int]]:
        """The widest set that a run may lose (as a list, empty where none is), or all others."""
        fit = [rows for rows in self.levels(case).values() if len(rows) <= self.most]
        return fit[-1:] if wide else fit[:-1]

    def returns(self) -> list[Return]:
        """What the original tuning and fresh seeds on all rows do with the spans."""
        items = [case.said for case in self.cases]
        before = np.array(logprobs(self._loaded(self.tunings.tune), items))
        greedy = []
        for place, seed in enumerate(self.seeds):
            loaded = self._loaded(self._tuned(seed))
            self.baseline[place] = logprobs(loaded, items)
            greedy.append(says(loaded, items))
        change = self.baseline - before
        return [
            Return(tuple(one[place] for one in greedy), tuple(change[:, place].tolist()))
            for place in range(len(items))
        ]

    def effects(self, asked: Sequence[Asked]) -> dict[Asked, Effect | str]:
        """The effect of masking these rows on that case, or why there is none."""
        if not asked:
            return {}
        runs, removals, reasons = self.runs(asked)
        values = np.full((len(removals), len(self.seeds)), np.nan)
        with self.tunings.progress.task("tunings that mask rows", len(runs) * len(self.seeds)) as t:
            for run in runs:
                items = [self.cases[removals[i].case].said for i in run.removals]
                for place, seed in enumerate(self.seeds):
                    loaded = self._loaded(self._tuned(seed, run.rows))
                    values[list(run.removals), place] = logprobs(loaded, items)
                    t.advance()
        found: dict[Asked, Effect | str] = dict(reasons)
        for number, (masked, control) in enumerate(zip(values[::2], values[1::2], strict=True)):
            one = removals[2 * number]
            found[one.case, one.rows] = effect(self.baseline[:, one.case], masked, control[:, None])
        return found

    def runs(
        self, asked: Sequence[Asked]
    ) -> tuple[list[Run], list[Removal], dict[Asked, Effect | str]]:
        """Runs; removals in pairs, the rows of a case and its control; what cannot be asked."""
        removals: list[Removal] = []
        reasons: dict[Asked, Effect | str] = {}
        for case, rows in asked:
            keep = self.keep[case]
            control = self.control(case, rows)
            if len(rows) > self.most or control is None:
                reasons[case, rows] = NO_CONTROL if len(rows) <= self.most else LARGE
                continue
            removals += [
                Removal(case, rows, keep), Removal(case, frozenset(control), keep)
            ]  # fmt: skip
        known = self.tunings.trained
        return removal.runs(removals, known, self.config.share, self.config.seed), removals, reasons

    def control(self, case: int, rows: frozenset[int]) -> list[int] | None:
        """As many rows that the case has nothing to do with, as long and as near to its prompt."""
        free = set(self.tunings.trained) - self.keep[case]
        return removal.matched(
            sorted(rows), free, self.tunings.lengths, self.near[case], self.config.seed
        )

    def _tuned(self, seed: int, lost: frozenset[int] = frozenset()) -> Artefact:
        found = self.tunings.masked(seed, lost)
        self.made.add(found.id)
        return found

    def _loaded(self, model: Artefact) -> Any:
        return self.tunings.load(model, self.config.dtype)


def _judged(
    case: Case, back: Return, masking: Masking, place: int, effects: dict[Asked, Effect | str]
) -> dict[str, Any]:
    """One case as JSON values: how it came back, the effect of each set of rows, the outcome."""
    levels = masking.levels(case)
    measured = {
        name: one
        for name, rows in levels.items()
        if isinstance(one := effects.get((place, rows)), Effect)
    }
    verdict, reason = _outcome(case, back, measured, masking, place, effects)
    shown = {}
    for name, rows in levels.items():
        why = UNSTABLE if not back.stable else LARGE if len(rows) > masking.most else NO_EFFECT
        shown[name] = (
            effect_json(measured[name], len(rows))
            if name in measured
            else {"rows": len(rows), "reason": effects.get((place, rows), why)}
        )
    return {
        **case.as_json(),
        "outcome": verdict,
        "reason": reason,
        "returned": back.as_json(),
        "effects": shown,
    }


def _outcome(
    case: Case, back: Return, measured: dict[str, Effect], masking: Masking, place: int,
    effects: dict[Asked, Effect | str],
) -> tuple[Outcome, str | None]:  # fmt: skip
    if not case.rows:
        return "not from the rows", NOT_TUNED_ON
    if back.stable and not measured:
        widest = masking.sets(case, wide=True)
        return "undecided", str(effects[place, widest[0]]) if widest else LARGE
    names = list(masking.levels(case))
    widest_name = list(measured)[-1] if measured else None
    found = outcome(back, measured.get(widest_name or ""), measured.get(BEST), names == [BEST])
    if found[0] == "not from the rows" and widest_name != names[-1]:
        return "undecided", LARGE  # near duplicates were left in place
    return found
