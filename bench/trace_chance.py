"""How often does a control call chance a borrowing, and does it see planted ones?

Answers of models that were never tuned on a set of rows, traced in that set beside (a) permuted
rows, (b) the other half of the set, (c) rows of another set; then the same with runs of ten words
of near rows planted in a share of the answers. Reads files of a data folder; writes JSON, no texts.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aftertune.controls.match import tfidf
from aftertune.controls.search import folded_words
from aftertune.inputs import read_rows
from aftertune.progress import Silent
from aftertune.trace import pool as pools
from aftertune.trace.config import TraceConfig
from aftertune.trace.finder import Answer
from aftertune.trace.indexed import finder_of
from aftertune.trace.materials import Materials
from aftertune.trace.pool import PERMUTED, Pooled, prompt_of
from aftertune.trace.run import _record
from aftertune.trace.summary import summary
from aftertune.trace.winners import ranked, spans_of
from measure import machine

ROOT = Path(__file__).parent.parent
MODELS = {
    "vicuna": "just_eval/vicuna-7b-v1.5.json",
    "alpaca-7b": "alpaca_eval/alpaca-7b.json",
    "phi-2": "alpaca_eval/phi-2.json",
    "gpt-3.5": "just_eval/gpt-3.5-turbo-0301.json",
}
PLANTED_INTO = "vicuna"
SETS = ("dolly_3k", "lima", "alpaca_1k_longest")
CONTROLS = (PERMUTED, "other half", "another set")
WORDS = 10  # of a planted run
Said = tuple[str, str, str]  # id, prompt, answer


def main() -> None:
    given = _arguments()
    with TemporaryDirectory() as scratch:
        rows = {
            name: _rows(given.data / "it" / f"{name}.json", Path(scratch))[: given.rows]
            for name in SETS
        }
    found = []
    for model, file in MODELS.items():
        asked = _asked(given.data / "outputs" / file, given.answers)
        for name in SETS:
            if model.startswith("alpaca") and name.startswith("alpaca"):
                continue  # tuned on these prompts
            for share in (0.0, 0.25) if model == PLANTED_INTO else (0.0,):
                for control in CONTROLS:
                    if control == "another set" and (share or model != PLANTED_INTO):
                        continue  # unlike the rows: it decides nothing
                    one = _one(rows, name, control, asked, share)
                    found.append({"model": model, "rows": name, "planted": share, **one})
                    print(json.dumps(found[-1]), flush=True)
                    _write(given, found)


def _write(given: argparse.Namespace, found: Sequence[dict[str, Any]]) -> None:
    """What is known so far."""
    result = {
        "machine": machine(["aftertune"]),
        "n_answers": given.answers,
        "most_rows": given.rows,
        "conclusions": _counted(found),
        "pairs": list(found),
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _one(
    rows: dict[str, list[Pooled]], name: str, control: str, asked: Sequence[Said], share: float
) -> dict[str, Any]:
    """The excess of one set over one control in these answers, a share of them planted into."""
    first, second = _halves(rows[name])
    if control == PERMUTED:
        first, others = rows[name], pools.permuted(rows[name], 0)
    else:
        foreign = second if control == "other half" else rows["lima" if name != "lima" else SETS[0]]
        others = [replace(row, control=control) for row in foreign]
    pool = pools.ordered(first + others)
    said = _planted(asked, first, share) if share else list(asked)
    config = TraceConfig(embeddings=False, surprisal=False, permuted=control == PERMUTED)
    finder = finder_of(config, pool, Silent())
    records = []
    for key, prompt, answer in said:
        one = Answer(key, prompt, answer)
        made = [_record(one, found, pool[found.row_index]) for found in finder.trace(one)]
        for of_span in spans_of(made).values():
            records += ranked(of_span, config.top)
    responses = [{"response_id": key, "model": ""} for key, _, _ in said]
    about = summary(config, Materials(responses, pool, {}, False), spans_of(records))
    if control not in about["found"]["controls"]:
        return {"control": control, "conclusion": "undecided", "reason": "no control rows"}
    of_control = about["found"]["controls"][control]
    share_of = of_control["share"]
    numbers = [None if share_of[part] is None else round(share_of[part], 3)
               for part in ("estimate", "low", "high")]  # fmt: skip
    return {"control": control, "share": numbers, "chance": round(of_control["chance"], 3),
            "n": of_control["n"], "n_rows": of_control["n_rows"],
            "auroc": round(of_control["auroc"]["estimate"] or 0, 3),
            "conclusion": of_control["conclusion"], "reason": of_control["reason"]}  # fmt: skip


def _planted(asked: Sequence[Said], rows: Sequence[Pooled], share: float) -> list[Said]:
    """In a share of the answers a run of ten words of the nearest row's answer, in the middle."""
    prompts = [folded_words(prompt) for _, prompt, _ in asked]
    vectors = tfidf(prompts + [folded_words(prompt_of(row.messages)) for row in rows])
    near = (vectors[: len(asked)] @ vectors[len(asked) :].T).toarray()
    drawn = set(random.Random(1).sample(range(len(asked)), int(share * len(asked))))
    found = []
    for place, (key, prompt, answer) in enumerate(asked):
        if place in drawn:
            row = rows[int(near[place].argmax())]
            said = " ".join(m["content"] for m in row.messages if m["role"] == "assistant").split()
            start = random.Random(key).randrange(max(1, len(said) - WORDS))
            own = answer.split(" ")
            own[len(own) // 2 : len(own) // 2] = said[start : start + WORDS]
            answer = " ".join(own)
        found.append((key, prompt, answer))
    return found


def _halves(rows: Sequence[Pooled]) -> tuple[list[Pooled], list[Pooled]]:
    clusters = sorted({row.cluster_id for row in rows})
    drawn = set(random.Random(2).sample(clusters, len(clusters) // 2))
    return [r for r in rows if r.cluster_id in drawn], [
        r for r in rows if r.cluster_id not in drawn
    ]


def _rows(path: Path, out: Path) -> list[Pooled]:
    table = read_rows(str(path), out, Silent()).table("rows").to_pylist()
    return pools.split_rows(table, None)[0]


def _asked(path: Path, n: int) -> list[Said]:
    records = json.loads(path.read_text("utf-8"))
    random.Random(0).shuffle(records)
    return [
        (str(place), one["instruction"], one["output"] if isinstance(one["output"], str)
         else one["output"][0])
        for place, one in enumerate(records[:n])
    ]  # fmt: skip


def _counted(found: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How often each conclusion was drawn, by control and by whether something was planted."""
    counts: dict[str, dict[str, int]] = {}
    for one in found:
        key = f"{one['control']}, {'planted' if one['planted'] else 'nothing borrowed'}"
        of_key = counts.setdefault(key, {})
        of_key[one["conclusion"]] = of_key.get(one["conclusion"], 0) + 1
    return counts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--rows", type=int, default=1200, help="of each set at most")
    parser.add_argument("--answers", type=int, default=150, help="of each model")
    parser.add_argument("--json", type=Path, default=ROOT / "bench/results/trace_chance.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
