"""What people's ratings say of the answers: preferences, outcomes, marks and their causes (pure).

Intervals draw prompts: ratings of one prompt hang together, and a prompt counts once however many
people rated it.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from aftertune.stats.bounds import bounded_mean, resampled
from aftertune.stats.intervals import (
    Interval,
    absent,
    bootstrap_mean,
    paired_difference,
    resamples,
)
from aftertune.stats.items_needed import items_needed
from aftertune.stats.preference import outcome_shares, win_rate
from aftertune.stats.strengths import strengths
from aftertune.study.agreement import Drawing
from aftertune.study.answers import OUTCOMES
from aftertune.study.rated import Rated, pair_of, values

Found = dict[str, Any]
Groups = Mapping[Hashable, Sequence[float]]
CAUSES = ("row", "none", "unsure")


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
            name: _mean(prompts, drawing, (1.0, 5.0)).as_json()
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
        groups: dict[Hashable, list[float]] = defaultdict(list)
        for label, prompt in zip(said, prompts, strict=True):
            groups[prompt].append(_worse(label))
        apart = _mean(groups, drawing, (-1.0, 1.0))
        found.append({
            "models": list(models),
            "shares": {str(name): one.as_json() for name, one in shares.items()},
            "worse": apart.as_json(),
            "needed": items_needed(apart, 0.0).as_json(),
        })  # fmt: skip
    return {"pairs": found, "classes": list(OUTCOMES)}


def marks(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """{models: {model: {answers, characters, spans}}}: how much of the answers was marked.

    answers: share of answers with a mark. characters: share of their characters. spans: marks per
    answer.
    """
    by_model: dict[str, list[Rated]] = defaultdict(list)
    for one in ratings:
        by_model[one.models[0]].append(one)
    found: Found = {}
    for model, some in sorted(by_model.items()):
        any_mark = _groups(some, lambda one: float(bool(one.answer["spans"])))
        n_marks = _groups(some, lambda one: float(len(one.answer["spans"])))
        inside = _groups(some, _marked_characters)
        whole = _groups(some, lambda one: float(len(one.text)))
        share = bootstrap_mean(
            _sums(inside), _sums(whole), drawing.seed, drawing.draws, drawing.level
        )
        per_answer = bootstrap_mean(
            [float(np.mean(one)) for one in n_marks.values()], None, drawing.seed, drawing.draws,
            drawing.level,
        )  # fmt: skip
        found[model] = {
            "answers": _mean(any_mark, drawing).as_json(),
            "characters": share.as_json(),
            "spans": per_answer.as_json(),
        }
    return {"models": found}


def causes(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """{models: {model: {n_spans, without_cause, row, none, unsure}}, pairs}: the paper's figure 8.

    row: of the marked spans, the share whose cause is a row that people named. The spans of an
    answer that several people read count for one reading. `unsure` stays in the denominator, so
    `row` is not raised by doubt. pairs: the difference of `row` of two models, paired by prompt.
    """
    by_model: dict[str, list[Rated]] = defaultdict(list)
    for one in ratings:
        by_model[one.models[0]].append(one)
    found: Found = {}
    rows: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
    for model, some in sorted(by_model.items()):
        spans = [span for one in some for span in one.answer["spans"]]
        counts = {kind: _per_reading(some, kind) for kind in (*CAUSES, None)}
        total = {
            prompt: sum(counts[kind].get(prompt, 0.0) for kind in CAUSES)
            for prompt in {one.prompt_id for one in some}
        }
        prompts = sorted(total)
        of_model: Found = {
            "n_spans": len(spans),
            "without_cause": sum(span.get("cause") is None for span in spans),
        }
        for kind in CAUSES:
            share = _ratio(
                [counts[kind].get(p, 0.0) for p in prompts], [total[p] for p in prompts], drawing
            )
            of_model[kind] = share.as_json()
        found[model] = of_model
        rows[model] = counts["row"], total
    pairs = [_causal_difference(a, b, rows, drawing) for a, b in combinations(sorted(rows), 2)]
    return {"models": found, "pairs": pairs}


def seconds(ratings: Sequence[Rated], drawing: Drawing) -> Found:
    """{item: median seconds of an item, total_hours, batches: {batch: median}}; over items."""
    timed = [one for one in ratings if one.seconds is not None]
    batches = sorted({one.batch for one in timed})
    return {
        "item": _median(timed, drawing).as_json(),
        "total_hours": sum(one.seconds or 0.0 for one in timed) / 3600,
        "untimed": len(ratings) - len(timed),
        "batches": {
            str(batch): _median([o for o in timed if o.batch == batch], drawing).as_json()
            for batch in batches
        },
    }


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
    apart = _paired(first, second, None, None, drawing)
    return {"first": a, "second": b, "difference": apart.as_json(),
            "needed": items_needed(apart, 0.0).as_json()}  # fmt: skip


def _causal_difference(
    a: str, b: str, rows: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]],
    drawing: Drawing,
) -> Found:  # fmt: skip
    (caused_a, all_a), (caused_b, all_b) = rows[a], rows[b]
    shared = [prompt for prompt in sorted(all_a) if all_a[prompt] and all_b.get(prompt)]
    apart = _paired(
        [caused_a.get(p, 0.0) for p in shared], [caused_b.get(p, 0.0) for p in shared],
        [all_a[p] for p in shared], [all_b[p] for p in shared], drawing,
    )  # fmt: skip
    return {"first": a, "second": b, "difference": apart.as_json(),
            "needed": items_needed(apart, 0.0).as_json()}  # fmt: skip


def _paired(
    first: Sequence[float], second: Sequence[float], of_first: Sequence[float] | None,
    of_second: Sequence[float] | None, drawing: Drawing,
) -> Interval:  # fmt: skip
    if not first:
        return absent("no prompt was rated for both models")
    found = paired_difference(
        first, second, of_first, of_second, drawing.seed, drawing.draws, drawing.level
    )
    return _unless_alike(found)


def _ratio(tops: Sequence[float], bottoms: Sequence[float], drawing: Drawing) -> Interval:
    """A share of spans; where all or none are of the kind, the exact bound over prompts."""
    if not sum(bottoms):
        return absent("nothing was marked")
    shares = [top / bottom for top, bottom in zip(tops, bottoms, strict=True) if bottom]
    if len(set(shares)) == 1:
        return bounded_mean(shares, drawing.seed, drawing.draws, drawing.level, "prompt")
    return bootstrap_mean(tops, bottoms, drawing.seed, drawing.draws, drawing.level)


def _unless_alike(found: Interval) -> Interval:
    """Without an interval where no prompt differs from another: a width of 0 would be a claim."""
    if found.low is None or found.low != found.high:
        return found
    return replace(found, low=None, high=None, reason="all prompts are alike")


def _per_reading(some: Sequence[Rated], kind: str | None) -> dict[str, float]:
    """prompt -> spans with this kind of cause, per person who read the answer."""
    readers: dict[str, int] = defaultdict(int)
    counts: dict[str, float] = defaultdict(float)
    for one in some:
        readers[one.prompt_id] += 1
        for span in one.answer["spans"]:
            cause = span.get("cause")
            counts[one.prompt_id] += (cause["kind"] if cause else None) == kind
    return {prompt: n / readers[prompt] for prompt, n in counts.items()}


def _marked_characters(one: Rated) -> float:
    inside = np.zeros(len(one.text), bool)
    for span in one.answer["spans"]:
        inside[span["start"] : span["end"]] = True
    return float(inside.sum())


def _groups(some: Sequence[Rated], value: Callable[[Rated], float]) -> dict[Hashable, list[float]]:
    found: dict[Hashable, list[float]] = defaultdict(list)
    for one in some:
        found[one.prompt_id].append(value(one))
    return found


def _sums(groups: Groups) -> list[float]:
    """Per prompt the mean over readers."""
    return [float(np.mean(some)) for some in groups.values()]


def _mean(groups: Groups, drawing: Drawing, ends: tuple[float, float] = (0.0, 1.0)) -> Interval:
    return bounded_mean(_sums(groups), drawing.seed, drawing.draws, drawing.level, "prompt", ends)


def _median(some: Sequence[Rated], drawing: Drawing) -> Interval:
    """The median over items of an item's mean seconds; intervals over items."""
    by_item: dict[str, list[float]] = defaultdict(list)
    for one in some:
        by_item[one.item_id].append(float(one.seconds or 0.0))
    if not by_item:
        return absent("no times")
    found = np.sort([float(np.mean(times)) for times in by_item.values()])
    n = len(found)
    drawn = [
        found[(np.cumsum(w, 1) >= n / 2).argmax(1)]
        for w in resamples(n, drawing.seed, drawing.draws)
    ]
    together = np.concatenate(drawn or [np.empty(0)])
    return _unless_alike(resampled(float(np.median(found)), together, n, drawing.level))
