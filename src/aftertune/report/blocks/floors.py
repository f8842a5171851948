"""The control `floors` on the page: how much of the shift any tuning would make (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

# In the picture's order. KL(first from second), on whose answers.
_LABELS = {
    "headline": ("{model} from the base", "{model}"),
    "other_seed_own": ("another seed from the base", "that seed"),
    "two_seeds": ("{model} from another seed of it", "{model}"),
    "null": ("null tuning from the base", "{model}"),
    "null_own": ("null tuning from the base", "the null tuning"),
}
# Of the rows' loss at the first step; above it the null's rows are not what the base would say.
OWN_WORDS = 0.5
UNIT = "nats per token, every answer weighing alike"
_DRAWN = ("estimate", "low", "high", "reason")

Estimate = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-floors` found, as a block of the page."""
    model, found = about["name"], about["found"]
    shown = {
        "control": "floors",
        "model": model,
        "question": f"How much of the shift of {model} would any tuning make?",
    }
    if not found:
        sentences = [f"Not measured: {about['absent']['floors']}"]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    return {
        **shown,
        "sentences": _sentences(model, found),
        "picture": _picture(model, found, about["absent"]),
        "table": _table(model, found),
        "cautions": _cautions(found, about["absent"]),
    }


def _sentences(model: str, found: Mapping[str, Any]) -> list[str]:
    headline = found["headline"]["per_response"]
    said = [
        f"KL({model} from the base) is {numbers.with_interval(headline)} {UNIT}, on the answers "
        f"of {model} itself."
    ]
    if headline["estimate"] is None:
        return [f"Nothing is compared: {headline['reason']}."]
    said.append(
        _beside(
            f"{model} lies from another seed of the same tuning, which differs in the order of "
            "rows and in what is drawn at random, by",
            found["two_seeds"],
            "whether the tuning moved it further than chance alone parts two tunings",
        )
    )
    if "null" in found:
        said.append(
            _beside(
                "A null tuning, with the same settings on the base's own answers to the rows' "
                "prompts, moves the base on these answers by",
                found["null"],
                f"whether {model} moved further than a tuning with nothing to learn",
            )
        )
    if "other_seed_own" in found:
        said.append(_spread(model, found["other_seed_own"]))
    return said


def _beside(start: str, floor: Mapping[str, Any], question: str) -> str:
    size = f"{numbers.with_interval(floor['per_response'])} nats"
    if floor["per_response"]["estimate"] is None:
        return f"{start} an unknown amount: {floor['per_response']['reason']}."
    difference = floor["difference"]
    share = numbers.with_interval(floor["share"], share_of)
    if difference["low"] is None or difference["low"] <= 0 <= difference["high"]:
        return (
            f"{start} {size}, {share} of the shift; {question} is undecided (difference "
            f"{numbers.with_interval(difference)} nats, paired over "
            f"{numbers.plural(floor['n_prompts'], 'prompt')})."
        )
    return f"{start} {size}, {share} of the shift."


def _spread(model: str, other: Mapping[str, Any]) -> str:
    size = numbers.with_interval(other["per_response"])
    gap = other["difference"]
    verdict = f"the two headlines differ by {numbers.with_interval(gap)} nats"
    if gap["low"] is None or gap["low"] <= 0 <= gap["high"]:
        verdict = (
            f"whether the two headlines differ is undecided ({numbers.with_interval(gap)} nats)"
        )
    return (
        f"The other seed's own KL from the base, on its own answers, is {size} {UNIT}; "
        f"{verdict}, paired over {numbers.plural(other['n_prompts'], 'prompt')}."
    )


def share_of(share: float | None) -> str:
    """A floor as a share of the shift, which may be over 1.

    >>> share_of(0.25), share_of(1.5), share_of(None)
    ('25.0%', '150.0%', '–')
    """
    return numbers.NONE if share is None else f"{share:.1%}"


def _label(name: str, model: str) -> str:
    pair, text = (part.format(model=model) for part in _LABELS[name])
    return f"on answers of {text}: {pair}"  # whose answers first: a long label is cut at its end


def _picture(model: str, found: Mapping[str, Any], absent: Mapping[str, str]) -> dict[str, Any]:
    rows = []
    for name in _LABELS:
        values: Estimate = found.get(name, {}).get("per_response") or {
            **dict.fromkeys(_DRAWN),
            "reason": absent.get(name),
        }
        rows.append({"label": _label(name, model), **{key: values[key] for key in _DRAWN}})
    headline = found["headline"]["per_response"]["estimate"]
    line = None if headline is None else {"at": headline, "label": f"shift of {model}"}
    x_label = f"KL(tuned from base, or from another seed), {UNIT}"
    return {"kind": "intervals", "x_label": x_label, "rows": rows, "line": line}


def _table(model: str, found: Mapping[str, Any]) -> dict[str, Any]:
    columns = [
        "KL, nats per token", "every answer alike", "every token alike", "share of the shift",
        "shift less this",
    ]  # fmt: skip
    rows = []
    for name in _LABELS:
        if name not in found:
            continue
        held = found[name]
        rows.append(
            [
                _label(name, model),
                numbers.with_interval(held["per_response"]),
                numbers.with_interval(held["per_token"]),
                numbers.with_interval(held["share"], share_of) if "share" in held else "",
                numbers.with_interval(held["difference"]) if "difference" in held else "",
            ]
        )
    return {"columns": columns, "rows": rows}


def _cautions(found: Mapping[str, Any], absent: Mapping[str, str]) -> list[str]:
    said = [
        "There is one other seed and one null tuning; intervals are over prompts, and how much "
        "seeds differ needs at least five of them."
    ]
    rows = found["null_rows"]
    if "null" in found and rows["answers_cut"]:
        were = "was" if rows["answers_cut"] == 1 else "were"
        said.append(
            f"{rows['answers_cut']:,} of the base's answers had not ended after "
            f"{rows['max_new_tokens']:,} tokens and {were} cut there, so the null tuning also "
            "learns to stop."
        )
    if "null" in found and rows["first_loss_nats"] > OWN_WORDS * rows["first_loss_of_rows_nats"]:
        said.append(
            f"The base finds its own answers unlikely: {numbers.nats(rows['first_loss_nats'])} "
            f"nats per token at the first step, against "
            f"{numbers.nats(rows['first_loss_of_rows_nats'])} of the rows; the null tuning does "
            "learn something new."
        )
    if "null" in found and rows["left_out"]:
        left = numbers.plural(rows["left_out"], "row")
        are = "is" if rows["left_out"] == 1 else "are"
        said.append(f"{left} got no answer from the base and {are} not in the null tuning.")
    reasons: dict[str, list[str]] = {}
    for name, reason in absent.items():
        reasons.setdefault(reason, []).append(name.replace("_own", " on its own answers"))
    names = {reason: numbers.listed([n.replace("_", " ") for n in held]) for reason, held in
             reasons.items()}  # fmt: skip
    said += [f"Not measured ({name}): {reason.rstrip('.')}." for reason, name in names.items()]
    return said
