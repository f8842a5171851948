"""How fast are the answers to a question scored, beside lm-evaluation-harness on the same items?

Both score every choice of the same multiple-choice items with the same loaded model, from text to
log-probabilities, in one process and in turns. Ours includes choosing the way of scoring. The
harness runs as it is (its logits cache on, softmax in the model's dtype) at each of several batch
sizes, and its fastest counts. Few-shot examples either stand alike before every item, as a
benchmark's do, or are drawn for each, so that nothing but an item's own prompt can be shared.

    python bench/recall.py                      # all, about 20 minutes on 2 cores
    python bench/recall.py --items 8 --repeats 1 --batch-sizes 8    # does it run?
"""

import argparse
import importlib
import importlib.util
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aftertune.data.encode import encode
from aftertune.models.choices import Question, choose_way, score_answers
from aftertune.models.load import Loaded, load
from aftertune.progress import Silent
from aftertune.recall import posing
from aftertune.recall.asking import SCORED_TOKENS
from aftertune.recall.config import FactsConfig
from aftertune.recall.facts import Fact
from aftertune.recall.sources import read
from measure import child, forget_peak, machine, peak_mb, resident_mb

# name -> shots, and whether each item has its own examples
SETTINGS = {"0 shots": (0, False), "3 shots": (3, False), "3 shots, drawn for each": (3, True)}
DTYPES = ("float32", "bfloat16")
GOAL = {"float32": 1.5, "bfloat16": 2.0}
PACKAGES = ("torch", "transformers", "lm_eval")

Measured = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """A prompt and its choices, as text; the first is right. No space ends the prompt."""

    prompt: str
    choices: list[str]


def main() -> None:
    asked = _arguments()
    if asked.child:
        what = json.loads(asked.child)
        print(json.dumps((_memory if what["memory"] else _speed)(what)))
        return
    speed, memory = [], []
    for dtype in asked.dtypes:
        for setting in SETTINGS:
            what = _what(asked, dtype, setting)
            speed.append({"dtype": dtype, "setting": setting, **_run(what, asked.threads)})
            fastest = int(speed[-1]["harness_batch_size"])
            for way in ("ours", "harness"):
                one = what | {"memory": True, "way": way, "batch_sizes": [fastest]}
                memory.append({"dtype": dtype, "setting": setting, "way": way,
                               **_run(one, asked.threads)})  # fmt: skip
    result = {
        "machine": machine(PACKAGES), "model": asked.model, "threads": asked.threads,
        "clock": "processor time" if asked.threads == 1 else "wall time",
        "items": asked.items, "repeats": asked.repeats, "goal": GOAL,
        "speed": speed, "memory": memory,
    }  # fmt: skip
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    _show(result)


def _run(what: Measured, threads: int) -> Measured:
    return child(__file__, what, threads)


def _what(asked: argparse.Namespace, dtype: str, setting: str) -> Measured:
    shots, own = SETTINGS[setting]
    return {
        "model": asked.model, "dtype": dtype, "shots": shots, "own": own, "items": asked.items,
        "repeats": asked.repeats, "batch_sizes": asked.batch_sizes, "threads": asked.threads,
        "memory": False,
    }  # fmt: skip


def _items(n: int, shots: int, own: bool) -> list[Item]:
    facts = [fact for fact in read(FactsConfig(source="embedded:pocket")).facts if fact.distractors]
    shown, asked = facts[:shots], facts[shots : shots + n]
    return [
        Item(posing.text(fact, _drawn(facts, fact, shots) if own else shown),
             [fact.answer, *fact.distractors])
        for fact in asked
    ]  # fmt: skip


def _drawn(facts: Sequence[Fact], fact: Fact, shots: int) -> list[Fact]:
    others = [one for one in facts if one.id != fact.id]
    return random.Random(fact.id).sample(others, shots)


def _ours(loaded: Loaded, items: Sequence[Item]) -> list[list[float]]:
    questions = []
    for item in items:
        ids = encode(item.prompt, loaded.tokenizer, first=True)[0]
        wholes = [encode(f"{item.prompt} {one}", loaded.tokenizer, first=True)[0]
                  for one in item.choices]  # fmt: skip
        questions.append(Question(ids, [whole[len(ids) :] for whole in wholes]))
    way = choose_way(loaded, questions)
    if way.name != "tree":
        raise SystemExit(f"the tree was not used: {way.sentence()}")
    scores = score_answers(loaded, questions, max_tokens=SCORED_TOKENS, progress=Silent(), way=way)
    return [[one.logprob_nats for one in its] for its in scores]


def _harness(loaded: Loaded, items: Sequence[Item], batch_size: int) -> list[list[float]]:
    model = importlib.import_module("lm_eval.models.huggingface").HFLM(
        pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch_size
    )
    instance = importlib.import_module("lm_eval.api.instance").Instance
    pairs = [(item.prompt, f" {one}") for item in items for one in item.choices]
    asked = [instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]
    values = iter(model.loglikelihood(asked, disable_tqdm=True))
    return [[next(values)[0] for _ in item.choices] for item in items]


def _ways(
    what: Measured, loaded: Loaded, items: Sequence[Item]
) -> dict[str, Callable[[], list[list[float]]]]:
    """In the order in which they take turns."""
    ways: dict[str, Callable[[], list[list[float]]]] = {"ours": lambda: _ours(loaded, items)}
    for size in what["batch_sizes"]:
        ways[f"harness {size}"] = lambda size=size: _harness(loaded, items, size)  # type: ignore[misc]
    return ways


def _speed(what: Measured) -> Measured:
    torch.set_num_threads(what["threads"])
    clock = time.process_time if what["threads"] == 1 else time.perf_counter
    loaded = load(what["model"], dtype=what["dtype"])
    items = _items(what["items"], what["shots"], what["own"])
    ways = _ways(what, loaded, items)
    for run in _ways(what, loaded, items[:4]).values():
        run()  # the first pass of either is slower
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, list[list[float]]] = {}
    for _ in range(what["repeats"]):
        for name, run in ways.items():
            start = clock()
            values[name] = run()
            seconds[name].append(clock() - start)
    fastest = {name: min(its) for name, its in seconds.items()}
    theirs = min((name for name in ways if name != "ours"), key=fastest.__getitem__)
    per_second = {name: round(len(items) / value, 2) for name, value in fastest.items()}
    return {
        "n_items": len(items),
        "n_choices": sum(len(item.choices) for item in items),
        "items_per_second": per_second,
        "harness_batch_size": int(theirs.split()[-1]),
        "times_faster": round(fastest[theirs] / fastest["ours"], 2),
        "agreement": _agreement(values["ours"], values[theirs]),
        "all_seconds": {name: [round(x, 3) for x in its] for name, its in seconds.items()},
    }


def _agreement(ours: list[list[float]], theirs: list[list[float]]) -> Measured:
    same = sum(
        max(range(len(one)), key=one.__getitem__) == max(range(len(other)), key=other.__getitem__)
        for one, other in zip(ours, theirs, strict=True)
    )
    gaps = [abs(a - b) for one, other in zip(ours, theirs, strict=True)
            for a, b in zip(one, other, strict=True)]  # fmt: skip
    return {"items_alike": same, "of": len(ours), "largest_gap_nats": round(max(gaps), 5)}


def _memory(what: Measured) -> Measured:
    """Peak memory beyond the model, MB; and what the model takes."""
    torch.set_num_threads(what["threads"])
    before = resident_mb()
    loaded = load(what["model"], dtype=what["dtype"])
    items = _items(what["items"], what["shots"], what["own"])
    name = "ours" if what["way"] == "ours" else f"harness {what['batch_sizes'][0]}"
    _ways(what, loaded, items[:2])[name]()
    held = resident_mb()
    forget_peak()
    _ways(what, loaded, items)[name]()
    peak = peak_mb()
    if before is None or held is None or peak is None:
        return {"beyond_model_mb": None, "model_mb": None}
    return {"beyond_model_mb": round(peak - held), "model_mb": round(held - before)}


def _show(result: Measured) -> None:
    for one in result["speed"]:
        print(f"{one['dtype']}, {one['setting']}: {one['items_per_second']} items/s, "
              f"{one['times_faster']} times the harness; {one['agreement']}")  # fmt: skip
    for one in result["memory"]:
        print(f"{one['dtype']}, {one['setting']}, {one['way']}: {one['beyond_model_mb']} MB "
              "beyond the model")  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=3, help="the fastest one counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("bench/results/recall.json"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    if importlib.util.find_spec("lm_eval") is None:
        sys.exit('lm-eval is not installed; run `pip install "aftertune[lm-eval]"`.')
    main()
