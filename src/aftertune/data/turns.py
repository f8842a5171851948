"""Where the answers of a conversation stand in its text, and which token ends them.

Found by rendering: the conversation before an answer with its generation prompt, and the
conversation up to and with the answer. Generation markers are not needed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2

from aftertune.data.chat import answer_turns
from aftertune.data.encode import any_of, facts_of
from aftertune.data.templates import Template
from aftertune.errors import TemplateError


@dataclass(frozen=True)
class Stretch:
    """A part of a text that is tokenised by itself: an answer, or what stands between answers."""

    text: str
    answer: int | None = None  # index of the message whose answer it is


def text_of(
    template: Template,
    tokenizer: Any,
    chat: Sequence[Mapping[str, Any]],
    definitions: list[Any] | None,
    generation_prompt: bool,
) -> str:
    """The text of a conversation; TemplateError, with the template's reason, where it refuses."""
    try:
        return str(
            tokenizer.apply_chat_template(
                list(chat),
                tools=definitions,
                chat_template=template.source,
                add_generation_prompt=generation_prompt,
                tokenize=False,
            )
        )
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
        roles = ", ".join(str(message["role"]) for message in chat)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TemplateError(
            f"the template {template.name} cannot render a conversation of {roles}: "
            f"{reason.rstrip('.')}; use another template or leave such rows out."
        ) from error


def context(
    template: Template,
    tokenizer: Any,
    chat: Sequence[Mapping[str, Any]],
    definitions: list[Any] | None,
    text: str,
) -> list[Stretch]:
    """`text`, the prompt behind `chat`, cut at those answers that it shows as they were given.

    An answer that the template rewrites once other turns follow it is in no stretch of its own.
    """
    stretches: list[Stretch] = []
    at = 0
    for turn in answer_turns(chat):
        before = text_of(template, tokenizer, chat[:turn], definitions, generation_prompt=True)
        upto = text_of(template, tokenizer, chat[: turn + 1], definitions, generation_prompt=False)
        if not (text.startswith(before) and upto.startswith(before) and len(before) >= at):
            continue
        start = len(before)
        if text.startswith(upto):
            end = start + answer_length(upto[start:], chat[turn], template, tokenizer)
        else:
            shared = shared_length(upto, text)
            length = _unfinished_length(
                text[start:], shared - start, chat[turn], template, tokenizer
            )
            if length is None:
                continue
            end = start + length
        stretches += [Stretch(text[at:start]), Stretch(text[start:end], turn)]
        at = end
    return [*stretches, Stretch(text[at:])]


def answer_length(text: str, message: Mapping[str, Any], template: Template, tokenizer: Any) -> int:
    """How much of `text`, which begins with an answer, is the answer with its stop token.

    All of it where no stop token is found.
    """
    body = text.rstrip()
    ends = _ends_pattern(template, tokenizer)
    if not message.get("tool_calls"):
        content = str(message["content"]).strip()
        if found := ends.search(text, text.find(content) + len(content) if content in text else 0):
            return found.end()
    return len(body) if facts_of(tokenizer).ends_with_token.search(body) else len(text)


def _unfinished_length(
    text: str, shared: int, message: Mapping[str, Any], template: Template, tokenizer: Any
) -> int | None:
    """The same where only what follows the answer differs once other turns follow it.

    Some templates end a whole conversation with one more token, or with another one than a turn.
    None where the first `shared` characters, which did not change, do not hold the answer.
    """
    content = str(message["content"]).strip()
    place = text.find(content, 0, shared)
    if place < 0 or not content or message.get("tool_calls"):
        return None
    found = _ends_pattern(template, tokenizer).search(text, place + len(content))
    if not found or text[place + len(content) : found.start()].strip():
        return None
    return found.end()


def turn_ends(template: Template, tokenizer: Any) -> tuple[str, ...]:
    """The tokens with which `template` ends an answer, as examples show; empty if it has none."""
    return _turn_ends(template, tokenizer, len(tokenizer), tokenizer.eos_token)


@lru_cache(maxsize=8)
def _turn_ends(template: Template, tokenizer: Any, size: int, eos: str | None) -> tuple[str, ...]:
    ends = _ends_of_words(template, tokenizer)
    if template.kind != "builtin":
        ends.append(_end_of_call(template, tokenizer))
    return tuple(dict.fromkeys(end for end in ends if end))


def _ends_of_words(template: Template, tokenizer: Any) -> list[str | None]:
    """The tokens behind an answer in words, at the end of a conversation and before more turns."""
    said = "Hello there"
    turn = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": said}]
    last = text_of(template, tokenizer, turn, None, generation_prompt=False)
    try:
        more = text_of(template, tokenizer, [*turn, *turn], None, generation_prompt=False)
    except TemplateError:  # a template for a single turn
        more = last
    shared = last[: shared_length(last, more)]
    if said in shared and facts_of(tokenizer).ends_with_token.search(shared.rstrip()):
        texts = [shared]  # what follows, if anything, ends the conversation and not the answer
    elif shared == last:
        texts = [last]
    else:  # an answer that others follow is written otherwise
        texts = [last, more]
    behind = [text.partition(said)[2] for text in texts]
    return [_end_token(text, tokenizer, whole=len(texts) == 1) for text in behind]


def _end_of_call(template: Template, tokenizer: Any) -> str | None:
    """The special token that ends an answer which calls a tool, if the template knows tools."""
    call = {"id": "0" * 9, "type": "function", "function": {"name": "look", "arguments": {}}}
    turn: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    try:
        text = text_of(template, tokenizer, turn, None, generation_prompt=False)
    except TemplateError:
        return None
    end = _end_token(text, tokenizer, whole=True)
    return end if end and facts_of(tokenizer).special.search(end) else None


def _end_token(text: str, tokenizer: Any, whole: bool) -> str | None:
    """The token at the end of `text`, or, where `text` goes on behind it, at its beginning."""
    facts = facts_of(tokenizer)
    text = text.strip()
    found = facts.ends_with_token.search(text) if whole else facts.token.match(text)
    return found[0] if found else None


def _ends_pattern(template: Template, tokenizer: Any) -> re.Pattern[str]:
    return re.compile(any_of(set(turn_ends(template, tokenizer))))


def ends_turn(text: str, tokenizer: Any) -> bool:
    """Whether an answer's text ends with a token that can stop generation."""
    return bool(facts_of(tokenizer).ends_with_token.search(text))


def shared_length(one: str, other: str) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
