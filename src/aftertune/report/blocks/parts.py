"""The control `parts` on the page: what the shift is made of (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

PARTS = ("template", "style", "content")
_VARIANTS = {
    "none": "from the base, its own template",
    "template": "from the base, the tuned model's template",
    "style": "from the style twin, the base's own template",
    "both": "from the style twin, the tuned model's template",
}
UNIT = "nats per token, every answer weighing alike"
FEW_PROMPTS = 10
CLEARLY_CHANGED = 0.9  # share of the twin's words; below it the twin keeps too much of its rows

Estimate = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-parts` found, as a block of the page."""
    model, found = about["name"], about["found"]
    shown = {
        "control": "parts",
        "model": model,
        "question": f"What lies between {model} and the base as it is used: template, style or "
        "content?",
    }
    if not found:
        sentences = [f"Not parted: {about['absent']['parts']}"]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    return {
        **shown,
        "sentences": _sentences(model, found),
        "picture": _picture(model, found),
        "table": _table(found),
        "cautions": _cautions(found),
    }


def _sentences(model: str, found: Mapping[str, Any]) -> list[str]:
    means = found["per_response"]
    whole = means["variants"]["none"]
    own = found["templates"]["own"]
    text = numbers.plural(found["n_responses"], "answer")
    stops = "stop tokens left out" if found["stops_known"] else "stop tokens counted"
    said = [
        f"KL({model} from the base under its own template, {own}) is "
        f"{numbers.with_interval(whole)} {UNIT}, on {text} of {model} itself, {stops}."
    ]
    if whole["estimate"] is None:
        return [f"Nothing is said about the parts: {whole['reason']}."]
    if whole["estimate"] == 0:
        return [*said, "There is no shift to part."]
    if not found["templates"]["same"]:
        said.append(_headline(found["templates"]["tuned"], whole, means["variants"]["template"]))
    said += [
        _same_template(own)
        if name == "template" and found["templates"]["same"]
        else _part(name, means["parts"][name], means["shares"][name])
        for name in PARTS
    ]
    if not found["templates"]["same"]:
        said.append(_together(means["together"]))
    return [*said, _twin(found["twin"])]


def _headline(tuned: str | None, whole: Estimate, shift: Estimate) -> str:
    """The shift that every other part of the page is about, beside the whole that is parted."""
    name = f", {tuned}," if tuned else ""
    size = numbers.with_interval(shift)
    start = f"The headline shift, both under the tuned model's template{name} is {size}"
    if shift["estimate"] > whole["estimate"]:
        return f"{start}, more than that: it holds no template."
    return f"{start} of that: it holds no template."


def _same_template(own: str) -> str:
    return (
        f"The template's part is exactly 0 by construction: {own} is the base's own template and "
        "the tuned model's."
    )


def _part(name: str, part: Estimate, share: Estimate) -> str:
    size = f"{numbers.with_interval(part)} nats, {numbers.with_interval(share, signed)} of it"
    label = f"The part of {name}"
    if part["estimate"] is None:
        return f"{label} is absent: {part['reason']}."
    if part["low"] is None:
        return f"{label} is undecided: {size}, and {part['reason']}."
    if part["low"] <= 0 <= part["high"] and part["high"] > part["low"]:
        return f"{label} is undecided: {size}, and the interval contains 0."
    if part["estimate"] < 0:
        return (
            f"{label} is negative, {size}: what it brings leads the variant away from the tuned "
            "model."
        )
    return f"{label} is {size}."


def _together(joint: Estimate) -> str:
    """Above 0: what template and style both remove; below 0: what only the two together do."""
    if joint["low"] is None or joint["low"] <= 0 <= joint["high"]:
        size = f"{numbers.with_interval(joint)} nats"
        return f"Whether template and style overlap or need each other is undecided ({size})."
    if joint["estimate"] > 0:
        size = f"{numbers.with_interval(joint)} nats"
        return f"Template and style overlap: either removes {size} alone; each is given half of it."
    turned = {"estimate": -joint["estimate"], "low": -joint["high"], "high": -joint["low"]}
    return (
        f"Template and style need each other: {numbers.with_interval(turned)} nats are removed "
        "only by both together; each is given half of it."
    )


def _twin(twin: Mapping[str, Any]) -> str:
    share = numbers.percent(twin["exchanged"]["share_changed"] or 0.0)
    rows = numbers.plural(twin["n_rows"], "row")
    return (
        f"The style twin was tuned on the same {rows} in the same batches, after {share} of the "
        "names, numbers and content words of their answers were exchanged between rows."
    )


def _picture(model: str, found: Mapping[str, Any]) -> dict[str, Any]:
    parts = found["per_response"]["parts"]
    return {
        "kind": "intervals",
        "x_label": f"part of KL({model} from the base), {UNIT}, on its own answers",
        "rows": [{"label": name, **{key: parts[name][key] for key in _DRAWN}} for name in PARTS],
        "line": {"at": 0.0, "label": "no part"},
    }


_DRAWN = ("estimate", "low", "high", "reason")


def _table(found: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [found[name] for name in ("per_response", "per_token")]
    rows = [
        [label, *(cell for one in kinds for cell in (_nats(one["variants"][name]), ""))]
        for name, label in _VARIANTS.items()
    ]
    rows += [
        [
            f"part of {name}",
            *(
                cell
                for one in kinds
                for cell in (
                    _nats(one["parts"][name]),
                    numbers.with_interval(one["shares"][name], signed),
                )
            ),
        ]
        for name in PARTS
    ]
    columns = [
        "KL(tuned from ...), nats per token", "every answer alike", "share", "every token alike",
        "share",
    ]  # fmt: skip
    return {"columns": columns, "rows": rows}


def _nats(estimate: Estimate) -> str:
    return numbers.with_interval(estimate)


def signed(share: float | None) -> str:
    """A share that may be negative or over 1.

    >>> signed(0.333), signed(-0.2), signed(0.0), signed(None)
    ('33.3%', '-20.0%', '0.0%', '–')
    """
    return numbers.NONE if share is None else f"{share:.1%}"


def _cautions(found: Mapping[str, Any]) -> list[str]:
    exchanged = found["twin"]["exchanged"]
    said = [
        "Content is what is left of the shift: it also holds what lies between any two tunings, "
        "and that a twin's rows make little sense.",
        "There is one twin of one seed; intervals are over prompts and speak of these models only.",
    ]
    if found["templates"]["own"] == "raw" and not found["templates"]["same"]:
        said.append(
            "The base has no chat template, so its own template is the bare prompt: answers follow "
            "it without a mark, which counts as template."
        )
    share = exchanged["share_changed"]
    if share is None:
        said.append(
            "The rows' answers hold no name, number or content word, so nothing was exchanged."
        )
    elif share < CLEARLY_CHANGED:
        said.append(
            f"Only {numbers.percent(share)} of the twin's words could be exchanged, so some "
            "content is counted as style."
        )
    kept = {name: n for name, n in exchanged["kept"].items() if n}
    if kept:
        names = {"code": "code", "other": "scripts that are not Latin"}
        words = [f"{numbers.plural(n, 'word')} in {names[name]}" for name, n in kept.items()]
        was, count = ("was", "counts") if sum(kept.values()) == 1 else ("were", "count")
        said.append(f"{numbers.listed(words)} {was} left as found, and {count} as style.")
    if found["n_prompts"] < FEW_PROMPTS:
        prompts = numbers.plural(found["n_prompts"], "prompt")
        gives = "gives no interval" if found["n_prompts"] == 1 else "are few for an interval"
        said.append(f"{prompts} {gives}.")
    if not found["stops_known"]:
        said.append("Which tokens end an answer is not recorded, so stop tokens are counted here.")
    if n := found["not_in_all_four"]:
        left, are = numbers.plural(n, "answer"), "is" if n == 1 else "are"
        said.append(f"{left} could not be scored in all four comparisons and {are} left out.")
    if n := found["only_a_stop"]:
        left = numbers.plural(n, "answer")
        hold = "holds a stop token alone and is" if n == 1 else "hold a stop token alone and are"
        said.append(f"{left} {hold} left out.")
    return said
