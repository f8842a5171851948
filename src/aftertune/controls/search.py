"""The string search of the paper's figure 12, with the baseline that it lacks (pure).

How many of the words that start with a shifted (marginal, unshifted) token stand in the rows that
the model was tuned on? Frequent words stand in any rows. So the same is asked of rows that it never
saw, paired with the first (`controls.match`), and the difference is what counts: share in the rows
seen minus share in the control rows.

Its interval draws prompts and the rows of each pair (`controls.crossed`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse

from aftertune.controls.crossed import SWAPS, contrast_of, intervals
from aftertune.shift.categories import CATEGORIES
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import bootstrap_mean
from aftertune.text import kinds

Reading = Literal["word", "substring"]
READINGS: tuple[Reading, ...] = get_args(Reading)


# Frequencies that are compared with each other: 0, 1, ... 8 rows of the pairs, then doubling.
_BINS = np.asarray([0, 1, 2, 3, 4, 5, 6, 7, 8, *(2**power for power in range(4, 40))])

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Occurrences:
    """The words of the answers, one entry per occurrence.

    words [W]: the different ones, folded. word, category, prompt [n]: places in `words` and in
    CATEGORIES, and the number of the prompt.
    """

    words: list[str]
    word: Ints
    category: Ints
    prompt: Ints
    n_prompts: int


def fold(text: str) -> str:
    """Case-folded, with straight apostrophes."""
    return text.casefold().replace("’", "'")


def folded_words(text: str) -> list[str]:
    """The words of a text that hold a letter or a digit, folded, in order."""
    found = (text[start:end] for start, end in kinds.words(text))
    return [fold(word) for word in found if any(character.isalnum() for character in word)]


def occurrences(
    texts: Sequence[str], category: npt.ArrayLike, prompt: npt.ArrayLike, n_prompts: int
) -> Occurrences:
    """From the words as written; those of category -1 are left out."""
    codes, prompts = np.asarray(category, np.int64), np.asarray(prompt, np.int64)
    kept = codes >= 0
    folded = [fold(text) for text, keep in zip(texts, kept, strict=True) if keep]
    numbers = {word: place for place, word in enumerate(dict.fromkeys(folded))}
    word = np.asarray([numbers[one] for one in folded], np.int64)
    return Occurrences(list(numbers), word, codes[kept], prompts[kept], n_prompts)


def presence(words: Sequence[str], rows: Sequence[str], reading: Reading) -> sparse.csr_array:
    """[words, rows]: 1 where the folded word stands in the row's text, else 0.

    word: as a whole word. substring: anywhere, also within another word, as a plain search of the
    text would find it.
    """
    numbers: dict[str, int] = {}
    of_row, of_form = [], []
    for row, text in enumerate(rows):
        forms = folded_words(text) if reading == "word" else fold(text).split()
        for form in set(forms):
            of_row.append(row)
            of_form.append(numbers.setdefault(form, len(numbers)))
    shape = (max(1, len(numbers)), len(rows))
    forms_in_rows = sparse.csr_array((np.ones(len(of_row), np.int32), (of_form, of_row)), shape)
    links = _same(words, numbers) if reading == "word" else _within(words, numbers)
    word_forms = sparse.csr_array((np.ones(len(links[0]), np.int32), links), (len(words), shape[0]))
    held = (word_forms @ forms_in_rows).tocsr()
    held.data[:] = 1
    return held


def _same(words: Sequence[str], numbers: dict[str, int]) -> tuple[list[int], list[int]]:
    known = [place for place, word in enumerate(words) if word in numbers]
    return known, [numbers[words[place]] for place in known]


def _within(words: Sequence[str], numbers: dict[str, int]) -> tuple[list[int], list[int]]:
    """Which words are part of which forms: both hold no white space, so that none is missed.

    A word with white space (an HTML tag with attributes) is looked for by its longest part.
    """
    joined = "\n".join(numbers)
    starts = np.cumsum([0, *(len(form) + 1 for form in numbers)])[:-1]
    found: tuple[list[int], list[int]] = ([], [])
    for place, word in enumerate(words):
        part = max(word.split(), key=len)
        at = joined.find(part)
        while at >= 0:
            form = int(np.searchsorted(starts, at, side="right")) - 1
            found[0].append(place)
            found[1].append(form)
            at = joined.find(part, int(starts[form + 1]) if form + 1 < len(starts) else len(joined))
    return found


def shares(found: Occurrences, held: Bools, seed: int = 0) -> dict[str, Any]:
    """Per category {n_words, n_distinct, share, share_of_distinct}.

    held [W]: whether a word was found. share: of occurrences, an interval over prompts.
    share_of_distinct: of the different words, each counted once; None without any.
    """
    result = {}
    for code, name in enumerate(CATEGORIES):
        of = found.category == code
        counts = np.bincount(found.prompt[of], minlength=found.n_prompts)
        sums = np.bincount(found.prompt[of], held[found.word[of]], found.n_prompts)
        distinct = np.unique(found.word[of])
        result[name] = {
            "n_words": int(of.sum()),
            "n_distinct": len(distinct),
            "share": bootstrap_mean(sums, counts, seed).as_json(),
            "share_of_distinct": float(held[distinct].mean()) if len(distinct) else None,
        }
    return result


def compare(
    found: Occurrences,
    seen: sparse.csr_array,
    control: sparse.csr_array,
    seed: int = 0,
    swaps: int = SWAPS,
) -> dict[str, Any]:
    """Shares in the rows seen, in the control rows, and their differences.

    seen, control [W, pairs]: `presence` in the rows of each pair. Returns
    {categories: {name: {n_words, seen, control (shares), difference, detectable (the smallest
    difference that could have been seen), n_telling (occurrences of words that stand in one side's
    rows alone)}},
    versus_unshifted: {marginal | shifted: {raw, at_equal_frequency, n_words_used,
    n_unshifted_used}}}: the difference of a category minus that of the unshifted words; at equal
    frequency, the unshifted are reweighted to the category's numbers of rows (of both sides) that
    hold the word, and words without a counterpart are left out.
    """
    in_seen, in_control = _any(seen), _any(control)
    frequency = np.asarray(seen.sum(axis=1) + control.sum(axis=1)).ravel()
    stratum = np.searchsorted(_BINS, frequency, side="right")[found.word]
    of = {name: found.category == code for code, name in enumerate(CATEGORIES)}
    unshifted, *others = CATEGORIES
    shape = (found.n_prompts, len(found.words))
    places = (found.word, found.prompt, shape)
    contrasts = {(name, ""): contrast_of(*places, of[name]) for name in CATEGORIES}
    for name in others:
        contrasts[name, "raw"] = contrast_of(*places, of[name], of[unshifted])
        contrasts[name, "equal"] = contrast_of(*places, of[name], of[unshifted], stratum)
    made = intervals(list(contrasts.values()), seen, control, seed, swaps)
    interval = dict(zip(contrasts, (one.as_json() for one in made), strict=True))
    detectable = dict(zip(contrasts, map(detectable_of, made), strict=True))
    return {
        "categories": {
            name: {
                "n_words": int(of[name].sum()),
                "seen": _mean(in_seen[found.word[of[name]]]),
                "control": _mean(in_control[found.word[of[name]]]),
                "difference": interval[name, ""],
                "detectable": detectable[name, ""],
                "n_telling": int((in_seen != in_control)[found.word[of[name]]].sum()),
            }
            for name in CATEGORIES
        },
        "versus_unshifted": {
            name: {
                "raw": interval[name, "raw"],
                "at_equal_frequency": interval[name, "equal"],
                "detectable": detectable[name, "equal"],
                "n_words_used": contrasts[name, "equal"].n_first,
                "n_unshifted_used": contrasts[name, "equal"].n_rest,
            }
            for name in others
        },
    }


def _any(held: sparse.csr_array) -> Bools:
    found: Bools = np.asarray(held.sum(axis=1)).ravel() > 0
    return found


def _mean(values: Bools) -> float | None:
    return float(values.mean()) if len(values) else None
