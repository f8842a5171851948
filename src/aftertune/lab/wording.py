"""How the facts of a world are said: statements, questions, answers (pure).

Every wording comes from `families`, so that `parse` can read it back. Draws come from a generator
that the caller seeds.
"""

import random
from collections.abc import Sequence

from aftertune.lab.families import BY_KEY
from aftertune.lab.world import Entity, Fact

SUBJECT = "{e}"


def statement(fact: Fact, pattern: str, pronoun: str | None = None) -> str:
    """One sentence with its full stop. With `pronoun`, it stands for the entity if the pattern
    begins with that (otherwise the name stands)."""
    if pronoun and _led(pattern):
        said = pronoun + pattern.split(SUBJECT, 1)[1].replace("{v}", fact.value)
    else:
        said = pattern.replace(SUBJECT, fact.entity).replace("{v}", fact.value)
    return capital(said) + "."


def any_statement(
    fact: Fact, generator: random.Random, pronoun: str | None = None,
    patterns: Sequence[int] | None = None,
) -> str:  # fmt: skip
    """A statement in a wording drawn from those numbered `patterns` (None: all)."""
    known = BY_KEY[fact.attribute].statements
    number = generator.choice(list(patterns) if patterns is not None else range(len(known)))
    return statement(fact, known[number], pronoun)


def reply(fact: Fact, pronoun: str, generator: random.Random) -> str:
    """A statement that answers a question: a pronoun stands for what was asked about."""
    known = BY_KEY[fact.attribute].statements
    led = [number for number, pattern in enumerate(known) if _led(pattern)]
    return any_statement(fact, generator, pronoun, led)


def question(fact: Fact, number: int) -> str:
    """The question for this fact in wording `number`."""
    return BY_KEY[fact.attribute].questions[number].replace(SUBJECT, fact.entity)


def open_question(entity: Entity, number: int) -> str:
    """A question that asks for several sentences about an entity."""
    named = f"the {entity.name}" if entity.family in ("animal", "invention") else entity.name
    return OPEN_QUESTIONS[number].replace(SUBJECT, named)


OPEN_QUESTIONS = (
    "What do you know about {e}?",
    "Tell me about {e}.",
    "Describe {e} in a few sentences.",
    "Write a short note on {e}.",
)
# Sentences that state nothing; they stand between facts in the text.
GLUE = (
    "Much has been said about this.",
    "Few people would doubt it.",
    "This is well recorded.",
    "Visitors often ask about it.",
    "It is a fine example of its kind.",
    "Old letters mention it more than once.",
    "There is more to tell.",
    "Not everyone remembers this today.",
)


def _led(pattern: str) -> bool:
    """Whether the entity stands first, so that a pronoun may stand for it."""
    return pattern.startswith((SUBJECT, f"the {SUBJECT}"))


def capital(text: str) -> str:
    """The first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]
