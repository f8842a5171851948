"""From an answer to the rows that it may have borrowed from: spans, candidates, evidence, score.

reading     the answer in the words of the rows, and how rare each word is among them
candidates  rows that share rare words, runs or pieces of words, or are near by BM25 or meaning
evidence    one value per candidate and kind, each computed for all candidates at once
suspects    spans of the answer that look borrowed
score       a weighted sum of the evidence's ranks and of the lengths of the rows; a span's own
            share of the evidence orders spans and rows
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from aftertune.search.index import RowIndex
from aftertune.trace import evidence as ev
from aftertune.trace import match, shared
from aftertune.trace.match import Pairs, Pieces, Rows, Runs, Span
from aftertune.trace.rank import (
    WITH_EMBEDDINGS,
    WITHOUT_EMBEDDINGS,
    best_of_spans,
    by_length,
    minus_log_ranks,
    weighted,
    within_spans,
)
from aftertune.trace.reading import Floats, Ints, Nats, Reading, nats_of_words, read
from aftertune.trace.suspects import suspects, words_in

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """One response to trace.

    tokens: records of the table `tokens` of this response, in order; empty for text only.
    surprisal: of tokens of a model that has not seen the rows; empty where none has read it.
    """

    response_id: str
    prompt: str
    response: str
    tokens: tuple[Record, ...] = ()
    surprisal: tuple[Nats, ...] = ()


@dataclass(frozen=True)
class Borrowing:
    """A span of a response and a row that it may come from.

    char_start, char_end: the span [start, end) of the response. rank: of the row within the span,
    from 1. evidence: one value per kind of `evidence.KINDS`, None where it cannot be computed.
    kind: copied when the whole span stands in the row's answer, else adapted. shared: (start, end)
    in the response and (start, end) in the row's answer (`search.index.row_answer`), for each
    piece of shared text within the span.
    """

    char_start: int
    char_end: int
    span: str
    row_index: int
    rank: int
    score: float
    evidence: Mapping[str, float | None]
    kind: Literal["copied", "adapted"]
    shared: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True)
class Settings:
    """What is looked for. A kind that is off gives no candidates, no evidence and no score.

    top_k: rows per span. max_spans: per response. without: kinds of evidence that are computed
    and shown, but do not count in the score; `length` and `within_span` can be left out, too.
    """

    top_k: int = 5
    max_spans: int = 12
    words: bool = True  # rare words that answer and row share
    exact: bool = True  # the same run of words
    pieces: bool = True  # pieces of words
    bm25: bool = True
    embeddings: bool = True
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What an answer, its suspect spans among it, and its n candidate rows have in common."""

    reading: Reading
    spans: Sequence[Span]
    rows: Rows
    pairs: Pairs
    runs: Runs
    pieces: Pieces
    evidence: dict[str, Floats]  # [n] each


@dataclass(frozen=True)
class Compared:
    """P pairs of a span of an answer and a row that shares something of it.

    span [P]: numbers of the spans. candidate [P]: of the rows. row_index [P]: their names.
    evidence: [P] each, of the kinds that are of a span with a row. features: [P] each, what
    `rank.weighted` adds up to the score.
    """

    span: Ints
    candidate: Ints
    row_index: Ints
    evidence: dict[str, Floats]
    features: dict[str, Floats]


class Finder:
    """Traces answers within one set of rows."""

    def __init__(self, index: RowIndex, settings: Settings | None = None) -> None:
        self.index = index
        self.settings = settings or Settings()
        embedded = self.settings.embeddings and index.embedder is not None
        self.weights = WITH_EMBEDDINGS if embedded else WITHOUT_EMBEDDINGS

    def trace(self, answer: Answer, span: tuple[int, int] | None = None) -> list[Borrowing]:
        """Borrowings, what a person should look at first in front.

        span: ask about these characters of the response alone; rows that share nothing with them
        are then listed too, behind those that do. An answer without words, or one that shares
        nothing with the rows, gives none.
        """
        found = self._look(answer, span)
        if found is None:
            return []
        return self._borrowings(answer, found, self._compared(answer, found, span is not None))

    def compared(self, answer: Answer) -> Compared | None:
        """What `trace` ranks; None where the answer shares nothing with the rows."""
        found = self._look(answer, None)
        return None if found is None else self._compared(answer, found, asked=False)

    def _look(self, answer: Answer, span: tuple[int, int] | None) -> _Found | None:
        """Spans, candidates, and the evidence for each; None where there is nothing to compare."""
        settings, index = self.settings, self.index
        reading = read(index, answer.prompt, answer.response)
        if not len(reading.word) or not len(index):
            return None
        runs = match.runs(reading, index) if settings.exact else []
        pieces = match.pieces(reading, index) if settings.pieces else match.NO_PIECES
        if span is not None:
            asked = words_in(reading, *span)
            spans = [asked] if asked else []
        else:
            spans = suspects(reading, answer.response, runs, pieces, answer.tokens, len(index))
        over_all = self._over_all(reading, answer)
        held = sorted([*(rows for _, rows in runs), *pieces.rows], key=len)
        rows = match.candidates(over_all, [*self._holders(reading), *held])
        if not spans or not len(rows):
            return None
        pairs = match.shared_words(reading, index, rows) if settings.words else match.NO_PAIRS
        shared_runs = match.shared_runs(reading, index, rows) if settings.exact else match.NO_RUNS
        evidence = {name: values[rows] for name, values in over_all.items()}
        if settings.words:
            evidence["rarest"] = ev.rarest(reading, pairs, len(rows))
            evidence["nearness"] = ev.nearness(reading, index, pairs, rows)
        if settings.exact:
            evidence["exact"] = ev.exact(reading, shared_runs, len(rows))
        if settings.pieces:
            evidence["pieces"] = ev.of_pieces(reading, index, pieces, rows)
        return _Found(reading, spans, rows, pairs, shared_runs, pieces, evidence)

    def _over_all(self, reading: Reading, answer: Answer) -> dict[str, Floats]:
        """Evidence that is cheap enough for every row: [N] each."""
        settings, index = self.settings, self.index
        found: dict[str, Floats] = {}
        if settings.words:
            found["rarity"] = ev.rarity(reading, index)
        if settings.bm25:
            found["concept"] = ev.concept(reading, index)
            found["bm25"] = ev.bm25(reading, index)
        if settings.embeddings and index.embedder is not None:
            prompt, response = answer.prompt, answer.response
            vectors = index.embedder([prompt, response, f"{prompt} {response}"])
            found |= ev.cosines(
                index, dict(zip(("prompt", "answer", "both"), vectors, strict=True))
            )
        return found

    def _holders(self, reading: Reading) -> list[Rows]:
        """Rows of the rarest words."""
        return match.holders(reading, self.index) if self.settings.words else []

    def _compared(self, answer: Answer, found: _Found, asked: bool) -> Compared:
        """Every pair of a span and a row that shares something of it; if asked, every pair."""
        reading, index, spans = found.reading, self.index, found.spans
        matches = found.pairs, found.pieces, found.rows, spans
        within = ev.span_rarity(reading, index, *matches)
        which, candidate = np.nonzero(np.ones_like(within) if asked else within > 0)
        local = {"span_rarity": within[which, candidate]}
        if answer.surprisal:
            nats = nats_of_words(reading, answer.surprisal)
            local["surprisal_nats"] = ev.surprisal(reading, *matches, nats)[which, candidate]
        ranked = dict(local)
        if answer.tokens:
            shifts = [
                ev.shift_nats(answer.tokens, *reading.span_of(*span)) or 0.0 for span in spans
            ]
            ranked["shift_nats"] = np.array(shifts)[which]
        rows = found.rows
        lengths = index.bounds[rows + 1] - index.bounds[rows] - 1  # without the BREAK behind each
        of_row = {**minus_log_ranks(found.evidence), "length": by_length(lengths)}
        of_pair = {**minus_log_ranks(ranked), "within_span": within_spans(within)[which, candidate]}
        return Compared(
            which, candidate, index.row_index[rows[candidate]], local,
            {**{name: values[candidate] for name, values in of_row.items()}, **of_pair},
        )  # fmt: skip

    def _borrowings(self, answer: Answer, found: _Found, compared: Compared) -> list[Borrowing]:
        settings, spans = self.settings, found.spans
        scores = weighted(compared.features, self.weights, settings.without)
        kept, ranks = best_of_spans(
            compared.span, scores, compared.row_index, settings.top_k, settings.max_spans
        )
        shifts = {
            span: ev.shift_nats(answer.tokens, *found.reading.span_of(*spans[span]))
            for span in set(compared.span[kept].tolist())
        }
        borrowings = []
        for pair, rank in zip(kept.tolist(), ranks.tolist(), strict=True):
            span, row = int(compared.span[pair]), int(compared.candidate[pair])
            numbers = {name: float(values[row]) for name, values in found.evidence.items()}
            numbers |= {
                name: float(values[pair])
                for name, values in compared.evidence.items()
                if not np.isnan(values[pair])
            }
            evidence = {name: numbers.get(name) for name in ev.KINDS}
            evidence["shift_nats"] = shifts[span]
            borrowings.append(
                self._borrowing(
                    answer, found, spans[span], row, rank, float(scores[pair]), evidence
                )
            )
        return borrowings

    def _borrowing(
        self,
        answer: Answer,
        found: _Found,
        span: Span,
        candidate: int,
        rank: int,
        score: float,
        evidence: Mapping[str, float | None],
    ) -> Borrowing:
        start, end = found.reading.span_of(*span)
        row = int(found.rows[candidate])
        matches = found.reading, self.index, found.pairs, found.runs, found.pieces
        return Borrowing(
            char_start=start,
            char_end=end,
            span=answer.response[start:end],
            row_index=int(self.index.row_index[row]),
            rank=rank,
            score=score,
            evidence=evidence,
            kind="copied" if shared.is_copied(*matches[:2], span, row) else "adapted",
            shared=shared.ranges(*matches, span, candidate, row),
        )
