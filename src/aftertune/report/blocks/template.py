"""The control `template` on the page: does the template make the shift? (pure)"""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.seen import seen

SAME = "same"
_LABELS = {
    SAME: "the tuned model's own template",
    "own": "the base's own template",
    "raw": "the bare prompt (raw)",
    "few-shot": "a few-shot prompt",
}
FEW_PROMPTS = 10

Found = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-template` found, as a block of the page."""
    model, found = about["name"], about["found"]
    shown = {
        "control": "template",
        "model": model,
        "question": f"Does the template make the shift of {model}?",
    }
    if not found:
        reason = about["absent"]["template"].rstrip(".")
        sentences = [f"Not measured: {reason}."]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    return {
        **shown,
        "sentences": _sentences(model, found),
        "picture": _picture(found, about["absent"]),
        "table": _table(found),
        "cautions": _cautions(found),
    }


def _sentences(model: str, found: Found) -> list[str]:
    same = found["kl"][SAME]["per_token"]
    if same["estimate"] is None:
        return [f"Nothing is said about the template: {same['reason']}."]
    text = numbers.plural(found["n_responses"], "answer")
    said = [
        f"With the base under the template of {model} ({found['templates'][SAME]}), KL(tuned from "
        f"base) is {numbers.with_interval(same)} nats per token on {text} of {model} itself, stop "
        "tokens left out."
    ]
    if not found["gone"]:
        return [*said, "No other template could be compared, so its part is undecided."]
    return [*said, _concluded(model, found)]


def _concluded(model: str, found: Found) -> str:
    conclusion, nearest = found["conclusion"], found["nearest"]
    if not found["above_noise"]:
        return _without_a_shift(found)
    if conclusion == "none":
        return _further(model, found)
    if conclusion == "undecided":
        nearest = _open(found) or nearest
    gone = found["gone"][nearest] if nearest else None
    if gone is None or gone["low"] is None:
        reason = gone["reason"] if gone else "no share could be computed"
        return f"Whether another template brings the base nearer is undecided: {reason}."
    share = f"{numbers.with_interval(gone, numbers.percent)} of the shift"
    under, least = f"under {_LABELS[nearest]}", seen(found["difference"][nearest])
    start = {
        "nearly all": "Nearly all of it is the template's",
        "most": "Most of it is the template's",
        "part": "A part of it is the template's",
    }.get(conclusion)
    if start:
        return f"{start}: {share} goes away {under}{least}."
    return (
        f"Whether another template brings the base nearer is undecided: {under} {share} goes away, "
        f"and the interval contains 0{least}."
    )


def _open(found: Found) -> str | None:
    """The template nearest to the tuned model of those whose share may be 0."""
    shares = {
        name: one["estimate"]
        for name, one in found["gone"].items()
        if one["low"] is not None and one["low"] <= 0 <= one["high"]
    }
    return max(shares, key=lambda name: shares[name], default=None)


def _further(model: str, found: Found) -> str:
    """No template brings the base nearer."""
    difference = found["difference"][found["nearest"]]
    turned = {
        "estimate": -difference["estimate"],
        "low": -difference["high"],
        "high": -difference["low"],
    }
    return (
        f"The template does not make this shift: every other template takes the base further from "
        f"{model}, the nearest, {_LABELS[found['nearest']]}, by {numbers.with_interval(turned)} "
        f"nats per token{seen(difference)}."
    )


def _without_a_shift(found: Found) -> str:
    """The two models do the same under one template; what another one makes is its own."""
    others = {name: found["kl"][name]["per_token"] for name in found["gone"]}
    furthest = max(others, key=lambda name: others[name]["estimate"] or 0.0)
    size = f"{numbers.with_interval(others[furthest])} nats per token"
    if found["conclusion"] == "undecided":
        return (
            "No shift above the noise is measured under one and the same template, but whether "
            "there is one there or under another is undecided: the intervals are missing or reach "
            f"above the noise; the largest of the others is {size}, under {_LABELS[furthest]}."
        )
    start = "Under one and the same template there is no shift above the noise"
    if found["conclusion"] == "no shift":
        return f"{start}, and none under another: the largest is {size}, under {_LABELS[furthest]}."
    return (
        f"{start}; with the base under {_LABELS[furthest]} KL(tuned from base) is {size}, and the "
        "template alone makes this shift."
    )


def _picture(found: Found, absent: Mapping[str, str]) -> dict[str, Any]:
    rows = []
    for name, label in _LABELS.items():
        if name in found["kl"]:
            mean = found["kl"][name]["per_token"]
            drawn = {key: mean[key] for key in ("estimate", "low", "high", "reason")}
        else:
            reason = absent.get(name, "not compared")
            drawn = {"estimate": None, "low": None, "high": None, "reason": reason}
        rows.append({"label": label, **drawn})
    floor = found["floor_nats"]
    return {
        "kind": "intervals",
        "x_label": "KL(tuned from base), nats per token, by the base's template",
        "rows": rows,
        "line": None if floor is None else {"at": floor, "label": "noise floor"},
    }


def _table(found: Found) -> dict[str, Any]:
    columns = ["the base reads", "nats per token", "nats per token, every answer alike",
               "less than under the tuned model's template",
               "share of the shift that goes away"]  # fmt: skip
    rows = []
    for name in (one for one in _LABELS if one in found["kl"]):
        means = found["kl"][name]
        beside = [numbers.NONE, numbers.NONE]
        if name != SAME:
            beside = [
                numbers.with_interval(found["difference"][name]),
                numbers.with_interval(found["gone"][name], numbers.percent),
            ]
        cells = [numbers.with_interval(means[kind]) for kind in ("per_token", "per_response")]
        rows.append([_LABELS[name], *cells, *beside])
    return {"columns": columns, "rows": rows}


def _cautions(found: Found) -> list[str]:
    said = [
        f"The last token of {numbers.plural(found['n_stops'], 'answer')} is a stop token and is "
        "left out under every template alike, since templates end answers differently. Differences "
        "are paired over prompts."
    ]
    if len(found["gone"]) > 1:
        said.append(
            "The nearest template is chosen by these same numbers, so its share is a little too "
            "large."
        )
    said.append(
        "The answer's token ids stay as they are: where another template puts white space before "
        "an answer, the first token is out of place under it."
    )
    if found["n_left_out"]:
        left = numbers.plural(found["n_left_out"], "answer")
        said.append(f"{left} could not be scored under every template and are left out.")
    if found["n_prompts"] < FEW_PROMPTS:
        over = numbers.plural(found["n_prompts"], "prompt")
        said.append(f"An interval over {over} is rough.")
    return said
