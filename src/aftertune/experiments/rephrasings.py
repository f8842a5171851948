"""Rephrasings of instructions: from a file, or from an OpenAI-compatible endpoint, kept once asked.

An endpoint is asked by `judge/endpoint.py`, its key read from the environment (AFTERTUNE_JUDGE_KEY)
and written nowhere.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from aftertune import artefact
from aftertune.artefact import Plan
from aftertune.config import StageConfig, build
from aftertune.errors import InputError
from aftertune.judge.calls import Call
from aftertune.judge.config import JudgeConfig
from aftertune.judge.endpoint import Endpoint
from aftertune.judge.journal import Answer, NoAnswer
from aftertune.judge.prompt import Item

VERSION = 1
FILE = "rephrasings.jsonl"
QUESTION = (
    "Rewrite the instruction below in {n} ways. Each asks for the same answer, as far as that can "
    "be done without these words or anything that brings them to mind: {words}. Reply with a JSON "
    "list of {n} texts and nothing else.\n\nInstruction:\n{instruction}"
)

KEY = "AFTERTUNE_JUDGE_KEY"

Heard = Callable[[int, str], None]  # number of a question, reply
Ask = Callable[[Mapping[int, str], Heard], None]  # questions by number; replies as they come


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

    Every reply is kept as it comes, so that nothing is asked twice, also after a kill. A reply that
    is no JSON list of texts gives no rephrasing of that instruction.
    """
    texts = questions(instructions, n)
    plan = _plan(texts, model)
    made = artefact.find(out, plan)
    if made is None:
        with artefact.draft(out, plan) as draft:
            places = [draft.scratch / f"{number}.txt" for number in range(len(texts))]
            left = {number: text for number, text in enumerate(texts.values())
                    if not places[number].exists()}  # fmt: skip
            ask(left, lambda number, reply: _keep(reply, places[number]))
            replies = [one.read_text("utf-8") if one.exists() else "" for one in places]
            found = zip(texts, map(_texts, replies), strict=True)
            lines = [
                json.dumps({"response_id": name, "rephrasings": wordings})
                for name, wordings in found if wordings
            ]  # fmt: skip
            _keep("".join(line + "\n" for line in lines), draft.folder / FILE)
            counts = {"done": len(lines), "skipped": {}, "unscored": {}}
            made = draft.finish(counts, {"model": model})
    return read(made.folder / FILE)


def questions(instructions: Mapping[str, tuple[str, Sequence[str]]], n: int) -> dict[str, str]:
    """response_id -> what an endpoint is asked. instructions: text, and the words to avoid."""
    return {
        name: QUESTION.format(n=n, words=", ".join(words) or "none", instruction=text)
        for name, (text, words) in instructions.items()
    }


def were_asked(texts: Mapping[str, str], model: str, out: Path) -> bool:
    """Whether the endpoint's replies to these questions are there already."""
    return artefact.find(out, _plan(texts, model)) is not None


def _plan(texts: Mapping[str, str], model: str) -> Plan:
    config = AskedConfig(model=model, questions=tuple(texts.values()))
    return Plan("rephrasings", VERSION, config.given(), config, ())


def client(endpoint: str, model: str) -> Ask:
    """Asks an endpoint as a judge is asked; ConfigError where the address is none, or holds a key.

    Asking raises EndpointError where the endpoint answers nobody; no error shows the key.
    """
    config = build(JudgeConfig, {"endpoint": endpoint, "model": model})
    key = os.environ.get(KEY)
    speaks = Endpoint(config, SecretStr(key) if key else None)

    def ask(texts: Mapping[int, str], heard: Heard) -> None:
        numbers = {f"rephrase {number}": number for number in texts}
        calls = [
            Call(name, Item(name, [], ""), "alone", 0, [{"role": "user", "content": texts[number]}])
            for name, number in numbers.items()
        ]

        def hear(call: Call, found: Answer | NoAnswer) -> None:
            if isinstance(found, Answer):
                heard(numbers[call.key], found.text)

        if calls:
            speaks.ask(calls, hear)

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


def _keep(text: str, path: Path) -> None:
    artefact.write_durably(path, lambda place: place.write_bytes(text.encode("utf-8")))
