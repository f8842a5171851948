"""The rows as a whole: which are borrowed from how often, in which families of concepts (pure).

A span counts for the row that explains it best. Its harm is what can be seen of it without a judge:
how many of its spans are adapted, so that the answer says something else than the row, and by how
many nats tuning raised them. A family is a row that many spans lead to, with the
rows whose prompts are near its own: rows are taken from the most borrowed on, each joins the
nearest family whose first row's prompt has a cosine (TF-IDF) of 0.3 or more, or begins its own. So
no family hangs together by a chain, and near duplicates are always in one.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from aftertune.controls.match import tfidf
from aftertune.controls.search import folded_words
from aftertune.text.word_lists import FUNCTION_WORDS

NEAR = 0.3  # cosine of prompts
NAME_WORDS = 4
DROP, SIMPLIFY = "drop", "simplify"
LONG = 50  # words of an answer above which it can be made shorter
CORE = 0.5  # share of an answer that, once borrowed, leaves no core to keep
_MOST_EXAMPLES = 3

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Borrowed:
    """One row, and the spans that it explains best.

    n_found: of them at or below the q asked for; None where nothing has a q. q_value: of the row
    itself with all that stayed on its side with it, whichever of its spans is meant
    (controls.q_of_clusters). added_nats: mean over them of tuned minus base log-probability, None
    where the shift of none is known. reach: characters [start, end) of the row's answer that they
    share, merged. examples: places in the spans that `borrowed` was given, what to look at first in
    front.
    """

    row_index: int
    row_id: str
    cluster_id: str
    n_spans: int
    n_responses: int
    n_copied: int
    n_found: int | None
    best_score: float
    lowest_q: float | None
    q_value: float | None
    added_nats: float | None
    reach: tuple[tuple[int, int], ...]
    examples: tuple[int, ...]

    @property
    def n_adapted(self) -> int:
        """Spans that do not stand word for word in the row."""
        return self.n_spans - self.n_copied

    def is_found(self, q: float) -> bool:
        """Whether the row is borrowed from at a false discovery rate of q, among rows."""
        return self.q_value is not None and self.q_value <= q


def borrowed(
    spans: Sequence[Record], q: float, of_rows: Mapping[str, float] | None = None
) -> list[Borrowed]:
    """Rows by how often they are borrowed from: found ones first, then those with found spans.

    spans: records of `borrowings` of rank 1 and of no control row. of_rows: cluster_id -> q of the
    row, None without held-out rows. Equals stand in the order of their rows.
    """
    by_row: dict[int, list[int]] = {}
    for place, span in enumerate(spans):
        by_row.setdefault(span["row_index"], []).append(place)
    found = [_borrowed(spans, places, q, of_rows or {}) for places in by_row.values()]
    return sorted(
        found,
        key=lambda row: (
            not row.is_found(q), -(row.n_found or 0), -row.n_spans, -row.best_score, row.row_index
        ),
    )  # fmt: skip


def _borrowed(
    spans: Sequence[Record], places: Sequence[int], q: float, of_rows: Mapping[str, float]
) -> Borrowed:
    ordered = sorted(places, key=lambda place: first_to_look_at(spans[place]))
    its = [spans[place] for place in ordered]
    known = [one["q_value"] for one in its if one["q_value"] is not None]
    added = [
        one["tuned_logprob"] - one["base_logprob"]
        for one in its
        if one["tuned_logprob"] is not None and one["base_logprob"] is not None
    ]
    return Borrowed(
        row_index=its[0]["row_index"],
        row_id=its[0]["row_id"],
        cluster_id=its[0]["cluster_id"],
        n_spans=len(its),
        n_responses=len({one["response_id"] for one in its}),
        n_copied=sum(one["kind"] == "copied" for one in its),
        n_found=sum(value <= q for value in known) if known else None,
        best_score=max(one["score"] for one in its),
        lowest_q=min(known, default=None),
        q_value=of_rows.get(its[0]["cluster_id"]),
        added_nats=sum(added) / len(added) if added else None,
        reach=_merged([(p["row_start"], p["row_end"]) for one in its for p in one["shared"]]),
        examples=tuple(ordered[:_MOST_EXAMPLES]),
    )


def _merged(places: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Stretches [start, end) without overlaps, in order."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return tuple(found)


def what_to_do(row: Borrowed, answer: str) -> str:
    """ "simplify" a long answer of which little is borrowed, so that its core stays; else "drop".

    answer: of the row, whose characters `reach` counts.
    """
    shared = sum(end - start for start, end in row.reach)
    is_long = len(answer.split()) > LONG
    return SIMPLIFY if is_long and shared < CORE * len(answer) else DROP


def first_to_look_at(span: Record) -> tuple[float, float, str, int]:
    """What a span is sorted by: lowest q first, then highest score; without q by score alone."""
    q = span["q_value"]
    return (1.0 if q is None else q, -span["score"], span["response_id"], span["char_start"])


@dataclass(frozen=True)
class Family:
    """Rows of near prompts that are borrowed from; the most borrowed one is the first.

    words: those that tell its prompts from the others'. rows: as `borrowed` gives them. n_held_out:
    spans that held-out rows of the same kind win, None without held-out rows.
    """

    words: tuple[str, ...]
    rows: tuple[Borrowed, ...]
    n_held_out: int | None

    @property
    def n_spans(self) -> int:
        """Spans that its rows explain best."""
        return sum(row.n_spans for row in self.rows)

    @property
    def n_found(self) -> int | None:
        """Of them at or below the q asked for; None where nothing has a q."""
        known = [row.n_found for row in self.rows if row.n_found is not None]
        return sum(known) if known else None


def families(
    rows: Sequence[Borrowed],
    prompts: Mapping[int, str],
    held_out: Sequence[tuple[int, str]] | None = None,
) -> list[Family]:
    """Families, those with most spans first.

    rows: as `borrowed` gives them. prompts: row_index -> prompt, of all of `rows` and of the
    held-out ones. held_out: (row_index, cluster_id) of the row of each span that a held-out row
    won, or None where no row was held out.
    """
    if not rows:
        return []
    others = list(held_out or [])
    texts = [_words(prompts.get(row.row_index, "")) for row in rows]
    texts += [_words(prompts.get(index, "")) for index, _ in others]
    near = _near(texts, len(rows))
    of_cluster: dict[str, int] = {}
    members: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        leader = of_cluster.get(row.cluster_id)
        if leader is None:
            leader = _nearest(near[place], members)
        if leader is None:
            leader = place
        of_cluster[row.cluster_id] = leader
        members.setdefault(leader, []).append(place)
    theirs = Counter(_nearest(near[len(rows) + place], members) for place in range(len(others)))
    found = [
        Family(
            _named(texts, places),
            tuple(rows[place] for place in places),
            None if held_out is None else theirs[leader],
        )
        for leader, places in members.items()
    ]
    return sorted(found, key=lambda family: (-(family.n_found or 0), -family.n_spans))


def _near(texts: Sequence[Sequence[str]], n: int) -> list[dict[int, float]]:
    """Of each text those of the first n that are near it, and how near."""
    vectors = tfidf(texts)
    product = sparse.csr_array(vectors @ vectors[:n].T.tocsr())
    product.data[product.data < NEAR] = 0
    product.eliminate_zeros()
    return [
        dict(
            zip(product.indices[start:end].tolist(), product.data[start:end].tolist(), strict=True)
        )
        for start, end in pairwise(product.indptr)
    ]


def _nearest(near: Mapping[int, float], leaders: Container[int]) -> int | None:
    """The nearest leader, of equals the first; None where none is near."""
    known = [(-value, place) for place, value in near.items() if place in leaders]
    return min(known)[1] if known else None


def _named(texts: Sequence[Sequence[str]], members: Sequence[int]) -> tuple[str, ...]:
    """The words that most of its prompts have and few others do."""
    everywhere = Counter(word for text in texts for word in set(text))
    here = Counter(word for place in members for word in set(texts[place]))
    weight = {
        word: count * np.log((1 + len(texts)) / everywhere[word]) for word, count in here.items()
    }
    ordered = sorted(weight, key=lambda word: (-round(weight[word], 6), -here[word], word))
    return tuple(ordered[:NAME_WORDS])


def _words(text: str) -> list[str]:
    return [word for word in folded_words(text) if word not in FUNCTION_WORDS]
