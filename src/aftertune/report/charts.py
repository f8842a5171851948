"""The pictures, as SVG drawn by us from the view (pure).

Each answers one question, is drawn twice (for a wide and a narrow screen, so that its letters
stay readable on a phone), and has its numbers as a table beside it. Hand-drawn SVG instead of a
charting library: tens of kilobytes instead of a megabyte, real text, the page's own colours in
light, dark and print, nothing to execute under the content security policy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aftertune.report import numbers, plot
from aftertune.report.plot import ROW, Model
from aftertune.report.svg import drawing, el, join, line, linear, mark, swatch, ticks, x_axis

WIDE, NARROW = 560.0, 330.0
CATEGORIES = ("unshifted", "marginal", "shifted")

Draw = Callable[[float], tuple[float, list[Markup]]]  # width -> height and parts


def pictures(models: Sequence[Model]) -> list[dict[str, Any]]:
    """Every picture that has data: question, caption, drawing, legend, and its numbers as rows."""
    drawn = [moved(models), shares(models), along(models), sentence_parts(models), losses(models)]
    return [picture for picture in drawn if picture]


def moved(models: Sequence[Model]) -> dict[str, Any] | None:
    """Mean KL(tuned from base) per model with its interval, and the noise floor."""
    shown = [m for m in models if _known(m["kl"])]
    if not shown:
        return None
    highest = max([_top(m["kl"]) for m in shown] + [m["floor"] or 0.0 for m in shown])
    marks = ticks(0.0, highest)

    def draw(width: float) -> tuple[float, list[Markup]]:
        scale = linear(0.0, marks[-1], 10.0, width - 14.0)
        bottom = 8.0 + ROW * len(shown)
        parts = x_axis(
            scale,
            plot.fewer(marks, width),
            8.0,
            bottom,
            "mean KL(tuned from base), nats per token",
            width / 2,
        )
        for place, model in enumerate(shown):
            top = 8.0 + ROW * place
            parts += plot.lane(model, top, width, numbers.with_interval(model["kl"]))
            if model["floor"] is not None:
                x = scale(model["floor"])
                parts.append(line(x, top + 20, x, top + ROW - 2, "floor"))
            parts += plot.estimate(model["kl"], model["style"], scale, top + 33)
        return bottom + 44, parts

    rows = [
        [
            m["name"],
            numbers.nats(m["kl"]["estimate"]),
            numbers.interval(m["kl"]),
            numbers.nats(m["floor"]),
        ]
        for m in shown
    ]
    return _picture(
        "moved",
        "How far did each model move?",
        "Mean divergence of the tuned from the base next-token distribution, over the tuned "
        "model’s own answers, with its 95% interval over prompts. The dotted line is the noise "
        "floor: the same weights under another computation.",
        draw,
        ["model", "mean KL, nats", "95% interval", "noise floor, nats"],
        rows,
    )


def shares(models: Sequence[Model]) -> dict[str, Any] | None:
    """Stacked bars: share of tokens that are unshifted, marginal, shifted."""
    shown = [m for m in models if all(_known(m["shares"].get(c)) for c in CATEGORIES)]
    if not shown:
        return None
    marks = [0.0, 0.25, 0.5, 0.75, 1.0]

    def draw(width: float) -> tuple[float, list[Markup]]:
        scale = linear(0.0, 1.0, 10.0, width - 14.0)
        bottom = 8.0 + ROW * len(shown)
        parts = x_axis(
            scale,
            marks,
            8.0,
            bottom,
            "share of the answers’ tokens",
            width / 2,
            lambda v: f"{v:.0%}",
        )
        for place, model in enumerate(shown):
            top, start = 8.0 + ROW * place, 0.0
            words = " · ".join(numbers.percent(model["shares"][c]["estimate"]) for c in CATEGORIES)
            parts += plot.lane(model, top, width, words)
            for category in CATEGORIES:
                end = start + model["shares"][category]["estimate"]
                parts += plot.segment(category, scale(start), scale(min(end, 1.0)), top + 22, width)
                start = end
        return bottom + 44, [plot.patterns(width), *parts]

    rows = [
        [m["name"], *(numbers.with_interval(m["shares"][c], numbers.percent) for c in CATEGORIES)]
        for m in shown
    ]
    return _picture(
        "shares",
        "How many tokens would the base have chosen too?",
        "unshifted: the tuned model’s first choice is also the base’s; marginal: the base’s second "
        "or third; shifted: further down.",
        draw,
        ["model", *CATEGORIES],
        rows,
        [(c, plot.category_swatch(c)) for c in CATEGORIES],
    )


def along(models: Sequence[Model]) -> dict[str, Any] | None:
    """KL along the position in the response, one line with its band per model."""
    shown = [m for m in models if _given(m)]
    if not shown:
        return None
    bins = [b for m in shown for b in _given(m)]
    starts = sorted({b["start"] for b in bins})  # bins double: each gets the same width
    down = ticks(0.0, max(_top(b) for b in bins), 4)

    def draw(width: float) -> tuple[float, list[Markup]]:
        labels = [f"{start}" for start in starts]
        x, y, parts = plot.frame(
            width,
            (-0.5, len(starts) - 0.5),
            range(len(starts)),
            down,
            "position in the answer, tokens (bins double)",
            labels,
        )
        series = [
            (m["style"], [(x(starts.index(b["start"])), b) for b in _given(m)]) for m in shown
        ]
        for style, points in series:
            parts += plot.band(style, points, y)
        for style, points in series:
            parts += plot.series(style, [(at, y(b["estimate"])) for at, b in points])
        return 262.0, parts

    rows = [
        [m["name"], _positions(b), numbers.with_interval(b), numbers.count(b["n"])]
        for m in shown
        for b in m["along"]
    ]
    return _picture(
        "along",
        "Where in the answer does it shift?",
        "Mean KL(tuned from base) in nats by position; the band is the 95% interval over prompts. "
        "Far positions rest on the long answers alone.",
        draw,
        ["model", "positions", "mean KL, nats", "answers"],
        rows,
        _names(shown),
    )


def sentence_parts(models: Sequence[Model]) -> dict[str, Any] | None:
    """Mean KL of each sentence's first 5% of tokens against the rest."""
    shown = [m for m in models if _known(m["sentence_start"]) and _known(m["sentence_rest"])]
    if not shown:
        return None
    marks = ticks(
        0.0, max(_top(m[key]) for m in shown for key in ("sentence_start", "sentence_rest"))
    )

    def draw(width: float) -> tuple[float, list[Markup]]:
        scale = linear(0.0, marks[-1], 10.0, width - 14.0)
        bottom = 8.0 + ROW * len(shown)
        parts = x_axis(
            scale,
            plot.fewer(marks, width),
            8.0,
            bottom,
            "mean KL(tuned from base), nats per token",
            width / 2,
        )
        for place, model in enumerate(shown):
            top = 8.0 + ROW * place
            first, rest = model["sentence_start"], model["sentence_rest"]
            words = f"{numbers.nats(first['estimate'])} · {numbers.nats(rest['estimate'])}"
            parts += plot.lane(model, top, width, words)
            parts += plot.estimate(rest, model["style"], scale, top + 37, hollow=True)
            parts += plot.estimate(first, model["style"], scale, top + 29)
        return bottom + 44, parts

    rows = [
        [
            m["name"],
            numbers.with_interval(m["sentence_start"]),
            numbers.with_interval(m["sentence_rest"]),
        ]
        for m in shown
    ]
    filled, hollow = (
        el(
            "svg",
            mark(0, 8, 8, hollow=h, size=4.5),
            viewBox="0 0 16 16",
            class_="swatch small neutral",
            aria_hidden="true",
        )
        for h in (False, True)
    )
    return _picture(
        "sentences",
        "Does tuning act at the start of sentences?",
        "The first 5% of each sentence’s tokens (at least one) against the rest of it, with 95% "
        "intervals over prompts.",
        draw,
        ["model", "first 5% of each sentence", "the rest"],
        rows,
        [("first 5% of each sentence", filled), ("the rest", hollow)],
    )


def losses(models: Sequence[Model]) -> dict[str, Any] | None:
    """Training loss of the tunings made here."""
    shown = [m for m in models if m["loss"]]
    if not shown:
        return None
    values = [point[1] for m in shown for point in m["loss"]]
    down = ticks(min(values), max(values), 4)
    across = ticks(0.0, max(point[0] for m in shown for point in m["loss"]))

    def draw(width: float) -> tuple[float, list[Markup]]:
        x, y, parts = plot.frame(width, (0.0, across[-1]), across, down, "epoch")
        for model in shown:
            points = [(x(epoch), y(loss)) for epoch, loss in model["loss"]]
            parts += plot.series(model["style"], points, n_marks=3)
        return 262.0, parts

    rows = [
        [
            m["name"],
            numbers.nats(m["loss"][0][1]),
            numbers.nats(m["loss"][-1][1]),
            numbers.count(m["n_steps"]),
        ]
        for m in shown
    ]
    return _picture(
        "losses",
        "How did the tunings train?",
        "Mean loss over the trained tokens of each optimiser step, in nats; long runs are averaged "
        "over neighbouring steps. The scale does not begin at 0.",
        draw,
        ["model", "first", "last", "steps"],
        rows,
        _names(shown),
    )


def _picture(
    key: str,
    question: str,
    caption: str,
    draw: Draw,
    columns: list[str],
    rows: list[list[str]],
    legend: list[tuple[str, Markup]] | None = None,
) -> dict[str, Any]:
    drawings = []
    for width, kind in ((WIDE, "wide"), (NARROW, "narrow")):
        height, parts = draw(width)
        drawings.append(drawing(width, height, f"{question} {caption}", parts, kind))
    return {
        "key": key,
        "question": question,
        "caption": caption,
        "drawing": join(drawings),
        "columns": columns,
        "rows": rows,
        "legend": legend or [],
    }


def _known(estimate: Mapping[str, Any] | None) -> bool:
    return estimate is not None and estimate.get("estimate") is not None


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
