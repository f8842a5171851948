"""Base against tuned, check by check, paired by prompt (pure).

A prompt's value is the mean over its answers, so several samples of one prompt count as one draw.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

from aftertune.behaviour.checks import Check, check_of
from aftertune.stats import bounds
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import DRAWS, LEVEL, Interval, absent, bootstrap_mean

MOST_EXAMPLES = 3  # of each direction
FEWEST = 6  # prompts, all in one direction, for an exact McNemar p below 0.05: 2 / 2^6

Line = Mapping[str, Any]  # of the table `behaviour`
Found = dict[str, Any]
ByPrompt = dict[str, list[Line]]


def summarise(lines: Sequence[Line], base: str, models: Sequence[str], seed: int = 0) -> Found:
    """{checks: [per tuned model and check], alone: {model: {check: mean}}, n_prompts: {model: n}}.

    Checks that changed most come first: decided ones, by their difference over half the width of
    its interval. A check that can be said of no answer stands in `absent` {check: reason}.
    """
    grouped: dict[str, dict[str, ByPrompt]] = {m: defaultdict(dict) for m in models}
    flags: Counter[str] = Counter()
    for line in lines:
        grouped[line["model"]][line["check"]].setdefault(line["prompt_id"], []).append(line)
        flags[line["check"]] += line["flagged"] is not None
    names = list(dict.fromkeys(line["check"] for line in lines))
    checks = {name: check_of(name, flags[name] > 0) for name in names}
    missing = {}
    for name in names:
        reason = _why_never(lines, name)
        if reason:
            missing[name] = reason
    known = [name for name in names if name not in missing]
    compared = [
        compare(name, checks[name], base, tuned, grouped[base][name], grouped[tuned][name], seed)
        for tuned in models
        if tuned != base
        for name in known
    ]
    return {
        "base": base,
        "models": list(models),
        "checks": sorted(compared, key=_rank),
        "alone": {
            model: {name: _alone(grouped[model][name], checks[name], seed) for name in known}
            for model in models
        },
        "labels": {name: checks[name].label for name in names},
        "n_prompts": {m: len({p for its in grouped[m].values() for p in its}) for m in models},
        "absent": missing,
    }


def compare(
    name: str, check: Check, base: str, tuned: str, of_base: ByPrompt, of_tuned: ByPrompt,
    seed: int = 0,
) -> Found:  # fmt: skip
    """One check on the prompts of which it can be said in both models.

    difference: tuned minus base, bootstrap over prompts; where no prompt differs, the exact
    binomial bound. mcnemar: prompts flagged in one model alone, and the exact two-sided p of a
    fair coin (McNemar, Psychometrika 12, 1947); None where answers to one prompt disagree or the
    check is a number. conclusion: more, less or undecided: the interval holds 0, or p is 0.05 or
    more.
    """
    first, second = _values(of_base, check), _values(of_tuned, check)
    both = [prompt for prompt in first if prompt in second]
    a, b = (np.array([values[p] for p in both], np.float64) for values in (first, second))
    difference = _difference(b - a, check, seed)
    coin = _mcnemar(a, b) if check.kind == "share" else None
    return {
        "check": name, "label": check.label, "kind": check.kind, "percent": check.percent,
        "better": check.better, "base_model": base, "model": tuned, "n": len(both),
        "n_unknown": {
            base: len(of_base) - len(first), tuned: len(of_tuned) - len(second),
        },
        "base": _mean(a, check, seed).as_json(), "tuned": _mean(b, check, seed).as_json(),
        "difference": difference.as_json(),
        "mcnemar": coin,
        "smallest_detectable": _detectable(difference, coin, len(both)),
        "conclusion": _conclusion(difference, coin),
        "examples": _examples(of_base, of_tuned, a, b, both) if check.kind == "share" else [],
    }  # fmt: skip


def _values(of_model: ByPrompt, check: Check) -> dict[str, float]:
    """prompt -> mean over its answers of which the check can be said."""
    column = "flagged" if check.kind == "share" else "value"
    found = {}
    for prompt, lines in of_model.items():
        said = [float(line[column]) for line in lines if line[column] is not None]
        if said:
            found[prompt] = sum(said) / len(said)
    return found


def _alone(of_model: ByPrompt, check: Check, seed: int) -> Found:
    values = np.array(list(_values(of_model, check).values()), np.float64)
    return _mean(values, check, seed).as_json()


def _mean(values: "np.typing.NDArray[np.float64]", check: Check, seed: int) -> Interval:
    if not len(values):
        return absent("no answer of which it can be said")
    if check.percent:
        return bounds.bounded_mean(values, seed, DRAWS, LEVEL, "prompt")
    return bootstrap_mean(values, seed=seed)


def _difference(gaps: "np.typing.NDArray[np.float64]", check: Check, seed: int) -> Interval:
    if not len(gaps):
        return absent("no prompt of which it can be said in both models")
    if check.percent:
        found = bounds.bounded_mean(gaps, seed, DRAWS, LEVEL, "prompt", (-1.0, 1.0))
        return found if gaps.any() else replace(found, reason="no prompt differs")
    return bootstrap_mean(gaps, seed=seed)


def _mcnemar(a: "np.typing.NDArray[np.float64]", b: "np.typing.NDArray[np.float64]") -> Any:
    if not len(a) or not np.isin(np.concatenate([a, b]), (0.0, 1.0)).all():
        return None
    only_base, only_tuned = int((a > b).sum()), int((b > a).sum())
    n = only_base + only_tuned
    p = float(binomtest(only_tuned, n).pvalue) if n else 1.0
    return {"only_base": only_base, "only_tuned": only_tuned, "p": p}


def _detectable(difference: Interval, coin: Mapping[str, Any] | None, n: int) -> float | None:
    """The smallest difference that could have been seen; counted, FEWEST prompts at least."""
    if coin is None:
        return detectable_of(difference)
    if n < FEWEST:
        return None
    varied = coin["only_base"] + coin["only_tuned"] > 0
    return max(FEWEST / n, (detectable_of(difference) or 0.0) if varied else 0.0)


def _conclusion(difference: Interval, coin: Mapping[str, Any] | None) -> str:
    low, high = difference.low, difference.high
    if low is None or high is None or low <= 0 <= high or (coin and coin["p"] >= 1 - LEVEL):
        return "undecided"
    return "more" if low > 0 else "less"


def _rank(one: Mapping[str, Any]) -> tuple[bool, float]:
    gap = one["difference"]
    if gap["low"] is None:
        return True, 0.0
    half = (gap["high"] - gap["low"]) / 2
    return one["conclusion"] == "undecided", -abs(gap["estimate"]) / half if half else 0.0


def _examples(
    of_base: ByPrompt, of_tuned: ByPrompt, a: "np.typing.NDArray[np.float64]",
    b: "np.typing.NDArray[np.float64]", both: Sequence[str],
) -> list[Found]:  # fmt: skip
    """Prompts on which the models differ, spread over all such: ids and places, no texts."""
    found = []
    for flagged, of_flagged, of_other, here in (
        ("tuned", of_tuned, of_base, b > a), ("base", of_base, of_tuned, a > b),
    ):  # fmt: skip
        prompts = [prompt for prompt, one in zip(both, here, strict=True) if one]
        step = max(1, len(prompts) // MOST_EXAMPLES)
        for prompt in prompts[::step][:MOST_EXAMPLES]:
            shown = next(line for line in of_flagged[prompt] if line["flagged"])
            other = next(line for line in of_other[prompt] if line["flagged"] is False)
            found.append(
                {
                    "flagged": flagged, "prompt_id": prompt, "response_id": shown["response_id"],
                    "other_response_id": other["response_id"], "reason": shown["reason"],
                    "start": shown["evidence_start"], "end": shown["evidence_end"],
                }
            )  # fmt: skip
    return found


def _why_never(lines: Sequence[Line], name: str) -> str | None:
    """Why a check can be said of no answer at all; None where it can of one."""
    reasons: Counter[str] = Counter()
    for line in lines:
        if line["check"] == name:
            if line["value"] is not None:
                return None
            reasons[line["reason"]] += 1
    return reasons.most_common(1)[0][0] if reasons else "no answers"
