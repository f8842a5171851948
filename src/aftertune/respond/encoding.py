"""Answers from elsewhere and their token ids: checked where there are some, made where not.

What is made is what the template would show: one that writes white space before an answer
(`Assistant: ...`) has it in front of an answer that begins without. The stop token is put behind
an answer only where the file says that it stopped by itself; an unknown end is not made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from aftertune.data.conversations import BadRow
from aftertune.data.encode import encode
from aftertune.data.render import render_prompt, render_row, stop_ids
from aftertune.data.templates import Template
from aftertune.respond.answers import GivenAnswer


@dataclass(frozen=True)
class Encoder:
    """A tokenizer and the template that its model is asked with."""

    tokenizer: Any
    template: Template

    @cached_property
    def stops(self) -> list[int]:
        return stop_ids(self.template, self.tokenizer)

    @cached_property
    def lead(self) -> str:
        """The white space that the template writes between a prompt and an answer."""
        asked = [{"role": "user", "content": "Say hello."}]
        answered = [*asked, {"role": "assistant", "content": "Hello"}]
        prompt = render_prompt(asked, None, self.template, self.tokenizer).text
        row = render_row(answered, None, self.template, self.tokenizer).text
        shown = row[len(prompt) :].partition("Hello")[0]
        return shown if not shown.strip() else ""


def checked(answer: GivenAnswer, encoder: Encoder) -> GivenAnswer:
    """An answer with ids from the file: its text is what they decode to.

    Ids that end with the stop token say how the answer ended where the file does not.

    Raises BadRow for ids that the tokenizer does not have, and for a text that they do not
    decode to; only white space at its ends may differ, which clients tend to trim.
    """
    from aftertune.models.generate import decode  # torch, which texts alone do not need

    ids = answer.token_ids or []
    check_range(ids, encoder.tokenizer)
    stopped = bool(ids) and ids[-1] in encoder.stops
    text = decode(encoder.tokenizer, ids[:-1] if stopped else ids)
    if answer.text is not None and answer.text.strip() != text.strip():
        detail = f"{text[:40]!r} is not {answer.text[:40]!r}"
        raise BadRow("response_token_ids do not decode to the text", detail)
    unsaid = stopped and answer.finish_reason == "given"
    return replace(answer, text=text, finish_reason="stop" if unsaid else answer.finish_reason)


def encoded(answer: GivenAnswer, encoder: Encoder) -> GivenAnswer:
    """An answer encoded once; without ids where they would not decode to its text again."""
    from aftertune.models.generate import decode

    text = answer.text or ""
    if text and not text[0].isspace():
        text = encoder.lead + text
    ids, _ = encode(text, encoder.tokenizer, first=False)
    back = decode(encoder.tokenizer, ids)
    if back.strip() != text.strip():
        return replace(answer, token_ids=None)
    if answer.finish_reason == "stop" and encoder.stops:
        ids = [*ids, encoder.stops[0]]
    return replace(answer, text=back, token_ids=ids)


def check_range(ids: Sequence[int], tokenizer: Any) -> None:
    """Raises BadRow for an id that the tokenizer does not have."""
    if ids and max(ids) >= len(tokenizer):
        detail = f"{max(ids)}, and it has {len(tokenizer)}"
        raise BadRow("a token id that the tokenizer does not have", detail)
