"""Evidence that an answer borrowed from a row: one function per kind (pure).

Of a row with a whole answer, higher is more: `rarity`, `rarest`, `nearness`, `exact`, `pieces`
(nats of shared text that is rare among the rows), `concept` (BM25 of the prompt), `bm25` (of
prompt and answer), `embedding_*` (cosines). Of a span with a row: `span_rarity`, and where a model
that has not seen the rows read the answer, `surprisal_nats` (nats both). Of a span, where a tuned
model and its base are known: `shift_nats`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.search.bm25 import Postings
from aftertune.search.index import RowIndex
from aftertune.trace.match import Pairs, Pieces, Rows, Runs, Span
from aftertune.trace.reading import Floats, Ints, Reading

KINDS = (
    "rarity", "rarest", "nearness", "exact", "pieces", "concept", "bm25", "embedding_prompt",
    "embedding_answer", "embedding_both", "span_rarity", "surprisal_nats", "shift_nats",
)  # fmt: skip
WINDOW = 16  # words of answer and of row within which shared words count as near
DIGITS = 5  # of a cosine; what is behind them depends on batches and threads

Vectors = Mapping[str, npt.NDArray[np.float32]]  # "prompt", "answer", "both" of one response


def rarity(reading: Reading, index: RowIndex) -> Floats:
    """[N]: BM25 of the answer's telling words over the rows' answers, by their weights; a row's
    length counts against it."""
    stems, weights = _once(reading, reading.weight > 0)
    return index.in_answers.scores(stems, weights.astype(np.float32)).astype(np.float64)


def rarest(reading: Reading, pairs: Pairs, n: int) -> Floats:
    """[n]: weight of the rarest single word that is shared, nats."""
    return _most(pairs.candidate, reading.weight[pairs.word], n)


def nearness(reading: Reading, index: RowIndex, pairs: Pairs, rows: Rows) -> Floats:
    """[n]: the largest sum of weights of different shared words that stand within `WINDOW` words
    of each other both in the answer and in the row, nats.

    Windows overlap by a half on both sides, so neighbours share one.
    """
    best = np.zeros(len(rows))
    if not len(pairs.word):
        return best
    half = WINDOW // 2
    place = pairs.place - index.bounds[rows][pairs.candidate]
    stems, stem = np.unique(reading.stem[pairs.word], return_inverse=True)
    weight = np.zeros(len(stems))
    weight[stem] = reading.weight[pairs.word]
    n_word, n_place = (int(x.max()) // WINDOW + 2 for x in (pairs.word, place))
    for by_word in (0, half):
        for by_place in (0, half):
            # one number per (row, window of the row, window of the answer, stem), each once
            window = pairs.candidate * n_place + (place + by_place) // WINDOW
            window = window * n_word + (pairs.word + by_word) // WINDOW
            keys = np.sort(window * len(stems) + stem)
            window, of = np.divmod(keys[np.diff(keys, prepend=-1) > 0], len(stems))
            begins = np.flatnonzero(np.concatenate([[True], np.diff(window) != 0]))
            sums = np.add.reduceat(weight[of], begins)
            np.maximum.at(best, window[begins] // (n_word * n_place), sums)
    return best


def exact(reading: Reading, runs: Runs, n: int) -> Floats:
    """[n]: weights of the exact run that tells most, nats."""
    return _most(runs.candidate, weights_of(reading, runs.word, runs.length), n)


def of_pieces(reading: Reading, index: RowIndex, pieces: Pieces, rows: Rows) -> Floats:
    """[n]: the rarest shared piece of a word: its idf times the share of the word, nats."""
    found = np.zeros(len(rows))
    for number in range(len(pieces.word)):
        held = np.isin(rows, pieces.rows[number])
        found[held] = np.maximum(found[held], piece_weight(reading, index, pieces, number))
    return found


def concept(reading: Reading, index: RowIndex) -> Floats:
    """[N]: BM25 of the prompt's words over whole rows."""
    return _bm25(index.in_rows, reading.prompt, np.ones(len(reading.prompt)))


def bm25(reading: Reading, index: RowIndex) -> Floats:
    """[N]: BM25 of prompt and answer over whole rows: the baseline."""
    stems = np.concatenate([reading.prompt, reading.stem[reading.stem >= 0]])
    different, counts = np.unique(stems, return_counts=True)
    return _bm25(index.in_rows, different, counts)


def cosines(index: RowIndex, vectors: Vectors) -> dict[str, Floats]:
    """{embedding_prompt, embedding_answer, embedding_both}: each [N]."""
    sides = {
        "embedding_prompt": (index.prompt_vectors, vectors["prompt"]),
        "embedding_answer": (index.answer_vectors, vectors["answer"]),
        "embedding_both": (index.row_vectors, vectors["both"]),
    }
    return {
        name: np.asarray(np.round(rows @ vector, DIGITS), np.float64)
        for name, (rows, vector) in sides.items()
        if rows is not None
    }


def span_rarity(
    reading: Reading,
    index: RowIndex,
    pairs: Pairs,
    pieces: Pieces,
    rows: Rows,
    spans: Sequence[Span],
) -> Floats:
    """[S, n]: weights of the different words and pieces of each span that each row shares, nats."""
    found = np.zeros((len(spans), len(rows)))
    span_of = _span_of(reading, spans)
    span = span_of[pairs.word]
    once = _first_of_each(span, pairs.candidate, reading.stem[pairs.word])
    np.add.at(found, (span[once], pairs.candidate[once]), reading.weight[pairs.word[once]])
    for number, word in enumerate(pieces.word):
        if span_of[word] >= 0:
            held = np.isin(rows, pieces.rows[number])
            found[span_of[word], held] += piece_weight(reading, index, pieces, number)
    return found


def surprisal(
    reading: Reading,
    pairs: Pairs,
    pieces: Pieces,
    rows: Rows,
    spans: Sequence[Span],
    nats: Floats,
) -> Floats:
    """[S, n]: how much the words of each span that each row shares, whole or in a piece, surprise
    a model that has not seen the rows, nats.

    nats [A]: surprisal of each word of the answer, -log p(word | prompt, what stands before); NaN
    where it is not known, and so is every sum with it. What anybody would say here is no sign of a
    row.
    """
    found = np.zeros((len(spans), len(rows)))
    span_of = _span_of(reading, spans)
    held = [np.flatnonzero(np.isin(rows, of)) for of in pieces.rows]
    word = np.concatenate(
        [pairs.word, *(np.full(len(h), w) for w, h in zip(pieces.word, held, strict=True))]
    )
    candidate = np.concatenate([pairs.candidate, *held]).astype(np.int64)
    span = span_of[word]
    once = _first_of_each(span, candidate, word)
    np.add.at(found, (span[once], candidate[once]), nats[word[once]])
    return found


def _span_of(reading: Reading, spans: Sequence[Span]) -> Ints:
    """[A]: the number of the span that each word stands in, -1 in none."""
    found = np.full(len(reading.word), -1, np.int64)
    for number, (first, last) in enumerate(spans):
        found[first : last + 1] = number
    return found


def _first_of_each(span: Ints, candidate: Ints, what: Ints) -> Ints:
    """Places of the first entry of each (span, candidate, what) with a span."""
    inside = np.flatnonzero(span >= 0)
    keys = [key[inside] for key in (what, candidate, span)]
    order = np.lexsort(keys)
    new = np.ones(len(order), bool)
    new[1:] = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    found: Ints = inside[order[new]]
    return found


def shift_nats(tokens: Sequence[Mapping[str, Any]], start: int, end: int) -> float | None:
    """Mean of tuned minus base log-probability of the tokens in [start, end), nats per token."""
    values = [
        (token["tuned_logprob"], token["base_logprob"])
        for token in tokens
        if token["char_start"] < end and token["char_end"] > start
    ]
    known = [tuned - base for tuned, base in values if tuned is not None and base is not None]
    return float(np.mean(known)) if known else None


def weights_of(reading: Reading, word: Ints, length: Ints) -> Floats:
    """Sum of weights of runs of the answer's words, nats."""
    sums = np.concatenate([[0.0], np.cumsum(reading.weight)])
    total: Floats = sums[word + length] - sums[word]
    return total


def piece_weight(reading: Reading, index: RowIndex, pieces: Pieces, number: int) -> float:
    """idf of the piece, nats, times the share of the answer's word that it is."""
    n, holding = max(len(index), 2), len(pieces.rows[number])
    share = pieces.length[number] / int(reading.said.length[pieces.word[number]])
    return float(max(0.0, np.log((n + 1) / (holding + 0.5))) * share)


def _once(reading: Reading, chosen: npt.NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """The different stems of the chosen words, and their weights."""
    places = np.flatnonzero(chosen)
    stems, first = np.unique(reading.stem[places], return_index=True)
    return stems, reading.weight[places[first]]


def _bm25(postings: Postings, stems: Ints, counts: npt.NDArray[Any]) -> Floats:
    factors = counts * postings.idf(stems)
    return postings.scores(stems, factors.astype(np.float32)).astype(np.float64)


def _most(candidate: Ints, values: Floats, n: int) -> Floats:
    best = np.zeros(n)
    np.maximum.at(best, candidate, values)
    return best
