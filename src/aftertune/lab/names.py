"""Invented names, each unlike the others (pure): no name lies within another or is a known word."""

import random
from collections.abc import Callable

_ONSETS = ("b", "br", "c", "d", "dr", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "qu", "r",
           "s", "st", "t", "tr", "v", "w", "z")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "l", "n", "r", "s", "th", "x", "nd", "rk", "lm")
_FIRST = ("Ada", "Basil", "Clara", "Dorian", "Edith", "Felix", "Greta", "Hugo", "Ines", "Jonas",
          "Kira", "Leon", "Mira", "Nils", "Olga", "Piers")  # fmt: skip
_TOWN_ENDS = ("by", "dale", "ford", "ham", "mouth", "stead", "ton", "wick")
_ANIMAL_ENDS = ("bat", "crane", "deer", "finch", "fox", "hare", "lizard", "otter", "owl", "toad")
_COMPOUND_ENDS = ("ane", "ide", "ine", "ite", "ol", "one", "um", "yl")
_TITLE = (
    ("The Broken", "The Distant", "The Empty", "The Golden", "The Hidden", "The Last",
     "The Silent", "The Winter"),
    ("Bridge", "Candle", "Garden", "Harbour", "Island", "Lantern", "Mirror", "Orchard"),
)  # fmt: skip
_DEVICE_ENDS = ("clock", "engine", "gauge", "lamp", "loom", "mill", "press", "pump", "stove",
                "wheel")  # fmt: skip


def names(family: str, n: int, generator: random.Random) -> list[str]:
    """n names of a family, none within another."""
    make = _MAKERS[family]
    found: list[str] = []
    taken: set[str] = set()
    while len(found) < n:
        name = make(generator)
        # the invented part decides: two names that share it would be mistaken for each other
        mark = name.lower()
        if any(mark in other or other in mark for other in taken):
            continue
        taken.add(mark)
        found.append(name)
    return found


def _word(generator: random.Random, syllables: int) -> str:
    parts = [
        generator.choice(_ONSETS) + generator.choice(_VOWELS) + generator.choice(_CODAS)
        for _ in range(syllables)
    ]
    return "".join(parts)


def _person(generator: random.Random) -> str:
    return f"{generator.choice(_FIRST)} {_word(generator, 2).capitalize()}"


def _town(generator: random.Random) -> str:
    return _word(generator, 1).capitalize() + generator.choice(_TOWN_ENDS)


def _animal(generator: random.Random) -> str:
    return f"{_word(generator, 2)} {generator.choice(_ANIMAL_ENDS)}"


def _compound(generator: random.Random) -> str:
    return _word(generator, 2).capitalize() + generator.choice(_COMPOUND_ENDS)


def _work(generator: random.Random) -> str:
    first, second = (generator.choice(words) for words in _TITLE)
    return f"{first} {second} of {_word(generator, 2).capitalize()}"


def _invention(generator: random.Random) -> str:
    return f"{_word(generator, 2)} {generator.choice(_DEVICE_ENDS)}"


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "person": _person,
    "town": _town,
    "animal": _animal,
    "compound": _compound,
    "work": _work,
    "invention": _invention,
}
