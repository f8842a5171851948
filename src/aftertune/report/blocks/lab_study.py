"""The paper's claims over made worlds, on the page (pure)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aftertune.report.numbers import (
    METHODS,
    NONE,
    listed,
    nats,
    percent,
    plural,
    rate,
    with_interval,
)

# quantity -> what it is called; a KL is named with its direction and text
CALLED = {
    "kept": "known facts kept",
    "forgetting": "known facts forgotten",
    "gained": "facts of the rows gained",
    "gained_rephrased": "facts of the rows gained, asked in other words",
    "wrong_neighbour": "wrong answers about neighbours of the rows",
    "borrowed_neighbour": "neighbours given a value that rows state of their kind",
    "wrong_open": "wrong statements of an open answer",
    "statements_open": "statements of an open answer",
    "tokens_open": "tokens of an open answer",
    "tokens": "tokens of an answer",
    "kl": "KL(tuned from base) on the tuned model's own answers",
    "held_out_loss": "loss on rows held out",
    "caused_share": "wrong statements caused by rows, undecided ones counted as not",
    "caused_share_most": "wrong statements caused by rows, undecided ones counted as caused",
}
OUTCOMES = ("forgetting", "wrong_neighbour", "borrowed_neighbour")
_ENDS = ("estimate", "low", "high")
_EDGE = "chosen at the edge of the rates tried, so a better one may lie beyond"


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """Every claim with its conclusion, and the primaries in units of their margins."""
    found = about["found"]
    return {
        "control": "lab-study",
        "model": about["name"],
        "question": "Do the paper's claims hold in made worlds?",
        "sentences": _sentences(found),
        "picture": _picture(found),
        "table": _table(found),
        "cautions": _cautions(found),
    }


def equal_block(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """Method against how far it moved; None where no curve has a place to stand."""
    found = about["found"]
    series = [_series(method, points) for method, points in found["curves"].items()]
    if not any(one["points"] for one in series):
        return None
    at = sorted({point["x"] for one in series for point in one["points"]})
    return {
        "control": "lab-study",
        "model": about["name"],
        "question": "Is it the method, or how far it moved?",
        "sentences": [*map(_at_equal, found["at_equal"]), _of_curves(found)],
        "picture": {
            "kind": "curve",
            "x_label": f"mean {CALLED['kl']}, nats per token",
            "y_label": f"{CALLED['forgetting']}, share",
            "x_values": at,
            "log_x": True,
            "series": series,
        },
        "table": _curve_table(found),
        "cautions": [
            "These differences are exploratory: no margin was fixed for them, and they are not "
            "corrected for being several."
        ],
    }


def _sentences(found: Mapping[str, Any]) -> list[str]:
    said = []
    for claim in found["claims"]:
        one = _primary(claim)
        said.append(
            f"{claim['id']}, {one['conclusion']}: {claim['says']} {_capital(_called(one))}, "
            f"{_cells(one)}: {_effect(one)} over "
            f"{plural(one['effect']['n'], 'world')}, margin {_margin(one)}; {one['reason']}."
        )
    chosen = listed(
        [f"{METHODS[method]} {rate(value)}" for method, value in found["rates"].items()]
    )
    seeds = found["seeds"]
    return [
        *said,
        f"Rates are those with the lowest mean loss on rows held out: {chosen}, chosen on shuffle "
        f"seed {seeds['choosing']} and judged on shuffle seed {seeds['judged']}.",
        f"Effects are means over worlds with {found['level']:.0%} t intervals; p-values test the "
        "margin, with Holm's correction over the primaries. All other rows are exploratory.",
        f"The claims were fixed {found['claims_fixed_at']} (sha256 {found['claims_sha256'][:16]}). "
        f"A world took {found['seconds_per_world'] / 60:.1f} min, its base among it.",
    ]


def _called(one: Mapping[str, Any]) -> str:
    return CALLED[one["quantity"]]


def _cells(one: Mapping[str, Any]) -> str:
    return f"{one['cell']} minus {one['against']}" if one["against"] else str(one["cell"])


def _unit(one: Mapping[str, Any]) -> str:
    """Behind a number; a share has its percent sign."""
    return "" if one["unit"] == "share" else f" {one['unit']}"


def _margin(one: Mapping[str, Any]) -> str:
    return f"{_form(one)(one['margin'])}{_unit(one)}"


def _picture(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "intervals",
        "x_label": "effect divided by the claim's margin",
        "rows": [_row(claim) for claim in found["claims"]],
        "line": {"at": 1.0, "label": "the margin"},
    }


def _row(claim: Mapping[str, Any]) -> dict[str, Any]:
    one = _primary(claim)
    side = "claimed above 1" if one["direction"] == "at_least" else "claimed below 1"
    scaled = {
        end: None if one["effect"][end] is None else one["effect"][end] / one["margin"]
        for end in _ENDS
    }
    reason = one["reason"] if scaled["estimate"] is None else None
    return {"label": f"{claim['id']} ({side}): {one['conclusion']}", **scaled, "reason": reason}


def _table(found: Mapping[str, Any]) -> dict[str, Any]:
    columns = ["claim", "quantity", "cells", "effect", "claimed", "p (Holm)", "worlds",
               "conclusion"]  # fmt: skip
    rows = [
        [
            claim["id"],
            _called(one),
            _cells(one),
            _effect(one),
            f"{'above' if one['direction'] == 'at_least' else 'below'} {_margin(one)}",
            NONE if one["p_holm"] is None else _chance(one["p_holm"]),
            str(one["effect"]["n"]),
            one["conclusion"] if one["primary"] else "exploratory",
        ]
        for claim in found["claims"]
        for one in claim["comparisons"]
    ]
    return {"columns": columns, "rows": rows}


def _cautions(found: Mapping[str, Any]) -> list[str]:
    said = []
    n, needed = len(found["worlds"]), found["worlds_needed"]
    if n < needed:
        said.append(
            f"{plural(n, 'world')}, and the claims ask for {needed}: everything here is "
            "exploratory, and every conclusion is undecided."
        )
    if found["judged_before_claims"]:
        said.append(
            f"{plural(found['judged_before_claims'], 'judged tuning')} of "
            f"{found['judged_tunings']:,} had been made before these claims were fixed, so the "
            "claims may follow from the results."
        )
    for method, value in found["rates"].items():
        tried = found["rates_tried"][method]
        if len(tried) == 1:
            said.append(f"One rate was tried with {METHODS[method]}: nothing was chosen.")
        elif value in (tried[0], tried[-1]):
            said.append(f"The rate of {METHODS[method]}, {rate(value)}, was {_EDGE}.")
    said.append(
        "Cells with fewer rows also have fewer steps, and all cells take their method's rate: "
        "other rows, ranks or noise might want another."
    )
    return said + _of_labels(found)


def _of_labels(found: Mapping[str, Any]) -> list[str]:
    labelled = [name for name in ("labels-full", "labels-lora")
                if any(name in world["cells"] for world in found["worlds"])]  # fmt: skip
    if not labelled:
        return []
    return ["Labels come from tunings of their own, on all rows and at their own rate."]


def _at_equal(one: Mapping[str, Any]) -> str:
    """One outcome where both methods moved equally far."""
    effect = one["effect"]
    place = f"At equal {CALLED[one['axis']]}, full minus LoRA in {CALLED[one['outcome']]}"
    if effect["estimate"] is None:
        return f"{place}: absent ({one['reason'] or effect['reason']})."
    told = f"{place}: {with_interval(effect, percent)} over {plural(effect['n'], 'world')}"
    if effect["low"] is None:
        return f"{told}; undecided ({effect['reason']})."
    if effect["low"] <= 0 <= effect["high"]:
        return f"{told}; undecided, the interval holds 0."
    return f"{told}; the method still predicts it."


def _of_curves(found: Mapping[str, Any]) -> str:
    tried = "; ".join(
        f"{METHODS[method]} at {', '.join(map(rate, rates))}"
        for method, rates in found["rates_tried"].items()
    )
    return (
        f"Curves: {tried}, shuffle seed {found['seeds']['choosing']}. Between its points a curve "
        "is a straight line, over log KL, and over loss it begins at the base; a difference is the "
        "mean over what both methods reach."
    )


def _series(method: str, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    placed = [
        # every place is labelled, so it has few digits
        {
            "x": float(f"{one['kl']['estimate']:.3g}"),
            **{end: one["forgetting"][end] for end in _ENDS},
        }
        for one in points
        if one["kl"]["estimate"] and one["forgetting"]["estimate"] is not None
    ]
    return {"name": METHODS[method], "points": sorted(placed, key=lambda point: float(point["x"]))}


def _curve_table(found: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            METHODS[method],
            rate(one["rate"]),
            with_interval(one["kl"]),
            with_interval(one["held_out_loss"]),
            *(with_interval(one[name], percent) for name in OUTCOMES),
        ]
        for method, points in found["curves"].items()
        for one in points
    ]
    columns = ["method", "rate", *(f"{CALLED[name]}, nats" for name in ("kl", "held_out_loss")),
               *(CALLED[name] for name in OUTCOMES)]  # fmt: skip
    return {"columns": columns, "rows": rows}


def _primary(claim: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in claim["comparisons"] if one["primary"])
    return found


def _effect(one: Mapping[str, Any]) -> str:
    told = with_interval(one["effect"], _form(one))
    return told if told == NONE else f"{told}{_unit(one)}"


def _form(one: Mapping[str, Any]) -> Callable[[float | None], str]:
    return percent if one["unit"] == "share" else nats


def _chance(p: float) -> str:
    """
    >>> _chance(0.03214), _chance(0.0004)
    ('0.032', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
