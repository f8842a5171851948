"""One world of a study: its rows, its base's answers, and what is measured of each tuning."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Draft
from aftertune.config import build
from aftertune.data import templates
from aftertune.experiments.materials import json_lines
from aftertune.inputs import read_prompts, read_rows
from aftertune.lab import base as base_stage
from aftertune.lab import row_loss, study_measures, study_plan, truth, tuning
from aftertune.lab.study_config import LabStudyConfig
from aftertune.lab.study_measures import Answers, absent, value
from aftertune.lab.study_plan import Tuning
from aftertune.models.load import load
from aftertune.progress import Progress
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig

Record = dict[str, Any]

MAX_LENGTH = 1024  # tokens of a row, as in a tuning


class World:
    """One world: its rows, its base's answers, and the cells measured so far."""

    def __init__(
        self, config: LabStudyConfig, base: Artefact, draft: Draft, out: Path, progress: Progress
    ) -> None:
        self.config, self.base, self.draft = config, base, draft
        self.out, self.progress = out, progress
        self.seed: int = base.config["seed"]
        self.world = base_stage.world_in(base)
        self.template = base.folder / "qa.jinja"
        self.cells: dict[str, Record] = {}
        closed, long_, simplified = (
            _read(base.folder / f"{name}.jsonl")
            for name in ("rows", "long_rows", "simplified_rows")
        )
        self.records = study_plan.row_sets(closed, long_, simplified, self.seed, config.reserved)
        self.rows = {
            name: read_rows(str(json_lines(f"{name}.jsonl", records, out)), out, progress)
            for name, records in self.records.items()
            if records
        }
        self.prompts = read_prompts(str(base.folder / "prompts.jsonl"), None, out, progress)
        self.base_responses = self.answered(base_stage.model_folder(base), "base")
        self.base_answers = self.judged(self.base_responses)

    def measured(self, one: Tuning) -> Record:
        """A cell: what was tuned, its quantities, and the artefacts they come from."""
        if one.rows not in self.rows:
            reason = f"world {self.seed} has no {one.rows} rows"
            quantities = {name: absent(reason) for name in study_measures.QUANTITIES}
            return {**one._asdict(), "quantities": quantities}
        more = study_plan.more_options(one, len(self.records[one.rows]))
        tuned = tuning.tuned(
            self.base, self.rows[one.rows], study_plan.recipe(one, self.config), one.seed,
            self.out, self.progress, **more,
        )  # fmt: skip
        answered = self.answered(tuned.folder, one.cell)
        shift = self.shifted(tuned, answered, one.cell)
        taught = study_measures.taught(self.trained_on(tuned, one), self.world)
        quantities = study_measures.measured(
            self.judged(answered), self.base_answers, taught, self.world
        )
        kl = shift.about["summary"]["kl_tuned_base_nats"]["per_token"]
        quantities["kl"] = _finite(kl["estimate"], kl["n"], "the shift has no finite mean")
        quantities["held_out_loss"] = self.held_out(tuned.folder / "model", tuned.id)
        made = {"tune": tuned, "respond": answered, "shift": shift}
        rank = one.lora_rank if one.method == "lora" else None
        return {
            **one._asdict(),
            "lora_rank": rank,
            "rank_of_width": None if rank is None else rank / self.base.config["hidden"],
            "trained_of_parameters": tuned.about["trained_parameters"] / tuned.about["parameters"],
            "n_rows": tuned.counts["done"],
            "steps": tuned.about["steps"],
            "quantities": quantities,
            "artefacts": {stage: done.id for stage, done in made.items()},
            "seconds": sum(float(done.manifest["seconds"]) for done in made.values()),
        }

    def answered(self, model: Path, name: str) -> Artefact:
        """Greedy answers to all prompts of the world."""
        options = {
            "model": str(model),
            "name": name,
            "template": str(self.template),
            "max_new_tokens": self.config.max_new_tokens,
            "batch_size": 96,
            "dtype": "float32",
            "device": self.config.device,
        }
        return respond_stage.run(
            build(RespondConfig, options), self.prompts, self.out, self.progress
        )

    def shifted(self, tuned: Artefact, answered: Artefact, name: str) -> Artefact:
        """The tuned model against the base, on the tuned model's own answers."""
        options = {
            "base": str(base_stage.model_folder(self.base)),
            "tuned": str(tuned.folder),
            "name": name,
            "dtype": "float32",
            "noise_responses": 0,
            "device": self.config.device,
        }
        return shift_stage.run(build(ShiftConfig, options), answered, self.out, self.progress)

    def judged(self, answered: Artefact) -> Answers:
        records = answered.table("responses").to_pylist()
        return study_measures.answers(records, truth.judged(records, self.world))

    def trained_on(self, tuned: Artefact, one: Tuning) -> list[Record]:
        """The rows that were drawn, with their tags."""
        split = tuned.table("split").select(["row_index", "part"]).to_pylist()
        drawn = {row["row_index"] for row in split if row["part"] == "train"}
        return [row for place, row in enumerate(self.records[one.rows]) if place in drawn]

    def held_out(self, model: Path, key: str) -> Record:
        """Kept beside the draft, so that a study that goes on does not score again."""
        kept = self.draft.scratch / f"held-out-{key}.json"
        if not kept.exists():
            loaded = load(model, dtype="float32", device=self.config.device)
            template = templates.get(str(self.template), loaded.tokenizer)
            rows = self.rows["reserved"].table("rows").to_pylist()
            found = row_loss.losses(loaded, template, rows, MAX_LENGTH)
            known = [loss for loss in found if loss is not None]
            mean = _finite(sum(known) / len(known), len(known), "the loss is not finite")
            artefact.write_durably(kept, partial(_write, json.dumps(mean)))
        return dict(json.loads(kept.read_text(encoding="utf-8")))

    def as_json(self) -> Record:
        """The world for `about`."""
        quantities = study_measures.measured(
            self.base_answers, self.base_answers, study_measures.taught([], self.world), self.world
        )
        quantities["held_out_loss"] = self.held_out(
            base_stage.model_folder(self.base), self.base.id
        )
        return {
            "world": self.seed,
            "n_rows": {name: len(records) for name, records in self.records.items()},
            "base": {name: quantities[name] for name in study_measures.OF_BASE},
            "cells": self.cells,
            "seconds": {
                "base": float(self.base.manifest["seconds"]),
                "cells": sum(cell.get("seconds", 0.0) for cell in self.cells.values()),
            },
        }


def labelled(labels: Artefact) -> Record:
    """What an artefact of labels says of wrong statements, as a cell."""
    return {
        "method": labels.config["method"],
        "rate": labels.config["learning_rate"],
        "quantities": study_measures.caused(labels.about["counts"]["wrong"]),
        "artefacts": {"labels": labels.id},
    }


def _finite(number: float | None, n: int, reason: str) -> Record:
    if number is None or number - number != 0:  # infinite or not a number
        return absent(reason)
    return value(number, n)


def _read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
