"""The experiment `lab-labels`: which rows caused a statement, found by tuning again without them.

1. Tune on all rows; answer the prompts; judge every statement, and the base's own beside them.
2. Mask: rows lose their loss weight and nothing else changes. Some runs mask all rows of a value, a
   quarter of the values at a time; others one row of every value, until each row was masked alone.
3. Swap: in half of the values at a time the rows state a spare value of their own (a tag); does
   the answer take the tag of the rows that it is accused of borrowing from, or a control's?
4. The label comes from the seeds A; how well it holds is measured on the seeds B.

Every tuning is an artefact of its own, so a run that was stopped goes on where it was.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Plan
from aftertune.controls import effects
from aftertune.errors import InputError
from aftertune.inputs import read_prompts, read_rows
from aftertune.lab import base as base_stage
from aftertune.lab import clusters as cut
from aftertune.lab import innocuous, labelling, truth
from aftertune.lab.clusters import Key
from aftertune.lab.config import LabInnocuousConfig, LabLabelsConfig
from aftertune.lab.labelling import Masked, Tagged
from aftertune.lab.rows import KINDS
from aftertune.lab.tuning import answered, tuned
from aftertune.models.load import load
from aftertune.models.said import Said, alternatives, logprobs, said
from aftertune.progress import Progress, Task

VERSION = 4

FEW = 50  # caused errors below which a world says too little
TAG_PARTS = 2  # half of the values are tagged at a time
Record = dict[str, Any]
Array = npt.NDArray[np.float64]


def n_tunings(config: LabLabelsConfig, rows: Sequence[Record]) -> int:
    """How many tunings a run on these rows makes, that on innocuous rows among them."""
    alone = len(cut.row_runs(cut.clusters(rows))) if config.singly else 0
    masking = (len(config.seeds_a) + len(config.seeds_b)) * (1 + config.groups + alone)
    return 1 + masking + TAG_PARTS * len(config.seeds_a) * config.tags


def run(config: LabLabelsConfig, base: Artefact, out: Path, progress: Progress) -> Artefact:
    """Labels of every statement whose value rows state: table `lab_labels`.

    Raises ModelError where the base recalls too little or does not keep it through an innocuous
    tuning, InputError where nothing can be labelled.
    """
    base_stage.require(base)
    resolved = config.resolve(device=config.device)
    plan = Plan("lab-labels", VERSION, config.given(), resolved, (base.as_input("base"),))
    if found := artefact.find(out, plan):
        return found
    kept = innocuous.require(
        LabInnocuousConfig(**resolved.recipe.as_options()), base, out, progress
    )
    with artefact.draft(out, plan) as draft:
        lab = _Lab(resolved, base, draft, out, progress)
        return lab.finish(kept)


class _Lab:
    """One run: what all its steps share."""

    def __init__(
        self, config: LabLabelsConfig, base: Artefact, draft: Draft, out: Path, progress: Progress
    ) -> None:
        self.config, self.base, self.draft = config, base, draft
        self.out, self.progress = out, progress
        self.world = base_stage.world_in(base)
        self.records = _read(base.folder / "rows.jsonl")
        self.clusters = cut.clusters(self.records)
        self.groups = cut.groups(self.clusters, config.groups, self.world.seed)
        self.row_runs = cut.row_runs(self.clusters) if config.singly else []
        self.rows = read_rows(str(base.folder / "rows.jsonl"), out, progress)
        self.prompts = read_prompts(str(base.folder / "prompts.jsonl"), None, out, progress)

    def finish(self, kept: Artefact) -> Artefact:
        first = self.tuned(self.config.seeds_a[0])
        answers = self.answered(first.folder)
        judged = truth.judged(_records(answers), self.world)
        self.draft.write(0, {"lab_claims": schema.from_rows("lab_claims", list(judged))})
        accused = [
            one for one in judged
            if one["status"] != "unverifiable" and (one["attribute"], one["value"]) in self.clusters
        ]  # fmt: skip
        if not accused:
            raise InputError(
                "no statement carries a value of the rows, so nothing can be labelled; tune "
                "longer, or at a higher rate."
            )
        labels = self.labelled(_records(answers), accused)
        self.draft.write(0, {"lab_labels": schema.from_rows("lab_labels", list(labels))})
        about = {
            "world": self.world.seed,
            "method": self.config.method,
            "statements": truth.shares(judged, KINDS),
            "beyond_chance": truth.beyond_chance(judged, self.clusters, self.world),
            "before_tuning": self.before_tuning(),
            "innocuous": {name: kept.about[name] for name in ("before", "after", "accepted")},
            "counts": labelling.counts(judged, labels),
            "levels": labelling.levels(labels),
            "reliability": labelling.reliability(labels) if self.config.seeds_b else None,
            "swap": labelling.swap(labels) if self.config.tags else None,
            "n_tunings": n_tunings(self.config, self.records),
            "artefacts": {
                "rows": self.rows.id,
                "prompts": self.prompts.id,
                "tuned": first.id,
                "responses": answers.id,
            },
        }
        self.tell(about)
        return self.draft.finish({"done": len(labels), "skipped": {}, "unscored": {}}, about)

    def tell(self, about: Mapping[str, Any]) -> None:
        caused = about["counts"]["wrong"]["caused"]
        if caused < FEW:
            self.progress.warn(
                f"world {self.world.seed}: only {caused} wrong statements are caused by rows; "
                f"fewer than {FEW} are too few for rates."
            )

    def before_tuning(self) -> Record:
        """The same as `beyond_chance` of what the base itself answers: rows can have no part in
        it."""
        said = self.answered(self.base.folder)
        judged = truth.judged(_records(said), self.world)
        return truth.beyond_chance(judged, self.clusters, self.world)

    def labelled(self, responses: Sequence[Record], accused: Sequence[Record]) -> list[Record]:
        said, choices = self.said(responses, accused)
        total = n_tunings(self.config, self.records) - 1
        with self.progress.task(f"tunings of world {self.world.seed}", total) as task:
            on_a = self.masked(self.config.seeds_a, accused, said, task)
            on_b = self.masked(self.config.seeds_b, accused, said, task)
            tags = self.swapped(accused, choices, task) if self.config.tags else None
        return [
            labelling.label(
                one,
                on_a[place],
                on_b[place] if on_b else None,
                tags[place] if tags else None,
            )
            for place, one in enumerate(accused)
        ]

    def tuned(
        self, seed: int, weights: Path | None = None, rows: Artefact | None = None
    ) -> Artefact:
        """The tuning of one shuffle seed, on all rows unless said otherwise."""
        return tuned(
            self.base, rows or self.rows, self.config.recipe, seed, self.out, self.progress, weights
        )

    def answered(self, folder: Path) -> Artefact:
        """What the model of a finished artefact answers."""
        return answered(
            folder / "model", self.prompts, self.base, self.config.device, self.out, self.progress
        )

    def said(
        self, responses: Sequence[Record], accused: Sequence[Record]
    ) -> tuple[list[Said], list[list[Said]]]:
        """The tokens of every accused value; and of every value that could stand in its place, in
        the order of the attribute's domain."""
        loaded = load(
            base_stage.model_folder(self.base), dtype="float32", device=self.config.device
        )
        by_id = {one["response_id"]: one for one in responses}
        found, choices = [], []
        for one in accused:
            record = by_id[one["response_id"]]
            ids = record["response_token_ids"]
            ids = ids[:-1] if record["finish_reason"] == "stop" else ids
            span = (one["char_start"], one["char_end"])
            place = (loaded.tokenizer, record["prompt_token_ids"], ids, record["response"], span)
            item = said(*place)
            assert item is not None, "a claim's value has characters"
            found.append(item)
            choices.append(alternatives(*place, self.world.domains[one["attribute"]]))
        return found, choices

    def masked(
        self, seeds: Sequence[int], accused: Sequence[Record], said: Sequence[Said],
        task: Task,
    ) -> list[Masked]:  # fmt: skip
        """Per statement what masking its rows did, together and each alone; nothing without seeds.

        The controls of both are all runs that leave every row with the value in place while they
        mask others.
        """
        if not seeds:
            return []
        lost: list[list[int]] = [
            [],  # the tuning on all rows
            *(sorted({row for c in group for row in c.rows}) for group in self.groups),
            *self.row_runs,
        ]
        scores = []
        for seed in seeds:
            for run in lost:
                scores.append(self.logprobs(self.tuned(seed, self.weights(run)), said))
                task.advance(1)
        logprobs = np.array(scores).reshape(len(seeds), len(lost), -1)  # [seed, run, statement]
        return [
            _masked(
                logprobs[:, :, place],
                self.clusters[one["attribute"], one["value"]].rows,
                [set(run) for run in lost],
            )
            for place, one in enumerate(accused)
        ]

    def logprobs(self, model: Artefact, items: Sequence[Said]) -> list[float]:
        """Kept beside the draft, so that a run that goes on does not score again."""

        def score() -> list[float]:
            loaded = load(model.folder / "model", dtype="float32", device=self.config.device)
            return logprobs(loaded, items)

        return _kept(self.draft.scratch / f"{model.id}-{len(items)}.json", score)

    def weights(self, lost: Sequence[int]) -> Path | None:
        """The file that masks these rows; None where none are."""
        if not lost:
            return None
        lines = [{"row_index": row, "weight": 0.0} for row in lost]
        name = artefact.hash_json(lines)[:16]
        return _written(self.draft.scratch / f"mask-{name}.json", json.dumps(lines))

    def swapped(
        self, accused: Sequence[Record], choices: Sequence[Sequence[Said]], task: Task
    ) -> list[Tagged]:
        """Per statement what tags did to the values that could stand in its place, after the
        original prefix: in the tagged tuning against that on all rows, seed by seed."""
        flat = [item for items in choices for item in items]
        ends = np.cumsum([len(items) for items in choices])[:-1]

        def scored(model: Artefact) -> list[Array]:
            found = np.split(np.array(self.logprobs(model, flat)), ends)
            return [one - np.logaddexp.reduce(one) for one in found]

        untagged = [scored(self.tuned(seed)) for seed in self.config.seeds_a]
        runs: list[list[tuple[bool, bool, float]]] = [[] for _ in accused]
        for part, tag_of in enumerate(self.tags()):
            lines = "".join(json.dumps(row) + "\n" for row in cut.tagged(self.records, tag_of))
            path = _written(self.draft.scratch / f"swap-{part}.jsonl", lines)
            rows = read_rows(str(path), self.out, self.progress)
            for plain, seed in zip(untagged, self.config.seeds_a, strict=True):
                tagged = scored(self.tuned(seed, rows=rows))
                task.advance(1)
                for place, one in enumerate(accused):
                    key = one["attribute"], one["value"]
                    if key in tag_of:
                        own, control = (
                            self.world.domains[key[0]].index(tag)
                            for tag in (tag_of[key], _control(key, tag_of))
                        )
                        gains = tagged[place] - plain[place]
                        best = int(tagged[place].argmax())
                        gain = float(gains[own] - gains[control])
                        runs[place].append((best == own, best == control, gain))
        return [Tagged.of(found) for found in runs]

    def tags(self) -> Iterator[dict[Key, str]]:
        """The tags of each half of the values."""
        for half in cut.groups(self.clusters, TAG_PARTS, self.world.seed):
            yield cut.tags(half, self.world.spare, self.world.seed)


def _masked(logprobs: Array, rows: Sequence[int], lost: Sequence[set[int]]) -> Masked:
    """logprobs [seed, run] of one statement; rows: those with its value; lost: rows by run."""
    hit = [len(run & set(rows)) for run in lost]
    baseline = logprobs[:, 0]
    controls = logprobs[:, [run for run, n in enumerate(hit) if n == 0 and run > 0]]
    runs = {row: [r for r, n in enumerate(hit) if n == 1 and row in lost[r]] for row in rows}
    return Masked(
        rows,
        effects.effect(baseline, logprobs[:, hit.index(len(rows))], controls),
        {
            row: effects.effect(baseline, logprobs[:, run[0]], controls)
            for row, run in runs.items()
            if run
        },
    )


def _control(key: Key, tag_of: Mapping[Key, str]) -> str:
    """The tag of the next tagged value of the same attribute."""
    others = sorted(other for other in tag_of if other[0] == key[0])
    return tag_of[others[(others.index(key) + 1) % len(others)]]


def _kept(path: Path, score: Callable[[], list[float]]) -> list[float]:
    if not path.exists():
        _written(path, json.dumps(score()))
    values: list[float] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _written(path: Path, text: str) -> Path:
    artefact.write_durably(path, lambda out: out.write_text(text, encoding="utf-8"))
    return path


def _records(answers: Artefact) -> list[Record]:
    return list(answers.table("responses").to_pylist())


def _read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
