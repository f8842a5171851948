"""Before any training: do real rendered rows train what they should, and nothing else?

The check does not believe the loss mask. For each answer that is to be trained it asks where a
prompt would end at generation, and wants the trained tokens to begin exactly there, to decode to
the answer's own words and tool calls, and to end with a token on which generation stops; no other
token may be trained.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.text import Text

from aftertune.data.chat import Message, answer_turns, conversation
from aftertune.data.render import Rendered, TrainOn, render_prompt, stop_ids
from aftertune.data.templates import Template
from aftertune.errors import TemplateError

PAD_IS_STOP = "padding token is also a stop token, so the mask goes by place"
NO_MARKERS = "template has no generation markers, so answers are found by rendering"
MARKERS_DISAGREE = "generation markers do not mark what is trained"
TEXT_CHANGED = "answer changed by the template or the tokenizer (case, form of characters)"
SPACE_CHANGED = "white space of an answer changed by the template or the tokenizer"

_MARKER = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
_MAX_LINES = 40


class Sample(NamedTuple):
    """A rendered row and what it was rendered from (`tools`: JSON list; `tags`: parsed)."""

    row_index: int
    messages: Sequence[Message]
    rendered: Rendered
    tools: str | None = None
    tags: Mapping[str, Any] | None = None


class Problem(NamedTuple):
    """Why a row must not be trained on as it is."""

    row_index: int
    what: str


@dataclass(frozen=True)
class SelfTest:
    """What the check found; `notes` counts rows by what is worth knowing about them."""

    template: str
    n_rows: int
    n_tokens: int
    n_trained_tokens: int
    n_cut_rows: int
    n_cut_tokens: int
    n_lost_stop: int  # rows whose last trained answer ends at the length limit
    notes: dict[str, int]
    problems: tuple[Problem, ...]

    def raise_if_failed(self) -> None:
        """Raises TemplateError, naming the first row and its problem, when there is one."""
        if not self.n_rows:
            raise TemplateError("no rendered row to look at: training is refused.")
        if self.problems:
            first, more = self.problems[0], len(self.problems) - 1
            raise TemplateError(
                f"training is refused, since the template {self.template} would train the wrong "
                f"tokens: row {first.row_index}: {first.what}"
                + (f" (and {more} more)" if more else "")
                + "; choose another --template or mend it."
            )
        if not self.n_trained_tokens:
            raise TemplateError(
                "training is refused, since no token of any row is trained: raise the length "
                "limit, which cuts every answer off."
            )


def check(
    samples: Sequence[Sample],
    tokenizer: Any,
    template: Template,
    pad_id: int | None,
    train_on: TrainOn = "all",
) -> SelfTest:
    """Looks at rows as they were rendered with `train_on`; see the top of this module."""
    stops = set(stop_ids(template, tokenizer))
    notes: Counter[str] = Counter()
    problems: list[Problem] = []
    n_lost_stop = 0
    for sample in samples:
        found = _look(sample, tokenizer, template, stops, pad_id, train_on)
        problems += [Problem(sample.row_index, what) for what in found.problems]
        notes.update({*sample.rendered.notes, *found.notes})
        n_lost_stop += found.lost_stop
    if pad_id in stops:
        notes[PAD_IS_STOP] = len(samples)
    if template.kind != "builtin" and not _MARKER.search(template.source):
        notes[NO_MARKERS] = len(samples)
    return SelfTest(
        template=template.name,
        n_rows=len(samples),
        n_tokens=sum(len(sample.rendered.ids) for sample in samples),
        n_trained_tokens=sum(sum(sample.rendered.loss_mask) for sample in samples),
        n_cut_rows=sum(sample.rendered.n_cut > 0 for sample in samples),
        n_cut_tokens=sum(sample.rendered.n_cut for sample in samples),
        n_lost_stop=n_lost_stop,
        notes=dict(sorted(notes.items())),
        problems=tuple(problems),
    )


class _Found(NamedTuple):
    problems: list[str]
    notes: set[str]
    lost_stop: bool = False


def _look(
    sample: Sample,
    tokenizer: Any,
    template: Template,
    stops: set[int],
    pad_id: int | None,
    train_on: TrainOn,
) -> _Found:
    """One row. An answer's stretch is [start, end) in ids: from its prompt's end to its stop."""
    row = sample.rendered
    ids, mask = row.ids, row.loss_mask
    if not len(ids) == len(mask) == len(row.offsets):
        return _Found([f"{len(ids)} ids have {len(mask)} mask values"], set())
    chat, _ = conversation(sample.messages, sample.tools, template, sample.tags, [])
    turns = answer_turns(chat) if train_on == "all" else answer_turns(chat)[-1:]
    added = len(chat) - len(sample.messages)  # a system message that holds the tools
    starts = []
    for turn in turns:
        before = sample.messages[: turn - added]
        prompt = render_prompt(before, sample.tools, template, tokenizer, sample.tags).ids
        if ids[: len(prompt)] != prompt[: len(ids)]:
            what = "the ids of its prompt are not the beginning of the row"
            return _Found([f"message {turn - added + 1}: {what}"], set())
        starts.append(len(prompt))
    problems, notes, lost_stop = [], set(), False
    inside: set[int] = set()
    for turn, start, limit in zip(turns, starts, [*starts[1:], len(ids)], strict=True):
        end = start
        while end < min(limit, len(ids)) and mask[end]:
            end += 1
        inside.update(range(start, end))
        if row.n_cut and end >= len(ids) and (start >= end or ids[end - 1] not in stops):
            lost_stop = True
            continue  # the length limit took its end away: what is left of it is trained
        wrong, worth = _answer(chat[turn], ids[start:end], tokenizer, stops, template)
        problems += [f"message {turn - added + 1}: {what}" for what in wrong]
        notes |= worth
    if outside := [i for i, trained in enumerate(mask) if trained and i not in inside]:
        piece = tokenizer.decode([ids[outside[0]]])
        problems.append(f"token {outside[0]} ({piece!r}) is trained and part of no answer")
    contents = " ".join(str(message["content"]) for message in chat)
    if _pads(row, pad_id, stops) and str(tokenizer.pad_token) not in contents:
        problems.append("padding is trained")
    if train_on == "all" and not row.n_cut and _markers_disagree(sample, tokenizer, template):
        notes.add(MARKERS_DISAGREE)
    return _Found(problems, notes, lost_stop)


def _answer(
    message: Mapping[str, Any],
    ids: tuple[int, ...],
    tokenizer: Any,
    stops: set[int],
    template: Template,
) -> tuple[list[str], set[str]]:
    """What is wrong with the trained ids of one whole answer, and what is worth a note."""
    if not ids:
        return ["the beginning of the answer is not trained"], set()
    problems, notes = [], set()
    decoded = _decoded(tokenizer, ids)
    content = str(message["content"])
    if content not in decoded:
        bare, words = _bare(decoded), _bare(content)
        again = _bare(_decoded(tokenizer, tokenizer(content, add_special_tokens=False).input_ids))
        if words in bare:
            notes.add(SPACE_CHANGED)
        elif again and again in bare:
            notes.add(TEXT_CHANGED)
        else:
            problems.append(f"the answer {content[:30]!r} is not trained from end to end")
    missing = [leaf for leaf in _call_leaves(message) if not _written(leaf, decoded)]
    if missing:
        problems.append(f"the tool call's {missing[0][:30]!r} is not trained")
    if not problems and ids[-1] not in stops:
        end = decoded[-12:]
        problems.append(
            f"no stop token is trained behind the answer (it ends with {end!r}); the template "
            f"{template.name} must end an answer with a token of its own, like eos_token"
        )
    return problems, notes


def _pads(row: Rendered, pad_id: int | None, stops: set[int]) -> bool:
    if pad_id is None or pad_id in stops:
        return False
    return any(
        trained and token_id == pad_id
        for token_id, trained in zip(row.ids, row.loss_mask, strict=True)
    )


def _call_leaves(message: Mapping[str, Any]) -> Iterator[str]:
    """Every name and value that a message's tool calls hold, as text."""
    for call in message.get("tool_calls") or []:
        function = call.get("function", call) if isinstance(call, dict) else {}
        yield from _leaves([function.get("name", ""), function.get("arguments")])


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)


def _written(leaf: str, decoded: str) -> bool:
    """Whether `leaf` stands in `decoded`, as it is or as JSON writes it."""
    forms = (leaf, json.dumps(leaf, ensure_ascii=False)[1:-1], json.dumps(leaf)[1:-1])
    return any(_bare(form) in _bare(decoded) for form in forms)


def _markers_disagree(sample: Sample, tokenizer: Any, template: Template) -> bool:
    """Whether a template with generation markers marks other text than what is trained."""
    if not _MARKER.search(template.source):
        return False
    chat, tools = conversation(sample.messages, sample.tools, template, sample.tags, [])
    marked = tokenizer.apply_chat_template(
        chat,
        tools=tools,
        chat_template=template.source,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    theirs = [i for i, m in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if m]
    row = sample.rendered
    ours = [i for i, trained in zip(row.ids, row.loss_mask, strict=True) if trained]
    return _bare(_decoded(tokenizer, theirs)) != _bare(_decoded(tokenizer, ours))


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    )


def _bare(text: str) -> str:
    return "".join(text.split())


# one row to look at ---------------------------------------------------------------------------


def coloured(rendered: Rendered, tokenizer: Any, width: int) -> Text:
    """One row as it is trained: green between ⟦ and ⟧ is trained, dim is not.

    Special tokens stand out and are shown by name, control characters are escaped. Lines are at
    most `width` characters; of a long row the middle is left out.
    """
    lines: list[Text] = [Text()]
    special = set(tokenizer.all_special_ids)
    was_trained, shown = False, 0
    for token_id, trained, (_, end) in zip(
        rendered.ids, rendered.loss_mask, rendered.offsets, strict=True
    ):
        if trained != was_trained:
            _put(lines, "⟦" if trained else "⟧", "bold", width)
            was_trained = trained
        piece = rendered.text[shown:end]
        shown = max(shown, end)
        if token_id in special:
            piece = piece or str(tokenizer.convert_ids_to_tokens(token_id))
            style = "bold reverse green" if trained else "bold dim"
        else:
            style = "green" if trained else "dim"
        _put(lines, piece, style, width)
    if was_trained:
        _put(lines, "⟧", "bold", width)
    if rendered.n_cut:
        _put(lines, f" … {rendered.n_cut} tokens cut off", "bold red", width)
    if len(lines) > _MAX_LINES:
        left_out = Text(f"… {len(lines) - _MAX_LINES + 1} lines …", "italic")
        lines = [*lines[: _MAX_LINES // 2], left_out, *lines[1 - _MAX_LINES // 2 :]]
    return Text("\n").join(lines)


def _put(lines: list[Text], piece: str, style: str, width: int) -> None:
    """Appends `piece`, beginning new lines where it has line breaks or the line is full."""
    for character in piece:
        visible = character if character.isprintable() else _ESCAPES.get(character)
        visible = visible or f"\\x{ord(character):02x}"
        if len(lines[-1]) + len(visible) > max(width, 8):
            lines.append(Text())
        lines[-1].append(visible, style)
        if character == "\n":
            lines.append(Text())


_ESCAPES = {"\n": "↵", "\t": "⇥", "\r": "\\r"}
