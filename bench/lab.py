"""Five made worlds: labels of what rows caused, detectors against them, and the paper's claims.

Runs what OUT does not hold yet (hours on two cores; stop it at any moment and start it again), and
writes what was found and how long it took as JSON. Texts stay in the artefacts.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact, open_artefact
from measure import machine

ROOT = Path(__file__).parent.parent
LORA = Path(__file__).parent / "lab_lora.yaml"
_NOT_KEPT = {"artefacts", "tuned", "control", "name", "absent"}


def main() -> None:
    given = _arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    longer = dict(pair.split(":") for pair in given.longer.split(",") if pair)
    bases: dict[str, Artefact] = {}
    for seed in given.seeds.split(","):
        more = ["--epochs", longer[seed]] if seed in longer else []
        bases[seed] = _ran("base", ["--seed", seed, "--size", given.size, *more], given.out)
    labels = {
        seed: _ran("labels", ["--base", str(bases[seed].folder)], given.out)
        for seed in given.labels.split(",")
    }
    lora = {
        seed: _ran("labels", ["--base", str(bases[seed].folder), "--config", str(LORA)], given.out)
        for seed in labels
    }
    score = _ran("score", _named("--labels", labels), given.out)
    both = [*_named("--labels", labels), *_named("--labels", lora)]
    study = _ran("study", [*_named("--base", bases), *both], given.out)
    result = {
        "machine": machine(["torch", "transformers", "aftertune"]),
        "command": f"python bench/lab.py --seeds {given.seeds} --labels {given.labels}",
        "worlds": [
            {
                "world": int(seed),
                "base": _found(base),
                "labels": _found(labels[seed]) if seed in labels else None,
                "labels_lora": _found(lora[seed]) if seed in lora else None,
            }
            for seed, base in bases.items()
        ],
        "score": _found(score),
        "study": _found(study),
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _ran(command: str, options: Sequence[str], out: Path) -> Artefact:
    """The artefact of one `aftertune lab` command, which reuses what is finished."""
    line = [sys.executable, "-m", "aftertune", "lab", command, *options, "--out", str(out)]
    print(" ".join(["aftertune", *line[3:]]), file=sys.stderr, flush=True)
    done = subprocess.run([*line, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return open_artefact(Path(json.loads(done.stdout)["artefact"]))


def _named(option: str, made: Mapping[str, Artefact]) -> list[str]:
    return [part for one in made.values() for part in (option, str(one.folder))]


def _found(made: Artefact) -> dict[str, Any]:
    """What an artefact found, with the seconds that it took and its resolved settings."""
    about = {key: value for key, value in made.about.items() if key not in _NOT_KEPT}
    return {"id": made.id, "seconds": made.manifest["seconds"], "config": made.config, **about}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", default="0,1,2,3,4", help="of the worlds")
    parser.add_argument("--size", default="small")
    parser.add_argument("--labels", default="0,1,2,3,4", help="worlds that are labelled")
    parser.add_argument(
        "--longer",
        default="2:4.5,4:4.5",
        help="world:epochs, where the default leaves a base that recalls too little",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    parser.add_argument("--json", type=Path, default=ROOT / "bench/results/lab.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
