"""Are p and q of `trace` right where nothing was borrowed?

    python bench/trace_null.py --out DIR --json bench/results/trace_null.json

DIR holds tunings with `--hold-out` that were answered and measured, such as those of
`trace_lab.py --parts splits`. Their answers are traced among the held-out rows B alone, which no
model saw, once and blind. Then the clusters of B fall at random into two halves, many times: one
half is called the rows, the other held out. No row caused a span, so all that is found is chance:

    P(p <= a) <= a                  p is super-uniform: over spans, and over the rows' best spans
    P(some q <= 0.10) <= 0.10       where nothing is there, the false discovery rate is that
    P(wins "beyond chance") <= 0.025    one side of a 95% interval

Scores: those of the text and the shift ("text"), and, where OUT holds `trace-lab-split-….json` of
the tuning, those of `--influence-base` ("influence"), of the rows of B that were found beside A.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aftertune.artefact import MANIFEST, Artefact, open_artefact, write_durably
from aftertune.config import build
from aftertune.lab.over_worlds import t_interval
from aftertune.progress import Silent
from aftertune.schema import EVIDENCE
from aftertune.stats.bounds import share as exact
from aftertune.trace import pool as pools
from aftertune.trace import run as trace_stage
from aftertune.trace.config import TraceConfig
from aftertune.trace.controls import BEYOND
from aftertune.trace.indexed import finder_of
from aftertune.trace.influenced import COLUMN, MOST, WEIGHT, rescored
from aftertune.trace.materials import Asked
from aftertune.trace.pool import HELD_OUT, Pooled
from aftertune.trace.winners import (
    Span,
    contest,
    error_rates,
    row_error_rates,
    spans_of,
    versus_control,
)
from measure import machine

ROOT = Path(__file__).parent.parent
LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
Q = 0.10
ONE_SIDE = 0.025  # of a 95% interval
PARTS = {"span found": Q, "row found": Q, "wins beyond chance": ONE_SIDE, "any of these": Q}
CHECKED = 40  # answers of a split that are searched again, with the halves known

Record = dict[str, Any]
Won = Mapping[Span, Record]  # span -> the row of B that explains it best


def halves(clusters: Sequence[str], draws: int, seed: str) -> list[frozenset[str]]:
    """Of each draw the clusters that are called held out: half of them, rounded down."""
    names, generator = sorted(set(clusters)), random.Random(seed)
    return [frozenset(generator.sample(names, len(names) // 2)) for _ in range(draws)]


def of_draw(won: Won, held: frozenset[str], share: float) -> Record:
    """{p (of spans), p_of_rows (of the best span of each cluster), and each of PARTS} of one draw.

    held: clusters that are called held out; share: theirs of all clusters.
    """
    spans: dict[Span, list[Record]] = {
        key: [{**one, "control": HELD_OUT if one["cluster_id"] in held else None,
               "p_value": None, "q_value": None}]
        for key, one in won.items()
    }  # fmt: skip
    best: dict[str, float] = {}
    p_values = []
    for key, p, q in error_rates(spans, share):
        first = spans[key][0]
        first |= {"p_value": p, "q_value": q}
        p_values.append(p)
        best[first["cluster_id"]] = min(p, best.get(first["cluster_id"], 1.0))
    found = {
        "span found": any(of[0]["q_value"] is not None and of[0]["q_value"] <= Q
                          for of in spans.values()),
        "row found": any(q <= Q for q in row_error_rates(spans, share).values()),
        "wins beyond chance":
            versus_control(spans, HELD_OUT, 1 - share)["conclusion"] == BEYOND,
    }  # fmt: skip
    return {
        "p": p_values,
        "p_of_rows": list(best.values()),
        **found,
        "any of these": any(found.values()),
    }


def of_split(won: Won, clusters: Sequence[str], draws: int, seed: str) -> Record:
    """{n_spans, n_draws, most_of_a_cluster, p, p_of_rows (per level, the mean over draws of the
    share of p at or below it; None without any), and how many draws hold each of PARTS}."""
    names = set(clusters)
    drawn = [of_draw(won, held, len(held) / len(names)) for held in halves(clusters, draws, seed)]
    wins = [one["cluster_id"] for one in won.values()]
    return {
        "n_spans": len(won),
        "n_clusters": len(names),
        "n_clusters_that_win": len(set(wins)),
        "most_of_a_cluster": max(map(wins.count, set(wins)), default=0),
        "n_draws": draws,
        **{name: _shares([one[name] for one in drawn]) for name in ("p", "p_of_rows")},
        **{part: sum(one[part] for one in drawn) for part in PARTS},
    }


def _shares(of_draws: Sequence[Sequence[float]]) -> list[float | None]:
    known = [np.asarray(p) for p in of_draws if len(p)]
    return [
        float(np.mean([(p <= level).mean() for p in known])) if known else None for level in LEVELS
    ]


def over_worlds(splits: Sequence[Record]) -> Record:
    """Means over the worlds' means, with t intervals over worlds, beside what is allowed."""
    worlds = sorted({one["world"] for one in splits})
    by_world = [[one for one in splits if one["world"] == world] for world in worlds]
    found: Record = {"n_splits": len(splits), "n_worlds": len(worlds)}
    for name in ("p", "p_of_rows"):
        found[name] = {
            f"{level:g}": _beside([_mean([one[name][at] for one in of]) for of in by_world], level)
            for at, level in enumerate(LEVELS)
        }
    for part, level in PARTS.items():
        means = [_mean([one[part] / one["n_draws"] for one in of]) for of in by_world]
        hits, n = (sum(one[name] for one in splits) for name in (part, "n_draws"))
        over_draws = exact(hits, n)
        found[part] = {**_beside(means, level, over_draws["high"]), "over_draws": over_draws}
    return found


def _mean(values: Sequence[float | None]) -> float:
    known = [one for one in values if one is not None]
    return float(np.mean(known)) if known else float("nan")


def _beside(means: Sequence[float], level: float, also: float | None = None) -> Record:
    """The mean of worlds, its interval, the worst world, and whether it is above what is allowed:
    "held" and "broken" where the whole interval is on one side, else "undecided".

    also: the upper end of another interval, which must be within what is allowed, too: over worlds
    that are all alike a t interval has no width.
    """
    of = t_interval(np.array(means), (0.0, 1.0))
    said = "undecided"
    if of.low is not None and of.high is not None:
        high = max(of.high, also or 0.0)
        said = "held" if high <= level else "broken" if of.low > level else "undecided"
    known = [one for one in means if np.isfinite(one)]
    return {
        "allowed": level, **{part: getattr(of, part) for part in ("estimate", "low", "high")},
        "worst_world": max(known, default=None), "conclusion": said,
    }  # fmt: skip


@dataclass(frozen=True)
class Split:
    """A tuning with rows held out, its answers, their shift and its rows."""

    tune: Artefact
    responses: Artefact
    shift: Artefact
    rows: Artefact

    @property
    def world(self) -> str:
        """Tunings of one base share their luck."""
        return next(one["id"] for one in self.tune.manifest["inputs"] if one["name"] == "base")


def splits_in(out: Path) -> Iterator[Split]:
    """Tunings with rows held out and no other weights, that were answered and measured in OUT."""
    made = {
        stage: [open_artefact(path.parent, verify=False)
                for path in sorted(out.glob(f"{stage}-*/{MANIFEST}"))]
        for stage in ("tune", "respond", "shift", "rows")
    }  # fmt: skip
    rows = {one.id: one for one in made["rows"]}
    shift = {_input(one, "responses"): one for one in made["shift"]}
    answers = {str(Path(one.config["model"]).parent.name): one for one in made["respond"]}
    for tune in made["tune"]:
        said = answers.get(tune.id)
        if tune.config["hold_out"] and not tune.config["weights"] and said and said.id in shift:
            yield Split(tune, said, shift[said.id], rows[_input(tune, "rows")])


def _input(one: Artefact, name: str) -> str:
    return str(next(given["id"] for given in one.manifest["inputs"] if given["name"] == name))


def held_out(split: Split) -> list[Pooled]:
    """B, in the order in which it is searched."""
    table = split.rows.table("rows").to_pylist()
    pool, _ = pools.split_rows(table, split.tune.table("split").to_pylist())
    return pools.ordered(row for row in pool if row.control == HELD_OUT)


def by_text(split: Split, pool: Sequence[Pooled], limit: int | None) -> dict[Span, Record]:
    """The best row of the pool for each span, of either side, found as `trace` does."""
    config = build(TraceConfig, {"embeddings": False, "top": 1})
    columns = ["response_id", "messages", "response"]
    said = split.responses.table("responses").select(columns).to_pylist()[:limit]
    asked: list[Asked] = [(one, [None]) for one in said]
    with Silent().task("", 1) as task:
        found = trace_stage._part(
            config,
            finder_of(config, pool, Silent()),
            asked,
            split.shift,
            pool,
            Silent(),
            task,
        )
    return _best({key: [one] for key, one in contest(spans_of(found), HELD_OUT).items()})


def is_blind(split: Split, pool: Sequence[Pooled], won: Won, held: frozenset[str]) -> bool:
    """Whether a search that knows the halves finds the same winners, in the first answers."""
    halved = [
        replace(row, control=HELD_OUT if row.cluster_id in held else None) for row in pool
    ]  # fmt: skip
    again = by_text(split, halved, CHECKED)
    wanted = {key[0] for key in again}
    return again == {key: one for key, one in won.items() if key[0] in wanted}


def by_influence(split: Split, out: Path) -> dict[Span, Record] | None:
    """The same by the scores of `--influence-base`, of the rows of B that were found beside A; None
    where they were not kept."""
    base = Path(split.tune.config["base"]).parent.name
    kept = out / f"trace-lab-split-{base}-{split.tune.config['hold_out_seed']}.json"
    if not kept.exists():
        return None
    spans = {}
    for one in json.loads(kept.read_text(encoding="utf-8"))["spans"]:
        if of := _of_held(one):
            spans[one["response"], one["start"], one["end"]] = of
    return _best(rescored(spans))


def _of_held(span: Record) -> list[Record]:
    """The first rows of B of a span, as `influenced.rescored` takes them."""
    places = [place for place, held in enumerate(span["held"]) if held][:MOST]
    return [
        {
            **{kind: span["evidence"][kind][at] if kind in span["evidence"] else None
               for kind in EVIDENCE},
            "shift_nats": span["shift_nats"], "base_logprob": -span["base_surprise"],
            COLUMN: span[WEIGHT][at], "cluster_id": span["clusters"][at],
            "row_index": span["rows"][at],
        }
        for at in places
    ]  # fmt: skip


def _best(spans: Mapping[Span, Sequence[Record]]) -> dict[Span, Record]:
    wanted = ("score", "cluster_id", "row_index")
    return {key: {name: of[0][name] for name in wanted} for key, of in spans.items()}


def searched(split: Split, draws: str, out: Path) -> Record:
    """{clusters (of B), blind (see `is_blind`), scores: name -> winners}; kept in OUT.

    draws: names the halvings, of which the first is searched again.
    """
    kept = out / f"trace-null-{split.tune.id}-{trace_stage.VERSION}.json"
    if not kept.exists():
        pool = held_out(split)
        clusters = [row.cluster_id for row in pool]
        text, influence = by_text(split, pool, None), by_influence(split, out)
        blind = is_blind(split, pool, text, halves(clusters, 1, draws)[0])
        known = {"text": text} | ({} if influence is None else {"influence": influence})
        scores = {name: [[*key, one] for key, one in won.items()] for name, won in known.items()}
        _keep(kept, {"clusters": clusters, "blind": blind, "scores": scores})
    found: Record = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _keep(path: Path, value: Any) -> None:
    """Whole or not at all."""
    text = json.dumps(value, indent=1) + "\n"
    write_durably(path, lambda place: place.write_text(text, encoding="utf-8"))


def main() -> None:
    given = _arguments()
    made: dict[str, list[Record]] = {}
    for split in splits_in(given.out):
        since, draws = time.monotonic(), f"{split.tune.id} {given.seed}"
        found = searched(split, draws, given.out)
        for name, winners in found["scores"].items():
            won = {(response, start, end): one for response, start, end, one in winners}
            one = {
                "world": split.world, "seed": split.tune.config["hold_out_seed"],
                "kept_together": split.tune.config.get("hold_out_by", "near-duplicates"),
                "blind": found["blind"],
                **of_split(won, found["clusters"], given.draws, draws),
            }  # fmt: skip
            made.setdefault(name, []).append(one)
            print(name, json.dumps(one), f"{time.monotonic() - since:.0f} s", flush=True)
    result = {
        "machine": machine(["aftertune"]),
        "levels": LEVELS,
        "scores": {name: {**over_worlds(of), "splits": of} for name, of in made.items()},
    }
    _keep(given.json, result)
    for name, of in result["scores"].items():
        print(name, json.dumps({key: value for key, value in of.items() if key != "splits"}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="where the tunings stand")
    parser.add_argument("--draws", type=int, default=100, help="halvings of each B")
    parser.add_argument("--seed", type=int, default=0, help="of the halvings")
    parser.add_argument("--json", type=Path, default=ROOT / "bench/results/trace_null.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
