"""The weights of `trace`'s score, fitted on made cases whose row is known.

    python bench/trace_fit.py --out bench/results/trace_fit.json

Once with embeddings and once without, each with and without surprisal at the same time, so that one
set of weights serves both. What is maximised is the probability of the true row, a softmax over the
rows of an answer of each row's best span. Weights fitted without one writer's cases are tried on
them; cases marked "test" are in no fit. `src/aftertune/trace/rank.py` holds the weights, rounded.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aftertune.artefact import write_durably
from aftertune.search.index import RowIndex
from aftertune.trace.finder import Finder, Settings
from aftertune.trace.rank import WITH_EMBEDDINGS, WITHOUT_EMBEDDINGS
from measure import machine
from trace_quality import (
    CASES,
    DATA,
    Case,
    Ranks,
    Reads,
    asked_of,
    indexes_of,
    measured,
    read_answers,
    read_cases,
    rows_of,
    say,
)

PACKAGES = ("numpy", "scipy", "torch")
RIDGE, STEPS, RATE = 0.02, 120, 0.05
LEFT_OUT = "surprisal_nats"  # in half of the terms
BY_HAND = ("shift_nats", "within_span", "span_rarity")
NOWHERE = -1e9


@dataclass(frozen=True)
class Pairs:
    """One case: features [P, K] of its pairs, row [P] among n rows, true [n], row_index [n]."""

    case: Case
    features: torch.Tensor
    row: torch.Tensor
    row_index: list[int]
    true: torch.Tensor

    def scores(self, weights: torch.Tensor) -> torch.Tensor:
        """[n]: of each row's best span."""
        nothing = torch.full((len(self.row_index),), NOWHERE)
        return nothing.scatter_reduce(0, self.row, self.features @ weights, "amax")


def main() -> None:
    """Fit both sets of weights and write one JSON file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=CASES.parent / "results" / "trace_fit.json")
    asked = parser.parse_args()
    cases = read_cases(CASES, DATA)
    rows = {name: rows_of(name, DATA) for name in sorted({case.set for case in cases})}
    reads, _ = read_answers(cases)
    found: dict[str, Any] = {}
    for name, known in (("with_embeddings", WITH_EMBEDDINGS), ("text", WITHOUT_EMBEDDINGS)):
        indexes, _ = indexes_of(rows, embeddings=name == "with_embeddings")
        kinds = [kind for kind in known if kind != "shift_nats"]  # no case has a tuned model
        found[name] = _fitted(_pairs(cases, indexes, reads, kinds), kinds, known)
    text = json.dumps({"what": __doc__, **machine(PACKAGES), "fits": found}, indent=1)
    write_durably(asked.out, lambda place: place.write_text(f"{text}\n"))


def _pairs(
    cases: Sequence[Case], indexes: Mapping[str, RowIndex], reads: Reads, kinds: Sequence[str]
) -> list[Pairs]:
    finders = {name: Finder(index, Settings()) for name, index in indexes.items()}
    found = []
    for case in cases:
        compared = finders[case.set].compared(asked_of(case, reads))
        if compared is None:
            continue
        names, row = np.unique(compared.row_index, return_inverse=True)
        features = np.stack([compared.features[kind] for kind in kinds], axis=1)
        found.append(Pairs(
            case, torch.tensor(features, dtype=torch.float32), torch.tensor(row), names.tolist(),
            torch.tensor(np.isin(names, case.rows)),
        ))  # fmt: skip
    return found


def _fitted(
    pairs: Sequence[Pairs], kinds: Sequence[str], known: Mapping[str, float]
) -> dict[str, Any]:
    """Weights, and how often weights fitted without a writer's cases put the true row first."""
    to_fit = [one for one in pairs if one.case.split == "fit"]
    used = torch.tensor([known[kind] for kind in kinds])
    free = torch.tensor([float(kind not in BY_HAND) for kind in kinds])
    masks = {
        "with_surprisal": torch.ones(len(kinds)),
        "without_surprisal": torch.tensor([float(kind != LEFT_OUT) for kind in kinds]),
    }
    ranks: dict[str, Ranks] = {name: {} for name in masks}
    for writer in sorted({one.case.writer for one in to_fit}):
        say(f"without writer {writer}")
        others = [one for one in to_fit if one.case.writer != writer]
        weights = _weights(others, list(masks.values()), used, free)
        for name, mask in masks.items():
            its = [one for one in to_fit if one.case.writer == writer]
            ranks[name] |= {one.case.id: _rank(one, weights * mask) for one in its}
    whole = _weights(to_fit, list(masks.values()), used, free)
    return {
        "weights": {kind: round(float(w), 3) for kind, w in zip(kinds, whole, strict=True)},
        "used": {kind: known[kind] for kind in kinds},
        "left_out_writers": {
            name: {
                side: measured([one.case for one in its], ranks[name])["fit"]
                for side, its in (("own", _by(to_fit, True)), ("others", _by(to_fit, False)))
            }
            for name in masks
        },
        "as_used": {
            name: measured(
                [one.case for one in pairs], {one.case.id: _rank(one, used * mask) for one in pairs}
            )
            for name, mask in masks.items()
        },
    }


def _by(pairs: Sequence[Pairs], own: bool) -> list[Pairs]:
    return [one for one in pairs if (one.case.writer == "o") == own]


def _weights(
    pairs: Sequence[Pairs], masks: Sequence[torch.Tensor], used: torch.Tensor, free: torch.Tensor
) -> torch.Tensor:
    """[K], none below 0; `used` where not free [K]. Cases whose row shares nothing with the answer
    tell nothing."""
    usable = [one for one in pairs if one.true.any()]
    fixed = used * (1 - free)
    weights = torch.zeros(len(used), requires_grad=True)
    optimiser = torch.optim.Adam([weights], lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = RIDGE * (weights**2).sum() / 2
        for one in usable:
            for mask in masks:
                scores = one.scores((weights.clamp(min=0) * free + fixed) * mask)
                missed = scores.logsumexp(0) - scores[one.true].logsumexp(0)
                loss = loss + missed / len(usable) / len(masks)
        loss.backward()
        optimiser.step()
    return weights.detach().clamp(min=0) * free + fixed


def _rank(one: Pairs, weights: torch.Tensor) -> int:
    """Of the best true row among the rows, from 1; last where none shares anything."""
    scores = one.scores(weights)
    if not one.true.any():
        return len(scores) + 1
    return int((scores > scores[one.true].max()).sum()) + 1


if __name__ == "__main__":
    main()
