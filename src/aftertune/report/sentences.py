"""The conclusion in plain sentences, each with its numbers (pure).

`findings` say how far each model moved and which moved further; `cautions` say what these
numbers do not show. A difference whose interval contains 0 is undecided, never a finding.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from aftertune.report import numbers
from aftertune.report.seen import seen

FEW_PROMPTS = 10  # below this, an interval over prompts is itself uncertain
ALL_PAIRS = 4  # with more models, only neighbours in order of mean KL are compared
CLEAR = 3.0  # what lies within so many times its noise floor does not stand out

Model = Mapping[str, Any]  # as in view.py
Pair = Mapping[str, Any]  # first, second (names), difference (an estimate), n prompts in common


def findings(models: Sequence[Model], pairs: Sequence[Pair]) -> list[str]:
    """How far each model moved, then every comparison, further first."""
    if not models:
        return ["No model was given, so there is nothing to conclude."]
    return [moved(model) for model in models] + [compared(pair) for pair in pairs]


def moved(model: Model) -> str:
    """How far one model moved, in floors, and the shares of its tokens."""
    name, kl, floor = model["name"], model["kl"], model["floor"]
    if kl is None or kl["estimate"] is None:
        reason = (kl or {}).get("reason") or "no values"
        return f"Nothing is said about how far {name} moved: {reason}."
    tokens = _tokens(model)
    if kl["estimate"] == 0:
        still = "does not differ from the base" if model["base_template"] else "did not move"
        return f"{name} {still}: KL(tuned from base) is 0 at every one of {tokens}{_read(model)}."
    if floor is not None and (verdict := _beside_noise(kl, floor)):
        return _noise(model, verdict)
    size = f"{numbers.with_interval(kl)} nats per token"
    start = f"moved by a mean KL(tuned from base) of {size}"
    if model["base_template"]:
        start = f"lies a mean KL(tuned from base) of {size} from the base,"
    return f"{name} {start} on {_text(model)}{_in_floors(kl, floor)}. {_shares(model)}"


def _noise(model: Model, verdict: str) -> str:
    """What is said where the shift does not clearly stand above the noise floor."""
    name, size = model["name"], numbers.with_interval(model["kl"])
    if verdict == "within":
        far = "lie further from the base" if model["base_template"] else "move by more"
        start = f"{name} did not {far} than the noise"
    else:
        far = "lies further from the base" if model["base_template"] else "moved by more"
        start = f"It is undecided whether {name} {far} than the noise"
    return (
        f"{start}: mean KL(tuned from base) is {size} nats per token on {_text(model)}, and the "
        f"same weights differ from themselves by {numbers.nats(model['floor'])} (more than the "
        f"noise is more than {CLEAR:g} times that)."
    )


def _text(model: Model) -> str:
    """Which answers were scored: no KL is without the text that it was taken on."""
    own = "its own answers" if model["sampled"] or model["given"] else "its own greedy answers"
    if model["text_of"]:
        own = f"answers of {numbers.listed(model['text_of'])}"
    return f"{own}{_read(model)}"


def _read(model: Model) -> str:
    """Under what the base read its prompts, where that is not what the tuned model read."""
    template = model["base_template"]
    return f", the base reading its prompts under {template}" if template else ""


def _tokens(model: Model) -> str:
    answers = numbers.plural(model["n_scored"], "answer")
    return f"{numbers.plural(model['n_tokens'], 'token')} in {answers}"


def _beside_noise(kl: Mapping[str, float | None], floor: float) -> str | None:
    """ "within" the noise, "undecided", or None where the shift is clear of it.

    Without an interval a small mean is undecided; a larger one is said as it is.
    """
    low, mean, high, clear = kl["low"], kl["estimate"], kl["high"], CLEAR * floor
    assert mean is not None
    if low is None or high is None:
        return "undecided" if mean <= clear else None
    if high <= clear:
        return "within"
    return "undecided" if low <= clear else None


def _in_floors(kl: Mapping[str, float | None], floor: float | None) -> str:
    if floor is None:
        return " (no noise floor was measured)"
    if floor == 0:
        return ", over a noise floor of 0"
    assert kl["estimate"] is not None
    return (
        f", {numbers.times(kl['estimate'] / floor)} times the noise floor of {numbers.nats(floor)}"
    )


def _shares(model: Model) -> str:
    known = [(c, model["shares"].get(c)) for c in ("unshifted", "marginal", "shifted")]
    words = [f"{_share(share)} {category}" for category, share in known if share is not None]
    if not words:
        return f"It has {_tokens(model)}."
    words[0] = words[0].replace(" unshifted", " are unshifted")
    return f"Of {_tokens(model)}, {numbers.listed(words)}."


def _share(share: Mapping[str, Any]) -> str:
    """A share with its interval; all and none are counts, and have none."""
    said = {0.0: "none", 1.0: "all"}.get(share["estimate"])
    return said or numbers.with_interval(share, numbers.percent)


def compared(pair: Pair) -> str:
    """Which of two models moved further, or that it is undecided."""
    first, second, difference = pair["first"], pair["second"], pair["difference"]
    common = numbers.plural(pair["n"], "prompt")
    if difference["estimate"] is None:
        reason = difference["reason"] if pair["n"] else "they have no scored prompt in common"
        return f"{first} and {second} are not compared: {reason}."
    if not numbers.has_interval(difference):
        return (
            f"It is undecided whether {first} or {second} moved further: {common} in common "
            f"gives no interval (difference {numbers.nats(difference['estimate'])} nats)."
        )
    if difference["low"] <= 0 <= difference["high"]:
        return (
            f"It is undecided whether {first} or {second} moved further: the difference is "
            f"{numbers.with_interval(difference)} nats on {common} in common, and its interval "
            f"contains 0{seen(pair)}."
        )
    if difference["estimate"] < 0:
        first, second, difference = second, first, _negated(difference)
    return (
        f"{first} moved further than {second}: the difference is "
        f"{numbers.with_interval(difference)} nats, paired over {common}{seen(pair)}."
    )


def _negated(estimate: Mapping[str, Any]) -> dict[str, float]:
    return {"estimate": -estimate["estimate"], "low": -estimate["high"], "high": -estimate["low"]}


def pairs_to_compare(models: Sequence[Model]) -> list[tuple[int, int]]:
    """Places of the pairs that get a sentence; the one that moved further comes first.

    All pairs of up to four models, else neighbours in order of mean KL.
    """
    known = [
        i for i, m in enumerate(models) if m["kl"] is not None and m["kl"]["estimate"] is not None
    ]
    order = sorted(known, key=lambda i: -models[i]["kl"]["estimate"])
    if len(order) > ALL_PAIRS:
        return list(pairwise(order))
    return [(a, b) for k, a in enumerate(order) for b in order[k + 1 :]]


def cautions(models: Sequence[Model], pairs: Sequence[Pair]) -> list[str]:
    """What a reader must keep in mind; only what applies here."""
    if not models:
        return []
    said = [
        _meaning(models, pairs),
        _other_template(models),
        *_rates(models),
        *_bases(models),
        _scoring(models),
        *_answers(models),
        _neighbours(models, pairs),
    ]
    return [sentence for sentence in said if sentence]


def _meaning(models: Sequence[Model], pairs: Sequence[Pair]) -> str:
    fewest = min(m["n_scored"] for m in models)
    few = (
        f" They rest on only {numbers.plural(fewest, 'answer')} and are rough."
        if 1 < fewest < FEW_PROMPTS
        else ""
    )
    none = " One answer alone gives no interval." if fewest == 1 else ""
    methods = {m["method"] for m in models if m["method"]}
    what = "not of the methods" if pairs and len(methods) > 1 else "not of how they were tuned"
    return (
        f"The 95% intervals speak of these models on prompts like these, {what}: another seed "
        f"or other rows would give other models.{few}{none}"
    )


def _other_template(models: Sequence[Model]) -> str:
    names = [model["name"] for model in models if model["base_template"]]
    if not names:
        return ""
    return (
        f"The base read its prompts under another template than {numbers.listed(names)}: what the "
        f"other template does is part of this number; it is not tuning alone."
    )


def _rates(models: Sequence[Model]) -> list[str]:
    known: dict[str, list[str]] = {}
    for model in models:
        if model["learning_rate"] is not None:
            known.setdefault(model["method"] or "tuning", []).append(
                numbers.rate(model["learning_rate"])
            )
    unknown = [m["name"] for m in models if m["learning_rate"] is None]
    said = []
    if known:
        each = [
            f"{method} at {numbers.listed(list(dict.fromkeys(rates)))}"
            for method, rates in known.items()
        ]
        said.append(f"Learning rates: {'; '.join(each)}.")
    single = [method for method, rates in known.items() if len(set(rates)) == 1]
    if single and len(known) > 1:
        said.append(
            f"{numbers.listed(single)} {'was' if len(single) == 1 else 'were each'} tried at "
            f"one learning rate only, so a difference between the methods may be the "
            f"rate’s and not the method’s; `aftertune sweep` tries several."
        )
    elif single:
        said.append(
            f"Only one learning rate was tried for {single[0]}; another may move the model "
            f"more or less; `aftertune sweep` tries several."
        )
    if unknown:
        said.append(
            f"The learning rate of {numbers.listed(unknown)} is unknown: no record of the "
            f"tuning was given."
        )
    return said


def _bases(models: Sequence[Model]) -> list[str]:
    noted = {m["base"]: m["base_note"] for m in models if m["base_note"]}
    said = [
        f"About the base, {base}: {note.rstrip('.')}. This page says what tuning did to that model "
        f"and draws no verdict about pure base checkpoints."
        for base, note in noted.items()
    ]
    if len({m["base_id"] for m in models}) > 1:
        names = numbers.listed(list(dict.fromkeys(m["base"] for m in models)))
        said.append(
            f"The models do not share one base ({names}), so their distances start from "
            f"different places."
        )
    return said


def _scoring(models: Sequence[Model]) -> str:
    dtypes = list(dict.fromkeys(m["dtype"] for m in models if m["dtype"]))
    if not dtypes:
        return ""
    said = f"Both distributions were computed in {numbers.listed(dtypes)}."
    if len(dtypes) > 1:
        said += " Models scored in different dtypes are not strictly comparable."
    if any(dtype != "float32" for dtype in dtypes):
        said += " In 16 bits the noise floor is high: small shifts need float32."
    again = [m["name"] for m in models if m["rescored"]]
    if again:
        said += (
            f" {numbers.listed(again)} {'was' if len(again) == 1 else 'were'} scored in float32 "
            f"because the shift did not stand well above the noise of 16 bits."
        )
    return said


def _answers(models: Sequence[Model]) -> list[str]:
    said = [unstable(m["name"], m["stability"]) for m in models if m["stability"]]
    sampled = [m["name"] for m in models if m["sampled"]]
    if sampled:
        said.append(
            f"The answers of {numbers.listed(sampled)} were sampled, not greedy, so another "
            f"seed gives other answers."
        )
    encoded = [m["name"] for m in models if m["n_encoded"]]
    if encoded:
        said.append(
            f"Answers of {numbers.listed(encoded)} came as text and were encoded once, so "
            f"their tokens may differ from those that were generated."
        )
    for model in models:
        for reason, n in model["unscored"].items():
            said.append(
                f"{model['name']}: {numbers.plural(n, 'answer')} could not be scored and "
                f"{'is' if n == 1 else 'are'} left out ({reason.rstrip('.')})."
            )
    return said


def unstable(name: str, found: Mapping[str, Any]) -> str:
    """How many greedy answers another batch changed, and whether that is within rounding."""
    n, differ, below = found["n_answers"], found["n_differ"], found["n_below_noise"]
    start = (
        f"{name}: answered again in other batches in {found['dtype']}, {differ:,} of "
        f"{numbers.plural(n, 'answer')} {'differs' if differ == 1 else 'differ'}"
    )
    if not differ:
        return f"{start}."
    if below is None:
        return f"{start}; whether that is rounding could not be measured."
    if below == differ:
        return (
            f"{start}; at every first difference the two tokens’ float32 margin "
            f"(at most {numbers.nats(found['margin_max'])}) lies within the rounding noise "
            f"({numbers.nats(found['noise_max'])})."
        )
    beyond = numbers.plural(differ - below, "first difference")
    return (
        f"{start}; at {beyond} the float32 margin (at most "
        f"{numbers.nats(found['margin_max'])}) is larger than the rounding noise "
        f"({numbers.nats(found['noise_max'])}) explains."
    )


def _neighbours(models: Sequence[Model], pairs: Sequence[Pair]) -> str:
    if len(models) <= ALL_PAIRS or not pairs:
        return ""
    return "Of so many models, only neighbours in order of mean KL are compared."
