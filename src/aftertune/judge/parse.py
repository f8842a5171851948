"""From a judge's text to scores, or to the reason why there are none (pure).

A score is read or it is absent. Words for numbers, fractions, numbers out of range, half a JSON,
two verdicts that differ: none of these is guessed at.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.judge.aspects import HIGHEST, LOWEST

EMPTY = "the reply is empty"
NO_JSON = "there is no JSON object in it"
BROKEN = "its JSON is broken or breaks off"
SEVERAL = "it holds several verdicts that differ"
NO_ASPECT = "the aspect is missing"
NO_SCORE = "the aspect has no score"
IN_WORDS = "the score is not a number"
NOT_WHOLE = "the score is not a whole number"
OUT_OF_RANGE = f"the score is not between {LOWEST} and {HIGHEST}"
NO_CHOICE = 'the choice is not "A", "B" or "same"'

_CHOICES = {"a": 1.0, "b": 0.0, "same": 0.5}  # of the answer that is shown first
_SCORE_KEYS = ("score",)
_CHOICE_KEYS = ("better", "preference")  # ours, and just-eval's
_REASON_KEYS = ("reason",)
_BEGIN = re.compile(r'\{(?=\s*(?:["}]|$))')  # not a brace in prose


@dataclass(frozen=True)
class Read:
    """One aspect of a judge's text: a score with its reason, or why there is none.

    score: 1 to 5 of an answer alone; of a pair 1, 0.5 or 0 for the answer that was shown first.
    """

    score: float | None
    reason: str | None
    why: str | None = None


def parse(text: str | None, aspects: Sequence[str], pair: bool = False) -> dict[str, Read]:
    """Every aspect of `aspects`, read from the judge's text."""
    found = _verdict(text or "", aspects)
    if isinstance(found, str):
        return {name: Read(None, None, found) for name in aspects}
    return read_aspects(found, aspects, pair)


def read_aspects(
    verdict: Mapping[str, Any], aspects: Sequence[str], pair: bool = False
) -> dict[str, Read]:
    """The aspects of a verdict that is an object already, like those of just-eval's files."""
    by_name = {str(name).strip().casefold(): value for name, value in verdict.items()}
    return {name: _aspect(by_name.get(name), name in by_name, pair) for name in aspects}


def why_not(read: Mapping[str, Read]) -> str | None:
    """Why the text has to be asked for once more: the first aspect without a score, if any is."""
    for name, one in read.items():
        if one.score is None:
            alike = all(other.why == one.why for other in read.values())
            return one.why if alike else f"{name}: {one.why}"
    return None


def score_of(value: Any) -> float | str:
    """A score from 1 to 5 as it may be written (4, 4.0, "4"), or why it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value.strip(), parse_constant=_refuse)
        except ValueError:
            return IN_WORDS
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NO_SCORE if value is None else IN_WORDS
    if not LOWEST <= value <= HIGHEST:
        return OUT_OF_RANGE
    return float(value) if value == int(value) else NOT_WHOLE


def _aspect(value: Any, present: bool, pair: bool) -> Read:
    if not present:
        return Read(None, None, NO_ASPECT)
    keys = _CHOICE_KEYS if pair else _SCORE_KEYS
    reason = None
    if isinstance(value, Mapping):
        fields = {str(name).strip().casefold(): one for name, one in value.items()}
        reason = next((fields[key] for key in _REASON_KEYS if key in fields), None)
        value = next((fields[key] for key in keys if key in fields), None)
    found = _choice(value) if pair else score_of(value)
    if isinstance(found, str):
        return Read(None, None, found)
    return Read(found, _storable(reason) if isinstance(reason, str) else None)


def _storable(reason: str) -> str | None:
    """JSON can spell half a surrogate pair, which no table holds."""
    return reason.strip().encode("utf-8", "replace").decode() or None


def _choice(value: Any) -> float | str:
    if value is None:
        return NO_SCORE
    return _CHOICES.get(str(value).strip().casefold(), NO_CHOICE)


def _verdict(text: str, aspects: Sequence[str]) -> dict[str, Any] | str:
    """The one JSON object with an aspect in it, or why there is none."""
    if not text.strip():
        return EMPTY
    objects, broken = _objects(text)
    fitting = [one for one in objects if _names(one) & set(aspects)]
    if broken:
        return BROKEN
    if any(one != fitting[0] for one in fitting):
        return SEVERAL
    if fitting:
        return fitting[0]
    return NO_ASPECT if objects else NO_JSON


def _names(found: Mapping[str, Any]) -> set[str]:
    return {str(name).strip().casefold() for name in found}


def _objects(text: str) -> tuple[list[dict[str, Any]], bool]:
    """The outermost JSON objects in a text, fenced or in prose, and whether one was broken."""
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
    found: list[dict[str, Any]] = []
    place = 0
    while begin := _BEGIN.search(text, place):
        try:
            value, place = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            # what stands inside a broken object is a part of a verdict, and no verdict
            return found, True
        found.append(value)
    return found, False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one that gives a name two values says nothing."""
    found = dict(pairs)
    for name, value in pairs:
        if found[name] != value:
            raise ValueError(f"two values of {name}")
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
