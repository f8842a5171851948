"""The experiment `lab-labels`: which rows caused a statement, found by tuning again without them.

1. Tune on all rows with each shuffle seed; answer the prompts with the first seed's model; judge.
2. Swap: half of the clusters at a time get a fresh value of their own (a tag); does the answer
   take the tag of the cluster that it is accused of borrowing from, or that of a control?
3. Mask: a quarter of the clusters at a time lose their loss weight and nothing else changes.
4. The label of a statement comes from the seeds A; how well it holds is measured on the seeds B.

Every tuning is an artefact of its own, so a run that was stopped goes on where it was.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Draft, Plan
from aftertune.auditing import read_prompts, read_rows
from aftertune.config import build
from aftertune.errors import InputError
from aftertune.lab import base as base_stage
from aftertune.lab import clusters as cut
from aftertune.lab import effects, spans, truth
from aftertune.lab.clusters import Cluster, Key
from aftertune.lab.config import LabLabelsConfig
from aftertune.models.load import load
from aftertune.progress import Progress
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.stats.intervals import bootstrap_mean
from aftertune.tune import run as tune_stage
from aftertune.tune.config import TuneConfig

VERSION = 1

FEW = 50  # caused errors below which a world says too little
KINDS = ("known", "neighbour", "trained", "rephrased", "open")
Record = dict[str, Any]


def n_tunings(config: LabLabelsConfig) -> int:
    """How many tunings a run makes."""
    per_seed = 1 + config.groups
    return (len(config.seeds_a) + len(config.seeds_b)) * per_seed + 2


def run(config: LabLabelsConfig, base: Artefact, out: Path, progress: Progress) -> Artefact:
    """Labels of every statement whose value rows state: table `lab_labels`.

    Raises ModelError where the base recalls too little, InputError where nothing can be labelled.
    """
    base_stage.require(base)
    resolved = config.resolve(device=config.device)
    plan = Plan("lab-labels", VERSION, config.given(), resolved, (base.as_input("base"),))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        progress.say(f"labels of world {base.config['seed']}: {n_tunings(config)} tunings")
        lab = _Lab(resolved, base, draft, out, progress)
        return lab.finish()


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
        self.rows = read_rows(str(base.folder / "rows.jsonl"), out, progress)
        self.prompts = read_prompts(str(base.folder / "prompts.jsonl"), None, out, progress)

    def finish(self) -> Artefact:
        first = self.tuned(self.config.seeds_a[0])
        answered = self.answered(first)
        responses = _records(answered)
        judged = truth.judged(responses, self.world)
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
        items = self.said(responses, accused)
        on_a = self.effects(self.config.seeds_a, accused, items)
        on_b = self.effects(self.config.seeds_b, accused, items)
        swaps, swap_rates = self.swapped(accused)
        labels = [
            _label(one, self.clusters, a, b, swap)
            for one, a, b, swap in zip(accused, on_a, on_b, swaps, strict=True)
        ]
        self.draft.write(0, {"lab_labels": schema.from_rows("lab_labels", list(labels))})
        about = {
            "world": self.world.seed,
            "statements": truth.shares(judged, KINDS),
            "beyond_chance": truth.beyond_chance(judged, self.clusters, self.world),
            "counts": _counts(labels),
            "reliability": reliability(labels),
            "swap": swap_rates,
            "n_tunings": n_tunings(self.config),
            "artefacts": {
                "rows": self.rows.id,
                "prompts": self.prompts.id,
                "tuned": first.id,
                "responses": answered.id,
            },
        }
        self.tell(about)
        return self.draft.finish({"done": len(labels), "skipped": {}, "unscored": {}}, about)

    def tell(self, about: Mapping[str, Any]) -> None:
        counts = about["counts"]
        caused = counts["wrong"]["caused"]
        if caused < FEW:
            self.progress.warn(
                f"world {self.world.seed}: only {caused} wrong statements are caused by rows; "
                f"fewer than {FEW} are too few for rates."
            )

    def tuned(
        self, seed: int, weights: Path | None = None, rows: Artefact | None = None
    ) -> Artefact:
        """The tuning of one shuffle seed, on all rows unless said otherwise."""
        options = {
            "base": str(self.base.folder / "model"),
            "name": f"world {self.world.seed}, seed {seed}",
            "method": self.config.method,
            "learning_rate": self.config.learning_rate,
            "epochs": self.config.epochs,
            "batch_size": self.config.batch_size,
            "template": str(self.base.folder / "qa.jinja"),
            "seed": seed,
            "shuffle_seed": seed,
            "weights": weights,
            "device": self.config.device,
        }
        return tune_stage.run(
            build(TuneConfig, options), rows or self.rows, self.out, self.progress
        )

    def answered(self, tuned: Artefact) -> Artefact:
        options = {
            "model": str(tuned.folder),
            "name": "tuned",
            "max_new_tokens": self.config.max_new_tokens,
            "batch_size": 96,
            "dtype": "float32",
            "device": self.config.device,
        }
        return respond_stage.run(
            build(RespondConfig, options), self.prompts, self.out, self.progress
        )

    def said(self, responses: Sequence[Record], accused: Sequence[Record]) -> list[spans.Said]:
        """The tokens of every accused value."""
        loaded = load(self.base.folder / "model", dtype="float32", device=self.config.device)
        by_id = {one["response_id"]: one for one in responses}
        found = []
        for one in accused:
            record = by_id[one["response_id"]]
            ids = record["response_token_ids"]
            ids = ids[:-1] if record["finish_reason"] == "stop" else ids
            item = spans.said(
                loaded.tokenizer, record["prompt_token_ids"], ids, record["response"],
                (one["char_start"], one["char_end"]),
            )  # fmt: skip
            assert item is not None, "a claim's value has characters"
            found.append(item)
        return found

    def effects(
        self, seeds: Sequence[int], accused: Sequence[Record], items: Sequence[spans.Said]
    ) -> list[effects.Effect]:
        """Per statement the effect of masking its cluster, over `seeds`."""
        baseline = np.array([self.logprobs(self.tuned(seed), items) for seed in seeds])
        masked = np.array(
            [
                [self.logprobs(self.tuned(seed, self.weights(g)), items) for seed in seeds]
                for g in range(len(self.groups))
            ]
        )  # [group, seed, statement]
        group_of = {c.key: g for g, group in enumerate(self.groups) for c in group}
        found = []
        for place, one in enumerate(accused):
            own = group_of[one["attribute"], one["value"]]
            others = [g for g in range(len(self.groups)) if g != own]
            found.append(
                effects.effect(
                    baseline[:, place].tolist(),
                    masked[own, :, place].tolist(),
                    masked[others, :, place].T.tolist(),
                )
            )
        return found

    def logprobs(self, tuned: Artefact, items: Sequence[spans.Said]) -> list[float]:
        """Kept beside the draft, so that a run that goes on does not score again."""
        kept = self.draft.scratch / f"{tuned.id}.json"
        if not kept.exists():
            loaded = load(tuned.folder / "model", dtype="float32", device=self.config.device)
            text = json.dumps(spans.logprobs(loaded, items))
            artefact.write_durably(kept, lambda path: path.write_text(text, encoding="utf-8"))
        values: list[float] = json.loads(kept.read_text(encoding="utf-8"))
        return values

    def weights(self, group: int) -> Path:
        """The file that masks the rows of a group of clusters."""
        masked = sorted({row for cluster in self.groups[group] for row in cluster.rows})
        path = self.draft.scratch / f"mask-{group}.json"
        text = json.dumps([{"row_index": row, "weight": 0.0} for row in masked])
        artefact.write_durably(path, lambda out: out.write_text(text, encoding="utf-8"))
        return path

    def swapped(self, accused: Sequence[Record]) -> tuple[list[bool | None], Record]:
        """Per statement whether its answer took its own cluster's tag; rates beside controls'."""
        own: list[bool | None] = [None] * len(accused)
        control: list[bool | None] = [None] * len(accused)
        taken = [entity.name for entity in self.world.entities]
        for number, half in enumerate(cut.groups(self.clusters, 2, self.world.seed)):
            tag_of = cut.tags(half, taken, self.world.seed)
            path = self.draft.scratch / f"swap-{number}.jsonl"
            lines = "".join(json.dumps(row) + "\n" for row in cut.tagged(self.records, tag_of))
            path.write_text(lines, encoding="utf-8")
            rows = read_rows(str(path), self.out, self.progress)
            tuned = self.tuned(self.config.seeds_a[0], rows=rows)
            said = {one["prompt_id"]: one["response"] for one in _records(self.answered(tuned))}
            for place, one in enumerate(accused):
                key = (one["attribute"], one["value"])
                if key not in tag_of:
                    continue
                own[place] = _says(said[one["prompt_id"]], tag_of[key])
                other = _control(key, tag_of)
                control[place] = None if other is None else _says(said[one["prompt_id"]], other)
        return own, {"own_tag": _rate(own, accused), "control_tag": _rate(control, accused)}


def reliability(labels: Sequence[Record]) -> Record:
    """Labels made on seeds A against fresh seeds B: effects of B by label, and how often a label
    of A is B's too."""
    found: Record = {}
    for label in ("caused", "not caused", "undecided"):
        of_label = [one for one in labels if one["label"] == label]
        found[label] = {
            "n": len(of_label),
            "effect_b": bootstrap_mean([one["effect_b"] for one in of_label]).as_json(),
            "same_label": bootstrap_mean(
                [float(one["label_b"] == label) for one in of_label]
            ).as_json(),
        }
    return found


def _label(
    one: Record, known: Mapping[Key, Cluster], a: effects.Effect, b: effects.Effect,
    swap: bool | None,
) -> Record:  # fmt: skip
    kept = ("response_id", "kind", "char_start", "char_end", "entity", "attribute", "value",
            "status")  # fmt: skip
    return {
        **{name: one[name] for name in kept},
        "rows": list(known[one["attribute"], one["value"]].rows),
        "label": a.label,
        "effect": a.effect,
        "effect_low": a.low,
        "effect_high": a.high,
        "control_effect": a.control_effect,
        "seeds": a.seeds,
        "label_b": b.label,
        "effect_b": b.effect,
        "took_tag": swap,
    }


def _counts(labels: Sequence[Record]) -> Record:
    return {
        status: {
            label: sum(one["status"] == status and one["label"] == label for one in labels)
            for label in ("caused", "not caused", "undecided")
        }
        for status in ("right", "wrong")
    }


def _control(key: Key, tag_of: Mapping[Key, str]) -> str | None:
    """The tag of the next cluster of the same attribute."""
    others = sorted(other for other in tag_of if other[0] == key[0] and other != key)
    return tag_of[others[0]] if others else None


def _says(response: str, tag: str) -> bool:
    return tag.lower() in response.lower()


def _rate(found: Sequence[bool | None], accused: Sequence[Record]) -> Record:
    wrong = [
        float(hit)
        for hit, one in zip(found, accused, strict=True)
        if hit is not None and one["status"] == "wrong"
    ]
    return bootstrap_mean(wrong).as_json()


def _records(answered: Artefact) -> list[Record]:
    return list(answered.table("responses").to_pylist())


def _read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
