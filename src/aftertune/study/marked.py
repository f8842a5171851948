"""What people marked in answers, and which rows they named as its cause (pure)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from aftertune.stats.bounds import bounded_mean
from aftertune.stats.intervals import Interval, absent, bootstrap_mean
from aftertune.stats.items_needed import items_needed
from aftertune.study.agreement import Drawing
from aftertune.study.over_prompts import groups, mean, paired, per_prompt
from aftertune.study.rated import Rated

Found = dict[str, Any]
_CAUSES = ("row", "none", "unsure")


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
        any_mark = groups(some, lambda one: float(bool(one.answer["spans"])))
        n_marks = groups(some, lambda one: float(len(one.answer["spans"])))
        inside = groups(some, _marked_characters)
        whole = groups(some, lambda one: float(len(one.text)))
        share = bootstrap_mean(
            per_prompt(inside), per_prompt(whole), drawing.seed, drawing.draws, drawing.level
        )
        per_answer = bootstrap_mean(
            [float(np.mean(one)) for one in n_marks.values()], None, drawing.seed, drawing.draws,
            drawing.level,
        )  # fmt: skip
        found[model] = {
            "answers": mean(any_mark, drawing).as_json(),
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
        counts = {kind: _per_reading(some, kind) for kind in _CAUSES}
        total = {
            prompt: sum(counts[kind].get(prompt, 0.0) for kind in _CAUSES)
            for prompt in {one.prompt_id for one in some}
        }
        prompts = sorted(total)
        of_model: Found = {
            "n_spans": len(spans),
            "without_cause": sum(span.get("cause") is None for span in spans),
        }
        for kind in _CAUSES:
            share = _share(
                [counts[kind].get(p, 0.0) for p in prompts], [total[p] for p in prompts], drawing
            )
            of_model[kind] = share.as_json()
        found[model] = of_model
        rows[model] = counts["row"], total
    pairs = [_causal_difference(a, b, rows, drawing) for a, b in combinations(sorted(rows), 2)]
    return {"models": found, "pairs": pairs}


def _causal_difference(
    a: str, b: str, rows: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]],
    drawing: Drawing,
) -> Found:  # fmt: skip
    (caused_a, all_a), (caused_b, all_b) = rows[a], rows[b]
    shared = [prompt for prompt in sorted(all_a) if all_a[prompt] and all_b.get(prompt)]
    apart = paired(
        [caused_a.get(p, 0.0) for p in shared], [caused_b.get(p, 0.0) for p in shared],
        [all_a[p] for p in shared], [all_b[p] for p in shared], drawing,
    )  # fmt: skip
    return {"first": a, "second": b, "difference": apart.as_json(),
            "needed": items_needed(apart, 0.0).as_json()}  # fmt: skip


def _share(tops: Sequence[float], bottoms: Sequence[float], drawing: Drawing) -> Interval:
    """A share of spans; where all or none are of the kind, the exact bound over prompts."""
    if not sum(bottoms):
        return absent("nothing was marked")
    shares = [top / bottom for top, bottom in zip(tops, bottoms, strict=True) if bottom]
    if len(set(shares)) == 1:
        return bounded_mean(shares, drawing.seed, drawing.draws, drawing.level, "prompt")
    return bootstrap_mean(tops, bottoms, drawing.seed, drawing.draws, drawing.level)


def _per_reading(some: Sequence[Rated], kind: str) -> dict[str, float]:
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
