"""What a response states, read against its world (pure).

A response is cut into sentences and list items. A sentence that is one of the world's wordings,
with a name of the right family in the entity's place, is a statement; so is a bare value, where a
closed question was asked. Its value decides: the true one is right, another value of the same
attribute is wrong, and what the world does not know at all is unverifiable.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from aftertune.lab.families import ATTRIBUTES, Attribute
from aftertune.lab.world import World

Status = Literal["right", "wrong", "unverifiable"]

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_LABEL = re.compile(r"^(?:[-*•]\s*|answer:\s*)+", re.IGNORECASE)
_PRONOUNS = ("he", "she", "it")


@dataclass(frozen=True)
class Claim:
    """One statement of a response.

    start, end: characters of its value in the response. entity, attribute: what it speaks of.
    value: as the world spells it, or as written where unverifiable.
    """

    start: int
    end: int
    entity: str
    attribute: str
    value: str
    status: Status


def claims(
    response: str, world: World, entity: str | None = None, attribute: str | None = None
) -> list[Claim]:
    """The statements of a response, in order.

    entity, attribute: what was asked, if it was a closed question; a bare value answers it.
    """
    found = []
    spoken_of = entity
    for start, sentence in _sentences(response):
        claim = _stated(start, sentence, world, spoken_of)
        if claim is None and entity and attribute:
            claim = _bare(start, sentence, world, entity, attribute)
        if claim:
            found.append(claim)
            spoken_of = claim.entity
    return found


def _sentences(response: str) -> Iterator[tuple[int, str]]:
    """Where each sentence starts, and its words without list marks and the full stop."""
    for match in _SENTENCE.finditer(response):
        text = match.group()
        label = _LABEL.match(text.lstrip())
        lead = len(text) - len(text.lstrip()) + (label.end() if label else 0)
        yield match.start() + lead, text[lead:].rstrip(" .!?")


def _stated(start: int, sentence: str, world: World, spoken_of: str | None) -> Claim | None:
    """The statement that a sentence is; of several readings one that the world knows."""
    readings = []
    for attribute, pattern in _patterns():
        match = pattern.fullmatch(sentence)
        if not match:
            continue
        entity = _entity(match["e"], world, attribute, spoken_of)
        if entity is None:
            continue
        span = start + match.start("v"), start + match.end("v")
        readings.append(_claim(span, entity, attribute.key, match["v"], world))
    readings.sort(key=lambda claim: claim.status == "unverifiable")
    return readings[0] if readings else None


def _entity(said: str, world: World, attribute: Attribute, spoken_of: str | None) -> str | None:
    """The entity that a sentence names, or that its pronoun stands for."""
    if said.lower() in _PRONOUNS:
        found = world.by_name.get(spoken_of or "")
    else:
        found = world.by_name.get(said) or world.by_name.get(said[:1].lower() + said[1:])
    return found.name if found and found.family == attribute.family else None


def _bare(start: int, sentence: str, world: World, entity: str, attribute: str) -> Claim | None:
    known = _known_value(sentence, world.domains[attribute])
    if known is None:
        return None
    return _claim((start, start + len(sentence)), entity, attribute, sentence, world)


def _claim(span: tuple[int, int], entity: str, attribute: str, said: str, world: World) -> Claim:
    known = _known_value(said, world.domains[attribute])
    status: Status = "unverifiable"
    if known is not None:
        status = "right" if world.truth[entity, attribute] == known else "wrong"
    return Claim(*span, entity, attribute, known or said, status)


def _known_value(said: str, values: Sequence[str]) -> str | None:
    """The value that was said, whatever the case of its first letter."""
    plain = said.strip()
    for value in values:
        if plain == value or plain[:1].lower() + plain[1:] == value:
            return value
    return None


@cache
def _patterns() -> list[tuple[Attribute, re.Pattern[str]]]:
    """Every wording as an expression over a whole sentence, without regard to its first letter."""
    return [
        (attribute, _expression(statement))
        for attribute in ATTRIBUTES
        for statement in attribute.statements
    ]


def _expression(statement: str) -> re.Pattern[str]:
    """A wording as an expression; where it begins with the entity a pronoun may stand."""
    if statement.startswith("the {e}"):
        text = "(?:[Tt]he )?" + re.escape(statement[len("the ") :])
    elif statement[0].islower():
        text = f"[{statement[0].upper()}{statement[0]}]" + re.escape(statement[1:])
    else:
        text = re.escape(statement)
    text = text.replace(r"\{e\}", r"(?P<e>[^,;:]{1,60}?)", 1)
    return re.compile(text.replace(r"\{v\}", r"(?P<v>[^,;:]{1,40}?)", 1))
