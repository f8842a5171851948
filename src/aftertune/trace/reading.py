"""A prompt and its answer as an index sees them: words, stems, and how rare each is (pure)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.search.index import RowIndex, Small
from aftertune.search.words import Words, hashes_of, stem, words
from aftertune.text.word_lists import FUNCTION_WORDS, STYLE_WORDS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FEWEST_ROWS = 1_000  # of fewer rows frequencies say little, so they count as of so many
COMMON = 0.25  # a word of more than this share of the rows' answers tells nothing
RARE = 0.02  # of so few of them, or RARE_ROWS: worth a look alone
RARE_ROWS = 2

_FRAME = hashes_of(sorted({word for word in FUNCTION_WORDS | STYLE_WORDS if word.isalpha()}))


@dataclass(frozen=True)
class Reading:
    """The words of one answer, A of them, and the stems of its prompt.

    said: where they stand. word [A]: numbers in the index's vocabulary, stem [A]: of their stems;
    -1 for what no row holds. asked: stems of the prompt. weight [A]: rarity of the stem in the
    rows' answers, nats above a word of every fourth row; 0 for words that the prompt holds, that
    no answer of a row holds, or that are common. frame [A]: function and style words.
    """

    said: Words
    word: Small
    stem: Ints
    asked: Ints
    weight: Floats
    rare: Bools
    frame: Bools

    def span_of(self, first: int, last: int) -> tuple[int, int]:
        """Characters [start, end) from one word to another."""
        return int(self.said.start[first]), int(self.said.end[last])

    def stems(self) -> Ints:
        """Known stems of the answer, each once, ascending."""
        return np.unique(self.stem[self.stem >= 0])


def read(index: RowIndex, prompt: str, answer: str) -> Reading:
    """The answer in the words of the index."""
    vocabulary = index.vocabulary
    said, asked = words([answer]), words([prompt])
    stems = _stems(index, said)
    of_prompt = _stems(index, asked)
    of_prompt = np.unique(of_prompt[of_prompt >= 0])
    frame = np.isin(said.hashes, _FRAME)
    n = max(len(index), FEWEST_ROWS)
    frequency = np.zeros(len(stems), np.int64)
    known = stems >= 0
    frequency[known] = index.in_answers.frequency(stems[known])
    told = (frequency > 0) & ~np.isin(stems, of_prompt)
    if len(index) < FEWEST_ROWS:
        told &= ~frame
    idf = np.log1p((n - frequency + 0.5) / (frequency + 0.5))
    weight = np.where(told, np.maximum(0.0, idf + np.log(COMMON)), 0.0)
    rare = (weight > 0) & (frequency <= max(RARE_ROWS, RARE * n))
    return Reading(said, vocabulary.find(said.hashes), stems, of_prompt, weight, rare, frame)


def _stems(index: RowIndex, said: Words) -> Ints:
    different, first, where = np.unique(said.hashes, return_index=True, return_inverse=True)
    if not len(different):
        return np.zeros(0, np.int64)
    stems = [stem(said.folded(place)) for place in first.tolist()]
    return index.vocabulary.find_stems(hashes_of(stems))[where].astype(np.int64)
