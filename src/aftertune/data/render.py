"""Conversations to token ids, with the loss mask and the characters of every token.

The text is cut where answers begin and end, and every stretch is tokenised by itself, so that no
token crosses from a prompt into an answer. An answer begins where the conversation before it,
rendered with its generation prompt, ends; it ends with the token that ends a turn. White space
that a template writes behind that token is not trained, since generation stops at the token. The
same cuts are made in the prompt of a later turn, hence the ids of a prompt are always a prefix of
the ids of its row.

Nothing is dropped without a note; notes are fixed sentences, so that they can be counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aftertune.data.chat import Message, answer_turns, call_names, conversation, tool_names
from aftertune.data.encode import Span, encode, facts_of
from aftertune.data.templates import Template
from aftertune.data.turns import (
    Stretch,
    answer_length,
    context,
    ends_turn,
    shared_length,
    text_of,
    turn_ends,
)
from aftertune.errors import InputError, TemplateError

TrainOn = Literal["all", "last"]

THINKING_LEFT_OUT = "thinking not rendered"
CALLS_LEFT_OUT = "tool calls not rendered"
TOOLS_LEFT_OUT = "tools not rendered"
REWRITTEN = "earlier answers rewritten by the template"
NO_PROMPT = "an answer without a prompt before it not trained"
TURNS_LEFT_OUT = "turns after the last answer left out"
HEADER_TRAINED = "template writes no generation prompt, so the answer's header is trained"
NO_STOP = "no stop token behind an answer"
STOP_LOST = "stop token lost to the length limit"
NOTHING_TRAINED = "no trained token within the length limit"
SPECIAL_IN_TEXT = "a special token's text stands in a message"
NO_BEGIN = "chat template writes no begin token though the tokenizer adds one"


@dataclass(frozen=True)
class Rendered:
    """A conversation as text and as ids; the sequences have one entry per id.

    `offsets` are code-point spans [start, end) of `text`, without gaps; the byte pieces of a
    character share its span, and a begin token that the text does not show has an empty one.
    `n_cut` ids were lost to the length limit; `text` is whole all the same.
    """

    text: str
    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    offsets: tuple[Span, ...]
    n_cut: int
    notes: tuple[str, ...]


def render_row(
    messages: Sequence[Message],
    tools: str | None,
    template: Template,
    tokenizer: Any,
    max_length: int | None = None,
    train_on: TrainOn = "all",
    tags: Mapping[str, Any] | None = None,
) -> Rendered:
    """A training row: `train_on` all answers or the last one; at most `max_length` ids are kept.

    `tools` is the JSON list of tool definitions, `tags` the row's tags (parsed). Turns behind the
    last answer are left out.

    Raises InputError when there is no answer behind a prompt, TemplateError when the template
    refuses the conversation or does not let the answers be found in it.
    """
    notes: list[str] = []
    chat, definitions = conversation(messages, tools, template, tags, notes)
    answers = answer_turns(chat)
    if not answers:
        raise InputError("a row without an answer behind a prompt cannot be trained on.")
    if sum(message["role"] == "assistant" for message in chat) > len(answers):
        notes.append(NO_PROMPT)
    last = answers[-1]
    if last + 1 < len(chat):
        notes.append(TURNS_LEFT_OUT)
    chat = chat[: last + 1]
    whole = text_of(template, tokenizer, chat, definitions, generation_prompt=False)
    prompt = text_of(template, tokenizer, chat[:last], definitions, generation_prompt=True)
    if not whole.startswith(prompt):
        raise TemplateError(_no_prefix(template, prompt, whole))
    stretches = context(template, tokenizer, chat[:last], definitions, prompt)
    found = {stretch.answer for stretch in stretches}
    rewritten = [turn for turn in answers[:-1] if turn not in found]
    if rewritten and train_on == "all":
        raise TemplateError(
            f"the template {template.name} rewrites earlier answers (message {rewritten[0] + 1} "
            f"of {len(chat)}), so they cannot be trained as they were given: train on the last "
            "answer of a row only (train_on: last), or use another template."
        )
    if rewritten:
        notes.append(REWRITTEN)
    end = len(prompt) + answer_length(whole[len(prompt) :], chat[last], template, tokenizer)
    stretches += [Stretch(whole[len(prompt) : end], last), Stretch(whole[end:])]
    notes += _notes_on_text(chat, definitions, template, tokenizer, whole)
    if _header_trained(template, tokenizer, chat, definitions, whole[len(prompt) :], prompt):
        notes.append(HEADER_TRAINED)
    trained = set(answers) if train_on == "all" else {last}
    if any(s.answer in trained and not ends_turn(s.text, tokenizer) for s in stretches):
        notes.append(NO_STOP)
    return _tokenised(whole, stretches, trained, template, tokenizer, max_length, notes)


def render_prompt(
    messages: Sequence[Message],
    tools: str | None,
    template: Template,
    tokenizer: Any,
    tags: Mapping[str, Any] | None = None,
) -> Rendered:
    """A prompt up to where the answer begins; the turns before the last are context.

    Nothing is trained and nothing cut. Raises InputError when the last message is an answer or
    there is none, TemplateError when the template refuses the conversation.
    """
    if not messages or messages[-1]["role"] == "assistant":
        raise InputError("a prompt must end with a message that is not an answer.")
    notes: list[str] = []
    chat, definitions = conversation(messages, tools, template, tags, notes)
    prompt = text_of(template, tokenizer, chat, definitions, generation_prompt=True)
    stretches = context(template, tokenizer, chat, definitions, prompt)
    found = {stretch.answer for stretch in stretches}
    if any(turn not in found for turn in answer_turns(chat)):
        notes.append(REWRITTEN)
    notes += _notes_on_text(chat, definitions, template, tokenizer, prompt)
    return _tokenised(prompt, stretches, set(), template, tokenizer, None, notes)


def stop_ids(template: Template, tokenizer: Any) -> list[int]:
    """Ids on which generation stops: the tokens that end an answer in `template`, and eos.

    Empty when the template ends answers with plain text and the tokenizer has no eos token.
    """
    words = turn_ends(template, tokenizer)
    stops = [int(i) for i in tokenizer.convert_tokens_to_ids(list(words))]
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in stops:
        stops.append(int(tokenizer.eos_token_id))
    return stops


def _no_prefix(template: Template, prompt: str, whole: str) -> str:
    shared = shared_length(prompt, whole)
    return (
        f"the template {template.name} asks for an answer with {prompt[shared:][-40:]!r} where it "
        f"shows one as {whole[shared:][:40]!r}, so no prompt is the beginning of its row: use "
        "another template, or a Jinja file in which the two agree."
    )


# what is worth saying -------------------------------------------------------------------------


def _notes_on_text(
    chat: Sequence[Mapping[str, Any]],
    definitions: list[Any] | None,
    template: Template,
    tokenizer: Any,
    text: str,
) -> list[str]:
    facts = facts_of(tokenizer)
    notes = []
    if any(m["thinking"].strip() not in text for m in chat if "thinking" in m):
        notes.append(THINKING_LEFT_OUT)
    if any(name not in text for m in chat for name in call_names(m)):
        notes.append(CALLS_LEFT_OUT)
    if any(name not in text for name in tool_names(definitions)):
        notes.append(TOOLS_LEFT_OUT)
    if any(facts.special.search(str(m["content"])) for m in chat):
        notes.append(SPECIAL_IN_TEXT)
    if template.kind == "tokenizer" and facts.begin and not text.startswith(facts.begin):
        notes.append(NO_BEGIN)
    return notes


def _header_trained(
    template: Template,
    tokenizer: Any,
    chat: Sequence[Mapping[str, Any]],
    definitions: list[Any] | None,
    answer: str,
    prompt: str,
) -> bool:
    """Whether the answer begins with a header that generation would have to write by itself."""
    content = str(chat[-1]["content"]).strip()
    if not content or not answer.partition(content)[0].strip():
        return False
    bare = text_of(template, tokenizer, chat[:-1], definitions, generation_prompt=False)
    return bare == prompt


def _tokenised(
    text: str,
    stretches: Sequence[Stretch],
    trained: set[int],
    template: Template,
    tokenizer: Any,
    max_length: int | None,
    notes: list[str],
) -> Rendered:
    begin = facts_of(tokenizer).begin
    ids: list[int] = []
    mask: list[bool] = []
    offsets: list[Span] = []
    # A chat template of the tokenizer's own is taken at its word; of the others, one that never
    # mentions the begin token is not meant to do without.
    own_word = template.kind == "tokenizer" or "bos_token" in template.source
    if begin and not own_word and not text.startswith(begin):
        ids, mask, offsets = [int(tokenizer.bos_token_id)], [False], [(0, 0)]
    at = 0
    for stretch in stretches:
        new_ids, new_offsets = encode(stretch.text, tokenizer, first=at == 0)
        ids += new_ids
        mask += [stretch.answer in trained] * len(new_ids)
        offsets += [(start + at, end + at) for start, end in new_offsets]
        at += len(stretch.text)
    if trained and max_length is not None and len(ids) > max_length:
        if any(mask[max_length:]):
            notes = [*notes, STOP_LOST]
        if not any(mask[:max_length]):
            notes = [*notes, NOTHING_TRAINED]
    kept = slice(None if max_length is None else max_length)
    return Rendered(
        text=text,
        ids=tuple(ids[kept]),
        loss_mask=tuple(mask[kept]),
        offsets=tuple(offsets[kept]),
        n_cut=len(ids) - len(ids[kept]),
        notes=tuple(dict.fromkeys(notes)),
    )
