"""What is asked, before anyone answers: prompts as ids, given starts of answers, what cannot be
asked and why.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.artefact import Artefact, Input, hash_file
from aftertune.data.readers import read_file
from aftertune.data.render import render_prompt
from aftertune.data.templates import BUILTIN, Template, get
from aftertune.errors import ArtefactError, InputError, TemplateError
from aftertune.models.reference import ModelRef
from aftertune.models.tuning_facts import tuning_facts
from aftertune.progress import Progress

if TYPE_CHECKING:
    from aftertune.models.load import Loaded

TOO_LONG = "prompt and answer do not fit into the model's context"


@dataclass(frozen=True)
class Asked:
    """A prompt as the model reads it: the table's record, its ids, the given start of an answer."""

    record: Mapping[str, Any]
    ids: list[int]
    prefix: list[int]


@dataclass(frozen=True)
class Aside:
    """A prompt or record that is not answered or taken; reasons are counted, details are not."""

    row_index: int
    line: int | None
    reason: str
    detail: str
    raw: str

    def as_record(self) -> dict[str, object]:
        """A record of the table `set_aside`."""
        reason = f"{self.reason} ({self.detail})" if self.detail else self.reason
        place = {"row_index": self.row_index, "line": self.line}
        return {**place, "reason": reason, "raw": self.raw}


@dataclass(frozen=True)
class Questions:
    """The prompts to answer, those set aside, and what rendering had to say, counted."""

    asked: list[Asked]
    aside: list[Aside]
    notes: dict[str, int]


def records_of(prompts: Artefact) -> list[dict[str, Any]]:
    """The records of a `prompts-…` artefact; raises ArtefactError for another one."""
    if "prompts" not in prompts.tables:
        raise ArtefactError(f"{prompts.folder} holds no prompts; make them with --prompts FILE.")
    return list(prompts.table("prompts").to_pylist())


def questions(
    records: Sequence[Mapping[str, Any]],
    prefixes: Mapping[str, list[int]],
    template: Template,
    loaded: "Loaded",
    max_new_tokens: int,
) -> Questions:
    """Render the records of a table `prompts`.

    Set aside are prompts that the template refuses and those that leave no room for
    `max_new_tokens` in the model's context. Raises InputError for a prefix that cannot belong.
    """
    found = Questions([], [], {})
    notes: Counter[str] = Counter()
    room = loaded.facts["context_length"]
    _check_prefixes(prefixes, records, loaded.facts["vocab_size"])
    for record in records:
        tags = json.loads(record["tags"])
        messages, tools = record["messages"], record["tools"]
        try:
            rendered = render_prompt(messages, tools, template, loaded.tokenizer, tags)
        except (TemplateError, InputError) as error:
            found.aside.append(_aside(record, str(error).rstrip("."), ""))
            continue
        prefix = prefixes.get(record["prompt_id"], [])
        needed = len(rendered.ids) + len(prefix) + max_new_tokens
        if room is not None and needed > room:
            detail = f"{needed:,} tokens, {max_new_tokens:,} of them new, in {room:,}"
            found.aside.append(_aside(record, TOO_LONG, detail))
            continue
        notes.update(rendered.notes)
        found.asked.append(Asked(record, list(rendered.ids), prefix))
    found.notes.update(sorted(notes.items()))
    return found


def tell(aside: Sequence[Aside], notes: Mapping[str, int], total: int, progress: Progress) -> None:
    """Warn of what is set aside, and of what rendering noted."""
    for reason, count in count_reasons(aside).items():
        progress.warn(f"{count:,} of {total:,} prompts are left out: {reason}")
    for note, count in notes.items():
        progress.warn(f"{count:,} of {total:,} prompts: {note}")


def count_reasons(aside: Sequence[Aside]) -> dict[str, int]:
    """reason -> how often, the most frequent first."""
    return dict(Counter(one.reason for one in aside).most_common())


def read_prefixes(path: str) -> tuple[dict[str, list[int]], Input]:
    """prompt_id -> the token ids that its answer begins with; and the file as an input.

    The file is JSON Lines, JSON or Parquet with `prompt_id` and `prefix_token_ids`.
    """
    found: dict[str, list[int]] = {}
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path of the prefixes.")
    for number, (line, value, error, _) in enumerate(read_file(Path(path), "train"), start=1):
        where = f"{path}, " + (f"row {number}" if line is None else f"line {line}")
        if error is not None:
            raise InputError(f"{where}: {error}; mend the file.")
        fields = value if isinstance(value, dict) else {}
        prompt_id, ids = fields.get("prompt_id"), fields.get("prefix_token_ids")
        if not isinstance(prompt_id, str) or not _are_ids(ids):
            raise InputError(
                f"{where} must hold prompt_id (text) and prefix_token_ids (a list of token ids)."
            )
        if prompt_id in found:
            raise InputError(f"{where} gives {prompt_id} a second prefix; keep one.")
        found[prompt_id] = list(ids or [])
    sha256 = hash_file(Path(path))
    return found, Input("prefix", sha256, sha256, path)


def template_for(name: str, ref: ModelRef, tokenizer: Any) -> Template:
    """The template `name`; `auto` is the one that a model was tuned with, if it was tuned here.

    Another template would be a second difference between base and tuned beside the tuning.
    """
    facts = tuning_facts(ref) if name == "auto" else None
    if facts and facts["source"] == "tune" and ref.path:
        kept = ref.path.parent / "template.jinja"
        name = facts["template"] if facts["template"] in (*BUILTIN, "chat") else str(kept)
    return get(name, tokenizer)


def template_input(template: Template) -> Input:
    """The template as an input of a stage: named by its source."""
    return Input("template", template.sha256, template.sha256, template.name)


def describe_template(template: Template, notes: Mapping[str, int]) -> dict[str, Any]:
    """JSON values for a manifest; `notes` counts what rendering had to say."""
    named = {"name": template.name, "kind": template.kind, "sha256": template.sha256}
    return {**named, "notes": dict(notes)}


def short_name(spec: str) -> str:
    """The last part of a model's or a file's name."""
    return Path(spec.split(":")[-1]).name or spec


def _aside(record: Mapping[str, Any], reason: str, detail: str) -> Aside:
    raw = json.dumps(record["messages"], ensure_ascii=False)[:2000]
    return Aside(record["row_index"], record["line"], reason, detail, raw)


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def _check_prefixes(
    prefixes: Mapping[str, list[int]], records: Sequence[Mapping[str, Any]], n_ids: int
) -> None:
    if prefixes and prefixes.keys().isdisjoint(record["prompt_id"] for record in records):
        raise InputError(
            "none of the prefixes belongs to one of these prompts; take prompt_id from the table "
            "of the prompts' artefact."
        )
    for prompt_id, prefix in prefixes.items():
        if any(token >= n_ids for token in prefix):
            raise InputError(
                f"the prefix of {prompt_id} holds token id {max(prefix)}, and the model knows "
                f"ids below {n_ids}; make prefixes with this model's tokenizer."
            )
