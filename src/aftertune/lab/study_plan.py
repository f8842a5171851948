"""A study's claims, the tunings it makes of each world and on which rows, and what that takes (no
torch)."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from aftertune.config import Method
from aftertune.errors import ConfigError
from aftertune.lab import claims as claims_of
from aftertune.lab.claims import Claims
from aftertune.lab.config import LabBaseConfig, Recipe
from aftertune.lab.plan import with_size
from aftertune.lab.study_config import LabStudyConfig, RowSet, base_configs
from aftertune.lab.study_measures import UNITS
from aftertune.report.numbers import rate as written

Record = dict[str, Any]

FILE = "claims.yaml"
KNOWN_EXPOSURES = 24  # times stated in the text from which a fact counts as known to the base
METHODS: tuple[Method, ...] = ("full", "lora")
LABELS = {"full": "labels-full", "lora": "labels-lora"}  # cells that labels fill, by their method
_SHAPE = ("per_kind", "per_domain", "hidden", "layers")


class Tuning(NamedTuple):
    """One tuning of a world."""

    cell: str
    method: Method
    rate: float
    seed: int  # shuffle seed
    rows: RowSet = "closed"
    share: float = 1.0
    lora_rank: int = 8
    neftune_alpha: float | None = None


def read_claims(config: LabStudyConfig) -> tuple[Claims, str]:
    """The claims that a study judges, those of the package where it names none, and their text.

    Raises ConfigError where the file cannot be read, or names what the study does not measure.
    """
    text, place = _claims_text(config.claims)
    claims = claims_of.read(text, place)
    cells = [*(cell.name for cell in config.cells), *LABELS.values()]
    of_curves = [one.cell for one in curves(config)]
    if twice := sorted(set(cells) & set(of_curves)):
        raise ConfigError(f"a cell is called {twice[0]}, as a curve's tuning is; rename it.")
    claims_of.check(claims, cells, of_curves, UNITS, place)
    return claims, text


def _claims_text(path: Path | None) -> tuple[str, str]:
    """The claims' file, and what to call it."""
    if path is None:
        return resources.files("aftertune.lab").joinpath(FILE).read_text(encoding="utf-8"), FILE
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"cannot read the claims {path} ({why}); give another file.") from error


def curves(config: LabStudyConfig) -> list[Tuning]:
    """Both methods at every rate, on the choosing seed."""
    return [
        Tuning(curve_cell(method, rate), method, rate, config.choosing_seed,
               lora_rank=config.lora_rank)
        for method in METHODS
        for rate in config.rates(method)
    ]  # fmt: skip


def judged(config: LabStudyConfig, rates: Mapping[Method, float]) -> list[Tuning]:
    """The cells at the chosen rate of their method, on the judged seed."""
    return [
        Tuning(
            cell.name, cell.method, rates[cell.method], config.judged_seed, cell.rows, cell.share,
            cell.lora_rank or config.lora_rank, cell.neftune_alpha,
        )
        for cell in config.cells
    ]  # fmt: skip


def curve_cell(method: Method, rate: float) -> str:
    """What the claims call a tuning of a curve.

    >>> curve_cell("full", 0.0003)
    'full-3e-4'
    """
    return f"{method}-{written(rate)}"


def n_tunings(config: LabStudyConfig) -> int:
    """Tunings of one world."""
    return len(curves(config)) + len(config.cells)


def recipe(one: Tuning, config: LabStudyConfig) -> Recipe:
    """What a tuning shares with all tunings of the lab."""
    return Recipe(one.method, one.rate, config.epochs, config.batch_size, config.device)


def more_options(one: Tuning, n_rows: int) -> dict[str, Any]:
    """The other options of TuneConfig; n_rows: in the row set that it draws from."""
    is_lora = one.method == "lora"
    return {
        "name": one.cell,
        "subset": max(1, round(one.share * n_rows)) if one.share < 1 else None,
        "subset_seed": one.seed,
        "lora_rank": one.lora_rank if is_lora else None,
        "lora_alpha": 2 * one.lora_rank if is_lora else None,
        "neftune_alpha": one.neftune_alpha,
    }


def chosen_rate(losses: Mapping[float, Sequence[float | None]]) -> float | None:
    """The rate with the lowest mean loss over worlds; the lower one on ties.

    losses: rate -> held-out-row loss per world. A rate that lacks one is passed over; None where
    all do.
    """
    whole = {
        rate: [loss for loss in found if loss is not None]
        for rate, found in sorted(losses.items())
        if found and None not in found
    }
    return min(whole, key=lambda rate: sum(whole[rate]) / len(whole[rate])) if whole else None


def row_sets(
    closed: Sequence[Record], long_: Sequence[Record], simplified: Sequence[Record], seed: int,
    share: float,
) -> dict[str, list[Record]]:  # fmt: skip
    """The rows of a world that tunings may see, by RowSet, and `reserved`, which none sees.

    Reserved are all rows about a share of the entities that closed rows speak of, drawn by hashes
    of the world's seed and their names; of long rows about them nothing is kept.
    """
    entities = {one["states"][0]["entity"] for one in closed}
    order = sorted(entities, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    kept_out = set(order[: max(1, round(share * len(order)))])

    def free(records: Sequence[Record]) -> list[Record]:
        return [one for one in records if one["states"][0]["entity"] not in kept_out]

    return {
        "closed": free(closed),
        "filtered": [one for one in free(closed) if _known(one)],
        "long": free(long_),
        "simplified": free(simplified),
        "reserved": [one for one in closed if one["states"][0]["entity"] in kept_out],
    }


def _known(row: Record) -> bool:
    """Whether the base knows all that a row states: told often in the text, and told the same."""
    return all(one["right"] and one["exposures"] >= KNOWN_EXPOSURES for one in row["states"])


def study_sentences(config: LabStudyConfig, claims: Claims, out: Path) -> list[str]:
    """What would run, and how long by what OUT holds of the same kind."""
    worlds, each = len(config.seeds), n_tunings(config)
    rates = "; ".join(
        f"{method} at {', '.join(map(written, config.rates(method)))}" for method in METHODS
    )
    said = [
        f"{worlds * each} tunings, {each} of each of {worlds} worlds: {len(curves(config))} that "
        f"choose the rates ({rates}; shuffle seed {config.choosing_seed}) and "
        f"{len(config.cells)} that are judged (shuffle seed {config.judged_seed}).",
        f"Judged cells: {', '.join(cell.name for cell in config.cells)}.",
        f"Primaries: {len(claims.claims)}, with Holm's correction at {1 - claims.level:.0%}; all "
        "else is exploratory.",
    ]
    if worlds < claims.worlds:
        said.append(
            f"{worlds} worlds are fewer than the {claims.worlds} that the claims ask for: every "
            "conclusion will be undecided."
        )
    return [*said, _how_long(config, out)]


def _how_long(config: LabStudyConfig, out: Path) -> str:
    tuning, rest, base = _seconds(out, config)
    methods = [one.method for one in curves(config)] + [one.method for one in config.cells]
    if rest is None or base is None or any(method not in tuning for method in methods):
        return f"How long: unknown, {out} holds no finished cell of both methods on such a base."
    each = sum(tuning[method] + rest for method in methods)
    total = len(config.seeds) * (each + base)
    return (
        f"How long: about {total / 3600:.2f} hours; a world's tunings took "
        f"{each:.0f} s with answers and shifts, and a base {base:.0f} s. What is done is reused."
    )


def _seconds(
    out: Path, config: LabStudyConfig
) -> tuple[dict[str, float], float | None, float | None]:
    """Mean seconds of finished tunings alike by method, of answers and shift, and of a base."""
    shape = with_size(base_configs(config)[0])
    bases = {str(folder / "model"): seconds for folder, seconds in _bases(out, shape).items()}
    by_method: dict[str, list[float]] = defaultdict(list)
    alike = set()
    for folder, one in _manifests(out, "tune"):
        asked = one["config"]["resolved"]
        same = (asked["epochs"], asked["batch_size"]) == (config.epochs, config.batch_size)
        if same and asked["base"] in bases:
            by_method[asked["method"]].append(float(one["seconds"]))
            alike.add(str(folder))
    rest = []
    for stage, key in (("respond", "model"), ("shift", "tuned")):
        found = [
            float(one["seconds"]) for _, one in _manifests(out, stage)
            if one["config"]["resolved"][key] in alike
        ]  # fmt: skip
        rest += [_mean(found)] if found else []
    return (
        {method: _mean(found) for method, found in by_method.items()},
        sum(rest) if len(rest) == 2 else None,
        _mean(list(bases.values())) if bases else None,
    )


def _bases(out: Path, shape: LabBaseConfig) -> dict[Path, float]:
    """Folder -> seconds of the finished bases of this shape."""
    return {
        folder: float(one["seconds"])
        for folder, one in _manifests(out, "lab-base")
        if all(one["config"]["resolved"][name] == getattr(shape, name) for name in _SHAPE)
    }


def _manifests(out: Path, stage: str) -> list[tuple[Path, Mapping[str, Any]]]:
    return [
        (path.parent, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(out.glob(f"{stage}-*/manifest.json"))
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
