"""Recall by how well the base knew a fact, and how new the rows were (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.recall.classes import CLASSES
from aftertune.report import numbers
from aftertune.report.blocks.recall import points_of, times_100

Found = Mapping[str, Any]
Block = dict[str, Any]


def block(about: Found) -> Block | None:
    """Loss by class beside the base asked again; None where no class is known."""
    found = about["found"]
    if not found["classes"]:
        return None
    rows, drawn, sentences = [], [], []
    for model, its in found["models"].items():
        for name, one in ordered(its["by_class"]):
            rows.append([
                f"{model}, {name}", f"{one['n']:,}",
                *(numbers.percent(one[side]) for side in ("base", "again", "tuned")),
                *(points_of(one[change]) for change in ("seen", "retest", "excess")),
            ])  # fmt: skip
            drawn += [
                {"label": f"{model}, {name}: {words}", "reason": None,
                 **{end: times_100(one[change][end]) for end in ("estimate", "low", "high")}}
                for change, words in (("retest", "base asked again"), ("excess", "beyond that"))
            ]  # fmt: skip
        sentences.append(_sentence(model, its["by_class"]))
    shares = [
        f"{n:,} {name} ({numbers.percent(n / sum(found['classes'].values()))})"
        for name, n in ordered(found["classes"])
    ]
    settings = about["settings"]
    first = (
        f"Of {sum(found['classes'].values()):,} facts that can be said, the base has "
        f"{numbers.listed(shares)}, by {numbers.plural(found['draws'], 'prompt')} with "
        f"{numbers.plural(settings['samples'], 'sampled answer')} each at temperature "
        f"{settings['temperature']:g}."
    )
    return {
        "control": "recall",
        "model": numbers.listed(list(found["models"])),
        "question": "Was more lost of what was known well?",
        "sentences": [first, *sentences],
        "picture": {
            "kind": "intervals",
            "x_label": "change of right answers, percentage points, 95% interval over facts",
            "rows": drawn,
            "line": {"at": 0.0, "label": "no change"},
        },
        "table": {
            "columns": ["", "facts", "base", "base again", "tuned", "seen: tuned − base",
                        "base again − base", "excess: tuned − base again"],
            "rows": rows,
        },
        "cautions": [
            "A class rests on the base's own answers, so asked again it answers fewer of the "
            "HighlyKnown and more of the Unknown facts right without any tuning; only the excess "
            "is a change of the model."
        ],
    }  # fmt: skip


def novelty_block(about: Found) -> Block | None:
    """How much of the rows was new to the base; None where no rows were given."""
    new = about["novelty"]
    if new is None:
        return None
    covered = new["n_short"] / new["n_rows"] if new["n_rows"] else None
    sentences = [
        f"{numbers.percent(covered)} of {numbers.plural(new['n_rows'], 'row')} "
        f"({new['n_short']:,}) have an answer short enough to ask the base for it."
    ]
    if new["n_short"]:
        classes = [f"{n:,} {name}" for name, n in ordered(new["classes"])]
        sentences.append(
            f"Of these, {numbers.with_interval(new['new'], numbers.percent)} are Unknown, so new "
            f"to the base: {numbers.listed(classes)}."
        )
    if new["n_long"]:
        loss = numbers.with_interval(new["loss_nats_per_content_token"])
        sentences.append(
            f"The answers of the other {new['n_long']:,} cost the base {loss} nats per token that "
            "carries content."
        )
    return {
        "control": "recall",
        "model": numbers.listed(list(about["found"]["models"])),
        "question": "How much of the rows was new to the base?",
        "sentences": sentences,
        "picture": None,
        "table": {
            "columns": ["short answers", "rows"],
            "rows": [[name, f"{n:,}"] for name, n in ordered(new["classes"])],
        }
        if new["classes"]
        else None,
        "cautions": [
            "Unknown means that the base did not say it when asked in this way; a row may be known "
            "in other words."
        ],
    }


def _sentence(model: str, classes: Found) -> str:
    lost = [
        f"{name} ({points_of(one['excess'])})"
        for name, one in ordered(classes)
        if one["excess"]["high"] is not None and one["excess"]["high"] < 0
    ]
    gained = [
        f"{name} ({points_of(one['excess'])})"
        for name, one in ordered(classes)
        if one["excess"]["low"] is not None and one["excess"]["low"] > 0
    ]
    parts = [f"less is right of {numbers.listed(lost)}"] if lost else []
    parts += [f"more is right of {numbers.listed(gained)}"] if gained else []
    return (
        f"{model}, beyond what the base changes when it is asked again: "
        f"{'; '.join(parts) if parts else 'undecided in every class'}."
    )


def ordered(classes: Found) -> list[tuple[str, Any]]:
    """Those of the classes that are there, the best known first."""
    return [(name, classes[name]) for name in CLASSES if name in classes]
