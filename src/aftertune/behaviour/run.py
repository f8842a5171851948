"""The stage `behaviour`: table `behaviour`, one line for each answer and check.

Nothing here asks a model. What cannot be said of an answer stands in the table without a value,
with the reason.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Input, Plan
from aftertune.behaviour import (
    endings,
    json_asked,
    language,
    leaks,
    lengths,
    personal,
    refusals,
    repetition,
    verbatim,
)  # fmt: skip
from aftertune.behaviour.checks import CHECKS
from aftertune.behaviour.config import BehaviourConfig
from aftertune.behaviour.finding import Finding, unknown
from aftertune.behaviour.own import OwnCheck, own_check
from aftertune.behaviour.prompt_list import Belongs, prompt_list
from aftertune.errors import ArtefactError, ConfigError, InputError
from aftertune.progress import Progress
from aftertune.stats.intervals import bootstrap_mean

VERSION = 1
PART_ANSWERS = 400
NOT_LISTED = "the prompt is not in the list"
NO_LIST = "no list is given"
_READ = ["response_id", "prompt_id", "messages", "response", "response_token_ids",
         "finish_reason", "tags"]  # fmt: skip

Record = Mapping[str, Any]
Count = Callable[[str], int]  # tokens of a text


@dataclass(frozen=True)
class Known:
    """What the checks look things up in; None where it was not given."""

    lists: Mapping[str, Belongs]  # check -> which answers it is of
    own: Sequence[OwnCheck]
    words: verbatim.RowWords | None
    personal: dict[str, int] | None
    count: Count | None
    verbatim_words: int


def run(
    config: BehaviourConfig, responses: Mapping[str, Artefact], rows: Artefact | None, out: Path,
    progress: Progress,
) -> Artefact:  # fmt: skip
    """Check the answers of named models (artefacts with a table `responses`).

    rows: for what answers took from rows, and for their lengths. Raises UserError.
    """
    _check(config, responses)
    lists, inputs = _lists(config)
    own = [own_check(name, given) for name, given in config.checks.items()]
    inputs += [one.input for one in own]
    inputs += [one.as_input(f"responses {name}") for name, one in responses.items()]
    inputs += [rows.as_input("rows")] if rows else []
    inputs += [_tokenizer_input(config.tokenizer)] if config.tokenizer else []
    plan = Plan("behaviour", VERSION, config.given(), config, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    count = _counter(config.tokenizer) if config.tokenizer else None
    texts = list(_row_texts(rows)) if rows else None
    known = Known(
        lists, own,
        None if texts is None else verbatim.RowWords.of([(at, said) for at, said, _ in texts]),
        None if texts is None else personal.personal_of((at, whole) for at, _, whole in texts),
        count, config.verbatim_words,
    )  # fmt: skip
    parts = list(_parts(responses, config.limit))
    with artefact.draft(out, plan) as draft:
        mine = draft.mine(range(len(parts)))
        with progress.task("checking answers", sum(len(parts[at][1]) for at in mine)) as task:
            for index in mine:
                model, records = parts[index]
                if not draft.has(index, ["behaviour"]):
                    found_here = [line for one in records for line in _lines(model, one, known)]
                    draft.write(index, {"behaviour": schema.from_rows("behaviour", found_here)})
                task.advance(len(records))
        if finished := draft.meet():
            return finished
        done = Counter(model for model, records in parts for _ in records)
        about = {"models": list(responses), "checks": list(_names(known)),
                 "rows": _lengths_of_rows(texts, count)}  # fmt: skip
        return draft.finish({"done": sum(done.values()), "skipped": {}, "answers": done}, about)


def findings(record: Record, known: Known) -> dict[str, Finding]:
    """What every check says of one record of the table `responses`; check -> finding."""
    asked, said = prompt_text(record["messages"]), record["response"]
    refused = refusals.refusal(said)
    counted = known.count(said) if known.count else None
    found = {
        "hit_limit": endings.hit_limit(record["finish_reason"]),
        "loop": repetition.loop(asked, said),
        "said_before": repetition.said_before(said),
        "empty": endings.empty(said),
        "template_tokens": leaks.leak(asked, said),
        "wrong_language": language.wrong_language(asked, said),
        "invalid_json": json_asked.invalid_json(asked, said),
        "refusal": refused,
        "verbatim": verbatim.copied(asked, said, known.words, known.verbatim_words),
        "personal_data": personal.from_rows(asked, said, known.personal),
        "words": lengths.words(said),
        "tokens": lengths.tokens(record["response_token_ids"], counted),
    }
    for name in ("refusal_harmless", "refusal_deserved"):
        belongs = known.lists.get(name)
        if belongs is None:
            found[name] = unknown(NO_LIST)
        else:
            found[name] = refused if belongs(record) else unknown(NOT_LISTED)
    return found | {own.name: own.say(asked, said) for own in known.own}


def prompt_text(messages: Sequence[Record]) -> str:
    """What was asked: the turns of others than the assistant."""
    return "\n\n".join(one["content"] or "" for one in messages if one["role"] != "assistant")


def _lines(model: str, record: Record, known: Known) -> Iterator[dict[str, object]]:
    for name, found in findings(record, known).items():
        yield {
            "response_id": record["response_id"], "prompt_id": record["prompt_id"], "model": model,
            "check": name, "value": found.value, "flagged": found.flagged, "reason": found.reason,
            "evidence_start": found.start, "evidence_end": found.end,
        }  # fmt: skip


def _names(known: Known) -> Iterator[str]:
    yield from CHECKS
    yield from (one.name for one in known.own)


def _check(config: BehaviourConfig, responses: Mapping[str, Artefact]) -> None:
    if not responses:
        raise ConfigError("no answers are given; add --responses [NAME=]ANSWERS.")
    for one in responses.values():
        if "responses" not in one.tables:
            raise ArtefactError(f"{one.folder} holds no answers; give a respond-… artefact.")
    for name in config.checks:
        if name in CHECKS:
            raise ConfigError(f"--check {name}: this name is taken; choose another one.")


def _lists(config: BehaviourConfig) -> tuple[dict[str, Belongs], list[Input]]:
    lists, inputs = {}, []
    for option, check in (("harmless", "refusal_harmless"), ("deserve", "refusal_deserved")):
        if given := getattr(config, option):
            lists[check], one = prompt_list(option, given)
            inputs.append(one)
    return lists, inputs


def _parts(
    responses: Mapping[str, Artefact], limit: int | None
) -> Iterator[tuple[str, list[Record]]]:
    for model, one in responses.items():
        records = one.table("responses").select(_READ).to_pylist()[:limit]
        if not records:
            raise InputError(f"the answers of {model} are none; give others.")
        for start in range(0, len(records), PART_ANSWERS):
            yield model, records[start : start + PART_ANSWERS]


def _row_texts(rows: Artefact) -> Iterator[tuple[int, str, str]]:
    """(row_index, its answers, all of it)."""
    for part in rows.parts("rows"):
        for row in part.select(["row_index", "messages"]).to_pylist():
            turns = row["messages"]
            said = "\n".join(one["content"] or "" for one in turns if one["role"] == "assistant")
            yield row["row_index"], said, "\n".join(one["content"] or "" for one in turns)


def _lengths_of_rows(
    texts: Sequence[tuple[int, str, str]] | None, count: Count | None
) -> dict[str, Any] | None:
    """How long the rows' answers are, with intervals over rows; None without rows."""
    if texts is None:
        return None
    found: dict[str, Any] = {"n": len(texts)}
    found["words"] = bootstrap_mean([lengths.words(said).value or 0 for _, said, _ in texts])
    if count:
        found["tokens"] = bootstrap_mean([count(said) for _, said, _ in texts])
    return {name: one if name == "n" else one.as_json() for name, one in found.items()}


def _tokenizer_input(spec: str) -> Input:
    from aftertune.models.identity import identity  # noqa: PLC0415 - hashes files
    from aftertune.models.reference import find  # noqa: PLC0415 - hashes files

    return identity(find(spec)).as_input("tokenizer")


def _counter(spec: str) -> Count:
    from aftertune.models.load import load_tokenizer  # noqa: PLC0415 - loads transformers

    tokenizer = load_tokenizer(spec)
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
