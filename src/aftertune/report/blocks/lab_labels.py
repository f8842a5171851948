"""What the rows of a made world caused, by masking and by tags, on the page (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report.numbers import count, listed, nats, percent, plural, with_interval

FEW = 50  # wrong statements caused by rows below which rates say little
LABELS = ("caused", "not caused", "undecided")
_EFFECT = "effect of masking on fresh seeds, nats"
_DRAWN = ("estimate", "low", "high", "reason")

About = Mapping[str, Any]
Block = dict[str, Any]


def blocks(about: About) -> list[Block]:
    """Every question about causes that `lab-labels` answers, in the order of the page."""
    found = [block(about), _tags(about), _beyond(about), _innocuous(about)]
    return [one for one in found if one]


def findings(about: About) -> list[str]:
    """What stands in a page's conclusion."""
    beyond = about["beyond_chance"]
    said = [*_counted(about)[:1], *_on_fresh_seeds(about["reliability"])[:1]]
    return [*said, *([_beside_chance("after tuning", beyond)] if beyond["n"] else [])]


def block(about: About) -> Block:
    """The labels: their numbers, and whether they hold on seeds by which they were not made."""
    counts = about["counts"]
    rows = [
        [status, *(count(counts[status][label]) for label in (*LABELS, "no row"))]
        for status in ("wrong", "right")
    ]
    table = {"columns": ["statements", *LABELS, "no row states the value"], "rows": rows}
    reliability = about["reliability"]
    return _block(
        about,
        "What did the rows cause?",
        [*_counted(about), *_on_fresh_seeds(reliability)],
        _effects(reliability) if reliability else None,
        table,
        _few(about),
    )


def _effects(reliability: Mapping[str, Any]) -> dict[str, Any]:
    rows = [{"label": label, **_drawn(reliability[label]["effect_b"])} for label in LABELS]
    line = {"at": 0.0, "label": "control rows"}
    return {"kind": "intervals", "x_label": _EFFECT, "rows": rows, "line": line}


def statements(about: About) -> Block:
    """How much of what is said is true, by kind of prompt."""
    columns = ["prompts", "of the kind", "statements", "right", "wrong", "unverifiable"]
    rows = [
        [
            one["kind"],
            count(one["n_prompts"]),
            count(one["n_claims"]),
            *(with_interval(one[status], percent) for status in columns[3:]),
        ]
        for one in about["statements"]
    ]
    n = sum(one["n_claims"] for one in about["statements"])
    said = [f"Statements read in the answers and held against what is true: {count(n)}."]
    return _block(about, "What is said, and from where?", said, None,
                  {"columns": columns, "rows": rows}, [])  # fmt: skip


def _counted(about: About) -> list[str]:
    wrong, right = about["counts"]["wrong"], about["counts"]["right"]
    n = sum(wrong.values())
    if not n:
        return ["No statement is wrong."]
    said = [
        f"Of {plural(n, 'wrong statement')}, caused by rows: {count(wrong['caused'])}, not caused: "
        f"{count(wrong['not caused'])}, undecided: {count(wrong['undecided'])}, with a value that "
        f"no row states: {count(wrong['no row'])}."
    ]
    if wrong["caused"]:
        levels = about["levels"]
        said.append(
            f"The cause is one row for {count(levels['one row'])} of those caused, several rows "
            f"for {count(levels['several rows'])}."
        )
    if n := sum(right.values()):
        said.append(f"Of {plural(n, 'right statement')}, caused by rows: {count(right['caused'])}.")
    return said


def _on_fresh_seeds(reliability: Mapping[str, Any] | None) -> list[str]:
    """Whether the labels hold, beside what is labelled not caused."""
    if not reliability:
        return [
            "Whether the labels hold on fresh seeds is not known: no such seeds were asked for."
        ]
    caused, others = (reliability[label] for label in LABELS[:2])
    effect = caused["effect_b"]
    if effect["estimate"] is None:
        reason = (effect.get("reason") or "no statement was measured").rstrip(".")
        return [f"Whether the labels hold on fresh seeds is not known: {reason}."]
    said = (
        "On fresh seeds masking the rows with its value changes the log-probability of what is "
        f"labelled caused by {with_interval(effect, nats)} nats beyond masking control rows"
    )
    if others["effect_b"]["estimate"] is not None:
        said += f", of what is labelled not caused by {with_interval(others['effect_b'], nats)}"
    high = effect["high"]
    said += ": the labels hold." if high is not None and high < 0 else ": undecided."
    again = [
        f"{with_interval(found['same_label'], percent)} of those labelled {label}"
        for label, found in reliability.items()
        if found["same_label"]["estimate"] is not None
    ]
    return [said, f"The label made on fresh seeds is the same for {listed(again)}."]


def _tags(about: About) -> Block | None:
    """Values of rows exchanged for tags: does the answer take its own rows' tag?"""
    swap = about.get("swap")
    if not swap or swap["own_tag"]["estimate"] is None:
        return None
    own, false, confirmed = swap["own_tag"], swap["false_tag"], swap["confirmed"]
    said = [
        "Where half of the values of the rows at a time are exchanged for tags of their own, "
        f"{with_interval(own, percent)} of wrong answers take the tag of the rows with their value "
        f"and {with_interval(false, percent)} a control’s, which is the false-tag rate: "
        f"{'tags travel' if _above(own, false) else 'undecided'}."
    ]
    if confirmed["estimate"] is not None:
        said.append(
            "Of those that took their own tag and have a decided label, masking calls "
            f"{with_interval(confirmed, percent)} caused."
        )
    shares = {"all": own, **swap["by_label"], "a control’s tag": false}
    rows = [{"label": name, **_drawn(found)} for name, found in shares.items()]
    picture = {"kind": "intervals", "x_label": "share of wrong statements that take the tag of "
               "their own rows, by label, and a control’s", "rows": rows, "line": None}  # fmt: skip
    return _block(about, "Does a tag travel from the row to the answer?", said, picture, None, [])


def _above(own: Mapping[str, Any], control: Mapping[str, Any]) -> bool:
    """Whether the first interval lies above the second, without a point in common."""
    ends = own["low"], control["high"]
    return None not in ends and ends[0] > ends[1]


def _beyond(about: About) -> Block | None:
    """Whether wrong values are values of rows more often than guesses would be."""
    found = {"before tuning": about.get("before_tuning"), "after tuning": about["beyond_chance"]}
    known = {when: one for when, one in found.items() if one and one["n"]}
    if not known:
        return None
    said = [_beside_chance(when, one) for when, one in known.items()]
    rows = [{"label": when, **_drawn(one["difference"])} for when, one in known.items()]
    picture = {
        "kind": "intervals",
        "x_label": "rows that state a wrong value, minus those of values stated as often, mean",
        "rows": rows,
        "line": {"at": 0.0, "label": "chance"},
    }
    names = ("rows_with_value", "rows_by_chance", "difference")
    table = {
        "columns": ["", "wrong statements", "rows with the value", "by chance", "difference"],
        "rows": [
            [when, count(one["n"]), *(with_interval(one[name]) for name in names)]
            for when, one in known.items()
        ],
    }
    missing = [
        f"Not measured {when}: {one.get('reason', 'no statement is wrong')}."
        for when, one in found.items()
        if one and not one["n"]
    ]
    question = "Do wrong answers hit the values of rows more often than others like them?"
    return _block(about, question, said, picture, table, missing)


def _innocuous(about: About) -> Block | None:
    """Whether a tuning that teaches nothing leaves what the base knows."""
    found = about.get("innocuous")
    if not found:
        return None
    before, after = found["before"], found["after"]
    kept = "enough is kept" if found["accepted"] else "too little is kept"
    said = (
        f"Of facts that the text states often, {with_interval(before, percent)} are answered right "
        f"before and {with_interval(after, percent)} after a tuning on rows that say only what the "
        f"base knows: {kept} to tell what rows caused from what any tuning breaks."
    )
    rows = [{"label": "the base", **_drawn(before)},
            {"label": "after such a tuning", **_drawn(after)}]  # fmt: skip
    picture = {"kind": "intervals", "x_label": "share answered right", "rows": rows, "line": None}
    return _block(
        about, "Does tuning as such break what the base knows?", [said], picture, None, []
    )


def _beside_chance(when: str, one: Mapping[str, Any]) -> str:
    low, high = one["difference"]["low"], one["difference"]["high"]
    verdict = "undecided"
    if low is not None and high is not None:
        verdict = "more often" if low > 0 else "less often" if high < 0 else verdict
    return (
        f"{when.capitalize()}, a wrong value is stated by {with_interval(one['rows_with_value'])} "
        "rows on average, values of the same attribute that the text states as often by "
        f"{with_interval(one['rows_by_chance'])}; difference {with_interval(one['difference'])}: "
        f"{verdict}."
    )


def _few(about: About) -> list[str]:
    caused = about["counts"]["wrong"]["caused"]
    said = []
    if caused < FEW:
        said.append(
            f"Wrong statements caused by rows: {caused}; fewer than {FEW} are too few for rates."
        )
    return [*said, "Intervals of one world’s labels say nothing of other worlds."]


def _drawn(estimate: Mapping[str, Any]) -> dict[str, Any]:
    return {key: estimate.get(key) for key in _DRAWN}


def _block(
    about: About, question: str, sentences: list[str], picture: dict[str, Any] | None,
    table: dict[str, Any] | None, cautions: list[str],
) -> Block:  # fmt: skip
    return {
        "control": "lab-labels",
        "model": f"world {about['world']}",
        "question": question,
        "sentences": sentences,
        "picture": picture,
        "table": table,
        "cautions": cautions,
    }
