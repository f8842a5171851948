"""One record of a file of answers -> its prompt and its answers. Pure.

| part | fields, the first that is there |
|---|---|
| prompt | instruction (and input), messages, prompt, question, query |
| answer | response, output, completion, generation, text, outputs; or the last message |
| token ids | prompt_token_ids; response_token_ids, in an entry of outputs also token_ids |
| end | finish_reason, stop_reason |

An answer is text, an object with generated_text or text (and its own token ids and end), or a
list of these: one sample each. Where a record has an instruction and a rendered prompt, the
instruction is the prompt, and the rendered text becomes a tag like every other field.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from aftertune.data.config import Format
from aftertune.data.conversations import BadRow, as_list, as_text, kind_of
from aftertune.data.formats import Item, parse_prompt

FinishReason = Literal["stop", "length", "given"]

_ANSWERS = ("response", "output", "completion", "generation", "text", "outputs")
_TEXTS = ("generated_text", "text", "response", "output", "completion", "generation")
_CONVERSATIONS = ("messages", "conversations", "conversation")
_ENDS = ("finish_reason", "stop_reason")
_STOPPED = frozenset({"stop", "eos", "eos_token", "end_turn"})
_CUT = frozenset({"length", "max_tokens", "max_length"})


@dataclass(frozen=True)
class GivenAnswer:
    """An answer as a file has it; `text` is None where only its ids are given."""

    text: str | None
    token_ids: list[int] | None = None
    finish_reason: FinishReason = "given"


@dataclass(frozen=True)
class Record:
    """A prompt, how the file encoded it, and the answers to it in the file's order."""

    item: Item
    prompt_token_ids: list[int] | None
    answers: list[GivenAnswer]


def read(value: object, format: Format = "auto") -> Record:
    """The record in one JSON value; `format` says how the prompt is spelt (data/config.py).

    Raises BadRow with the reason for which the record must be set aside.
    """
    if not isinstance(value, dict):
        raise BadRow("not an object", f"it is {kind_of(value)}")
    left = {str(name): held for name, held in value.items() if held is not None}
    prompt_ids = _token_ids(left.pop("prompt_token_ids", None), "prompt_token_ids")
    response_ids = left.pop("response_token_ids", None)
    end = next((left.pop(name) for name in _ENDS if name in left), None)
    said = _pop_answer(left, response_ids is not None)
    answers = [_answer(one) for one in said] if said is not None else [GivenAnswer(None)]
    answers = _with_ids(answers, response_ids)
    if len(answers) == 1 and answers[0].finish_reason == "given":
        answers = [replace(answers[0], finish_reason=_finish_reason(end))]
    return Record(_prompt(left, format), prompt_ids, answers)


def _prompt(left: dict[str, Any], format: Format) -> Item:
    items = parse_prompt(left, _spelling(left) if format == "auto" else format)
    if len(items) != 1:
        raise BadRow("several prompts in one record", f"it holds {len(items)}")
    return items[0]


def _spelling(left: dict[str, Any]) -> Format:
    if "instruction" not in left and not left.keys().isdisjoint(_CONVERSATIONS):
        return "messages"
    if left.keys().isdisjoint({"instruction", "prompt", "question", "query"}):
        raise BadRow("no instruction, prompt or messages", f"fields: {', '.join(left) or 'none'}")
    return "prompt"


def _pop_answer(left: dict[str, Any], has_ids: bool) -> list[Any] | None:
    """The answers, taken out of the record; None where only token ids tell what was answered."""
    for name in _ANSWERS:
        if name in left:
            said = left.pop(name)
            if said == []:
                raise BadRow("no answer", f"`{name}` is empty")
            return said if isinstance(said, list) else [said]
    for name in _CONVERSATIONS:
        messages = left.get(name)
        last = messages[-1] if isinstance(messages, list) and messages else None
        if isinstance(last, dict) and last.get("role", last.get("from")) in ("assistant", "gpt"):
            left[name] = left[name][:-1]
            return [last.get("content", last.get("value"))]
    if has_ids:
        return None
    raise BadRow("no answer", f"none of the fields {', '.join(_ANSWERS)}")


def _answer(said: object) -> GivenAnswer:
    if isinstance(said, str):
        return GivenAnswer(said)
    if not isinstance(said, dict):
        raise BadRow("an answer is not text", f"it is {kind_of(said)}")
    text = next((said[name] for name in _TEXTS if said.get(name) is not None), None)
    ids = said.get("response_token_ids", said.get("token_ids"))
    if text is None and ids is None:
        raise BadRow("no answer", f"none of the fields {', '.join(_TEXTS)}")
    end = next((said[name] for name in _ENDS if said.get(name) is not None), None)
    return GivenAnswer(
        None if text is None else as_text(text, "an answer"),
        _token_ids(ids, "token_ids"),
        _finish_reason(end),
    )


def _with_ids(answers: list[GivenAnswer], ids: object) -> list[GivenAnswer]:
    """The record's own `response_token_ids`: one list, or one for each of several answers."""
    if ids is None:
        return answers
    several = as_list(ids, "response_token_ids")
    if len(answers) == 1 and not (several and isinstance(several[0], list)):
        several = [several]
    if len(several) != len(answers):
        counts = f"{len(several)} lists for {len(answers)} answers"
        raise BadRow("`response_token_ids` does not match the answers", counts)
    return [
        replace(answer, token_ids=_token_ids(one, "response_token_ids"))
        for answer, one in zip(answers, several, strict=True)
    ]


def _token_ids(value: object, field: str) -> list[int] | None:
    if value is None:
        return None
    ids = as_list(value, field)
    if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 2**31 for i in ids):
        raise BadRow(f"`{field}` is not a list of token ids")
    return ids


def _finish_reason(end: object) -> FinishReason:
    said = end.lower() if isinstance(end, str) else None
    return "stop" if said in _STOPPED else "length" if said in _CUT else "given"
