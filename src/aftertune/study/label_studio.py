"""A study's items for Label Studio: tasks, and the labelling config that shows them (pure).

Tasks are `[{"data": {...}}]`, which its import takes as JSON; the config's `$names` are fields of
that data. Models are not among them. A study there has no pilot, no repeats and no batches.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from aftertune.study.answers import LABELS, OUTCOMES
from aftertune.study.config import Kind
from aftertune.study.items import Item

Task = dict[str, Any]
CAUSES = ("a row", "no row", "unsure")


def tasks(items: Sequence[Item]) -> list[Task]:
    """One task per item that repeats no other: {data: {item_id, prompt, answer_1, ...}}."""
    return [{"data": _data(item)} for item in items if item.repeat_of is None]


def config(kind: Kind, aspects: Sequence[str]) -> str:
    """The labelling config as XML, within one <View>."""
    shown = ['<Header value="The request"/>', '<Text name="prompt" value="$prompt"/>']
    shown += _answers(1 if kind in ("spans", "aspects") else 2)
    body = {"pairs": _pairs, "aspects": _aspects, "outcomes": _outcomes, "spans": _spans}[kind]
    lines = [*shown, *body(aspects)]
    return "<View>\n" + "".join(f"  {line}\n" for line in lines) + "</View>\n"


def _data(item: Item) -> Task:
    turns: Sequence[Mapping[str, str]] = item.shown["prompt"]
    alone = len(turns) == 1
    prompt = "\n\n".join(t["content"] if alone else f"{t['role']}: {t['content']}" for t in turns)
    answers = {f"answer_{n}": text for n, text in enumerate(item.shown["answers"], start=1)}
    found: Task = {"item_id": item.item_id, "prompt": prompt, **answers}
    if item.kind == "spans":
        found["rows"] = "\n\n".join(
            f"[{row['row_id']}]\n{row['instruction']}\n{row['output']}"
            for row in item.shown["candidates"]
        )
    return found


def _answers(n: int) -> list[str]:
    if n == 1:
        return ['<Header value="The answer"/>', '<Text name="answer_1" value="$answer_1"/>']
    return [
        line
        for k in (1, 2)
        for line in (
            f'<Header value="Answer {k}"/>',
            f'<Text name="answer_{k}" value="$answer_{k}"/>',
        )
    ]


def _choices(name: str, question: str, values: Sequence[str], required: bool = True) -> list[str]:
    must = ' required="true"' if required else ""
    return [
        f"<Header value={quoteattr(question)}/>",
        f'<Choices name={quoteattr(name)} toName="answer_1" choice="single"{must}>',
        *(f"  <Choice value={quoteattr(value)}/>" for value in values),
        "</Choices>",
    ]


def _pairs(aspects: Sequence[str]) -> list[str]:
    values = ("Answer 1", "Answer 2", "Tie")
    return [
        line
        for name in ("overall", *aspects)
        for line in _choices(name, f"Which is better: {name}?", values)
    ]


def _aspects(aspects: Sequence[str]) -> list[str]:
    return [
        line
        for name in aspects
        for line in (
            f"<Header value={quoteattr(f'{name}, 1 to 5')}/>",
            f'<Rating name={quoteattr(name)} toName="answer_1" maxRating="5" required="true"/>',
        )
    ]


def _outcomes(aspects: Sequence[str]) -> list[str]:
    said = [text.format(subject=1, other=2) for text in OUTCOMES.values()]
    return _choices("outcome", "What became of the two answers?", said)


def _spans(aspects: Sequence[str]) -> list[str]:
    per_region = [
        '<Choices name="cause" toName="answer_1" perRegion="true" choice="single">',
        *(f"  <Choice value={quoteattr(value)}/>" for value in CAUSES),
        "</Choices>",
        '<TextArea name="row_id" toName="answer_1" perRegion="true" maxSubmissions="1"',
        '  placeholder="the row that is the cause"/>',
    ]
    return [
        '<Labels name="wrong" toName="answer_1">',
        *(f"  <Label value={quoteattr(label)}/>" for label in LABELS.values()),
        "</Labels>",
        *per_region,
        '<Choices name="nothing_wrong" toName="answer_1" choice="multiple">',
        '  <Choice value="nothing is wrong"/>',
        "</Choices>",
        '<Header value="Rows that may be the cause"/>',
        '<Text name="rows" value="$rows"/>',
    ]
