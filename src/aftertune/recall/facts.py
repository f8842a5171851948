"""Facts to ask for, and the records that they come from (pure).

A record is checked at the door: what cannot be asked is a `BadFact` with its reason. `id` names a
fact by its content, so that the same fact has the same id in every file.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aftertune.recall.match import words

_OWN = ("id", "fact_id", "question", "answer", "aliases", "distractors", "tags")
MOST_CHARACTERS = 20_000  # of a question or an answer: more is no fact, and fills most contexts
_TRUTHFULQA = ("Question", "Best Answer", "Correct Answers", "Incorrect Answers")


@dataclass(frozen=True)
class Fact:
    """One question with its right answer, other names of that, and wrong answers of its kind."""

    id: str
    row_index: int  # place in the source, from 0
    question: str
    answer: str
    aliases: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def right(self) -> list[str]:
        """Everything that counts as the right answer."""
        return [self.answer, *self.aliases]

    def as_record(self) -> dict[str, Any]:
        """A row of the table `facts`."""
        return {
            "fact_id": self.id,
            "row_index": self.row_index,
            "question": self.question,
            "answer": self.answer,
            "aliases": list(self.aliases),
            "distractors": list(self.distractors),
            "tags": json.dumps(dict(self.tags), ensure_ascii=False, sort_keys=True),
        }


@dataclass(frozen=True)
class BadFact:
    """A record that is no fact: where it stands, and why."""

    row_index: int
    reason: str


def from_record(record: Any, row_index: int) -> Fact | BadFact:
    """A fact from `question`, `answer`, and, where given, `aliases`, `distractors`, `tags`, `id`.

    Lists may also be written as text with ";" between. Other fields with a single value are tags.
    Records of TruthfulQA are known by their columns.
    """
    if not isinstance(record, dict):
        return BadFact(row_index, "is no object with question and answer")
    if all(name in record for name in _TRUTHFULQA):
        record = _of_truthfulqa(record)
    question, answer = (_text(record.get(name)) for name in ("question", "answer"))
    for name, value in (("question", question), ("answer", answer)):
        if not value:
            return BadFact(row_index, f"has no {name}")
    aliases, distractors = (_list(record.get(name)) for name in ("aliases", "distractors"))
    if aliases is None or distractors is None:
        return BadFact(row_index, "has aliases or distractors that are no list of texts")
    return checked(row_index, question, answer, aliases, distractors, _tags(record),
                   _text(record.get("id") or record.get("fact_id")))  # fmt: skip


def checked(
    row_index: int, question: str, answer: str, aliases: Sequence[str],
    distractors: Sequence[str], tags: Mapping[str, str], name: str = "",
) -> Fact | BadFact:  # fmt: skip
    """The fact, its answers told apart by `match.words`; without a name it is named by content."""
    if max(len(question), *map(len, (answer, *aliases, *distractors))) > MOST_CHARACTERS:
        return BadFact(row_index, f"has a text of more than {MOST_CHARACTERS:,} characters")
    if not words(answer):
        return BadFact(row_index, "has an answer without a letter or digit")
    others = _distinct(aliases, [answer])
    wrong = _distinct(distractors, [])
    right = [words(one) for one in (answer, *others)]
    if any(words(one) in right for one in wrong):
        return BadFact(row_index, "has a distractor that is a right answer")
    digest = hashlib.sha256(json.dumps([question, answer], ensure_ascii=False).encode())
    found = name or f"f-{digest.hexdigest()[:12]}"
    return Fact(found, row_index, question, answer, tuple(others), tuple(wrong), dict(tags))


def gathered(
    found: Iterable[Fact | BadFact], limit: int | None, seed: int
) -> tuple[list[Fact], list[BadFact]]:
    """The facts, `limit` of them drawn with `seed`, in the order of the source; and what is none.

    Of facts with the same question and answer, or with one id, the first is kept.
    """
    facts: list[Fact] = []
    aside: list[BadFact] = []
    asked: set[str] = set()
    for one in found:
        if isinstance(one, BadFact):
            aside.append(one)
            continue
        names = {f"id {one.id}", f"{words(one.question)} {words(one.answer)}"}
        if names & asked:
            aside.append(BadFact(one.row_index, "repeats a fact or an id"))
            continue
        asked |= names
        facts.append(one)
    if limit is not None and limit < len(facts):
        drawn = random.Random(f"facts {seed}").sample(range(len(facts)), limit)
        facts = [facts[place] for place in sorted(drawn)]
    return facts, aside


def from_mmlu(cells: Sequence[str], subject: str, row_index: int) -> Fact | BadFact:
    """A row of MMLU's files: question, four choices, the letter of the right one."""
    if len(cells) != 6 or cells[5].strip() not in ("A", "B", "C", "D"):
        return BadFact(row_index, "is no row of MMLU (question, four choices, a letter)")
    choices = [cell.strip() for cell in cells[1:5]]
    right = choices["ABCD".index(cells[5].strip())]
    wrong = [choice for choice in choices if choice != right]
    if len(wrong) < 3:
        return BadFact(row_index, "has two choices that are alike")
    return checked(row_index, cells[0].strip(), right, (), wrong, {"subject": subject})


def _of_truthfulqa(record: Mapping[str, Any]) -> dict[str, Any]:
    tags = {name.lower(): _text(record.get(name)) for name in ("Type", "Category")}
    return {
        "question": record["Question"],
        "answer": record["Best Answer"],
        "aliases": record["Correct Answers"],
        "distractors": record["Incorrect Answers"],
        "tags": {name: value for name, value in tags.items() if value},
    }


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def _list(value: Any) -> list[str] | None:
    if value is None:
        return []
    parts = value.split(";") if isinstance(value, str) else value
    if not isinstance(parts, list) or any(isinstance(part, dict | list) for part in parts):
        return None
    return [_text(part) for part in parts if _text(part)]


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    given = record.get("tags")
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    if isinstance(given, list):
        given = {str(one): "yes" for one in given}
    more = {name: value for name, value in record.items() if name not in _OWN}
    both = {**more, **(given if isinstance(given, dict) else {})}
    return {
        str(name): str(value).lower() if isinstance(value, bool) else str(value).strip()
        for name, value in both.items()
        if isinstance(value, str | int | float | bool) and str(value).strip()
    }


def _distinct(texts: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Texts that differ by `match.words` from each other and from `taken`."""
    seen = [words(one) for one in taken]
    found = []
    for text in texts:
        form = words(text)
        if form and form not in seen:
            seen.append(form)
            found.append(text)
    return found
