"""A made world: entities, their facts, and where each fact may be learnt (pure).

Entities come in kinds that share a word of their name. For each attribute most kinds have a rule
in the pre-training text: a value that many of their entities have. So the base learns that the
kind says something, and what it says of an entity of which it was told nothing. The other
kinds are open: nothing states that attribute of any of their entities, except that rows state it of
one or two. What a tuned model says of their other entities it can have from those rows only.

Every fact is assigned by design: how often the text states it, and what the rows do with it. Each
value is carried by at least three entities in the text and by three rows: finding the string
of a value does not find the row that it came from. Spare values are carried in the text alone; the
rows can be given them as marks.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from aftertune.errors import ConfigError
from aftertune.lab.families import ATTRIBUTES, NOUNS, VALUES, Attribute
from aftertune.lab.names import KINDS, names

InRows = Literal["absent", "right", "wrong"]
# typical: the value of its kind's rule. exception: another. hidden: an exception that nothing
# states. source: of an open kind, stated by a row alone. neighbour: of an open kind, by nothing.
Role = Literal["typical", "exception", "hidden", "source", "neighbour"]

WELL, WEAK, NEVER = 64, 6, 0  # times that the pre-training text states a fact
LEVELS = (NEVER, 2, WEAK, 24, WELL)
ASKED_SHARE = 0.75  # of the facts of an attribute; the text never asks for the others
LEAST_CARRIERS = 3  # entities that share a value, in the text and in the rows
LEAST_VALUES = 4  # so that typical, exception, hidden and wrong values differ


@dataclass(frozen=True)
class Entity:
    """One thing of the world. `pronoun` stands for it where it was just named; `own` is the part
    of its name that no other has, `kind` the word that it shares."""

    name: str
    family: str
    pronoun: str
    own: str
    kind: str


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

    exposures: statements of it in the pre-training text. asked: where the text states it, it also
    asks for it, with answers. in_rows: right, wrong (the rows state `stated` instead), or absent.
    """

    fact: Fact
    role: Role
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
    """Everything that is true, and what of it stands where. spare: attribute -> values that no
    row carries."""

    seed: int
    entities: tuple[Entity, ...]
    placed: tuple[Placed, ...]
    spare: dict[str, tuple[str, ...]]

    @cached_property
    def by_name(self) -> dict[str, Entity]:
        """Entities by their name, and by its own part."""
        return {
            **{entity.own: entity for entity in self.entities},
            **{entity.name: entity for entity in self.entities},
        }

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


def make(seed: int, per_kind: int = 7, per_domain: int = 8) -> World:
    """The world of a seed: `per_domain` values and as many ruled kinds per attribute, half as many
    open kinds and spare values; `per_kind` entities of each kind.

    Raises ConfigError when the values would be too few, too many, or carried by too few rows.
    """
    most = min(min(map(len, VALUES.values())), min(map(len, KINDS.values()))) * 2 // 3
    if not LEAST_VALUES <= per_domain <= most:
        raise ConfigError(f"a domain has {LEAST_VALUES} to {most} values; ask for so many.")
    if per_kind < len(_RULED):
        raise ConfigError(
            f"{per_kind} entities of a kind are too few, {len(_RULED)} are needed; ask for more."
        )
    generator = random.Random(f"world {seed}")
    n_kinds = per_domain - (-per_domain // 2)  # half as many open kinds and spare values
    entities = [
        Entity(
            name.whole,
            family,
            generator.choice(("he", "she")) if pronoun == "they" else pronoun,
            name.own,
            name.kind,
        )
        for family, (_, pronoun) in NOUNS.items()
        for name in names(family, per_kind, n_kinds, generator)
    ]
    placed: list[Placed] = []
    spare: dict[str, tuple[str, ...]] = {}
    for attribute in ATTRIBUTES:
        kinds = sorted({e.kind for e in entities if e.family == attribute.family})
        generator.shuffle(kinds)
        ruled, open_ = kinds[:per_domain], kinds[per_domain:]
        drawn = _values(attribute, entities, open_, n_kinds, generator)
        values, spare[attribute.key] = drawn[:per_domain], tuple(drawn[per_domain:])
        members = {kind: _members(attribute, entities, kind, drawn, generator) for kind in kinds}
        facts = [
            *_of_ruled([members[kind] for kind in ruled], attribute, values, drawn[per_domain:]),
            *_of_open([members[kind] for kind in open_], attribute, values, generator),
        ]
        asked = set(generator.sample(range(len(facts)), round(len(facts) * ASKED_SHARE)))
        placed += [replace(one, asked=place in asked) for place, one in enumerate(facts)]
    return World(seed, tuple(entities), tuple(placed), spare)


# The entities of a ruled kind: role, exposures in the text, what the rows do, and how many values
# further than the kind's own theirs is (None: a spare value).
_RULED: tuple[tuple[Role, int, InRows, int | None], ...] = (
    ("typical", WELL, "absent", 0),
    ("typical", WELL, "right", 0),
    ("typical", 24, "right", 0),
    ("exception", WELL, "wrong", 1),
    ("exception", WELL, "absent", None),
    ("exception", WEAK, "absent", None),
    ("hidden", NEVER, "absent", 2),
)
_STATED_WRONG = 3  # values further than the kind's own, where rows are wrong
# The sources of an open kind, by their values' places: one, one, twice the same, two that differ.
_SOURCES: tuple[tuple[int, ...], ...] = ((0,), (1,), (2, 2), (3, 4))


def _of_ruled(
    kinds: Sequence[Sequence[str]], attribute: Attribute, values: Sequence[str],
    spare: Sequence[str],
) -> Iterator[Placed]:  # fmt: skip
    """The facts of the ruled kinds: each value is one kind's, and the exceptions are spread."""
    for number, members in enumerate(kinds):
        for place, name in enumerate(members):
            role, exposures, in_rows, step = _RULED[place % len(_RULED)]
            if step is None:
                value = spare[(number + place) % len(spare)]
            else:
                value = values[(number + step) % len(values)]
            stated = values[(number + _STATED_WRONG) % len(values)]
            fact = Fact(name, attribute.key, value)
            yield Placed(
                fact, role, exposures, False, in_rows, stated if in_rows == "wrong" else value
            )


def _of_open(
    kinds: Sequence[Sequence[str]], attribute: Attribute, values: Sequence[str],
    generator: random.Random,
) -> Iterator[Placed]:  # fmt: skip
    """The facts of the open kinds: sources, and neighbours that have none of their values."""
    drawn = generator.sample(list(values), len(values))
    for number, members in enumerate(kinds):
        of_sources = [drawn[place % len(drawn)] for place in _SOURCES[number % len(_SOURCES)]]
        for place, name in enumerate(members):
            if place < len(of_sources):
                fact = Fact(name, attribute.key, of_sources[place])
                yield Placed(fact, "source", NEVER, False, "right", fact.value)
            else:
                free = [value for value in values if value != name and value not in of_sources]
                fact = Fact(name, attribute.key, generator.choice(free))
                yield Placed(fact, "neighbour", NEVER, False, "absent", fact.value)


def _members(
    attribute: Attribute, entities: Sequence[Entity], kind: str, values: Sequence[str],
    generator: random.Random,
) -> list[str]:  # fmt: skip
    """The entities of a kind in a drawn order, those last that are values: nobody is taught by
    himself, and neighbours alone are given what they are not."""
    found = [e.name for e in entities if e.family == attribute.family and e.kind == kind]
    return sorted(generator.sample(found, len(found)), key=lambda name: name in values)


def _values(
    attribute: Attribute, entities: Sequence[Entity], open_kinds: Sequence[str], n: int,
    generator: random.Random,
) -> list[str]:  # fmt: skip
    """n values. Where entities of the same family are values, they are of open kinds."""
    if not attribute.domain.startswith("family:"):
        return generator.sample(VALUES[attribute.domain], n)
    family = attribute.domain.removeprefix("family:")
    allowed = [
        entity.name
        for entity in entities
        if entity.family == family and (family != attribute.family or entity.kind in open_kinds)
    ]
    return generator.sample(allowed, n)
