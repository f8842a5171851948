"""Forgetting of texts, and what quality it bought (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

Found = Mapping[str, Any]
Block = dict[str, Any]


def block(about: Found) -> Block | None:
    """Nats per token on every text; None without texts."""
    models = about["found"]["models"]
    found = [(model, text, one) for model, its in models.items()
             for text, one in its["texts"].items()]  # fmt: skip
    if not found:
        return None
    return {
        "control": "recall",
        "model": numbers.listed(list(models)),
        "question": "Is given text predicted worse than before?",
        "sentences": [_sentence(model, text, one) for model, text, one in found],
        "picture": {
            "kind": "intervals",
            "x_label": "rise of the loss from base to tuned, nats per token, 95% interval",
            "rows": [
                {"label": f"{model}, {text}",
                 **{key: one[key] for key in ("estimate", "low", "high", "reason")}}
                for model, text, one in found
            ],
            "line": {"at": 0.0, "label": "as the base"},
        },
        "table": {
            "columns": ["", "tokens", "base, nats per token", "rise"],
            "rows": [
                [f"{model}, {text}", f"{one['n_tokens']:,}", numbers.nats(one["base_nats"]),
                 numbers.with_interval(one)]
                for model, text, one in found
            ],
        },
        "cautions": ["Windows of a text are drawn again, so the interval is of this text alone."],
    }  # fmt: skip


def front_block(about: Found) -> Block | None:
    """Quality against forgetting with KL beside; None for fewer than two models."""
    front = about["found"]["front"]
    if front is None or not any(
        p["forgetting_nats"]["estimate"] is not None or p["kl_nats"] is not None
        for p in front["points"].values()
    ):
        return None
    points = front["points"]
    spots = [
        {"name": name, "x": p["forgetting_nats"], "y": p["quality"]} for name, p in points.items()
    ]
    return {
        "control": "recall",
        "model": numbers.listed(list(points)),
        "question": "What did forgetting buy?",
        "sentences": [_best(front), *_goes_with(front["kl_and_forgetting"])],
        "picture": {
            "kind": "scatter",
            "x_label": "rise of the loss on given texts, nats per token, 95% interval",
            "y_label": f"{front['quality_is']}, 95% interval"
            if any(p["quality"]["low"] is not None for p in points.values())
            else front["quality_is"],
            "spots": spots,
        },
        "table": {
            "columns": ["", front["quality_is"], "forgetting, nats per token",
                        "mean KL(tuned from base) on own answers, nats", "on the front"],
            "rows": [
                [name, numbers.with_interval(p["quality"], numbers.decimal), _forgotten(p),
                 numbers.nats(p["kl_nats"]), "yes" if name in front["front"] else "no"]
                for name, p in points.items()
            ],
        },
        "cautions": ["A few models show an order, and not that one quantity predicts the other."],
    }  # fmt: skip


def _best(front: Found) -> str:
    """Who is beaten by nobody, by the estimates; said only of models that have both values."""
    if not front["front"]:
        return (
            "Which model stands on the front is not known: none has both a quality and a rise of "
            "the loss on texts (--texts FILE)."
        )
    return (
        f"By the estimates no other model has both a better {front['quality_is']} and less "
        f"forgetting than {numbers.listed(front['front'])}; between models whose intervals overlap "
        "the order is undecided."
    )


def _goes_with(agree: Found | None) -> list[str]:
    if not agree or not agree["of"]:
        return []
    return [
        "More KL(tuned from base) on the model's own answers goes with more forgetting in "
        f"{agree['same']} of {numbers.plural(agree['of'], 'pair')} of models."
    ]


def _forgotten(point: Found) -> str:
    lost = point["forgetting_nats"]
    return str(lost["reason"]) if lost["estimate"] is None else numbers.with_interval(lost)


def _sentence(model: str, text: str, one: Found) -> str:
    start = f"{model} on {text}: "
    if one["estimate"] is None:
        return f"{start}not known, {one['reason']}."
    rise = f"{numbers.with_interval(one)} nats per token"
    if one["low"] is None:
        return f"{start}the loss changes by {rise}; one window has no interval."
    if one["low"] > 0:
        return f"{start}the loss rises by {rise} from {numbers.nats(one['base_nats'])}: forgotten."
    if one["high"] < 0:
        return f"{start}the loss changes by {rise}: the text is predicted better than before."
    return f"{start}undecided, a change of {rise}."
