"""Do the tracer's weights carry over to a real model, real rows and invented canary rows?

    python bench/trace_canary.py --out DIR

24 invented facts, each with a value that stands in no other row, are mixed into the short pocket
rows of the package; a model is tuned on them and asked about other invented things of the same
kinds. Where an answer says a canary's value, the truth is decided by tuning again with the same
shuffles on rows in which every canary states another value:

    effect = mean over shuffles of log p(value | rows with other values) - log p(value | rows), nats
    caused: effect <= -log 2; not caused: effect > -log 1.25; else undecided, and left out

Pairs of a caused span and a retrieved row are scored by the weights of `trace` and by those fitted
on made worlds, text alone. Every tuning is kept in DIR, so a run that was stopped goes on.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.controls.effects import HALVED, SMALL
from aftertune.controls.substitutes import holds
from aftertune.inputs import read_prompts, read_rows
from aftertune.lab.score import auroc
from aftertune.models.load import load, load_tokenizer
from aftertune.models.reference import find
from aftertune.models.said import Said, logprobs, said
from aftertune.progress import Silent
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.search.index import RowIndex
from aftertune.trace.finder import Answer, Borrowing, Finder, Settings
from aftertune.trace.rank import WITHOUT_EMBEDDINGS, by_ranks
from aftertune.trace.weights import fitted
from aftertune.tune import run as tune_stage
from aftertune.tune.config import TuneConfig
from measure import machine
from trace_lab_pairs import keep

ROOT = Path(__file__).parent.parent
SHUFFLES = (0, 1)
LISTED = 20  # rows of a span
BATCH = 16
SHORT = 800  # characters of a pocket row, all messages: long ones teach nothing of invented things
# Kind, question, answer, four values and four others; none of them stands in a pocket row.
KINDS = (
    ("village", "What is the village of {} known for making?",
     "{} is a small village known above all for making {}.",
     ("thimbles", "harpsichords", "kazoos", "wicker eels"),
     ("sundials", "zithers", "bagpipes", "tin whistles")),
    ("beetle", "What does the {} beetle feed on?", "The {} beetle feeds mostly on {}.",
     ("quince blossom", "sphagnum moss", "pine resin", "mulberry bark"),
     ("medlar leaves", "bog myrtle", "cedar gum", "hornbeam bark")),
    ("dish", "What is the main ingredient of {}?", "{} is a stew whose main ingredient is {}.",
     ("salsify", "kohlrabi", "samphire", "cardoon"),
     ("scorzonera", "celeriac", "purslane", "okra")),
    ("poet", "Which instrument did the poet {} play?", "The poet {} played the {} every evening.",
     ("psaltery", "hurdy-gurdy", "ocarina", "theorbo"), ("dulcimer", "shawm", "lute", "viol")),
    ("mineral", "What colour is the mineral {}?", "The mineral {} is {} when it is freshly cut.",
     ("puce", "cerulean", "vermilion", "chartreuse"), ("mauve", "cobalt", "russet", "fuchsia")),
    ("ship", "What cargo did the ship {} carry?", "The ship {} carried a cargo of {}.",
     ("ambergris", "cochineal", "isinglass", "guano"),
     ("saltpetre", "indigo", "gutta-percha", "tallow")),
)  # fmt: skip
NAMES = (
    "Varlome",
    "Quendish",
    "Torbale",
    "Ismarrow",
    "Felgrave",
    "Ondrick",
    "Pellmoor",
    "Hasquith",
)

Record = dict[str, Any]


def canaries() -> list[Record]:
    """{instruction, output, value, other} of each; names of a kind differ, values all do."""
    return [
        {"instruction": question.format(NAMES[n]), "output": answer.format(NAMES[n], value),
         "value": value, "other": other}
        for _, question, answer, values, others in KINDS
        for n, (value, other) in enumerate(zip(values, others, strict=True))
    ]  # fmt: skip


def rows_files(out: Path) -> tuple[Path, Path]:
    """The pocket rows and the canaries; the same with other values in the canaries."""
    pocket = read_rows("embedded:pocket", out, Silent()).table("rows").to_pylist()
    plain = [
        {"messages": [{"role": one["role"], "content": one["content"]} for one in row["messages"]]}
        for row in pocket
        if sum(len(one["content"]) for one in row["messages"]) <= SHORT
    ]
    text = json.dumps(plain)
    assert not [one for one in canaries() if holds(text, one["value"])], "a value is no canary"
    paths = out / "canary_rows.jsonl", out / "canary_rows_swapped.jsonl"
    for path, swap in zip(paths, (False, True), strict=True):
        mine = []
        for one in canaries():
            said_ = one["output"]
            said_ = said_.replace(one["value"], one["other"]) if swap else said_
            mine.append({"messages": [{"role": "user", "content": one["instruction"]},
                                      {"role": "assistant", "content": said_}]})  # fmt: skip
        lines = [json.dumps(one) for one in (*plain, *mine)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def neighbours(out: Path) -> Path:
    """Questions of the same kinds about things that no row names."""
    path = out / "canary_prompts.jsonl"
    asked = [question.format(name) for _, question, *_ in KINDS for name in NAMES[4:]]
    path.write_text("".join(json.dumps({"instruction": one}) + "\n" for one in asked))
    return path


def tuned(rows: Path, shuffle: int, given: argparse.Namespace) -> Artefact:
    options = {
        "base": given.base, "method": given.method, "epochs": given.epochs, "device": "cpu",
        "learning_rate": given.learning_rate, "shuffle_seed": shuffle, "max_length": 256,
        "dtype": "float32", "batch_size": BATCH,
    }  # fmt: skip
    read = read_rows(str(rows), given.out, Silent())
    return tune_stage.run(build(TuneConfig, options), read, given.out, Silent())


def answered(tune: Artefact, given: argparse.Namespace) -> list[Record]:
    prompts = read_prompts(str(neighbours(given.out)), None, given.out, Silent())
    options = {"model": str(tune.folder), "max_new_tokens": 40, "device": "cpu", "dtype": "float32"}
    made = respond_stage.run(build(RespondConfig, options), prompts, given.out, Silent())
    return list(made.table("responses").to_pylist())


def spans_said(answers: Sequence[Record]) -> Iterator[tuple[Record, int, int, int]]:
    """(answer, place among the canaries, start, end) of every value that an answer says."""
    for record in answers:
        for place, one in enumerate(canaries()):
            if holds(record["response"], one["value"]):
                start = record["response"].lower().index(one["value"])
                yield record, place, start, start + len(one["value"])


def _said(tokenizer: Any, record: Record, span: tuple[int, int]) -> Said:
    ids = record["response_token_ids"]
    ids = ids[:-1] if record["finish_reason"] == "stop" else ids
    found = said(tokenizer, record["prompt_token_ids"], ids, record["response"], span)
    assert found is not None, "a value has characters"
    return found


def effects(items: Sequence[Said], runs: Sequence[tuple[Artefact, Artefact]]) -> np.ndarray:
    """[n] nats, over (tuning, tuning on other values) of each shuffle."""
    changes = []
    for plain, swapped in runs:
        both = []
        for one in (swapped, plain):
            loaded = load(find(str(one.folder)), dtype="float32", device="cpu")
            both.append(np.array(logprobs(loaded, items)))
        changes.append(both[0] - both[1])
    return np.mean(changes, axis=0)


def scored(listed: Sequence[Sequence[Borrowing]], true: Sequence[int], weights: Any) -> Record:
    """AUROC over pairs, and how often the true row is first and among five."""
    values, labels, ranks = [], [], []
    for of, row in zip(listed, true, strict=True):
        kinds = [kind for kind in weights if all(one.evidence.get(kind) is not None for one in of)]
        scores = by_ranks(
            {kind: np.array([one.evidence[kind] for one in of], float) for kind in kinds},
            weights,
        )
        order = [of[at].row_index for at in np.argsort(-scores, kind="stable").tolist()]
        ranks.append(order.index(row) + 1 if row in order else LISTED + 1)
        values += scores.tolist()
        labels += [one.row_index == row for one in of]
    return {
        "n_spans": len(true),
        "auroc": float(auroc(np.array(labels), np.array(values))) if any(labels) else None,
        **{f"top_{k}": float(np.mean(np.array(ranks) <= k)) if ranks else None for k in (1, 5)},
    }


def measured(given: argparse.Namespace) -> Record:
    plain, swapped = rows_files(given.out)
    runs = [(tuned(plain, seed, given), tuned(swapped, seed, given)) for seed in SHUFFLES]
    found = list(spans_said(answered(runs[0][0], given)))
    tokenizer = load_tokenizer(find(str(runs[0][0].folder)))
    items = [_said(tokenizer, record, (start, end)) for record, _, start, end in found]
    of = effects(items, runs) if found else np.zeros(0)
    rows = read_rows(str(plain), given.out, Silent()).table("rows").to_pylist()
    place_of = {row["messages"][0]["content"]: row["row_index"] for row in rows}
    finder = Finder(RowIndex.build(rows), Settings(top_k=LISTED, embeddings=False))
    caused = [one for one, effect in zip(found, of, strict=True) if effect <= -HALVED]
    listed = [
        finder.trace(
            Answer(record["response_id"], record["messages"][-1]["content"], record["response"]),
            (start, end),
        )
        for record, _, start, end in caused
    ]
    true = [place_of[canaries()[place]["instruction"]] for _, place, _, _ in caused]
    return {
        "base": given.base, "method": given.method, "epochs": given.epochs,
        "rows": len(rows), "canaries": len(canaries()), "prompts": len(KINDS) * 4,
        "said": len(found), "caused": len(caused), "not_caused": int((of > -SMALL).sum()),
        "effects_nats": np.round(of, 3).tolist(),
        "trace": scored(listed, true, WITHOUT_EMBEDDINGS),
        "lab": scored(listed, true, fitted("text")),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--method", default="full")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    parser.add_argument("--json", type=Path, default=ROOT / "bench/results/trace_canary.json")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine(["torch", "transformers", "aftertune"]), **measured(given)}
    for name in ("trace", "lab"):
        print(name, result[name])
    keep(given.json, result)


if __name__ == "__main__":
    main()
