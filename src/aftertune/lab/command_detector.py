"""Detectors of the user's own: a command, or a Python function. What they say is checked.

A command reads cases as JSON Lines on standard input and writes one line per case, in their order:
{"score": 0.7, "rows": [3, 1], "q": 0.05, "probability": true}. All but the score may be left out,
and a score of null is "cannot say". `probability` says that the score is the chance that rows
caused the span. Where `{rows}` stands in the command, the path of the rows (JSON Lines: row_index,
messages, base_loss_nats) is put in.

A function is named MODULE:FUNCTION or FILE.py:FUNCTION and gets what every `Detector` gets.
"""

import importlib
import importlib.util
import json
import math
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from aftertune.errors import ConfigError, InputError
from aftertune.lab.detectors import PURE, Case, Detector, Finding, Record
from aftertune.lab.embedding_detector import embedding
from aftertune.lab.trace_detector import TRACERS

BASELINES: dict[str, Detector] = {**PURE, "embedding": embedding}

_ROWS = "{rows}"
_FIELDS = {"score", "rows", "q", "probability"}
_SHOWN = 200  # characters of a command's last words


def command(line: str, timeout_s: float) -> Detector:
    """The detector that a command line is; no shell reads it.

    Raises ConfigError where the line cannot be split, and when called InputError where the
    command cannot be started, fails, takes too long or says what cannot be read.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"the command `{line}` cannot be read: {error}.") from error
    if not words:
        raise ConfigError("the command is empty; write what is to be run.")

    def detect(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
        said = "".join(json.dumps(_as_json(case)) + "\n" for case in cases)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            filled = [word.replace(_ROWS, str(path)) for word in words]
            answer = _answer(line, filled, said, timeout_s)
        lines = [_parsed(line, text) for text in answer.splitlines() if text.strip()]
        return checked(f"the command `{line}`", lines, cases, rows)

    return detect


def function(name: str) -> Detector:
    """The detector MODULE:FUNCTION or FILE.py:FUNCTION; its code is run, so only where the user
    named it. Raises ConfigError where there is none such, InputError where it fails."""
    place, _, attribute = name.rpartition(":")
    found = getattr(_module(place, name), attribute, None)
    if not callable(found):
        raise ConfigError(f"{place} has no function {attribute}; name one that it has.")

    def detect(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
        try:
            said = list(found(cases, rows))
        except Exception as error:
            raise InputError(
                f"{name} failed with {type(error).__name__}: {str(error)[:_SHOWN]}; mend it."
            ) from error
        return checked(name, said, cases, rows)

    return detect


def named(name: str) -> Detector:
    """A baseline by its name, or a function; raises ConfigError."""
    known = {**BASELINES, **TRACERS}
    if name in known:
        return known[name]
    if ":" in name:
        return function(name)
    raise ConfigError(
        f"no detector is called {name}; known are: {', '.join(known)}; write MODULE:FUNCTION or "
        "FILE.py:FUNCTION for one of yours."
    )


def checked(
    who: str, said: Sequence[Any], cases: Sequence[Case], rows: Sequence[Record]
) -> list[Finding]:
    """Findings, proven to be one per case with numbers and known rows; raises InputError.

    said: `Finding`s, or objects with score, and perhaps rows, q and probability. What is promised
    for one case, an error rate or that its score is a probability, is promised for all.
    """
    if len(said) != len(cases):
        raise InputError(
            f"{who} gave {len(said):,} findings for {len(cases):,} cases; give one for each, in "
            "their order."
        )
    known = frozenset(row["row_index"] for row in rows)
    found = [_checked(f"{who}, finding {n}", one, known) for n, one in enumerate(said, start=1)]
    scored = [one for one in found if one.score is not None]
    if len({one.q is None for one in scored}) > 1:
        raise InputError(f"{who} gave q for some cases; give it for every score or for none.")
    if len({one.probability for one in scored}) > 1:
        raise InputError(f"{who} calls some scores probabilities; let all be some, or none.")
    return found


def _checked(where: str, one: Any, known: frozenset[int]) -> Finding:
    if isinstance(one, Finding):
        one = {name: getattr(one, name) for name in _FIELDS}
    if not isinstance(one, dict) or "score" not in one or not one.keys() <= _FIELDS:
        raise InputError(
            f"{where}: write score, and if known rows, q and probability, and nothing else."
        )
    score, rows, q = one["score"], one.get("rows") or (), one.get("q")
    probability = one.get("probability", False)
    if score is not None and not _is_number(score):
        raise InputError(
            f"{where}: the score {score!r:.40} is no finite number; give one, or null."
        )
    if q is not None and not (_is_number(q) and 0 <= q <= 1):
        raise InputError(f"{where}: q is {q!r:.40}; give an error rate from 0 to 1, or null.")
    if type(probability) is not bool:
        raise InputError(f"{where}: probability is {probability!r:.40}; write true or false.")
    if probability and score is not None and not 0 <= score <= 1:
        raise InputError(f"{where}: the score {score!r:.40} is no probability; give 0 to 1.")
    if not isinstance(rows, list | tuple) or any(type(row) is not int for row in rows):
        raise InputError(f"{where}: rows is no list of row_index; give whole numbers.")
    if unknown := [row for row in rows if row not in known]:
        raise InputError(f"{where}: there is no row {unknown[0]}; use the row_index of the rows.")
    return Finding(
        None if score is None else float(score),
        tuple(dict.fromkeys(rows)),
        None if q is None else float(q),
        "the detector cannot say" if score is None else None,
        probability,
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _as_json(case: Case) -> dict[str, Any]:
    return {
        "group": case.group,
        "prompt": case.prompt,
        "response": case.response,
        "span": list(case.span),
        "tokens": list(case.tokens),
    }


def _answer(line: str, words: Sequence[str], said: str, timeout_s: float) -> str:
    """What the command writes; InputError where it does not end well."""
    try:
        done = subprocess.run(
            words, input=said.encode(), capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"the command `{line}` was stopped after {timeout_s:g} s; make it faster, or raise "
            "--timeout."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"the command `{line}` cannot be started ({error.strerror}); check its name."
        ) from error
    if done.returncode:
        words_of_it = done.stderr.decode(errors="replace").strip().splitlines()
        last = f": {words_of_it[-1][:_SHOWN]}" if words_of_it else ""
        raise InputError(
            f"the command `{line}` ended with status {done.returncode}{last.rstrip('.')}; mend it."
        )
    return done.stdout.decode(errors="replace")


def _parsed(line: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(
            f"the command `{line}` wrote `{text[:40]}`, which is no JSON; write one object a line."
        ) from error


def _module(place: str, name: str) -> ModuleType:
    try:
        return _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:
        raise ConfigError(
            f"{name} cannot be imported ({type(error).__name__}: {str(error)[:_SHOWN]}); name "
            "MODULE:FUNCTION or FILE.py:FUNCTION."
        ) from error


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
