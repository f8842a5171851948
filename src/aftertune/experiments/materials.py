"""What controls hand to a stage: files and prompts, made once and named by their content."""

import hashlib
import json
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Input, Plan
from aftertune.config import StageConfig
from aftertune.data import templates
from aftertune.experiments.subject import Subject
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import find, local, resolve

VERSION = 1


class MaterialConfig(StageConfig):
    """A file that is named by its content."""

    name: str


class ChosenConfig(StageConfig):
    """Prompts of a table `responses`, each once."""

    prompt_ids: tuple[str, ...]


def text_file(name: str, text: str, out: Path) -> Path:
    """A file `name` with this text, in an artefact `material-…` of `out`."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    config = MaterialConfig(name=name)
    plan = Plan("material", VERSION, config.given(), config, (Input("text", sha256, sha256, ""),))
    if made := artefact.find(out, plan):
        return made.folder / name
    with artefact.draft(out, plan) as draft:
        artefact.write_durably(draft.folder / name, partial(_write, text.encode()))
        return draft.finish({"done": 1, "skipped": {}, "unscored": {}}).folder / name


def json_lines(name: str, records: list[dict[str, Any]], out: Path) -> Path:
    """`text_file` of one JSON object a line."""
    return text_file(name, "".join(json.dumps(one) + "\n" for one in records), out)


def prompts_of(subject: Subject, out: Path, chosen: Collection[str] | None = None) -> Artefact:
    """The prompts that the subject answered, as an artefact that `respond` takes.

    With `chosen` (prompt_ids) only those, each once. Where no prompts were given, they are those
    that stand with the answers.
    """
    if chosen is None and subject.prompts is not None:
        return subject.prompts
    records = _records(subject)
    if chosen is not None:
        records = [one for one in records if one["prompt_id"] in set(chosen)]
    config = ChosenConfig(prompt_ids=tuple(one["prompt_id"] for one in records))
    source = subject.prompts or subject.responses
    plan = Plan("prompts", VERSION, config.given(), config, (source.as_input("source"),))
    if made := artefact.find(out, plan):
        return made
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"prompts": schema.from_rows("prompts", records)})
        return draft.finish({"done": len(records), "skipped": {}, "unscored": {}})


def template_for_tuned(subject: Subject) -> str:
    """What to call the template that the subject was asked with, for its own tokenizer."""
    used = subject.responses.about["template"]
    return "chat" if used["kind"] == "tokenizer" else str(used["name"])


def template_for_base(subject: Subject, out: Path) -> str:
    """The same for the base's tokenizer: a chat template of the tuned one's becomes a file."""
    name = template_for_tuned(subject)
    if name != "chat":
        return name
    trust = subject.trust_remote_code
    wanted = subject.responses.about["template"]["sha256"]
    theirs = load_tokenizer(local(resolve(subject.base)), trust_remote_code=trust)
    if theirs.chat_template and templates.get("chat", theirs).sha256 == wanted:
        return "chat"
    own = load_tokenizer(find(subject.tuned, subject.base), trust_remote_code=trust)
    return str(text_file("template.jinja", templates.get("chat", own).source, out))


def _records(subject: Subject) -> list[dict[str, Any]]:
    """Records of the table `prompts`, the first of those that are alike."""
    if subject.prompts is not None:
        records = subject.prompts.table("prompts").to_pylist()
    else:
        columns = ["prompt_id", "row_index", "messages", "tags"]
        records = [
            {**one, "line": None, "tools": None, "cluster_id": one["prompt_id"],
             "duplicate_of": None}
            for one in subject.responses.table("responses").select(columns).to_pylist()
        ]  # fmt: skip
    first: dict[str, dict[str, Any]] = {}
    for one in records:
        first.setdefault(one["prompt_id"], one)
    return list(first.values())


def _write(text: bytes, path: Path) -> None:
    path.write_bytes(text)
