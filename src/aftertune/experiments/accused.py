"""Spans and the rows that they are accused of borrowing from, made ready to be scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.artefact import Artefact
from aftertune.errors import InputError
from aftertune.experiments.tunings import Tunings
from aftertune.experiments.verify_config import Accused
from aftertune.models.generate import Settings, decode, generate
from aftertune.models.load import Loaded
from aftertune.models.said import Said, said

_BATCH = 32  # answers that are continued at once


@dataclass(frozen=True)
class Case:
    """One span: its tokens, its prompt's last message, and its rows, best first.

    rows: those learnt from, at most as many as asked for; group: these and their near duplicates.
    """

    accused: Accused
    span: str
    prompt: str
    record: dict[str, Any]  # of the table `responses`
    said: Said
    rows: tuple[int, ...]
    group: frozenset[int]

    def as_json(self) -> dict[str, Any]:
        """What names the case in a finding."""
        place = self.accused.model_dump(mode="json", exclude={"rows"})
        rows = {"rows": list(self.rows), "group": sorted(self.group)}
        return {**place, "span": self.span, **rows}


def cases(
    accused: Sequence[Accused], responses: Artefact, tokenizer: Any, most_rows: int,
    tunings: Tunings | None,
) -> list[Case]:  # fmt: skip
    """One case per span. Rows that the tuning did not learn from are left out, where it is known.

    Raises InputError for a response that is not there, that has no token ids, or a span outside.
    """
    records = {one["response_id"]: one for one in responses.table("responses").to_pylist()}
    learnt = set(tunings.trained) if tunings else None
    found = []
    for one in accused:
        record = records.get(one.response_id)
        if record is None:
            raise InputError(
                f"{responses.folder} has no response {one.response_id}; give the responses that "
                "the spans were found in."
            )
        rows = tuple(row for row in one.rows if learnt is None or row in learnt)[:most_rows]
        group = tunings.duplicates(rows) if tunings else frozenset(rows)
        place = one.char_start, one.char_end
        span = record["response"][slice(*place)]
        prompt = str(record["messages"][-1]["content"] or "")
        tokens = said_of(record, place, tokenizer)
        found.append(Case(one, span, prompt, record, tokens, rows, group))
    return found


def check_scorable(responses: Artefact) -> None:
    """Raises InputError where the answers have no token ids, so no span of them can be scored."""
    columns = responses.table("responses").select(["prompt_token_ids", "response_token_ids"])
    if any(column.null_count for column in columns.columns):
        raise InputError(
            "these answers have no token ids, so influence on them cannot be had; let the model "
            "answer with `aftertune respond` and give that artefact as --responses."
        )


def said_of(record: dict[str, Any], place: tuple[int, int], tokenizer: Any) -> Said:
    """Characters [start, end) of a response, to be scored. Raises InputError where it has no token
    ids, or no such characters."""
    name = record["response_id"]
    if record["prompt_token_ids"] is None or record["response_token_ids"] is None:
        raise InputError(
            f"response {name} has no token ids, so nothing can be scored; let the model answer "
            "with `aftertune respond`."
        )
    ids = record["response_token_ids"]
    ids = ids[:-1] if record["finish_reason"] == "stop" else ids
    inside = place[1] <= len(record["response"])
    found = said(tokenizer, record["prompt_token_ids"], ids, record["response"], place)
    if not inside or found is None:
        raise InputError(
            f"characters {place[0]} to {place[1]} are not in response {name}; give a span of its "
            f"{len(record['response'])} characters."
        )
    return found


def says(loaded: Loaded, items: Sequence[Said]) -> list[bool]:
    """Per span whether greedy decoding from its original prefix says it, token by token."""
    longest = max((item.end - item.first for item in items), default=0)
    new = continued(loaded, items, [longest] * len(items))
    return [
        ids[: item.end - item.first] == item.response[item.first : item.end]
        for ids, item in zip(new, items, strict=True)
    ]


def continued(loaded: Loaded, items: Sequence[Said], lengths: Sequence[int]) -> list[list[int]]:
    """Token ids, greedy, that follow the original prefix of each span; at most `lengths` of them.

    No token stops them: what a stop token hides is of no interest here.
    """
    found: list[list[int]] = []
    for at in range(0, len(items), _BATCH):
        batch = list(zip(items, lengths, strict=True))[at : at + _BATCH]
        settings = Settings(max_new_tokens=max(length for _, length in batch))
        prefixes = [item.response[: item.first] for item, _ in batch]
        answers = generate(loaded.plain, [item.prompt for item, _ in batch], [], settings, prefixes)
        found += [one.ids[:length] for one, (_, length) in zip(answers, batch, strict=True)]
    return found


def texts(loaded: Loaded, ids: Sequence[Sequence[int]]) -> list[str]:
    """What token ids write; special tokens have no text."""
    return [decode(loaded.tokenizer, list(one)) for one in ids]
