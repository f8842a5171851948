"""Does the risk of a row say, before any tuning, which rows will cause wrong statements?

Labelled made worlds: a row is positive where tuning again without it says that it caused a wrong
statement. AUROC of risk, novelty, density and length alone in each world, with intervals over
worlds. The definition of risk was settled on worlds 0, 1 and 3; the others are unseen. Nothing is
fitted.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.artefact import Artefact, open_artefact
from aftertune.lab import base as lab_base
from aftertune.lab.over_worlds import RATE, UNBOUNDED, t_interval
from aftertune.lab.score import auroc
from aftertune.progress import Silent
from aftertune.search.index import row_answer
from aftertune.trace import risk_run
from aftertune.trace.risk_config import RiskConfig
from measure import machine

ROOT = Path(__file__).parent.parent
SETTLED_ON = (0, 1, 3)
WAYS = ("risk", "novelty", "density", "length", "shortness")

Floats = npt.NDArray[np.float64]


def main() -> None:
    given = _arguments()
    worlds = []
    with TemporaryDirectory() as scratch:
        for folder in given.labels:
            worlds.append(_world(open_artefact(folder, verify=False), Path(scratch)))
            print(json.dumps(worlds[-1]), flush=True)
    unseen = [one for one in worlds if one["world"] not in SETTLED_ON]
    result = {
        "machine": machine(["torch", "transformers", "aftertune"]),
        "worlds": worlds,
        "all_worlds": _over(worlds),
        "unseen_worlds": _over(unseen),
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({part: result[part] for part in ("all_worlds", "unseen_worlds")}, indent=1))


def _world(labels: Artefact, out: Path) -> dict[str, Any]:
    """AUROC of each way in one world."""
    made, beside = labels.about["artefacts"], labels.folder.resolve().parent
    (base,) = (one["id"] for one in labels.manifest["inputs"] if one["name"] == "base")
    rows = open_artefact(beside / made["rows"], verify=False)
    tuned = open_artefact(beside / made["tuned"], verify=False)
    config = RiskConfig(
        base=str(lab_base.model_folder(open_artefact(beside / base, verify=False))),
        template=str(tuned.folder / "template.jinja"),
        max_length=tuned.config["max_length"],
        dtype="float32",
    )
    found = risk_run.run(config, rows, out, Silent()).table("row_risk").to_pylist()
    answers = [row_answer(row["messages"]) for row in rows.table("rows").to_pylist()]
    table = labels.table("lab_labels").to_pylist()
    caused = [one for one in table if one["status"] == "wrong" and one["label"] == "caused"]
    to_blame = {row for one in caused for row in one["rows"]}
    again = [row for one in caused for row in one["rows_b"] or ()]
    positive = np.array([one["row_index"] in to_blame for one in found])
    scores = {
        "risk": [one["risk"] or 0.0 for one in found],
        "novelty": [one["novelty_nats"] or 0.0 for one in found],
        "density": [float(one["density"]) for one in found],
        "length": [float(len(answer.split())) for answer in answers],
        "shortness": [-float(len(answer.split())) for answer in answers],
        "labels_again": [float(again.count(one["row_index"])) for one in found],
    }
    return {
        "world": labels.about["world"],
        "n_rows": len(found),
        "n_caused": int(positive.sum()),
        "auroc": {name: float(auroc(positive, np.array(of))) for name, of in scores.items()},
    }


def _over(worlds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over worlds, and what risk has over each other way, paired within worlds."""

    def values(way: str) -> Floats:
        return np.array([one["auroc"][way] for one in worlds], np.float64)

    return {
        "worlds": [one["world"] for one in worlds],
        "auroc": {
            way: t_interval(values(way), RATE).as_json() for way in (*WAYS, "labels_again")
        },
        "risk_minus": {
            way: t_interval(values("risk") - values(way), UNBOUNDED).as_json() for way in WAYS[1:]
        },
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("labels", type=Path, nargs="+", help="lab-labels-… artefacts, one a world")
    parser.add_argument("--json", type=Path, default=ROOT / "bench/results/risk.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
