"""How much of an answer is decided by its first tokens? The base goes on from them (pure).

The tuned model's first k tokens are given, the base goes on by itself, and what stands behind
token FROM is held against the tuned model's answer there, so that given tokens never count. Two
texts are as similar as the longest common subsequence of their token ids, L: similarity is
2 L / (length of one + length of the other) (the F-measure of ROUGE-L; Lin, "ROUGE", 2004). The
difference is D(k) = 1 - similarity, and gone(k) = 1 - mean D(k) / mean D(0).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aftertune.controls.answers import Answer, over_prompts
from aftertune.stats.detectable import detectable_of
from aftertune.stats.intervals import Interval, absent, bootstrap_mean, paired_difference

GIVEN = (0, 1, 3, 5, 10, 20)  # tokens of the tuned model's answer that the base goes on from
FROM = max(GIVEN)  # what is compared begins here, for every k alike ...
WINDOW = 64  # ... and is at most so long
FEWEST = 8  # tokens that an answer must have behind FROM
MOST = 0.5  # of the difference, which the whole interval has to exceed

NO_DIFFERENCE = "the base gives these answers by itself"
NOTHING_TO_GO = "no difference to begin with"

Conclusion = Literal["gone", "still there", "undecided"]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """A tuned model's answer and what the base made of its first k tokens; ids without stops.

    cut: the answer was cut by its length limit, so nothing is known of what came after it.
    """

    prompt_id: str
    tuned: list[int]
    base: Mapping[int, list[int]]  # k -> the given tokens and the base's own
    cut: bool = False

    def compared(self, k: int) -> tuple[list[int], list[int]]:
        """Both texts from FROM on."""
        tuned = self.tuned[FROM : FROM + WINDOW]
        end = len(tuned) if self.cut else WINDOW
        return tuned, self.base[k][FROM : FROM + end]


def long_enough(answer: Answer) -> bool:
    """Whether enough of an answer is left to compare."""
    return len(answer.ids) >= FROM + FEWEST


def similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """2 L / (|one| + |other|), L the longest common subsequence: 1 for the same, 0 for nothing in
    common. Two empty texts are the same."""
    if not one and not other:
        return 1.0
    return 2 * common_length(one, other) / (len(one) + len(other))


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common subsequence."""
    best = [0] * (len(other) + 1)
    for token in one:
        diagonal = 0
        for place, theirs in enumerate(other, start=1):
            above = best[place]
            best[place] = diagonal + 1 if token == theirs else max(above, best[place - 1])
            diagonal = above
    return best[-1]


def compare(pairs: Sequence[Pair], seed: int = 0) -> dict[str, Any]:
    """What is left of the difference after k given tokens, as JSON values.

    Returns n_prompts; n_tokens (mean length of what is compared of the tuned answers); steps:
    [{given, difference D(k), gone (absent for 0), longer: tokens by which the base's text is longer
    within the window, with smallest_detectable}]; chance: D between the tuned answers and the
    base's own to other prompts; conclusion, after (tokens).
    """
    d = {k: np.array([1 - similarity(*pair.compared(k)) for pair in pairs]) for k in GIVEN}
    gone = {k: _gone(d[0], d[k], seed) for k in GIVEN if k}
    says, after = conclusion(gone)
    lengths = [len(pair.compared(0)[0]) for pair in pairs]
    return {
        "n_prompts": len(pairs),
        "n_tokens": float(np.mean(lengths)) if pairs else None,
        "steps": [
            {
                "given": k,
                "difference": over_prompts(bootstrap_mean(d[k], seed=seed)).as_json(),
                "gone": gone[k].as_json() if k else None,
                "longer": _longer(pairs, k, seed),
            }
            for k in GIVEN
        ],
        "chance": over_prompts(bootstrap_mean(_by_chance(pairs, seed), seed=seed)).as_json(),
        "conclusion": says,
        "after": after,
    }


def conclusion(gone: Mapping[int, Interval]) -> tuple[Conclusion, int | None]:
    """Whether most of the difference is gone after the most given tokens; and from how many on.

    Judged by one interval, that of the largest k: the first of several that lies above one half
    would be found too often by chance. The number is the smallest k from which all intervals lie
    above one half; it only describes, and is None where the verdict is another.
    """
    steps = sorted(gone, reverse=True)
    last = gone[steps[0]]
    if last.low is not None and last.low > MOST:
        above = takewhile(lambda k: (gone[k].low or 0.0) > MOST, steps)
        return "gone", min(above)
    return ("still there" if last.high is not None and last.high < MOST else "undecided"), None


def likelihood(
    own: Mapping[str, Array], continued: Mapping[int, Mapping[str, Array]], seed: int = 0
) -> list[dict[str, Any]]:
    """The second reading: what the tuned model makes of the base's continuation.

    own: prompt_id -> the tuned model's log-probabilities of its own answer from FROM on; continued:
    k -> the same of the base's text, which may end before FROM and then has none. Per k: own and
    continuation (nats, mean of the answers' means per token) over the prompts that have both; less:
    how much less likely a token of the continuation is, with smallest_detectable; gone: 1 - less /
    less without a given token, over the prompts that have all three: None without a given token,
    and absent where the interval of that first difference does not leave 0 out.
    """
    found = []
    differs = False
    if 0 in continued:
        mine, other = _means([own, continued[0]])
        differs = _leaves_0_out(paired_difference(mine, other, seed=seed))
    for k, theirs in continued.items():
        mine, other = _means([own, theirs])
        less = over_prompts(paired_difference(mine, other, seed=seed))
        gone = None
        if k and 0 in continued:
            mine_too, at_first, later = _means([own, continued[0], theirs])
            share = absent(NOTHING_TO_GO, len(later))
            if differs:
                share = bootstrap_mean(later - at_first, mine_too - at_first, seed)
            gone = over_prompts(share).as_json()
        found.append(
            {
                "given": k,
                "own": over_prompts(bootstrap_mean(mine, seed=seed)).as_json(),
                "continuation": over_prompts(bootstrap_mean(other, seed=seed)).as_json(),
                "less": {**less.as_json(), "smallest_detectable": detectable_of(less)},
                "gone": gone,
            }
        )
    return found


def _leaves_0_out(interval: Interval) -> bool:
    low, high = interval.low, interval.high
    return low is not None and high is not None and not low <= 0 <= high


def _means(texts: Sequence[Mapping[str, Array]]) -> list[Array]:
    """Mean value of every prompt that all of `texts` have."""
    prompts = [one for one in texts[0] if all(len(text.get(one, ())) for text in texts)]
    return [np.array([text[one].mean() for one in prompts]) for text in texts]


def _gone(at_first: Array, left: Array, seed: int) -> Interval:
    if len(at_first) and not at_first.sum():
        return absent(NO_DIFFERENCE, len(at_first))
    return over_prompts(bootstrap_mean(at_first - left, at_first, seed))


def _longer(pairs: Sequence[Pair], k: int, seed: int) -> dict[str, Any]:
    tuned, base = ([len(pair.compared(k)[side]) for pair in pairs] for side in (0, 1))
    found = over_prompts(paired_difference(base, tuned, seed=seed))
    return {**found.as_json(), "smallest_detectable": detectable_of(found)}


def _by_chance(pairs: Sequence[Pair], seed: int) -> Array:
    """D between each tuned answer and the base's own answer to another prompt, drawn at random."""
    n = len(pairs)
    if n < 2:
        return np.empty(0)
    order = np.random.default_rng(seed).permutation(n)
    # each prompt's neighbour in a random order: never itself
    other = {int(order[i]): int(order[(i + 1) % n]) for i in range(n)}
    return np.array(
        [1 - similarity(pairs[i].compared(0)[0], pairs[other[i]].compared(0)[1]) for i in range(n)]
    )
