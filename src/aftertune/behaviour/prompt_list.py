"""Which prompts are harmless, and which deserve a refusal: the user's own lists.

A list is a file of prompts (text: one a line; else what the stage `prompts` reads), or TAG=VALUE:
the prompts whose tag has that value. A prompt belongs to a file's list by the text of its last
turn, white space aside.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aftertune.artefact import Input, hash_file, hash_json
from aftertune.data.conversations import BadRow
from aftertune.data.formats import parse_prompt
from aftertune.data.readers import read_file
from aftertune.errors import ConfigError, InputError

Belongs = Callable[[Mapping[str, Any]], bool]  # a record of `responses` -> whether it is listed


def prompt_list(option: str, given: str) -> tuple[Belongs, Input]:
    """The list that `--option given` names, and what it is by content; raises UserError."""
    path = Path(given)
    if path.is_file():
        asked = _read(option, path)
        return (lambda record: last_turn(record) in asked), Input(
            f"list {option}", hash_file(path), hash_file(path), given
        )
    tag, equals, value = given.partition("=")
    if not equals or not tag:
        raise ConfigError(
            f"--{option} {given}: there is no such file; give a file of prompts or TAG=VALUE."
        )
    content = hash_json([tag, value])
    return (lambda record: _tag(record, tag) == value), Input(
        f"list {option}", content, content, given
    )


def last_turn(record: Mapping[str, Any]) -> str:
    """The last turn of a prompt, white space squeezed."""
    turns = record["messages"]
    return " ".join((turns[-1]["content"] or "").split()) if turns else ""


def _tag(record: Mapping[str, Any], tag: str) -> str | None:
    value = json.loads(record["tags"]).get(tag)
    return value if isinstance(value, str) or value is None else json.dumps(value)


def _read(option: str, path: Path) -> frozenset[str]:
    if path.suffix == ".txt":
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        found = {" ".join(line.split()) for line in lines if line.strip()}
    else:
        found = set()
        for _, value, error, _ in read_file(path, "train"):
            if error is not None or not isinstance(value, dict):
                continue
            try:
                items = parse_prompt(value, "auto")
            except BadRow:
                continue
            found |= {last_turn({"messages": item.messages}) for item in items}
    if not found:
        raise InputError(f"--{option} {path}: no prompt can be read from it; give one per line.")
    return frozenset(found)
