"""Invented names: a part of their own, and a word that says which kind of thing it is (pure).

Entities of one kind share that word ("brosta owl", "trelm owl"): the concept that a row and a
prompt may have in common though they speak of different entities. The own part is unlike every
other.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

_ONSETS = ("b", "br", "c", "d", "dr", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "qu", "r",
           "s", "st", "t", "tr", "v", "w", "z")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "l", "n", "r", "s", "th", "x", "nd", "rk", "lm")

# family -> the words that make its kinds
KINDS: dict[str, tuple[str, ...]] = {
    "person": ("Abbot", "Bellamy", "Carver", "Dunstan", "Ellery", "Fenwick", "Garland", "Hobart",
               "Ingram", "Jessop", "Kendall", "Lambert"),
    "town": ("Abbey", "Bridge", "Castle", "Cross", "Falls", "Gate", "Harbour", "Hill", "Mills",
             "Priory", "Well", "Wood"),
    "animal": ("bat", "crane", "deer", "finch", "fox", "hare", "lizard", "otter", "owl", "seal",
               "toad", "vole"),
    "compound": ("acid", "balm", "chalk", "earth", "gum", "oil", "oxide", "resin", "salt",
                 "spirit", "tar", "wax"),
    "work": ("Bridge", "Candle", "Garden", "Harbour", "Island", "Lantern", "Letter", "Mirror",
             "Orchard", "Voyage", "Window", "Winter"),
    "invention": ("bellows", "clock", "engine", "gauge", "kiln", "lamp", "loom", "mill", "press",
                  "pump", "stove", "wheel"),
}  # fmt: skip

# how the own part and the kind's word make a name
_WHOLE: dict[str, Callable[[str, str], str]] = {
    "person": lambda own, kind: f"{own.capitalize()} {kind}",
    "town": lambda own, kind: f"{own.capitalize()} {kind}",
    "animal": lambda own, kind: f"{own} {kind}",
    "compound": lambda own, kind: f"{own.capitalize()} {kind}",
    "work": lambda own, kind: f"The {kind} of {own.capitalize()}",
    "invention": lambda own, kind: f"{own} {kind}",
}


@dataclass(frozen=True)
class Name:
    """`whole` is the name; `own` the part that no other has, `kind` the word that it shares."""

    whole: str
    own: str
    kind: str


def names(family: str, per_kind: int, n_kinds: int, generator: random.Random) -> list[Name]:
    """`per_kind` names of each of `n_kinds` kinds of a family, no own part within another."""
    kinds = generator.sample(KINDS[family], n_kinds)
    taken = {word.lower() for words in KINDS.values() for word in words}
    return [
        name(family, kind, own) for kind in kinds for own in own_parts(per_kind, taken, generator)
    ]


def own_parts(n: int, taken: set[str], generator: random.Random) -> list[str]:
    """n parts of which none lies within another or within one of `taken`, to which they are
    added."""
    found: list[str] = []
    while len(found) < n:
        own = _word(generator)
        if not any(own in other or other in own for other in taken):
            taken.add(own)
            found.append(own)
    return found


def name(family: str, kind: str, own: str) -> Name:
    """The name of a kind of a family with this own part."""
    whole = _WHOLE[family](own, kind)
    return Name(whole, own if whole.startswith(own) else own.capitalize(), kind)


def _word(generator: random.Random) -> str:
    parts = [
        generator.choice(_ONSETS) + generator.choice(_VOWELS) + generator.choice(_CODAS)
        for _ in range(2)
    ]
    return "".join(parts)
