"""Score the tracer in the lab, fit its ranking weights there, and see whether they carry over.

    python bench/trace_lab.py --lab DIR --out DIR --json bench/results/trace_lab.json

DIR holds `lab-labels-…` artefacts; what is made anew is kept in OUT, so a run that was stopped
goes on where it was. Parts: `pairs` (which row caused a wrong span; trace_lab_measures.py),
`splits` (error rates where half of the rows were held out; trace_lab_splits.py), `real` (the same
weights on the development cases of trace_cases.json, which are made of real rows). `--write` puts
the weights that were fitted on all worlds into the package.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import trace_lab_measures as m
import trace_lab_rates as rates
from aftertune.artefact import Artefact, open_artefact
from aftertune.lab.trace_detector import OF_SPAN
from aftertune.progress import Silent
from aftertune.search.index import RowIndex
from aftertune.trace import weights as weights_module
from aftertune.trace.finder import Answer, Finder, Settings
from aftertune.trace.influenced import BEST_SPANS, OF_HALVES
from aftertune.trace.rank import by_ranks
from aftertune.trace.weights import MODELS, TEXT
from measure import machine
from trace_lab_halves import TUNINGS, by_halves, with_halves
from trace_lab_pairs import BASELINES, INFLUENCE, keep, spans_of_world
from trace_lab_rates import Units
from trace_lab_splits import split
from trace_quality import ABSENT, read_cases, rows_of

ROOT = Path(__file__).parent.parent
CASES = ROOT / "bench" / "trace_cases.json"
DATA = ROOT.parent / "shared" / "data"
LISTED = 20  # rows of a span of a real answer
KINDS = {"text": TEXT, "tokens": (*TEXT, "row_loss"), "influence": MODELS}
SPAN_KINDS = {
    "text": ("concept", "nearness", "span_rarity"),
    "tokens": ("concept", "nearness", "span_rarity", *OF_SPAN),
    "influence": ("concept", "span_rarity", *OF_SPAN, INFLUENCE),
}
# What a winner is ordered by among the winners of its split.
OF_WINNER = ("concept", "span_rarity", "shift_nats", "base_surprise", INFLUENCE)

Record = dict[str, Any]


def of_pairs(worlds: dict[int, list[Record]]) -> Record:
    """Every number about pairs of span and row, and spans that no row caused apart."""
    baselines = {
        name: m.table(worlds, lambda world, of=name: m.named(worlds[world], of))
        for name in BASELINES
    }
    ceiling = m.table(worlds, lambda world: m.named(worlds[world], m.CEILING))
    best = {
        name: max(baselines.values(), key=lambda one: np.mean(one[name]))[name]
        for name in m.MEASURES
    }
    present = m.present(worlds)
    found: Record = {
        "worlds": [_counts(world, spans) for world, spans in worlds.items()],
        "baselines": {name: m.intervals(one) for name, one in baselines.items()},
        "best_baseline": m.intervals(best),
        "ceiling": m.intervals(ceiling),
        "present": {**m.intervals(present), "against": m.compared(present, best, ceiling)},
        "fitted": {},
    }
    for name, kinds in KINDS.items():
        values = m.left_out(worlds, kinds)
        families = sorted({one["family"] for spans in worlds.values() for one in spans})
        found["fitted"][name] = {
            **m.intervals(values),
            "against": m.compared(values, best, ceiling),
            "weights": m.weights_from(list(worlds.values()), kinds),
            "spans_apart": m.intervals(m.spans_apart(worlds, SPAN_KINDS[name])),
            "span_weights": m.span_weights(list(worlds.values()), SPAN_KINDS[name]),
            "family_left_out": {
                family: m.intervals(m.left_out(worlds, kinds, family)) for family in families
            },
        }
    found["ablation"] = m.ablation(worlds, KINDS["influence"])
    return found


def _counts(world: int, spans: Sequence[Record]) -> Record:
    its = m.caused(spans)
    return {
        "world": world,
        "caused": sum(one["label"] == "caused" for one in spans),
        "not_caused": sum(one["label"] == "not caused" for one in spans),
        "pairs": sum(len(one["rows"]) for one in its),
        "causal_pairs": sum(len(set(one["rows"]) & set(one["causal"])) for one in its),
        "not_retrieved": sum(len(set(one["causal"]) - set(one["rows"])) for one in its),
    }


def of_splits(
    splits: Sequence[Record], worlds: dict[int, list[Record]]
) -> dict[str, dict[str, Record]]:
    """Scores -> units -> rates. Weights are fitted on the labels of all worlds but the split's."""
    found: dict[str, dict[str, Record]] = {}
    for name in ("trace", "influence", *(f"halves_{n}" for n in TUNINGS)):
        made: dict[Units, list[Record]] = {"spans": [], "clusters": []}
        for one in splits:
            others = [spans for world, spans in worlds.items() if world != one["world"]]
            rows = spans = None
            best = 1
            if name == "influence":
                rows = m.weights_from(others, KINDS[name])
                spans = m.span_weights(others, OF_WINNER)
            elif name != "trace":
                one = by_halves(one, int(name.rpartition("_")[2]))
                rows, spans, best = {INFLUENCE: 1.0}, OF_HALVES, BEST_SPANS
            won = rates.winners(one, rows, spans)
            for units, of in made.items():
                of.append(rates.of_split(one, won, units, best=best))
        found[name] = {units: rates.over_splits(of) for units, of in made.items()}
    return found


def on_real_rows(kinds: Sequence[str], weights: dict[str, float]) -> Record:
    """The weights of `trace` and those of the lab on the development cases of real rows, text only
    and without embeddings: share of cases with the true row first, and among five."""
    cases = [one for one in read_cases(CASES, DATA) if one.split == "fit"]
    indexes = {name: RowIndex.build(rows_of(name, DATA)) for name in {one.set for one in cases}}
    found: dict[str, list[int]] = {"trace": [], "lab": []}
    for case in cases:
        finder = Finder(indexes[case.set], Settings(top_k=LISTED, embeddings=False))
        listed = finder.trace(Answer(case.id, case.instruction, case.answer))
        evidence = {kind: np.array([one.evidence[kind] or 0.0 for one in listed]) for kind in kinds}
        order = np.argsort(-by_ranks(evidence, weights), kind="stable").tolist()
        for name, places in (("trace", range(len(listed))), ("lab", order)):
            rows = list(dict.fromkeys(listed[place].row_index for place in places))
            ranks = [rows.index(row) + 1 for row in case.rows if row in rows]
            found[name].append(min(ranks, default=ABSENT))
    return {
        name: {"n": len(of), **{f"top_{k}": float(np.mean(np.array(of) <= k)) for k in m.TOP}}
        for name, of in found.items()
    }


def write_weights(found: Record, command: str) -> None:
    """The weights of all worlds, into the package."""
    fitted = found["fitted"]
    weights = {name: _rounded(one["weights"]) for name, one in fitted.items()}
    weights |= {f"{name}_spans": _rounded(one["span_weights"]) for name, one in fitted.items()}
    source = {"command": command, "worlds": found["worlds"], "ridge": weights_module.RIDGE}
    place = Path(weights_module.__file__).with_name(weights_module.FILE)
    keep(place, {"from": source, "weights": weights})


def _rounded(weights: dict[str, float]) -> dict[str, float]:
    return {kind: round(value, 3) for kind, value in weights.items()}


def main() -> None:
    given = _arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    result: Record = json.loads(given.json.read_text()) if given.json.exists() else {}
    result |= {"machine": machine(["torch", "transformers", "aftertune"])}
    labels = [open_artefact(given.lab / name, verify=False) for name in given.labels.split(",")]
    worlds = {int(one.about["world"]): one for one in labels}
    if worlds:
        spans = {
            world: spans_of_world(one, given.out, Silent()) for world, one in sorted(worlds.items())
        }
        result["pairs"] = of_pairs(spans)
        if given.write:
            write_weights(result["pairs"], "python bench/trace_lab.py --write")
        keep(given.json, result)
        if "splits" in given.parts:
            made = [
                {"base": base,
                 **split(open_artefact(given.lab / base, verify=False), seed, given.out, Silent())}
                for seed in range(given.seeds) for base in _bases(labels)
            ]  # fmt: skip
            for base in _bases(labels):
                its = [one for one in made if one["base"] == base]
                with_halves(open_artefact(given.lab / base, verify=False), its, given.out, Silent())
            result["splits"] = of_splits(made, spans)
        if "real" in given.parts:
            fitted = result["pairs"]["fitted"]["text"]["weights"]
            result["real"] = on_real_rows(TEXT, fitted)
    keep(given.json, result)


def _bases(labels: Sequence[Artefact]) -> list[str]:
    return [
        one["id"] for label in labels for one in label.manifest["inputs"] if one["name"] == "base"
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lab", type=Path, default=ROOT / "out", help="where the labels stand")
    parser.add_argument("--labels", required=True, help="names of lab-labels-… folders, by comma")
    parser.add_argument("--parts", default="pairs,splits,real")
    parser.add_argument("--seeds", type=int, default=5, help="splits of each world")
    parser.add_argument("--write", action="store_true", help="put the weights into the package")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    parser.add_argument("--json", type=Path, default=ROOT / "bench/results/trace_lab.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
