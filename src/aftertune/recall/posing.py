"""How a fact is asked: a few other facts as examples, then its question (pure).

Base checkpoints have no chat template and need examples to see that a short answer is wanted; all
models are asked with the same text, so that a difference is one of the models. Each draw has its
own order of all facts; a fact's examples are the first in it that are not the fact itself and do
not have its answer. Draws 0 to n - 1 classify, draws n to 2n - 1 compare.
"""

import random
from collections.abc import Sequence
from itertools import islice

from aftertune.recall.facts import Fact
from aftertune.recall.match import words

Order = Sequence[tuple[Fact, Sequence[str]]]

TOO_LONG = "the answer has too many words to be said by heart"
OF_CHOICES = "the question speaks of choices"


def why_not_said(fact: Fact, max_words: int) -> str | None:
    """Why a greedy answer to this fact would say nothing; None where it can be asked for."""
    if len(fact.answer.split()) > max_words:
        return TOO_LONG
    lower = fact.question.lower()
    if "following" in lower or "___" in lower or lower.startswith("statement 1"):
        return OF_CHOICES
    return None


def ordered(pool: Sequence[Fact], draw: int, seed: int) -> Order:
    """The facts of `pool` in the order of a draw, each with its answer's form."""
    order = list(pool)
    random.Random(f"examples {seed} {draw}").shuffle(order)
    return [(one, words(one.answer)) for one in order]


def examples(fact: Fact, order: Order, shots: int) -> list[Fact]:
    """The `shots` examples of `fact`; fewer where `order` has no more with other answers."""
    own = [words(one) for one in fact.right]
    others = (one for one, form in order if one.id != fact.id and form not in own)
    return list(islice(others, shots))


def text(fact: Fact, shown: Sequence[Fact]) -> str:
    """The whole prompt; no space at its end, the answer brings its own.

    >>> text(Fact("b", 1, "Two?", "2"), [Fact("a", 0, "One?", "1")])
    'Question: One?\\nAnswer: 1\\n\\nQuestion: Two?\\nAnswer:'
    """
    before = [f"{asking(one)} {one.answer}" for one in shown]
    return "\n\n".join([*before, asking(fact)])


def asking(fact: Fact) -> str:
    """The question alone, as every prompt ends."""
    return f"Question: {fact.question}\nAnswer:"
