"""Shift speed and memory: the limit, the plain way, token by token, and ours, in one run.

    python bench/shift.py --out bench/results/shift.json
    python bench/shift.py --shape layers=2,hidden=512,heads=8,vocab=151936 --lengths 512

What is compared is in `shift_ways.py`. All ways of a setting take the bodies in its dtype and
logits in float32, as aftertune does: of a bfloat16 head, products of bfloat16 numbers summed up in
float32. Only one pass per token takes the model's own logits.

A setting is timed in one process, the ways taking turns, and the fastest of its repeats counts;
peak memory is measured in a process for each way, beyond the models and what a first short pass
leaves behind. Where other programs run, use `--threads 1`: then the process's own time counts,
which does not include waiting for a processor.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import shift_ways
from aftertune.artefact import write_durably
from measure import child, forget_peak, machine, peak_mb, resident_mb
from shift_ways import Work

PACKAGES = ("torch", "transformers", "peft")
PROMPT = 100  # tokens
POSITIONS = 1024  # about so many response positions in one batch
AT_300 = 300  # response tokens at which one pass per token is measured
MAIN_LENGTH = 512  # where the other settings are measured
LARGE = {"layers": 2, "hidden": 512, "heads": 8, "vocab": 151_936}
SETTINGS: dict[str, dict[str, Any]] = {
    "bfloat16": {"pair": "full", "dtype": "bfloat16"},
    "bfloat16, LoRA": {"pair": "lora", "dtype": "bfloat16"},
    "float32": {"pair": "full", "dtype": "float32"},
    "float32, LoRA": {"pair": "lora", "dtype": "float32"},
}
MAIN = "bfloat16"
RIVALS = ("kl_rank", "columns", "one_by_one")
ONCE = (*RIVALS, "bodies")  # far enough from ours that once is enough
Measured = dict[str, Any]


def main() -> None:
    """Measure what was asked for and write one JSON file."""
    asked = _arguments()
    if asked.child:
        what = json.loads(asked.child)
        print(json.dumps(_memory(what) if what["memory"] else _speed(what)))
        return
    began = time.perf_counter()
    result = {
        "what": "shift: bare passes, the plain way, token by token, ours",
        "model": asked.model, "shape": asked.shape, "prompt_tokens": PROMPT,
        "threads": asked.threads, "clock": _clock(asked.threads), **machine(PACKAGES),
        "settings": SETTINGS,
        "speed": _all_speeds(asked),
        "one_by_one": _one_by_one(asked),
        "memory": _all_memory(asked),
    }  # fmt: skip
    result["seconds"] = round(time.perf_counter() - began)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(asked.out, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    _show(result)
    print(f"written: {asked.out}")


def _all_speeds(asked: argparse.Namespace) -> list[Measured]:
    """The main setting at every length, the others at one."""
    found = []
    for name in asked.settings:
        lengths = asked.lengths if name == MAIN else [_main_length(asked)]
        for length in lengths:
            ways = ["limit", "ours"]
            if SETTINGS[name]["pair"] == "full":
                ways += ["kl_rank", "columns"]
            if length == _main_length(asked):
                ways += ["bodies", "compiled"] if asked.compiled else ["bodies"]
            repeats = asked.repeats if name == MAIN else min(2, asked.repeats)
            what = _what(asked, name, length, ways=ways, repeats=repeats)
            measured = child(__file__, what, asked.threads)
            found.append({"setting": name, "length": length, **measured})
    return found


def _one_by_one(asked: argparse.Namespace) -> Measured | None:
    if asked.quick:
        return None
    ways = ["ours", "one_by_one"]
    what = _what(asked, MAIN, AT_300, ways=ways, repeats=asked.repeats)
    return child(__file__, what, asked.threads)


def _all_memory(asked: argparse.Namespace) -> list[Measured]:
    """The main setting at every length; LoRA, which holds one model; a large vocabulary."""
    ways = ("ours",) if asked.quick else ("ours", "limit", "kl_rank", "columns")
    wanted = [(MAIN, length, way, asked.shape) for length in asked.lengths for way in ways]
    wanted.append(("float32", asked.lengths[-1], "ours", asked.shape))
    wanted.append(("bfloat16, LoRA", _main_length(asked), "ours", asked.shape))
    if not asked.shape:
        wanted += [("float32", MAIN_LENGTH, "ours", LARGE)]
    found = []
    for name, length, way, shape in wanted:
        what = _what(asked, name, length, ways=[way], memory=True) | {"shape": shape}
        measured = child(__file__, what, asked.threads)
        found.append({"setting": name, "length": length, "way": way, "shape": shape, **measured})
    return found


def _main_length(asked: argparse.Namespace) -> int:
    return MAIN_LENGTH if MAIN_LENGTH in asked.lengths else int(asked.lengths[0])


def _what(asked: argparse.Namespace, setting: str, length: int, **more: Any) -> dict[str, Any]:
    """All that a child needs to know."""
    return {
        "model": asked.model, "shape": asked.shape, "prompt": PROMPT, "length": length,
        "responses": max(1, POSITIONS // length), "memory": False, "repeats": 1,
        "threads": asked.threads, **SETTINGS[setting], **more,
    }  # fmt: skip


def _clock(threads: int) -> str:
    return "processor time" if threads == 1 else "wall time"


def _speed(what: dict[str, Any]) -> Measured:
    """Seconds of each way: the fastest repeat, and all of them."""
    torch.set_num_threads(what["threads"])
    clock = time.process_time if what["threads"] == 1 else time.perf_counter
    work = shift_ways.prepare(what)
    shift_ways.choose_limit_chunk(work)  # also the first pass, which is slower
    ways = {name: shift_ways.way(name) for name in what["ways"]}
    found: Measured = {"positions": work.positions, "limit_chunk": work.limit_chunk}
    if "compiled" in ways:
        start = time.perf_counter()
        ways["compiled"](work)
        found["compiled_first_seconds"] = round(time.perf_counter() - start, 1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    last: dict[str, Any] = {}
    for repeat in range(what["repeats"]):
        for name, run in ways.items():
            if repeat and name in ONCE:
                continue
            start = clock()
            last[name] = run(work)
            seconds[name].append(clock() - start)
    fastest = {name: min(values) for name, values in seconds.items()}
    if "one_by_one" in fastest:
        fastest["one_by_one"] *= work.positions / shift_ways.ONE_BY_ONE_POSITIONS
    if "bodies" in fastest:
        read = 2 * work.tokens_read
        found["body_tokens_per_second"] = round(read / fastest["bodies"], 1)
    if "columns" in last:
        found["ours_and_columns"] = shift_ways.differences(last["ours"], last["columns"])
    return found | _compared(fastest, work.positions) | {
        "all_seconds": {name: [round(x, 4) for x in values] for name, values in seconds.items()}
    }  # fmt: skip


def _compared(fastest: dict[str, float], positions: int) -> Measured:
    found: Measured = {
        "microseconds_per_position": {
            name: round(value / positions * 1e6, 1) for name, value in fastest.items()
        },
        "positions_per_second": {
            name: round(positions / value, 1) for name, value in fastest.items()
        },
    }
    ours = fastest["ours"]
    if "limit" in fastest:
        found["share_of_limit"] = {
            name: round(fastest["limit"] / fastest[name], 3)
            for name in ("ours", "compiled")
            if name in fastest
        }
    found["times_faster_than"] = {
        name: round(fastest[name] / ours, 2) for name in RIVALS if name in fastest
    }
    return found


def _memory(what: dict[str, Any]) -> Measured:
    """Peak memory beyond the models, MB; and what the models take."""
    torch.set_num_threads(what["threads"])
    before = resident_mb()
    work = shift_ways.prepare(what)
    short = Work(work.pair, work.heads, [work.items[0].cut(8)], work.common)
    shift_ways.way(what["ways"][0])(short)
    held = resident_mb()
    forget_peak()
    shift_ways.way(what["ways"][0])(work)
    peak = peak_mb()
    if before is None or held is None or peak is None:
        return {"beyond_models_mb": None, "models_mb": None}
    return {"beyond_models_mb": round(peak - held), "models_mb": round(held - before)}


def _show(result: Measured) -> None:
    for one in result["speed"]:
        per_second = ", ".join(f"{k} {v:.0f}" for k, v in one["positions_per_second"].items())
        print(f"{one['setting']}, {one['length']}: {per_second} positions/s; of the limit "
              f"{one['share_of_limit']}; times faster {one['times_faster_than']}")  # fmt: skip
    if result["one_by_one"]:
        print(f"one pass per token: {result['one_by_one']['times_faster_than']} times")
    for one in result["memory"]:
        print(f"{one['setting']}, {one['length']}, {one['way']}, {one['shape'] or 'model'}: "
              f"{one['beyond_models_mb']} MB beyond the models' {one['models_mb']} MB")  # fmt: skip


def _shape(text: str) -> dict[str, int]:
    return {name: int(value) for name, _, value in (p.partition("=") for p in text.split(","))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument(
        "--shape",
        type=_shape,
        help="a random-weight model instead: layers=..,hidden=..,heads=..,vocab=..[,kv_heads,mlp]",
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=3, help="the fastest one counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-compiled", dest="compiled", action="store_false")
    parser.add_argument("--quick", action="store_true", help="less memory, no token by token")
    parser.add_argument("--out", type=Path, default=Path("bench/results/shift.json"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
