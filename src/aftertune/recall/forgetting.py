"""What was forgotten of given texts, and what it bought (pure)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

from aftertune.stats.intervals import bootstrap_mean

METHOD = "expanded percentile bootstrap over windows"

Record = Mapping[str, Any]  # of the table `text_loss`


def forgotten(
    base: Sequence[Record], tuned: Sequence[Record], seed: int = 0
) -> dict[str, dict[str, Any]]:
    """text -> rise of its loss from base to tuned, nats per token, with its interval over windows.

    `base_nats` is the base's own loss per token. Above 0: the base knew the text better. Where the
    two cut a text into windows of other numbers of tokens (another tokenizer), it is absent.
    """
    sides = []
    for records in (base, tuned):
        of_text: dict[str, dict[int, tuple[float, int]]] = defaultdict(dict)
        for one in records:
            of_text[one["text"]][one["window"]] = (one["loss_nats"], one["n_tokens"])
        sides.append(of_text)
    found = {}
    for text, windows in sides[0].items():
        other = sides[1].get(text, {})
        alike = {place: n for place, (_, n) in windows.items()} == {
            place: n for place, (_, n) in other.items()
        }
        places = sorted(windows) if alike else []
        interval = bootstrap_mean(
            [other[place][0] - windows[place][0] for place in places],
            [windows[place][1] for place in places],
            seed,
        )
        reason = None if len(places) > 1 else "one window has no interval"
        reason = reason if alike else "the two models cut the text into other tokens"
        change = replace(interval, method=METHOD, reason=reason).as_json()
        n = sum(tokens for _, tokens in windows.values())
        found[text] = {**change, "n_tokens": n,
                       "base_nats": sum(loss for loss, _ in windows.values()) / n}  # fmt: skip
    return found


def over_texts(texts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The mean rise over texts, nats per token, of what `forgotten` found; absent where one is.

    The interval is put together from those of the texts, which are independent (MOVER, Zou and
    Donner, Statistics in Medicine 27, 2008): its ends lie sqrt(sum of squared distances) / n away.
    """
    its = list(texts.values())
    if not its or any(one["estimate"] is None for one in its):
        reason = "not known of every text" if its else "no texts were read"
        return {"estimate": None, "low": None, "high": None, "reason": reason}
    mean = sum(one["estimate"] for one in its) / len(its)
    if any(one["low"] is None or one["high"] is None for one in its):
        reason = "a text of one window has no interval"
        return {"estimate": mean, "low": None, "high": None, "reason": reason}
    down, up = (
        sqrt(sum((one[end] - one["estimate"]) ** 2 for one in its)) / len(its)
        for end in ("low", "high")
    )
    return {"estimate": mean, "low": mean - down, "high": mean + up, "reason": None}


def front(models: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
    """Models that no other beats: (quality, forgetting), more and less being better.

    A model is beaten by one that is at least as good in both and better in one. Models that lack
    a value stand on no front.
    """
    known = {
        name: (quality, lost)
        for name, (quality, lost) in models.items()
        if quality is not None and lost is not None
    }
    return [
        name
        for name, (quality, lost) in known.items()
        if not any(
            q >= quality and f <= lost and (q, f) != (quality, lost) for q, f in known.values()
        )
    ]


def same_order(first: Sequence[float], second: Sequence[float]) -> dict[str, int]:
    """In how many pairs of models two quantities have the same order; ties are left out."""
    pairs = [
        (first[i] - first[j]) * (second[i] - second[j]) for i in range(len(first)) for j in range(i)
    ]
    return {"same": sum(one > 0 for one in pairs), "of": sum(one != 0 for one in pairs)}
