"""Tunings like one that was made here, with another order of rows and some rows masked or changed.

Each is an artefact of its own, so a run that was stopped goes on, and the same tuning serves every
experiment that asks for it.
"""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from aftertune.artefact import Artefact
from aftertune.config import Dtype
from aftertune.controls import removal
from aftertune.controls.substitutes import holds
from aftertune.errors import InputError
from aftertune.experiments import materials, retune
from aftertune.experiments.cost import Cost
from aftertune.experiments.subject import Subject
from aftertune.inputs import tune_artefact
from aftertune.models.load import Loaded, load
from aftertune.models.reference import find
from aftertune.progress import Progress
from aftertune.tune import run as tune_stage
from aftertune.tune.prepare import NOT_REACHED

Record = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A tuning that was made here, and what `retune` has to know to make it again."""

    name: str  # what progress calls it
    base: str
    tune: Artefact
    rows: Artefact | None = None  # where they are not where the tuning had them
    device: str = "auto"
    trust_remote_code: bool = False

    @property
    def subject(self) -> Subject:
        """As `retune` takes it, which reads nothing of a subject that is not here too."""
        return cast(Subject, self)


@dataclass(frozen=True)
class Tunings:
    """Tunings like `source` on its rows, into `out`."""

    source: Source
    rows: Artefact
    out: Path
    progress: Progress

    @property
    def tune(self) -> Artefact:
        return self.source.tune

    @cached_property
    def table(self) -> list[Record]:
        """The rows, as records."""
        return list(self.rows.table("rows").to_pylist())

    @cached_property
    def weights(self) -> dict[int, float]:
        """row_index -> weight in the tuning itself, of the rows that it was trained on."""
        split = self.tune.table("split").to_pylist()
        return {one["row_index"]: one["weight"] for one in split if one["part"] == "train"}

    @cached_property
    def trained(self) -> list[int]:
        """row_index of rows that the tuning learnt from, ascending."""
        return sorted(row for row, weight in self.weights.items() if weight > 0)

    @cached_property
    def lengths(self) -> dict[int, int]:
        """row_index -> trained tokens."""
        split = self.tune.table("split").to_pylist()
        return {one["row_index"]: one["n_trained_tokens"] or 0 for one in split}

    @cached_property
    def clusters(self) -> dict[str, list[int]]:
        """cluster_id -> the rows learnt from that are near duplicates of each other."""
        learnt, found = set(self.trained), dict[str, list[int]]()
        for row in self.table:
            if row["row_index"] in learnt:
                found.setdefault(row["cluster_id"], []).append(row["row_index"])
        return found

    @cached_property
    def cluster_of(self) -> dict[int, str]:
        """row_index -> cluster_id, of rows learnt from."""
        return {row: name for name, members in self.clusters.items() for row in members}

    def duplicates(self, rows: Collection[int]) -> frozenset[int]:
        """These rows, which were learnt from, and their near duplicates that were too."""
        names = {self.cluster_of[row] for row in rows}
        return frozenset(row for name in names for row in self.clusters[name])

    @cached_property
    def texts(self) -> dict[int, str]:
        """row_index -> all that its messages say, of rows learnt from."""
        learnt = set(self.trained)
        return {
            row["row_index"]: " ".join(one["content"] or "" for one in row["messages"])
            for row in self.table
            if row["row_index"] in learnt
        }

    def nearness(self, prompts: Sequence[str]) -> list[dict[int, float]]:
        """Per prompt how near it each row learnt from is, by row_index; for control rows."""
        found = removal.nearness(prompts, list(self.texts.values()))
        return [dict(zip(self.texts, values.tolist(), strict=True)) for values in found]

    def saying(self, span: str) -> frozenset[int]:
        """Rows learnt from that hold a span's words: any of them could be its cause where others
        are accused, so they are no controls."""
        return frozenset(row for row, text in self.texts.items() if holds(text, span.strip()))

    def seeds(self, n: int, used: int = 0) -> list[int]:
        """n shuffle seeds behind the first `used`, never the tuning's own: its own was chosen for
        what it said, others were not."""
        own = self.tune.config["shuffle_seed"]
        return [seed for seed in range(used + n + 1) if seed != own][used : used + n]

    def masked(self, seed: int, lost: Collection[int] = ()) -> Artefact:
        """The tuning of a shuffle seed, the rows `lost` without weight. The seed is also that of an
        adapter's initial weights and of noise."""
        weights = {row: w for row, w in self.weights.items() if w != 1} | dict.fromkeys(lost, 0.0)
        return self._tuned(seed, self.rows, weights, f"{len(lost)} rows masked")

    @cached_property
    def split_clusters(self) -> dict[str, list[int]]:
        """What stayed together when rows were held out -> rows, of those that can be learnt from:
        the rows tuned on and those held out."""
        found: dict[str, list[int]] = {}
        for one in self.tune.table("split").to_pylist():
            if one["part"] != "left_out" and one["n_trained_tokens"] and one["weight"] > 0:
                found.setdefault(one["cluster_id"], []).append(one["row_index"])
        return found

    @cached_property
    def rows_per_plan(self) -> tuple[int, int]:
        """Rows that could be trained on, and those that an epoch of the tuning had."""
        split = self.tune.table("split").to_pylist()
        chosen = sum(one["part"] == "train" or one["reason"] == NOT_REACHED for one in split)
        return sum(bool(one["n_trained_tokens"]) for one in split), chosen

    def of_all(self, seed: int, kept: Collection[int]) -> Artefact:
        """The tuning of a shuffle seed on these of all rows, whether they were held out or not."""
        split = self.tune.table("split").to_pylist()
        weights = {
            one["row_index"]: one["weight"] if one["row_index"] in kept else 0.0
            for one in split
            if one["row_index"] not in kept or one["weight"] != 1
        }
        anew: dict[str, Any] = {
            "hold_out": 0.0, "hold_out_by": None, "subset": None, "token_budget": None,
            "take_plan": None,
        }  # fmt: skip
        if steps := self.tune.config["max_steps"]:  # as many uses of a row as in the tuning
            every, chosen = self.rows_per_plan
            anew["max_steps"] = math.ceil(steps * every / chosen)
        return self._tuned(seed, self.rows, weights, f"{len(kept)} of all rows", **anew)

    def changed(self, seed: int, rows: Artefact) -> Artefact:
        """The tuning of a shuffle seed on other rows with the same row_id and row_index."""
        weights = {row: w for row, w in self.weights.items() if w != 1}
        return self._tuned(seed, rows, weights, "rows with other values")

    def load(self, model: Artefact, dtype: Dtype) -> Loaded:
        """The model of a tuning, to score and generate."""
        source = self.source
        return load(
            find(str(model.folder), source.base), dtype=dtype, device=source.device,
            trust_remote_code=source.trust_remote_code,
        )  # fmt: skip

    def cost(self, proof: str, n: int, what: str, times: float = 1.0) -> Cost:
        """What n tunings take: as many tokens, seconds and bytes as the one that was made, each;
        times: as many rows."""
        seconds = float(self.tune.manifest["seconds"]) * times
        tokens = int(self.tune.about["n_tokens"] * times)
        files = self.tune.manifest["files"].items()
        size = sum(entry["bytes"] for name, entry in files if name.startswith("model/"))
        return Cost(proof, what, n, n * tokens, n * seconds, n * size)

    def _tuned(
        self, seed: int, rows: Artefact, weights: dict[int, float], what: str, **more: Any
    ) -> Artefact:
        lines = [{"row_index": row, "weight": weights[row]} for row in sorted(weights)]
        path = materials.text_file("weights.json", json.dumps(lines), self.out) if lines else None
        name = f"{self.source.name}, seed {seed}, {what}"
        config = retune.settings(
            self.source.subject, name=name, seed=seed, shuffle_seed=seed, weights=path, **more
        )
        return tune_stage.run(config, rows, self.out, self.progress)


def of(
    tuned: str, base: str | None, rows: Artefact | None, out: Path, progress: Progress,
    name: str | None = None, device: str = "auto", trust_remote_code: bool = False,
) -> Tunings:  # fmt: skip
    """What is needed to tune `tuned` again; base and rows are those it names, unless given.

    Raises InputError for a checkpoint that was tuned elsewhere, or whose base or rows are gone.
    """
    tune = tune_artefact(tuned)
    if tune is None:
        raise InputError(
            f"{tuned} was not tuned here, and proof needs its base, its rows and its recipe: tune "
            "them with `aftertune tune` and give the tune-… artefact as --tuned."
        )
    base = base or str(tune.config["base"])
    source = Source(name or Path(tuned).name, base, tune, rows, device, trust_remote_code)
    if reason := retune.why_not(source.subject):
        raise InputError(reason)
    kept = retune.rows_of(source.subject)
    assert kept is not None, "why_not has looked"
    return Tunings(source, kept, out, progress)
