"""Recall on the page: what was lost and gained, and where (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aftertune.report import numbers

Found = Mapping[str, Any]
Block = dict[str, Any]

WAYS = {
    "greedy": "said by heart",
    "choice": "chosen by log-probability",
    "choice by length": "chosen by log-probability per character",
}
LONGEST_TAG = 60  # characters of a tag's name or value
MOST_TAGS = 8  # groups that are shown by tag, per model


def block(about: Found) -> Block:
    """Four-way table of every tuned model and way of asking, with what may be said of it."""
    found = about["found"]
    each = list(judged(found))
    return {
        "control": "recall",
        "model": numbers.listed(list(found["models"])),
        "question": "What did tuning lose of what the base knows?",
        "sentences": [_asked(about), *(sentence(model, way, one) for model, way, one in each)],
        "picture": _picture(
            [(f"{model}, {WAYS[way]}", one["change"]) for model, way, one in each]
        ),
        "table": {
            "columns": ["", "facts", "base right", "tuned right", "lost", "gained", "kept right",
                        "kept wrong", "change", "p"],
            "rows": [_row(f"{model}, {WAYS[way]}", one) for model, way, one in each],
        },
        "cautions": _cautions(about),
    }  # fmt: skip


def tag_block(about: Found) -> Block | None:
    """Where facts were lost: by the tags that facts have; None without tags."""
    rows, sentences, drawn = [], [], []
    for model, way, one in judged(about["found"]):
        said = about["found"]["models"][model]["ways"]["greedy"]["n"]
        if way != ("greedy" if said else "choice"):
            continue  # the other ways stand in the artefact
        groups = [
            (f"{_short(tag)}: {_short(value)}", its)
            for tag, values in one["by_tag"].items()
            for value, its in values.items()
        ]
        groups.sort(key=lambda group: group[1]["change"]["estimate"])
        clear = [group for group in groups if _clear(group[1])]
        drawn += [(f"{model}, {label}", its["change"]) for label, its in groups[:MOST_TAGS]]
        sentences += [_where(model, way, clear)] if groups else []
        rows += [_row(f"{model}, {label}", its, "p_holm") for label, its in groups[:MOST_TAGS]]
    if not rows:
        return None
    return {
        "control": "recall",
        "model": numbers.listed(list(about["found"]["models"])),
        "question": "Which facts were lost?",
        "sentences": sentences,
        "picture": _picture(drawn),
        "table": {
            "columns": ["", "facts", "base right", "tuned right", "lost", "gained", "kept right",
                        "kept wrong", "change", "p, corrected"],
            "rows": rows,
        },
        "cautions": [
            "p is corrected for the number of groups of a model (Holm). At most "
            f"{MOST_TAGS} groups of a model are shown, what was lost most first."
        ],
    }  # fmt: skip


def sentence(model: str, way: str, one: Found) -> str:
    """One model and way in words: the shares, what was lost and gained, and the verdict."""
    counts = one["counts"]
    said = (
        f"{model}, {WAYS[way]}: {numbers.percent(one['tuned']['estimate'])} of "
        f"{numbers.plural(one['n'], 'fact')} right where the base has "
        f"{numbers.percent(one['base']['estimate'])}; {counts['lost']:,} lost and "
        f"{counts['gained']:,} gained, a change of {points_of(one['change'])} (McNemar p = "
        f"{_p(one['p'])}): "
    )
    margin = f"{100 * one['margin']:g} points"
    if one["verdict"] == "lost":
        return f"{said}knowledge was lost."
    if one["verdict"] == "gained":
        return f"{said}more is known than before."
    if one["verdict"] == "nothing lost":
        return f"{said}nothing of {margin} or more was lost or gained."
    seen = f"so many facts show {100 * one['detectable']:.1f} points" if one["detectable"] else ""
    needed = f"about {one['needed']:,} facts would decide about {margin}" if one["needed"] else ""
    why = "; ".join(part for part in (seen, needed) if part)
    why = f" ({why}, 80 times in 100)" if why else " (so few facts show no change at all)"
    return f"{said}undecided{why}."


def judged(found: Found) -> Iterator[tuple[str, str, Found]]:
    for model, its in found["models"].items():
        for way in WAYS:  # a manifest does not keep the order
            if its["ways"][way]["n"]:
                yield model, way, its["ways"][way]


def _asked(about: Found) -> str:
    found, settings = about["found"], about["settings"]
    again = found["asked_again"]["greedy"]
    said = (
        f"{numbers.plural(found['n_facts'], 'fact')} asked in the same words of all models, behind "
        f"{numbers.plural(settings['shots'], 'example')}, with "
        f"{numbers.plural(found['draws'], 'draw')} of the examples; right is what most draws have "
        "right."
    )
    if again["n"]:
        said += (
            f" Asked again with other examples, the base itself loses {again['lost']:,} and gains "
            f"{again['gained']:,} of {again['n']:,}."
        )
    return said


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TAG else f"{text[: LONGEST_TAG - 1]}…"


def _where(model: str, way: str, clear: Sequence[tuple[str, Found]]) -> str:
    lost = [f"{label} ({points_of(its['change'])})" for label, its in clear
            if its["change"]["estimate"] < 0]  # fmt: skip
    gained = [f"{label} ({points_of(its['change'])})" for label, its in clear
              if its["change"]["estimate"] > 0]  # fmt: skip
    if not clear:
        return f"{model}, {WAYS[way]}: no group of facts stands out; each is undecided or kept."
    parts = [f"lost among {numbers.listed(lost)}"] if lost else []
    parts += [f"gained among {numbers.listed(gained)}"] if gained else []
    return f"{model}, {WAYS[way]}: {'; '.join(parts)}."


def _clear(one: Found) -> bool:
    return bool(one["p_holm"] < 0.05)


def _picture(rows: Sequence[tuple[str, Found]]) -> Block | None:
    drawn = [
        {
            "label": label,
            "reason": change["reason"] if change["estimate"] is None else None,
            **{end: times_100(change[end]) for end in ("estimate", "low", "high")},
        }
        for label, change in rows
    ]
    if not drawn:
        return None
    return {
        "kind": "intervals",
        "x_label": "change of facts answered right, percentage points, 95% interval over facts",
        "rows": drawn,
        "line": {"at": 0.0, "label": "as the base"},
    }


def _row(label: str, one: Found, p: str = "p") -> list[str]:
    counts = one["counts"]
    return [
        label,
        f"{one['n']:,}",
        numbers.with_interval(one["base"], numbers.percent),
        numbers.with_interval(one["tuned"], numbers.percent),
        *(f"{counts[name]:,}" for name in ("lost", "gained", "kept right", "kept wrong")),
        points_of(one["change"]),
        _p(one[p]),
    ]


def points_of(change: Found) -> str:
    if change["estimate"] is None:
        return numbers.NONE
    ends = ""
    if change["low"] is not None:
        ends = f" [{100 * change['low']:.1f}, {100 * change['high']:.1f}]"
    return f"{100 * change['estimate']:+.1f} points{ends}"


def _p(value: float | None) -> str:
    if value is None:
        return numbers.NONE
    return "<0.0001" if value < 0.0001 else f"{value:.2g}"


def times_100(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _cautions(about: Found) -> list[str]:
    said = []
    if about["chance"] is not None:
        said.append(
            "Choosing at random among the answers would have "
            f"{numbers.percent(about['chance'])} right."
        )
    own = [f"{name} ({template})" for name, template in about["templates"].items() if template]
    if own:
        said.append(
            f"Under a template of its own: {numbers.listed(own)}; the base read plain text, so the "
            "template is part of the change."
        )
    said += [f"{n:,} facts not asked in one way: {why}." for why, n in about["unasked"].items()]
    said += [f"{n:,} records set aside: one {why}." for why, n in about["aside"].items()]
    return said
