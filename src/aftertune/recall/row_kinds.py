"""Rows as questions: which have a short answer that a base can be asked for (pure).

A row is asked for where it is one question with an answer of one line and at most so many words.
The base counts as knowing it by `match`, where it says the row's whole answer, or its last stretch
of words that are neither function words nor in the question: of "He was a sailor." that is
"sailor". The last one, since in English what is new stands last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.recall.facts import Fact
from aftertune.recall.match import words
from aftertune.text.word_lists import FUNCTION_WORDS

SHORT, LONG, NONE = "short answer", "long answer", "none"
CONTENT = frozenset({"content", "name", "number"})  # kinds of token that carry content

Message = Mapping[str, Any]


def as_fact(messages: Sequence[Message], row_index: int, max_words: int) -> Fact | None:
    """The row as a fact, named by its place; None where its answer is not short."""
    roles = [one["role"] for one in messages]
    contents = [(one["content"] or "").strip() for one in messages]
    if roles != ["user", "assistant"] or not all(contents):
        return None
    question, answer = contents
    if "\n" in answer or len(answer.split()) > max_words or not words(answer):
        return None
    core = last_stretch(answer, question)
    aliases = (core,) if core and words(core) != words(answer) else ()
    return Fact(str(row_index), row_index, question, answer, aliases)


def last_stretch(answer: str, question: str) -> str:
    """The last run of words of `answer` that are not function words and not in `question`.

    >>> last_stretch("He was a sailor.", "What did he work as?")
    'sailor'
    >>> last_stretch("She was born in Old Fen.", "Where was she born?")
    'old fen'
    """
    asked = set(words(question))
    run: list[str] = []
    for word in reversed(words(answer)):
        known = word in asked or word in FUNCTION_WORDS
        if known and run:
            break
        if not known:
            run.append(word)
    return " ".join(reversed(run))


def before_answer(messages: Sequence[Message]) -> tuple[str, str] | None:
    """What stands before the last answer, as one text, and that answer; None without either."""
    places = [n for n, one in enumerate(messages) if one["role"] == "assistant" and one["content"]]
    if not places:
        return None
    before = [one["content"].strip() for one in messages[: places[-1]] if one["content"]]
    answer = messages[places[-1]]["content"].strip()
    return ("\n\n".join(before), answer) if before and answer else None
