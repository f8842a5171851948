"""Tracing: time and memory of the index and of answers, by number of rows; and how often it is
right on made borrowings, beside BM25 and MiniLM.

    python bench/trace.py --out bench/results/trace.json
    python bench/trace.py --only quality --no-embeddings

Times are text-only, without embeddings, whose own time stands apart. Every size is measured in a
process of its own; with `--threads 1` the process's own time counts. The peer is infini-gram's
span search over the same words, where that package is installed.
"""

import argparse
import importlib.util
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aftertune.artefact import write_durably
from aftertune.search.index import RowIndex
from aftertune.search.spans import maximal
from aftertune.search.words import words
from aftertune.trace.finder import Answer, Finder, Settings
from measure import child, forget_peak, machine, peak_mb, resident_mb
from trace_quality import (
    CASES,
    DATA,
    ablation,
    controls,
    indexes_of,
    measured,
    of_bm25,
    of_embeddings,
    of_finder,
    read_answers,
    read_cases,
    row,
    rows_of,
    say,
)

HERE = Path(__file__).parent
PACKAGES = ("numpy", "scipy", "pydivsufsort", "bm25s")
LARGEST = "alpaca_18k"
SIZES = (1_000, 5_000, 18_669, 326_000)
ANSWERS = "Llama-2-7b-chat-hf"  # of the 800 prompts: 1,000 characters and more
SHORTEST_SPAN = 3  # words of a span that infini-gram is asked for
MOST_ROWS = 1_000  # that hold it
Measured = dict[str, Any]


def main() -> None:
    """Measure what is asked for and write one JSON file."""
    asked = _arguments()
    if asked.child:
        what = json.loads(asked.child)
        print(json.dumps(CHILDREN[what["name"]](what)))
        return
    result: Measured = {"what": "text-only tracing", "threads": asked.threads, **machine(PACKAGES)}
    result["clock"] = "processor time" if asked.threads == 1 else "wall time"
    if asked.only in (None, "speed"):
        what = {"threads": asked.threads, "repeats": asked.repeats, "n_answers": asked.answers}
        result["sizes"] = [
            child(__file__, {**what, "name": "size", "rows": size}, asked.threads)
            for size in asked.sizes
        ]
        result["one_word"] = child(
            __file__, {**what, "name": "one_word", "rows": asked.one_word}, asked.threads
        )
        result["infini_gram"] = child(__file__, {**what, "name": "peer"}, asked.threads)
    if asked.only in (None, "quality"):
        result["quality"] = _quality(asked.embeddings)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(asked.out, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print(json.dumps(result, indent=1))
    print(f"written: {asked.out}")


def _size(what: Measured) -> Measured:
    """Index and answers of one number of rows: the fastest of the repeats for the index."""
    clock = _clock(what)
    rows = _rows(what["rows"])
    forget_peak()
    before = resident_mb() or 0.0
    seconds = []
    for _ in range(what["repeats"]):
        start = clock()
        index = RowIndex.build(rows)
        seconds.append(clock() - start)
    peak = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index.npz")
        size = (Path(folder) / "index.npz").stat().st_size
        start = clock()
        index = RowIndex.load(Path(folder) / "index.npz")
        loading = clock() - start
    forget_peak()
    held = resident_mb() or 0.0
    finder = Finder(index)
    times = _timed(lambda one: finder.trace(one), _answers(what["n_answers"]), clock)
    return {
        "rows": len(rows),
        "words": len(index.answers.text) - len(rows),
        "index_seconds": round(min(seconds), 2),
        "index_peak_mb": None if peak is None else round(peak - before),
        "file_mb": round(size / 2**20, 1),
        "load_seconds": round(loading, 2),
        "answers": len(times),
        "answer_ms": _quantiles(times),
        "answer_peak_mb": None if peak is None else round((peak_mb() or 0.0) - held),
    }


def _one_word(what: Measured) -> Measured:
    clock = _clock(what)
    rows = [row(k, "Say it.", "ocelot") for k in range(what["rows"])]
    forget_peak()
    before = resident_mb() or 0.0
    start = clock()
    index = RowIndex.build(rows)
    built = clock() - start
    start = clock()
    found = Finder(index).trace(Answer("r", "Say it.", "ocelot ocelot"))
    return {
        "rows": len(rows),
        "index_seconds": round(built, 2),
        "answer_ms": round(1000 * (clock() - start), 1),
        "found": len(found),
        "peak_mb": round((peak_mb() or 0.0) - before),
    }


def _peer(what: Measured) -> Measured:
    """infini-gram's suffix array and span search over the same words, beside ours alone."""
    if importlib.util.find_spec("infini_gram") is None:
        return {"reason": "the package infini-gram is not installed"}
    clock = _clock(what)
    index = RowIndex.build(_rows(SIZES[2]))
    answers = [
        np.asarray(index.vocabulary.find(words([one.response]).hashes))
        for one in _answers(what["n_answers"])
    ]
    ours = _timed(lambda numbers: _spans(index, numbers), answers, clock)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        engine = _engine(index, Path(folder))
        built = time.perf_counter() - start
        nowhere = len(index.vocabulary.hashes)
        asked = [np.where(numbers < 0, nowhere, numbers).tolist() for numbers in answers]

        def search(numbers: list[int]) -> Any:
            return engine.attribute(numbers, [], SHORTEST_SPAN, MOST_ROWS, False)

        theirs = _timed(search, asked, clock)
        same = [
            {(span["l"], span["r"]) for span in search(one)["spans"]} == set(_spans(index, numbers))
            for one, numbers in zip(asked, answers, strict=True)
        ]
    return {
        "rows": len(index),
        "index_wall_seconds": round(built, 2),
        "answer_ms": _quantiles(theirs),
        "ours_answer_ms": _quantiles(ours),
        "answers_with_the_same_spans": round(float(np.mean(same)), 3),
    }


def _spans(index: RowIndex, numbers: Any) -> dict[tuple[int, int], Any]:
    """Longest runs of at least `SHORTEST_SPAN` words, and rows that hold them: the same work."""
    lengths = index.answers.longest(numbers)
    places = maximal(lengths)
    places = places[lengths[places] >= SHORTEST_SPAN]
    low, high = index.answers.ranges(numbers, places, lengths[places])
    found = {}
    for place, a, b in zip(places.tolist(), low.tolist(), high.tolist(), strict=True):
        if b - a <= MOST_ROWS:
            rows = np.unique(index.rows_at(index.answers.order[a:b]))
            found[place, place + int(lengths[place])] = rows
    return found


def _engine(index: RowIndex, folder: Path) -> Any:
    """An infini-gram engine over the index's own word numbers, one document per answer."""
    import infini_gram  # noqa: PLC0415 - only where it is installed
    from infini_gram.engine import InfiniGramEngine  # noqa: PLC0415

    separator = np.uint16(2**16 - 1)
    text = np.where(index.answers.text < 0, separator, index.answers.text).astype(np.uint16)
    line = np.concatenate([[separator], text[:-1]]).astype(np.uint16)  # it stands in front there
    table = folder / "index"
    table.mkdir()
    (table / "tokenized.0").write_bytes(line.tobytes())
    (table / "offset.0").write_bytes((2 * index.bounds[:-1]).astype(np.uint64).tobytes())
    tool = Path(infini_gram.__file__).parent / "rust_indexing"
    size = line.nbytes
    ratio, width = int(np.ceil(np.log2(size) / 8)), 2
    steps = [
        ["make-part", "--data-file", table / "tokenized.0", "--parts-dir", folder / "parts",
         "--start-byte", 0, "--end-byte", size, "--ratio", ratio, "--token-width", width],
        ["merge", "--data-file", table / "tokenized.0", "--parts-dir", folder / "parts",
         "--merged-dir", folder / "merged", "--num-threads", 1, "--hacksize", 100_000,
         "--ratio", ratio, "--token-width", width],
        ["concat", "--data-file", table / "tokenized.0", "--merged-dir", folder / "merged",
         "--merged-file", table / "table.0", "--num-threads", 1, "--ratio", ratio,
         "--token-width", width],
    ]  # fmt: skip
    for name in ("parts", "merged"):
        (folder / name).mkdir()
    for step in steps:
        subprocess.run([str(tool), *map(str, step)], check=True, stdout=subprocess.DEVNULL)
    return InfiniGramEngine(
        str(table), eos_token_id=len(index.vocabulary.hashes) + 1, token_dtype="u16"
    )


CHILDREN: dict[str, Callable[[Measured], Measured]] = {
    "size": _size,
    "one_word": _one_word,
    "peer": _peer,
}


def _rows(n: int) -> list[Measured]:
    """The first n rows of Alpaca; more than there are: prompts with halves of two other answers."""
    rows = rows_of(LARGEST, DATA)
    generator = random.Random(0)
    texts = [[message["content"] for message in one["messages"]] for one in rows]
    for k in range(len(rows), n):
        (prompt, _), (_, one), (_, other) = generator.choices(texts, k=3)
        rows.append(row(k, prompt, f"{one[: len(one) // 2]} {other[len(other) // 2 :]}"))
    return rows[:n]


def _answers(n: int) -> list[Answer]:
    records = json.loads((DATA / f"outputs/just_eval/{ANSWERS}.json").read_text())
    return [Answer(str(k), one["instruction"], one["output"]) for k, one in enumerate(records[:n])]


def _timed(
    work: Callable[[Any], Any], things: Sequence[Any], clock: Callable[[], float]
) -> list[float]:
    """Seconds for each; the first is done once in front, since a first time costs more."""
    seconds = []
    for thing in [things[0], *things]:
        start = clock()
        work(thing)
        seconds.append(clock() - start)
    return seconds[1:]


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    found = 1000 * np.quantile(np.array(seconds), [0.5, 0.95, 1.0])
    return dict(zip(("median", "p95", "max"), (round(float(x), 1) for x in found), strict=True))


def _clock(what: Measured) -> Callable[[], float]:
    return time.process_time if what["threads"] == 1 else time.perf_counter


def _quality(embeddings: bool) -> Measured:
    cases = read_cases(CASES, DATA)
    rows = {name: rows_of(name, DATA) for name in sorted({case.set for case in cases})}
    indexes, seconds = indexes_of(rows, embeddings)
    reads, reading = read_answers(cases)
    ranks, scores, touched = of_finder(cases, indexes, Settings(), reads)
    found: Measured = {
        "bm25": measured(cases, of_bm25(cases, rows)),
        "traced": measured(cases, ranks),
        "first_span_of_true_row_is_it": round(float(np.mean(list(touched.values()))), 3),
        "controls": controls(cases, indexes, scores, reads),
        "without": ablation(cases, indexes, reads, say),
        "missed": {case.id: ranks[case.id] for case in cases if ranks[case.id] > 1},
        "reading_seconds": reading,
    }
    if embeddings:
        found["minilm"] = measured(cases, of_embeddings(cases, indexes))
        found["embedding_seconds"] = seconds
        for name, its, read in (
            ("traced_without_embeddings", Settings(embeddings=False), reads),
            ("traced_without_both", Settings(embeddings=False), {}),
        ):
            found[name] = measured(cases, of_finder(cases, indexes, its, read)[0])
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "trace.json")
    parser.add_argument("--only", choices=("speed", "quality"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of each index")
    parser.add_argument("--answers", type=int, default=200, help="traced at each size")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--one-word", type=int, default=1_000_000, help="rows of one word")
    parser.add_argument("--no-embeddings", dest="embeddings", action="store_false")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
