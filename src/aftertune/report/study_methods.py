"""What a study did and found, as paragraphs for a paper (pure).

Every sentence comes from the design and the numbers; what is not known is not written. People are
counted, never named.
"""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.blocks import study
from aftertune.report.blocks.study_agreement import best_scale

Found = Mapping[str, Any]

_TASKS = {
    "pairs": "chose the better of two answers to the same prompt, or a tie",
    "aspects": "rated single answers from 1 to 5",
    "outcomes": "assigned two answers to the same prompt to one of five classes",
    "spans": "marked the spans of single answers that are not factual or not useful",
}


def paragraphs(about: Found) -> str:
    """Markdown: a paragraph on the method, one on the results."""
    if about["found"]["kind"] == "file":
        return f"{_agreement(about['found'])}\n"
    method = " ".join([*_people(about), *_design(about), *_intervals(about)])
    results = " ".join([*_done(about), _agreement(about["found"]), *_results(about)])
    return f"**Human study.** {method}\n\n**Results.** {results}\n"


def _people(about: Found) -> list[str]:
    design, kind = about["design"], about["found"]["kind"]
    who = numbers.plural(design["annotators"], "annotator")
    said = [f"{who.capitalize()} {_TASKS[kind]}."]
    models = numbers.listed(list(about["names"]))
    said.append(f"The answers came from {models}; annotators did not know which model wrote what.")
    if kind in ("pairs", "aspects") and design["aspects"]:
        overall = ", and which answer is better overall" if kind == "pairs" else ""
        said.append(f"They judged {numbers.listed(list(design['aspects']))}{overall}.")
    return said


def _design(about: Found) -> list[str]:
    design, counts = about["design"], about["found"]["counts"]
    each = numbers.plural(design["overlap"], "annotator")
    said = [
        f"{numbers.plural(counts['asked_items'], 'item').capitalize()} "
        f"{_were(counts['asked_items'])} dealt out at random "
        f"(seed {design['seed']}) in batches of {design['batch_size']:,}, each item to {each}."
    ]
    if about["found"]["kind"] in ("pairs", "outcomes"):
        said.append(
            "Which answer stood first was counterbalanced within each item and within each "
            "annotator."
        )
    if design["pilot"]:
        said.append(
            f"A pilot of {numbers.plural(design['pilot'], 'item')}, rated by everybody, came first "
            "and is not part of the results."
        )
    if counts["repeats"]:
        said.append(
            f"{numbers.plural(counts['repeats'], 'rating')} repeated an earlier item of the same "
            "annotator, with at least a third of the annotator's items between them."
        )
    if counts["adjudicated"]:
        said.append(
            f"{numbers.plural(counts['adjudicated'], 'item')} {_were(counts['adjudicated'])} "
            "settled by "
            f"{numbers.plural(design['adjudicators'], 'adjudicator')}, whose rating replaced the "
            "others in the results and has no part in agreement."
        )
    return said


def _intervals(about: Found) -> list[str]:
    found = about["found"]["agreement"]
    level = next((one["percent"]["level"] for one in found.values()), None)
    if level is None:
        return []
    return [
        f"Brackets hold {level:.0%} intervals by bootstrap, over prompts for results and over "
        "items for agreement; where nothing varied, exact binomial bounds."
    ]


def _done(about: Found) -> list[str]:
    counts = about["found"]["counts"]
    said = [
        f"{numbers.plural(counts['ratings'], 'rating').capitalize()} of "
        f"{numbers.plural(counts['items'], 'item')} {_were(counts['ratings'])} collected."
    ]
    if counts["missing"]:
        said.append(
            f"The study was not finished: {counts['missing']:,} of {counts['asked_ratings']:,} "
            "ratings are missing."
        )
    return said


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _agreement(found: Found) -> str:
    said = []
    for aspect in found["aspects"]:
        one = found["agreement"].get(aspect)
        if one is None:
            continue
        scale = best_scale(one)
        if one[scale]["estimate"] is None:
            said.append(f"Agreement on {aspect} is not known: {one[scale]['reason']}.")
            continue
        said.append(
            f"On {aspect}, raters agreed in "
            f"{numbers.with_interval(one['percent'], numbers.percent)} of pairs "
            f"(Krippendorff's alpha, {scale}: "
            f"{numbers.with_interval(one[scale], numbers.decimal)}; "
            f"Gwet's AC1: {numbers.with_interval(one['ac1'], numbers.decimal)}; "
            f"{numbers.plural(one['n_rated_twice'], 'item')} rated at least twice)."
        )
    return " ".join(said)


def _results(about: Found) -> list[str]:
    """The sentences of the block on the answers, but for its progress."""
    return list(study.block(about)["sentences"][1:])
