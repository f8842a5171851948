"""From effects of masking to labels, and how well labels hold on fresh seeds (pure).

A wrong statement is caused by rows if masking every row with its value lowers the value's
log-probability more than masking as many other rows. Its causal set is then every row that does so
alone. Where none does, they did it together: the set is all rows whose masking lowers it at all or,
where fewer than two are told from none, every row with the value, each able to stand in for others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aftertune.controls.effects import HALVED, Effect, t_interval
from aftertune.stats.bounds import share
from aftertune.stats.intervals import bootstrap_mean

LABELS = ("caused", "not caused", "undecided")
ONE, SEVERAL = "one row", "several rows"

Record = dict[str, Any]


@dataclass(frozen=True)
class Masked:
    """What masking did to one statement: every row with its value at once, and each alone."""

    candidates: Sequence[int]  # rows with its value
    together: Effect
    alone: Mapping[int, Effect]  # row -> its own effect; empty where rows were not masked singly

    @property
    def label(self) -> str:
        """caused, not caused, undecided: by all rows with the value."""
        return self.together.label

    @property
    def rows(self) -> list[int]:
        """The causal set, strongest first; empty unless caused."""
        if self.label != "caused":
            return []
        order = sorted(self.alone, key=lambda row: self.alone[row].effect)
        lowered = [row for row in order if self.alone[row].high < 0]
        together = lowered if len(lowered) > 1 else order
        return self.singly or together or list(self.candidates)

    @property
    def singly(self) -> list[int]:
        """Rows that are the cause alone, strongest first; empty unless caused."""
        found = [row for row, effect in self.alone.items() if effect.label == "caused"]
        caused = self.label == "caused"
        return sorted(found, key=lambda row: self.alone[row].effect) if caused else []

    @property
    def level(self) -> str | None:
        """Whether one row is the cause, or several; None unless caused."""
        return None if not self.rows else ONE if len(self.singly) == 1 else SEVERAL


@dataclass(frozen=True)
class Tagged:
    """What tags did to one statement, over runs of two seeds or more.

    own_chosen, control_chosen: share of runs in which the tag of its own rows, or of a control's,
    was the likeliest value. gain: by how many nats its own tag became likelier through tagging,
    beyond what the control's did; low, high: t interval over runs.
    """

    own_chosen: float
    control_chosen: float
    gain: float
    low: float
    high: float

    @classmethod
    def of(cls, runs: Sequence[tuple[bool, bool, float]]) -> "Tagged":
        """runs: own tag chosen, control's chosen, gain of the own beyond the control's."""
        own, control, gains = (np.asarray(column, float) for column in zip(*runs, strict=True))
        return cls(float(own.mean()), float(control.mean()), float(gains.mean()),
                   *t_interval(gains))  # fmt: skip

    @property
    def proposed(self) -> bool:
        """Whether the answer takes its own tag: always the likeliest, and at least twice as much
        likelier as the control's became."""
        return self.own_chosen == 1 and self.low > HALVED

    @property
    def false(self) -> bool:
        """The same of the control's tag."""
        return self.control_chosen == 1 and self.high < -HALVED


def label(statement: Mapping[str, Any], a: Masked, b: Masked | None, tags: Tagged | None) -> Record:
    """A record of `lab_labels`. b: the same from fresh seeds."""
    kept = ("response_id", "kind", "char_start", "char_end", "entity", "attribute", "value",
            "status")  # fmt: skip
    return {
        **{name: statement[name] for name in kept},
        "candidates": list(a.candidates),
        "rows": a.rows,
        "level": a.level,
        "label": a.label,
        "effect": a.together.effect,
        "effect_low": a.together.low,
        "effect_high": a.together.high,
        "control_effect": a.together.control_effect,
        "seeds": a.together.seeds,
        "rows_b": b.rows if b else None,
        "label_b": b.label if b else None,
        "effect_b": b.together.effect if b else None,
        "took_tag": tags.proposed if tags else None,
        "took_control_tag": tags.false if tags else None,
        "tag_gain": tags.gain if tags else None,
    }


def counts(judged: Sequence[Mapping[str, Any]], labels: Sequence[Record]) -> Record:
    """Statements by status and label; `no row`: its value stands in no row."""
    found: Record = {}
    for status in ("wrong", "right"):
        by_label = {
            name: sum(one["status"] == status and one["label"] == name for one in labels)
            for name in LABELS
        }
        said = sum(one["status"] == status for one in judged)
        found[status] = {**by_label, "no row": said - sum(by_label.values())}
    return found


def levels(labels: Sequence[Record]) -> Record:
    """Wrong statements caused by rows, by how many rows are the cause."""
    wrong = [one for one in labels if one["status"] == "wrong"]
    return {level: sum(one["level"] == level for one in wrong) for level in (ONE, SEVERAL)}


def reliability(labels: Sequence[Record], seed: int = 0) -> Record:
    """Labels made on seeds A against fresh seeds B, of wrong statements: per label the effect on
    B, and how often the label of A is B's too. Intervals draw statements."""
    found: Record = {}
    for name in LABELS:
        of_label = [one for one in labels if one["label"] == name and one["status"] == "wrong"]
        effects = [one["effect_b"] for one in of_label if one["effect_b"] is not None]
        same = [float(one["label_b"] == name) for one in of_label if one["label_b"] is not None]
        found[name] = {
            "n": len(of_label),
            "effect_b": bootstrap_mean(effects, seed=seed).as_json(),
            "same_label": bootstrap_mean(same, seed=seed).as_json(),
        }
    return found


def swap(labels: Sequence[Record]) -> Record:
    """How often answers took the tag of the rows that they are accused of, and a control's.

    own_tag, false_tag: shares of tagged wrong statements that took their own tag, and a control's;
    by_label: the same own_tag for those that masking calls caused, and not caused; confirmed: of
    those that took their own and have a decided label, the share that masking calls caused.
    """
    tagged = [one for one in labels if one["status"] == "wrong" and one["took_tag"] is not None]
    proposed = [one for one in tagged if one["took_tag"]]
    decided = [one for one in proposed if one["label"] != "undecided"]
    return {
        "own_tag": share(len(proposed), len(tagged)),
        "false_tag": share(sum(one["took_control_tag"] for one in tagged), len(tagged)),
        "by_label": {
            name: share(
                sum(one["label"] == name for one in proposed),
                sum(one["label"] == name for one in tagged),
            )
            for name in LABELS
        },
        "confirmed": share(sum(one["label"] == "caused" for one in decided), len(decided)),
    }
