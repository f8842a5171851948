"""Answers that exist already, taken as they are into the table `responses`.

Where the file has token ids they are kept, once they were checked against the tokenizer
(`ids_from` is "file"). Else the prompt is rendered with the template and the answer encoded once,
as a stretch of its own ("encoded"). Without a model, and where the tokenizer does not give the
text back, there are no ids ("text").
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Input, Plan
from aftertune.data.conversations import BadRow
from aftertune.data.raw import RAW_CHARACTERS, Raw
from aftertune.data.render import render_prompt
from aftertune.data.sources import open_source
from aftertune.errors import InputError, TemplateError
from aftertune.models.identity import identity
from aftertune.models.reference import find
from aftertune.progress import Progress
from aftertune.respond.answers import GivenAnswer, Record, read
from aftertune.respond.config import GivenConfig
from aftertune.respond.encoding import Encoder, check_range, checked, encoded
from aftertune.respond.prompts import (
    Aside,
    count_reasons,
    describe_template,
    records_of,
    short_name,
    tell,
    template_for,
    template_input,
)

VERSION = 1
PART_ROWS = 1024
ALTERED = "the tokenizer does not give the text back"
UNKNOWN_PROMPT = "its prompt is not among the prompts"


def run_given(
    config: GivenConfig, prompts: Artefact | None, out: Path, progress: Progress
) -> Artefact:
    """Take the answers in `config.source`: tables `responses` and `set_aside`.

    With `prompts`, an answer belongs to the prompt of equal content and has its id and place;
    answers to other prompts are set aside. Raises UserError, also when no record is usable.
    """
    source = open_source(config.source, "prompts", "train")
    encoder, inputs = _encoder(config)
    inputs = [*source.inputs, *inputs, *([prompts.as_input("prompts")] if prompts else [])]
    resolved = config.resolve(
        name=config.name or Path(short_name(config.source)).stem,
        template=encoder.template.name if encoder else config.template,
    )
    plan = Plan("respond", VERSION, config.given(), resolved, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    taken = _Taken(plan.id, resolved.name or "", encoder, records_of(prompts) if prompts else None)
    raws = list(islice(source.raws, config.limit))
    with progress.task("reading answers", len(raws)) as task:
        for raw in raws:
            taken.take(raw, config)
            task.advance()
    if not taken.records:
        raise _nothing_good(config.source, taken.aside)
    tell(taken.aside, dict(taken.notes), len(taken.records) + len(taken.aside), progress)
    about = {
        "source": config.source,
        "model": config.model,
        "template": describe_template(encoder.template, taken.notes) if encoder else None,
        "stop_ids": encoder.stops if encoder else None,
        "settings": None,
        "stability": None,
    }
    with artefact.draft(out, plan) as draft:
        for index, part in enumerate(_parts(taken.records)):
            if not draft.has(index, ["responses"]):
                draft.write(index, {"responses": schema.from_rows("responses", part)})
        aside = [one.as_record() for one in taken.aside]
        draft.write(0, {"set_aside": schema.from_rows("set_aside", aside)})
        finished = draft.finish(_counts(taken), about)
    progress.say(f"{len(taken.records):,} answers taken from {config.source}")
    return finished


def prompt_id(messages: Sequence[Any], tools: str | None) -> str:
    """The id that the stage `prompts` gives to the same content."""
    return f"p-{artefact.hash_json({'messages': list(messages), 'tools': tools})[:16]}"


class _Taken:
    """What was read so far; a class because matching prompts has to remember what it gave out."""

    def __init__(
        self, plan_id: str, name: str, encoder: Encoder | None,
        known: list[dict[str, Any]] | None,
    ) -> None:  # fmt: skip
        self.plan_id, self.name, self.encoder = plan_id, name, encoder
        self.records: list[dict[str, Any]] = []
        self.aside: list[Aside] = []
        self.notes: Counter[str] = Counter()
        self.unscored: Counter[str] = Counter()
        # equal prompts are given out in their order, the last one again and again
        self.known: dict[str, list[dict[str, Any]]] | None = None
        if known is not None:
            self.known = defaultdict(list)
            for prompt in known:
                self.known[prompt["prompt_id"]].append(prompt)

    def take(self, raw: Raw, config: GivenConfig) -> None:
        """Add the answers of one object of the source, or set it aside."""
        try:
            if raw.error is not None:
                raise raw.error
            record = read(raw.value, config.format)
            place = self._place(record, raw.row_index)
            found = [self._row(record, n, place) for n in range(len(record.answers))]
        except BadRow as bad:
            text = raw.raw or json.dumps(raw.value, ensure_ascii=False)[:RAW_CHARACTERS]
            storable = text.encode("utf-8", "replace").decode()
            aside = Aside(raw.row_index, raw.line, bad.reason, bad.detail, storable)
            self.aside.append(aside)
            return
        self.records += found
        if self.known is not None and len(self.known[place["prompt_id"]]) > 1:
            self.known[place["prompt_id"]].pop(0)

    def _place(self, record: Record, source_index: int) -> dict[str, Any]:
        """prompt_id, row_index and tags of the prompt that is answered; where its record stands."""
        item = record.item
        found = prompt_id(item.messages, item.tools)
        place = {"prompt_id": found, "source_index": source_index}
        if self.known is None:
            return {**place, "row_index": source_index, "tags": item.tags}
        if found not in self.known:
            raise BadRow(UNKNOWN_PROMPT)
        prompt = self.known[found][0]
        tags = {**item.tags, **json.loads(prompt["tags"])}
        return {**place, "row_index": prompt["row_index"], "tags": tags}

    def _row(self, record: Record, sample: int, place: dict[str, Any]) -> dict[str, Any]:
        answer = record.answers[sample]
        prompt_ids, coded, ids_from = self._ids(record, answer)
        if ids_from == "text" and self.encoder is not None:
            self.unscored[ALTERED] += 1
        key = [self.plan_id, place["source_index"], sample]
        return {
            "response_id": f"a-{artefact.hash_json(key)[:16]}",
            "prompt_id": place["prompt_id"],
            "row_index": place["row_index"],
            "sample": sample,
            "model": self.name,
            "messages": record.item.messages,
            "response": coded.text,
            "prompt_token_ids": prompt_ids,
            "response_token_ids": coded.token_ids,
            "finish_reason": coded.finish_reason,
            "ids_from": ids_from,
            "tags": json.dumps(place["tags"], ensure_ascii=False, allow_nan=False),
        }

    def _ids(
        self, record: Record, answer: GivenAnswer
    ) -> tuple[list[int] | None, GivenAnswer, str]:
        """The prompt's ids, the answer with its ids and their text, and whence the ids are."""
        if self.encoder is None:
            if answer.text is None:
                raise BadRow("an answer has token ids only", "its text needs a model's tokenizer")
            return None, replace(answer, token_ids=None), "text"
        prompt_ids = record.prompt_token_ids
        if prompt_ids is None:
            prompt_ids = self._render(record)
        else:
            check_range(prompt_ids, self.encoder.tokenizer)
        if answer.token_ids is not None:
            return prompt_ids, checked(answer, self.encoder), "file"
        coded = encoded(answer, self.encoder)
        if coded.token_ids is None:
            return None, coded, "text"
        return prompt_ids, coded, "encoded"

    def _render(self, record: Record) -> list[int]:
        assert self.encoder is not None
        item = record.item
        try:
            rendered = render_prompt(
                item.messages, item.tools, self.encoder.template, self.encoder.tokenizer, item.tags
            )
        except (TemplateError, InputError) as error:
            raise BadRow(str(error).rstrip(".")) from error
        self.notes.update(rendered.notes)
        return list(rendered.ids)


def _encoder(config: GivenConfig) -> tuple[Encoder | None, list[Input]]:
    if config.model is None:
        return None, []
    from aftertune.models.load import load_tokenizer  # seconds, which texts alone do not need

    ref = find(config.model, config.base)
    tokenizer = load_tokenizer(ref, trust_remote_code=config.trust_remote_code)
    template = template_for(config.template, ref, tokenizer)
    found = identity(ref).as_input("model")
    return Encoder(tokenizer, template), [found, template_input(template)]


def _parts(records: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [records[start : start + PART_ROWS] for start in range(0, len(records), PART_ROWS)]


def _counts(taken: _Taken) -> dict[str, Any]:
    records = taken.records
    ids = [record["response_token_ids"] for record in records]
    return {
        "done": len(records),
        "skipped": count_reasons(taken.aside),
        "unscored": dict(taken.unscored),
        "finish_reasons": dict(sorted(Counter(r["finish_reason"] for r in records).items())),
        "ids_from": dict(sorted(Counter(r["ids_from"] for r in records).items())),
        "tokens": sum(map(len, (one for one in ids if one is not None))),
        "empty": sum(not record["response"].strip() for record in records),
    }


def _nothing_good(source: str, aside: Sequence[Aside]) -> InputError:
    if not aside:
        return InputError(f"{source} holds no answers.")
    reason, count = next(iter(count_reasons(aside).items()))
    first = next(one for one in aside if one.reason == reason)
    where = f"row {first.row_index} (from 0)" if first.line is None else f"line {first.line}"
    return InputError(
        f"{source} has no usable answer: {count:,} of {len(aside):,} records were set aside for "
        f"`{reason}`, the first at {where}."
    )
