"""`control-harness`: the harness's items answered by base and tuned, paired; table
`harness_items`.

Loads no model: the items come from artefacts of the stage `harness` or from sample files that
lm-eval wrote, so that another metric or filter asks no model again.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import MANIFEST, Artefact, Input, Plan, hash_file, hash_json, open_artefact
from aftertune.errors import InputError
from aftertune.progress import Progress
from aftertune.recall.harness import Item, asked_alike, items, pairs, task_of
from aftertune.recall.harness_config import HarnessPairsConfig
from aftertune.recall.paired import Pair, by_tag, compare

VERSION = 1
SHOWN = 20  # lost and gained items that are kept as examples
_FILE = "samples.jsonl"


def run(
    config: HarnessPairsConfig,
    base: Path,
    tuned: Mapping[str, Path],
    out: Path,
    progress: Progress,
) -> Artefact:
    """Pair the items of `base` with those of each model of `tuned`, by name.

    A place is a `harness-…` artefact, a samples file, or a folder of them. Raises InputError for a
    place without items, and for models that were asked different items.
    """
    places = {"base": base, **{f"tuned {name}": place for name, place in tuned.items()}}
    files = {name: sample_files(place) for name, place in places.items()}
    inputs = tuple(_input(name, places[name], paths) for name, paths in files.items())
    resolved = config.resolve(names=tuple(tuned))
    plan = Plan("control-harness", VERSION, config.given(), resolved, inputs)
    if found := artefact.find(out, plan):
        return found
    of_base = read(files["base"], config.metric, config.filter)
    models: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for name in tuned:
        of_tuned = read(files[f"tuned {name}"], config.metric, config.filter)
        paired, aside = pairs(of_base, of_tuned)
        if not paired:
            raise InputError(
                f"base and {name} share no item that is right or wrong; run both on the same tasks."
            )
        models[name] = _found(config, paired, aside, of_base, of_tuned)
        rows += _rows(name, paired, of_base, of_tuned)
        if not models[name]["asked_alike"]:
            progress.warn(f"base and {name} read different prompts for some of the same items")
    about = {"control": "harness", "names": list(tuned), "found": {"models": models}, "absent": {}}
    counts = {"done": len(rows), "skipped": {n: m["aside"] for n, m in models.items()},
              "unscored": {}}  # fmt: skip
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"harness_items": schema.from_rows("harness_items", rows)})
        return draft.finish(counts, about)


def sample_files(place: Path) -> list[Path]:
    """The sample files of an artefact or a folder (the newest of each task), or the file itself."""
    if (place / MANIFEST).exists():
        folder = open_artefact(place).folder
        if (folder / _FILE).exists():
            return [folder / _FILE]
        raise InputError(f"{place} holds no items of lm-eval; give a harness-… artefact.")
    if place.is_dir():
        found = sorted(place.rglob("samples_*.jsonl"), key=lambda path: path.name)  # by date
        if len({path.parent for path in found}) > 1:
            raise InputError(f"{place} holds samples in several folders; name the one of a model.")
        if found:
            return sorted({task_of(path.name): path for path in found}.values())
        raise InputError(f"{place} has no samples_….jsonl; run lm-eval with --log_samples.")
    if place.is_file():
        return [place]
    raise InputError(f"there is no file {place}; check the path of the samples.")


def read(paths: Sequence[Path], metric: str | None, filter_name: str | None) -> list[Item]:
    """The items of all tasks in these files; raises InputError for a line that is no item."""
    logged: dict[str, list[Any]] = defaultdict(list)
    for path in paths:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise InputError(
                        f"line {number} of {path} is not JSON; give a samples file that lm-eval "
                        "wrote with --log_samples."
                    ) from error
                named = record.get("task") if isinstance(record, dict) else None
                logged[str(named or task_of(path.name))].append(record)
    return [one for task, its in logged.items() for one in items(its, task, metric, filter_name)]


def _found(
    config: HarnessPairsConfig,
    paired: Sequence[Pair],
    aside: Mapping[str, int],
    base: Sequence[Item],
    tuned: Sequence[Item],
) -> dict[str, Any]:
    questions = {f"{one.task}/{one.item}": one for one in base}
    answers = {f"{one.task}/{one.item}": one.said for one in tuned}
    examples = {
        outcome: [
            {
                "item": one.item,
                "question": questions[one.item].question,
                "expected": questions[one.item].expected,
                "base": questions[one.item].said,
                "tuned": answers[one.item],
            }
            for one in [pair for pair in paired if pair.outcome == outcome][:SHOWN]
        ]
        for outcome in ("lost", "gained")
    }
    return {
        "compared": compare(paired, config.seed, config.margin),
        "by_tag": by_tag(paired, config.seed, config.margin),
        "metrics": {one.task: one.metric for one in base},
        "aside": dict(aside),
        "asked_alike": asked_alike(base, tuned),
        "examples": examples,
    }


def _rows(
    name: str, paired: Sequence[Pair], base: Sequence[Item], tuned: Sequence[Item]
) -> list[dict[str, Any]]:
    of_base = {f"{one.task}/{one.item}": one for one in base}
    of_tuned = {f"{one.task}/{one.item}": one for one in tuned}
    return [
        {
            "model": name,
            "task": of_base[pair.item].task,
            "item_id": of_base[pair.item].item,
            "metric": of_base[pair.item].metric,
            "base_correct": pair.base,
            "tuned_correct": pair.tuned,
            "outcome": pair.outcome,
            "base_logprobs": _listed(of_base[pair.item]),
            "tuned_logprobs": _listed(of_tuned[pair.item]),
            "question": of_base[pair.item].question,
        }
        for pair in paired
    ]


def _listed(one: Item) -> list[float] | None:
    return None if one.logprobs is None else list(one.logprobs)


def _input(name: str, place: Path, paths: Sequence[Path]) -> Input:
    if (place / MANIFEST).exists():
        return open_artefact(place, verify=False).as_input(name)
    content = hash_json([hash_file(path) for path in paths])
    return Input(name, content, content, str(place))
