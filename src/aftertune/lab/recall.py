"""Does a model answer questions about its world? Asked by how often the text states a fact."""

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aftertune.lab.corpus import asking
from aftertune.lab.families import BY_KEY
from aftertune.lab.parse import claims
from aftertune.lab.wording import question
from aftertune.lab.world import Placed, World
from aftertune.models.generate import Settings, decode, generate
from aftertune.models.load import Loaded
from aftertune.progress import Progress
from aftertune.stats.intervals import bootstrap_mean

BATCH = 64
MAX_NEW_TOKENS = 32


def drawn(world: World, per_cell: int, seed: int) -> list[tuple[Placed, int]]:
    """Facts to ask for, with the number of the wording: `per_cell` of each number of exposures,
    of those for which the text asks and of those for which it does not."""
    generator = random.Random(f"recall {world.seed} {seed}")
    cells: dict[tuple[int, bool], list[Placed]] = defaultdict(list)
    for place in world.placed:
        cells[place.exposures, place.asked].append(place)
    found = []
    for key in sorted(cells):
        for place in generator.sample(cells[key], min(per_cell, len(cells[key]))):
            wordings = len(BY_KEY[place.fact.attribute].questions)
            found.append((place, generator.randrange(wordings)))
    return found


def ask(
    loaded: Loaded, world: World, items: Sequence[tuple[Placed, int]], progress: Progress
) -> list[dict[str, Any]]:
    """Per item the greedy answer and what it states of the fact: right, wrong or unverifiable."""
    found = []
    stops = [loaded.tokenizer.eos_token_id]
    with progress.task("questions asked", len(items)) as task:
        for at in range(0, len(items), BATCH):
            batch = items[at : at + BATCH]
            asked = [asking(question(place.fact, wording)) for place, wording in batch]
            prompts = [loaded.tokenizer(text, add_special_tokens=False).input_ids for text in asked]
            answers = generate(loaded.plain, prompts, stops, Settings(MAX_NEW_TOKENS))
            for (place, wording), answer in zip(batch, answers, strict=True):
                text = decode(loaded.tokenizer, [i for i in answer.ids if i not in stops])
                found.append(_judged(place, wording, text, world))
            task.advance(len(batch))
    return found


def curve(answers: Sequence[dict[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """Share answered right with its interval, per number of exposures and `asked`."""
    cells: dict[tuple[int, bool], list[float]] = defaultdict(list)
    for one in answers:
        cells[one["exposures"], one["asked"]].append(float(one["status"] == "right"))
    return [
        {"exposures": exposures, "asked": asked, **bootstrap_mean(values, seed=seed).as_json()}
        for (exposures, asked), values in sorted(cells.items())
    ]


def _judged(place: Placed, wording: int, text: str, world: World) -> dict[str, Any]:
    fact = place.fact
    of_it = [
        claim
        for claim in claims(text.strip(), world, fact.entity, fact.attribute)
        if (claim.entity, claim.attribute) == (fact.entity, fact.attribute)
    ]
    return {
        "fact_id": fact.id,
        "wording": wording,
        "exposures": place.exposures,
        "asked": place.asked,
        "role": place.role,
        "answer": text.strip(),
        "status": of_it[0].status if of_it else "unverifiable",
        "value": of_it[0].value if of_it else None,
    }
