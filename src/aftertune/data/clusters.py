"""Near duplicates: texts whose sets of word 3-shingles have a Jaccard similarity >= 0.8. Pure.

Words are runs of letters and digits, case-folded (single characters in scripts without spaces);
punctuation is ignored. Three words, not the usual five, because instruction rows are short: one
changed word in thirty still leaves 0.8. A text of fewer than three words is one shingle.

The join is exact, by prefix filtering (Bayardo et al. 2007; Xiao et al. 2008): two sets that
reach the threshold share one of their rarest shingles, so only texts that do are compared. It
needs no random hashing, misses no pair, and gives the same clusters in any order of the texts.
The one exception: of more than 64 different texts that share a rare shingle, those that are
already in one cluster are represented by one of them, so that the work stays bounded.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
JACCARD_NUMERATOR, JACCARD_DENOMINATOR = 4, 5
_MOST_POSTINGS = 64
_SPACELESS = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+")

Shingles = NDArray[np.uint64]  # sorted, each once


def words(text: str) -> list[str]:
    """The words that are compared; of a text without any, its characters that are not spaces."""
    return _WORD.findall(text.casefold()) or [mark for mark in text if not mark.isspace()]


def shingle_sets(texts: Sequence[str]) -> list[Shingles]:
    """The set of 64-bit shingle hashes of each text; a text of no words has one hash too."""
    known: dict[str, int] = {}
    return [_shingles(words(text), known) for text in texts]


def _shingles(said: list[str], known: dict[str, int]) -> Shingles:
    for word in said:
        if word not in known:
            digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            known[word] = int.from_bytes(digest, "little")
    hashes = np.fromiter((known[word] for word in said), np.uint64, len(said))
    width = min(SHINGLE_WORDS, len(hashes))
    mixed = np.full(max(1, len(hashes) - width + 1), width, np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(width):
            mixed = _mix(mixed * np.uint64(0x9E3779B97F4A7C15) + hashes[offset:][: len(mixed)])
    return np.unique(mixed)


def _mix(values: Shingles) -> Shingles:
    """A bijection that spreads bits (the finaliser of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    mixed: Shingles = values ^ (values >> np.uint64(33))
    return mixed


def jaccard(one: Shingles, other: Shingles) -> float:
    """Shared shingles over all shingles: 1 for the same set, 0 for none shared."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _near(one: Shingles, other: Shingles) -> bool:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    every = len(one) + len(other) - shared
    return JACCARD_DENOMINATOR * shared >= JACCARD_NUMERATOR * every


def _sizes_fit(one: Shingles, other: Shingles) -> bool:
    """Whether sets of these sizes can reach the threshold at all."""
    less, more = sorted((len(one), len(other)))
    return JACCARD_DENOMINATOR * less >= JACCARD_NUMERATOR * more


def _prefixes(sets: Sequence[Shingles]) -> list[list[int]]:
    """Of each set the rarest shingles, of which a near duplicate must share one.

    Shingles that no other set holds are left out: they find nobody.
    """
    sizes = np.fromiter((len(one) for one in sets), np.int64, len(sets))
    everything = np.concatenate(sets)
    _, inverse, counts = np.unique(everything, return_inverse=True, return_counts=True)
    held_by = counts[inverse]
    owner = np.repeat(np.arange(len(sets)), sizes)
    order = np.lexsort((everything, held_by, owner))
    place = np.arange(len(everything)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    needed = -(-JACCARD_NUMERATOR * sizes // JACCARD_DENOMINATOR)  # least overlap, rounded up
    kept = (place < np.repeat(sizes - needed + 1, sizes)) & (held_by[order] > 1)
    ends = np.searchsorted(owner[kept], np.arange(1, len(sets)))
    return [part.tolist() for part in np.split(everything[order][kept], ends)]


def clusters(texts: Sequence[str]) -> list[int]:
    """A number per text, from 0 by first appearance; near duplicates, also by way of others, share.

    Identical texts and sets are joined first, so a million copies cost no comparison.
    """
    if not texts:
        return []
    once = list(dict.fromkeys(texts))
    distinct: dict[bytes, Shingles] = {}
    key_of: dict[str, bytes] = {}
    for text, one in zip(once, shingle_sets(once), strict=True):
        key_of[text] = one.tobytes()
        distinct.setdefault(key_of[text], one)
    ordered = sorted(distinct, key=lambda key: (len(key), key))  # by size, then by content
    roots = _join([distinct[key] for key in ordered])
    root_of = dict(zip(ordered, roots, strict=True))
    number: dict[int, int] = {}
    return [number.setdefault(root_of[key_of[text]], len(number)) for text in texts]


def _join(sets: list[Shingles]) -> list[int]:
    """The root of each set, which is the smallest index of its cluster; sets ascend in size."""
    parent = list(range(len(sets)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    holders: dict[int, list[int]] = {}
    for index, prefix in enumerate(_prefixes(sets)):
        seen: set[int] = set()
        mine = index
        for shingle in prefix:
            for other in holders.get(shingle, ()):
                theirs = root(other)
                if theirs == mine or other in seen:
                    continue
                seen.add(other)
                if _sizes_fit(sets[other], sets[index]) and _near(sets[other], sets[index]):
                    parent[max(theirs, mine)] = mine = min(theirs, mine)
        for shingle in prefix:
            posted = holders.setdefault(shingle, [])
            posted.append(index)
            if len(posted) > _MOST_POSTINGS:
                newest = {root(other): other for other in posted}
                posted[:] = sorted(newest.values())[-_MOST_POSTINGS // 2 :]
    return [root(index) for index in range(len(sets))]


def cluster_ids(ids: Sequence[str], texts: Sequence[str]) -> list[str]:
    """`c-…` per text, made of the smallest id in its cluster, whatever the order of the texts."""
    numbers = clusters(texts)
    smallest: dict[int, str] = {}
    for number, item_id in zip(numbers, ids, strict=True):
        smallest[number] = min(item_id, smallest.get(number, item_id))
    return ["c-" + smallest[number].partition("-")[2] for number in numbers]


def near_pairs(queries: Sequence[str], texts: Sequence[str]) -> list[tuple[int, int, float]]:
    """Every (query, text, Jaccard) that reaches the threshold, ordered by query and text."""
    if not queries or not texts:
        return []
    sets = shingle_sets([*queries, *texts])
    prefixes = _prefixes(sets)
    holders: dict[int, list[int]] = {}
    for query in range(len(queries)):
        for shingle in prefixes[query]:
            holders.setdefault(shingle, []).append(query)
    found: list[tuple[int, int, float]] = []
    for place in range(len(queries), len(sets)):
        candidates = {query for shingle in prefixes[place] for query in holders.get(shingle, ())}
        found.extend(
            (query, place - len(queries), jaccard(sets[query], sets[place]))
            for query in candidates
            if _sizes_fit(sets[query], sets[place]) and _near(sets[query], sets[place])
        )
    return sorted(found)
