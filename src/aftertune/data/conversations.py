"""Conversations as written elsewhere -> messages with exactly the keys of `schema.MESSAGE`. Pure.

Roles become system, user, assistant and tool. The order that is accepted: at most one system
message, first; then the user; assistant and user take turns; tool results follow the assistant
that called (or another tool result) and are followed by the assistant. Two users or two
assistants in a row, an assistant who speaks first, and a system message later on are bad rows:
templates disagree on what they mean, so nothing is guessed.
"""

import json
from typing import Any

Message = dict[str, str | None]

_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "model": "assistant", "ai": "assistant", "function_call": "assistant", "tool_call": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool",
    "function_response": "tool", "tool_response": "tool",
}  # fmt: skip
_CALL_ROLES = ("function_call", "tool_call")
_MAY_FOLLOW: dict[str | None, frozenset[str]] = {
    None: frozenset({"system", "user"}),
    "system": frozenset({"user"}),
    "user": frozenset({"assistant"}),
    "assistant": frozenset({"user", "tool"}),
    "tool": frozenset({"tool", "assistant"}),
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_THINKING_PARTS = ("thinking", "reasoning")


class BadRow(Exception):  # noqa: N818 - a row that is set aside is no error of the program
    """Why an object cannot be used: `reason` is counted, `detail` tells this row's case."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


def message(role: str, content: str | None, **more: str | None) -> Message:
    """One message; what is not given is None."""
    empty: Message = {"thinking": None, "tool_calls": None, "tool_call_id": None, "name": None}
    return {"role": role, "content": content, **empty, **more}


def kind_of(value: object) -> str:
    """A JSON value's type in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names = {"str": "text", "list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, type(value).__name__)


def as_text(value: object, field: str) -> str:
    """The value if it is text; raises BadRow otherwise."""
    if not isinstance(value, str):
        raise BadRow(f"`{field}` is not text", f"it is {kind_of(value)}")
    return value


def as_list(value: object, field: str) -> list[Any]:
    """The value if it is a list, also one spelt as JSON text (as in a CSV cell)."""
    if isinstance(value, str):
        try:
            value = _from_json(value)
        except (ValueError, RecursionError) as error:
            raise BadRow(f"`{field}` is not a list", "it is text") from error
    if not isinstance(value, list):
        raise BadRow(f"`{field}` is not a list", f"it is {kind_of(value)}")
    return value


def as_json(value: Any) -> str:
    """JSON text with the source's order of keys."""
    return json.dumps(value, ensure_ascii=False)


def _from_json(text: str) -> Any:
    """JSON inside a text; raises ValueError also for NaN and lone surrogates."""
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


def read_messages(value: object, field: str) -> tuple[list[Message], dict[str, Any]]:
    """A list of messages in OpenAI's or ShareGPT's spelling.

    Returns the messages, and what else they held: {"place from 0": {field: value}}.
    Raises BadRow on other types, unknown roles and parts that are not text.
    """
    messages, more = [], {}
    for place, raw in enumerate(as_list(value, field)):
        one, rest = _read_message(raw, place)
        messages.append(one)
        if rest:
            more[str(place)] = rest
    if not messages:
        raise BadRow(f"`{field}` is empty")
    return messages, more


def _read_message(raw: object, place: int) -> tuple[Message, dict[str, Any]]:
    if not isinstance(raw, dict):
        raise BadRow("a message is not an object", f"message {place + 1} is {kind_of(raw)}")
    left = {str(key): value for key, value in raw.items() if value is not None}
    role_said = left.pop("role", None) or left.pop("from", None)
    role = _ROLES.get(role_said.strip().lower()) if isinstance(role_said, str) else None
    if role is None:
        raise BadRow("unknown role", f"message {place + 1}: {role_said!r}")
    content = left.pop("content") if "content" in left else left.pop("value", None)
    text, thinking = _read_content(content)
    for name in ("thinking", "reasoning_content", "reasoning"):
        if thinking is None and isinstance(left.get(name), str):
            thinking = left.pop(name)
    calls = _read_calls(left)
    if str(role_said).strip().lower() in _CALL_ROLES and calls is None:
        calls, text = _calls_in_text(text), None
    texts = {
        name: left.pop(name, None) if isinstance(left.get(name, ""), str) else None
        for name in ("tool_call_id", "name")
    }
    return message(role, text, thinking=thinking, tool_calls=calls, **texts), left


def _read_content(content: object) -> tuple[str | None, str | None]:
    """Text and thinking of a message's content; several text parts are joined as they stand."""
    if content is None or isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        raise BadRow("`content` is not text", f"it is {kind_of(content)}")
    texts: list[str] = []
    thinking: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type") if isinstance(part, dict) else kind_of(part)
        if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in _THINKING_PARTS and isinstance(part.get(kind) or part.get("text"), str):
            thinking.append(part.get(kind) or part["text"])
        else:
            raise BadRow(f"unsupported content: {kind}")
    return "".join(texts), "".join(thinking) or None


def _read_calls(left: dict[str, Any]) -> str | None:
    """`tool_calls`, or the older `function_call`, as OpenAI's JSON."""
    calls = left.pop("tool_calls", None)
    if isinstance(calls, str) and not calls.strip():
        calls = None
    if calls is not None:
        calls = as_list(calls, "tool_calls")
    elif "function_call" in left:
        calls = [_as_call(left.pop("function_call"))]
    return as_json(calls) if calls else None


def _calls_in_text(text: str | None) -> str:
    try:
        value = _from_json(text or "")
    except (ValueError, RecursionError) as error:
        raise BadRow("a function call is not JSON") from error
    return as_json([_as_call(call) for call in (value if isinstance(value, list) else [value])])


def _as_call(call: object) -> dict[str, Any]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise BadRow("a function call has no name")
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else as_json(arguments)
    return {"type": "function", "function": {"name": call["name"], "arguments": text}}


def read_tools(value: object) -> str | None:
    """Tool definitions as a JSON list; older `functions` entries come as they are."""
    if value is None or value == "" or value == []:
        return None
    tools = as_list(value, "tools")
    return as_json(tools) if tools else None


def check_order(messages: list[Message]) -> None:
    """Raises BadRow when roles are out of order or a message says nothing."""
    before: str | None = None
    for place, one in enumerate(messages, start=1):
        role = one["role"]
        if role not in _MAY_FOLLOW[before]:
            after = f"after {before}" if before else "first"
            raise BadRow("roles out of order", f"message {place} ({role}) comes {after}")
        silent = not (one["content"] or "").strip()
        if silent and role == "user":
            raise BadRow("empty instruction", f"message {place}")
        if silent and role == "assistant" and not one["tool_calls"]:
            raise BadRow("empty response", f"message {place}")
        before = role
