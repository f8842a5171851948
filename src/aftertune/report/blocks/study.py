"""A study on the page: what people say of the answers (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.blocks import study_agreement

_DRAWN = ("estimate", "low", "high", "reason")
# the five outcomes, of the models by name
OUTCOMES = {
    "both_right_first_better": "both right, {first} preferred",
    "both_right_other_content": "both right, other content",
    "both_wrong": "both wrong",
    "first_invented": "{first} invented while it went on",
    "first_wrong_core": "{first} wrong at the core",
}
QUESTIONS = {
    "pairs": "Whose answers do people prefer?",
    "aspects": "How good are the answers, to people?",
    "outcomes": "What became of the answers, to people?",
    "spans": "What do people find wrong in the answers, and where does it come from?",
}

CAUSE = (
    "People saw rows that a program proposed, if any were; a cause is their judgement, and only "
    "taking the row away and tuning again proves it."
)

Found = Mapping[str, Any]
Block = dict[str, Any]


def block(about: Found) -> Block:
    """What `control-study` found of the answers; of ratings from a file, their agreement."""
    found = about["found"]
    if found["kind"] == "file":
        return study_agreement.of_file(about)
    said, picture, table = {
        "pairs": _pairs, "aspects": _aspects, "outcomes": _outcomes, "spans": _spans,
    }[found["kind"]](found)  # fmt: skip
    return {
        "control": "study",
        "model": numbers.listed(list(about["names"])),
        "question": QUESTIONS[found["kind"]],
        "sentences": [progress(found["counts"]), *said],
        "picture": picture,
        "table": table,
        "cautions": _cautions(found),
    }


def progress(counts: Found) -> str:
    """How much was rated, and how much is missing."""
    text = (
        f"{numbers.plural(counts['ratings'], 'rating')} of "
        f"{numbers.plural(counts['items'], 'item')} by "
        f"{numbers.plural(counts['people'], 'annotator')}"
    )
    if counts["adjudicated"]:
        text += f", {numbers.plural(counts['adjudicated'], 'item')} settled by an adjudicator"
    if not counts["missing"]:
        return f"{text}; everything that was asked for is rated."
    missing = f"{counts['missing']:,} of {counts['asked_ratings']:,} ratings"
    return f"{text}; the study is not finished, {missing} are missing."


def needed(one: Found, more: str = "prompt") -> str:
    """What an undecided comparison still needs, as the end of a sentence; empty where decided."""
    if one["decided"]:
        return ""
    if one["more"] is None:
        return f"; how many more {more}s would decide it is not known ({one['reason']})"
    if one["more"] == 0:
        return f"; a few more {more}s would decide it if the truth is at the estimate"
    return (
        f"; about {numbers.plural(one['more'], f'more {more}')} would decide it if the truth is at "
        "the estimate"
    )


def _pairs(found: Found) -> tuple[list[str], Block | None, Block]:
    said, rows, cells = [], [], []
    for aspect, one in _ordered(found["preferences"], found["aspects"]):
        for pair in one["pairs"]:
            said.append(_preferred(aspect, pair))
            label = f"{aspect}: {pair['first']} over {pair['second']}"
            rows.append({"label": label, **{key: pair["score"][key] for key in _DRAWN}})
            shares = (
                numbers.with_interval(pair[k], numbers.percent) for k in ("win", "tie", "loss")
            )
            cells.append([aspect, pair["first"], pair["second"], *shares])
        said += _strengths(aspect, one)
    picture = {
        "kind": "intervals", "x_label": "share preferred, ties as half", "rows": rows,
        "line": {"at": 0.5, "label": "no preference"},
    }  # fmt: skip
    table = {"columns": ["aspect", "first", "second", "wins", "ties", "losses"], "rows": cells}
    return said, picture if rows else None, table


def _preferred(aspect: str, pair: Found) -> str:
    score = pair["score"]
    size = numbers.with_interval(score, numbers.percent)
    start = f"{_on(aspect)} {pair['first']} against {pair['second']}"
    if score["low"] is None:
        return f"{start}: undecided, {score['reason'] or 'without an interval'} ({size})."
    if score["low"] <= 0.5 <= score["high"]:
        return f"{start}: undecided, {size} with ties as half{needed(pair['needed'])}."
    better = pair["first"] if score["estimate"] > 0.5 else pair["second"]
    return f"{start}: {better} is preferred; {pair['first']} has {size} with ties as half."


def _on(aspect: str) -> str:
    return "All in all," if aspect == "overall" else f"On {aspect},"


def _strengths(aspect: str, one: Found) -> list[str]:
    """The order of three models and more; of two, the win rate says it all."""
    if len(one["strengths"]) < 3:
        return []
    known = {name: s for name, s in one["strengths"].items() if s["estimate"] is not None}
    if not known:
        reason = next(iter(one["strengths"].values()))["reason"]
        return [f"{_on(aspect)} strengths cannot be given: {reason}."]
    order = sorted(known, key=lambda name: -known[name]["estimate"])
    listed = [f"{name} {numbers.with_interval(known[name], numbers.decimal)}" for name in order]
    return [f"{_on(aspect)} strengths (log odds, mean 0): {numbers.listed(listed)}."]


def _aspects(found: Found) -> tuple[list[str], Block | None, Block]:
    said, rows, cells = [], [], []
    for aspect, one in _ordered(found["means"], found["aspects"]):
        for model, mean in one["models"].items():
            rows.append({"label": f"{aspect}: {model}", **{key: mean[key] for key in _DRAWN}})
            cells.append([aspect, model, numbers.with_interval(mean, numbers.decimal)])
        if not one["pairs"]:
            said += [
                f"On {aspect}, {model}: {numbers.with_interval(mean, numbers.decimal)}."
                for model, mean in one["models"].items()
            ]
        said += [_apart(f"On {aspect},", pair, numbers.decimal, "points") for pair in one["pairs"]]
    picture = {"kind": "intervals", "x_label": "mean rating, 1 to 5", "rows": rows, "line": None}
    table = {"columns": ["aspect", "model", "mean rating, 1 to 5"], "rows": cells}
    return said, picture if rows else None, table


def _apart(start: str, pair: Found, form: Any, unit: str) -> str:
    one = pair["difference"]
    if one["low"] is None:
        why = one["reason"] or "without an interval"
        return f"{start} {pair['first']} against {pair['second']}: undecided, {why}."
    size = f"{numbers.with_interval(one, form)}{f' {unit}' if unit else ''}"
    if one["low"] <= 0 <= one["high"]:
        return (
            f"{start} {pair['first']} less {pair['second']}: undecided, {size}"
            f"{needed(pair['needed'])}."
        )
    way = "above" if one["estimate"] > 0 else "below"
    return f"{start} {pair['first']} is {way} {pair['second']}: the difference is {size}."


def _outcomes(found: Found) -> tuple[list[str], Block | None, Block]:
    said, rows, cells = [], [], []
    for pair in found["outcomes"]["pairs"]:
        first, second = pair["models"]
        for name in found["outcomes"]["classes"]:
            share = pair["shares"][name]
            label = OUTCOMES[name].format(first=first)
            rows.append({"label": label, **{key: share[key] for key in _DRAWN}})
            cells.append([label, numbers.with_interval(share, numbers.percent)])
        worse = pair["worse"]
        size = numbers.with_interval(worse, numbers.percent)
        start = (
            f"{first} is at fault (invented, or wrong at the core) in a larger share of prompts "
            f"than it is preferred over {second}, by {size}"
        )
        if worse["low"] is not None and worse["low"] > 0:
            said.append(f"{start}.")
        elif worse["high"] is not None and worse["high"] < 0:
            said.append(
                f"{first} is preferred over {second}, both being right, in a larger share of "
                f"prompts than it is at fault: the difference is {size}."
            )
        else:
            said.append(
                f"Whether {first} is at fault more often than it is preferred over {second} is "
                f"undecided: the difference is {size}{needed(pair['needed'])}."
            )
        invented = numbers.with_interval(pair["shares"]["first_invented"], numbers.percent)
        said.append(f"{first} invented while it went on at {invented} of prompts.")
    picture = {"kind": "intervals", "x_label": "share of prompts", "rows": rows, "line": None}
    table = {"columns": ["outcome", "share of prompts"], "rows": cells}
    return said, picture if rows else None, table


def _spans(found: Found) -> tuple[list[str], Block | None, Block]:
    said, rows, cells = [], [], []
    for model, one in found["causes"]["models"].items():
        marks = found["marks"]["models"][model]
        shown = {
            key: numbers.with_interval(marks[key], numbers.percent)
            for key in ("answers", "characters")
        }
        row = numbers.with_interval(one["row"], numbers.percent)
        said.append(
            f"Of {model}'s answers {shown['answers']} have something marked, and "
            f"{shown['characters']} of their characters{_without(marks['answers'])}."
        )
        judged = one["n_spans"] - one["without_cause"]
        if judged:
            said.append(
                f"Of {model}'s {numbers.plural(judged, 'mark')} with a judged cause, {row} come "
                "from a row, to people."
            )
        rows.append({"label": model, **{key: one["row"][key] for key in _DRAWN}})
        cells.append([
            model, shown["answers"], shown["characters"], f"{one['n_spans']:,}",
            *(numbers.with_interval(one[k], numbers.percent) for k in ("row", "none", "unsure")),
        ])  # fmt: skip
    asked = any(r["estimate"] is not None for r in rows)
    if asked:
        said += [
            _apart("In the share of marks that come from a row,", pair, numbers.percent, "")
            for pair in found["causes"]["pairs"]
        ]
    else:
        said.append("Nobody was asked, or said, where the marks come from.")
    picture = {
        "kind": "intervals", "x_label": "share of marked spans whose cause is a row", "rows": rows,
        "line": None,
    }  # fmt: skip
    columns = ["model", "answers with a mark", "characters marked", "marks", "cause: a row",
               "cause: no row", "unsure"]  # fmt: skip
    return said, picture if asked else None, {"columns": columns, "rows": cells}


def _without(one: Found) -> str:
    """Why a number stands alone; empty where it has its interval."""
    return f" ({one['reason'] or 'without an interval'})" if one["low"] is None else ""


def _ordered(found: Found, aspects: list[str]) -> list[tuple[str, Found]]:
    return [(name, found[name]) for name in aspects if name in found]


def _cautions(found: Found) -> list[str]:
    said = ["Intervals speak of other prompts rated by these people, not of other people."]
    if found["counts"]["pilot"]:
        said.append(
            f"{numbers.plural(found['counts']['pilot'], 'rating')} of the pilot are left out."
        )
    several = sum(
        len(one["pairs"]) for one in (found["preferences"] or found["means"] or {}).values()
    )
    if several > 1:
        said.append(
            f"{several} comparisons are shown, each at its own level: where nothing differs, one "
            "in twenty would look decided."
        )
    if found["causes"]:
        judged = sum(
            one["n_spans"] - one["without_cause"] for one in found["causes"]["models"].values()
        )
        said += [CAUSE] if judged else []
    return said
