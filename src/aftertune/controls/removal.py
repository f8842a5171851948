"""Which rows each run of masking loses (pure): many cases in one tuning, out of each other's way.

A removal takes some rows of one case out, or rows that it is compared with. Two removals may share
a run unless one takes rows that the other needs in place: a row that is accused in both cases, a
near duplicate of one, or a row that says the span too. Putting removals into few runs is then
colouring a graph, done greedily from the largest removal on (Welsh and Powell, "An upper bound for
the chromatic number of a graph", 1967), each into the run that has lost the fewest rows so far. No
run loses more than a share of all rows; and every run loses as many as the others, since rows drawn
at random fill it up: so a run with an accused row masked and its control do not differ in how much
there was to learn from.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
import numpy.typing as npt

from aftertune.controls.match import LENGTH_SHARE, LENGTH_WORDS

SHARE = 0.25  # of all rows that a run may lose
NEAREST = 5  # rows that are alike enough, of which a control row is drawn

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Removal:
    """`rows` are masked for `case`; `keep` are the rows that could be behind its span, which no
    other removal of the run may touch."""

    case: int
    rows: frozenset[int]
    keep: frozenset[int]

    def fits(self, other: "Removal") -> bool:
        """Whether one run can hold both: unrelated, or the same rows for two spans."""
        if self.rows == other.rows and self.case != other.case:
            return True
        return self.case != other.case and not (self.rows & other.keep or other.rows & self.keep)


@dataclass(frozen=True)
class Run:
    """Rows that one tuning loses, and the removals (their places in the list) that it holds."""

    rows: frozenset[int]
    removals: tuple[int, ...]


def largest(n_rows: int, share: float = SHARE) -> int:
    """How many rows a run may lose."""
    return int(share * n_rows)


def runs(
    removals: Sequence[Removal], known: Sequence[int], share: float = SHARE, seed: int = 0
) -> list[Run]:
    """Few runs that hold every removal once; known: all rows that are trained.

    Raises ValueError for a removal that is larger than a run may be.
    """
    most = largest(len(known), share)
    held: list[list[int]] = []
    lost: list[set[int]] = []
    for place in sorted(range(len(removals)), key=lambda i: -len(removals[i].rows)):
        removal = removals[place]
        if len(removal.rows) > most:
            raise ValueError(f"{len(removal.rows)} rows are more than a run may lose ({most})")
        free = [
            run
            for run, members in enumerate(held)
            if len(lost[run] | removal.rows) <= most
            and all(removal.fits(removals[other]) for other in members)
        ]
        if not free:
            held.append([])
            lost.append(set())
            free = [len(held) - 1]
        run = min(free, key=lambda i: len(lost[i]))
        held[run].append(place)
        lost[run] |= removal.rows
    size = max(map(len, lost), default=0)
    return [
        Run(_filled(rows, size, [removals[i] for i in members], known, f"{seed} {run}"),
            tuple(sorted(members)))
        for run, (members, rows) in enumerate(zip(held, lost, strict=True))
    ]  # fmt: skip


def _filled(
    rows: Collection[int], size: int, members: Sequence[Removal], known: Sequence[int], seed: str
) -> frozenset[int]:
    """The rows and others drawn at random up to `size`, none that a member needs in place."""
    kept = set(rows).union(*(member.keep for member in members))
    others = [row for row in known if row not in kept]
    wanted = min(size - len(rows), len(others))
    return frozenset(rows).union(random.Random(f"fill {seed}").sample(others, wanted))


def matched(
    rows: Sequence[int], free: Collection[int], length: Mapping[int, int],
    nearness: Mapping[int, float], seed: int = 0,
) -> list[int] | None:  # fmt: skip
    """For each of the rows another one out of `free`, no row twice; None where they are too few.

    length: trained tokens by row; nearness: by row, how near it is to the prompt. A control is
    about as long (as in `match`) and among the NEAREST in nearness, drawn by the seed; where no row
    is about as long, the nearest in length are looked at.
    """
    left = sorted(set(free) - set(rows))
    if len(left) < len(rows):
        return None
    found = []
    for row in rows:
        alike = [other for other in left if _as_long(length[row], length[other])]
        if not alike:
            alike = sorted(left, key=lambda other: abs(length[other] - length[row]))[:NEAREST]
        alike.sort(key=lambda other: abs(nearness[other] - nearness[row]))
        drawn = random.Random(f"control {seed} {row}").choice(alike[:NEAREST])
        left.remove(drawn)
        found.append(drawn)
    return found


def _as_long(one: int, other: int) -> bool:
    return abs(one - other) <= max(LENGTH_WORDS, LENGTH_SHARE * max(one, other))


def nearness(prompts: Sequence[str], rows: Sequence[str]) -> Floats:
    """[prompts, rows]: BM25 of each row's text for each prompt (Lucene's variant)."""
    found = np.zeros((len(prompts), len(rows)))
    words = _words(rows)
    if not any(words):
        return found
    index = bm25s.BM25()
    index.index(words, show_progress=False)
    for place, query in enumerate(_words(prompts)):
        if query:
            found[place] = index.get_scores(query)
    return found


def _words(texts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = bm25s.tokenize(list(texts), return_ids=False, show_progress=False)
    return found
