"""Claims: what is estimated, how large an effect must be, and what is concluded (pure).

A file of claims is written before anything is measured. Each claim compares one quantity of two
cells (or takes that of one cell) world by world, and says which side of a margin the mean lies on.
Exactly one comparison of a claim is primary. Over the worlds

    t = (mean - margin) / (sd / sqrt(n)), two-sided, n - 1 degrees of freedom

tests whether the mean is the margin itself, and Holm's procedure (Scandinavian Journal of
Statistics 6, 1979) adjusts the p-values of all primaries. So one test serves both conclusions:
rejected on the claimed side the claim holds, on the other it does not; else it is undecided.
All other comparisons are exploratory: an effect with its interval, and no conclusion.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy import special

from aftertune.errors import ConfigError
from aftertune.lab.over_worlds import NO_VALUE, OF_WORLDS, ONE_VALUE
from aftertune.stats.intervals import Interval

Conclusion = Literal["holds", "does not hold", "undecided"]
Cells = Mapping[str, Mapping[str, Mapping[str, Any]]]  # cell -> quantity -> {value, n, reason}

SAME_VALUE = "every world gives the same value, so nothing says how much it varies"
NO_CELL = "the cell was not measured"

Level = Annotated[float, Field(gt=0.5, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(_Part):
    """`quantity` of `cell`, minus that of `against` where it is given, and the claimed side.

    at_least: the mean lies above the margin, the smallest effect of interest. at_most: it lies
    below, the margin being the largest that still counts as none. unit: of margin and effect.
    """

    quantity: str
    cell: str
    against: str | None = None
    unit: str
    direction: Literal["at_least", "at_most"]
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    primary: bool = False


class Claim(_Part):
    """What is claimed, in words, and the comparisons that judge it: one primary, others beside."""

    id: str
    says: str
    comparisons: tuple[Comparison, ...]

    @model_validator(mode="after")
    def _has_one_primary(self) -> Self:
        n = sum(one.primary for one in self.comparisons)
        if n != 1:
            raise ValueError(f"claim {self.id} has {n} primary comparisons; mark exactly one")
        return self

    @property
    def primary(self) -> Comparison:
        return next(one for one in self.comparisons if one.primary)


class Claims(_Part):
    """A whole file. level: of the intervals; 1 - level is the error rate of all primaries
    together. worlds: so many give conclusions, fewer are exploratory."""

    rate_rule: Literal["lowest_mean_held_out_loss"]
    test: Literal["paired_t_over_worlds"]
    correction: Literal["holm"]
    level: Level
    worlds: Annotated[int, Field(ge=2)]
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_told_apart(self) -> Self:
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise ValueError("two claims have the same id")
        return self


def read(text: str, place: str) -> Claims:
    """The claims in a YAML text; `place` is what errors call it. Raises ConfigError."""
    try:
        return Claims.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        where = str(error).splitlines()[0]
        raise ConfigError(f"{place} is not valid YAML: {where}; mend it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{place}{f' at {at}' if at else ''}: {reason}; mend it.") from error


def check(
    claims: Claims, judged: Sequence[str], curves: Sequence[str], units: Mapping[str, str],
    place: str,
) -> None:  # fmt: skip
    """Raises ConfigError where a comparison names a quantity, a unit or a cell that there is not,
    or a primary rests on a cell of `curves`, whose seed chose the rates."""
    for claim in claims.claims:
        for one in claim.comparisons:
            where = f"{place}: claim {claim.id}"
            if one.quantity not in units:
                known = ", ".join(sorted(units))
                raise ConfigError(f"{where} names {one.quantity}; quantities are: {known}.")
            if one.unit != units[one.quantity]:
                raise ConfigError(
                    f"{where} gives {one.quantity} in {one.unit}; its unit is "
                    f"{units[one.quantity]}."
                )
            for cell in filter(None, (one.cell, one.against)):
                if cell not in judged and cell not in curves:
                    known = ", ".join((*judged, *curves))
                    raise ConfigError(f"{where} names the cell {cell}; cells are: {known}.")
                if one.primary and cell in curves:
                    raise ConfigError(
                        f"{where} rests its primary on {cell}, whose shuffle seed chose the "
                        "rates; name a judged cell."
                    )


def evaluate(claims: Claims, worlds: Sequence[Cells]) -> list[dict[str, Any]]:
    """Every claim with its comparisons in the file's order, as JSON values.

    worlds: per world the cells with their quantities. Per comparison: its fields, `effect` (an
    interval over worlds), `per_world` (None where absent), `p` and `p_holm`, `conclusion` and
    `reason`; the last four are None for what is exploratory, but `reason` where there is no effect.
    """
    judged = [(claim, [_judged(one, claims, worlds) for one in claim.comparisons])
              for claim in claims.claims]  # fmt: skip
    primaries = {
        claim.id: next(f for one, f in zip(claim.comparisons, found, strict=True) if one.primary)
        for claim, found in judged
    }
    adjusted = holm({name: found["p"] for name, found in primaries.items()})
    for name, found in primaries.items():
        found["p_holm"] = adjusted[name]
        found["conclusion"], found["reason"] = _concluded(found, claims)
    return [
        {"id": claim.id, "says": claim.says, "comparisons": found} for claim, found in judged
    ]  # fmt: skip


def over_worlds(values: Sequence[float], level: float) -> Interval:
    """Mean and t interval of one value per world."""
    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0, level, OF_WORLDS, NO_VALUE)
    found = np.asarray(values, np.float64)
    mean = float(found.mean())
    if n == 1:
        return Interval(mean, None, None, 1, level, OF_WORLDS, ONE_VALUE)
    if np.ptp(found) == 0:
        return Interval(mean, None, None, n, level, OF_WORLDS, SAME_VALUE)
    half = float(special.stdtrit(n - 1, (1 + level) / 2) * found.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n, level, OF_WORLDS)


def p_value(values: Sequence[float], margin: float) -> float | None:
    """Two-sided p of the mean being the margin; None where the values have no spread."""
    found = np.asarray(values, np.float64)
    if len(found) < 2 or np.ptp(found) == 0:
        return None
    t = (found.mean() - margin) / (found.std(ddof=1) / np.sqrt(len(found)))
    return float(2 * special.stdtr(len(found) - 1, -abs(t)))


def holm(p: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjusted p-values: the k-th smallest of m times m - k + 1, never below those before it.

    What has no p-value counts in m, as 1, and stays None.
    """
    order = sorted(p, key=lambda name: (p[name] is None, p[name]))
    found: dict[str, float | None] = {}
    before = 0.0
    for place, name in enumerate(order):
        value = p[name]
        if value is not None:
            before = max(before, min(1.0, value * (len(p) - place)))
        found[name] = None if value is None else before
    return {name: found[name] for name in p}


def _judged(one: Comparison, claims: Claims, worlds: Sequence[Cells]) -> dict[str, Any]:
    """A comparison without a conclusion."""
    per_world, reasons = [], []
    for world in worlds:
        value, reason = _difference(one, world)
        per_world.append(value)
        reasons += [reason] if reason else []
    values = [value for value in per_world if value is not None]
    return {
        **one.model_dump(),
        "per_world": per_world,
        "effect": over_worlds(values, claims.level).as_json(),
        "p": p_value(values, one.margin) if one.primary and len(values) >= claims.worlds else None,
        "p_holm": None,
        "conclusion": None,
        "reason": reasons[0] if reasons else None,
    }


def _difference(one: Comparison, world: Cells) -> tuple[float | None, str | None]:
    """The comparison's value in one world, or why there is none."""
    values = []
    for cell in filter(None, (one.cell, one.against)):
        found = world.get(cell, {}).get(one.quantity)
        if found is None or found["value"] is None:
            return None, f"{cell}: {NO_CELL if found is None else found['reason']}"
        values.append(float(found["value"]))
    return values[0] - values[1] if one.against else values[0], None


def _concluded(found: Mapping[str, Any], claims: Claims) -> tuple[Conclusion, str]:
    """What a primary says, and why."""
    effect, missing = found["effect"], found["reason"]
    if effect["n"] < claims.worlds:
        reason = f"{effect['n']} of at least {claims.worlds} worlds have a value: exploratory only"
        return "undecided", f"{reason} ({missing})" if missing else reason
    if found["p"] is None:
        return "undecided", str(effect["reason"])
    margin = f"the margin of {_written(found['margin'], found['unit'])}"
    above = effect["estimate"] > found["margin"]
    if found["p_holm"] < 1 - claims.level:
        side = "above" if above else "below"
        opposite = "; the effect goes the other way" if effect["high"] < 0 and _more(found) else ""
        holds: Conclusion = "holds" if above == _more(found) else "does not hold"
        return holds, f"the interval lies {side} {margin}{opposite}"
    if found["p"] < 1 - claims.level:
        return "undecided", f"the interval leaves out {margin}, but not after Holm's correction"
    return "undecided", f"the interval holds {margin}"


def _written(margin: float, unit: str) -> str:
    return f"{100 * margin:g}%" if unit == "share" else f"{margin:g} {unit}"


def _more(found: Mapping[str, Any]) -> bool:
    return bool(found["direction"] == "at_least")
