"""Log-probabilities of several answers to each of many questions, the prompt computed once.

What a model does with a mask that it did not make depends on its architecture, so `choose_way`
scores two questions plainly and takes the first way that gives the same values: prompt and answers
in one sequence under a tree mask, else the prompt once with a key-value cache, else plain. The
ways stand in `answer_ways.py`.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from aftertune.errors import InputError
from aftertune.models import answer_ways
from aftertune.models.answer_ways import AnswerScore, Question, Scorer, Scores
from aftertune.models.load import Loaded
from aftertune.models.score import Head
from aftertune.progress import Progress

__all__ = ["AnswerScore", "Question", "Way", "choose_way", "score_answers"]

WayName = Literal["tree", "cache", "plain"]
_WAYS: dict[WayName, Scorer] = {
    "tree": answer_ways.tree, "cache": answer_ways.cached, "plain": answer_ways.plain
}  # fmt: skip
_HOW = {"tree": "a tree mask", "cache": "a key-value cache"}
# How far a way may be from plain scoring on average, in nats per token: the rounding of the dtype.
# In 16 bits another batch alone moves an unlikely token by up to some tenths of a nat.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.25}
# Kinds of layer for which a mask says all there is to say about who sees whom.
_MASKED_LAYERS = {"full_attention", "sliding_attention"}
_NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class Way:
    """How answers are scored. `reason` says why not a faster way (None for the tree), `gap_nats`
    how far this way was from plain scoring, on average, per token of the questions checked."""

    name: WayName
    reason: str | None
    gap_nats: float | None

    def as_json(self) -> dict[str, Any]:
        """For a manifest: the three, and the sentence."""
        return {**asdict(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """For a report: which way, and why."""
        if self.name == "plain":
            text = "each answer was scored behind its own copy of the prompt"
        else:
            text = f"each prompt was computed once for all its answers, by {_HOW[self.name]}"
        if self.gap_nats is not None:
            text += f" (on average {self.gap_nats:.1g} nats per token from scoring each alone)"
        return text + (f", because {self.reason}" if self.reason else "")


def score_answers(
    loaded: Loaded,
    questions: Sequence[Question],
    *,
    max_tokens: int,
    progress: Progress,
    way: Way | None = None,
) -> list[list[AnswerScore]]:
    """Score every answer of every question: one list per question, in the order of its answers.

    max_tokens: of one batch, padding and shared beginnings included; a prompt with one answer that
    is longer stands alone. way: from `choose_way`; without one it is chosen here, and said.
    Raises InputError for an empty prompt or answer, and for one that does not fit the context.
    """
    _check(loaded, questions)
    longest = max((question.length for question in questions), default=0)
    if way is None or (way.name == "tree" and _refusal(loaded, longest)):
        way = choose_way(loaded, questions)  # also where these are longer than those it was made on
        progress.say(f"{loaded.ref.spec}: {way.sentence()}.")
    head = Head.of(loaded.model)
    found: Scores = {}
    total = sum(len(question.answers) for question in questions)
    with progress.task("scoring answers", total) as task, torch.no_grad():
        for scores in _WAYS[way.name](loaded, head, questions, max_tokens):
            found |= scores
            task.advance(len(scores))
    return [[found[i, k] for k in range(len(q.answers))] for i, q in enumerate(questions)]


def choose_way(loaded: Loaded, questions: Sequence[Question]) -> Way:
    """The fastest way that agrees with plain scoring on the first and the longest question.

    Raises InputError as `score_answers` does.
    """
    _check(loaded, questions)
    checked = _to_check(questions)
    if not checked:
        return Way("plain", "there is nothing to score", None)
    head, reasons = Head.of(loaded.model), list[str]()
    ways: dict[WayName, Scorer] = {
        "tree": answer_ways.tree_both_ways, "cache": answer_ways.cached
    }  # fmt: skip
    if refused := _refusal(loaded, max(question.length for question in questions)):
        reasons.append(refused)
        ways.pop("tree")
    with torch.no_grad():
        wanted = _collected(answer_ways.plain(loaded, head, checked, _NO_LIMIT))
        for name, scorer in ways.items():
            gap = _gap(loaded, head, checked, scorer, wanted)
            if isinstance(gap, float) and gap <= _TOLERANCE[loaded.dtype]:
                return Way(name, "; ".join(reasons) or None, gap)
            off = gap if isinstance(gap, str) else f"it was {gap:.2g} nats per token off"
            reasons.append(f"by {_HOW[name]} {off}")
    return Way("plain", "; ".join(reasons), None)


def _check(loaded: Loaded, questions: Sequence[Question]) -> None:
    context = loaded.facts["context_length"]
    for number, question in enumerate(questions, 1):
        if not question.prompt_ids:
            raise InputError(
                f"question {number} has no prompt tokens, and nothing predicts the first token of "
                "an answer; begin the prompt with a token."
            )
        if not all(question.answers):
            raise InputError(
                f"question {number} has an answer without tokens, which has no probability; give "
                "every answer a text."
            )
        if context is not None and question.length > context:
            raise InputError(
                f"question {number} needs {question.length:,} tokens and {loaded.ref.spec} reads "
                f"{context:,}; leave it out, or use fewer examples before it."
            )


def _to_check(questions: Sequence[Question]) -> list[Question]:
    """The first and the longest question, which may be one. An only answer stands twice, so that
    one which sees its neighbour is found out."""
    asked = [question for question in questions if question.answers]
    if not asked:
        return []
    chosen = [asked[0], max(asked, key=lambda question: question.length)]
    return [
        one if len(one.answers) > 1 else Question(one.prompt_ids, one.answers * 2) for one in chosen
    ]


def _refusal(loaded: Loaded, longest: int) -> str | None:
    """Why a mask of ours cannot say all about who sees whom in this model; None if it can.

    The check in 16 bits is too coarse to find all of this, so it is asked of the config.
    """
    plain = loaded.plain
    config, name = plain.config.get_text_config(), type(plain).__name__
    attention = getattr(config, "_attn_implementation", None)
    if attention not in ("sdpa", "eager"):
        return f"{attention} attention takes no mask from outside"
    kinds = set(getattr(config, "layer_types", None) or ())
    if getattr(plain, "_is_stateful", False) or not kinds <= _MASKED_LAYERS:
        return f"{name} has layers that are not attention over all tokens"
    # without position ids, or with a bias by distance, an answer's place in the row would count
    takes = inspect.signature(plain.get_decoder().forward).parameters
    if "position_ids" not in takes or getattr(config, "alibi", False):
        return f"{name} takes positions from the place in the sequence"
    size = answer_ways.window(config)
    if size is not None and longest > size:
        return f"a question of {longest:,} tokens is longer than the model's window of {size:,}"
    return None


def _gap(
    loaded: Loaded, head: Head, questions: Sequence[Question], scorer: Scorer, wanted: Scores
) -> float | str:
    """How far from `wanted` in nats per token, as the mean over answers; or what went wrong."""
    try:
        found = _collected(scorer(loaded, head, questions, _NO_LIMIT))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever an architecture says to a mask or cache it refuses
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"{type(loaded.plain).__name__} failed ({lines[0].rstrip('.:')[:120]})"
    gaps = [
        abs(found[place].logprob_nats - score.logprob_nats) / score.n_tokens
        for place, score in wanted.items()
    ]
    return sum(gaps) / len(gaps)


def _collected(batches: Iterable[Scores]) -> Scores:
    return {place: score for scores in batches for place, score in scores.items()}
