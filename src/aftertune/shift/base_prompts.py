"""What the base reads where it does not read the tuned model's prompts: the same messages under
another template, in its own tokenizer's ids.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from aftertune.artefact import Input
from aftertune.data.render import render_prompt, stop_ids
from aftertune.data.templates import Template, get
from aftertune.errors import InputError, TemplateError
from aftertune.models.load import load_tokenizer
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import Models


@dataclass(frozen=True)
class BasePrompts:
    """ids: response_id -> its prompt as the base reads it, but for those that the template refuses.
    notes: what rendering had to say, and for how many responses."""

    ids: dict[str, list[int]]
    notes: dict[str, int]


@dataclass(frozen=True)
class BaseTemplate:
    """A template and the base's own tokenizer, which renders with it."""

    template: Template
    tokenizer: Any

    def as_input(self) -> Input:
        """The template as an input of the stage: named by its source."""
        sha256 = self.template.sha256
        return Input("base_template", sha256, sha256, self.template.name)

    def prompts(self, responses: pa.Table) -> BasePrompts:
        """The prompts of a table `responses`.

        Definitions of tools are taken from a column `tools` where the table has one.
        """
        columns = {"response_id", "messages", "tools", "tags"} & set(responses.column_names)
        ids: dict[str, list[int]] = {}
        notes: Counter[str] = Counter()
        for record in responses.select(sorted(columns)).to_pylist():
            try:
                rendered = render_prompt(
                    record["messages"], record.get("tools"), self.template, self.tokenizer,
                    json.loads(record["tags"]),
                )  # fmt: skip
            except (TemplateError, InputError):
                continue
            ids[record["response_id"]] = list(rendered.ids)
            notes.update(rendered.notes)
        return BasePrompts(ids, dict(sorted(notes.items())))

    def describe(self) -> dict[str, str]:
        """JSON values for a manifest."""
        named = self.template
        return {"name": named.name, "kind": named.kind, "sha256": named.sha256}

    def stops_alike(self, stops: Sequence[int] | None) -> bool | None:
        """Whether answers end on the ids `stops` in this template too; None where these are not
        known. Where not, the base was never shown the token with which the responses end."""
        if stops is None:
            return None
        return set(stops) == set(stop_ids(self.template, self.tokenizer))


def base_template(config: ShiftConfig, models: Models) -> BaseTemplate | None:
    """The template that `config` gives the base, None where it gives none.

    `auto` is the chat template of the base's tokenizer where it has one, else alpaca; what the
    tuned model was tuned with does not matter. Raises TemplateError.
    """
    if config.base_template is None:
        return None
    tokenizer = load_tokenizer(models.base, trust_remote_code=config.trust_remote_code)
    return BaseTemplate(get(config.base_template, tokenizer), tokenizer)
