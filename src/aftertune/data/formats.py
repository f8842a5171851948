"""The spellings of instruction data: recognised by their fields, parsed into items. Pure.

A row is a whole conversation that ends with the assistant. A prompt is one that ends with the
user: answers that the source holds become the tag `reference`. Instruction and input are joined
by an empty line; the tag `alpaca_input` keeps the input that was joined, so that a template
which sets it apart can. Every field of the source that is not part of the conversation is a tag
under its own name. Further tags of ours: `instance` (self-instruct, from 0), `rejected`
(preference), `turns` (later user turns of a several-turn prompt, which are not asked),
`message_fields` (what else messages held).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from aftertune.data.config import Format, Kind
from aftertune.data.conversations import (
    BadRow,
    Message,
    as_list,
    as_text,
    check_order,
    kind_of,
    message,
    read_messages,
    read_tools,
)
from aftertune.errors import InputError

INSTRUCTIONS = ("instruction",)
INPUTS = ("input", "context")
QUESTIONS = ("prompt", "question", "query")
RESPONSES = ("output", "response", "completion", "answer", "target")
REFERENCES = ("reference", *RESPONSES)
CONVERSATIONS = ("conversations", "conversation")
_MEDIA = ("image", "images", "audio", "audios", "video", "videos")
# A JSON object with one of these is a row, not a wrapper around rows.
ROW_FIELDS = frozenset(
    {*INSTRUCTIONS, *QUESTIONS, *CONVERSATIONS, "messages", "turns", "chosen"}
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One row or prompt; `tools` is a JSON list, `tags` everything else that the source says."""

    messages: list[Message]
    tools: str | None = None
    tags: dict[str, Any] = field(default_factory=dict)


def recognise(values: Sequence[object], kind: Kind) -> Format:
    """The format that the fields of these objects show; raises InputError when unsure.

    A field counts where at least half of the objects have it, so a bad row hides nothing.
    """
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        found = f"they are {kind_of(values[0])}" if values else "there are none"
        raise InputError(f"the {kind} must be objects with named fields, but {found}.")
    counts: dict[str, int] = {}
    for value in objects:
        present = (str(name).lower() for name, held in value.items() if held is not None)
        for name in dict.fromkeys(present):  # in the source's order, which the error shows
            counts[name] = counts.get(name, 0) + 1
    names = {name for name, count in counts.items() if 2 * count >= len(objects)}
    matches = _matches(names, objects)
    if kind == "prompts":
        matches += ["turns"] if "turns" in names else []
        if not matches and names & {*INSTRUCTIONS, *QUESTIONS, "text", "input"}:
            matches = ["prompt"]
    if len(matches) == 1:
        return matches[0]
    fields = ", ".join(counts)
    if matches:
        raise InputError(
            f"these {kind} could be {' or '.join(matches)} (fields: {fields}); "
            "say which with --format."
        )
    known = ", ".join(name for name in formats_of(kind) if name != "auto")
    raise InputError(
        f"cannot tell the format of these {kind} from their fields ({fields}); "
        f"rename the fields, or say --format with one of {known}."
    )


def formats_of(kind: Kind) -> list[Format]:
    """The names that `--format` takes."""
    rows_only = [name for name in get_args(Format) if name not in ("prompt", "turns")]
    return rows_only if kind == "rows" else list(get_args(Format))


def _matches(names: set[str], objects: Sequence[dict[str, Any]]) -> list[Format]:
    answered = not names.isdisjoint(RESPONSES)
    found: list[Format] = []
    if {"instruction", "instances"} <= names:
        found.append("self-instruct")
    elif "instruction" in names and answered:
        if "history" in names:
            found.append("lima")
        else:
            found.append("dolly" if names & {"context", "category"} else "alpaca")
    if {"chosen", "rejected"} <= names:
        found.append("preference")
    if "messages" in names:
        found.append("messages")
    if not names.isdisjoint(CONVERSATIONS) and "preference" not in found:
        first = next(_find(value, *CONVERSATIONS) for value in objects if _has(value))
        strings = isinstance(first, list) and bool(first) and isinstance(first[0], str)
        found.append("lima" if strings else "sharegpt")
    if answered and not names.isdisjoint(QUESTIONS):
        found.append("prompt-completion")
    if not found and "input" in names and names & (set(RESPONSES) - {"target"}):
        found.append("prompt-completion")
    return found


def parse_row(value: object, format: Format) -> list[Item]:
    """The rows in one object of the source (several only for self-instruct); raises BadRow."""
    return [_finished_row(*part) for part in _parts(value, format, "rows")]


def parse_prompt(value: object, format: Format) -> list[Item]:
    """The prompts in one object of the source (several only for self-instruct); raises BadRow."""
    return [_finished_prompt(*part) for part in _parts(value, format, "prompts")]


Part = tuple[list[Message], dict[str, Any], dict[str, Any]]  # messages, fields left, our tags


def _parts(value: object, format: Format, kind: Kind) -> list[Part]:
    if not isinstance(value, dict):
        raise BadRow("not an object", f"it is {kind_of(value)}")
    left = {str(name): held for name, held in value.items()}
    for name in left:
        if name.lower() in _MEDIA and left[name]:
            raise BadRow(f"unsupported content: {name.lower()}")
    return _READERS[format](left, kind)


def _finished_row(messages: list[Message], left: dict[str, Any], own: dict[str, Any]) -> Item:
    messages, tools = _with_system_and_tools(messages, left)
    check_order(messages)
    if messages[-1]["role"] != "assistant":
        raise BadRow("no response", f"the last message is the {messages[-1]['role']}'s")
    return Item(messages, tools, _tags(left, own))


def _finished_prompt(messages: list[Message], left: dict[str, Any], own: dict[str, Any]) -> Item:
    messages, tools = _with_system_and_tools(messages, left)
    reference = _pop(left, *REFERENCES)
    while messages and messages[-1]["role"] == "assistant":
        last = messages.pop()
        reference = reference or last["content"] or last
    if not messages or messages[-1]["role"] == "system":
        raise BadRow("no user message")
    check_order(messages)
    if reference is not None:
        own = {**own, "reference": reference}
    return Item(messages, tools, _tags(left, own))


def _with_system_and_tools(
    messages: list[Message], left: dict[str, Any]
) -> tuple[list[Message], str | None]:
    """The row's own `system` and `tools` fields, put where they belong."""
    system = _pop(left, "system", "system_prompt")
    if system is not None and as_text(system, "system").strip() and messages[0]["role"] != "system":
        messages = [message("system", system), *messages]
    elif system:
        left["system"] = system
    return messages, read_tools(_pop(left, "tools", "functions"))


def _tags(left: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    kept = {f"{name}_of_source" if name in own else name: held for name, held in left.items()}
    return {**kept, **own}


def _instruction(left: dict[str, Any], kind: Kind) -> list[Part]:
    user, own = _joined(_need(left, *INSTRUCTIONS), _pop(left, *INPUTS))
    messages = [*_history(_pop(left, "history")), user]
    if kind == "rows":
        messages.append(message("assistant", as_text(_need(left, *RESPONSES), "output")))
    return [(messages, left, own)]


def _joined(instruction: Any, given: Any) -> tuple[Message, dict[str, Any]]:
    """The user's message of an instruction and its input, and the tag that keeps the input."""
    text = as_text(instruction, "instruction")
    if not text.strip():
        raise BadRow("empty instruction")
    if given is None or not as_text(given, "input").strip():
        return message("user", text), {}
    return message("user", f"{text}\n\n{given}"), {"alpaca_input": given}


def _history(value: Any) -> list[Message]:
    """Earlier turns: [[question, answer], ...]."""
    messages = []
    for turn in as_list(value, "history") if value else []:
        if not isinstance(turn, list) or len(turn) != 2:
            raise BadRow("`history` is not a list of pairs")
        messages.append(message("user", as_text(turn[0], "history")))
        messages.append(message("assistant", as_text(turn[1], "history")))
    return messages


def _lima(left: dict[str, Any], kind: Kind) -> list[Part]:
    turns = _pop(left, *CONVERSATIONS)
    if turns is None:
        return _instruction(left, kind)
    texts = [as_text(turn, "conversations") for turn in as_list(turns, "conversations")]
    if not texts:
        raise BadRow("`conversations` is empty")
    roles = ("user", "assistant")
    return [([message(roles[i % 2], text) for i, text in enumerate(texts)], left, {})]


def _pair(left: dict[str, Any], kind: Kind) -> list[Part]:
    messages, own = _spoken(_need(left, *QUESTIONS, "input"), "user", "prompt")
    if kind == "rows":
        answer, more = _spoken(_need(left, *RESPONSES), "assistant", "completion")
        messages, own = messages + answer, {**own, **more}
    return [(messages, left, own)]


def _prompt(left: dict[str, Any], kind: Kind) -> list[Part]:
    if any(name.lower() in INSTRUCTIONS for name in left):
        return _instruction(left, kind)
    messages, own = _spoken(_need(left, *QUESTIONS, "text", "input"), "user", "prompt")
    return [(messages, left, own)]


def _turns(left: dict[str, Any], kind: Kind) -> list[Part]:
    turns = [as_text(turn, "turns") for turn in as_list(_need(left, "turns"), "turns")]
    if not turns:
        raise BadRow("`turns` is empty")
    return [([message("user", turns[0])], left, {"turns": turns[1:]} if turns[1:] else {})]


def _messages(left: dict[str, Any], kind: Kind) -> list[Part]:
    messages, own = _spoken(_need(left, "messages", *CONVERSATIONS), "", "messages")
    return [(messages, left, own)]


def _spoken(value: Any, role: str, name: str) -> tuple[list[Message], dict[str, Any]]:
    """What is one text of `role`, one message, or a list of messages; and its extra fields."""
    if role and isinstance(value, str):
        return [message(role, value)], {}
    messages, more = read_messages([value] if isinstance(value, dict) else value, name)
    return messages, {"message_fields": more} if more else {}


def _preference(left: dict[str, Any], kind: Kind) -> list[Part]:
    chosen, own = _spoken(_need(left, "chosen"), "assistant", "chosen")
    rejected = _need(left, "rejected")
    before: list[Message] = []
    # a list of messages may hold the prompt already
    if chosen[0]["role"] == "assistant":
        if any(name.lower() in INSTRUCTIONS for name in left):
            user, joined = _joined(_need(left, *INSTRUCTIONS), _pop(left, *INPUTS))
            before, own = [user], {**own, **joined}
        else:
            said = _need(left, *QUESTIONS, *CONVERSATIONS)
            before, more = _spoken(said, "user", "prompt")
            own = {**more, **own}
    return [(before + chosen, left, {**own, "rejected": rejected})]


def _self_instruct(left: dict[str, Any], kind: Kind) -> list[Part]:
    instruction = _need(left, *INSTRUCTIONS)
    instances = as_list(_need(left, "instances"), "instances")
    if not instances:
        raise BadRow("`instances` is empty")
    parts: list[Part] = []
    for place, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise BadRow("an instance is not an object", f"instance {place}")
        fields = dict(instance)
        user, own = _joined(instruction, _pop(fields, *INPUTS))
        messages = [user]
        if kind == "rows":
            messages.append(message("assistant", as_text(_need(fields, *RESPONSES), "output")))
        parts.append((messages, {**left, **fields}, {**own, "instance": place}))
    return parts


_READERS: dict[Format, Callable[[dict[str, Any], Kind], list[Part]]] = {
    "alpaca": _instruction,
    "dolly": _instruction,
    "lima": _lima,
    "prompt-completion": _pair,
    "messages": _messages,
    "sharegpt": _messages,
    "preference": _preference,
    "self-instruct": _self_instruct,
    "prompt": _prompt,
    "turns": _turns,
}


def _pop(left: dict[str, Any], *names: str) -> Any:
    """The first of `names` that the object has and that is not null, taken out of it."""
    for name in names:
        spelt = name if left.get(name) is not None else _spelling(left, name)
        if spelt is not None:
            return left.pop(spelt)
    return None


def _need(left: dict[str, Any], *names: str) -> Any:
    value = _pop(left, *names)
    if value is None:
        raise BadRow(f"missing field: {' or '.join(names)}")
    return value


def _spelling(left: dict[str, Any], name: str) -> str | None:
    return next((n for n, held in left.items() if n.lower() == name and held is not None), None)


def _find(value: dict[str, Any], *names: str) -> Any:
    return _pop({str(name): held for name, held in value.items()}, *names)


def _has(value: dict[str, Any]) -> bool:
    return _find(value, *CONVERSATIONS) is not None
