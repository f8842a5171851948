"""The page about behaviour: what changed, and answers in which it shows (pure).

Texts anybody may have written are made visible here and escaped by the template.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report import control_charts, frame, how
from aftertune.report.blocks import behaviour as behaviour_block
from aftertune.report.blocks.shape import checked
from aftertune.report.config import ReportConfig
from aftertune.report.numbers import NONE, listed, plural
from aftertune.report.shown import all_visible, visible

TITLE = "How do the answers behave?"
AROUND = 240  # characters shown on both sides of the evidence
MOST_EVIDENCE = 420
MOST_PROMPT = 400
PERSONAL = "personal_data"  # what is marked is not spelt out

DEFINITIONS: list[tuple[str, str]] = [
    ("hit the length limit", "Generation stopped at its limit, as recorded with the answer."),
    ("repetition loop", "A piece of 1 to 120 words and signs follows itself: 4 rounds, or 3 "
     "where it has 12, and 12 words in all; numbers of lines count as alike."),
    ("words said before in the answer", "The share of an answer's words that lie in a run of 8 "
     "words said earlier in it."),
    ("empty", "Nothing but white space and signs like . - * #."),
    ("template tokens leaked", "Marks of chat templates that the prompt does not hold, or a role "
     "that begins a line, outside of code and of prompts about dialogue."),
    ("in another language than the prompt", "By byte n-grams (py3langid), where both are surely in "
     "one language and the prompt speaks of none."),
    ("no valid JSON where JSON was asked", "No object or array can be read, not even inside other "
     "text or fenced code."),
    ("refuses", "By English phrases in the first 350 characters; half a refusal counts."),
    ("a long run word for word from a row", "As many words in a row as one row's answer has, "
     "those of the prompt left out."),
    ("mail address or telephone number of a row", "One that stands in a row and not in the prompt; "
     "placeholders are left out."),
    ("difference", "Tuned minus base, on prompts of which it can be said in both; answers to one "
     "prompt are averaged."),
    ("before alone, after alone", "Prompts on which one model's answer alone does it; decided "
     "takes an exact McNemar p below 0.05 as well."),
    ("95% interval", "Expanded percentile bootstrap that draws whole prompts again; the exact "
     "binomial bound where no prompt differs."),
]  # fmt: skip

Texts = Mapping[str, Mapping[str, Any]]  # response_id -> prompt, response


def build(
    config: ReportConfig, manifest: Mapping[str, Any], texts: Texts, version: str
) -> dict[str, Any]:
    """Everything on the page. manifest: of `control-behaviour`."""
    about = manifest["about"]
    found = about["found"]
    shown = checked(behaviour_block.block(all_visible(about)))
    block = {**shown, "key": "behaviour", "style": None, "absent": []}
    groups = (
        []
        if config.redact
        else [
            group
            for one in behaviour_block.shown(found)
            if (group := _group(one, texts))["examples"]
        ]
    )
    return {
        "title": config.title if "title" in config.given() else TITLE,
        "subtitle": visible(_subtitle(found)),
        "version": version,
        "redacted": config.redact,
        "block": block,
        "groups": groups,
        "how": {
            "definitions": DEFINITIONS,
            "inputs": how.inputs([("behaviour", manifest)], {}, config.redact),
            "versions": how.versions([manifest]),
        },
    }


def render(view: Mapping[str, Any]) -> str:
    """The page for what `build` found."""
    return frame.page(
        "behaviour.html.j2", ("report.css", "behaviour.css"), None, view=view,
        control_charts=control_charts,
    )  # fmt: skip


def without_texts(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view without answers, for programs."""
    return {**view, "groups": []}


def excerpt(text: str, start: int, end: int, hide: bool = False) -> list[tuple[str, bool]]:
    """[(piece, whether it is the evidence)] around characters start to end, cut to be read.

    >>> excerpt("so it goes", 3, 5)
    [('so ', False), ('it', True), (' goes', False)]
    """
    before, marked, after = text[:start], text[start:end], text[end:]
    if len(before) > AROUND:
        before = f"… {before[-AROUND:]}"
    if len(marked) > MOST_EVIDENCE:
        half = MOST_EVIDENCE // 2
        cut = len(marked) - 2 * half
        marked = f"{marked[:half]} … [{cut:,} more characters] … {marked[-half:]}"
    if len(after) > AROUND:
        after = f"{after[:AROUND]} …"
    if hide:
        marked = f"{marked[:1]}{'•' * 8}"
    pieces = [(before, False), (marked, True), (after, False)]
    return [(visible(piece), evidence) for piece, evidence in pieces if piece]


def _group(one: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """The examples of one check and one tuned model."""
    examples = [
        _example(example, one, texts)
        for example in one["examples"]
        if example["response_id"] in texts and example["other_response_id"] in texts
    ]
    return {
        "title": visible(f"{one['label']}: {one['model']}"),
        "change": f"{one['base_model']} → {one['model']}: {behaviour_block.changed(one)}",
        "verdict": behaviour_block.verdict(one),
        "examples": examples,
    }


def _example(example: Mapping[str, Any], one: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    shown, other = texts[example["response_id"]], texts[example["other_response_id"]]
    who, beside = one["model"], one["base_model"]
    if example["flagged"] == "base":
        who, beside = beside, who
    start = example["start"] or 0
    end = example["end"] if example["end"] is not None else len(shown["response"])
    return {
        "prompt": visible(_cut(shown["prompt"], MOST_PROMPT)),
        "who": visible(who),
        "reason": visible(example["reason"] or ""),
        "pieces": excerpt(shown["response"], start, end, one["check"] == PERSONAL),
        "beside": visible(beside),
        "other": visible(_cut(other["response"], 2 * AROUND)) or NONE,
        "empty": not shown["response"].strip(),
    }  # fmt: skip


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


def _subtitle(found: Mapping[str, Any]) -> str:
    tuned: Sequence[str] = [name for name in found["models"] if name != found["base"]]
    n = max(found["n_prompts"].values(), default=0)
    beside = f"{listed(list(tuned))} beside {found['base']}" if tuned else str(found["base"])
    return f"{beside}, {plural(n, 'prompt')}, by written rules and without a judge."
