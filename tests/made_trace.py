"""A small finder in place of the real one, and made inputs of a trace."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aftertune import schema
from aftertune.artefact import Artefact, Input, Plan, draft, hash_json
from aftertune.config import StageConfig, build
from aftertune.data.config import RowsConfig
from aftertune.data.run import run_rows
from aftertune.progress import Silent
from aftertune.respond.config import GivenConfig
from aftertune.respond.given import run_given
from aftertune.search.index import row_answer
from aftertune.trace import indexed
from aftertune.trace.finder import Answer, Borrowing, Settings

_LONG = re.compile(r"\w{6,}")


def words_of(text: str) -> set[str]:
    return set(_LONG.findall(text))


class MadeIndex:
    """Rows as they were given; built and loaded are counted."""

    built = loaded = 0

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = list(rows)

    @classmethod
    def build(cls, rows: Sequence[Mapping[str, Any]], *, embedder: Any = None) -> "MadeIndex":
        MadeIndex.built += 1
        return cls(rows)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.rows))

    @classmethod
    def load(cls, path: Path, *, embedder: Any = None) -> "MadeIndex":
        MadeIndex.loaded += 1
        return cls(json.loads(path.read_text()))


class MadeFinder:
    """Every word of six letters or more that rows have and the prompt has not; a row's score is its
    share of the prompt's words."""

    def __init__(self, index: MadeIndex, settings: Settings) -> None:
        self.index, self.settings = index, settings
        self.answers = [row_answer(row["messages"]) for row in index.rows]
        self.asked = [
            {
                word
                for m in row["messages"]
                if m["role"] == "user"
                for word in words_of(m["content"])
            }
            for row in index.rows
        ]

    def trace(self, answer: Answer, span: tuple[int, int] | None = None) -> list[Borrowing]:
        words = words_of(answer.prompt)
        places = [span] if span else [m.span() for m in _LONG.finditer(answer.response)]
        found = []
        for start, end in places:
            text = answer.response[start:end]
            rows = [n for n, said in enumerate(self.answers) if text in said and text not in words]
            score = {n: len(words & self.asked[n]) / max(1, len(words)) for n in rows}
            rows = sorted(rows, key=lambda n: -score[n])[: self.settings.top_k]
            for rank, n in enumerate(rows, start=1):
                at = self.answers[n].index(text)
                shared = ((start, end, at, at + len(text)),)
                evidence = {"rarity": 1 / len(rows), "concept": score[n]}
                found.append(Borrowing(start, end, text, self.index.rows[n]["row_index"], rank,
                                       score[n], evidence, "copied", shared))  # fmt: skip
        return found


def use_made_finder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stage traces with these, and keeps its indexes in a cache of its own."""
    monkeypatch.setenv("AFTERTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed, "RowIndex", MadeIndex)
    monkeypatch.setattr(indexed, "Finder", MadeFinder)
    monkeypatch.setattr(indexed, "content_id", lambda rows: f"made-{len(rows)}")
    MadeIndex.built = MadeIndex.loaded = 0


def made_rows(pairs: Sequence[tuple[str, str]], out: Path, name: str = "rows") -> Artefact:
    """A `rows` artefact of (instruction, output)."""
    file = out / f"{name}.jsonl"
    file.write_text(
        "\n".join(json.dumps({"instruction": asked, "output": said}) for asked, said in pairs)
    )
    return run_rows(build(RowsConfig, {"source": str(file)}), out, Silent())


def made_responses(pairs: Sequence[tuple[str, str]], out: Path) -> Artefact:
    """A `respond` artefact of (instruction, response)."""
    file = out / "mine.jsonl"
    file.write_text(
        "\n".join(json.dumps({"instruction": asked, "response": said}) for asked, said in pairs)
    )
    return run_given(build(GivenConfig, {"source": str(file)}), None, out, Silent())


def made_tune(
    rows: Artefact, held_out: set[int], out: Path, left_out: Collection[int] = ()
) -> Artefact:
    """What a trace reads of a `tune` artefact: its split."""
    split = [
        {
            "row_id": row["row_id"], "row_index": row["row_index"], "cluster_id": row["cluster_id"],
            "part": "held_out" if row["row_index"] in held_out
            else "left_out" if row["row_index"] in left_out else "train",
            "reason": None, "weight": 1.0, "n_tokens": 10, "n_trained_tokens": 5, "n_cut_tokens": 0,
        }
        for row in rows.table("rows").to_pylist()
    ]  # fmt: skip
    name = hash_json(split)
    plan = Plan(
        "tune", 1, {}, StageConfig(), (rows.as_input("rows"), Input("split", name, name, ""))
    )
    with draft(out, plan) as drafted:
        drafted.write(0, {"split": schema.from_rows("split", split)})
        return drafted.finish({"done": len(split), "skipped": {}, "unscored": {}})


def made_shift(responses: Artefact, out: Path) -> Artefact:
    """What a trace reads of a `shift` artefact: one token for each word of each answer."""
    tokens = []
    for record in responses.table("responses").to_pylist():
        for position, match in enumerate(re.finditer(r"\S+", record["response"])):
            tokens.append(made_token(record["response_id"], position, match))
    plan = Plan("shift", 1, {}, StageConfig(), (responses.as_input("responses"),))
    with draft(out, plan) as drafted:
        drafted.write(0, {"tokens": schema.from_rows("tokens", tokens)})
        (drafted.folder / "pieces.json").write_text(json.dumps({"7": "Ġmade", "8": "Ġother"}))
        return drafted.finish({"done": 1, "skipped": {}, "unscored": {}}, {})


def made_token(response_id: str, position: int, match: re.Match[str]) -> dict[str, Any]:
    """A token of which the base is less sure than the tuned model by 1 nat."""
    top = [{"token_id": 7, "prob": 0.6}, {"token_id": 8, "prob": 0.1}]
    return {
        "response_id": response_id, "position": position, "token_id": 7, "token": match[0],
        "char_start": match.start(), "char_end": match.end(), "sentence": 0,
        "position_in_sentence": position, "base_logprob": -2.0, "tuned_logprob": -1.0,
        "base_rank": 2, "tuned_rank": 1, "rank_ties": 1, "is_tuned_argmax": True,
        "tuned_argmax": 7, "base_rank_of_tuned_argmax": 2, "base_prob_of_tuned_argmax": 0.1,
        "kl_tuned_base_nats": 0.5, "kl_base_tuned_nats": 0.5, "js_nats": 0.1,
        "base_entropy_nats": 1.0, "tuned_entropy_nats": 1.0, "category": "marginal",
        "base_top": top[::-1], "tuned_top": top, "base_mass_outside_common": 0.0,
        "tuned_mass_outside_common": 0.0,
    }  # fmt: skip
