"""The words of scored responses, each with the category of the token that it starts with (pure).

A word is one of `text.kinds.words` that holds a letter or a digit; runs of marks are left to the
pieces. It starts with the token that writes its first character, the first of them where several
do (the bytes of one character). Where that token has no category (the tuned argmax is not a common
id) the word has none either.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aftertune.shift.categories import CATEGORIES
from aftertune.shift.groups import Groups, of_responses
from aftertune.text import kinds

FREQUENT = 125  # words listed of each category, as in the paper's figure 12
NO_CATEGORY = -1


@dataclass(frozen=True)
class Words:
    """One entry per occurrence, in the order of the responses and of their text.

    text: as it is written. form: in lower case, unless it is a name. kind: one of
    `text.kinds.KINDS`. response, category [words]: numbers; a category's place in CATEGORIES, or
    NO_CATEGORY.
    """

    text: list[str]
    form: list[str]
    kind: list[str]
    response: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]


def words_of(tokens: pa.Table, responses: pa.Table, groups: Groups) -> Words:
    """The words of every response that has tokens; a word whose start no token writes is left out.

    tokens: `response_id` of `groups`, `position`, `char_start`, `char_end`, `category`.
    Raises InputError when a response is missing.
    """
    texts = of_responses(groups, responses, "response")
    coded = {name: place for place, name in enumerate(CATEGORIES)}
    category = np.asarray(
        [coded.get(name, NO_CATEGORY) for name in tokens.column("category").to_pylist()], np.int64
    )
    starts, ends = (tokens.column(name).to_numpy() for name in ("char_start", "char_end"))
    order = np.lexsort((tokens.column("position").to_numpy(), groups.response))
    sizes = np.bincount(groups.response, minlength=groups.n_responses)
    stops = np.cumsum(sizes)
    written, forms, found_kinds = [], [], []
    of_word, of_response = [], []
    for number, text in enumerate(texts):
        rows = order[stops[number] - sizes[number] : stops[number]]
        for start, end, kind, place in _started(text, starts[rows], ends[rows]):
            word = text[start:end]
            written.append(word)
            forms.append(word if kind == "name" else word.lower())
            found_kinds.append(kind)
            of_word.append(category[rows[place]])
            of_response.append(number)
    return Words(
        written, forms, found_kinds,
        np.asarray(of_response, np.int64), np.asarray(of_word, np.int64),
    )  # fmt: skip


def _started(
    text: str, starts: npt.NDArray[Any], ends: npt.NDArray[Any]
) -> list[tuple[int, int, str, int]]:
    """Per word its span, its kind and the place of the token that writes its first character."""
    found = []
    for (start, end), kind in zip(kinds.words(text), kinds.kinds_of_words(text), strict=True):
        if not any(character.isalnum() for character in text[start:end]):
            continue
        place = int(np.searchsorted(ends, start, side="right"))
        if place < len(starts) and starts[place] <= start:
            found.append((start, end, kind, place))
    return found


def frequent(words: Words) -> dict[str, list[dict[str, Any]]]:
    """{marginal | shifted: [{word, kind, n, n_all}]}, the words that most often start with such a
    token; in the order of the alphabet where they do so equally often.

    n_all: how often the word stands anywhere. kind: the most frequent among its n; the first in
    the order of KINDS where two are equally frequent.
    """
    everywhere = Counter(words.form)
    found = {}
    for code, name in list(enumerate(CATEGORIES))[1:]:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for place in np.flatnonzero(words.category == code):
            counts[words.form[place]][words.kind[place]] += 1
        ordered = sorted(counts, key=lambda form: (-counts[form].total(), form))[:FREQUENT]
        found[name] = [
            {
                "word": form,
                "kind": max(kinds.KINDS, key=lambda kind: counts[form][kind]),
                "n": counts[form].total(),
                "n_all": everywhere[form],
            }
            for form in ordered
        ]
    return found
