"""The control `texts` on the page: every model on every text (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.seen import seen

FEW_PROMPTS = 10

Found = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-texts` found, as a block of the page."""
    found, names = about["found"], list(about["names"])
    shown = {
        "control": "texts",
        "model": numbers.listed(names),
        "question": "How much does the shift depend on whose text it is taken on?",
    }
    if not found or not found["n_prompts"]:
        reason = about["absent"].get("texts", "no prompt is answered in every text")
        sentences = [f"Not compared: {reason.rstrip('.')}."]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    return {
        **shown,
        "sentences": _sentences(names, found),
        "picture": _picture(names, found),
        "table": _table(names, found),
        "cautions": _cautions(found),
    }


def _ordered(names: list[str], found: Found) -> list[tuple[str, str]]:
    """(model, text) of every cell: the texts of the models first, in their order."""
    texts = [*names, *(one for one in found["texts"] if one not in names)]
    return [(m, t) for m in names for t in texts if t in found["cells"].get(m, {})]


def _sentences(names: list[str], found: Found) -> list[str]:
    said = [
        f"On {numbers.plural(found['n_prompts'], 'prompt')}, every text cut prompt by prompt to "
        f"the shortest of them ({found['mean_cut_tokens']:.0f} tokens on average), stop tokens "
        "left out."
    ]
    said += [_own_and_base(one, found) for one in names if one in found["own_minus_base"]]
    return said + [_flagged(text, one) for text, one in found["texts"].items() if one["flagged"]]


def _own_and_base(model: str, found: Found) -> str:
    difference = found["own_minus_base"][model]
    start = f"KL({model} from the base) on its own answers"
    if difference["low"] is None:
        reason = difference["reason"]
        return f"{start} is not held against that on the base's own answers: {reason}."
    mean = found["cells"][model][model]["cut"]["per_token"]
    size = f"{numbers.with_interval(difference)} nats per token"
    if difference["low"] <= 0 <= difference["high"]:
        return (
            f"{start} is {numbers.with_interval(mean)} nats per token; whether it is larger or "
            "smaller than on the base's own answers is undecided: the difference is "
            f"{size}{seen(difference)}."
        )
    which = "larger" if difference["estimate"] > 0 else "smaller"
    return (
        f"{start} is {numbers.with_interval(mean)} nats per token, {which} than on the base's own "
        f"answers: the difference is {size}, paired over prompts{seen(difference)}."
    )


def _flagged(text: str, one: Mapping[str, Any]) -> str:
    share = numbers.with_interval(one["share_flagged"], numbers.percent)
    return (
        f"{share} of the answers of {text} are flagged: of {one['n_answers']:,}, "
        f"{one['runaway']:,} did not stop within the limit and {one['loop']:,} "
        f"{'goes' if one['loop'] == 1 else 'go'} round in loops."
    )


def _picture(names: list[str], found: Found) -> dict[str, Any]:
    rows = []
    for model, text in _ordered(names, found):
        mean = found["cells"][model][text]["cut"]["per_token"]
        drawn = {key: mean[key] for key in ("estimate", "low", "high", "reason")}
        rows.append({"label": f"{model} on {_of(model, text)}", **drawn})
    return {
        "kind": "intervals",
        "x_label": "KL(tuned from base), nats per token, texts cut to equal length",
        "rows": rows,
        "line": None,
    }


def _of(model: str, text: str) -> str:
    return "its own answers" if text == model else f"the text of {text}"


def _table(names: list[str], found: Found) -> dict[str, Any]:
    columns = [
        "model", "text", "mean length, tokens", "cut, nats per token",
        "cut, nats per token, every answer alike", "whole, nats per token",
        "whole, nats per token, every answer alike", "without flagged answers, nats per token",
        "flagged",
    ]  # fmt: skip
    rows = []
    for model, text in _ordered(names, found):
        cell, about = found["cells"][model][text], found["texts"][text]
        means = [
            numbers.with_interval(cell[kind][each])
            for kind in ("cut", "whole")
            for each in ("per_token", "per_response")
        ]
        clean = numbers.with_interval(cell["without_flagged"]["per_token"])
        length = numbers.count(about["mean_tokens"])
        flagged = f"{cell['n_flagged']:,} of {about['n_answers']:,}"
        rows.append([model, text, length, *means, clean, flagged])
    return {"columns": columns, "rows": rows}


def _cautions(found: Found) -> list[str]:
    said = [
        "Long repetitive text dilutes KL: inside a loop every model is sure of the next token. And "
        "a base that reads the beginning of a tuned answer imitates it, so KL on tuned text grows "
        "small along the answer whatever the weights do.",
        "A loop is a tail that repeats a cycle of at most 50 tokens at least 3 times over at least "
        "30 tokens, or an answer of at least 30 tokens of whose 4-grams more than half stood in it "
        "before. An answer that did not stop within its limit is a runaway; of answers from "
        "elsewhere that is not known.",
    ]
    lacking = [
        f"{text} lacks {numbers.plural(n, 'prompt')}" for text, n in found["left_out"].items() if n
    ]
    if lacking:
        said.append(f"Prompts that a text lacks are left out of all: {numbers.listed(lacking)}.")
    if len(found["dtypes"]) > 1:
        said.append(
            f"The models were scored in {numbers.listed(found['dtypes'])}, so their rows are not "
            "strictly comparable."
        )
    if found["n_prompts"] < FEW_PROMPTS:
        over = numbers.plural(found["n_prompts"], "prompt")
        said.append(f"An interval over {over} is rough.")
    return said
