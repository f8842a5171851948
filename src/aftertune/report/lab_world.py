"""A made world on the page: what it is, and a few of its entities as cards (pure)."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.numbers import count, listed, plural

ROLES = {
    "typical": "the value that the rule of its kind gives",
    "exception": "another value than the rule of its kind gives",
    "hidden": "another value than the rule gives, and nothing states it",
    "source": "of a kind without a rule; a row alone states it",
    "neighbour": "of a kind without a rule; nothing states it",
}

Fact = Mapping[str, Any]  # a record of `lab_facts`


def sentences(facts: Sequence[Fact], about: Mapping[str, Any]) -> list[str]:
    """The world in two sentences; about: of its `lab-base` artefact."""
    entities = {fact["entity"] for fact in facts}
    families = list(dict.fromkeys(family(fact) for fact in facts))
    by_rows = Counter(fact["in_rows"] for fact in facts)
    stated = [f"{n:,}" for n in sorted({fact["exposures"] for fact in facts})]
    return [
        f"A made world of {plural(len(entities), 'entity', 'entities')} in "
        f"{plural(len(families), 'family', 'families')} ({', '.join(families)}) and "
        f"{plural(len(facts), 'fact')}, each stated {_or(stated)} times in the pre-training text; "
        f"the rows state {count(by_rows['right'])} of them rightly and "
        f"{count(by_rows['wrong'])} wrongly.",
        f"A model of {about['parameters'] / 1e6:.1f} million parameters was trained from scratch "
        f"on {about['n_tokens'] / 1e6:.1f} million tokens of that text and nothing else, so "
        "what it says can be held against the truth, and what rows changed can be undone.",
    ]


def roles(facts: Sequence[Fact]) -> dict[str, Any]:
    """How many facts are assigned to what, as a table."""
    found = []
    for role in dict.fromkeys([*ROLES, *(fact["role"] for fact in facts)]):
        of_role = [fact for fact in facts if fact["role"] == role]
        if of_role:
            in_rows = Counter(fact["in_rows"] for fact in of_role)
            found.append(
                [role, ROLES.get(role, ""), count(len(of_role)),
                 count(in_rows["right"]), count(in_rows["wrong"])]
            )  # fmt: skip
    columns = ["role", "what it is", "facts", "rows state it rightly", "rows state it wrongly"]
    return {"columns": columns, "rows": found}


def cards(facts: Sequence[Fact], seed: int) -> list[dict[str, Any]]:
    """One entity of each family, drawn among those that show most of what no card shows yet.

    A card: entity, family, facts [{name, value, exposures, role,
    in_rows, stated}].
    """
    by_family: dict[str, dict[str, list[Fact]]] = {}
    for fact in facts:
        by_family.setdefault(family(fact), {}).setdefault(fact["entity"], []).append(fact)
    generator = random.Random(f"entities {seed}")
    shown: set[tuple[str, str]] = set()
    found = []
    for name, entities in by_family.items():
        drawn = generator.sample(sorted(entities), len(entities))
        entity = max(drawn, key=lambda one: _variety(entities[one], shown))
        shown |= _kinds(entities[entity])
        found.append(_card(entity, name, entities[entity]))
    return found


def family(fact: Fact) -> str:
    """
    >>> family({"attribute": "town.river"})
    'town'
    """
    return str(fact["attribute"]).partition(".")[0]


def attribute(key: str) -> str:
    """
    >>> attribute("town.river")
    'river'
    """
    return key.rpartition(".")[2]


def _card(entity: str, name: str, facts: Sequence[Fact]) -> dict[str, Any]:
    kept = ("value", "exposures", "role", "in_rows", "stated")
    return {
        "entity": entity,
        "family": name,
        "facts": [
            {"name": attribute(fact["attribute"]), **{key: fact[key] for key in kept}}
            for fact in facts
        ],
    }


def _kinds(facts: Sequence[Fact]) -> set[tuple[str, str]]:
    asked = {("asked", str(fact["asked"])) for fact in facts}
    return asked | {(fact["role"], fact["in_rows"]) for fact in facts}


def _variety(facts: Sequence[Fact], shown: set[tuple[str, str]]) -> tuple[int, int]:
    """How much of it is new, then how much there is."""
    kinds = _kinds(facts)
    return len(kinds - shown), len(kinds)


def _or(items: list[str]) -> str:
    return listed(items).replace(" and ", " or ")
