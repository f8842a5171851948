"""A judge, or a tracer, as one more rater beside people (pure numpy).

People do not agree with each other either. So how often a judge says what a person says is held
against how often another person does, on the same items.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.stats.agreement import NO_PAIR, agreeing_pairs
from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import DRAWS, LEVEL, Interval, absent
from aftertune.stats.ratings import Ratings, as_table, category_counts, coded


@dataclass(frozen=True)
class WithPeople:
    """A judge (or a tracer) beside people, all as shares of agreeing pairs from 0 to 1.

    judge: how often it says what a person says. people: how often another person says what a
    person says. difference: judge minus people on the same items, paired. Where its interval lies
    above 0 the judge is the better rater, below 0 the worse; where it holds 0, that is undecided.
    """

    judge: Interval
    people: Interval
    difference: Interval


def agreement_with_people(
    judge: Sequence[Hashable | None],
    people: Ratings,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> WithPeople:
    """How often `judge` [items] says what `people` [items, raters] say, and people each other.

    Both are means over items of an item's own share of agreeing pairs. Items without the judge's
    label are left out of all three; the difference rests on items that two people rated. Raises
    ValueError where the numbers of items differ.
    """
    table = as_table(people)
    if len(judge) != len(table):
        raise ValueError(f"{len(judge)} labels for {len(table)} items")
    nobody = absent("no item has a label of the judge and a rating of a person")
    if len(table) == 0:
        return WithPeople(nobody, nobody, nobody)
    codes, values = coded(np.column_stack([as_table([[one] for one in judge]), table]))
    codes = codes[codes[:, 0] >= 0]
    of_people = codes[:, 1:]
    seen, two = (of_people >= 0).sum(1), (of_people >= 0).sum(1) >= 2
    with np.errstate(invalid="ignore"):
        same = (of_people == codes[:, :1]).sum(1) / seen
    between = np.full(len(codes), np.nan)
    between[two] = agreeing_pairs(category_counts(of_people, values)[two])
    if not seen.any():
        return WithPeople(nobody, nobody, nobody)
    of_judge = bounded_mean(same[seen > 0], seed, draws, level)
    if not two.any():
        return WithPeople(of_judge, absent(NO_PAIR), absent(NO_PAIR))
    apart = same[two] - between[two]
    of_each_other = bounded_mean(between[two], seed, draws, level)
    difference = bounded_mean(apart, seed, draws, level, ends=(-1.0, 1.0))
    return WithPeople(of_judge, of_each_other, difference)
