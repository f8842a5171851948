"""The sweep on the page: is it the method or the rate, and does the shift grow with the rows?

Pure: from the `about` of a sweep's artefact to blocks; every number is of KL(tuned from base) in
nats per token on each tuned model's own answers, unless it says otherwise.
"""

from collections.abc import Mapping, Sequence
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
from aftertune.shift.categories import CATEGORIES

_COMPARED = ("methods", "rates", "turned_round")
Y_LABEL = "mean KL(tuned from base), nats per token, on the tuned model's own answers"


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """Method against learning rate."""
    found = about["found"]
    by_method = {
        _series_name(method, size, found): [
            cell for cell in found["cells"] if (cell["method"], cell["size"]) == (method, size)
        ]
        for method, size in dict.fromkeys((c["method"], c["size"]) for c in found["cells"])
    }
    rates = sorted({cell["learning_rate"] for cell in found["cells"]})
    return {
        "control": "sweep",
        "model": about["name"],
        "question": "Is it the method or the rate?",
        "sentences": [
            _answer(found, about["absent"]),
            *_equal_rate(found),
            *_over_rates(found),
            *_turned(found),
            _scope(found),
            _floor(found),
        ],
        "picture": _picture("learning rate", "learning_rate", rates, by_method),
        "table": _table(found),
        "cautions": _cautions(found, about["absent"]),
    }


def size_block(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The shift against the number of rows; None where one size was tuned on."""
    found = about["found"]
    if not found["trends"]:
        return None
    series = {
        f"{METHODS[one['method']]} at {rate(one['learning_rate'])}": [
            cell
            for cell in found["cells"]
            if (cell["method"], cell["learning_rate"]) == (one["method"], one["learning_rate"])
        ]
        for one in found["trends"]
    }
    sizes = sorted({cell["size"] for cell in found["cells"]})
    return {
        "control": "sweep",
        "model": about["name"],
        "question": "Does the shift grow with the number of rows?",
        "sentences": [
            *map(_trend, found["trends"]),
            _margin(found, about["absent"]),
            _scope(found),
        ],
        "picture": _picture("rows tuned on", "size", sizes, series),
        "table": _changes(found["trends"]),
        "cautions": _cautions(found, about["absent"]),
    }


def _answer(found: Mapping[str, Any], absent: Mapping[str, str]) -> str:
    """One sentence, from which of the differences leave 0 out."""
    if not found["methods"]:
        return (
            f"Undecided: {absent.get('methods', 'no learning rate was tried with both methods')}."
        )
    if not found["rates"]:
        return (
            "Undecided: only one learning rate was tried with each method, so a difference at it "
            "cannot be told from one that another rate would close."
        )
    methods, rates = (_signs(found[name]) for name in ("methods", "rates"))
    turned = _signs(found["turned_round"])
    said = (
        f"{_verdict(methods, rates)}: at an equal rate and size, "
        f"{_way(methods, 'full', 'LoRA')}; within a method and size, "
        f"{_way(rates, 'the highest rate', 'the lowest')}"
    )
    if {*methods, *turned} == {1} and turned:
        said += "; a higher rate for LoRA turns the order of the methods round"
    return f"{said}."


def _signs(compared: Sequence[Mapping[str, Any]]) -> list[int]:
    return [_sign(one["difference"]) for one in compared]


def _verdict(methods: Sequence[int], rates: Sequence[int]) -> str:
    """Method, rate or both, only where every comparison of a kind says the same."""
    if len(set(methods)) > 1 or len(set(rates)) > 1:
        return "Mixed"
    if methods[0] and rates[0]:
        return "Both"
    if rates[0]:
        return "The rate, as far as seen"
    return "The method, as far as seen" if methods[0] else "Undecided"


def _way(signs: Sequence[int], first: str, second: str) -> str:
    """Which lies above which, and at how many of the comparisons."""
    n = len(signs)
    known = [(first, second, signs.count(1)), (second, first, signs.count(-1))]
    said = [f"{above} lies above {below} at {k} of {n}" for above, below, k in known if k]
    return listed(said) if said else f"no difference was found (0 of {n})"


def _equal_rate(found: Mapping[str, Any]) -> list[str]:
    return [
        f"At {rate(one['learning_rate'])}{_rows(one['size'], found)}, full minus LoRA: "
        f"{_compared(one['difference'])}"
        for one in found["methods"]
    ]


def _over_rates(found: Mapping[str, Any]) -> list[str]:
    return [
        f"Rates of {METHODS[one['method']]}{_rows(one['size'], found)}, {rate(one['highest'])} "
        f"minus {rate(one['lowest'])}: "
        f"{_compared(one['difference'])}"
        for one in found["rates"]
    ]


def _turned(found: Mapping[str, Any]) -> list[str]:
    return [
        f"LoRA at {rate(one['lora_rate'])} minus full at {rate(one['full_rate'])}"
        f"{_rows(one['size'], found)}: {_compared(one['difference'])}"
        for one in found["turned_round"]
    ]


def _compared(difference: Mapping[str, Any]) -> str:
    """A difference, whether it is one, and what could have been seen."""
    if difference["low"] is None:
        return f"{nats(difference['estimate'])} nats; undecided ({difference['reason']})."
    seen = nats(difference["smallest_detectable"])
    undecided = "" if _sign(difference) else "; undecided"
    return (
        f"{with_interval(difference)} nats{undecided} (smallest difference that could have been "
        f"seen: {seen})."
    )


def _trend(one: Mapping[str, Any]) -> str:
    name = f"{METHODS[one['method']]} at {rate(one['learning_rate'])}"
    slope = one["slope"]
    text = f"{name}: {one['verdict']}; {with_interval(slope)} nats per doubling of the rows"
    if slope["smallest_detectable"] is not None:
        text += f" (smallest slope that could have been seen: {nats(slope['smallest_detectable'])})"
    text += f"; {one['reason']}"
    if one["verdict"] == "undecided" and one["margin"] and one["provable_margin"] is not None:
        text += (
            f"; a flat line could be shown in 80 of 100 such sweeps with a margin of "
            f"{nats(one['provable_margin'])} or more"
        )
    return text + "."


def _margin(found: Mapping[str, Any], absent: Mapping[str, str]) -> str:
    margin = found["margin"]
    if margin is None:
        return (
            f"No margin was fixed ({absent.get('margin', 'none was given')}), so nothing is flat."
        )
    return (
        f"Flat means: no two sizes differ by {nats(margin['value'])} nats per token or more "
        f"({margin['rule']}; fixed {margin['fixed_at']}; {margin['source']})."
    )


def _scope(found: Mapping[str, Any]) -> str:
    seeds = listed([str(seed) for seed in found["seeds"]])
    prompts = _prompts(found)
    if found["speaks_of"] == "method":
        return f"Intervals draw seeds ({seeds}) and {prompts} again: they speak of the method."
    word = "seed" if len(found["seeds"]) == 1 else "seeds"
    return (
        f"Intervals draw {prompts} again ({word} {seeds}): they speak of these tuned models only."
    )


def _prompts(found: Mapping[str, Any]) -> str:
    """How many prompts the statements rest on; a prompt without an answer counts in none."""
    stated = [one["kl_per_token"] for one in found["cells"]]
    stated += [one["difference"] for name in _COMPARED for one in found[name]]
    stated += [one["slope"] for one in found["trends"]]
    fewest = min(one["n_prompts"] for one in stated)
    asked = plural(found["n_prompts"], "prompt")
    return asked if fewest == found["n_prompts"] else f"at least {fewest:,} of {asked}"


def _floor(found: Mapping[str, Any]) -> str:
    floor = found["noise_floor_nats"]
    if floor is None:
        return "The noise floor was not measured."
    return f"The largest noise floor of all tuned models is {nats(floor)} nats."


def _cautions(found: Mapping[str, Any], absent: Mapping[str, str]) -> list[str]:
    said = []
    for method in dict.fromkeys(cell["method"] for cell in found["cells"]):
        tried = {c["learning_rate"] for c in found["cells"] if c["method"] == method}
        if len(tried) == 1:
            said.append(
                f"Only one learning rate was tried with {METHODS[method]}, {rate(*tried)}: what "
                "looks like the method may be the rate."
            )
    if found["speaks_of"] == "models":
        said.append("Fewer than 5 seeds: every statement is about these tuned models only.")
    if found["trends"] and found["steps"] is None:
        said.append(
            "More rows also meant more steps here; --steps compares sizes at an equal number."
        )
    compared = sum(len(found[name]) for name in (*_COMPARED, "trends"))
    if compared > 2:
        said.append(
            f"{compared} comparisons, each with its own 95% interval: of twenty that hold nothing, "
            "one leaves 0 out by chance."
        )
    if "margin" in absent:
        said.append(f"No margin: {absent['margin']}; no trend can be called flat.")
    if found["measured_before_margin"]:
        number = plural(len(found["measured_before_margin"]), "judged model")
        said.append(f"{number} had been measured before the margin was fixed.")
    if len(found["dtypes"]) > 1:
        said.append(
            f"Tuned models were scored in {listed(found['dtypes'])}; use one --dtype for all."
        )
    return said


def _picture(
    x_label: str, x: str, values: list[Any], series: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    return {
        "kind": "curve",
        "x_label": x_label,
        "y_label": Y_LABEL,
        "x_values": [float(value) for value in values],
        "log_x": True,
        "series": [
            {"name": name, "points": [_point(cell, x) for cell in _by(cells, x)]}
            for name, cells in series.items()
        ],
    }


def _point(cell: Mapping[str, Any], x: str) -> dict[str, Any]:
    mean = cell["kl_per_token"]
    return {"x": float(cell[x])} | {end: mean[end] for end in ("estimate", "low", "high")}


def _by(cells: Sequence[Mapping[str, Any]], x: str) -> list[Mapping[str, Any]]:
    return sorted(
        (cell for cell in cells if cell["kl_per_token"]["estimate"] is not None),
        key=lambda cell: float(cell[x]),
    )


def _table(found: Mapping[str, Any]) -> dict[str, Any]:
    seeds = ", ".join(str(seed) for seed in found["seeds"])
    columns = ["method", "rate", "rows", "steps", "KL per token", "every answer alike", *CATEGORIES,
               f"KL per token of seed {seeds}"]  # fmt: skip
    return {"columns": columns, "rows": [_row(cell) for cell in found["cells"]]}


def _row(cell: Mapping[str, Any]) -> list[str]:
    alone = cell["per_seed"]["kl_per_token"]
    return [
        METHODS[cell["method"]],
        rate(cell["learning_rate"]),
        _span([one["rows"] for one in cell["runs"]]),
        _span([one["steps"] for one in cell["runs"]]),
        with_interval(cell["kl_per_token"]),
        with_interval(cell["kl_per_response"]),
        *(with_interval(cell[name], percent) for name in CATEGORIES),
        ", ".join(nats(value) for value in alone) or NONE,
    ]


def _changes(trends: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        [METHODS[one["method"]], rate(one["learning_rate"]),
         f"{change['smaller']:,} to {change['larger']:,}", with_interval(change)]
        for one in trends for change in one["changes"]
    ]  # fmt: skip
    return {"columns": ["method", "rate", "rows", "change, 90% interval"], "rows": rows}


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _series_name(method: str, size: int | None, found: Mapping[str, Any]) -> str:
    return METHODS[method] + _rows(size, found)


def _rows(size: int | None, found: Mapping[str, Any]) -> str:
    """ ", 160 rows" where sizes differ and so have to be told apart."""
    several = len({cell["size"] for cell in found["cells"]}) > 1
    return f", {size:,} rows" if several and size is not None else ""


def _sign(difference: Mapping[str, Any]) -> int:
    """1 or -1 where the interval leaves 0 out, else 0."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if low > 0 else -1
