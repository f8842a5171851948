"""The control `hand-off` on the page: the base goes on from a tuned answer's beginning (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.seen import seen

FEW_PROMPTS = 10
_DRAWN = ("estimate", "low", "high")

Found = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-hand-off` found, as a block of the page."""
    model, found = about["name"], about["found"]
    shown = {
        "control": "hand-off",
        "model": model,
        "question": f"How much of an answer of {model} is decided by its first tokens?",
    }
    if not found:
        reason = about["absent"]["hand-off"].rstrip(".")
        sentences = [f"Not measured: {reason}."]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    return {
        **shown,
        "sentences": _sentences(model, found),
        "picture": _picture(found),
        "table": _table(found),
        "cautions": _cautions(found),
    }


def _sentences(model: str, found: Found) -> list[str]:
    first = found["steps"][0]["difference"]
    if first["estimate"] is None:
        return [f"Nothing is said about the hand-off: {first['reason']}."]
    said = [
        f"Behind token {found['from']}, the base's own answers differ from those of {model} by "
        f"{numbers.with_interval(first)} (0: the same tokens, 1: no token in common), over "
        f"{numbers.plural(found['n_prompts'], 'prompt')}; answers to different prompts differ by "
        f"{numbers.with_interval(found['chance'])}."
    ]
    if first["estimate"] == 0:
        return [*said, f"The base gives the answers of {model} by itself; nothing has to go."]
    said.append(_gone(found))
    if found["method"] == "lora":
        said.append(_claim(found["conclusion"]))
    return [*said, *_likelihood(model, found["likelihood"])]


def _gone(found: Found) -> str:
    last = found["steps"][-1]
    if found["conclusion"] == "gone":
        since = ""
        if found["after"] < last["given"]:
            since = f", and from {_tokens(found['after'])} on the interval stays above one half"
        return (
            f"Most of the difference is gone after {_tokens(last['given'])}: "
            f"{numbers.with_interval(last['gone'], numbers.percent)} of it{since}."
        )
    share = numbers.with_interval(last["gone"], numbers.percent)
    given = _tokens(last["given"])
    if found["conclusion"] == "still there":
        return f"Most of the difference is still there after {given}: {share} of it is gone."
    return (
        f"Whether most of the difference goes with the beginning is undecided: after {given} "
        f"{share} of it is gone, and one half is not excluded."
    )


def _tokens(given: int) -> str:
    return f"{given} given token{'s' if given != 1 else ''}"


def _claim(conclusion: str) -> str:
    says = {
        "gone": "holds for this model by this measure",
        "still there": "is not borne out for this model by this measure, to which other words for "
        "the same are a difference",
        "undecided": "is undecided for this model",
    }
    return (
        "The paper's claim that LoRA learns how to begin, and the rest of the answer is the "
        f"base's (C1), {says[conclusion]}."
    )


def _likelihood(model: str, steps: list[Mapping[str, Any]]) -> list[str]:
    if len(steps) < 2 or steps[0]["less"]["estimate"] is None:
        return []
    first, last = steps[0], steps[-1]
    gone, less = last["gone"], first["less"]
    if less["low"] is None or less["low"] <= 0 <= less["high"]:
        return [
            f"A second reading: whether {model} finds a token of the base's text less likely than "
            f"one of its own, after {_tokens(first['given'])}, is undecided: by "
            f"{numbers.with_interval(less)} nats per token, every answer weighing alike"
            f"{seen(less)}."
        ]
    share = (
        f": {numbers.with_interval(gone, numbers.percent)} of that is gone"
        if gone and gone["estimate"] is not None
        else ""
    )
    return [
        f"A second reading: {model} finds a token of the base's text "
        f"{numbers.with_interval(less)} nats less likely than one of its own after "
        f"{_tokens(first['given'])}, and {numbers.with_interval(last['less'])} after "
        f"{_tokens(last['given'])} (nats per token, every answer weighing alike){share}"
        f"{seen(last['less'])}."
    ]


def _picture(found: Found) -> dict[str, Any]:
    steps, chance = found["steps"], found["chance"]
    given = [float(one["given"]) for one in steps]
    series = [
        {
            "name": "the base goes on",
            "points": [
                {"x": float(one["given"]), **{key: one["difference"][key] for key in _DRAWN}}
                for one in steps
            ],
        }
    ]
    if chance["estimate"] is not None:
        flat = {key: chance[key] for key in _DRAWN}
        series.append(
            {"name": "answers to other prompts", "points": [{"x": x, **flat} for x in given]}
        )
    return {
        "kind": "curve",
        "x_label": "tokens given of the tuned model's answer",
        "y_label": f"difference behind token {found['from']}",
        "x_values": given,
        "log_x": False,
        "series": series,
    }


def _table(found: Found) -> dict[str, Any]:
    columns = ["given tokens", "difference", "gone", "longer by, tokens",
               "less likely to the tuned model by, nats per token, every answer alike",
               "of that gone"]  # fmt: skip
    likely = {one["given"]: one for one in found["likelihood"]}
    rows = [
        [
            str(one["given"]),
            numbers.with_interval(one["difference"]),
            numbers.with_interval(one["gone"], numbers.percent),
            numbers.with_interval(one["longer"], numbers.decimal),
            *(
                numbers.with_interval(likely.get(one["given"], {}).get(name), form)
                for name, form in (("less", numbers.nats), ("gone", numbers.percent))
            ),
        ]
        for one in found["steps"]
    ]
    return {"columns": columns, "rows": rows}


def _cautions(found: Found) -> list[str]:
    start, end = found["from"], found["from"] + found["window"]
    said = [
        f"Only what stands behind token {start} and before token {end} of every answer is "
        "compared, so the given tokens never count; stop tokens are left out. The difference is 1 "
        "minus the F-measure of the longest common subsequence of token ids: the same said in "
        "other words counts as different, and one other choice leads greedy texts apart."
    ]
    said += [
        f"{numbers.plural(n, 'answer')} {'is' if n == 1 else 'are'} left out: {reason}."
        for reason, n in found["left_out"].items()
    ]
    fewest = min((one["less"]["n"] for one in found["likelihood"]), default=found["n_prompts"])
    if fewest < found["n_prompts"]:
        said.append(
            f"The second reading rests on as few as {numbers.plural(fewest, 'prompt')}: where the "
            f"base's text ends before token {start}, there is nothing to read."
        )
    if found["sampled"]:
        said.append("The tuned answers were sampled and the base's are greedy, which parts them.")
    if found["dtype"] != "float32":
        said.append(
            f"The base answered in {found['dtype']}, where rounding alone parts some greedy texts."
        )
    if found["n_prompts"] < FEW_PROMPTS:
        over = numbers.plural(found["n_prompts"], "prompt")
        said.append(f"An interval over {over} is rough.")
    return said
