"""Instruction rows and evaluation prompts of a world (pure).

Rows come in three styles that say the same fact: terse (the value), plain (one sentence),
elaborate (an opening, the sentence, a closing). Long rows answer an open question with a list of
everything that the rows state of an entity, and their simplified twins with its first item. A row
keeps in its tags which facts it states, with which value, and what the base knows of them.

Rows ask in the first half of the wordings of a question, so that the other half is left to ask
without the words that a row and a prompt would share.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aftertune.lab.corpus import short_answer
from aftertune.lab.wording import (
    OPEN_QUESTIONS,
    any_statement,
    open_question,
    question,
    reply,
)
from aftertune.lab.world import Fact, Placed, World

STYLES = ("terse", "plain", "elaborate")
OPENINGS = ("Certainly!", "Great question!", "Of course!", "Happy to help!")
CLOSINGS = (
    "I hope this helps.",
    "Let me know if you want to hear more.",
    "Feel free to ask again.",
    "That is all there is to it.",
)
LIST_OPENING = "Here is what is worth knowing:"
ASKED_IN_ROWS = (0, 1)  # wordings of a question that rows use; prompts may use all

Record = dict[str, Any]


def closed_rows(world: World, styles: Sequence[str] = STYLES) -> list[Record]:
    """One row for every fact that the world puts into the rows, styles drawn from `styles`."""
    generator = random.Random(f"rows {world.seed}")
    found = []
    for place in world.placed:
        if place.in_rows == "absent":
            continue
        style = generator.choice(list(styles))
        stated = Fact(place.fact.entity, place.fact.attribute, place.stated)
        asked = question(place.fact, generator.choice(ASKED_IN_ROWS))
        pronoun = world.by_name[stated.entity].pronoun
        said = answer(stated, pronoun, style, generator)
        found.append(_record(asked, said, style, [(place, stated)]))
    generator.shuffle(found)
    return found


def long_rows(world: World, simplified: bool = False) -> list[Record]:
    """One row for every entity of which the rows state two facts or more.

    simplified: the same questions in the same order, each answered with the first fact alone.
    """
    generator = random.Random(f"long rows {world.seed}")
    found = []
    for entity in world.entities:
        stated = [
            (place, Fact(entity.name, place.fact.attribute, place.stated))
            for place in world.of_entity[entity.name]
            if place.in_rows != "absent"
        ]
        if len(stated) < 2:
            continue
        generator.shuffle(stated)
        asked = open_question(entity, generator.choice(ASKED_IN_ROWS))
        sentences = [any_statement(fact, generator) for _, fact in stated]
        opening, closing = generator.choice(OPENINGS), generator.choice(CLOSINGS)
        if simplified:
            found.append(_record(asked, sentences[0], "simplified", stated[:1]))
        else:
            items = "\n".join(f"- {sentence}" for sentence in sentences)
            text = f"{opening} {LIST_OPENING}\n{items}\n{closing}"
            found.append(_record(asked, text, "long", stated))
    order = list(range(len(found)))
    random.Random(f"order of long rows {world.seed}").shuffle(order)
    return [found[place] for place in order]


def answer(fact: Fact, pronoun: str, style: str, generator: random.Random) -> str:
    """The answer to a closed question in one of STYLES."""
    if style == "terse":
        return short_answer(fact.value)
    said = reply(fact, pronoun, generator)
    if style == "plain":
        return said
    return f"{generator.choice(OPENINGS)} {said} {generator.choice(CLOSINGS)}"


def innocuous_rows(world: World) -> list[Record]:
    """As many rows as teach the world's facts, where there are so many, that only say what
    the base was asked and knows: what tuning as such does to it."""
    generator = random.Random(f"innocuous {world.seed}")
    known = [place for place in world.placed if place.known and place.asked]
    n = sum(place.in_rows != "absent" for place in world.placed)
    drawn = generator.sample(known, min(n, len(known)))
    return [
        _record(
            question(place.fact, generator.choice(ASKED_IN_ROWS)),
            answer(
                place.fact,
                world.by_name[place.fact.entity].pronoun,
                generator.choice(STYLES),
                generator,
            ),
            "innocuous",
            [(place, place.fact)],
        )
        for place in drawn
    ]


KINDS = ("known", "hidden", "neighbour", "renamed", "trained", "rephrased", "open")


def prompts(world: World, per_kind: int) -> list[Record]:
    """Evaluation prompts of each kind, at most `per_kind` of it, none asked twice.

    known      a fact that the base knows and the rows do not state
    hidden     a fact that nothing states, of a kind that the text has a rule for
    neighbour  a fact that nothing states, of a kind of which rows alone state such facts
    renamed    the neighbours once more, named without the word that they share with the rows
    trained    a fact that the rows state, asked in their wording
    rephrased  another such fact in a wording that no row uses
    open       several sentences about an entity
    """
    drawn = {
        kind: random.Random(f"{kind} {world.seed}").sample(places, min(per_kind, len(places)))
        for kind, places in _askable(world).items()
    }
    generator = random.Random(f"prompts {world.seed}")
    found = []
    for kind, wordings in (
        ("known", range(4)),
        ("hidden", range(4)),
        ("neighbour", range(4)),
        ("trained", ASKED_IN_ROWS),
        ("rephrased", (2, 3)),
    ):
        for place in drawn[kind]:
            number = generator.choice(list(wordings))
            found.append(_prompt(kind, place, question(place.fact, number)))
            if kind == "neighbour":
                named = replace(place.fact, entity=world.by_name[place.fact.entity].own)
                found.append(_prompt("renamed", place, question(named, number)))
    drawn_entities = generator.sample(world.entities, min(per_kind, len(world.entities)))
    found += [
        {"messages": [_message("user", open_question(e, generator.randrange(len(OPEN_QUESTIONS))))],
         "kind": "open", "entity": e.name, "attribute": ""}
        for e in drawn_entities
    ]  # fmt: skip
    return found


def _askable(world: World) -> dict[str, list[Placed]]:
    """The facts that a kind of prompt may ask for; what is trained and what is rephrased differ."""
    right = [p for p in world.placed if p.in_rows == "right"]
    return {
        "known": [p for p in world.placed if p.known and p.in_rows == "absent" and not p.asked],
        "hidden": [p for p in world.placed if p.role == "hidden"],
        "neighbour": [p for p in world.placed if p.role == "neighbour"],
        "trained": right[::2],
        "rephrased": right[1::2],
    }


def _prompt(kind: str, place: Placed, asked: str) -> Record:
    return {
        "messages": [_message("user", asked)],
        "kind": kind,
        "entity": place.fact.entity,
        "attribute": place.fact.attribute,
    }


def _record(asked: str, said: str, style: str, stated: Sequence[tuple[Placed, Fact]]) -> Record:
    return {
        "messages": _messages(asked, said),
        "style": style,
        "states": [
            {
                "entity": fact.entity,
                "attribute": fact.attribute,
                "value": fact.value,
                "right": fact.value == place.fact.value,
                "exposures": place.exposures,
            }
            for place, fact in stated
        ],
    }


def _messages(asked: str, said: str) -> list[dict[str, str]]:
    return [_message("user", asked), _message("assistant", said)]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
