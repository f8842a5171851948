"""How it was computed: every number's definition, and where everything came from (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.facts import short_place

DEFINITIONS: list[tuple[str, str]] = [
    ("base, tuned", "The checkpoint that tuning started from, and the one after it."),
    ("position", "Tokens of the answer counted from 0; the stop token is scored like any other."),
    (
        "KL(tuned from base)",
        "Sum over the vocabulary of p_tuned log(p_tuned / p_base), in nats, for the next token "
        "after the prompt and the answer so far; exact over the full common vocabulary.",
    ),
    (
        "mean KL",
        "Mean over all scored tokens of the tuned model’s own answers, so a long answer "
        "weighs more than a short one.",
    ),
    (
        "base probability",
        "Mean over tokens of the probability that base gives to tuned’s first choice.",
    ),
    (
        "base rank",
        "Mean over tokens of the rank that base gives to tuned’s first choice: 1 + the "
        "number of tokens with a strictly larger logit.",
    ),
    (
        "unshifted, marginal, shifted",
        "Base rank of tuned’s first choice is 1, 2 or 3, more than 3.",
    ),
    (
        "noise floor",
        "Mean KL of the same weights against themselves when only the computation differs "
        "(other batching, cached; in 16 bits also against float32): the largest of these means, "
        "and what 0 looks like here.",
    ),
    (
        "95% interval",
        "Expanded percentile bootstrap that draws whole prompts again, with all their "
        "answers, because the tokens of one answer are not independent.",
    ),
    (
        "difference between models",
        "Paired: both models’ answers to the same prompts, and prompts are drawn again together.",
    ),
    (
        "first 5% of a sentence",
        "The first 5% of a sentence’s tokens, rounded down, at least one; the "
        "rest is the rest of that sentence.",
    ),
    ("entropy", "Of a model’s next-token distribution, in nats: 0 is certain."),
    (
        "top five",
        "The five likeliest next tokens of each model, with probabilities renormalised over "
        "the common vocabulary.",
    ),
]
_ENVIRONMENT = ("python", "machine", "device", "device_name", "threads", "processes")


def definitions() -> list[tuple[str, str]]:
    return list(DEFINITIONS)


def inputs(
    models: Sequence[tuple[str, Mapping[str, Any]]],
    others: Mapping[str, Mapping[str, Any]],
    redact: bool = False,
) -> list[tuple[str, str]]:
    """Ids of every artefact and of what it was made from; with `redact` without places.

    models: (label, manifest); others: manifests of rows and prompts by label.
    """
    found: dict[str, str] = {}
    for label, manifest in [*models, *others.items()]:
        found.setdefault(label, str(manifest["id"]))
        for given in manifest["inputs"]:
            place = short_place(given["place"])
            known = redact or place in ("", str(given["id"]))
            found.setdefault(
                f"{label}: {given['name']}", f"{given['id']}{'' if known else f' ({place})'}"
            )
    return list(found.items())


def scored(models: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Per model (as in view.py): how its base was stored, and which template that read under."""
    found = []
    for model in models:
        said = [f"Base: {model['base_precision']}", f"both models were scored in {model['dtype']}"]
        if model["base_template"]:
            said.append(
                f"the base read its prompts under the template {model['base_template']}, the "
                f"tuned model under its own{_STOPS[model['same_stop']]}"
            )
        found.append((model["name"], "; ".join(said) + "."))
    return found


_STOPS = {
    True: "; both end an answer with the same token",
    False: "; the two end an answer with different tokens, so the last position shifts by that",
    None: "; whether both end an answer with the same token is unknown",
}


def versions(manifests: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Packages, device and threads that computed; where stages differ, every value."""
    found: dict[str, dict[str, None]] = {}
    for manifest in manifests:
        environment = manifest["environment"]
        said = {
            name: environment[name] for name in _ENVIRONMENT if environment.get(name) is not None
        }
        for name, value in {**said, **environment.get("packages", {})}.items():
            found.setdefault(name, {})[str(value)] = None
    return [(name, ", ".join(values)) for name, values in found.items()]
