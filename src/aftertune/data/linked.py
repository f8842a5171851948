"""Rows whose answers state the same, kept together where rows are held out (pure).

A value that four rows state is learnt from any of them. With some of the four trained on and some
held out, evidence that is blind to which is which can not tell them apart, so a held-out row wins
every second span that the others caused. Where all four share one side, none does.

Rows state the same where at least `SHARED` of the rare words that the shorter answer teaches stand
in the other, too: one word of a short answer, many of a long one, which shares some rare word with
most rows by chance.
"""

from collections import defaultdict
from collections.abc import Sequence

from aftertune.data.clusters import words
from aftertune.text.word_lists import FUNCTION_WORDS, STYLE_WORDS

LARGEST = 10  # rows of a group: chains of words would make one of most rows
SHARED = 0.25  # of the rare words of the answer that has fewer
RARE = 0.02  # of the near-duplicate clusters hold a rare word, at most; or LARGEST of them
SHORTEST = 3  # letters of a word that counts; a number counts at any length

_FRAME = FUNCTION_WORDS | STYLE_WORDS


def linked(prompts: Sequence[str], answers: Sequence[str], clusters: Sequence[str]) -> list[str]:
    """The name of each row's group: that of its first cluster by name.

    prompts, answers: what each row asks, and what it taught the model to say; words that its
    prompt holds do not count. clusters: of near duplicates, which never part. Words are taken from
    the rarest on, and each cluster that holds one joins the first that does, if they state the same
    and the group does not grow too large. The groups do not depend on the order of rows.
    """
    rows_of: dict[str, int] = defaultdict(int)
    holders: dict[str, set[str]] = defaultdict(set)
    for prompt, answer, cluster in zip(prompts, answers, clusters, strict=True):
        rows_of[cluster] += 1
        for word in set(words(answer)) - set(words(prompt)) - _FRAME:
            if len(word) >= SHORTEST or word.isdigit():
                holders[word].add(cluster)
    few = max(LARGEST, int(RARE * len(rows_of)))
    taught: dict[str, set[str]] = defaultdict(set)
    for word, its in holders.items():
        for cluster in its if len(its) <= few else ():
            taught[cluster].add(word)
    group = {name: [name] for name in rows_of}  # cluster -> all clusters of its group
    size = dict(rows_of)  # first cluster of a group -> its rows
    shared = ((len(its), word) for word, its in holders.items() if 1 < len(its) <= LARGEST)
    for _, word in sorted(shared):
        first, *others = sorted(holders[word])
        for name in others:
            one, other = group[first], group[name]
            fits = one is not other and size[one[0]] + size[other[0]] <= LARGEST
            if not fits or not _alike(taught[first], taught[name]):
                continue
            size[min(one[0], other[0])] = size[one[0]] + size[other[0]]
            both = sorted([*one, *other])
            for member in both:
                group[member] = both
    return [group[name][0] for name in clusters]


def _alike(one: set[str], other: set[str]) -> bool:
    return len(one & other) >= SHARED * min(len(one), len(other))
