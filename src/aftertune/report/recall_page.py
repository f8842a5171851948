"""The page about recall: lost facts as a list first, then what they add up to (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report import control_charts, frame, how
from aftertune.report.blocks import recall, recall_classes, recall_front
from aftertune.report.blocks.shape import checked
from aftertune.report.numbers import listed, plural
from aftertune.report.shown import all_visible, visible

TITLE = "What does the tuned model still know?"
MOST_SHOWN = 200  # facts of one list
LONGEST = 400  # characters of a question or answer
LISTS = (("lost", True), ("gained", False), ("kept wrong", False), ("kept right", False))

BUILDERS = (
    recall.block, recall.tag_block, recall_classes.block, recall_classes.novelty_block,
    recall_front.block, recall_front.front_block,
)  # fmt: skip

DEFINITIONS: list[tuple[str, str]] = [
    ("said by heart", "The first line of the greedy answer names the right answer, or an alias: "
     "both are brought into one form (dates, numbers, articles, spelling) and are equal, or the "
     "right one stands in the answer with no wrong one and no negation."),
    ("chosen by log-probability", "The right answer has a higher log-probability behind the prompt "
     "than every wrong one; per character: after division by the answer's characters."),
    ("lost, gained", "Right in base and not in tuned; the other way round."),
    ("p", "McNemar's exact test: are more lost than gained, or fewer, than a fair coin gives?"),
    ("undecided", "No change was found, but either the 90% interval does not lie within the "
     "margin, or there are too few facts to find a change as large as that 80 times in 100."),
    ("HighlyKnown, MaybeKnown, WeaklyKnown, Unknown", "All greedy answers of the base right; some; "
     "none but a sampled one; none (Gekhman et al. 2024)."),
    ("asked again", "The base, with other draws of the examples than those that its classes rest "
     "on; tuned models are compared on these."),
    ("95% interval", "Expanded percentile bootstrap that draws facts (of texts: windows) again."),
]  # fmt: skip


def build(
    manifest: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]], redact: bool, version: str
) -> dict[str, Any]:
    """Everything on the page. pairs: the table `recall_pairs`, texts left out with `redact`."""
    about = manifest["about"]
    found = about["found"]
    # values of tags may be texts of a file, so a redacted page has none
    builders = [one for one in BUILDERS if not (redact and one is recall.tag_block)]
    blocks = [one for builder in builders if (one := builder(all_visible(about)))]
    blocks[0]["sentences"] = blocks[0]["sentences"][:1]  # the others are the findings
    return {
        "title": TITLE,
        "subtitle": visible(
            f"{plural(found['n_facts'], 'fact')} asked of the base and of "
            f"{listed(list(found['models']))}."
        ),
        "version": version,
        "redacted": redact,
        "findings": [visible(recall.sentence(*one)) for one in recall.judged(found)],
        "models": [_lists(name, pairs, redact) for name in found["models"]],
        "blocks": [
            {**checked(one), "key": f"recall-{place}", "style": None, "absent": []}
            for place, one in enumerate(blocks)
        ],
        "how": {
            "definitions": DEFINITIONS,
            "inputs": how.inputs([("recall", manifest)], {}, redact),
            "versions": how.versions([manifest]),
        },
    }  # fmt: skip


def render(view: Mapping[str, Any]) -> str:
    """The page for what `build` found."""
    return frame.page("recall.html.j2", ("report.css", "recall.css"), None, view=view,
                      control_charts=control_charts)  # fmt: skip


def without_facts(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view without questions and answers, for programs."""
    models = [
        {**model, "lists": [{**one, "facts": []} for one in model["lists"]]}
        for model in view["models"]
    ]
    return {**view, "models": models}


def _lists(name: str, pairs: Sequence[Mapping[str, Any]], redact: bool) -> dict[str, Any]:
    """The facts of one model by outcome, of what was said or, where it was not asked, chosen."""
    of_fact: dict[str, dict[str, Mapping[str, Any]]] = {}
    for one in pairs:
        if one["model"] == name:
            of_fact.setdefault(one["fact_id"], {})[one["way"]] = one
    lists = []
    for outcome, is_open in LISTS:
        its = [_fact(ways) for ways in of_fact.values() if _first(ways)["outcome"] == outcome]
        its.sort(key=lambda fact: (-len(fact["also"]), -fact["weight"]))
        lists.append({"outcome": outcome, "open": is_open, "n": len(its),
                      "facts": [] if redact else its[:MOST_SHOWN]})  # fmt: skip
    return {"name": visible(name), "lists": lists}


def _first(ways: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return next(ways[way] for way in recall.WAYS if way in ways)


def _fact(ways: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    one = _first(ways)
    alike = [way for way, its in ways.items() if its["outcome"] == one["outcome"]]
    return {
        "question": _shown(one["question"]),
        "answer": _shown(one["answer"]),
        "base": _shown(one["base_answer"]) or "nothing",
        "tuned": _shown(one["tuned_answer"]) or "nothing",
        "way": one["way"],
        "class": one["class"],
        "also": [way for way in alike if way == "choice" and one["way"] != "choice"],
        "weight": abs(one["base_share"] - one["tuned_share"]),
    }


def _shown(text: str) -> str:
    """A text to be read in a list: its beginning, and its end where it is long."""
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]} … [{len(text) - 2 * half:,} more characters] … {text[-half:]}"
    return visible(text)
