"""The judge on the page: what it says of the models (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report import numbers

MANY_UNSCORED = 0.05
_DRAWN = ("estimate", "low", "high", "reason")

Found = Mapping[str, Any]
Block = dict[str, Any]


def block(about: Found) -> Block:
    """What `control-judge` found of the models, as a block of the page."""
    found, name = about["found"], about["judge"]["name"]
    models = numbers.listed(list(about["names"]))
    return {
        "control": "judge",
        "model": models,
        "question": f"How good are the answers of {models}, to the judge {name}?",
        "sentences": [_asked(about), *_compared(found), *_preferred(found)],
        "picture": _means_picture(found),
        "table": _means_table(found),
        "cautions": _cautions(about),
    }


def _asked(about: Found) -> str:
    found, judge = about["found"], about["judge"]
    unscored = found["unscored"]
    answers = numbers.plural(sum(found["n_answers"].values()), "answer")
    said = (
        f"{judge['name']} ({judge['kind']}) judged {answers} to "
        f"{numbers.plural(found['n_prompts'], 'prompt')} on {numbers.listed(found['aspects'])}"
    )
    said += f", rubrics version {about['rubrics']['version']}" if about["rubrics"] else ""
    if not unscored["of"]:
        return f"{said}; there is no verdict."
    share = numbers.percent(unscored["n"] / unscored["of"])
    return f"{said}; {unscored['n']:,} of {unscored['of']:,} verdicts ({share}) have no score."


def _compared(found: Found) -> list[str]:
    """Per two models one sentence: where one is above, and where it is undecided."""
    pairs: dict[tuple[str, str], list[Found]] = {}
    for one in found["differences"]:
        pairs.setdefault((one["first"], one["second"]), []).append(one)
    said = []
    for (first, second), gaps in pairs.items():
        above = [_gap(one) for one in gaps if _side(one) > 0]
        below = [_gap(one) for one in gaps if _side(one) < 0]
        open_ = [_undecided(one) for one in gaps if _side(one) == 0]
        parts = [
            *([f"above {second} on {numbers.listed(above)}"] if above else []),
            *([f"below it on {numbers.listed(below)}"] if below and above else []),
            *([f"below {second} on {numbers.listed(below)}"] if below and not above else []),
            *([f"undecided on {numbers.listed(open_)}"] if open_ else []),
        ]
        said.append(
            f"Paired by prompt, in points of 1 to 5, {first} against {second}: {'; '.join(parts)}."
        )
    return said


def _side(gap: Found) -> int:
    if gap["low"] is None or gap["low"] <= 0 <= gap["high"]:
        return 0
    return 1 if gap["estimate"] > 0 else -1


def _gap(one: Found) -> str:
    return f"{one['aspect']} ({numbers.with_interval(one, numbers.decimal)})"


def _undecided(one: Found) -> str:
    if one["estimate"] is None:
        return f"{one['aspect']} ({one['reason']})"
    least = one["smallest_detectable"]
    seen = f"; could have seen {numbers.decimal(least)}" if least else ""
    return f"{one['aspect']} ({numbers.with_interval(one, numbers.decimal)}{seen})"


def _preferred(found: Found) -> list[str]:
    said = []
    for one in found["pairs"]:
        start = f"Side by side on {one['aspect']}, {one['first']} against {one['second']}: "
        if one["estimate"] is None:
            said.append(f"{start}not known, {one['reason']}.")
            continue
        share = numbers.with_interval(one, numbers.percent)
        open_ = one["low"] is None or one["low"] <= 0.5 <= one["high"]
        verdict = "which is preferred is undecided" if open_ else "it is preferred"
        if not open_ and one["estimate"] < 0.5:
            verdict = f"{one['second']} is preferred"
        said.append(
            f"{start}{verdict}; {one['first']} wins {share} of prompts (ties as half, the mean "
            "of both orders)."
        )
    return said


def _means_picture(found: Found) -> Block | None:
    if not found["means"]:
        return None
    models = found["models"]
    panels = [
        {
            "title": aspect,
            "rows": [{"label": m, **{key: means[m][key] for key in _DRAWN}} for m in models],
        }
        for aspect, means in found["means"].items()
    ]
    x_label = "mean score by the judge, 1 to 5, every prompt weighing alike"
    return {
        "kind": "panels",
        "x_label": x_label,
        "x_values": [1, 2, 3, 4, 5],
        "names": list(models),
        "panels": panels,
    }


def _means_table(found: Found) -> Block | None:
    if not found["means"]:
        return None
    aspects, models = found["aspects"], found["models"]
    rows = [_means_row(model, model, found["means"], aspects) for model in models]
    for model in models:
        cells = found["unscored"]["cells"][model]
        shares = [_share(cells[aspect]) for aspect in aspects]
        rows.append([f"{model}: without a score", *shares])
    for tag, values in found["by_tag"].items():
        for value, means in values.items():
            rows += [_means_row(f"{tag} {value}: {model}", model, means, aspects)
                     for model in models]  # fmt: skip
    return {"columns": ["mean score", *aspects], "rows": rows}


def _means_row(label: str, model: str, means: Found, aspects: Sequence[str]) -> list[str]:
    return [label, *(numbers.with_interval(means[a][model], numbers.decimal) for a in aspects)]


def _share(cell: Found) -> str:
    return numbers.percent(cell["n"] / cell["of"]) if cell["of"] else numbers.NONE


def _cautions(about: Found) -> list[str]:
    unscored = about["found"]["unscored"]
    said = []
    if unscored["of"] and unscored["n"] / unscored["of"] > MANY_UNSCORED:
        said.append(
            "Means are over what was scored; where the judge has no score is no accident, and "
            f"{numbers.percent(unscored['n'] / unscored['of'])} of the verdicts have none."
        )
    said += [
        f"Without a score: {reason} ({count:,})." for reason, count in unscored["reasons"].items()
    ]
    if "factuality" in about["found"]["aspects"]:
        said.append("A judge's factuality is its opinion; a closed-book test of facts measures it.")
    return said
