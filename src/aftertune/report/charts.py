"""The pictures of the models, as SVG drawn by us from the view (pure).

Each answers one question, is drawn twice (for a wide and a narrow screen), and has its numbers as
a table beside it. Hand-drawn SVG instead of a charting library: tens of kilobytes instead of a
megabyte, real text, the page's own colours in light, dark and print, nothing to execute under the
content security policy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import lines, numbers, plot
from aftertune.report.lines import Line
from aftertune.report.picture import Picture
from aftertune.report.plot import ROW, TOP, Model
from aftertune.report.svg import line, swatch, ticks

CATEGORIES = ("unshifted", "marginal", "shifted")
KL_TITLE = "mean KL(tuned from base), nats per token"


def pictures(models: Sequence[Model]) -> list[Picture]:
    """Every picture that has data."""
    drawn = [moved(models), shares(models), along(models), sentence_parts(models), losses(models)]
    return [picture for picture in drawn if picture]


def moved(models: Sequence[Model]) -> Picture | None:
    """Mean KL(tuned from base) per model with its interval, and the noise floor."""
    shown = [m for m in models if _known(m["kl"])]
    if not shown:
        return None
    highest = max([_top(m["kl"]) for m in shown] + [m["floor"] or 0.0 for m in shown])
    marks = ticks(0.0, highest)

    def draw(width: float) -> tuple[float, list[Markup]]:
        scale, parts, height = plot.lanes(len(shown), marks, KL_TITLE, width)
        for place, model in enumerate(shown):
            top = TOP + ROW * place
            parts += plot.lane(model, top, width, numbers.with_interval(model["kl"]))
            if model["floor"] is not None:
                x = scale(model["floor"])
                parts.append(line(x, top + 20, x, top + ROW - 2, "floor"))
            parts += plot.estimate(model["kl"], model["style"], scale, top + 33)
        return height, parts

    rows = [
        [
            m["name"],
            numbers.nats(m["kl"]["estimate"]),
            numbers.interval(m["kl"]),
            numbers.nats(m["floor"]),
        ]
        for m in shown
    ]
    return Picture(
        "moved",
        "How far did each model move?",
        "Mean divergence of the tuned from the base next-token distribution, over the tuned "
        "model’s own answers, with its 95% interval over prompts. The dotted line is the noise "
        "floor: the same weights under another computation.",
        draw,
        ["model", "mean KL, nats", "95% interval", "noise floor, nats"],
        rows,
    )


def shares(models: Sequence[Model]) -> Picture | None:
    """Stacked bars: share of tokens that are unshifted, marginal, shifted."""
    shown = [m for m in models if all(_known(m["shares"].get(c)) for c in CATEGORIES)]
    if not shown:
        return None
    marks = [0.0, 0.25, 0.5, 0.75, 1.0]

    def draw(width: float) -> tuple[float, list[Markup]]:
        title = "share of the answers’ tokens"
        scale, parts, height = plot.lanes(len(shown), marks, title, width, lambda v: f"{v:.0%}")
        for place, model in enumerate(shown):
            top, start = TOP + ROW * place, 0.0
            words = " · ".join(numbers.percent(model["shares"][c]["estimate"]) for c in CATEGORIES)
            parts += plot.lane(model, top, width, words)
            for category in CATEGORIES:
                end = start + model["shares"][category]["estimate"]
                parts += plot.segment(category, scale(start), scale(min(end, 1.0)), top + 22, width)
                start = end
        return height, [plot.patterns(width), *parts]

    rows = [
        [m["name"], *(numbers.with_interval(m["shares"][c], numbers.percent) for c in CATEGORIES)]
        for m in shown
    ]
    return Picture(
        "shares",
        "How many tokens would the base have chosen too?",
        "unshifted: the tuned model’s first choice is also the base’s; marginal: the base’s second "
        "or third; shifted: further down.",
        draw,
        ["model", *CATEGORIES],
        rows,
        [(c, plot.category_swatch(c)) for c in CATEGORIES],
    )


def along(models: Sequence[Model]) -> Picture | None:
    """KL along the position in the response, one line with its band per model."""
    shown = [m for m in models if _given(m)]
    if not shown:
        return None
    bins = [b for m in shown for b in _given(m)]
    starts = sorted({b["start"] for b in bins})
    down = ticks(0.0, max(_top(b) for b in bins), 4)
    across = lines.steps(starts, "position in the answer, tokens (bins double)", str)
    drawn = [Line(m["name"], m["style"], [(b["start"], b) for b in _given(m)]) for m in shown]
    rows = [
        [m["name"], _positions(b), numbers.with_interval(b), numbers.count(b["n"])]
        for m in shown
        for b in m["along"]
    ]
    return Picture(
        "along",
        "Where in the answer does it shift?",
        "Mean KL(tuned from base) in nats by position; the band is the 95% interval over prompts. "
        "Far positions rest on the long answers alone.",
        lambda width: lines.draw(width, drawn, across, down),
        ["model", "positions", "mean KL, nats", "answers"],
        rows,
        _names(shown),
        named=True,
    )


def sentence_parts(models: Sequence[Model]) -> Picture | None:
    """Mean KL of each sentence's first 5% of tokens against the rest."""
    shown = [m for m in models if _known(m["sentence_start"]) and _known(m["sentence_rest"])]
    if not shown:
        return None
    marks = ticks(
        0.0, max(_top(m[key]) for m in shown for key in ("sentence_start", "sentence_rest"))
    )

    def draw(width: float) -> tuple[float, list[Markup]]:
        scale, parts, height = plot.lanes(len(shown), marks, KL_TITLE, width)
        for place, model in enumerate(shown):
            top = TOP + ROW * place
            first, rest = model["sentence_start"], model["sentence_rest"]
            words = f"{numbers.nats(first['estimate'])} · {numbers.nats(rest['estimate'])}"
            parts += plot.lane(model, top, width, words)
            parts += plot.estimate(rest, model["style"], scale, top + 37, hollow=True)
            parts += plot.estimate(first, model["style"], scale, top + 29)
        return height, parts

    rows = [
        [
            m["name"],
            numbers.with_interval(m["sentence_start"]),
            numbers.with_interval(m["sentence_rest"]),
        ]
        for m in shown
    ]
    return Picture(
        "sentences",
        "Does tuning act at the start of sentences?",
        "The first 5% of each sentence’s tokens (at least one) against the rest of it, with 95% "
        "intervals over prompts.",
        draw,
        ["model", "first 5% of each sentence", "the rest"],
        rows,
        [
            ("first 5% of each sentence", plot.mark_swatch(hollow=False)),
            ("the rest", plot.mark_swatch(hollow=True)),
        ],
    )


def losses(models: Sequence[Model]) -> Picture | None:
    """Training loss of the tunings made here."""
    shown = [m for m in models if m["loss"]]
    if not shown:
        return None
    values = [point[1] for m in shown for point in m["loss"]]
    down = ticks(min(values), max(values), 4)
    epochs = ticks(0.0, max(point[0] for m in shown for point in m["loss"]))
    across = lines.Across("epoch", lambda epoch: epoch / epochs[-1], epochs)
    drawn = [
        Line(m["name"], m["style"], [(epoch, _alone(loss)) for epoch, loss in m["loss"]])
        for m in shown
    ]
    rows = [
        [
            m["name"],
            numbers.nats(m["loss"][0][1]),
            numbers.nats(m["loss"][-1][1]),
            numbers.count(m["n_steps"]),
        ]
        for m in shown
    ]
    return Picture(
        "losses",
        "How did the tunings train?",
        "Mean loss over the trained tokens of each optimiser step, in nats; long runs are averaged "
        "over neighbouring steps. The scale does not begin at 0.",
        lambda width: lines.draw(width, drawn, across, down, n_marks=3),
        ["model", "first", "last", "steps"],
        rows,
        _names(shown),
        named=True,
    )


def _known(estimate: Mapping[str, Any] | None) -> bool:
    return estimate is not None and estimate.get("estimate") is not None


def _alone(value: float) -> dict[str, float | None]:
    return {"estimate": value, "low": None, "high": None}


def _top(estimate: Mapping[str, Any]) -> float:
    high = estimate["high"]
    return float(estimate["estimate"] if high is None else high)


def _given(model: Model) -> list[Mapping[str, Any]]:
    return [b for b in model["along"] if _known(b)]


def _positions(found: Mapping[str, Any]) -> str:
    first, last = found["start"], found["end"] - 1
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def _names(models: Sequence[Model]) -> list[tuple[str, Markup]]:
    return [(m["name"], swatch(m["style"])) for m in models]
