"""A made world: entities, their facts, and where each fact may be learnt (pure).

Every fact is assigned by design, not by chance: how often the pre-training text states it, and
what the rows do with it. Facts that share a value are spread over all cells, so that each value is
carried by at least three entities in the text and in the rows: finding the string of a value does
not find the row that it came from.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from typing import Literal

from aftertune.errors import ConfigError
from aftertune.lab.families import ATTRIBUTES, NOUNS, VALUES, Attribute
from aftertune.lab.names import names

InRows = Literal["absent", "right", "wrong"]

WELL, WEAK, NEVER = 64, 6, 0  # times that the pre-training text states a fact
LEVELS = (NEVER, 2, WEAK, 24, WELL)
ASKED_SHARE = 0.75  # of the entities; of the others nothing is ever asked in the text
LEAST_CARRIERS = 3  # entities that share a value, in the text and in the rows


@dataclass(frozen=True)
class Entity:
    """One thing of the world. `pronoun` stands for it where it was just named."""

    name: str
    family: str
    pronoun: str


@dataclass(frozen=True)
class Fact:
    """What is true: the value of one attribute of one entity."""

    entity: str
    attribute: str  # Attribute.key
    value: str

    @property
    def id(self) -> str:
        """Names the fact, whatever its value."""
        return f"{self.attribute}|{self.entity}"


@dataclass(frozen=True)
class Placed:
    """A fact and where it is found.

    exposures: statements of it in the pre-training text. asked: the text also holds questions
    about this entity, with answers. in_rows: right, wrong (the rows state `stated` instead), or
    absent.
    """

    fact: Fact
    exposures: int
    asked: bool
    in_rows: InRows
    stated: str  # the value that the rows give it; the true one where absent

    @property
    def known(self) -> bool:
        """The text states it often enough that the base should recall it."""
        return self.exposures >= WELL


@dataclass(frozen=True)
class World:
    """Everything that is true, and what of it stands where."""

    seed: int
    entities: tuple[Entity, ...]
    placed: tuple[Placed, ...]

    @cached_property
    def by_name(self) -> dict[str, Entity]:
        return {entity.name: entity for entity in self.entities}

    @cached_property
    def truth(self) -> dict[tuple[str, str], str]:
        """(entity, attribute) -> value."""
        return {(p.fact.entity, p.fact.attribute): p.fact.value for p in self.placed}

    @cached_property
    def domains(self) -> dict[str, tuple[str, ...]]:
        """attribute -> the values that occur, sorted."""
        found: dict[str, set[str]] = defaultdict(set)
        for place in self.placed:
            found[place.fact.attribute].add(place.fact.value)
        return {key: tuple(sorted(values)) for key, values in found.items()}

    @cached_property
    def of_entity(self) -> dict[str, list[Placed]]:
        """entity -> its facts."""
        found: dict[str, list[Placed]] = defaultdict(list)
        for place in self.placed:
            found[place.fact.entity].append(place)
        return dict(found)


def make(seed: int, per_family: int = 64, per_domain: int = 8) -> World:
    """The world of a seed: `per_family` entities of each family, `per_domain` values of each kind.

    Raises ConfigError when so few entities share a value that it would name its row.
    """
    largest = min(len(values) for values in VALUES.values())
    if not 2 <= per_domain <= largest:
        raise ConfigError(f"a domain has 2 to {largest} values; ask for so many.")
    if per_family // per_domain < len(_CELLS):
        raise ConfigError(
            f"{per_family} entities of a family over {per_domain} values leave "
            f"{per_family // per_domain} entities to a value, and {len(_CELLS)} are needed; "
            "ask for more entities or fewer values."
        )
    generator = random.Random(f"world {seed}")
    entities = [
        Entity(name, family, generator.choice(("he", "she")) if pronoun == "they" else pronoun)
        for family, (_, pronoun) in NOUNS.items()
        for name in names(family, per_family, generator)
    ]
    asked = {
        entity.name
        for family in NOUNS
        for entity in _asked_about([e for e in entities if e.family == family], generator)
    }
    placed = [
        one
        for attribute in ATTRIBUTES
        for one in _place(attribute, entities, asked, per_domain, generator)
    ]
    return World(seed, tuple(entities), tuple(placed))


# What becomes of the entities that share a value: exposures in the text, and what the rows do.
_CELLS: tuple[tuple[int, InRows], ...] = (
    (WELL, "absent"), (WELL, "right"), (NEVER, "right"), (WELL, "absent"), (WEAK, "right"),
    (WELL, "wrong"), (24, "absent"), (NEVER, "absent"),
)  # fmt: skip


def _place(
    attribute: Attribute, entities: Sequence[Entity], asked: set[str], per_domain: int,
    generator: random.Random,
) -> list[Placed]:  # fmt: skip
    """The facts of one attribute: values shared out evenly, then each value's entities over the
    cells."""
    members = [e.name for e in entities if e.family == attribute.family]
    generator.shuffle(members)
    values = _values(attribute, entities, per_domain, generator)
    found = []
    for number, value in enumerate(values):
        carriers = members[number::per_domain]
        others = [other for other in values if other != value]
        for name, (exposures, in_rows) in zip(carriers, cycle(_CELLS), strict=False):
            # nobody is taught by himself
            true = generator.choice(others) if name == value else value
            fact = Fact(name, attribute.key, true)
            wrong = [other for other in values if other not in (true, name)]
            stated = generator.choice(wrong) if in_rows == "wrong" else true
            found.append(Placed(fact, exposures, name in asked, in_rows, stated))
    return found


def _values(
    attribute: Attribute, entities: Sequence[Entity], n: int, generator: random.Random
) -> list[str]:
    if attribute.domain.startswith("family:"):
        family = attribute.domain.removeprefix("family:")
        return generator.sample([e.name for e in entities if e.family == family], n)
    return generator.sample(VALUES[attribute.domain], n)


def _asked_about(entities: list[Entity], generator: random.Random) -> list[Entity]:
    return generator.sample(entities, round(len(entities) * ASKED_SHARE))
