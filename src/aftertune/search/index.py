"""Everything over one set of rows that a search needs, built once and kept by content.

Of a row two texts are searched: its prompt (all that is not the assistant's) and its answer (the
assistant's turns). Answers keep every word with its place, and rows which stems they hold.
"""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import InputError
from aftertune.search.bm25 import Postings
from aftertune.search.spans import BREAK, Suffixes
from aftertune.search.words import Hashes, hashes_of, stem, words

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
Row = Mapping[str, Any]  # {"row_index": int, "messages": [{"role", "content"}, ...]}
Embedder = Callable[[Sequence[str]], Array]  # texts -> [N, D], each of length 1

VERSION = 1
_CHARACTERS = 4_000_000  # of rows read at once: bounds memory while the index is built
_ANSWER = 1  # after the prompt, of a row's two texts


@dataclass(frozen=True)
class Vocabulary:
    """The different folded words of the rows, in the order of their hashes.

    hashes [V]. stem [V]: number of each word's stem, stem_hashes [S] what they are. letters: all
    words as characters with BREAK behind each, starts [V + 1] where each begins; a suffix array
    over them finds pieces of words.
    """

    hashes: Hashes
    stem: Small
    stem_hashes: Hashes
    letters: Suffixes
    starts: Ints

    def find(self, hashes: Hashes) -> Small:
        """[W]: number of each word, -1 for one that no row holds."""
        return _found(self.hashes, hashes)

    def find_stems(self, hashes: Hashes) -> Small:
        """[W]: number of each stem, -1 for one that no row holds."""
        return _found(self.stem_hashes, hashes)

    def words_of(self, places: npt.NDArray[np.integer[Any]]) -> Ints:
        """Which word each place of `letters` belongs to."""
        return np.searchsorted(self.starts, places, side="right") - 1


@dataclass(frozen=True)
class RowIndex:
    """A set of N rows, searchable.

    row_index [N]: names of the rows, in their order; everywhere else a row is its place 0 .. N - 1.
    answers: word numbers of all answers, with BREAK behind each. bounds [N + 1]: where each begins
    there. start, end: characters of each of these words within its answer.
    """

    row_index: Ints
    vocabulary: Vocabulary
    answers: Suffixes
    bounds: Ints
    start: Small
    end: Small
    in_answers: Postings
    in_rows: Postings
    prompt_vectors: Array | None
    answer_vectors: Array | None
    row_vectors: Array | None
    content: str
    embedder: Embedder | None = None

    @classmethod
    def build(cls, rows: Sequence[Row], *, embedder: Embedder | None = None) -> "RowIndex":
        """The index of these rows; embeddings only where an embedder is given."""
        read = _Reader()
        texts = [(row_prompt(row["messages"]), row_answer(row["messages"])) for row in rows]
        for some in _portions(texts):
            read.take(some)
        return read.index(
            np.array([row["row_index"] for row in rows], np.int64),
            content_id(rows),
            _vectors(texts, embedder),
            embedder,
        )

    def __len__(self) -> int:
        return len(self.row_index)

    def rows_at(self, places: npt.NDArray[np.integer[Any]]) -> Ints:
        """Which row each place of `answers` belongs to."""
        return np.searchsorted(self.bounds, places, side="right") - 1

    def save(self, path: Path) -> None:
        """One file (.npz without pickles). Raises OSError."""
        with path.open("wb") as stream:
            np.savez(stream, **_arrays(self))

    @classmethod
    def load(cls, path: Path, *, embedder: Embedder | None = None) -> "RowIndex":
        """What `save` wrote; raises InputError where it is something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return _restored(dict(stored), embedder)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is no index of rows that can be read; delete it.") from error


def row_answer(messages: Sequence[Mapping[str, Any]]) -> str:
    """What a tuned model learnt to say: the assistant's turns, one line break between them."""
    return "\n".join(m["content"] or "" for m in messages if m["role"] == "assistant")


def row_prompt(messages: Sequence[Mapping[str, Any]]) -> str:
    """What it was told: every other turn, one line break between them."""
    return "\n".join(m["content"] or "" for m in messages if m["role"] != "assistant")


def content_id(rows: Sequence[Row]) -> str:
    """Name of the index of these rows: 32 hex digits of what was said, by whom, in which row."""
    digest = hashlib.sha256(f"rows {VERSION}".encode())
    for row in rows:
        said = [str(row["row_index"])]
        for message in row["messages"]:
            said += [message["role"], message["content"] or ""]
        lengths = ",".join(str(len(text)) for text in said)
        digest.update("\n".join([lengths, *said, ""]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


class _Reader:
    """Collects words portion by portion, as numbers, so that no list of them is ever held."""

    def __init__(self) -> None:
        self.known: dict[int, str] = {}  # hash -> folded word
        self.hashes: list[Hashes] = []
        self.text: list[Ints] = []  # 2 x row + which of its two texts
        self.start: list[Small] = []  # of the answers' words
        self.end: list[Small] = []
        self.n_rows = 0

    def take(self, texts: Sequence[tuple[str, str]]) -> None:
        read = words(list(chain.from_iterable(texts)))
        different, first = np.unique(read.hashes, return_index=True)
        for name, place in zip(different.tolist(), first.tolist(), strict=True):
            if name not in self.known:
                self.known[name] = read.folded(place)
        self.hashes.append(read.hashes)
        self.text.append(read.text + 2 * self.n_rows)
        said = read.text % 2 == _ANSWER
        self.start.append(read.start[said].astype(np.int32))
        self.end.append(read.end[said].astype(np.int32))
        self.n_rows += len(texts)

    def index(
        self,
        row_index: Ints,
        content: str,
        vectors: tuple[Array, Array, Array] | None,
        embedder: Embedder | None,
    ) -> RowIndex:
        vocabulary = _vocabulary(self.known)
        n_stems = len(vocabulary.stem_hashes)
        word = vocabulary.find(_joined(self.hashes, np.uint64))
        text = _joined(self.text, np.int64)
        row, side = text // 2, text % 2
        stems = vocabulary.stem[word].astype(np.int64)
        said = np.flatnonzero(side == _ANSWER)
        lengths = np.bincount(row[said], minlength=self.n_rows)
        bounds = np.concatenate([[0], np.cumsum(lengths + 1)])
        places = np.arange(len(said)) + row[said]  # one BREAK behind each answer before
        prompt_vectors, answer_vectors, row_vectors = vectors or (None, None, None)
        return RowIndex(
            row_index=row_index,
            vocabulary=vocabulary,
            answers=Suffixes.of(_spread(word[said], places, int(bounds[-1]), BREAK)),
            bounds=bounds.astype(np.int64),
            start=_spread(_joined(self.start, np.int32), places, int(bounds[-1]), 0),
            end=_spread(_joined(self.end, np.int32), places, int(bounds[-1]), 0),
            in_answers=Postings.of(row[said], stems[said], self.n_rows, n_stems),
            in_rows=Postings.of(row, stems, self.n_rows, n_stems),
            prompt_vectors=prompt_vectors,
            answer_vectors=answer_vectors,
            row_vectors=row_vectors,
            content=content,
            embedder=embedder,
        )


def _portions(texts: Sequence[tuple[str, str]]) -> list[Sequence[tuple[str, str]]]:
    """The texts in turn, about `_CHARACTERS` at a time."""
    sizes = np.cumsum([len(prompt) + len(answer) + 2 for prompt, answer in texts])
    number = sizes // _CHARACTERS
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(texts)]
    return [texts[a:b] for a, b in pairwise(edges)]


def _joined(parts: Sequence[npt.NDArray[Any]], kind: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _found(known: Hashes, wanted: Hashes) -> Small:
    """Places of the wanted in the sorted known, -1 where absent."""
    if not len(known):
        return np.full(len(wanted), -1, np.int32)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, places, -1).astype(np.int32)


def _spread(values: Small, places: Ints, size: int, between: int) -> Small:
    spread = np.full(size, between, np.int32)
    spread[places] = values
    return spread


def _vocabulary(known: Mapping[int, str]) -> Vocabulary:
    hashes = sorted(known)
    stem_hashes, stems = np.unique(
        hashes_of([stem(known[name]) for name in hashes]), return_inverse=True
    )
    lengths = np.array([len(known[name]) for name in hashes], np.int64)
    joined = "\0".join([*(known[name] for name in hashes), ""])
    letters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int32)
    letters[letters == 0] = BREAK
    return Vocabulary(
        np.array(hashes, np.uint64),
        stems.astype(np.int32),
        stem_hashes,
        Suffixes.of(letters),
        np.concatenate([[0], np.cumsum(lengths + 1)]).astype(np.int64),
    )


def _vectors(
    texts: Sequence[tuple[str, str]], embedder: Embedder | None
) -> tuple[Array, Array, Array] | None:
    """Of prompts, of answers, of both together: each [N, D]."""
    if embedder is None:
        return None
    sides = [
        [prompt for prompt, _ in texts],
        [answer for _, answer in texts],
        [f"{prompt} {answer}" for prompt, answer in texts],
    ]
    prompts, answers, both = (np.asarray(embedder(side), np.float32) for side in sides)
    return prompts, answers, both


def _arrays(index: RowIndex) -> dict[str, Any]:
    """All arrays of the index under their names; those of its parts with a dot."""
    found: dict[str, Any] = {"version": np.array(VERSION), "content": np.array(index.content)}

    def add(prefix: str, thing: Any) -> None:
        for one in fields(thing):
            value = getattr(thing, one.name)
            if isinstance(value, (Vocabulary, Suffixes, Postings)):
                add(f"{prefix}{one.name}.", value)
            elif isinstance(value, (np.ndarray, int)):
                found[f"{prefix}{one.name}"] = np.asarray(value)

    add("", index)
    return found


def _restored(stored: Mapping[str, Any], embedder: Embedder | None) -> RowIndex:
    if int(stored["version"]) != VERSION:
        raise ValueError("another version")

    def suffixes(name: str) -> Suffixes:
        return Suffixes(stored[f"{name}.text"], stored[f"{name}.order"])

    def postings(name: str) -> Postings:
        parts = (stored[f"{name}.{part}"] for part in ("starts", "rows", "weights"))
        return Postings(int(stored[f"{name}.n_texts"]), *parts)

    vocabulary = Vocabulary(
        stored["vocabulary.hashes"], stored["vocabulary.stem"], stored["vocabulary.stem_hashes"],
        suffixes("vocabulary.letters"), stored["vocabulary.starts"],
    )  # fmt: skip
    return RowIndex(
        row_index=stored["row_index"],
        vocabulary=vocabulary,
        answers=suffixes("answers"),
        bounds=stored["bounds"],
        start=stored["start"],
        end=stored["end"],
        in_answers=postings("in_answers"),
        in_rows=postings("in_rows"),
        prompt_vectors=stored.get("prompt_vectors"),
        answer_vectors=stored.get("answer_vectors"),
        row_vectors=stored.get("row_vectors"),
        content=str(stored["content"]),
        embedder=embedder,
    )
