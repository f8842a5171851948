"""Words of texts, folded so that they can be compared, with the characters that they stand on.

A word is a run of letters and digits; one character each in scripts without spaces. Folding takes
accents, case and the width of characters away (É, e and ｅ are one), drops what is not seen (zero
width, soft hyphens), an apostrophe within a word and the commas of a number, and reads HTML as its
reader does: tags are gaps, entities the characters that they stand for. Positions are always those
of the text as it was given. All in NumPy, so that a hundred megabytes take seconds.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint32]

_DROPPED, _GAP = 0, 32
_APOSTROPHES = frozenset("'’ʼ")
_TAG = re.compile(
    r"<(?:!--[\s\S]*?--|/?(?:a|abbr|b|big|blockquote|body|br|center|cite|code|dd|del|div|dl|dt|em|"
    r"font|h[1-6]|head|hr|html|i|img|ins|kbd|li|ol|p|pre|q|s|samp|small|span|strike|strong|sub|sup|"
    r"table|tbody|td|tfoot|th|thead|tr|tt|u|ul|var)(?:\s[^<>]*)?/?)>"
    r"|&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d{0,2});",
    re.IGNORECASE,
)
_FILLER = "\u200b"  # dropped by folding; keeps positions where an entity becomes one character
_SPACELESS = (
    (0x0E00, 0x0EFF), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)  # fmt: skip
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses modulo 2**64
_SPREAD = 0xFF51AFD7ED558CCD


@dataclass(frozen=True)
class Words:
    """The words of several texts, in order.

    hashes [W]: one 64-bit number per folded word. text [W]: number of the text. start, end [W]:
    characters [start, end) of that text. codes [C], first [W], length [W]: the folded characters
    of word w are codes[first[w] : first[w] + length[w]].
    """

    hashes: Hashes
    text: Ints
    start: Ints
    end: Ints
    codes: Codes
    first: Ints
    length: Ints

    def folded(self, word: int) -> str:
        """How the word is compared."""
        at = int(self.first[word])
        return _decoded(self.codes[at : at + int(self.length[word])])


def words(texts: Sequence[str]) -> Words:
    """The words of all texts."""
    joined = "\n".join(map(_read_html, texts))
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    folded = _folded(codes)
    kept = np.flatnonzero(folded != _DROPPED)
    seen = folded[kept]
    first, last = _runs(seen)
    starts_of_texts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    start = kept[first]
    end = np.append(kept, len(codes))[last + 1]
    # what is dropped behind a word belongs to it (accents), but never the break behind its text
    text = np.searchsorted(starts_of_texts, start, side="right") - 1
    end = np.minimum(end, starts_of_texts[text + 1] - 1) if len(text) else end
    return Words(
        hashes=_hashes(seen, first, last - first + 1),
        text=text.astype(np.int64),
        start=(start - starts_of_texts[text]).astype(np.int64),
        end=(end - starts_of_texts[text]).astype(np.int64),
        codes=seen,
        first=first.astype(np.int64),
        length=(last - first + 1).astype(np.int64),
    )


def hashes_of(folded: Sequence[str]) -> Hashes:
    """[n]: the numbers of words that are folded already, as `words` gives them."""
    codes = np.frombuffer("".join(folded).encode("utf-32-le", "surrogatepass"), np.uint32)
    length = np.array([len(word) for word in folded], np.int64)
    return _hashes(codes, np.cumsum(length) - length, length)


def stem(word: str) -> str:
    """A folded word without its English inflection: inventors, invented and inventing are one.

    Crude on purpose: both sides are cut alike, so a stem need not be a word.
    """
    if len(word) < 4 or not word.isalpha():
        return word
    for ending, put in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: len(word) - len(ending)] + put
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]  # running -> run
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


# The first that fits; what is left must have three letters.
_ENDINGS = (
    ("ions", ""), ("ion", ""),
    ("ness", ""), ("ments", "ment"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"),
    ("ies", "y"), ("ied", "y"), ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""), ("ors", ""),
    ("or", ""), ("ers", ""), ("er", ""), ("ally", "al"), ("ly", ""), ("ss", "ss"), ("us", "us"),
    ("is", "is"), ("s", ""),
)  # fmt: skip


def _read_html(text: str) -> str:
    """The text with tags as gaps and entities as characters, in its own length."""
    return _TAG.sub(_read_mark, text) if "<" in text or "&" in text else text


def _read_mark(match: re.Match[str]) -> str:
    mark = match.group()
    if mark[0] == "<":
        return " " * len(mark)
    character = html.unescape(mark)
    return character.ljust(len(mark), _FILLER) if len(character) == 1 else mark


def _folded(codes: Codes) -> Codes:
    """One folded code per character; `_DROPPED` where it is not seen, `_GAP` between words."""
    if not len(codes):
        return codes
    present = np.flatnonzero(np.bincount(codes))
    table = np.zeros(int(present[-1]) + 1, np.uint32)
    table[present] = [_folded_code(int(code)) for code in present]
    folded: Codes = table[codes]
    apostrophes = np.isin(codes, [ord(mark) for mark in _APOSTROPHES])
    points, commas = codes == ord("."), codes == ord(",")
    if apostrophes.any() or points.any() or commas.any():
        inside = np.zeros(len(codes), bool)
        inside[1:-1] = (folded[:-2] != _GAP) & (folded[2:] != _GAP)
        digit = (codes >= ord("0")) & (codes <= ord("9"))
        between = np.zeros(len(codes), bool)
        between[1:-1] = digit[:-2] & digit[2:]
        folded[(apostrophes & inside) | (commas & between)] = _DROPPED
        folded[points & between] = ord(".")
    return folded


@cache
def _folded_code(code: int) -> int:
    """The folded character; of one that folds to several (ß, ligatures) the first of them."""
    character = chr(code)
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return _DROPPED
    if category[0] not in "LNM":
        return _GAP
    plain = unicodedata.normalize("NFKD", character)
    plain = next((c for c in plain if unicodedata.category(c)[0] in "LN"), character)
    return ord(plain.lower()[0])


def _runs(codes: Codes) -> tuple[Ints, Ints]:
    """First and last place of each word."""
    inside = codes != _GAP
    alone = np.zeros(len(codes), bool)
    if len(codes) and codes.max() >= _SPACELESS[0][0]:
        for low, high in _SPACELESS:
            alone |= (codes >= low) & (codes <= high)
    joined = inside[1:] & inside[:-1] & ~alone[1:] & ~alone[:-1]
    first = np.flatnonzero(inside & ~np.concatenate([[False], joined])) if len(codes) else _none()
    last = np.flatnonzero(inside & ~np.concatenate([joined, [False]])) if len(codes) else _none()
    return first, last


def _none() -> Ints:
    return np.zeros(0, np.int64)


def _hashes(codes: Codes, first: Ints, length: Ints) -> Hashes:
    """A polynomial of each word's characters modulo 2**64, from one running sum over all."""
    if not len(first):
        return np.zeros(0, np.uint64)
    with np.errstate(over="ignore"):
        mixed = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(_SPREAD)
        mixed ^= mixed >> np.uint64(29)
        powers = _powers(_FACTOR, len(codes))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed * powers)])
        inverse = _powers(pow(_FACTOR, -1, 2**64), len(codes))
        hashes = (sums[first + length] - sums[first]) * inverse[first]
        hashes ^= hashes >> np.uint64(33)
        spread: Hashes = (hashes + length.astype(np.uint64)) * np.uint64(_SPREAD)
    return spread


def _powers(factor: int, count: int) -> Hashes:
    powers = np.full(count, factor, np.uint64)
    powers[0] = 1
    return np.cumprod(powers)


def _decoded(codes: Codes) -> str:
    return codes.tobytes().decode("utf-32-le", "surrogatepass")
