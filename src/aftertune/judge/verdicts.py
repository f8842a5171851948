"""From what a judge said to the table `verdicts` (pure)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.judge.calls import Call, once_more
from aftertune.judge.journal import Answer
from aftertune.judge.parse import Read, parse, why_not

SCORED = "scored"
UNREADABLE = "unreadable"  # also when asked once more
NO_ANSWER = "no answer"  # the judge gave none
NO_VERDICT = "no verdict"  # recorded verdicts have none on this answer

Record = dict[str, Any]


def to_ask_again(
    calls: Sequence[Call], answers: Mapping[str, Answer], aspects: Sequence[str]
) -> dict[str, Call]:
    """The calls whose answer cannot be read, each once more: by the key of the first."""
    found = {}
    for call in calls:
        if (answer := answers.get(call.key)) is None:
            continue
        if why := why_not(_read(answer, aspects, call.pair)):
            found[call.key] = once_more(call, answer.text, why)
    return found


def records(
    calls: Sequence[Call], answers: Mapping[str, Answer], unanswered: Mapping[str, str],
    aspects: Sequence[str], judge: str,
) -> list[Record]:  # fmt: skip
    """One record per call and aspect, in the order of the calls.

    An aspect that the first answer left unreadable is taken from the second. unanswered: key of a
    call -> why it has no answer.
    """
    found = []
    asked_again = to_ask_again(calls, answers, aspects)
    for call in calls:
        again = asked_again[call.key].key if call.key in asked_again else ""
        said = [answers[key] for key in (call.key, again) if key in answers]
        reads = [_read(answer, aspects, call.pair) for answer in said]
        for aspect in aspects:
            if reads:
                read = _best([one[aspect] for one in reads])
                status = SCORED if read.score is not None else UNREADABLE
                why = read.why
                if status == UNREADABLE and again in unanswered:
                    why = f"{why}; asked once more: {unanswered[again]}"
            else:
                read, status = Read(None, None), NO_ANSWER
                why = unanswered.get(call.key, "it was not asked")
            found.append(_record(call, judge, aspect, read, status, why))
    return found


def why_unscored(found: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """`status: reason` of the records without a score -> how many, the most frequent first.

    Behind a colon a reason has somebody else's words, which may quote an answer; they are left
    out, since counts are shown where texts are not.
    """
    without = [one for one in found if one["score"] is None]
    reasons = [f"{one['status']}: {one['reason'].partition(': ')[0]}" for one in without]
    return dict(Counter(reasons).most_common())


def _read(answer: Answer, aspects: Sequence[str], pair: bool) -> dict[str, Read]:
    found = parse(answer.text, aspects, pair)
    if answer.finish_reason != "length":
        return found
    return {
        name: Read(None, None, f"{one.why} (cut at the length limit)") if one.why else one
        for name, one in found.items()
    }


def _best(reads: Sequence[Read]) -> Read:
    """The first with a score; else the last, whose reason is the final one."""
    return next((one for one in reads if one.score is not None), reads[-1])


def _record(
    call: Call, judge: str, aspect: str, read: Read, status: str, why: str | None
) -> Record:
    score = read.score
    if score is not None and call.presentation == "second":
        score = 1 - score  # what was read is of the answer that is shown first
    return {
        "response_id": call.item.response_id,
        "other_response_id": call.item.other_response_id,
        "judge": judge,
        "aspect": aspect,
        "score": score,
        "status": status,
        "reason": read.reason if status == SCORED else why,
        "repeat": call.repeat,
        "presentation": call.presentation,
    }
