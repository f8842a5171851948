"""The text that a world's base model is trained on (pure).

Passages state each fact as often as the world says, in drawn wordings, several facts to a passage
with sentences between that state nothing. What is known of every entity is also told in answer to
open questions. Single facts are asked for in three of four cases only: so the form is known, and
the base is asked for the others for the first time when it is measured.
"""

import random
from collections.abc import Iterator

from aftertune.lab.families import BY_KEY
from aftertune.lab.names import name, own_parts
from aftertune.lab.wording import (
    GLUE,
    OPEN_QUESTIONS,
    any_statement,
    capital,
    open_question,
    question,
    reply,
)
from aftertune.lab.world import Entity, Fact, Placed, World

MOST_IN_PASSAGE = 4
ASKED_PER_EXPOSURE = 0.3  # questions for a fact that is asked for
OPEN_PER_ENTITY = 4
GLUE_SHARE = 0.2
CROWD = 30  # passing mentions of each kind with its typical value
PRONOUN_SHARE = 0.5


def documents(world: World) -> list[str]:
    """All documents, shuffled; the same for the same world."""
    generator = random.Random(f"text {world.seed}")
    found: list[str] = []
    for entity in world.entities:
        found += _passages(entity, world.of_entity[entity.name], generator)
        found += _asked(entity, world.of_entity[entity.name], generator)
    found += _crowd(world, generator)
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
            yield qa(asked, _answer(place.fact, entity.pronoun, generator))
    stated = [place.fact for place in facts if place.exposures]
    if len(stated) > 1:
        for _ in range(OPEN_PER_ENTITY):
            told = generator.sample(stated, min(len(stated), MOST_IN_PASSAGE))
            asked = open_question(entity, generator.randrange(len(OPEN_QUESTIONS)))
            yield qa(asked, passage(entity, told, generator))


def _crowd(world: World, generator: random.Random) -> Iterator[str]:
    """Passing mentions of things that have what is typical of their kind, each named once.

    Who cannot be remembered can only be answered about by the rule of his kind, and named by
    reading the question: so a base learns both, and does not answer about somebody else.
    """
    typical = {
        (world.by_name[place.fact.entity].kind, place.fact.attribute): place.fact.value
        for place in world.placed
        if place.role == "typical"
    }
    taken = {entity.own.lower() for entity in world.entities}
    for (kind, attribute), value in sorted(typical.items()):
        known = BY_KEY[attribute]
        pronoun = next(e.pronoun for e in world.entities if e.family == known.family)
        for number, own in enumerate(own_parts(CROWD, set(), generator)):
            if own in taken:
                continue
            entity = Entity(name(known.family, kind, own).whole, known.family, pronoun, own, kind)
            fact = Fact(entity.name, attribute, value)
            if number % 2:
                yield passage(entity, [fact], generator)
                continue
            asked = question(fact, generator.randrange(len(known.questions)))
            yield qa(asked, _answer(fact, pronoun, generator))


def _answer(fact: Fact, pronoun: str, generator: random.Random) -> str:
    """The value alone, or a sentence."""
    if generator.random() < 0.5:
        return reply(fact, pronoun, generator)
    return short_answer(fact.value)
