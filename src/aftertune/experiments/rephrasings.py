"""Rephrasings of instructions: from a file, or from an OpenAI-compatible endpoint, kept once asked.

The key is read from the environment (OPENAI_API_KEY) by the client and written nowhere.
"""

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Plan
from aftertune.config import StageConfig
from aftertune.errors import ConfigError, InputError

VERSION = 1
FILE = "rephrasings.jsonl"
QUESTION = (
    "Rewrite the instruction below in {n} ways. Each asks for the same answer, as far as that can "
    "be done without these words or anything that brings them to mind: {words}. Reply with a JSON "
    "list of {n} texts and nothing else.\n\nInstruction:\n{instruction}"
)

Ask = Callable[[str], str]  # question -> reply


@dataclass(frozen=True)
class Rephrased:
    """An instruction without the shared concept, in several wordings, and ones that keep it."""

    rephrasings: tuple[str, ...]
    keeps: tuple[str, ...] = ()


class AskedConfig(StageConfig):
    """What an endpoint was asked, which is asked once."""

    model: str
    questions: tuple[str, ...]


def read(path: Path) -> dict[str, Rephrased]:
    """response_id, or the prompt's text -> rephrasings. InputError names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the rephrasings {path}; check the path.") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            key = value.get("response_id") or value["prompt"]
            lists = [value["rephrasings"], value.get("keeps") or []]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _wrong(path, number) from error
        if not isinstance(key, str) or not all(map(_are_texts, lists)) or not lists[0]:
            raise _wrong(path, number)
        found[key] = Rephrased(tuple(lists[0]), tuple(lists[1]))
    if not found:
        raise InputError(f"{path} holds no rephrasings; write one JSON object a line.")
    return found


def asked(
    instructions: Mapping[str, tuple[str, Sequence[str]]], n: int, model: str, out: Path, ask: Ask
) -> dict[str, Rephrased]:
    """response_id -> what the endpoint made of an instruction and the words to avoid.

    Replies are kept, so that nothing is asked twice. A reply that is no JSON list of texts gives no
    rephrasing of that instruction.
    """
    questions = {
        name: QUESTION.format(n=n, words=", ".join(words) or "none", instruction=text)
        for name, (text, words) in instructions.items()
    }
    config = AskedConfig(model=model, questions=tuple(questions.values()))
    plan = Plan("rephrasings", VERSION, config.given(), config, ())
    made = artefact.find(out, plan)
    if made is None:
        with artefact.draft(out, plan) as draft:
            lines = []
            for name, question in questions.items():
                texts = _texts(ask(question))
                if texts:
                    lines.append(json.dumps({"response_id": name, "rephrasings": texts}))
            write = partial(_write, "".join(line + "\n" for line in lines))
            artefact.write_durably(draft.folder / FILE, write)
            counts = {"done": len(lines), "skipped": {}, "unscored": {}}
            made = draft.finish(counts, {"model": model})
    return read(made.folder / FILE)


def client(endpoint: str, model: str) -> Ask:
    """Asks an endpoint; ConfigError where the client or the key is missing."""
    try:
        openai = importlib.import_module("openai")
    except ImportError as error:
        raise ConfigError(
            "an endpoint needs the package openai, which is not installed; install it, or give "
            "rephrasings in a file."
        ) from error
    if not os.environ.get("OPENAI_API_KEY"):
        raise ConfigError(
            "an endpoint needs a key in the environment variable OPENAI_API_KEY (any text, where "
            "the endpoint asks for none)."
        )
    connection = openai.OpenAI(base_url=endpoint)

    def ask(question: str) -> str:
        try:
            reply = connection.chat.completions.create(
                model=model, messages=[{"role": "user", "content": question}], temperature=0.0
            )
        except openai.OpenAIError as error:
            raise InputError(
                f"{endpoint} did not answer ({type(error).__name__}); check the address, the key "
                "and the model's name."
            ) from error
        return str(reply.choices[0].message.content or "")

    return ask


def _texts(reply: str) -> list[str]:
    start, end = reply.find("["), reply.rfind("]")
    try:
        value: Any = json.loads(reply[start : end + 1])
    except ValueError:
        return []
    return [one.strip() for one in value if one.strip()] if _are_texts(value) else []


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _wrong(path: Path, number: int) -> InputError:
    return InputError(
        f"{path}, line {number}: give response_id or prompt, and rephrasings (a list of texts, at "
        "least one); keeps, if given, is a list of texts."
    )


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
