"""Which text holds which term how often, and BM25 over it (Robertson; Lucene's variant).

Compressed columns, one per term. Terms are numbers; what a term is (a word, its stem) is the
caller's business.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

K1, B = 1.5, 0.75


@dataclass(frozen=True)
class Postings:
    """Terms of N texts.

    starts [T + 1]: the texts of term t are rows[starts[t] : starts[t + 1]], ascending, and
    weights are their BM25 parts without idf: tf / (tf + k1 (1 - b + b length / mean length)).
    """

    n_texts: int
    starts: Ints
    rows: npt.NDArray[np.int32]
    weights: Floats

    @classmethod
    def of(cls, text: Ints, term: Ints, n_texts: int, n_terms: int) -> "Postings":
        """text, term [W]: one pair per word."""
        keys, counts = np.unique(term * np.int64(max(1, n_texts)) + text, return_counts=True)
        terms, rows = np.divmod(keys, max(1, n_texts))
        lengths = np.bincount(text, minlength=n_texts)
        mean = lengths.mean() if lengths.any() else 1.0
        penalty = K1 * (1 - B + B * lengths / mean)
        starts = np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=n_terms))])
        weights = (counts / (counts + penalty[rows])).astype(np.float32)
        return cls(n_texts, starts.astype(np.int64), rows.astype(np.int32), weights)

    def frequency(self, terms: Ints) -> Ints:
        """In how many texts each of these terms stands."""
        return self.starts[terms + 1] - self.starts[terms]

    def idf(self, terms: Ints) -> Floats:
        """log(1 + (N - n + 0.5) / (n + 0.5)) of each of these terms, nats."""
        n = self.frequency(terms)
        return np.log1p((self.n_texts - n + 0.5) / (n + 0.5)).astype(np.float32)

    def texts_of(self, term: int) -> npt.NDArray[np.int32]:
        """The texts that hold the term, ascending."""
        return self.rows[self.starts[term] : self.starts[term + 1]]

    def scores(self, terms: Ints, factors: Floats) -> Floats:
        """[N]: sum over the terms (each once) of factor x weight; BM25 where factor = count x idf.

        Work and memory: the postings of the terms, and one number per text.
        """
        places, which = self.places_of(terms)
        if not len(places):
            return np.zeros(self.n_texts, np.float32)
        values = self.weights[places] * factors[which]
        summed = np.bincount(self.rows[places], values, minlength=self.n_texts)
        return summed.astype(np.float32)

    def places_of(self, terms: Ints) -> tuple[Ints, Ints]:
        """Places of all postings of the terms, and for each which of `terms` it belongs to."""
        counts = self.starts[terms + 1] - self.starts[terms]
        which = np.repeat(np.arange(len(terms)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return np.arange(len(which)) - before + self.starts[terms][which], which
