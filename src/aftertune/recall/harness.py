"""What lm-evaluation-harness found, item by item, paired between base and tuned (pure).

The harness (EleutherAI, https://github.com/EleutherAI/lm-evaluation-harness) can log every item: as
`samples_<task>_<date>.jsonl` (`--log_samples`) or in the dict of `simple_evaluate`. Both hold per
item the document, what was asked, what came back and the value of each metric. Here a metric that
is 0 or 1 becomes right or wrong; one that is neither leaves the item without a verdict.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aftertune.errors import InputError
from aftertune.recall.paired import Pair

# The metric that is taken where the user names none: the first of these that the task has.
PREFERRED = ("acc", "exact_match")
# What a logged item holds besides its metrics.
_BESIDE = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
}  # fmt: skip
_QUESTIONS = ("question", "query", "prompt", "sentence", "input", "text")
_TAGS = ("subject", "category", "level")
_SHOWN = 300  # characters of a question, its last ones

Logged = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One item of a task as one model met it.

    right: by `metric`; None where it says neither. logprobs: of each choice in nats, where the
    task scores choices. expected and said: the answer wanted, and the likeliest choice or the text
    that was generated. content: what must be alike in two models' items to be paired.
    """

    task: str
    item: str
    metric: str
    right: bool | None
    logprobs: tuple[float, ...] | None
    question: str
    expected: str
    said: str
    content: str
    prompt: str
    tags: Mapping[str, str] = field(default_factory=dict)


def items(
    logged: Iterable[Logged], task: str, metric: str | None = None, filter_name: str | None = None
) -> list[Item]:
    """The items of one task, in the order of the log.

    metric: else `acc`, `exact_match`, or the first that is 0 or 1 on every item. filter_name: of
    tasks that log an item once per filter; else the first one logged. Raises InputError where the
    log is none, or has no such metric or filter.
    """
    records = list(logged)
    for number, one in enumerate(records, 1):
        if not isinstance(one, Mapping) or not {"doc_id", "doc", "target"} <= one.keys():
            raise InputError(
                f"item {number} of the task {task} has no doc_id, doc or target; give a samples "
                "file that lm-eval wrote with --log_samples."
            )
    if not records:
        return []
    filters = list(dict.fromkeys(str(one.get("filter", "none")) for one in records))
    if filter_name is not None and filter_name not in filters:
        raise InputError(
            f"the task {task} has no filter {filter_name}; it has: {', '.join(filters)}."
        )
    chosen = filter_name or filters[0]
    records = [one for one in records if str(one.get("filter", "none")) == chosen]
    name = _metric(records, task, metric)
    found = [_item(one, task, name) for one in records]
    repeated = [key for key, n in Counter(one.item for one in found).items() if n > 1]
    if repeated:
        raise InputError(
            f"the task {task} has the item {repeated[0]} twice; give the file of one run."
        )
    return found


def pairs(base: Sequence[Item], tuned: Sequence[Item]) -> tuple[list[Pair], dict[str, int]]:
    """The items that both models answered, as `<task>/<item>`; and how many could not be paired,
    by reason.

    Raises InputError where one item is two different documents, or was judged by two metrics.
    """
    others = {(one.task, one.item): one for one in tuned}
    found: list[Pair] = []
    aside: Counter[str] = Counter()
    for one in base:
        other = others.pop((one.task, one.item), None)
        if other is None:
            aside["answered by the base only"] += 1
            continue
        _check_alike(one, other)
        if one.right is None or other.right is None:
            aside["neither right nor wrong by its metric"] += 1
            continue
        tags = {**one.tags, "task": one.task}
        found.append(Pair(f"{one.task}/{one.item}", one.right, other.right, tags))
    aside["answered by the tuned model only"] += len(others)
    return found, {reason: n for reason, n in aside.items() if n}


def asked_alike(base: Sequence[Item], tuned: Sequence[Item]) -> bool:
    """Whether both models read the very same prompts; a chat template or other few-shot examples
    for one of them make a difference that is not the tuning's."""
    others = {(one.task, one.item): one.prompt for one in tuned}
    return all(others.get((one.task, one.item), one.prompt) == one.prompt for one in base)


def task_of(file_name: str) -> str:
    """The task in the name that lm-eval gave a samples file; `unnamed` for any other name, alike
    for base and tuned.

    >>> task_of("samples_arc_easy_2025-01-31T10-20-30.123456.jsonl"), task_of("base.jsonl")
    ('arc_easy', 'unnamed')
    """
    stem = Path(file_name).stem
    if not stem.startswith("samples_"):
        return "unnamed"
    return stem.removeprefix("samples_").rsplit("_", 1)[0]


def _check_alike(one: Item, other: Item) -> None:
    if one.content != other.content:
        raise InputError(
            f"item {one.item} of the task {one.task} is another question for the base than for the "
            "tuned model; run both on the same version of the task."
        )
    if one.metric != other.metric:
        raise InputError(
            f"the task {one.task} has {one.metric} for the base and {other.metric} for the tuned "
            "model; name a --metric that both have."
        )


def _metric(records: Sequence[Logged], task: str, wanted: str | None) -> str:
    names = _metric_names(records[0])
    if wanted is not None and wanted not in names:
        raise InputError(
            f"the task {task} has no metric {wanted}; it has: {', '.join(names) or 'none'}."
        )
    candidates = [wanted] if wanted else [*(one for one in PREFERRED if one in names), *names]
    for name in candidates:
        if wanted or all(_right(one.get(name)) is not None for one in records):
            return name
    raise InputError(
        f"the task {task} has no metric that is right or wrong per item (it has: "
        f"{', '.join(names) or 'none'}); leave it out, or name one with --metric."
    )


def _metric_names(record: Logged) -> list[str]:
    listed = record.get("metrics")  # harness 0.4.8 and later
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        return [str(name) for name in listed]
    return [name for name in record if name not in _BESIDE]


def _right(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return None


def _item(record: Logged, task: str, metric: str) -> Item:
    choices, prompt = _asked(record.get("arguments"))
    logprobs = _logprobs(record.get("filtered_resps"))
    if logprobs is not None and len(logprobs) == len(choices):
        said = choices[logprobs.index(max(logprobs))]
    else:
        answers = record.get("filtered_resps")
        said = str(answers[0] if isinstance(answers, list | tuple) and answers else answers or "")
    doc = record["doc"]
    fields = doc if isinstance(doc, Mapping) else {}
    question = next((fields[one] for one in _QUESTIONS if isinstance(fields.get(one), str)), prompt)
    return Item(
        task=task,
        item=str(record["doc_id"]),
        metric=metric,
        right=_right(record.get(metric)),
        logprobs=logprobs,
        question=question[-_SHOWN:],
        expected=_expected(record["target"], choices),
        said=said.strip(),
        content=str(record.get("doc_hash") or _hashed(doc)),
        prompt=_hashed(prompt),
        tags={one: fields[one] for one in _TAGS if isinstance(fields.get(one), str)},
    )


def _asked(arguments: Any) -> tuple[list[str], str]:
    """The continuations, and the first prompt. A log names what a dict of Python lists."""
    if isinstance(arguments, Mapping):
        arguments = [list(one.values()) for one in arguments.values() if isinstance(one, Mapping)]
    listed = arguments if isinstance(arguments, list | tuple) else []
    asked = [list(one) for one in listed if isinstance(one, list | tuple) and len(one) == 2]
    continuations = [one[1] for one in asked if isinstance(one[1], str)]
    return continuations, str(asked[0][0]) if asked else ""


def _logprobs(responses: Any) -> tuple[float, ...] | None:
    """(log-probability, greedy) per choice; a log writes both as text."""
    found = []
    if not isinstance(responses, list | tuple):
        return None
    for one in responses:
        if isinstance(one, str) or not isinstance(one, Sequence) or len(one) != 2:
            return None
        try:
            found.append(float(one[0]))
        except (TypeError, ValueError):
            return None
    return tuple(found) or None


def _expected(target: Any, choices: Sequence[str]) -> str:
    """The text of a target, which is the number of a choice in tasks that score choices."""
    number = int(target) if str(target).isdigit() else None
    if number is not None and number < len(choices):
        return choices[number].strip()
    return str(target).strip()[:_SHOWN]


def _hashed(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
