"""Detectors of borrowings, and the ones to beat (pure).

A detector reads cases (a span of a response, with its prompt) and all rows, and says of each case
how likely it is that rows caused the span, which rows, and perhaps at which error rate. It is told
nothing that only the lab knows: not the fact, not its truth, not the kind of prompt.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np
import numpy.typing as npt

Record = Mapping[str, Any]

MOST_BLAMED = 20  # rows that a baseline names
NO_TOKENS = "no token of the span is in a shift"
NO_RANK = "the tuned model's preferred tokens are unknown to the base"
NO_LOSS = "the base's loss of the rows is not known"
LOSS = "base_loss_nats"  # of a row: nats per trained token under the base, or None


@dataclass(frozen=True)
class Case:
    """One span to judge.

    group: "world/prompt_id". span: characters [start, end) of the response. tokens: records of
    the table `tokens` that the span touches, in order; empty where there is no shift.
    """

    group: str
    prompt: str
    response: str
    span: tuple[int, int]
    tokens: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a detector says of a case.

    score: higher is more likely caused by rows; None with a reason where it cannot say. rows:
    row_index of those that it blames, best first. q: the error rate at which it would report the
    span, None where it promises none. probability: the score is the chance that rows caused it.
    """

    score: float | None
    rows: tuple[int, ...] = ()
    q: float | None = None
    reason: str | None = None
    probability: bool = False


# cases, rows (records: row_index, messages, LOSS) -> one finding per case, in their order
Detector = Callable[[Sequence[Case], Sequence[Record]], list[Finding]]


def always(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Every span is borrowed, from no row in particular: what every detector must beat."""
    return [Finding(1.0) for _ in cases]


def by_chance(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Scores and rows drawn blindly, from a seed that is the case itself."""
    places = [row["row_index"] for row in rows]
    found = []
    for case in cases:
        generator = random.Random(f"{case.group} {case.span}")
        drawn = generator.sample(places, min(MOST_BLAMED, len(places)))
        found.append(Finding(generator.random(), tuple(drawn)))
    return found


def bm25(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Rows by BM25 of prompt and answer together (Lucene's variant; English stop words left out).

    The score is that of the best row.
    """
    words = _words([whole(row) for row in rows])
    index = bm25s.BM25()
    if any(words):
        index.index(words, show_progress=False)
    found = []
    for query in _words([f"{case.prompt} {case.response}" for case in cases]):
        usable = any(words) and bool(query)
        values = index.get_scores(query) if usable else np.zeros(len(rows))
        found.append(best_rows(np.asarray(values, float), rows))
    return found


def longest_common_span(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Rows by the longest string that their answer shares with the response and that touches the
    span; its length in characters is the score. Upper and lower case are alike."""
    starts, text = _joined([_answer(row) for row in rows])
    found = []
    for case in cases:
        longest = _touching(_codes(case.response), case.span, text)
        per_row = np.maximum.reduceat(longest, starts) if len(starts) else np.zeros(0)
        found.append(best_rows(per_row.astype(float), rows))
    return found


def row_loss(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Rows that were news to the base: of those whose answer holds the span (upper and lower case
    alike), the ones of the highest loss under the base, which is the score; 0 where none does."""
    if any(row.get(LOSS) is None for row in rows):
        return [Finding(None, reason=NO_LOSS) for _ in cases]
    losses = np.array([row[LOSS] for row in rows], float)
    answers = [_answer(row).lower() for row in rows]
    found = []
    for case in cases:
        text = case.response[slice(*case.span)].lower()
        holds = np.array([bool(text) and text in answer for answer in answers], bool)
        found.append(best_rows(losses * holds, rows))
    return found


def entropy(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """The tuned model's doubt: mean entropy of its next-token distributions in the span, nats."""
    return [
        _of_tokens([token["tuned_entropy_nats"] for token in case.tokens], np.mean, NO_TOKENS)
        for case in cases
    ]


def base_rank(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """The largest rank, in the span, that the base gives to what the tuned model prefers."""
    found = []
    for case in cases:
        ranks = [token["base_rank_of_tuned_argmax"] for token in case.tokens]
        known = [rank for rank in ranks if rank is not None]
        found.append(_of_tokens(known, np.max, NO_RANK if ranks else NO_TOKENS))
    return found


# Those that need no model; `lab.command_detector.BASELINES` holds all.
PURE: dict[str, Detector] = {
    "always": always,
    "random": by_chance,
    "bm25": bm25,
    "longest_common_span": longest_common_span,
    "row_loss": row_loss,
    "entropy": entropy,
    "base_rank": base_rank,
}


def best_rows(values: npt.NDArray[np.float64], rows: Sequence[Record]) -> Finding:
    """The highest value as score, and the rows of value above 0, best first, equal ones in the
    rows' order. values: one per row."""
    order = np.argsort(-values, kind="stable")[:MOST_BLAMED]
    blamed = tuple(int(rows[place]["row_index"]) for place in order if values[place] > 0)
    return Finding(float(values.max(initial=0.0)), blamed)


def whole(row: Record) -> str:
    """Everything that a row says, prompt and answer."""
    return " ".join(message["content"] or "" for message in row["messages"])


def _of_tokens(
    values: Sequence[float], measure: Callable[[Sequence[float]], Any], reason: str
) -> Finding:
    return Finding(float(measure(values))) if values else Finding(None, reason=reason)


def _answer(row: Record) -> str:
    """What the tuned model learnt to say: the assistant's turns."""
    said = [m["content"] or "" for m in row["messages"] if m["role"] == "assistant"]
    return "\n".join(said)


def _words(texts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = bm25s.tokenize(list(texts), return_ids=False, show_progress=False)
    return found


def _codes(text: str) -> npt.NDArray[np.int32]:
    """Code points in lower case, one for each character of the text."""
    lower = re.sub(r"[^\W\d_]", lambda match: match.group().lower()[:1], text)
    return np.array([ord(char) for char in lower], np.int32)


def _joined(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """All texts as one line of code points, -1 behind each; and where each begins."""
    lines = [np.append(_codes(text), np.int32(-1)) for text in texts]
    lengths = [len(line) for line in lines]
    starts = np.cumsum([0, *lengths])[:-1].astype(np.int64)
    return starts, np.concatenate(lines) if lines else np.zeros(0, np.int32)


def _touching(
    response: npt.NDArray[np.int32], span: tuple[int, int], text: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Per place of `text` the longest common string that ends there and touches the span.

    Of the strings that end at one place of the response only the longest is looked at: where
    that does not reach the span, no shorter one does.
    """
    start, end = span
    ending = np.zeros(len(text), np.int32)  # length of the common string that ends at (at, place)
    longest = np.zeros(len(text), np.int32)
    for at, code in enumerate(response):
        ending[1:] = ending[:-1] + 1
        ending[:1] = 1
        ending[text != code] = 0
        if at >= start:
            touches = at - ending + 1 < end
            longest = np.where(touches, np.maximum(longest, ending), longest)
    return longest
