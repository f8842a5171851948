"""Which rows may do harm, before any tuning (pure).

A row whose answer the base would not have given teaches something new; where many prompts are near
its own, there is much that it may spill over to. So

    risk = novelty x ln(1 + density)

novelty: the base's loss per token of the answer's telling words, nats; density: rows of other
clusters of near duplicates whose prompts are near (TF-IDF, cosine of 0.3 or more), which is that
they share rare words. Telling words are those that say something of their own: no function or style
words, none that the row's prompt says, and none that more than 2% of the rows' answers say.

In made worlds where tuning again without a row says what it caused, this ranks rows hardly better
than chance and no better than novelty alone (bench/results/risk.json). It is a list to read, not a
measurement of harm.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from aftertune.controls.match import tfidf
from aftertune.controls.search import folded_words
from aftertune.text.kinds import words
from aftertune.text.word_lists import FUNCTION_WORDS, STYLE_WORDS
from aftertune.trace.families import NEAR
from aftertune.trace.reading import RARE, RARE_ROWS

NOTHING_TELLING = "no word of its answer says anything of its own"
NOTHING_SCORED = "no telling word stands within the length limit"
_CELLS = 2**23  # similarities held at once

Ints = npt.NDArray[np.int64]
Span = tuple[int, int]


@dataclass(frozen=True)
class Risk:
    """Of one row. novelty_nats: per token; None, and risk too, with a reason. reason: in words."""

    novelty_nats: float | None
    density: int
    risk: float | None
    reason: str


def telling(prompts: Sequence[str], answers: Sequence[str]) -> list[frozenset[str]]:
    """Of each answer its telling words, folded.

    prompts, answers: of all rows, in one order: what is rare is rare among them.
    """
    said = [set(folded_words(text)) for text in answers]
    held_by = Counter(word for one in said for word in one)
    most = max(RARE_ROWS, RARE * len(answers))
    return [
        frozenset(
            word
            for word in one - set(folded_words(prompt)) - FUNCTION_WORDS - STYLE_WORDS
            if held_by[word] <= most
        )
        for prompt, one in zip(prompts, said, strict=True)
    ]


def telling_tokens(
    text: str, offsets: Sequence[Span], trained: Sequence[bool], tells: frozenset[str]
) -> list[bool]:
    """Of each token of a rendered row whether it is trained and part of a telling word.

    offsets: characters [start, end) of `text` that each token covers.
    """
    inside = np.zeros(len(text) + 1, bool)
    for start, end in words(text):
        inside[start:end] = not tells.isdisjoint(folded_words(text[start:end]))
    return [
        kept and bool(inside[start:end].any())
        for (start, end), kept in zip(offsets, trained, strict=True)
    ]


def density(prompts: Sequence[str], clusters: Sequence[Hashable]) -> Ints:
    """[n]: of how many other clusters a row's prompt is near.

    clusters [n]: near duplicates share one, and count once.
    """
    number = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    of = np.asarray([number[name] for name in clusters], np.int64)
    vectors = tfidf([_content(prompt) for prompt in prompts])
    turned = vectors.T.tocsr()
    found = np.zeros(len(prompts), np.int64)
    step = max(1, _CELLS // max(1, len(prompts)))
    for start in range(0, len(prompts), step):
        near = sparse.coo_array(vectors[start : start + step] @ turned)
        row, other = near.coords
        kept = (near.data >= NEAR) & (of[row + start] != of[other])
        pairs = np.unique(np.stack([row[kept], of[other[kept]]]), axis=1)
        found[start : start + step] = np.bincount(pairs[0], minlength=near.shape[0])
    return found


def _content(text: str) -> list[str]:
    return [word for word in folded_words(text) if word not in FUNCTION_WORDS]


def risks(
    losses: Sequence[Sequence[float]], tells: Sequence[frozenset[str]], near: Ints
) -> list[Risk]:
    """Of each row, in their order.

    losses: the base's loss of each token of the row's telling words, nats. tells: these words, as
    `telling` gives them; near: as `density` gives it.
    """
    found = []
    for values, its, n_near in zip(losses, tells, near.tolist(), strict=True):
        if not len(values):
            found.append(Risk(None, n_near, None, NOTHING_SCORED if its else NOTHING_TELLING))
            continue
        novelty = float(np.mean(values))
        said = f"{novelty:.2f} nats a token of {len(its):,} telling words, {n_near:,} prompts near"
        found.append(Risk(novelty, n_near, novelty * float(np.log1p(n_near)), said))
    return found
