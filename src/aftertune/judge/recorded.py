"""Verdicts that exist: JSON Lines (or CSV, Parquet) of ours, and just-eval's result files.

Ours has one verdict per line: response_id, aspect, score, and where known judge, reason, repeat,
other_response_id, presentation; it is what the table `verdicts` holds. just-eval's files hold one
answer (or pair) per object; they are matched by the texts of prompt and answer. What matches no
answer is counted, and an answer without a verdict is unscored, so that nothing is lost in silence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.data.readers import read_file
from aftertune.errors import InputError
from aftertune.judge.calls import Responses
from aftertune.judge.parse import Read, parse, read_aspects, score_of
from aftertune.judge.prompt import conversation
from aftertune.judge.verdicts import NO_VERDICT, SCORED, UNREADABLE, Record

UNKNOWN_RESPONSE = "its answer is not among the responses"
OTHER_ASPECT = "its aspect is not asked for"
NOT_READABLE = "it is neither a verdict of ours nor one of just-eval"
NOT_RECORDED = "the file holds no verdict on it"
UNNAMED = "recorded"
_CUT = "... (truncated)"  # just-eval cuts long answers and says so
_PAIR_SCORES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Recorded:
    """Verdicts on our responses. aside: why other lines of the file were left out -> how many."""

    judge: str
    records: list[Record]
    aside: dict[str, int]


def read(path: str, responses: Responses, aspects: Sequence[str]) -> Recorded:
    """The verdicts in a file on `responses`; raises InputError, also when none belongs to them."""
    values: list[Any] = []
    broken = 0
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path of the verdicts.")
    for _, value, error, _ in read_file(Path(path), "train"):
        broken += error is not None
        values += [value] if error is None else []
    found = matched(values, responses, aspects)
    if broken:
        found.aside["it is not JSON"] = broken
    if not any(one["status"] != NO_VERDICT for one in found.records):
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in found.aside.items())
        raise InputError(f"{path} holds no verdict on these answers: {reasons or 'it is empty'}.")
    return found


def matched(values: Iterable[Any], responses: Responses, aspects: Sequence[str]) -> Recorded:
    """The same from the file's objects (pure)."""
    known = _Known(responses)
    found: list[Record] = []
    aside: Counter[str] = Counter()
    for value in values:
        fields = value if isinstance(value, dict) else {}
        if "eval_config" in fields:
            records = _just_eval(fields, known, aspects)
        elif isinstance(fields.get("response_id"), str):
            records = _ours(fields, known, aspects)
        else:
            records = NOT_READABLE
        if isinstance(records, str):
            aside[records] += 1
        else:
            found += records
    judges = sorted({one["judge"] for one in found})
    if len(judges) > 1:
        raise InputError(
            f"the verdicts are of several judges ({', '.join(judges)}); give a file of one."
        )
    judge = judges[0] if judges else UNNAMED
    _number(found)
    return Recorded(judge, found + _missing(found, responses, aspects, judge), dict(aside))


class _Known:
    """Where every answer is; a class because it is asked by id and by text."""

    def __init__(self, responses: Responses) -> None:
        self.model_of = {
            record["response_id"]: place
            for place, records in enumerate(responses.values())
            for record in records
        }
        self._by_prompt: dict[str, list[tuple[str, str]]] = {}
        for records in responses.values():
            for record in records:
                asked = _plain(conversation(record["messages"]))
                answer = (_plain(record["response"]), record["response_id"])
                self._by_prompt.setdefault(asked, []).append(answer)

    def with_text(self, asked: Any, answer: Any) -> list[str]:
        """Ids of the answers with these texts; several models may have answered alike."""
        wanted = _plain(str(answer))
        cut = wanted.removesuffix(_plain(_CUT)).strip()
        found = self._by_prompt.get(_plain(str(asked)), [])
        if cut == wanted:
            return [name for text, name in found if text == wanted]
        return [name for text, name in found if text.startswith(cut)]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _ours(value: Mapping[str, Any], known: _Known, aspects: Sequence[str]) -> list[Record] | str:
    other = value.get("other_response_id") or None
    names = [value["response_id"], *([other] if other else [])]
    if any(name not in known.model_of for name in names):
        return UNKNOWN_RESPONSE
    if value.get("aspect") not in aspects:
        return OTHER_ASPECT
    score = _pair_score(value.get("score")) if other else score_of(value.get("score"))
    reason = value.get("reason") if isinstance(value.get("reason"), str) else None
    if isinstance(score, float):
        one = Read(score, reason)
    else:
        one = Read(None, None, f"{score}: {reason}" if reason else score)
    shown = value.get("presentation")
    if shown not in ("first", "second"):
        shown = "first" if other else "alone"
    record = _record(value["response_id"], other, value, value["aspect"], one, str(shown))
    return [_in_order(record, known)]


def _just_eval(
    value: Mapping[str, Any], known: _Known, aspects: Sequence[str]
) -> list[Record] | str:
    pair = "output_A" in value
    settings = value["eval_config"] if isinstance(value["eval_config"], dict) else {}
    named = {"judge": settings.get("gpt")}
    said = value.get("parsed_result")
    if isinstance(said, dict) and said:
        reads = read_aspects(said, aspects, pair)
    else:
        reads = parse(str(value.get("result") or ""), aspects, pair)
    asked = value.get("input")
    wanted: list[tuple[str, str | None]]
    if not pair:
        wanted = [(name, None) for name in known.with_text(asked, value.get("output_cand"))]
    else:
        first, second = (known.with_text(asked, value.get(f"output_{one}")) for one in "AB")
        wanted = [(a, b) for a in first for b in second if a != b]
    if not wanted:
        return UNKNOWN_RESPONSE
    shown = "first" if pair else "alone"
    return [
        _in_order(_record(name, other, named, aspect, one, shown), known)
        for name, other in wanted
        for aspect, one in reads.items()
    ]


def _record(
    response_id: str, other: str | None, value: Mapping[str, Any], aspect: str, one: Read,
    shown: str,
) -> Record:  # fmt: skip
    judge, repeat = value.get("judge"), value.get("repeat")
    return {
        "response_id": response_id,
        "other_response_id": other,
        "judge": judge if isinstance(judge, str) and judge else UNNAMED,
        "aspect": aspect,
        "score": one.score,
        "status": SCORED if one.score is not None else UNREADABLE,
        "reason": one.reason if one.score is not None else one.why,
        "repeat": repeat if type(repeat) is int and repeat >= 0 else None,
        "presentation": shown,
    }


def _in_order(record: Record, known: _Known) -> Record:
    """A pair as our own are written: the answer of the earlier model is `response_id`."""
    one, other = record["response_id"], record["other_response_id"]
    if other is None or known.model_of[one] <= known.model_of[other]:
        return record
    turned = {"first": "second", "second": "first"}[record["presentation"]]
    score = None if record["score"] is None else 1 - record["score"]
    return {**record, "response_id": other, "other_response_id": one, "score": score,
            "presentation": turned}  # fmt: skip


def _pair_score(value: Any) -> float | str:
    try:
        score = float(value)
    except (TypeError, ValueError):
        return "the score is not a number"
    return score if score in _PAIR_SCORES else "the score of a pair is not 0, 0.5 or 1"


def _number(found: Sequence[Record]) -> None:
    """Give verdicts without a repeat the next one of their question, in the file's order."""
    taken: dict[tuple[Any, ...], set[int]] = {}
    for one in found:
        used = taken.setdefault(_question(one), set())
        if one["repeat"] is None or one["repeat"] in used:
            one["repeat"] = next(n for n in range(len(used) + 1) if n not in used)
        used.add(one["repeat"])


def _question(one: Record) -> tuple[Any, ...]:
    return tuple(one[n] for n in ("response_id", "other_response_id", "aspect", "presentation"))


def _missing(
    found: Sequence[Record], responses: Responses, aspects: Sequence[str], judge: str
) -> list[Record]:
    """Answers judged alone by nobody, where the file judges answers alone."""
    have = {(one["response_id"], one["aspect"]) for one in found if not one["other_response_id"]}
    if not have:
        return []
    return [
        {
            "response_id": record["response_id"], "other_response_id": None, "judge": judge,
            "aspect": aspect, "score": None, "status": NO_VERDICT, "reason": NOT_RECORDED,
            "repeat": 0, "presentation": "alone",
        }
        for records in responses.values()
        for record in records
        for aspect in aspects
        if (record["response_id"], aspect) not in have
    ]  # fmt: skip
