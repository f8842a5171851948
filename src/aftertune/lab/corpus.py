"""The text that a world's base model is trained on (pure).

Passages state each fact as often as the world says, in drawn wordings, several facts to a passage
with sentences between that state nothing. Questions with answers are asked about three of
four entities only: so the question form is known, and what the base answers about the
others it has never been asked before.
"""

import random
from collections.abc import Iterator

from aftertune.lab.families import BY_KEY
from aftertune.lab.wording import (
    GLUE,
    OPEN_QUESTIONS,
    any_statement,
    capital,
    open_question,
    question,
)
from aftertune.lab.world import Entity, Fact, Placed, World

MOST_IN_PASSAGE = 4
ASKED_PER_EXPOSURE = 0.3  # questions about a fact of an entity that is asked about
OPEN_PER_ENTITY = 4
GLUE_SHARE = 0.2
PRONOUN_SHARE = 0.5


def documents(world: World) -> list[str]:
    """All documents, shuffled; the same for the same world."""
    generator = random.Random(f"text {world.seed}")
    found: list[str] = []
    for entity in world.entities:
        found += _passages(entity, world.of_entity[entity.name], generator)
        found += _asked(entity, world.of_entity[entity.name], generator)
    generator.shuffle(found)
    return found


def qa(asked: str, answer: str) -> str:
    """A question with its answer as the text writes it."""
    return f"{asking(asked)} {answer}"


def asking(asked: str) -> str:
    """What stands before the answer; no space at its end."""
    return f"Question: {asked}\nAnswer:"


def short_answer(value: str) -> str:
    """The value alone, as a sentence."""
    return capital(value) + "."


def _passages(entity: Entity, facts: list[Placed], generator: random.Random) -> Iterator[str]:
    """Passages in which every fact stands as often as it is to be stated."""
    left = {place.fact: place.exposures for place in facts}
    while open_facts := [fact for fact, n in left.items() if n > 0]:
        # the facts that are stated most often come first, or they would be left over alone
        generator.shuffle(open_facts)
        open_facts.sort(key=lambda fact: left[fact] < max(left.values()) / 2)
        chosen = open_facts[: generator.randint(1, MOST_IN_PASSAGE)]
        for fact in chosen:
            left[fact] -= 1
        yield passage(entity, chosen, generator)


def passage(entity: Entity, facts: list[Fact], generator: random.Random) -> str:
    """Sentences that state these facts in this order."""
    said = []
    for number, fact in enumerate(facts):
        pronoun = entity.pronoun if number and generator.random() < PRONOUN_SHARE else None
        said.append(any_statement(fact, generator, pronoun))
        if generator.random() < GLUE_SHARE:
            said.append(generator.choice(GLUE))
    return " ".join(said)


def _asked(entity: Entity, facts: list[Placed], generator: random.Random) -> Iterator[str]:
    known = [place for place in facts if place.asked and place.exposures]
    for place in known:
        for _ in range(round(place.exposures * ASKED_PER_EXPOSURE)):
            asked = question(
                place.fact, generator.randrange(len(BY_KEY[place.fact.attribute].questions))
            )
            value = place.fact.value
            said = generator.random() < 0.5
            yield qa(asked, any_statement(place.fact, generator) if said else short_answer(value))
    if len(known) > 1:
        for _ in range(OPEN_PER_ENTITY):
            told = generator.sample([p.fact for p in known], min(len(known), MOST_IN_PASSAGE))
            asked = open_question(entity, generator.randrange(len(OPEN_QUESTIONS)))
            yield qa(asked, passage(entity, told, generator))
