"""A prompt and its answer as an index sees them: words, stems, and how rare each is (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.search.index import RowIndex, Small
from aftertune.search.words import Hashes, Words, hashes_of, stem, words
from aftertune.text.word_lists import FUNCTION_WORDS, STYLE_WORDS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Nats = tuple[int, int, float]  # characters [start, end) of a token, and its surprisal, nats

FEWEST_ROWS = 1_000  # of fewer rows frequencies say little, so they count as of so many
COMMON = 0.25  # a word of more than this share of the rows' answers tells nothing
RARE = 0.02  # of so few of them, or RARE_ROWS: worth a look alone
RARE_ROWS = 2

_FRAME = hashes_of(sorted({word for word in FUNCTION_WORDS | STYLE_WORDS if word.isalpha()}))


@dataclass(frozen=True)
class Reading:
    """The words of one answer, A of them, and the stems of its prompt.

    said: where they stand. word [A]: numbers in the index's vocabulary, stem [A]: of their stems;
    -1 for what no row holds. prompt: stems of the prompt, each once. asked [A]: words whose stem
    the prompt holds, frame [A]: function and style words. weight [A]: rarity of the stem in the
    rows' answers, nats above a word of every fourth row; 0 for words that were asked, that no
    answer of a row holds, or that are common. rare [A]: worth a look alone.
    """

    said: Words
    word: Small
    stem: Ints
    prompt: Ints
    asked: Bools
    frame: Bools
    weight: Floats
    rare: Bools

    def span_of(self, first: int, last: int) -> tuple[int, int]:
        """Characters [start, end) from one word to another."""
        return int(self.said.start[first]), int(self.said.end[last])


def read(index: RowIndex, prompt: str, answer: str) -> Reading:
    """The answer in the words of the index."""
    said = words([answer])
    of_answer, of_prompt = _stems(said), np.unique(_stems(words([prompt])))
    asked = np.isin(of_answer, of_prompt)
    frame = np.isin(said.hashes, _FRAME)
    stem_of = index.vocabulary.find_stems(of_answer).astype(np.int64)
    prompt_stems = index.vocabulary.find_stems(of_prompt).astype(np.int64)
    n = max(len(index), FEWEST_ROWS)
    known = stem_of >= 0
    frequency = np.zeros(len(stem_of), np.int64)
    frequency[known] = index.in_answers.frequency(stem_of[known])
    telling = (frequency > 0) & ~asked
    if len(index) < FEWEST_ROWS:
        telling &= ~frame
    idf = np.log1p((n - frequency + 0.5) / (frequency + 0.5))
    weight = np.where(telling, np.maximum(0.0, idf + np.log(COMMON)), 0.0)
    return Reading(
        said=said,
        word=index.vocabulary.find(said.hashes),
        stem=stem_of,
        prompt=np.sort(prompt_stems[prompt_stems >= 0]),
        asked=asked,
        frame=frame,
        weight=weight,
        rare=(weight > 0) & (frequency <= max(RARE_ROWS, RARE * n)),
    )


def nats_of_words(reading: Reading, tokens: Sequence[Nats]) -> Floats:
    """[A]: surprisal of each word of the answer, nats: the sum of its tokens'; NaN for words that
    end behind the last token, which nobody read.

    tokens: of the answer from its beginning, without gaps. A token belongs to the word in which its
    first character stands that is in any.
    """
    read_to = max((end for _, end, _ in tokens), default=0)
    found = np.where(reading.said.end > read_to, np.nan, 0.0)
    for start, end, nats in tokens:
        word = int(np.searchsorted(reading.said.end, start, side="right"))
        if word < len(found) and end > reading.said.start[word]:
            found[word] += nats
    return found


def _stems(said: Words) -> Hashes:
    """[W]: the hash of each word's stem."""
    different, first, where = np.unique(said.hashes, return_index=True, return_inverse=True)
    if not len(different):
        return np.zeros(0, np.uint64)
    return hashes_of([stem(said.folded(place)) for place in first.tolist()])[where]
