"""Tables that say where the shift is: kinds of token, tags of the prompts, beginnings (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report import numbers

Model = Mapping[str, Any]  # as in view.py; `where` is what `shift.places.where` found, or None
Table = dict[str, Any]

MAX_TAGS = 4  # tags of the prompts that get a table
_BEGINNINGS = (
    ("sentence_start", "the first 5% of each sentence"),
    ("response_start", "the first 5% of each answer"),
)


def tables(models: Sequence[Model]) -> list[Table]:
    """Title, note, columns and rows of each table; none where no model was measured so."""
    shown = [model for model in models if model["where"]]
    if not shown:
        return []
    tags = list(dict.fromkeys(tag for model in shown for tag in model["where"]["tags"]))
    return [
        _beginnings(shown),
        _groups("Which kinds of token shift?", _KINDS_NOTE, "kind", shown, lambda w: w["kinds"]),
        *(
            _groups(
                f"Does it depend on {tag.replace('_', ' ')}?",
                "Mean KL(tuned from base), nats per token, of answers to prompts with this tag.",
                "value",
                shown,
                lambda where, tag=tag: where["tags"].get(tag, []),
            )
            for tag in tags[:MAX_TAGS]
        ),
    ]


_KINDS_NOTE = (
    "Mean KL(tuned from base), nats per token, by the kind of word that the token belongs to, and "
    "the kind’s share of all tokens. The rules are English."
)


def _beginnings(shown: Sequence[Model]) -> Table:
    rows = []
    for key, name in _BEGINNINGS:
        found = [model["where"][key] for model in shown]
        rows.append([f"{name}, minus the rest", *(_cell(f["difference"]) for f in found)])
        equal = [f["at_equal_entropy"]["difference"] for f in found]
        rows.append([f"{name}, minus the rest at equal base entropy", *map(_cell, equal)])
    return {
        "title": "Do beginnings shift more, or are they only uncertain?",
        "note": "Differences in mean KL(tuned from base), nats per token. The first token of a "
        "sentence is uncertain for any model; at equal base entropy that cannot be the reason.",
        "columns": ["what is compared", *(model["name"] for model in shown)],
        "rows": rows,
    }


def _groups(title: str, note: str, key: str, shown: Sequence[Model], of: Any) -> Table:
    found = [{entry[key]: entry for entry in of(model["where"])} for model in shown]
    names = list(dict.fromkeys(name for groups in found for name in groups))
    rows = [[name, *(_group_cell(groups.get(name)) for groups in found)] for name in names]
    return {
        "title": title,
        "note": note,
        "columns": [key, *(model["name"] for model in shown)],
        "rows": rows,
    }


def _group_cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return numbers.NONE
    kl = entry["kl"].get("per_token", entry["kl"])
    share = entry.get("share_of_tokens")
    said = f", {numbers.percent(share['estimate'])} of tokens" if share else ""
    return _cell(kl) + said


def _cell(estimate: Mapping[str, Any]) -> str:
    if estimate["estimate"] is None:
        return str(estimate["reason"])
    return numbers.with_interval(estimate)
