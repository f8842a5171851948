"""Which answers people find better: preferences, scores, outcomes (pure).

Intervals draw prompts, as `over_prompts` says.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from aftertune.stats.items_needed import items_needed
from aftertune.stats.preference import outcome_shares, win_rate
from aftertune.stats.strengths import strengths
from aftertune.study.agreement import Drawing
from aftertune.study.answers import OUTCOMES
from aftertune.study.over_prompts import Groups, mean, paired
from aftertune.study.rated import Rated, pair_of, values

Found = dict[str, Any]


def preferences(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """aspect -> {pairs: [{first, second, score, win, tie, loss, needed}], strengths, ties}.

    score: wins and half of the ties, of the model first by name. strengths: Davidson's, which
    without ties are Bradley and Terry's, as log odds with mean 0; absent where they have no limit.
    """
    by_aspect: dict[str, list[tuple[Rated, float]]] = defaultdict(list)
    for one in ratings:
        for aspect, value in values(one).items():
            by_aspect[aspect].append((one, float(value)))  # type: ignore[arg-type]
    return {aspect: _preference(some, drawing) for aspect, some in by_aspect.items()}


def means(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """aspect -> {models: {model: mean from 1 to 5}, pairs: [{first, second, difference, needed}]}.

    A difference is over prompts that both models' answers were rated for.
    """
    found: Found = {}
    for aspect, by_model in _by_aspect_and_model(ratings).items():
        of_model = {
            name: mean(prompts, drawing, (1.0, 5.0)).as_json()
            for name, prompts in sorted(by_model.items())
        }
        pairs = [_difference(a, b, by_model, drawing) for a, b in combinations(sorted(by_model), 2)]
        found[aspect] = {"models": of_model, "pairs": pairs}
    return found


def outcomes(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """{pairs: [{models, shares: {class: interval}, worse, needed}], classes}: the paper's figure 6.

    worse: the share of prompts at which the first model invented or was wrong at the core, less the
    share at which both are right and it is preferred; above 0 its answers are the worse ones.
    """
    by_pair: dict[tuple[str, ...], list[Rated]] = defaultdict(list)
    for one in ratings:
        by_pair[one.models].append(one)
    found = []
    for models, some in sorted(by_pair.items()):
        said = [str(one.answer["outcome"]) for one in some]
        prompts = [one.prompt_id for one in some]
        shares = outcome_shares(
            said, prompts, list(OUTCOMES), seed=drawing.seed, draws=drawing.draws,
            level=drawing.level,
        )  # fmt: skip
        by_prompt: dict[Hashable, list[float]] = defaultdict(list)
        for label, prompt in zip(said, prompts, strict=True):
            by_prompt[prompt].append(_worse(label))
        apart = mean(by_prompt, drawing, (-1.0, 1.0))
        found.append({
            "models": list(models),
            "shares": {str(name): one.as_json() for name, one in shares.items()},
            "worse": apart.as_json(),
            "needed": items_needed(apart, 0.0).as_json(),
        })  # fmt: skip
    return {"pairs": found, "classes": list(OUTCOMES)}


def _worse(outcome: str) -> float:
    if outcome in ("first_invented", "first_wrong_core"):
        return 1.0
    return -1.0 if outcome == "both_right_first_better" else 0.0


def _preference(some: Sequence[tuple[Rated, float]], drawing: Drawing) -> Found:
    pairs = []
    by_pair: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for one, value in some:
        by_pair[pair_of(one)].append((one.prompt_id, value))
    how = {"seed": drawing.seed, "draws": drawing.draws, "level": drawing.level}
    for (first, second), scored in sorted(by_pair.items()):
        rate = win_rate([v for _, v in scored], [p for p, _ in scored], **how)  # type: ignore[arg-type]
        pairs.append({
            "first": first, "second": second, "score": rate.score.as_json(),
            "win": rate.win.as_json(), "tie": rate.tie.as_json(), "loss": rate.loss.as_json(),
            "needed": items_needed(rate.score, 0.5).as_json(),
        })  # fmt: skip
    fitted = strengths(
        [pair_of(one)[0] for one, _ in some], [pair_of(one)[1] for one, _ in some],
        [value for _, value in some], [one.prompt_id for one, _ in some], **how,  # type: ignore[arg-type]
    )  # fmt: skip
    return {
        "pairs": pairs,
        "strengths": {name: one.as_json() for name, one in fitted.of.items()},
        "ties": fitted.ties.as_json(),
    }


def _by_aspect_and_model(
    ratings: Sequence[Rated],
) -> dict[str, dict[str, dict[Hashable, list[float]]]]:
    found: dict[str, dict[str, dict[Hashable, list[float]]]] = {}
    for one in ratings:
        for aspect, value in values(one).items():
            here = found.setdefault(aspect, {}).setdefault(one.models[0], {})
            here.setdefault(one.prompt_id, []).append(float(value))  # type: ignore[arg-type]
    return found


def _difference(a: str, b: str, by_model: Mapping[str, Groups], drawing: Drawing) -> Found:
    shared = [prompt for prompt in by_model[a] if prompt in by_model[b]]
    first, second = ([float(np.mean(by_model[m][p])) for p in shared] for m in (a, b))
    apart = paired(first, second, None, None, drawing)
    return {"first": a, "second": b, "difference": apart.as_json(),
            "needed": items_needed(apart, 0.0).as_json()}  # fmt: skip
