"""Messages as templates read them: calls as objects, thinking under the names templates know.

What a template cannot read gives way to something it can, with a note; nothing is dropped.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.data.templates import Template
from aftertune.errors import InputError

Message = Mapping[str, str | None]

CALLS_AS_JSON = "tool calls written as JSON text"
TOOLS_AS_JSON = "tools written as JSON text"


def conversation(
    messages: Sequence[Message],
    tools: str | None,
    template: Template,
    tags: Mapping[str, Any] | None,
    notes: list[str],
) -> tuple[list[dict[str, Any]], list[Any] | None]:
    """Messages and tool definitions as `template` reads them; what had to give way is noted.

    Chat templates get tool calls as objects and thinking as `reasoning_content` and `thinking`.
    Our own templates know no tools: definitions and calls are written as JSON text.
    """
    definitions = _parsed(tools, "tools") if tools else None
    chat = [_message(message) for message in messages]
    if template.kind != "builtin":
        return chat, definitions
    for message in chat:
        if calls := message.pop("tool_calls", None):
            written = json.dumps(calls, ensure_ascii=False)
            message["content"] = "\n".join(filter(None, [message["content"], written]))
            notes.append(CALLS_AS_JSON)
    if definitions:
        written = "Tools:\n" + json.dumps(definitions, ensure_ascii=False)
        if chat and chat[0]["role"] == "system":
            chat[0]["content"] += "\n\n" + written
        else:
            chat.insert(0, {"role": "system", "content": written})
        notes.append(TOOLS_AS_JSON)
    if template.name == "alpaca":
        _split_input(chat, (tags or {}).get("alpaca_input"))
    return chat, None


def _message(message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message["role"], "content": message.get("content") or ""}
    if thinking := message.get("thinking"):
        plain["reasoning_content"] = plain["thinking"] = thinking
    if calls := message.get("tool_calls"):
        plain["tool_calls"] = [_call(call) for call in _parsed(calls, "tool_calls")]
    for key in ("tool_call_id", "name"):
        if message.get(key):
            plain[key] = message[key]
    return plain


def _call(call: Any) -> Any:
    """A call with its arguments as an object, as chat templates want them."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except json.JSONDecodeError:
        return call
    return {**call, "function": {**function, "arguments": arguments}}


def _parsed(value: str, what: str) -> list[Any]:
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError as error:
        raise InputError(f"{what} are not valid JSON ({error.msg}): {value[:60]!r}.") from error
    if not isinstance(parsed, list):
        raise InputError(f"{what} must be a JSON list, not {value[:60]!r}.")
    return parsed


def _split_input(chat: list[dict[str, Any]], given: Any) -> None:
    """Alpaca's input apart from its instruction, where the row says that it had one."""
    if not isinstance(given, str) or not given:
        return
    for message in chat:
        if message["role"] == "user" and message["content"].endswith("\n\n" + given):
            message["content"] = message["content"].removesuffix("\n\n" + given)
            message["input"] = given
            return


def answer_turns(chat: Sequence[Mapping[str, Any]]) -> list[int]:
    """Indices of the answers that can be trained: those with a prompt somewhere before them."""
    roles = [message["role"] for message in chat]
    prompts = [turn for turn, role in enumerate(roles) if role not in ("system", "assistant")]
    return [t for t, role in enumerate(roles) if role == "assistant" and prompts and t > prompts[0]]


def call_names(message: Mapping[str, Any]) -> list[str]:
    """Names of the functions that a message (as templates read it) calls."""
    names = []
    for call in message.get("tool_calls") or []:
        function = call.get("function", call) if isinstance(call, dict) else {}
        names.append(str(function.get("name", "")))
    return names


def tool_names(definitions: list[Any] | None) -> list[str]:
    tools = [tool.get("function", tool) for tool in definitions or [] if isinstance(tool, dict)]
    return [str(tool["name"]) for tool in tools if isinstance(tool, dict) and "name" in tool]
