"""The check `lab-innocuous`: does a base keep what it knows through a tuning that teaches nothing?

A lab in which tuning fails because the form of the question is new would manufacture borrowing. So
the base is tuned, by the recipe of the experiment, on rows that say only what it was asked and
knows, and well-exposed facts that those rows do not state are asked before and after.
"""

import random
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.errors import ModelError
from aftertune.inputs import read_rows
from aftertune.lab import base as base_stage
from aftertune.lab import recall
from aftertune.lab.config import LabInnocuousConfig
from aftertune.lab.families import BY_KEY
from aftertune.lab.tuning import tuned
from aftertune.lab.world import Placed, World
from aftertune.models.load import load
from aftertune.progress import Progress
from aftertune.stats.intervals import bootstrap_mean

VERSION = 1

STAYS = 0.8  # of well-exposed facts that must be answerable after an innocuous tuning
_SEED = 1000  # shuffle seed of that tuning, none of an experiment's


def run(config: LabInnocuousConfig, base: Artefact, out: Path, progress: Progress) -> Artefact:
    """`about`: shares answered right before and after, and `accepted`."""
    resolved = config.resolve(device=config.device)
    plan = Plan("lab-innocuous", VERSION, config.given(), resolved, (base.as_input("base"),))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        rows = read_rows(str(base.folder / "innocuous_rows.jsonl"), out, progress)
        after = tuned(base, rows, resolved.recipe, _SEED, out, progress)
        made = base_stage.world_in(base)
        items = _items(made, resolved.asked)
        shares = {}
        folders = {"before": base_stage.model_folder(base), "after": after.folder / "model"}
        for name, folder in folders.items():
            loaded = load(folder, dtype="float32", device=resolved.device)
            answers = recall.ask(loaded, made, items, progress)
            right = [float(one["status"] == "right") for one in answers]
            shares[name] = bootstrap_mean(right).as_json()
        about: dict[str, Any] = {
            **shares,
            "world": made.seed,
            "n_rows": rows.manifest["counts"]["done"],
            "accepted": shares["after"]["estimate"] >= STAYS,
            "tuned": after.id,
        }
        return draft.finish({"done": len(items), "skipped": {}, "unscored": {}}, about)


def require(config: LabInnocuousConfig, base: Artefact, out: Path, progress: Progress) -> Artefact:
    """The check, done or found done; raises ModelError where the world is refused."""
    checked = run(config, base, out, progress)
    if not checked.about["accepted"]:
        raise ModelError(
            f"after a tuning that teaches nothing the base of world {checked.about['world']} "
            f"answers {checked.about['after']['estimate']:.0%} of well-exposed facts, and "
            f"{STAYS:.0%} are needed; tune at a lower rate, or take another world."
        )
    return checked


def _items(world: World, most: int) -> list[tuple[Placed, int]]:
    """Well-exposed facts that neither the text nor these rows ask for."""
    generator = random.Random(f"innocuous questions {world.seed}")
    known = [place for place in world.placed if place.known and not place.asked]
    drawn = generator.sample(known, min(most, len(known)))
    return [(p, generator.randrange(len(BY_KEY[p.fact.attribute].questions))) for p in drawn]
