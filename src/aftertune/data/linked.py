"""Rows whose answers share rare words, kept together where rows are held out (pure).

A value that four rows state is learnt from any of them. With some of the four trained on and some
held out, evidence that is blind to which is which can not tell them apart, so a held-out row wins
every second span that the others caused. Where all four share one side, none does.
"""

from collections import defaultdict
from collections.abc import Sequence

from aftertune.data.clusters import words
from aftertune.text.word_lists import FUNCTION_WORDS, STYLE_WORDS

LARGEST = 0.015  # of all rows in one group, or FEWEST: many groups have to be left to draw from
FEWEST = 5
SHORTEST = 3  # letters of a word that links; a number counts at any length

_FRAME = FUNCTION_WORDS | STYLE_WORDS


def linked(prompts: Sequence[str], answers: Sequence[str], clusters: Sequence[str]) -> list[str]:
    """The name of each row's group: that of its first cluster by name.

    prompts, answers: what each row asks, and what it taught the model to say; words that its
    prompt holds do not count. clusters: of near duplicates, which never part. Words are taken from
    the rarest to those that more clusters share than a group may have rows; the clusters that share
    one are joined unless the group would grow too large. The groups do not depend on the order of
    rows.
    """
    rows_of: dict[str, int] = defaultdict(int)
    holders: dict[str, set[str]] = defaultdict(set)
    for prompt, answer, cluster in zip(prompts, answers, clusters, strict=True):
        rows_of[cluster] += 1
        for word in set(words(answer)) - set(words(prompt)) - _FRAME:
            if len(word) >= SHORTEST or word.isdigit():
                holders[word].add(cluster)
    most = max(FEWEST, int(LARGEST * len(answers)))
    group = {name: [name] for name in rows_of}  # cluster -> all clusters of its group
    size = dict(rows_of)  # first cluster of a group -> its rows
    shared = ((len(its), word) for word, its in holders.items() if 1 < len(its) <= most)
    for _, word in sorted(shared):
        for name in sorted(holders[word]):
            one, other = group[min(holders[word])], group[name]
            if one is other or size[one[0]] + size[other[0]] > most:
                continue
            size[min(one[0], other[0])] = size[one[0]] + size[other[0]]
            both = sorted([*one, *other])
            for member in both:
                group[member] = both
    return [group[name][0] for name in clusters]
