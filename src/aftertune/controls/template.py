"""Does the template make the shift? The same answers, the base under several templates (pure).

`SAME` is the base under the tuned model's own template, which is how every shift is taken; what
goes away when the base reads the prompt in another dress was never a matter of the weights alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from aftertune.controls.answers import Array, PerPrompt, over_prompts, per_prompt
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import Interval, absent, bootstrap_mean, paired_difference

SAME = "same"
NO_SHIFT = "there is no shift under the tuned model's own template"
CLEAR = 3.0  # a mean below so many times its noise floor is no shift
NEARLY_ALL, MOST = 0.9, 0.5  # shares of the shift that the whole interval has to exceed

# What the numbers say; see `conclusion`.
Conclusion = Literal[
    "no shift", "template alone", "nearly all", "most", "part", "none", "undecided"
]


def compare(
    kl: Mapping[str, Mapping[str, Array]],
    prompt_of: Mapping[str, str],
    floor: float | None,
    seed: int = 0,
) -> dict[str, Any]:
    """KL of the same answers with the base under each template, as JSON values.

    kl: template (SAME among them) -> response_id -> KL(tuned from base) by position, stop tokens
    left out. An answer that lacks values under one of them is left out under all. floor: mean KL
    of the same weights under another computation, None where unknown.

    Returns n_responses, n_prompts, n_tokens, n_left_out; floor_nats; kl: {template: per_token,
    per_response}; and for the others than SAME difference: {template: mean under SAME minus mean
    under it, with smallest_detectable}, gone: {template: that difference / mean under SAME};
    nearest: the template with the largest share gone; above_noise: whether the mean under SAME
    is larger than CLEAR noise floors; conclusion.
    """
    common = set.intersection(*(set(values) for values in kl.values()))
    prompts = list(dict.fromkeys(prompt_of[one] for one in kl[SAME] if one in common))
    gathered = {
        name: per_prompt({one: v for one, v in values.items() if one in common}, prompt_of, prompts)
        for name, values in kl.items()
    }
    same = gathered[SAME]
    others = {name: one for name, one in gathered.items() if name != SAME}
    gone = {name: _gone(same, other, seed) for name, other in others.items()}
    known = {name: one.estimate for name, one in gone.items() if one.estimate is not None}
    nearest = max(known, key=lambda name: known[name], default=None)
    means = {name: one.per_token(seed) for name, one in gathered.items()}
    return {
        "n_responses": len(common),
        "n_prompts": len(prompts),
        "n_tokens": int(same.counts.sum()),
        "n_left_out": len(set().union(*kl.values())) - len(common),
        "floor_nats": floor,
        "kl": {name: one.both(seed) for name, one in gathered.items()},
        "difference": {name: _difference(same, other, seed) for name, other in others.items()},
        "gone": {name: one.as_json() for name, one in gone.items()},
        "nearest": nearest,
        "above_noise": (means[SAME].estimate or 0.0) > CLEAR * (floor or 0.0),
        "conclusion": conclusion(means, gone, nearest, floor),
    }


def conclusion(
    means: Mapping[str, Interval],
    gone: Mapping[str, Interval],
    nearest: str | None,
    floor: float | None,
) -> Conclusion:
    """What may be said, by the intervals alone; where one is missing or too wide, "undecided".

    means: mean KL under each template. gone: the share of the shift under SAME that goes away
    under each other template. nearest: the one with the largest share. "no shift" needs every
    mean below the noise, and "none" a share below 0 under every other template.
    """
    at_most = CLEAR * (floor or 0.0)
    same = means[SAME]
    if same.estimate is None:
        return "undecided"
    if same.estimate <= at_most:
        others = [one for name, one in means.items() if name != SAME]
        return _below_the_noise(same, others, at_most)
    share = gone[nearest] if nearest else None
    if share is None or share.low is None:
        return "undecided"
    if share.low > MOST:
        return "nearly all" if share.low > NEARLY_ALL else "most"
    if share.low > 0:
        return "part"
    return "none" if all(_below(one, 0.0) for one in gone.values()) else "undecided"


def _below_the_noise(same: Interval, others: Sequence[Interval], at_most: float) -> Conclusion:
    """What may be said where the estimate under SAME is not above the noise."""
    if same.high is None or same.high > at_most:
        return "undecided"
    if any(one.low is not None and one.low > at_most for one in others):
        return "template alone"
    if others and all(one.high is not None and one.high <= at_most for one in others):
        return "no shift"
    return "undecided"


def _below(interval: Interval, limit: float) -> bool:
    return interval.high is not None and interval.high < limit


def _gone(same: PerPrompt, other: PerPrompt, seed: int) -> Interval:
    """1 - mean under the other template / mean under SAME; prompts are drawn for both together."""
    if not same.sums.sum():
        return absent(NO_SHIFT, len(same.sums))
    return over_prompts(bootstrap_mean(same.sums - other.sums, same.sums, seed))


def _difference(same: PerPrompt, other: PerPrompt, seed: int) -> dict[str, Any]:
    found = over_prompts(paired_difference(same.sums, other.sums, same.counts, other.counts, seed))
    return {**found.as_json(), "smallest_detectable": detectable_of(found)}
